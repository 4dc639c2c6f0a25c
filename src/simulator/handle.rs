//! The handle on a running simulator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::{io::DuplexStream, net::TcpListener};
use tokio_util::sync::DropGuard;

use super::{
    config::{ConfigError, SimulatorConfig},
    control,
    exchange::InboxMessage,
    faults::{FaultRule, InvalidFault},
    ledger::Ledger,
    shared::Shared,
    smsc,
    stats::Stats,
    subscribers::{Subscriber, TooManySubscribers},
};
use crate::{clock::Clock, money::Money, msisdn::Msisdn};

/// A running carrier. Clones are handles on the same one; it stops with [`Simulator::shutdown`] or with the last handle.
#[derive(Clone, Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    smpp_address: SocketAddr,
    control_address: Option<SocketAddr>,
    _stop_with_last_handle: Arc<DropGuard>,
}

/// Why a simulator does not start.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// How often it was sent, a repetition by [`super::Fault::RedeliverMo`] included.
    pub tries: u32,
}

/// How an MO ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoOutcome {
    /// The client answered `ESME_ROK`: the MO is its own now.
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
        let (smpp_listen, control_listen) = (config.smpp_listen, config.control_listen);
        let shared = Arc::new(Shared::new(config, clock)?);
        let (listener, smpp_address) = listen(smpp_listen).await?;
        let control = match control_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let control_address = control.as_ref().map(|(_, address)| *address);
        shared.spawn(smsc::listen(Arc::clone(&shared), listener));
        if let Some((listener, _)) = control {
            shared.spawn(control::serve(Arc::clone(&shared), listener));
        }
        let guard = Arc::new(shared.stop.clone().drop_guard());
        Ok(Simulator { shared, smpp_address, control_address, _stop_with_last_handle: guard })
    }

    /// Where the SMSC listens.
    pub fn smpp_address(&self) -> SocketAddr {
        self.smpp_address
    }

    /// Where the HTTP control listens, if it does.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// A connection to the SMSC without a socket, for simulations on tokio's paused clock.
    pub fn connect(&self) -> DuplexStream {
        smsc::connect(&self.shared)
    }

    /// Sends a text from a phone to the short number `to`, and waits until the client has acknowledged it: repeated,
    /// with the same content, while there is no answer, a lost link or a temporary error, also while nobody is bound.
    ///
    /// Errors: a destination or a text that no phone could send, or too many messages waiting.
    pub async fn send_mo(&self, msisdn: Msisdn, to: &str, text: &str) -> Result<MoReport, MoError> {
        self.shared.send_mo(msisdn, to, text).await
    }

    /// What the carrier took, as of now.
    pub fn ledger(&self) -> Ledger {
        self.shared.exchange().ledger.clone()
    }

    /// The free messages that reached this phone, the oldest first.
    pub fn inbox(&self, msisdn: Msisdn) -> Vec<InboxMessage> {
        self.shared.exchange().inbox(msisdn)
    }

    /// Puts a fault in force. Errors: a rule that cannot be.
    pub fn set_fault(&self, rule: FaultRule) -> Result<(), InvalidFault> {
        self.shared.exchange().faults.add(rule)
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
