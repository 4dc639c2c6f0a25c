//! Several daemons serve one database: each has its part of the carriers' binds and rates, and what one had that is gone the others take over.
//!
//! What may not happen twice rests on the database: an attempt is opened by who is not fenced, and taken over by nobody. The leases of binds and rates
//! only keep the carriers' limits.

mod attendance;
mod errands;
mod plan;
mod takeover;

pub(super) use attendance::Attendance;
pub use errands::{Errand, ErrandAnswer, Exchange, NOT_TAKEN, Wanted};

use crate::carrier::Divisible;

/// The webhooks, of which each is one daemon's.
pub(super) fn webhooks<'a>(names: impl Iterator<Item = &'a String>) -> Divisible {
    let units: Vec<String> = names.map(|name| webhook(name)).collect();
    Divisible { name: units.join(", "), units }
}

/// The unit of one webhook.
pub(super) fn webhook(name: &str) -> String {
    format!("webhook {name}")
}
