//! The engine: commits intents, runs effects, applies evidence, recovers after a crash.
//!
//! The way of a charge through the files: [`purchase`](self) turns a request into an opening and commits it; a *flight* waits
//! for a send slot, makes the attempt durable, sends it and applies what comes back; `apply` is the one door through which a
//! charge changes, and `follow` does what that leaves to do at a carrier; `ticketing` makes the ticket that is committed with it; `outbox` sends what passengers are told. `inbox`,
//! `receipts` and `callbacks` take what carriers say without being asked; `parts` puts long messages together, and `backlog` knows which
//! of them waited at the carrier. `sweep` looks after deadlines and queries, and `recovery`
//! after what a killed process left behind.
//!
//! Nothing here is written in a request handler's own future: whoever hangs up cancels nothing.

mod apply;
mod asked;
mod backlog;
mod callbacks;
mod flight;
mod follow;
mod inbox;
mod outbox;
mod parts;
mod purchase;
mod receipts;
mod recovery;
mod replies;
mod routing;
mod sales;
mod striped;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod ticketing;
mod verdict;
mod watch;
mod webhook;

pub use apply::{Applied, ApplyError};
pub use asked::{RefundError, Resolution};
pub use purchase::{Purchase, PurchaseError, Purchased};
pub use ticketing::{Secrets, TicketingConfig, TicketingError};
pub use verdict::{Eligibility, Enquiry};
pub use webhook::{MoWebhook, MoWebhookConfig, WebhookKey, WebhookKeyError};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    backlog::{Backlog, BacklogConfig},
    outbox::Outbox,
    sales::SalesBook,
    striped::Striped,
    ticketing::Ticketing,
    watch::Watchers,
    webhook::HandOvers,
};
use crate::{
    carrier::{Carrier, CarrierConfig, CarrierEvent, PrefixTable, PurchaseMode, Routing, RoutingSettings},
    charge::{CarrierName, Charge, LateSuccess, Reference},
    clock::{Clock, Timestamp},
    eligibility::Rules,
    passenger::Texts,
    store::{GroupCommit, Store, StoreError},
    subscriber::Subscribers,
    ticket::Keyring,
    transit::Catalogue,
};

/// How the gateway behaves. Durations carry their unit in the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// From the request to the moment by which the passenger must have the ticket (M11).
    pub ticket_deadline_seconds: u64,
    /// What happens to money that was taken after that.
    pub late_success: LateSuccess,
    /// For so long, and as long as the ticket is valid, the same number in the same vehicle gets its ticket again (M13).
    pub repeat_window_seconds: u64,
    /// Passengers that one number may pay for in one vehicle.
    pub passengers_max: u8,
    /// Charges under way at once; more are refused as overload.
    pub flights_max: usize,
    /// A message from a passenger that comes again within this time is the same message.
    pub mo_repeat_seconds: u64,
    /// A message that has waited longer than this is answered "not charged, send again": the passenger has left the bus. So is one
    /// whose ticket deadline has passed.
    pub mo_stale_seconds: u64,
    /// A long message whose parts are not all there after this time is answered "incomplete, not charged".
    pub mo_parts_seconds: u64,
    /// After messages could not be taken for longer than this, those that come are backlog: their passengers have left the bus.
    pub mo_outage_seconds: u64,
    /// For so long after such an outage, what comes is backlog.
    pub mo_backlog_seconds: u64,
    /// Answers without a ticket that one number gets within an hour.
    pub replies_per_hour_max: u64,
    /// How long a text without a ticket is worth sending.
    pub reply_ttl_seconds: u64,
    /// Receipts and callbacks that wait for the charge they belong to; above that a carrier is asked to call back later.
    pub parked_max: u64,
    /// The pause before a definite but passing no is tried again; it doubles with each try.
    pub retry_pause_ms: u64,
    /// How often deadlines, queries and waiting messages are looked at.
    pub sweep_interval_ms: u64,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            ticket_deadline_seconds: 60,
            late_success: LateSuccess::Refund,
            repeat_window_seconds: 900,
            passengers_max: 9,
            flights_max: 4_096,
            mo_repeat_seconds: 30,
            mo_stale_seconds: 300,
            mo_parts_seconds: 60,
            mo_outage_seconds: 120,
            mo_backlog_seconds: 20,
            replies_per_hour_max: 20,
            reply_ttl_seconds: 3_600,
            parked_max: 100_000,
            retry_pause_ms: 250,
            sweep_interval_ms: 500,
        }
    }
}

impl GatewayConfig {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                problems.push(format!("{key}: {value} is not between {} and {}", range.start(), range.end()));
            }
        };
        within("ticket_deadline_seconds", self.ticket_deadline_seconds, 1..=3_600);
        within("repeat_window_seconds", self.repeat_window_seconds, 0..=86_400);
        within("passengers_max", self.passengers_max.into(), 1..=50);
        within("flights_max", self.flights_max as u64, 1..=1_000_000);
        within("mo_repeat_seconds", self.mo_repeat_seconds, 0..=86_400);
        within("mo_stale_seconds", self.mo_stale_seconds, 10..=86_400);
        within("mo_parts_seconds", self.mo_parts_seconds, 1..=3_600);
        // What the sweep does not see in time would look like an outage.
        let outage_min = (self.sweep_interval_ms / 250).clamp(1, 86_400);
        within("mo_outage_seconds", self.mo_outage_seconds, outage_min..=86_400);
        within("mo_backlog_seconds", self.mo_backlog_seconds, 0..=3_600);
        within("replies_per_hour_max", self.replies_per_hour_max, 1..=1_000);
        within("reply_ttl_seconds", self.reply_ttl_seconds, 1..=86_400);
        within("parked_max", self.parked_max, 1..=10_000_000);
        within("retry_pause_ms", self.retry_pause_ms, 1..=60_000);
        within("sweep_interval_ms", self.sweep_interval_ms, 10..=60_000);
        problems
    }

    fn backlog(&self) -> BacklogConfig {
        let outage = Duration::from_secs(self.mo_outage_seconds);
        BacklogConfig { outage, lasts: Duration::from_secs(self.mo_backlog_seconds) }
    }

    /// [`GatewayConfig::ticket_deadline_seconds`].
    pub fn ticket_deadline(&self) -> Duration {
        Duration::from_secs(self.ticket_deadline_seconds)
    }
}

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
    pub ticketing: ticketing::TicketingConfig,
    /// The keys that sign tickets.
    pub keyring: Keyring,
    /// The secrets behind MSISDN tags and short codes.
    pub secrets: ticketing::Secrets,
    /// The way to the ticket service, for carriers with `purchase = "webhook"`.
    pub mo_webhook: Option<MoWebhook>,
}

/// The engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: GatewayConfig,
    clock: Clock,
    store: Store,
    writer: GroupCommit,
    carriers: BTreeMap<CarrierName, Carrier>,
    routing: Routing,
    books: ArcSwap<Books>,
    subscribers: Subscribers,
    sales: Arc<SalesBook>,
    ticketing: Ticketing,
    outboxes: BTreeMap<CarrierName, Outbox>,
    backlogs: BTreeMap<CarrierName, Mutex<Backlog>>,
    /// Bounds the charges under way.
    flights: Arc<Semaphore>,
    /// Bounds the messages that are being answered.
    answering: Semaphore,
    /// One purchase of a subscriber at a time, from the look at the limits to the commit.
    subscriber_locks: Striped,
    /// One step of a charge at a time in this process; across processes the version guards.
    charge_locks: Striped,
    watchers: Watchers,
    mo_webhook: Option<MoWebhook>,
    hand_overs: HandOvers,
    tasks: TaskTracker,
    stopping: CancellationToken,
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
        let sales = parts.store.sales(SalesBook::since(parts.clock.now())).await.map_err(ApplyError::from)?;
        let prefixes = carriers.iter().map(|(name, carrier)| (name, carrier.config().prefixes.as_slice()));
        let inner = Arc::new(Inner {
            routing: Routing::new(PrefixTable::new(prefixes).map_err(StartError::Config)?, parts.routing),
            flights: Arc::new(Semaphore::new(parts.config.flights_max)),
            answering: Semaphore::new(parts.config.flights_max),
            backlogs: carriers.keys().map(|name| (name.clone(), backlog(name))).collect(),
            outboxes: carriers.keys().map(|name| (name.clone(), Outbox::default())).collect(),
            ticketing: Ticketing::new(parts.ticketing, parts.keyring, parts.secrets),
            books: ArcSwap::from_pointee(parts.books),
            subscribers: parts.subscribers,
            sales: Arc::new(SalesBook::new(sales)),
            config: parts.config,
            clock: parts.clock,
            store: parts.store,
            writer: parts.writer,
            carriers,
            subscriber_locks: Striped::default(),
            charge_locks: Striped::default(),
            watchers: Watchers::default(),
            mo_webhook: parts.mo_webhook,
            hand_overs: HandOvers::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        });
        inner.subscribers.recall().await;
        inner.recover().await?;
        for (name, events) in events {
            if let Some(carrier) = inner.carriers.get(&name).cloned() {
                tokio::spawn(inner.clone().listen(carrier, events));
            }
        }
        inner.tasks.spawn(inner.clone().sweep());
        Ok(Gateway(inner))
    }

    /// Stops: takes nothing new, lets what is under way be answered, unbinds. Charges that wait for a send slot stay as they
    /// are and fly again at the next start; what remains unanswered is in doubt then. Returns after `patience` at the latest.
    pub async fn stop(&self, patience: Duration) {
        let inner = &self.0;
        inner.stopping.cancel();
        inner.tasks.close();
        let drained = async {
            let mut unbinding = JoinSet::new();
            for carrier in inner.carriers.values() {
                let carrier = carrier.clone();
                unbinding.spawn(async move { carrier.shut_down().await });
            }
            unbinding.join_all().await;
            inner.tasks.wait().await;
            inner.writer.close().await;
        };
        if tokio::time::timeout(patience, drained).await.is_err() {
            tracing::warn!("stopped before everything was answered; it will be in doubt");
        }
    }

    /// Whether [`Gateway::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
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
    pub async fn wait(&self, reference: Reference, patience: Duration) -> Result<Option<Charge>, StoreError> {
        let mut watcher = self.0.watchers.watch(reference);
        match self.0.store.charge(reference).await? {
            Some(charge) if charge.state == crate::charge::State::Processing => match watcher.outcome(patience).await {
                Some(decided) => Ok(Some(decided)),
                None => self.0.store.charge(reference).await,
            },
            found => Ok(found),
        }
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
                    Ok(amount) if carrier.has_tariff(amount) => {}
                    Ok(amount) => missing.push(format!("{section}.smpp.tariffs: no tariff for {amount} {bought}")),
                    Err(e) => missing.push(format!("{section}: {e} {bought}")),
                }
            }
        }
    }
    missing
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
