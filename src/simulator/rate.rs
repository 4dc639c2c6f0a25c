//! How many submissions a second.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Counts submissions against a limit per second.
#[derive(Debug)]
pub(super) struct Rate {
    per_second_max: Option<u32>,
    second: Mutex<Second>,
}

/// The running second.
#[derive(Debug)]
struct Second {
    began: Instant,
    submits: u32,
}

impl Rate {
    /// No limit for none.
    pub(super) fn new(per_second_max: Option<u32>) -> Rate {
        Rate { per_second_max, second: Mutex::new(Second { began: Instant::now(), submits: 0 }) }
    }

    /// Counts a submission. False if it is over the limit.
    pub(super) fn allows_one(&self) -> bool {
        let Some(max) = self.per_second_max else { return true };
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.elapsed().as_secs() >= 1 {
            *second = Second { began: Instant::now(), submits: 0 };
        }
        second.submits = second.submits.saturating_add(1);
        second.submits <= max
    }

    /// How much of the limit the running second has used, in percent, at most 100. Zero without a limit.
    pub(super) fn load_percent(&self) -> u64 {
        let Some(max) = self.per_second_max else { return 0 };
        let second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.elapsed().as_secs() >= 1 { 0 } else { percent(second.submits.into(), max.into()) }
    }
}

/// How much of `max` is used, in percent, at most 100.
pub(super) fn percent(used: u64, max: u64) -> u64 {
    used.saturating_mul(100).checked_div(max).unwrap_or(0).min(100)
}
