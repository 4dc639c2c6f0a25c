//! A world: one seed, one thread, one virtual time.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::RngExt;
use tokio::{sync::mpsc, time::sleep};

use super::{
    carriers::{self, SimulatedCarrier},
    follower::Follower,
    network::Wires,
    office::Office,
    plan::{Plan, Role, dice, sub_seed},
};
use crate::{
    carrier::{CallbackRequest, Carrier, RoutingSettings},
    clock::{Clock, SimulatedClock, Timestamp},
    eligibility::Rules,
    gateway::{
        Books, Gateway, Parts, Secrets, TicketingConfig,
        tests::world::{catalogue, keyring},
    },
    ledger::{DatedVat, VatConfig},
    msisdn::Msisdn,
    passenger::Texts,
    process::machine::{Machine, Network},
    simulator::{CallbackTry, Door},
    store::{GroupCommit, GroupCommitConfig, Memory, Store},
    subscriber::{FactsSettings, Keeper, NumberLists, NumberListsSettings, Subscribers},
    ticket::{MsisdnTagKey, short_code::ShortCodeMaster},
};

/// 2026-03-02, a Monday morning in Almaty.
const START: Timestamp = Timestamp::from_unix_seconds(1_772_418_600);
/// A carrier delivers no message again after so long.
const DELIVERED_WITHIN: Duration = Duration::from_secs(240);
/// How long a process that is asked to end may take.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Everything that there is.
pub(super) struct World {
    pub(super) plan: Plan,
    /// The gateway's wall clock. Its monotonic part is everybody's.
    pub(super) clock: SimulatedClock,
    pub(super) store: Store,
    pub(super) carriers: Vec<SimulatedCarrier>,
    /// Who is told of events.
    pub(super) follower: Follower,
    memory: Memory,
    network: Arc<dyn Network>,
    spoilt: AtomicBool,
    running: Mutex<Option<Running>>,
    journal: Mutex<Vec<String>>,
    /// Every message of a passenger that was ever made durable, number and text, with when it last was, by the clock that does not jump.
    kept: Mutex<BTreeMap<(Msisdn, String), Duration>>,
    violations: Mutex<Vec<String>>,
}

/// The process that runs now.
#[derive(Clone)]
struct Running {
    machine: Machine,
    /// Once it has started.
    gateway: Option<Gateway>,
}

impl World {
    /// With its carriers; no gateway runs yet.
    pub(super) fn new(seed: u64) -> Arc<World> {
        let plan = Plan::new(seed);
        let (callbacks, called) = mpsc::unbounded_channel();
        let world = Arc::new_cyclic(|world: &Weak<World>| {
            let steady = Clock::Simulated(SimulatedClock::new(START, crate::process::now));
            let memory = Memory::default();
            World {
                clock: SimulatedClock::new(START, crate::process::now),
                store: Store::Memory(memory.clone()),
                carriers: carriers::open(&plan, &steady, &callbacks),
                follower: Follower::new(plan.seed),
                network: Wires::new(world, plan.seed, plan.network),
                memory,
                spoilt: AtomicBool::new(true),
                running: Mutex::default(),
                journal: Mutex::default(),
                kept: Mutex::default(),
                violations: Mutex::default(),
                plan,
            }
        });
        world.memory.attend(Office::new(&world));
        tokio::spawn(carry_callbacks(Arc::downgrade(&world), called));
        world
    }

    /// Starts the gateway, and again whenever it has ended.
    pub(super) async fn supervise(self: Arc<World>) {
        let mut dice = dice(self.plan.seed, Role::Supervisor);
        for life in 0.. {
            let machine = Machine::new(sub_seed(self.plan.seed, Role::Process(life)), self.network.clone());
            *self.running() = Some(Running { machine: machine.clone(), gateway: None });
            match machine.run(Box::pin(self.start())).await {
                Some(Ok(gateway)) => {
                    self.note(format_args!("gateway: started, life {life}"));
                    *self.running() = Some(Running { machine: machine.clone(), gateway: Some(gateway) });
                    machine.killed().await;
                    self.note(format_args!("gateway: ended"));
                }
                Some(Err(error)) => {
                    self.note(format_args!("gateway: cannot start: {error}"));
                    machine.kill();
                }
                None => self.note(format_args!("gateway: ended while it started")),
            }
            *self.running() = None;
            let longest = if dice.random_bool(0.1) { 200_000 } else { 4_000 };
            let pause = Duration::from_millis(dice.random_range(50..=longest));
            // Once all is well nobody waits for long.
            sleep(if self.is_spoilt() { pause } else { pause.min(Duration::from_secs(1)) }).await;
        }
    }

    async fn start(&self) -> Result<Gateway, String> {
        let store = self.store.clone();
        let clock = Clock::Simulated(self.clock.clone());
        let mut carriers = Vec::new();
        let mut events = Vec::new();
        for carrier in &self.carriers {
            let name = carrier.plan.name.parse().expect("a name");
            let opened = Carrier::open(name, carrier.config.clone(), &carrier.secrets);
            let (opened, heard) = opened.map_err(|error| error.to_string())?;
            events.push((opened.name().clone(), heard));
            carriers.push(opened);
        }
        let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
        let (facts, routing) = (FactsSettings::default(), RoutingSettings::default());
        let keeper = Keeper::start(store.clone(), writer.clone(), clock.clone(), facts.keeper(&routing));
        let lists = NumberLists::load(&NumberListsSettings::default(), clock.now()).map_err(|e| format!("{e:?}"))?;
        let subscribers = Subscribers::open(lists, &facts, (Vec::new(), None), (store.clone(), keeper));
        let parts = Parts {
            config: self.plan.gateway.clone(),
            clock,
            store,
            writer,
            carriers,
            books: Books { catalogue: catalogue(), rules: Rules::default(), texts: texts() },
            subscribers,
            routing,
            ticketing: TicketingConfig::default(),
            keyring: keyring(),
            secrets: Secrets { msisdn_tag: MsisdnTagKey::new([1; 32]), short_code: ShortCodeMaster::new([2; 32]) },
            mo_webhook: None,
            vat: vat(),
            webhooks: vec![Follower::webhook()],
            exchange: None,
        };
        Gateway::start(parts, events).await.map_err(|error| error.to_string())
    }

    /// Asks the gateway. `None` if none runs, or it ends before it answers.
    pub(super) async fn ask<T>(&self, question: impl AsyncFnOnce(Gateway) -> T) -> Option<T> {
        let Running { machine, gateway } = self.running().clone()?;
        machine.run(question(gateway?)).await
    }

    /// Whether a gateway runs.
    pub(super) fn is_up(&self) -> bool {
        self.running().as_ref().is_some_and(|running| running.gateway.is_some())
    }

    /// Ends the gateway as `kill -9` would, also while it starts.
    pub(super) fn kill(&self) {
        if let Some(running) = &*self.running() {
            running.machine.kill();
        }
    }

    /// Ends the gateway in order.
    pub(super) async fn stop(&self) {
        self.ask(async |gateway: Gateway| gateway.stop(STOP_PATIENCE).await).await;
        self.kill();
    }

    /// Whether things go wrong now.
    pub(super) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn mend(&self) {
        self.spoilt.store(false, Ordering::Relaxed);
        self.clock.set_right();
        for carrier in &self.carriers {
            carrier.simulator.clear_faults();
            carrier.simulator.set_own_account_empty(false);
        }
        self.note(format_args!("world: all is well from now on"));
    }

    /// The carrier of this name.
    pub(super) fn carrier(&self, name: &str) -> Option<&SimulatedCarrier> {
        self.carriers.iter().find(|carrier| carrier.plan.name == name)
    }

    /// The HTTP interface behind this port.
    pub(super) fn door(&self, port: u16) -> Option<Door> {
        let doors = self.carriers.iter().filter_map(|carrier| carrier.door.as_ref());
        doors.into_iter().find(|(known, _)| *known == port).map(|(_, door)| door.clone())
    }

    /// Writes a line into the journal.
    pub(super) fn note(&self, line: fmt::Arguments<'_>) {
        let at = self.clock.ran();
        let line = format!("{:>9.3}s {line}", at.as_secs_f64());
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Something is as it must never be.
    pub(super) fn violated(&self, what: String) {
        self.note(format_args!("VIOLATED: {what}"));
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// A message of a passenger is durable.
    pub(super) fn keep_message(&self, msisdn: Msisdn, text: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((msisdn, text.to_owned()), self.clock.ran());
    }

    /// A message of a passenger is taken for one that came before: a delivery again, and not a wish again.
    pub(super) fn know_message(&self, msisdn: Msisdn, text: &str) {
        let kept = self.kept_messages();
        let before = kept.get(&(msisdn, text.to_owned()));
        if before.is_some_and(|at| self.clock.ran().saturating_sub(*at) > DELIVERED_WITHIN) {
            self.violated(format!("{msisdn} wrote {text:?} again, and it was taken for what was written long before"));
        }
    }

    /// Every message of a passenger that was ever made durable.
    pub(super) fn kept_messages(&self) -> BTreeMap<(Msisdn, String), Duration> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was noted, and what was violated.
    pub(super) fn close(&self) -> (Vec<String>, Vec<String>) {
        let take =
            |lines: &Mutex<Vec<String>>| std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
        (take(&self.journal), take(&self.violations))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `audit::ledger` counts with it too.
fn vat() -> VatConfig {
    let rate = |year, percent: &str| DatedVat {
        from: jiff::civil::date(year, 1, 1),
        percent: percent.parse().expect("a rate"),
    };
    // Of which one is in force.
    let rates = vec![rate(2000, "20"), rate(2009, "12"), rate(2099, "50")];
    VatConfig { rates, agencies: ["green".into()].into() }
}

/// The shipped texts. To compile them takes as long as a minute of a world, so it is done once.
fn texts() -> Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    TEXTS.get_or_init(Texts::shipped).clone()
}

/// Brings carriers' callbacks to whichever gateway runs.
async fn carry_callbacks(world: Weak<World>, mut called: mpsc::UnboundedReceiver<CallbackTry>) {
    while let Some(callback) = called.recv().await {
        let Some(world) = world.upgrade() else { return };
        tokio::spawn(async move {
            let CallbackTry { url, headers, body, answer } = callback;
            let Some((name, path)) =
                url.path().strip_prefix("/carriers/").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            else {
                return;
            };
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
            let answered = world.ask(async |gateway: Gateway| {
                let request = CallbackRequest {
                    method: "POST",
                    path,
                    query: url.query().unwrap_or_default(),
                    headers: &headers,
                    body: body.as_bytes(),
                    peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    received_at: gateway.now(),
                };
                gateway.callback(name, &request).await
            });
            if let Some(told) = answered.await {
                world.note(format_args!("callback to {name}: {}", told.status));
                // The carrier may have given up by now.
                let _gone = answer.send(told.status);
            }
        });
    }
}
