//! The wall clock, watched for steps, so that the time between two moments can be told by it.
//!
//! A charge counts the time between two listings by the wall clock (M5), because that outlives the process. A step of that clock
//! makes a second of what is to be a minute, or a minute of what was two hours. So it is held against a clock that nobody sets,
//! whenever it is read.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tracing::{debug, warn};

use crate::{
    charge::{Attempt, Finding},
    clock::{Clock, Timestamp},
};

/// A difference that is no step: a busy machine lets some time pass between the readings of the two clocks.
const STEP_MIN_MS: u64 = 250;

/// A wall clock, and since when it has not been seen to step. Before the process began nobody looked.
#[derive(Debug)]
pub(super) struct WatchedClock {
    clock: Clock,
    seen: Mutex<Seen>,
}

/// What was seen of the wall clock.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Not a step since then.
    steady_since: Reading,
    /// From the earliest moment that it was set back to, to the latest that it was set back from.
    twice: Option<(Timestamp, Timestamp)>,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// What the wall clock shows.
    at: Timestamp,
    /// How long the other has run.
    ran: Duration,
}

/// When a carrier is asked about something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    at: Timestamp,
    /// Whether the time since the last listing can be told.
    is_steady: bool,
}

impl WatchedClock {
    pub(super) fn new(clock: Clock) -> WatchedClock {
        let seen = Mutex::new(Seen { steady_since: Reading::of(&clock), twice: None });
        WatchedClock { clock, seen }
    }

    /// The present moment, UTC.
    pub(super) fn now(&self) -> Timestamp {
        self.look().0.at
    }

    /// This moment, for a question about what an attempt did. The last listing was heard a whole in-flight delay ago if the wall clock
    /// says so, and has not stepped since.
    pub(super) fn moment(&self, attempt: &Attempt) -> Moment {
        let (now, steady_for) = self.look();
        Moment { at: now.at, is_steady: steady_for >= Duration::from_millis(attempt.contract.in_flight_delay_ms) }
    }

    /// Whether the clock may have shown this moment twice, because it was set back over it: then nobody knows how long ago it was. Of
    /// what happened before the process began nothing is known.
    pub(super) fn may_have_shown_twice(&self, at: Timestamp) -> bool {
        self.look();
        self.lock().twice.is_some_and(|(first, last)| (first..=last).contains(&at))
    }

    /// What both clocks show, and for how long they are known to have run alike. Two steps that undo each other are not seen when
    /// nobody looks between them; nor does anybody keep a time between them then.
    fn look(&self) -> (Reading, Duration) {
        let mut seen = self.lock();
        // Read under the lock, so that looks come in their order.
        let now = Reading::of(&self.clock);
        let step_ms = now.ahead_ms().saturating_sub(seen.steady_since.ahead_ms());
        if step_ms.unsigned_abs() >= STEP_MIN_MS {
            warn!(step_ms, "the wall clock was set; for a while nothing that is not found counts as absent");
            counter!("clock_steps_total").increment(1);
            if step_ms < 0 {
                let before = now.at.plus(Duration::from_millis(step_ms.unsigned_abs()));
                let (first, last) = seen.twice.unwrap_or((now.at, before));
                seen.twice = Some((first.min(now.at), last.max(before)));
            }
            seen.steady_since = now;
        }
        (now, now.ran.saturating_sub(seen.steady_since.ran))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn of(clock: &Clock) -> Reading {
        let ran = clock.ran();
        Reading { at: clock.now(), ran }
    }

    fn ahead_ms(self) -> i64 {
        self.at.unix_ms().saturating_sub(i64::try_from(self.ran.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Moment {
    /// What was answered, with the moment at which it was true. What the carrier lacks says nothing where the time cannot be told.
    pub(super) fn of_asking(self, finding: Finding) -> Finding {
        match finding {
            Finding::NotFound { complete, .. } => {
                if complete && !self.is_steady {
                    debug!("not found, which says nothing yet: the daemon has just started, or the clock was set");
                }
                Finding::NotFound { complete: complete && self.is_steady, asked_at: Some(self.at) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SimulatedClock, process};

    const MINUTE: Duration = Duration::from_secs(60);

    fn watched() -> (WatchedClock, SimulatedClock) {
        let wall = SimulatedClock::new(Timestamp::from_unix_seconds(1_800_000_000), process::now);
        (WatchedClock::new(Clock::Simulated(wall.clone())), wall)
    }

    #[tokio::test(start_paused = true)]
    async fn m05_a_step_of_the_wall_clock_to_either_side_begins_anew_and_a_small_one_does_not() {
        let (clock, wall) = watched();
        tokio::time::advance(MINUTE).await;
        assert_eq!(clock.look().1, MINUTE);
        for ms in [3_600_000, -7_200_000, 250] {
            wall.jump(ms);
            assert_eq!(clock.look().1, Duration::ZERO, "{ms} ms");
            tokio::time::advance(MINUTE).await;
            assert_eq!(clock.look().1, MINUTE, "{ms} ms");
        }
        wall.jump(249);
        assert_eq!(clock.look().1, MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn m05_many_small_steps_are_a_step() {
        let (clock, wall) = watched();
        tokio::time::advance(MINUTE).await;
        wall.jump(200);
        assert_eq!(clock.look().1, MINUTE);
        wall.jump(200);
        assert_eq!(clock.look().1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn m05_every_reading_of_the_clock_sees_a_step() {
        let (clock, wall) = watched();
        tokio::time::advance(MINUTE).await;
        wall.jump(-5_000);
        let behind = clock.now();
        wall.jump(5_000);
        assert_eq!(clock.look().1, Duration::ZERO);
        assert_eq!(clock.now(), behind.plus(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn m04_what_the_clock_was_set_back_over_may_have_been_shown_twice_and_nothing_else() {
        let (clock, wall) = watched();
        tokio::time::advance(MINUTE).await;
        let before = clock.now();
        wall.jump(3_600_000);
        assert!(!clock.may_have_shown_twice(before));
        let ahead = clock.now();
        wall.jump(-3_600_000);
        let after = clock.now();
        for (at, twice) in [
            (after.minus(MINUTE), false),
            (after, true),
            (before.plus(MINUTE), true),
            (ahead, true),
            (ahead.plus(MINUTE), false),
        ] {
            assert_eq!(clock.may_have_shown_twice(at), twice, "{at}");
        }
        wall.jump(-7_200_000);
        assert!(clock.may_have_shown_twice(after.minus(MINUTE)));
        assert!(clock.may_have_shown_twice(ahead));
    }
}
