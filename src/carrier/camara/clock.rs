//! The carrier's clock, as its answers tell it.
//!
//! A lost payment is looked for in the carrier's time too: our own wall clock may have been wrong when the request was sent, and
//! right again when it is looked for. Then a window in our time alone would begin after the payment, and lack it (M5).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{
    adapter::{CamaraCarrier, Inner, correlate},
    message::below,
};
use crate::{
    carrier::{
        NoSlot, Urgency,
        web::{Answer, WebRequest},
    },
    charge::Reference,
    clock::Timestamp,
    process,
};

/// How long a purchase waits for the first answer of a carrier. It may take longer; the next purchase finds it learnt.
const LEARN_PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a carrier that did not answer is asked again. It doubles.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long the question waits for its send slot at a time.
const SLOT_PATIENCE: Duration = Duration::from_secs(30);

/// What is known of the carrier's clock. It runs on with our monotonic clock, which no wall clock disturbs.
#[derive(Debug, Default)]
pub(super) struct CarrierClock {
    reading: Mutex<Reading>,
    /// Whether somebody is asking.
    is_asking: AtomicBool,
    /// The first answer has come, or nobody asks any more.
    asked: Notify,
}

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
        let was_first = matches!(*reading, Reading::None);
        match told {
            Some(at) => *reading = Reading::Shown { at, heard: process::now() },
            None if was_first => *reading = Reading::Untold,
            None => {}
        }
        drop(reading);
        if was_first {
            self.asked.notify_waiters();
        }
    }

    /// What it shows now, to the second, as far as the last answer can tell.
    pub(super) fn now(&self) -> Option<Timestamp> {
        match *self.lock() {
            Reading::Shown { at, heard } => Some(at.plus(process::now().saturating_duration_since(heard))),
            Reading::None | Reading::Untold => None,
        }
    }

    /// Whether there was an answer to read it from, whether or not it told.
    pub(super) fn has_answered(&self) -> bool {
        !matches!(*self.lock(), Reading::None)
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CamaraCarrier {
    /// What the carrier's clock shows, as its answers tell.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.clock.now()
    }

    /// Whether the carrier has answered since the start of this process: see [`CamaraCarrier::learn_time`].
    pub fn has_answered(&self) -> bool {
        self.0.clock.has_answered()
    }

    /// Waits until the carrier has answered anything since the start of this process. Until then nothing is charged: what becomes of
    /// a payment that is lost can be proved only where the carrier's time at its request is known (M5).
    ///
    /// The first who waits has the carrier asked, for a payment that nobody made; that goes on when nobody waits any more, and counts
    /// for the circuit breaker like a charge.
    ///
    /// Errors: it has not answered within `patience` or five seconds, or it is shutting down.
    pub async fn learn_time(&self, patience: Duration) -> Result<(), NoSlot> {
        let clock = &self.0.clock;
        let asked = clock.asked.notified();
        tokio::pin!(asked);
        // From here on no news is missed.
        asked.as_mut().enable();
        if clock.has_answered() {
            return Ok(());
        }
        if !clock.is_asking.swap(true, Ordering::SeqCst) {
            process::spawn(ask_time(Arc::downgrade(&self.0)));
        }
        match timeout(patience.min(LEARN_PATIENCE), asked).await {
            Ok(()) if clock.has_answered() => Ok(()),
            Ok(()) => Err(NoSlot::ShuttingDown),
            Err(_elapsed) => Err(NoSlot::InTime),
        }
    }
}

/// Asks until there is an answer, or the carrier is shut down.
async fn ask_time(carrier: Weak<Inner>) {
    let mut pause = PAUSE;
    loop {
        let Some(carrier) = carrier.upgrade().map(CamaraCarrier) else { return };
        let is_over = match carrier.0.gate.reserve(SLOT_PATIENCE, Urgency::Normal).await {
            Ok(slot) => {
                let nobodys = Reference::from_bytes(process::random()).to_string();
                let mut request =
                    WebRequest::get("time", below(&carrier.profile().billing_url, &["payments", &nobodys]));
                correlate(&mut request, &nobodys);
                let outcome = carrier.request(request).await;
                slot.settle(&outcome);
                if !carrier.has_answered() {
                    let outcome = outcome.code();
                    warn!(carrier = %carrier.name(), outcome, "the carrier does not answer, so nobody is charged there yet");
                }
                carrier.has_answered()
            }
            Err(NoSlot::ShuttingDown) => true,
            Err(NoSlot::InTime | NoSlot::TooManyWait) => carrier.has_answered(),
        };
        if is_over {
            carrier.0.clock.is_asking.store(false, Ordering::SeqCst);
            carrier.0.clock.asked.notify_waiters();
            return;
        }
        drop(carrier);
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
