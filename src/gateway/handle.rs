//! What a gateway is made of, and how it starts and stops.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ApplyError, GatewayConfig, MoWebhook, Secrets, TicketingConfig,
    asking::Asking,
    backlog::Backlog,
    instances::{self, Attendance, Exchange},
    intake::Intake,
    measure::Counted,
    outbox::Outbox,
    sales::SalesBook,
    striped::Striped,
    ticketing::Ticketing,
    unowned::Walk,
    watch::{Awaited, Watcher, Watchers},
    watched_clock::WatchedClock,
    webhook::{Following, Followings, HandOvers, Webhook},
};
use crate::{
    carrier::{Carrier, CarrierConfig, CarrierEvent, Divisible, PrefixTable, PurchaseMode, Routing, RoutingSettings},
    charge::{CarrierName, Reference, State},
    clock::{Clock, Timestamp},
    eligibility::Rules,
    ledger::VatConfig,
    passenger::Texts,
    process,
    store::{Generation, GroupCommit, GroupRead, Store, StoreError},
    subscriber::Subscribers,
    ticket::Keyring,
    transit::Catalogue,
};

/// Between two looks for an outcome that another daemon may have brought about.
const LOOK_FOR_OUTCOME: Duration = Duration::from_millis(500);

/// What the operator keeps in files: read at start, and again on reload.
#[derive(Debug)]
pub struct Books {
    /// Vehicles, routes and fares.
    pub catalogue: Catalogue,
    /// The order of the eligibility rules, and the limits.
    pub rules: Rules,
    /// What passengers are told.
    pub texts: Texts,
}

/// Everything that a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// How it behaves.
    pub config: GatewayConfig,
    /// What time it is.
    pub clock: Clock,
    /// Where things are read.
    pub store: Store,
    /// Where things are written.
    pub writer: GroupCommit,
    /// The carriers.
    pub carriers: Vec<Carrier>,
    /// What the operator keeps in files.
    pub books: Books,
    /// What is known of subscribers.
    pub subscribers: Subscribers,
    /// How much is remembered of numbers' carriers.
    pub routing: RoutingSettings,
    /// Ticket settings.
    pub ticketing: TicketingConfig,
    /// The keys that sign tickets.
    pub keyring: Keyring,
    /// The secrets behind MSISDN tags and short codes.
    pub secrets: Secrets,
    /// The way to the ticket service, for carriers with `purchase = "webhook"`.
    pub mo_webhook: Option<MoWebhook>,
    /// The value-added tax.
    pub vat: VatConfig,
    /// Those who are told of events.
    pub webhooks: Vec<Webhook>,
    /// How other daemons that serve the same database are reached, and reach us.
    pub exchange: Option<Exchange>,
}

/// The engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Gateway(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: GatewayConfig,
    pub(super) clock: WatchedClock,
    pub(super) store: Store,
    pub(super) writer: GroupCommit,
    pub(super) reader: GroupRead,
    pub(super) carriers: BTreeMap<CarrierName, Carrier>,
    pub(super) routing: Routing,
    pub(super) books: ArcSwap<Books>,
    pub(super) vat: VatConfig,
    pub(super) subscribers: Subscribers,
    pub(super) sales: Arc<SalesBook>,
    pub(super) ticketing: Ticketing,
    pub(super) outboxes: BTreeMap<CarrierName, Outbox>,
    pub(super) backlogs: BTreeMap<CarrierName, Mutex<Backlog>>,
    /// Bounds the charges under way.
    pub(super) flights: Arc<Semaphore>,
    /// Bounds the messages that are being answered.
    pub(super) answering: Semaphore,
    /// Bounds the receipts that are being parked, and the parked ones that are weighed again.
    pub(super) intake: Intake,
    /// One purchase of a subscriber at a time, from the look at the limits to the commit.
    pub(super) subscriber_locks: Striped,
    /// One step of a charge at a time in this process; across processes the version guards.
    pub(super) charge_locks: Striped,
    pub(super) watchers: Watchers,
    /// The restores that the books have seen, in their order.
    pub(super) generations: Vec<Generation>,
    /// How far the look at parked receipts has come.
    pub(super) unowned: Walk,
    pub(super) counted: Counted,
    pub(super) asking: Asking,
    /// Questions that carriers have answered; their answers are told apart by it.
    pub(super) questions: AtomicU64,
    pub(super) mo_webhook: Option<MoWebhook>,
    pub(super) hand_overs: HandOvers,
    pub(super) webhooks: Followings,
    /// Our place among the daemons that serve the database; `None` if the store serves one.
    pub(super) attendance: Option<Arc<Attendance>>,
    pub(super) exchange: Option<Exchange>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) stop_announced: AtomicBool,
}

/// Why a gateway cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// What an earlier process left behind could not be taken up.
    #[error("cannot recover what an earlier process left open: {0}")]
    Recovery(#[from] ApplyError),
}

impl Gateway {
    /// Checks the parts against each other, takes up what an earlier process left open, and begins to work. Carriers' events
    /// are taken from `events`, one receiver per carrier.
    ///
    /// Errors: parts that do not fit together, or a store that fails.
    pub async fn start(
        parts: Parts,
        events: Vec<(CarrierName, mpsc::Receiver<CarrierEvent>)>,
    ) -> Result<Gateway, StartError> {
        let carriers: BTreeMap<CarrierName, Carrier> =
            parts.carriers.into_iter().map(|carrier| (carrier.name().clone(), carrier)).collect();
        check_books(&parts.books, &carriers, parts.config.passengers_max)?;
        check_webhook(parts.mo_webhook.as_ref(), &carriers)?;
        let watched: BTreeMap<_, _> = parts.store.mos_watched().await.map_err(ApplyError::from)?.into_iter().collect();
        let backlog = |name| Mutex::new(Backlog::new(parts.config.backlog(), watched.get(name).copied()));
        let since = SalesBook::since(parts.clock.now());
        let sales = parts.store.sales(since).await.map_err(ApplyError::from)?;
        let sales_of_others = parts.store.sales_of_others(since).await.map_err(ApplyError::from)?;
        let mut webhooks = Followings::new();
        for webhook in parts.webhooks {
            let following = Following::take_up(webhook, &parts.store, &parts.writer).await.map_err(ApplyError::from)?;
            webhooks.insert(following.webhook().name().to_owned(), Arc::new(following));
        }
        let prefixes = carriers.iter().map(|(name, carrier)| (name, carrier.config().prefixes.as_slice()));
        let configs = carriers.iter().map(|(name, carrier)| (name, carrier.config()));
        let divided = divided(configs, webhooks.keys());
        let attendance = parts.store.instances().map(|instances| Arc::new(Attendance::new(instances.clone(), divided)));
        let inner = Arc::new(Inner {
            attendance,
            generations: parts.store.generations().await.map_err(ApplyError::from)?,
            exchange: parts.exchange,
            routing: Routing::new(PrefixTable::new(prefixes).map_err(StartError::Config)?, parts.routing),
            flights: Arc::new(Semaphore::new(parts.config.flights_max)),
            answering: Semaphore::new(parts.config.flights_max),
            intake: Intake::default(),
            backlogs: carriers.keys().map(|name| (name.clone(), backlog(name))).collect(),
            outboxes: carriers.keys().map(|name| (name.clone(), Outbox::default())).collect(),
            ticketing: Ticketing::new(parts.ticketing, parts.keyring, parts.secrets),
            books: ArcSwap::from_pointee(parts.books),
            vat: parts.vat,
            subscribers: parts.subscribers,
            sales: Arc::new(SalesBook::new(sales, sales_of_others)),
            config: parts.config,
            clock: WatchedClock::new(parts.clock),
            reader: GroupRead::start(parts.store.clone()),
            store: parts.store,
            writer: parts.writer,
            carriers,
            subscriber_locks: Striped::default(),
            charge_locks: Striped::default(),
            watchers: Watchers::default(),
            unowned: Walk::default(),
            counted: Counted::default(),
            asking: Asking::default(),
            questions: AtomicU64::new(0),
            mo_webhook: parts.mo_webhook,
            hand_overs: HandOvers::default(),
            webhooks,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            stop_announced: AtomicBool::new(false),
        });
        inner.subscribers.recall().await;
        inner.recover().await?;
        for (name, events) in events {
            if let Some(carrier) = inner.carriers.get(&name).cloned() {
                process::spawn(inner.clone().listen(carrier, events));
            }
        }
        inner.spawn(inner.clone().sweep());
        inner.reread_carriers();
        for following in inner.webhooks.values() {
            inner.spawn(inner.clone().follow_events(following.clone()));
        }
        Ok(Gateway(inner))
    }

    /// Says that a stop will come, and changes nothing else: who asks may look for another daemon.
    pub fn announce_stop(&self) {
        self.0.stop_announced.store(true, Ordering::Relaxed);
    }

    /// Stops: takes nothing new, lets what is under way be answered, unbinds. Charges that wait for a send slot stay as they
    /// are and fly again at the next start; what remains unanswered is in doubt then. Returns after `patience` at the latest.
    pub async fn stop(&self, patience: Duration) {
        let inner = &self.0;
        self.announce_stop();
        inner.stopping.cancel();
        inner.tasks.close();
        let drained = async {
            let mut unbinding = JoinSet::new();
            for carrier in inner.carriers.values() {
                let carrier = carrier.clone();
                unbinding.spawn(process::own(async move { carrier.shut_down().await }));
            }
            unbinding.join_all().await;
            inner.tasks.wait().await;
            inner.writer.close().await;
            if let Some(attendance) = &inner.attendance {
                inner.leave(attendance).await;
            }
        };
        if tokio::time::timeout(patience, drained).await.is_err() {
            tracing::warn!("stopped before everything was answered; it will be in doubt");
        }
    }

    /// Returns once other daemons have taken this one for dead and go on in its place: it had better stop, and begin anew.
    pub async fn fenced(&self) {
        match &self.0.attendance {
            Some(attendance) => attendance.fenced().await,
            None => std::future::pending().await,
        }
    }

    /// Whether [`Gateway::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    /// Whether [`Gateway::announce_stop`] or [`Gateway::stop`] was called.
    pub fn is_stop_announced(&self) -> bool {
        self.0.stop_announced.load(Ordering::Relaxed)
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// What the operator keeps in files, as it is in force.
    pub fn books(&self) -> Arc<Books> {
        self.0.books.load_full()
    }

    /// Puts newly read files in force. Charges that are under way end under the terms that they were opened with.
    ///
    /// Errors: books that do not fit the carriers; the old ones stay.
    pub fn replace_books(&self, books: Books) -> Result<(), StartError> {
        check_books(&books, &self.0.carriers, self.0.config.passengers_max)?;
        self.0.books.store(Arc::new(books));
        Ok(())
    }

    /// What is known of subscribers.
    pub fn subscribers(&self) -> &Subscribers {
        &self.0.subscribers
    }

    /// The keys that sign tickets.
    pub fn keyring(&self) -> &Keyring {
        self.0.ticketing.keyring()
    }

    /// How the gateway behaves.
    pub fn config(&self) -> &GatewayConfig {
        &self.0.config
    }

    /// The carriers, by name.
    pub fn carriers(&self) -> impl Iterator<Item = &Carrier> {
        self.0.carriers.values()
    }

    /// One carrier.
    pub fn carrier(&self, name: &str) -> Option<&Carrier> {
        self.0.carriers.values().find(|carrier| carrier.name().as_str() == name)
    }

    /// The charge as soon as its outcome is known or it is in doubt, or as it is after `patience`.
    pub async fn wait(&self, reference: Reference, patience: Duration) -> Result<Option<Awaited>, StoreError> {
        let watcher = self.0.watchers.watch(reference);
        match self.0.store.charge(reference).await? {
            Some(charge) if charge.state == State::Processing => self.wait_with(watcher, patience).await,
            found => Ok(found.map(Awaited::from)),
        }
    }

    /// The same for a charge of which nothing can have been missed since the watcher began.
    pub(super) async fn wait_with(
        &self,
        mut watcher: Watcher,
        patience: Duration,
    ) -> Result<Option<Awaited>, StoreError> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            // Nobody tells of what another daemon decides.
            let look = if self.0.has_company() { left.min(LOOK_FOR_OUTCOME) } else { left };
            if let Some(decided) = watcher.outcome(look).await {
                return Ok(Some(decided));
            }
            let found = self.0.store.charge(watcher.reference()).await?;
            let is_open = found.as_ref().is_some_and(|charge| charge.state == State::Processing);
            if !is_open || look == left {
                return Ok(found.map(Awaited::from));
            }
        }
    }
}

impl Inner {
    /// Starts a task that [`Gateway::stop`] waits for.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(process::own(task))
    }
}

/// Every fare, for every number of passengers, must have a tariff at every carrier: found out at start, not by a passenger.
/// What is missing, each with its key.
pub fn missing_tariffs<'a>(
    catalogue: &Catalogue,
    carriers: impl IntoIterator<Item = (&'a CarrierName, &'a CarrierConfig)>,
    passengers_max: u8,
) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, carrier) in carriers {
        for (city, fare_class, _, fare) in catalogue.fares() {
            for passengers in 1..=passengers_max {
                let section = format!("carriers.{name}");
                let bought = format!("({city}, {fare_class}, {passengers} passengers)");
                match fare.checked_mul(passengers.into()) {
                    Ok(amount) if amount.currency != carrier.currency => {
                        missing.push(format!(
                            "{section}.currency: no fare in {} can be charged {bought}",
                            amount.currency
                        ));
                    }
                    Ok(amount) if carrier.has_tariff(amount) => {
                        if !carrier.has_refund_tariff(amount) {
                            missing.push(format!("{section}.smpp.refund.tariffs: {amount} cannot go back {bought}"));
                        }
                    }
                    Ok(amount) => missing.push(format!("{section}.smpp.tariffs: no tariff for {amount} {bought}")),
                    Err(e) => missing.push(format!("{section}: {e} {bought}")),
                }
            }
        }
    }
    missing
}

/// What several daemons divide: the carriers' binds and rates, and the webhooks.
pub fn divided<'a>(
    carriers: impl IntoIterator<Item = (&'a CarrierName, &'a CarrierConfig)>,
    webhooks: impl Iterator<Item = &'a String>,
) -> Vec<Divisible> {
    let of_carriers = carriers.into_iter().flat_map(|(name, config)| config.divisible(name));
    of_carriers.chain([instances::webhooks(webhooks)]).collect()
}

fn check_webhook(webhook: Option<&MoWebhook>, carriers: &BTreeMap<CarrierName, Carrier>) -> Result<(), StartError> {
    match carriers.iter().find(|(_, carrier)| carrier.config().purchase == PurchaseMode::Webhook) {
        Some((name, _)) if webhook.is_none() => Err(StartError::Config(format!(
            "carriers.{name}.purchase: it is \"webhook\", and mo_webhook.url is not set"
        ))),
        _ => Ok(()),
    }
}

fn check_books(books: &Books, carriers: &BTreeMap<CarrierName, Carrier>, passengers_max: u8) -> Result<(), StartError> {
    let configs = carriers.iter().map(|(name, carrier)| (name, carrier.config()));
    match missing_tariffs(&books.catalogue, configs, passengers_max).into_iter().next() {
        Some(problem) => Err(StartError::Config(problem)),
        None => Ok(()),
    }
}
