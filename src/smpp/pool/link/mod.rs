//! A link: a task that owns the socket of one bind, and reconnects.

mod backoff;
mod connect;
mod serve;
mod task;

pub use connect::{Stream, connect};
pub(super) use task::{Ends, Seat, Task};

use std::time::Instant;

use crate::smpp::{
    encode::EncodeError,
    session::{Session, SessionConfig},
};

/// Whether a bind with these fields can be written.
pub(super) fn check_bind(session: &SessionConfig) -> Result<(), EncodeError> {
    Session::new(session.clone(), Instant::now()).map(drop)
}
