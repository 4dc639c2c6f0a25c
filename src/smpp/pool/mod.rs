//! The links of one carrier: several binds that share one queue, one rate and one circuit breaker.
//!
//! [`Pool::open`] gives a [`Pool`], to submit through, and the receiver of its [`PoolEvent`]s. A request takes a [`Slot`] first: so its
//! owner can commit the attempt when it is sure to have a place, and before a byte leaves. Each link is a task that owns one socket
//! and one bind, with a window and a life of its own; a receipt may come on any of them.
//!
//! Whether a place is given is decided in one spot (`places`): a link that is up has one free, the contract's rate and the SMSC's mood allow a message,
//! and the circuit breaker is closed (`crate::pace`).
//!
//! Bounds: no more requests are under way than the windows have places; the waiting for places is bounded; events that
//! their receiver does not take stop the links from reading, and then from giving places, while their timers go on.

mod command;
mod config;
mod event;
mod handle;
mod link;
mod places;
mod submission;
#[cfg(test)]
mod tests;
mod tls;

pub use config::{Endpoint, LinkConfig, PoolConfig, Reconnect};
pub use event::{DownWhy, LinkState, PoolEvent, Responder};
pub use handle::Pool;
pub use link::{Stream, connect};
pub use places::{ReserveError, Slot, Standing};
pub use submission::Submission;
pub use tls::Tls;

pub use crate::{
    pace::{BreakerConfig, BreakerState, Lane},
    tls::{TlsError, TlsMaterials},
};
