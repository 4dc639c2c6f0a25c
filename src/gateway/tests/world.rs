//! A whole world for one test: a simulated carrier, a store that outlives the gateway, and a gateway in a runtime of its own
//! that can be killed between any two of its steps.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use sqlx::{
    Connection,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::relay::{Delivery, Relay};
use crate::{
    charge::{Channel, Charge, Reference},
    clock::{Clock, Timestamp},
    eligibility::Rules,
    gateway::{Gateway, GatewayConfig, MoWebhookConfig, Purchase, PurchaseError, Purchased, WebhookConfig},
    ledger::{DatedFee, VatConfig},
    msisdn::Msisdn,
    simulator::{
        Charging, ChargingMoment, DelayRange, Fault, FaultRule, MoReport, Simulator, SimulatorConfig, Traffic,
    },
    store::{ChargeFilter, KeyGuard, Memory, contract::new_schema},
    subscriber::{FactsSettings, LookUp, NumberListsSettings, Source},
    ticket::{Keyring, SigningKey},
    transit::{Catalogue, CatalogueText},
};

pub(crate) const CARRIER: &str = "beeline";
/// The other carrier, where a test wants two.
pub(crate) const OTHER_CARRIER: &str = "kcell";
pub(crate) const SHORT_NUMBER: &str = "2505";
const KEYS_END: Timestamp = Timestamp::from_unix_seconds(4_000_000_000);
/// Nothing takes as long, on a busy machine either, or something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a test wants to be different from the ordinary.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) gateway: GatewayConfig,
    pub(crate) charged_at: ChargingMoment,
    pub(crate) simulator: SimulatorConfig,
    pub(crate) rules: Rules,
    pub(crate) lists: NumberListsSettings,
    pub(crate) facts: FactsSettings,
    /// Who can be asked about subscribers.
    pub(crate) asked: fn(&Simulator) -> (Vec<Source>, Option<LookUp>),
    /// How the carrier's subscribers are charged.
    pub(crate) over: Over,
    /// A second carrier, with prefixes, subscribers and books of its own, and how it charges.
    pub(crate) second: Option<Over>,
    /// Lines added to the carrier's profile.
    pub(crate) profile: String,
    /// SQLite in a temporary folder instead of the model in memory.
    pub(crate) sqlite: bool,
    /// What time the gateway believes it is.
    pub(crate) clock: Clock,
    /// When the last key that signs tickets ends.
    pub(crate) keys_end: Timestamp,
    /// A wire that can be cut, and on which a test can put messages of its own.
    pub(crate) relayed: bool,
    /// Where the ticket service listens; the carrier hands its messages over then.
    pub(crate) mo_webhook: MoWebhookConfig,
    pub(crate) vat: VatConfig,
    /// What each carrier keeps.
    pub(crate) fees: Vec<DatedFee>,
    /// Those who are told of events.
    pub(crate) webhooks: Vec<(&'static str, WebhookConfig)>,
}

/// How subscribers are charged. Over HTTP, texts go over SMPP all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Smpp,
    Camara { two_step: bool },
    OneApi { two_step: bool },
    Cis { two_step: bool },
}

/// What requests to the ticket service are signed with.
pub(crate) const WEBHOOK_KEYS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

impl Default for Setting {
    fn default() -> Setting {
        let tariffs = (1..=9).map(|n| (format!("BUS{}", 80 * n), 8_000 * n));
        Setting {
            gateway: GatewayConfig {
                sweep_interval_ms: 20,
                mo_repeat_seconds: 0,
                retry_pause_ms: 10,
                ..GatewayConfig::default()
            },
            charged_at: ChargingMoment::Submission,
            simulator: SimulatorConfig {
                tariffs: tariffs.collect(),
                delivery_delay_ms: DelayRange { min: 0, max: 0 },
                response_delay_ms: DelayRange { min: 0, max: 0 },
                ..SimulatorConfig::default()
            },
            rules: Rules::default(),
            lists: NumberListsSettings::default(),
            facts: FactsSettings::default(),
            asked: |_| (Vec::new(), None),
            over: Over::Smpp,
            second: None,
            profile: String::new(),
            sqlite: false,
            clock: Clock::System,
            keys_end: KEYS_END,
            relayed: false,
            mo_webhook: MoWebhookConfig::default(),
            vat: VatConfig::default(),
            fees: Vec::new(),
            webhooks: Vec::new(),
        }
    }
}

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    /// The other carrier, where the setting wants one.
    pub(crate) other: Option<Simulator>,
    outside: Runtime,
    process: Option<Process>,
    setting: Setting,
    memory: Memory,
    folder: tempfile::TempDir,
    schema: Option<String>,
    relay: Option<Relay>,
    /// Where the carrier calls back. It stays open while no gateway runs, as behind a proxy.
    callbacks: TcpListener,
}

/// Messages on their way from phones.
pub(crate) type Sending = Vec<JoinHandle<MoReport>>;

struct Process {
    runtime: Runtime,
    gateway: Gateway,
}

impl World {
    pub(crate) fn new(setting: Setting) -> World {
        let mut world = World::unstarted(setting);
        world.start();
        world
    }

    /// All but the gateway.
    pub(crate) fn unstarted(setting: Setting) -> World {
        let outside = runtime();
        let callbacks = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let simulated = |name, over| {
            let mut simulated = setting.simulator.clone();
            simulated.charging = Charging { at: setting.charged_at };
            if over != Over::Smpp {
                let callbacks = callbacks.local_addr().expect("an address");
                simulated.http = over_http::interfaces(over, name, callbacks, simulated.http);
            }
            outside.block_on(Simulator::start(simulated)).expect("a free port")
        };
        let simulator = simulated(CARRIER, setting.over);
        let other = setting.second.map(|over| simulated(OTHER_CARRIER, over));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let relay = setting.relayed.then(|| outside.block_on(Relay::start(simulator.smpp_address())));
        let memory = Memory::default();
        let on_server = std::env::var("SMSBUSD_TEST_STORE").is_ok_and(|store| store == "postgres");
        let schema = on_server.then(|| outside.block_on(new_schema("world")));
        World { simulator, other, outside, process: None, setting, memory, folder, schema, relay, callbacks }
    }

    pub(crate) fn start(&mut self) {
        self.begin();
        self.until("the link is up", |world| {
            world.gateway().carriers().all(|carrier| carrier.standing().up).then_some(())
        });
    }

    /// Starts the gateway, whatever becomes of its links.
    pub(crate) fn begin(&mut self) {
        assert!(self.process.is_none(), "the gateway runs already");
        let runtime = runtime();
        let gateway = runtime.block_on(self.start_gateway());
        let listener = self.callbacks.try_clone().expect("a socket");
        let (serving, stop) = (gateway.clone(), CancellationToken::new());
        runtime.spawn(async move {
            listener.set_nonblocking(true).expect("a socket");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            crate::api::serve_callbacks(listener, serving, stop).await.expect("it serves");
        });
        self.process = Some(Process { runtime, gateway });
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.process.as_ref().expect("the gateway runs").gateway
    }

    /// Ends the gateway as `kill -9` would: between two of its steps, with nothing said to anybody.
    pub(crate) fn kill(&mut self) {
        let process = self.process.take().expect("the gateway runs");
        drop(process.gateway);
        process.runtime.shutdown_timeout(Duration::from_secs(5));
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.process.as_ref().expect("the gateway runs").runtime.block_on(work)
    }

    /// Work of the gateway's own process.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.process.as_ref().expect("the gateway runs").runtime.spawn(work)
    }

    pub(crate) fn sms(&self, number: &str, text: &str) {
        let report =
            self.outside.block_on(self.simulator.send_mo(msisdn(number), SHORT_NUMBER, text)).expect("a message");
        assert!(matches!(report.outcome, crate::simulator::MoOutcome::Acknowledged), "{report:?}");
    }

    /// Messages from phones, all at once. They wait until somebody takes them.
    pub(crate) fn send_later<'a>(&self, messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Sending {
        let send = |(number, text): (&str, &str)| {
            let (simulator, number, text) = (self.simulator.clone(), msisdn(number), text.to_owned());
            let sending = async move { simulator.send_mo(number, SHORT_NUMBER, &text).await.expect("a message") };
            self.outside.spawn(sending)
        };
        messages.into_iter().map(send).collect()
    }

    /// What became of them, once all have come to an end.
    pub(crate) fn reports(&self, sending: Sending) -> Vec<MoReport> {
        let ended = async {
            let mut reports = Vec::new();
            for one in sending {
                reports.push(one.await.expect("no panic"));
            }
            reports
        };
        self.outside.block_on(async { tokio::time::timeout(3 * PATIENCE, ended).await }).expect("an end in time")
    }

    /// Lets every commit of the store in memory fail from now on, or no more.
    pub(crate) fn break_store(&self, broken: bool) {
        self.memory.fail_next_commits(if broken { u32::MAX } else { 0 });
    }

    /// Holds the write lock of the database file, as another process might.
    pub(crate) fn lock_database(&self) -> SqliteConnection {
        self.outside.block_on(async {
            let options = SqliteConnectOptions::new().filename(self.database());
            let mut lock = SqliteConnection::connect_with(&options).await.expect("the database");
            sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.expect("the lock");
            lock
        })
    }

    pub(crate) fn unlock_database(&self, mut lock: SqliteConnection) {
        self.outside.block_on(sqlx::query("ROLLBACK").execute(&mut lock)).expect("the lock was ours");
    }

    /// The store that outlives the process: a file, or a database of the server where SMSBUSD_TEST_STORE says so.
    fn store_url(&self) -> String {
        match &self.schema {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.database().display()),
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("gateway.db")
    }

    fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("the setting wants a wire of its own")
    }

    /// Cuts the wire to the carrier, or mends it.
    pub(crate) fn cut_wire(&self, cut: bool) {
        self.relay().set_cut(cut);
    }

    /// See [`Relay::answer_next_submission_by_unbind`].
    pub(crate) fn answer_next_submission_by_unbind(&self) {
        self.relay().answer_next_submission_by_unbind();
    }

    /// Puts a message onto the wire and says with which status it was answered.
    pub(crate) fn deliver(&self, number: &str, delivery: &Delivery) -> u32 {
        self.outside.block_on(self.relay().deliver(number, delivery)).expect("an answer in time")
    }

    /// For tests that end the process before it answers.
    #[cfg(feature = "failpoints")]
    pub(crate) fn deliver_later(&self, number: &'static str, delivery: Delivery) {
        let relay = self.relay().clone();
        self.outside.spawn(async move { relay.deliver(number, &delivery).await });
    }

    pub(crate) fn request(&self, number: &str, vehicle: &str, passengers: u8, key: &str) -> Purchase {
        Purchase {
            msisdn: msisdn(number),
            vehicle: vehicle.parse().expect("a code"),
            passengers,
            zone: None,
            fare_class: None,
            trip: None,
            channel: Channel::Api { caller: "ticket-service".into() },
            language: None,
            guard: KeyGuard { caller: "ticket-service".into(), key: key.into(), body_sha256: [passengers; 32] },
            mo: None,
            received_at: self.gateway().now(),
        }
    }

    pub(crate) fn purchase(
        &self,
        number: &str,
        vehicle: &str,
        passengers: u8,
        key: &str,
    ) -> Result<Purchased, PurchaseError> {
        self.run(self.gateway().purchase(self.request(number, vehicle, passengers, key)))
    }

    /// Buys, and waits for what comes of it.
    pub(crate) fn bought(&self, number: &str, vehicle: &str, key: &str) -> Charge {
        let reference = self.purchase(number, vehicle, 1, key).expect("a charge").charge().reference;
        self.run(self.gateway().wait(reference, PATIENCE)).expect("the store").expect("the charge").charge
    }

    pub(crate) fn charge(&self, reference: Reference) -> Charge {
        self.run(self.gateway().store().charge(reference)).expect("the store").expect("the charge")
    }

    /// All charges of a number, the oldest first.
    pub(crate) fn charges(&self, number: &str) -> Vec<Charge> {
        let filter = ChargeFilter { msisdn: Some(msisdn(number)), ..ChargeFilter::default() };
        let mut charges = self.run(self.gateway().store().charges(&filter, 100)).expect("the store");
        charges.reverse();
        charges
    }

    /// The only charge of a number, once it stands there.
    pub(crate) fn until_state(&self, number: &str, state: &str) -> Charge {
        let started = Instant::now();
        loop {
            let charges = self.charges(number);
            assert!(charges.len() <= 1, "{charges:?}");
            if let Some(charge) = charges.iter().find(|charge| charge.state.code() == state) {
                return charge.clone();
            }
            let texts = || self.texts(number);
            assert!(started.elapsed() < PATIENCE, "{number} waits in vain for {state}: {charges:?}, {:?}", texts());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the passenger's phone shows, without the charged messages: parts as one text, once they are all there.
    pub(crate) fn texts(&self, number: &str) -> Vec<String> {
        let (mut texts, mut parts) = (Vec::new(), BTreeMap::<_, BTreeMap<u8, String>>::new());
        for message in self.simulator.inbox(msisdn(number)) {
            let Some(part) = message.part else {
                texts.push(message.text);
                continue;
            };
            let there = parts.entry((part.reference, part.total)).or_default();
            there.insert(part.number, message.text);
            if there.len() == usize::from(part.total) {
                texts.push(std::mem::take(there).into_values().collect());
            }
        }
        texts
    }

    pub(crate) fn until_texts(&self, number: &str, count: usize) -> Vec<String> {
        self.until(&format!("{count} texts for {number}"), |world| {
            let texts = world.texts(number);
            (texts.len() >= count).then_some(texts)
        })
    }

    pub(crate) fn until<T>(&self, what: &str, mut reached: impl FnMut(&World) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = reached(self) {
                return found;
            }
            // A busy machine makes a request late, and what was not sent is sent again after half a minute.
            assert!(started.elapsed() < 3 * PATIENCE, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn fault(&self, number: &str, fault: Fault) {
        self.set_fault(FaultRule::for_number(msisdn(number), 1, fault).only(Traffic::Charged));
    }

    pub(crate) fn set_fault(&self, rule: FaultRule) {
        // Rules that last for a while are timed by tasks.
        let _outside = self.outside.enter();
        self.simulator.set_fault(rule).expect("a rule");
    }
}

mod audit;
mod callbacks;
mod company;
mod over_http;
mod restored;
mod started;

pub(crate) use callbacks::{CallbackSent, Credential, Outcome, Told, exchange, raw};

impl Drop for World {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.runtime.shutdown_background();
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

pub(crate) fn msisdn(number: &str) -> Msisdn {
    number.parse().expect("a number")
}

pub(crate) fn keyring() -> Keyring {
    keyring_until(KEYS_END)
}

fn keyring_until(until: Timestamp) -> Keyring {
    let from = Timestamp::from_unix_seconds(1_700_000_000);
    Keyring::new(vec![SigningKey::new(&[7; 32], from, until).expect("a window")]).expect("a keyring")
}

pub(crate) fn catalogue() -> Catalogue {
    Catalogue::read(&CatalogueText {
        cities: "city,name_kk,name_ru,name_en,time_zone\nalmaty,Алматы,Алматы,Almaty,Asia/Almaty\n",
        agencies: "agency,name\ngreen,Green Bus\n",
        routes: "city,route,agency,name,fare_class,cap_minutes,ring,zones\nalmaty,92,green,A - B,regular,90,no,no\n\
                 almaty,300,green,A - C,suburb,90,no,yes\n",
        vehicles: "city,vehicle_code,state_plate,route\nalmaty,1234,123 ABC 02,92\nalmaty,1235,,92\n\
                   almaty,3000,300 AB 02,300\n",
        fares: "city,fare_class,zone,amount,currency,from\nalmaty,regular,,80,KZT,2020-01-01\n\
                almaty,suburb,1,80,KZT,2020-01-01\nalmaty,suburb,2,160,KZT,2020-01-01\n\
                almaty,suburb,3,240,KZT,2020-01-01\n",
    })
    .expect("a catalogue")
}
