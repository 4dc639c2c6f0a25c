//! The link: a task that owns the socket of one bind, reconnects, and hands out places in the window.
//!
//! [`open`] gives a [`LinkHandle`], to submit through, and the receiver of its [`LinkEvent`]s. A request takes a [`Slot`]
//! first: so its owner can commit the attempt when it is sure to have a place, and before a byte leaves.
//!
//! Bounds: no more requests are under way than the window has places; the waiting for places is bounded; events that
//! their receiver does not take stop the link from reading, and then from giving places, while its timers go on.

mod backoff;
mod config;
mod event;
mod handle;
mod serve;
mod slots;
mod task;
#[cfg(test)]
mod tests;

pub use config::{LinkConfig, Reconnect};
pub use event::{DownWhy, LinkEvent, LinkState, Responder};
pub use handle::{LinkHandle, Submission, open};
pub use slots::{Lane, ReserveError, Slot};
