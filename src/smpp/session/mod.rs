//! One bind, without a socket and without a clock: bytes and instants in; bytes, events and the next deadline out.

mod config;
mod event;
mod in_flight;
mod inbound;
mod machine;
mod outbox;
mod requests;
#[cfg(test)]
mod tests;
mod timers;

pub use config::SessionConfig;
pub use event::{Answer, Closed, DeliveryId, DoubtCause, Event, Fault, QueryOutcome, SubmitOutcome, Unwritten};
pub use machine::Session;
