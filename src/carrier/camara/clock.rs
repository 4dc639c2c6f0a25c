//! The carrier's clock, as its answers tell it.
//!
//! A lost payment is looked for in the carrier's time. Our own wall clock may have been wrong when the request was sent, and right
//! again when it is looked for: then a window in our time would begin after the payment, and lack it (M5).

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{carrier::web::Answer, clock::Timestamp, process};

/// What is known of the carrier's clock. It runs on with our monotonic clock, which no wall clock disturbs.
#[derive(Debug, Default)]
pub(super) struct CarrierClock(Mutex<Reading>);

#[derive(Clone, Copy, Debug, Default)]
enum Reading {
    /// No answer yet.
    #[default]
    None,
    /// The carrier answers, and does not say when.
    Untold,
    /// What the last answer said, and when it came.
    Shown { at: Timestamp, heard: Instant },
}

impl CarrierClock {
    /// Takes in the `Date` of an answer (RFC 9110 §6.6.1).
    ///
    /// An error of a server is not read: whoever stands before the carrier may have written it.
    pub(super) fn hear(&self, answer: &Answer) {
        if answer.status >= 500 {
            return;
        }
        let told = answer.header("date").and_then(Timestamp::from_http_date);
        let mut reading = self.lock();
        match told {
            Some(at) => {
                *reading = Reading::Shown { at, heard: process::now() };
            }
            None if matches!(*reading, Reading::None) => *reading = Reading::Untold,
            None => {}
        }
    }

    /// What it shows now, or a little less: never more.
    pub(super) fn now(&self) -> Option<Timestamp> {
        match *self.lock() {
            Reading::Shown { at, heard } => Some(at.plus(process::now().saturating_duration_since(heard))),
            Reading::None | Reading::Untold => None,
        }
    }

    /// Whether there was an answer to read it from, whether or not it told.
    pub(super) fn was_asked(&self) -> bool {
        !matches!(*self.lock(), Reading::None)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
