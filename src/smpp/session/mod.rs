//! One bind, without a socket and without a clock: bytes and instants in; bytes, events and the next deadline out.

mod config;
mod event;

pub use config::SessionConfig;
pub use event::{Answer, Closed, DeliveryId, DoubtCause, Event, Fault, Outcome, Queried, Unwritten};
