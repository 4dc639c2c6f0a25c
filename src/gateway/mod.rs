//! The engine: commits intents, runs effects, applies evidence, recovers after a crash.
//!
//! The way of a charge through the files: [`purchase`](self) turns a request into an opening and commits it; a *flight* waits
//! for a send slot, makes the attempt durable, sends it and applies what comes back; `apply` is the one door through which a
//! charge changes; `ticketing` makes the ticket that is committed with it; `outbox` sends what passengers are told. `inbox`
//! and `receipts` take what carriers say without being asked. `sweep` looks after deadlines and queries, and `recovery`
//! after what a killed process left behind.
//!
//! Nothing here is written in a request handler's own future: whoever hangs up cancels nothing.

mod apply;
mod flight;
mod inbox;
mod outbox;
mod purchase;
mod receipts;
mod recovery;
mod striped;
mod sweep;
mod ticketing;
mod watch;

pub use apply::{ApplyError, Applied};
pub use purchase::{Purchase, PurchaseError, Purchased};
pub use ticketing::{IssuedTicket, TicketingError};

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{outbox::Outbox, striped::Striped, ticketing::Ticketing, watch::Watchers};
use crate::{
    carrier::{Carrier, CarrierEvent, PrefixTable},
    charge::{CarrierName, Charge, Evidence, EvidenceSource, Finding, LateSuccess, Reason, Reference, Retry},
    clock::{Clock, Timestamp},
    eligibility::{Rules, Verdict},
    msisdn::Msisdn,
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
    /// A message that has waited longer than this is answered "not charged, send again": the passenger has left the bus.
    pub mo_stale_seconds: u64,
    /// Answers without a ticket that one number gets within an hour.
    pub replies_per_hour_max: u64,
    /// How long a text without a ticket is worth sending.
    pub reply_ttl_seconds: u64,
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
            mo_repeat_seconds: 120,
            mo_stale_seconds: 300,
            replies_per_hour_max: 20,
            reply_ttl_seconds: 3_600,
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
        within("replies_per_hour_max", self.replies_per_hour_max, 1..=1_000);
        within("reply_ttl_seconds", self.reply_ttl_seconds, 1..=86_400);
        within("retry_pause_ms", self.retry_pause_ms, 1..=60_000);
        within("sweep_interval_ms", self.sweep_interval_ms, 10..=60_000);
        problems
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
    /// Ticket settings.
    pub ticketing: ticketing::TicketingConfig,
    /// The keys that sign tickets.
    pub keyring: Keyring,
    /// The secrets behind MSISDN tags and short codes.
    pub secrets: ticketing::Secrets,
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
    prefixes: PrefixTable,
    books: ArcSwap<Books>,
    subscribers: Subscribers,
    ticketing: Ticketing,
    outboxes: BTreeMap<CarrierName, Outbox>,
    /// Bounds the charges under way.
    flights: Arc<Semaphore>,
    /// One purchase of a subscriber at a time, from the look at the limits to the commit.
    subscriber_locks: Striped,
    /// One step of a charge at a time in this process; across processes the version guards.
    charge_locks: Striped,
    watchers: Watchers,
    tasks: TaskTracker,
    stopping: CancellationToken,
}
