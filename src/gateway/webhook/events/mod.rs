//! Events by webhook, `[webhooks.NAME]`: each webhook has a *courier*, a task that follows the settled journal from the webhook's durable
//! cursor and posts what it tells.
//!
//! The cursor moves when everything up to it was taken, or is kept as a failed delivery, which is tried again by itself: so an event
//! that its receiver cannot digest does not hold up the others. A receiver that takes nothing at all is left alone for a while instead,
//! and the cursor waits; the journal keeps what it tells. A replay has a cursor of its own and never holds up what is new. So whatever is killed, nothing is skipped; what was under way comes again
//! under the same id.

mod config;
mod courier;
mod following;
mod hold;
mod retry;
mod stretch;

pub use config::WebhookConfig;
pub use following::{ReplayError, ReplayWish, Webhook, WebhookCondition, WebhookReport};

pub(in crate::gateway) use following::{Following, Followings};
