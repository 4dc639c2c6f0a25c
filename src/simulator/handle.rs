//! The handle on a running simulator.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::{io::DuplexStream, net::TcpListener, sync::mpsc};
use tokio_util::sync::DropGuard;

use super::{
    chaos::{self, ChaosConfig, ChaosError, ChaosReport, Spell},
    config::{ConfigError, MoForm, SimulatorConfig},
    control,
    faults::{FaultRule, InvalidFault},
    http::{self, CallbackTry, Caller, Door, Front, Interface, PaymentReport, SubscriberFacts},
    ledger::Ledger,
    links::LinkReport,
    listeners::{self, Listener, ListenerReport},
    phones::InboxMessage,
    shared::Shared,
    smsc,
    stats::Stats,
    subscribers::{Subscriber, TooManySubscribers},
    tls::{self, TlsError},
};
use crate::{clock::Clock, money::Money, msisdn::Msisdn};

/// A running carrier. Clones are handles on the same one; it stops with [`Simulator::shutdown`] or with the last handle.
#[derive(Clone, Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    control_address: Option<SocketAddr>,
    _stop_with_last_handle: Arc<DropGuard>,
}

/// Why a simulator does not start.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The TLS listener has no usable certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("simulator: cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What became of an MO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoReport {
    /// How it ended.
    pub outcome: MoOutcome,
    /// How often it was sent: its parts counted one by one, repetitions by [`super::Fault::RedeliverMo`] and
    /// [`super::Fault::MoResponseLost`] included.
    pub tries: u32,
}

/// How an MO ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoOutcome {
    /// The client answered `ESME_ROK` to all that was sent: the MO is its own now.
    Acknowledged,
    /// The client refused it for good, with this `command_status`.
    Refused(u32),
    /// No answer, or temporary errors only, until tries or patience ran out.
    GivenUp,
    /// The simulator was shut down.
    ShutDown,
}

/// Why an MO is not sent at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MoError {
    /// The destination is no address.
    #[error("an MO goes to an address of 1 to 20 printable ASCII characters, not {0:?}")]
    Address(String),
    /// Longer than [`MoError::TEXT_CHARS_MAX`].
    #[error("an MO has at most {max} characters, not {0}", max = MoError::TEXT_CHARS_MAX)]
    TooLong(usize),
    /// Too many MOs and receipts wait already.
    #[error("{0} MOs and receipts wait already")]
    TooMany(usize),
}

impl MoError {
    /// The longest MO, in characters.
    pub const TEXT_CHARS_MAX: usize = 1_000;
}

impl Simulator {
    /// Starts on the machine's clock, inside the current tokio runtime. It listens when this returns.
    ///
    /// Errors: a configuration that cannot work, an address that is taken.
    pub async fn start(config: SimulatorConfig) -> Result<Simulator, SimulatorError> {
        Simulator::start_with_clock(config, Clock::System).await
    }

    /// Starts with `clock` for dates and validity periods; delays run on tokio's clock.
    ///
    /// Errors: as [`Simulator::start`].
    pub async fn start_with_clock(config: SimulatorConfig, clock: Clock) -> Result<Simulator, SimulatorError> {
        config.validate()?;
        let mut sockets = Vec::new();
        let mut listeners = Vec::new();
        for address in std::iter::once(&config.smpp_listen).chain(&config.smpp_listen_more) {
            let (socket, address) = listen(*address).await?;
            sockets.push(socket);
            listeners.push(Listener::new(address, None));
        }
        if let Some(tls) = &config.tls {
            let acceptor = tls::acceptor(tls)?;
            let (socket, address) = listen(tls.listen).await?;
            sockets.push(socket);
            listeners.push(Listener::new(address, Some(acceptor)));
        }
        let control = match config.control_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let control_address = control.as_ref().map(|(_, address)| *address);
        let mut doors = Vec::new();
        for interface in Interface::ALL {
            if let Some(address) = config.http.listen(interface) {
                let (socket, address) = listen(address).await?;
                doors.push((interface, address, socket));
            }
        }
        let http_addresses = doors.iter().map(|(interface, address, _)| (*interface, *address)).collect();
        let caller = Caller::network(&config.http.callbacks)?;
        let front = Front::new(&config.http, http_addresses, caller)?;
        let shared = Arc::new(Shared::new(config, clock, listeners, front)?);
        shared.time_configured_faults();
        for (index, socket) in sockets.into_iter().enumerate() {
            shared.spawn(listeners::listen(Arc::clone(&shared), index, socket));
        }
        for (interface, _, socket) in doors {
            shared.spawn(http::listen(Arc::clone(&shared), interface, socket));
        }
        if let Some((socket, _)) = control {
            shared.spawn(control::serve(Arc::clone(&shared), socket));
        }
        let guard = Arc::new(shared.stop.clone().drop_guard());
        Ok(Simulator { shared, control_address, _stop_with_last_handle: guard })
    }

    /// Starts without a socket, for simulations on tokio's paused clock: only [`Simulator::connect`] and [`Simulator::door`] lead to
    /// it, and its callbacks go to `callbacks`.
    ///
    /// Errors: a configuration that cannot work.
    pub fn start_without_sockets(
        config: SimulatorConfig,
        clock: Clock,
        callbacks: mpsc::UnboundedSender<CallbackTry>,
    ) -> Result<Simulator, SimulatorError> {
        config.validate()?;
        let front = Front::new(&config.http, BTreeMap::new(), Caller::InProcess(callbacks))?;
        let shared = Arc::new(Shared::new(config, clock, Vec::new(), front)?);
        shared.time_configured_faults();
        let guard = Arc::new(shared.stop.clone().drop_guard());
        Ok(Simulator { shared, control_address: None, _stop_with_last_handle: guard })
    }

    /// Where the SMSC listens first.
    pub fn smpp_address(&self) -> SocketAddr {
        // The first listener is always there; a port of 0 would be an address that nobody answers at.
        self.listeners().first().map_or(([127, 0, 0, 1], 0).into(), |listener| listener.address)
    }

    /// Where it listens under TLS, if it does.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.listeners().into_iter().find(|listener| listener.tls).map(|listener| listener.address)
    }

    /// Every address of the SMSC: the first, the further ones in their order, and the one under TLS.
    pub fn listeners(&self) -> Vec<ListenerReport> {
        self.shared.listeners.iter().map(Listener::report).collect()
    }

    /// Shuts an address, as if its host were gone: nobody is let in, and its connections are reset. `index` is its place in
    /// [`Simulator::listeners`]. Returns when it is shut; false if there is no such address.
    pub async fn shut_listener(&self, index: usize) -> bool {
        self.shared.set_listener_open(index, false).await
    }

    /// Opens an address again. Returns when it listens; false if there is no such address, or somebody else took it.
    pub async fn open_listener(&self, index: usize) -> bool {
        self.shared.set_listener_open(index, true).await
    }

    /// Where the HTTP control listens, if it does.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// Where an interface over HTTP listens, if it is there.
    pub fn http_address(&self, interface: Interface) -> Option<SocketAddr> {
        self.shared.http.address(interface)
    }

    /// Every interface over HTTP that is there, with its address.
    pub fn http_addresses(&self) -> BTreeMap<Interface, SocketAddr> {
        self.shared.http.addresses().clone()
    }

    /// The URL before the paths of an interface: scheme, address and base path, without a slash at the end. Paths follow as
    /// in `docs/simulator.md`, for instance `/carrier-billing/v0.5/payments`.
    pub fn http_url(&self, interface: Interface) -> Option<String> {
        let scheme = if self.shared.config.http.tls.is_some() { "https" } else { "http" };
        let base_path = self.shared.config.http.base_path(interface);
        self.http_address(interface).map(|address| format!("{scheme}://{address}{base_path}"))
    }

    /// Every payment that came over HTTP, the oldest first.
    pub fn payments(&self) -> Vec<PaymentReport> {
        self.shared.exchange().payments.reports()
    }

    /// Those under one reference of the client (`referenceCode`, `txn_id`), the oldest first.
    pub fn payments_for(&self, reference: &str) -> Vec<PaymentReport> {
        self.payments().into_iter().filter(|payment| payment.reference == reference).collect()
    }

    /// What is told of a number where the carrier is asked for facts. Errors: the table of subscribers is full.
    pub fn set_facts(&self, msisdn: Msisdn, facts: SubscriberFacts) -> Result<(), TooManySubscribers> {
        self.shared.exchange().subscribers.get_mut(msisdn)?.facts = facts;
        Ok(())
    }

    /// The code that this phone receives when a payment is reserved (CAMARA); with none, no code is asked for. Errors: the
    /// table of subscribers is full.
    pub fn set_otp(&self, msisdn: Msisdn, code: Option<&str>) -> Result<(), TooManySubscribers> {
        self.shared.exchange().subscribers.get_mut(msisdn)?.otp = code.map(str::to_owned);
        Ok(())
    }

    /// Every access token is refused from now on, as if it had expired.
    pub fn expire_tokens(&self) {
        self.shared.exchange().tokens.clear();
    }

    /// A connection to the SMSC without a socket, for simulations on tokio's paused clock.
    pub fn connect(&self) -> DuplexStream {
        smsc::connect(&self.shared)
    }

    /// A way to an interface over HTTP without a socket. It answers if the interface is configured.
    pub fn door(&self, interface: Interface) -> Door {
        Door::new(&self.shared, interface)
    }

    /// Sends a text from a phone to the short number `to`, and waits until the client has acknowledged it: repeated,
    /// with the same content, while there is no answer, a lost link or a temporary error, also while nobody is bound.
    ///
    /// Errors: a destination or a text that no phone could send, or too many messages waiting.
    pub async fn send_mo(&self, msisdn: Msisdn, to: &str, text: &str) -> Result<MoReport, MoError> {
        self.send_mo_as(msisdn, to, text, self.shared.config.mo_form).await
    }

    /// The same, with the form in which a long text travels.
    ///
    /// Errors: as [`Simulator::send_mo`].
    pub async fn send_mo_as(&self, msisdn: Msisdn, to: &str, text: &str, form: MoForm) -> Result<MoReport, MoError> {
        self.shared.send_mo(msisdn, to, text, form).await
    }

    /// What the carrier took, as of now.
    pub fn ledger(&self) -> Ledger {
        self.shared.exchange().ledger.clone()
    }

    /// The free messages that reached this phone, the oldest first; those in parts joined, once all parts are there.
    pub fn inbox(&self, msisdn: Msisdn) -> Vec<InboxMessage> {
        self.shared.exchange().phones.inbox(msisdn)
    }

    /// Puts a fault in force. Errors: a rule that cannot be.
    pub fn set_fault(&self, rule: FaultRule) -> Result<(), InvalidFault> {
        self.shared.set_fault(rule).map(|_| ())
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<FaultRule> {
        self.shared.exchange().faults.rules()
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.shared.exchange().faults.clear();
    }

    /// Replaces a subscriber. Errors: the table is full.
    pub fn set_subscriber(&self, msisdn: Msisdn, subscriber: Subscriber) -> Result<(), TooManySubscribers> {
        *self.shared.exchange().subscribers.get_mut(msisdn)? = subscriber;
        Ok(())
    }

    /// A subscriber as of now.
    pub fn subscriber(&self, msisdn: Msisdn) -> Subscriber {
        self.shared.exchange().subscribers.get(msisdn)
    }

    /// A subscriber's balance as of now.
    pub fn balance(&self, msisdn: Msisdn) -> Money {
        Money::kzt(self.subscriber(msisdn).balance_minor)
    }

    /// Empties, or fills, the client's own account with the carrier.
    pub fn set_own_account_empty(&self, empty: bool) {
        self.shared.exchange().own_account_empty = empty;
    }

    /// Resets every connection (RST on TCP). New ones are accepted at once.
    pub fn drop_links(&self) {
        self.shared.links.reset_all();
    }

    /// Resets one connection. False if there is none of that [`LinkReport::id`].
    pub fn drop_link(&self, id: u64) -> bool {
        self.shared.links.reset_one(id)
    }

    /// The open connections, the oldest first.
    pub fn links(&self) -> Vec<LinkReport> {
        self.shared.links.reports()
    }

    /// Plays chaos: a weather of faults that changes as its seed says, and ends in calm. `tell` hears of each change.
    /// Returns when it is over, or when the simulator is shut down, with what the ledger says then.
    ///
    /// Faults that are in force beside it stay. Errors: a configuration that cannot be, or chaos that is there already.
    pub async fn chaos(&self, config: ChaosConfig, tell: impl FnMut(&Spell)) -> Result<ChaosReport, ChaosError> {
        chaos::play(&self.shared, config, tell).await
    }

    /// Counters as of now.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Waits until `reached` holds, at most for `limit`. Returns whether it does.
    pub async fn wait_until(&self, limit: Duration, reached: impl Fn(&Simulator) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while !reached(self) {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Closes every connection and listener; returns when all is quiet. MOs that wait end as
    /// [`MoOutcome::ShutDown`]. The ledger, inboxes and counters stay readable.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    let failed = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
