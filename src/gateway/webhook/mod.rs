//! What is posted to others, signed as in Standard Webhooks: one way of posting (`endpoint`, `signature`), and two things to post.
//!
//! `events` tells those who follow what became of charges. The rest is purchases by SMS that the ticket service decides about,
//! `purchase = "webhook"`: a message that wants to buy is *handed over*: durably, with the moment by which a charge must have come. Then it is posted
//! to the ticket service, signed as in Standard Webhooks, again and again until that takes it. The ticket service asks for a
//! charge with the message's id as its idempotency key; that charge answers the message. If none has come by the moment, the
//! passenger is told that nothing was charged. The store lets one of the two happen and never both.

mod config;
mod deliver;
mod endpoint;
mod events;
mod hand_over;
mod signature;

pub use config::MoWebhookConfig;
pub use deliver::MoWebhook;
pub use events::{ReplayError, ReplayWish, Webhook, WebhookCondition, WebhookConfig, WebhookReport};
pub use signature::{WebhookKey, WebhookKeyError};

pub(super) use events::{Following, Followings};
pub(super) use hand_over::{HandOvers, message_named};
