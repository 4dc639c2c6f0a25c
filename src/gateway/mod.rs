//! The engine: commits intents, runs effects, applies evidence, recovers after a crash.
//!
//! The way of a charge through the files: `handle` puts the parts together; `purchase` turns a request into an `opening`, which
//! is committed; a *flight* waits for a send slot, makes the attempt durable, sends it and applies what comes back; `apply` is the
//! one door through which a charge changes, and `follow` does what that leaves to do at a carrier; `ticketing` makes the ticket
//! that is committed with it; `outbox` sends what passengers are told. `inbox`, `receipts` and `callbacks` take what carriers say
//! without being asked, and `unowned` looks after what finds no owner; `parts` puts long messages together, and `backlog` knows
//! which of them waited at the carrier. `sweep` looks after deadlines and queries, `recovery` after what a killed process left
//! behind, `restoring`, `reread` and `lost_keys` after what a restore has lost, and `measure` tells what is outstanding. All read
//! the time from the `watched_clock`, which sees it step.
//!
//! Nothing here is written in a request handler's own future: whoever hangs up cancels nothing.

mod apply;
mod asked;
mod asking;
mod backlog;
mod callbacks;
mod config;
pub mod events;
mod flight;
mod follow;
mod handle;
mod inbox;
mod instances;
mod intake;
mod lost_keys;
mod measure;
mod opening;
mod outbox;
mod parts;
mod purchase;
mod receipts;
mod recovery;
mod replies;
mod reread;
mod restoring;
mod routing;
mod sales;
mod striped;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod ticketing;
mod unowned;
mod verdict;
mod watch;
mod watched_clock;
mod webhook;

pub use apply::{Applied, ApplyError};
pub use asked::{RefundError, RefundOutcome, RefundResolution, Resolution};
pub use config::{GatewayConfig, RefundTexts};
pub use handle::{Books, Gateway, Parts, StartError, divided, missing_tariffs};
pub use instances::{Errand, ErrandAnswer, Exchange, NOT_TAKEN, Wanted};
pub use purchase::{Purchase, PurchaseError, Purchased};
pub use restoring::{Declared, RestoreError, declare_in_doubt};
pub use ticketing::{Secrets, TicketingConfig, TicketingError};
pub use verdict::{Eligibility, Enquiry};
pub use watch::Awaited;
pub use webhook::{
    MoWebhook, MoWebhookConfig, ReplayError, ReplayWish, Webhook, WebhookCondition, WebhookConfig, WebhookKey,
    WebhookKeyError, WebhookReport,
};

use handle::Inner;
