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
    carrier::{
        Carrier, CarrierConfig, CarrierSecrets, LinkSecrets, RoutingSettings,
        web::{WebClient, WebClientConfig},
    },
    charge::{CarrierName, Channel, Charge, Reference, RefundState, State},
    clock::{Clock, Timestamp},
    eligibility::Rules,
    gateway::{
        Books, Gateway, GatewayConfig, MoWebhook, MoWebhookConfig, Parts, Purchase, PurchaseError, Purchased,
        Resolution, Secrets, TicketingConfig, Webhook, WebhookConfig,
    },
    ledger::{DatedFee, VatConfig},
    msisdn::Msisdn,
    passenger::Texts,
    simulator::{
        Charging, ChargingMoment, DelayRange, Fault, FaultRule, MoReport, Simulator, SimulatorConfig, Traffic,
    },
    store::{ChargeFilter, GroupCommit, GroupCommitConfig, KeyGuard, Memory, Store},
    subscriber::{FactsSettings, Keeper, LookUp, NumberLists, NumberListsSettings, Source, Subscribers},
    ticket::{Keyring, MsisdnTagKey, SigningKey, short_code::ShortCodeMaster},
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
        let mut world = World { simulator, other, outside, process: None, setting, memory, folder, relay, callbacks };
        world.start();
        world
    }

    pub(crate) fn start(&mut self) {
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
        self.until("the link is up", |world| {
            world.gateway().carriers().all(|carrier| carrier.standing().up).then_some(())
        });
    }

    async fn start_gateway(&self) -> Gateway {
        let store = if self.setting.sqlite {
            Store::open(&format!("sqlite://{}", self.database().display())).await.expect("a database")
        } else {
            Store::Memory(self.memory.clone())
        };
        let (carriers, events): (Vec<_>, Vec<_>) = self
            .carrier_configs()
            .map(|(name, over, config)| {
                let secrets = self.secrets(&name, over, &config);
                let (carrier, events) = Carrier::open(name.clone(), config, &secrets).expect("a profile");
                (carrier, (name, events))
            })
            .unzip();
        let clock = self.setting.clock.clone();
        let lists = NumberLists::load(&self.setting.lists, clock.now()).expect("lists");
        let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
        let facts = &self.setting.facts;
        let keeper = facts.keeper(&RoutingSettings::default());
        let keeper = Keeper::start(store.clone(), writer.clone(), clock.clone(), keeper);
        let asked = (self.setting.asked)(&self.simulator);
        let subscribers = Subscribers::open(lists, facts, asked, (store.clone(), keeper));
        let parts = Parts {
            config: self.setting.gateway.clone(),
            clock,
            writer,
            store,
            carriers,
            books: Books { catalogue: catalogue(), rules: self.setting.rules.clone(), texts: Texts::shipped() },
            subscribers,
            routing: RoutingSettings::default(),
            ticketing: TicketingConfig::default(),
            keyring: keyring_until(self.setting.keys_end),
            secrets: Secrets { msisdn_tag: MsisdnTagKey::new([1; 32]), short_code: ShortCodeMaster::new([2; 32]) },
            mo_webhook: self.webhook(),
            vat: self.setting.vat.clone(),
            webhooks: self.webhooks(WEBHOOK_KEYS),
        };
        Gateway::start(parts, events).await.expect("a gateway")
    }

    fn secrets(&self, name: &CarrierName, over: Over, config: &CarrierConfig) -> CarrierSecrets {
        let links = LinkSecrets::password(&self.setting.simulator.password);
        match over {
            Over::Smpp => CarrierSecrets { links, ..CarrierSecrets::default() },
            over => CarrierSecrets { links, ..over_http::secrets(over, name.as_str(), config) },
        }
    }

    fn carrier_configs(&self) -> impl Iterator<Item = (CarrierName, Over, CarrierConfig)> {
        let one = (CARRIER, self.setting.over, &self.simulator, "[705, 706, 771, 776, 777]");
        let other = self.setting.second.zip(self.other.as_ref());
        let other = other.map(|(over, simulator)| (OTHER_CARRIER, over, simulator, "[701, 702, 775, 778]"));
        [Some(one), other].into_iter().flatten().map(|(name, over, simulator, prefixes)| {
            (name.parse().expect("a name"), over, self.carrier_config(name, over, simulator, prefixes))
        })
    }

    fn webhook(&self) -> Option<MoWebhook> {
        let config = self.setting.mo_webhook.clone();
        let client = webhook_client(config.timeout_ms);
        MoWebhook::new(config, WEBHOOK_KEYS.map(|key| key.parse().expect("a key")).into(), client)
    }

    /// Those of the setting, with these keys.
    pub(crate) fn webhooks<const N: usize>(&self, keys: [&str; N]) -> Vec<Webhook> {
        let webhook = |(name, config): &(&str, WebhookConfig)| {
            let keys = keys.map(|key| key.parse().expect("a key"));
            Webhook::new(*name, config.clone(), keys.into(), webhook_client(config.timeout_ms)).expect("a sound URL")
        };
        self.setting.webhooks.iter().map(webhook).collect()
    }

    fn carrier_config(&self, name: &str, over: Over, carrier: &Simulator, prefixes: &str) -> CarrierConfig {
        let charged_at = match self.setting.charged_at {
            ChargingMoment::Submission => "submission",
            ChargingMoment::Delivery => "delivery",
        };
        let Setting { simulator, profile, .. } = &self.setting;
        let purchase = if self.setting.mo_webhook.url.is_some() { "webhook" } else { "direct" };
        let test_numbers = if name == CARRIER { r#"["+77059999999"]"# } else { "[]" };
        let text = format!(
            r#"
            short_number = "{SHORT_NUMBER}"
            prefixes = {prefixes}
            test_numbers = {test_numbers}
            purchase = "{purchase}"
            [smpp]
            address = "{}"
            system_id = "{}"
            password_file = "password"
            charged_at = "{charged_at}"
            tps = 100000
            window = 50
            reconnect_ms_max = 50
            response_timeout_ms = 400
            in_flight_delay_ms = 100
            tariffs = [{{ tlvs = [
                {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
                {{ tag = 0x1402, type = "reference" }},
            ] }}]
            {profile}
            [smpp.statuses]
            0x450 = {{ rejected = "insufficient_balance" }}
            0x451 = {{ rejected = "corporate_number" }}
            0x452 = {{ rejected = "credit_debt" }}
            0x453 = {{ rejected = "no_top_up_since_activation" }}
            0x454 = {{ rejected = "initial_balance_unused" }}
            0x455 = {{ rejected = "recent_sim_swap" }}
            0x456 = {{ rejected = "carrier_account" }}
            0x457 = {{ rejected = "not_our_subscriber" }}
            0x458 = {{ rejected = "barred" }}
            0x460 = {{ rejected = "carrier_refused" }}
            0x461 = {{ rejected = "carrier_refused" }}
            0x462 = {{ rejected = "carrier_refused" }}
            0x463 = {{ rejected = "carrier_refused" }}
            [smpp.errs]
            050 = "insufficient_balance"
            051 = "corporate_number"
            052 = "credit_debt"
            "#,
            self.relay.as_ref().filter(|_| name == CARRIER).map_or(carrier.smpp_address(), Relay::address),
            simulator.system_id,
        );
        let mut config: CarrierConfig = toml::from_str(&text).expect("a carrier");
        config.fees = self.setting.fees.clone();
        match over {
            Over::Smpp => config,
            over => {
                let callbacks = self.callbacks.local_addr().expect("an address");
                over_http::configured(over, name, config, carrier, callbacks, self.folder.path())
            }
        }
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
        self.run(self.gateway().wait(reference, PATIENCE)).expect("the store").expect("the charge")
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
            assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
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

    /// A person looks into the carrier's books for every charge that is in doubt past its deadline.
    pub(crate) fn settle_by_the_carriers_books(&self) {
        self.until("everything is decided", |world| {
            let open = world.run(world.gateway().store().open_charges(None, 1_000)).expect("the store");
            for charge in &open {
                let overdue = charge.terms.ticket_deadline < world.gateway().now();
                if overdue && charge.state == State::InDoubt {
                    let charged = world.simulator.ledger().entries_for(charge.reference.uuid()).count() > 0;
                    let resolution = Resolution { charged, by: "audit".into(), because: "the carrier's books".into() };
                    let _settled_by_then = world.run(world.gateway().resolve(charge.reference, resolution));
                }
            }
            open.is_empty().then_some(())
        });
    }

    /// What this carrier's own books say it took from the number, in tiyn.
    pub(crate) fn taken(&self, number: &str) -> i64 {
        self.simulator.ledger().total_of(msisdn(number)).minor
    }

    /// The audit: no reference charged twice; the carrier's ledger is ours; every charge has a ticket or owes a refund;
    /// our books add up to zero and say what the charges say; nothing that we sent was malformed.
    pub(crate) fn audit(&self) {
        let ledger = self.simulator.ledger();
        assert_eq!(ledger.charged_twice(), Default::default());
        let (stats, store) = (self.simulator.stats(), self.gateway().store());
        assert_eq!(stats.malformed, 0, "{:?}", stats.malformed_last);
        let charges = self.run(store.charges(&ChargeFilter::default(), 10_000)).expect("the store");
        let (mut ours, mut refunded) = (0, 0);
        for charge in &charges {
            refunded += self.audit_refunds(charge);
            let taken: i64 = ledger.entries_for(charge.reference.uuid()).map(|entry| entry.amount.minor).sum();
            let ticket = self.run(store.ticket(charge.reference)).expect("the store");
            match charge.state {
                State::Charged => assert!(ticket.is_some(), "charged without a ticket: {charge:?}"),
                State::RefundOwed | State::Refunding | State::Refunded => {}
                State::Processing | State::AwaitingOtp | State::InDoubt => panic!("still undecided: {charge:?}"),
                State::Declined(_) | State::Rejected(_) => {
                    assert!(ticket.is_none(), "a ticket for nothing: {charge:?}")
                }
            }
            let expected = if charge.charged_at.is_some() { charge.order.amount.minor } else { 0 };
            let owed: i64 = charge.refunds.iter().filter(|r| r.attempt.is_some()).map(|r| r.amount.minor).sum();
            assert_eq!(taken, expected + owed, "the carrier's books differ from ours: {charge:?}");
            ours += taken;
        }
        assert_eq!(ledger.total().minor, ours, "the carrier charged something that we know nothing of");
        self.audit_books();
        let balances = self.run(store.balances()).expect("the store");
        assert_eq!(balances.iter().map(|balance| balance.minor).sum::<i64>(), 0);
        let receivable = balances.iter().filter(|balance| balance.account.carrier().is_some());
        assert_eq!(receivable.map(|balance| balance.minor).sum::<i64>(), ours - refunded);
    }

    /// What `ledger check` says of a store that has a file.
    fn audit_books(&self) {
        if self.setting.sqlite {
            let audited =
                self.run(Store::audit(&format!("sqlite://{}", self.database().display()), &[])).expect("the store");
            assert_eq!(audited.flaws, []);
        }
    }

    /// Each refund went back at most once, and is done by our books if it is by the carrier's. Returns what went back, in tiyn.
    fn audit_refunds(&self, charge: &Charge) -> i64 {
        let ledger = self.simulator.ledger();
        let mut refunded = 0;
        for refund in &charge.refunds {
            let names = [refund.reference.to_string(), refund.reference.uuid().simple().to_string()];
            let is_ours = |reference: &str| names.iter().any(|name| reference.starts_with(name));
            let back: Vec<i64> = ledger
                .refunds()
                .iter()
                .filter(|entry| is_ours(&entry.request_reference))
                .map(|entry| entry.amount.minor)
                .collect();
            match refund.state {
                RefundState::Done => assert_eq!(back, [refund.amount.minor], "{charge:?}"),
                RefundState::InDoubt => assert!(back.is_empty() || back == [refund.amount.minor], "{charge:?}"),
                _ => assert_eq!(back, [0; 0], "the carrier gave back what we know nothing of: {charge:?}"),
            }
            refunded += if refund.state == RefundState::Done { refund.amount.minor } else { 0 };
        }
        assert!(charge.refunded_amount().minor <= charge.order.amount.minor, "M14: {charge:?}");
        refunded
    }
}

mod callbacks;
mod over_http;

pub(crate) use callbacks::{CallbackSent, Credential, Outcome, Told, exchange, raw};

impl Drop for World {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.runtime.shutdown_background();
        }
    }
}

fn webhook_client(timeout_ms: u64) -> WebClient {
    let (name, timeout) = ("ticket-service".parse().expect("a name"), Duration::from_millis(timeout_ms));
    let client = WebClientConfig { timeout, body_bytes_max: 1_024, ..WebClientConfig::new(name) };
    WebClient::new(client, None).expect("a client")
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
