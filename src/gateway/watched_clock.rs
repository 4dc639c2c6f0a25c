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

/// So many times that the clock was set back are told from each other.
const SET_BACK_MAX: usize = 64;
/// A reading of both clocks that took longer is none.
const HELD_UP_MIN: Duration = Duration::from_millis(50);
/// Where every reading takes so long, the last of so many must do.
const READINGS_MAX: u32 = 4;

/// A wall clock, and since when it has not been seen to step. Before the process began nobody looked.
#[derive(Debug)]
pub(super) struct WatchedClock {
    clock: Clock,
    seen: Mutex<Seen>,
}

/// What was seen of the wall clock.
#[derive(Debug)]
struct Seen {
    /// Not a step since then.
    steady_since: Reading,
    /// The first of them first; never more than [`SET_BACK_MAX`].
    set_back: Vec<SetBack>,
}

/// That the clock was set back, or so often.
#[derive(Clone, Copy, Debug)]
struct SetBack {
    from: Timestamp,
    by_ms: i64,
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
        let seen = Mutex::new(Seen { steady_since: Reading::of(&clock), set_back: Vec::new() });
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

    /// Whether what happened at this moment seems to be younger than `limit`, and may not be: the clock was set back since. What this
    /// process does not know of is not counted.
    pub(super) fn hides_age(&self, of: Timestamp, limit: Duration) -> bool {
        let (seeming, at_most) = self.age(of);
        seeming < limit && at_most >= limit
    }

    /// How long ago a moment seems to be, and how long at the most.
    fn age(&self, of: Timestamp) -> (Duration, Duration) {
        let now = self.now();
        let seen = self.lock();
        // What may have been before one of them was before all that followed.
        let since = seen.set_back.iter().skip_while(|set_back| set_back.from < of).map(|set_back| set_back.by_ms);
        let age = since.fold(now.unix_ms().saturating_sub(of.unix_ms()), i64::saturating_add);
        (now.since(of), Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }

    /// That the clock has shown this moment, in a process before this one. If it lies ahead, the clock was set back while nobody looked,
    /// and nobody knows how far: the time without a process is part of it.
    pub(super) fn has_shown(&self, at: Timestamp) {
        let now = self.now();
        if at.since(now) >= Duration::from_millis(STEP_MIN_MS) {
            warn!(until = %at, "the last moment in the books lies ahead: the wall clock was set back while nobody looked");
            counter!("clock_steps_total").increment(1);
            self.lock().remember(SetBack { from: at, by_ms: i64::MAX });
        }
    }

    /// It is apart from the clocks of those with whom we share the books: what lies between a moment of theirs and one of ours cannot be
    /// told, as after a step.
    pub(super) fn is_apart(&self) {
        let mut seen = self.lock();
        seen.steady_since = Reading::of(&self.clock);
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
                let by = Duration::from_millis(step_ms.unsigned_abs());
                seen.remember(SetBack { from: now.at.plus(by), by_ms: step_ms.saturating_neg() });
            }
            seen.steady_since = now;
        }
        (now, now.ran.saturating_sub(seen.steady_since.ran))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Of too many the first two count as one that was as late as the later.
    fn remember(&mut self, set_back: SetBack) {
        self.set_back.push(set_back);
        if self.set_back.len() > SET_BACK_MAX {
            let first = self.set_back.remove(0);
            let next = &mut self.set_back[0];
            *next = SetBack { from: next.from.max(first.from), by_ms: next.by_ms.saturating_add(first.by_ms) };
        }
    }
}

impl Reading {
    /// The two are read one after the other. A process that was held up between them reads again: that is no step.
    fn of(clock: &Clock) -> Reading {
        let read = || {
            let ran = clock.ran();
            let at = clock.now();
            (Reading { at, ran }, clock.ran().saturating_sub(ran) < HELD_UP_MIN)
        };
        (0..READINGS_MAX).map(|_| read()).find(|(_, is_sharp)| *is_sharp).unwrap_or_else(read).0
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
    async fn m05_a_clock_apart_from_the_others_tells_no_time() {
        let (clock, _wall) = watched();
        tokio::time::advance(MINUTE).await;
        clock.is_apart();
        assert_eq!(clock.look().1, Duration::ZERO);
        tokio::time::advance(MINUTE).await;
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
    async fn m04_what_was_before_the_clock_was_set_back_is_older_than_it_seems() {
        let (clock, wall) = watched();
        tokio::time::advance(MINUTE).await;
        let first = clock.now();
        wall.jump(3_600_000);
        assert_eq!(clock.age(first).1, 60 * MINUTE, "ahead: it seems older than it is");
        let second = clock.now();
        wall.jump(-3_600_000);
        clock.now();
        tokio::time::advance(MINUTE).await;
        assert_eq!((clock.age(first).1, clock.age(second).1), (61 * MINUTE, MINUTE));
        tokio::time::advance(60 * MINUTE).await;
        let third = clock.now();
        wall.jump(-300);
        clock.now();
        tokio::time::advance(MINUTE).await;
        assert_eq!((clock.age(first).1, clock.age(second).1), (122 * MINUTE, 62 * MINUTE));
        assert_eq!(clock.age(third).1, MINUTE);
        assert_eq!(clock.age(clock.now()).1, Duration::ZERO);
        let hides = |limit| clock.hides_age(second, limit);
        assert_eq!([1, 2, 62, 63].map(|minutes| hides(minutes * MINUTE)), [false, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn m04_however_often_the_clock_is_set_back_nothing_seems_younger_than_it_is() {
        let (clock, wall) = watched();
        let first = clock.now();
        for _ in 0..3 * SET_BACK_MAX {
            wall.jump(-1_000);
            clock.now();
        }
        assert_eq!(clock.lock().set_back.len(), SET_BACK_MAX);
        tokio::time::advance(MINUTE).await;
        assert!(clock.age(first).1 >= MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn m04_what_the_books_have_seen_the_clock_has_shown() {
        let (clock, _) = watched();
        let (now, day) = (clock.now(), 24 * 60 * MINUTE);
        clock.has_shown(now.plus(Duration::from_millis(249)));
        assert!(!clock.hides_age(now, day), "no step");
        clock.has_shown(now.plus(MINUTE));
        tokio::time::advance(MINUTE).await;
        let last = now.plus(MINUTE);
        assert!([now, last].iter().all(|of| clock.hides_age(*of, day)), "nobody knows for how long no process ran");
        assert!(!clock.hides_age(now, MINUTE), "as old as that it seems");
        assert!(!clock.hides_age(last.plus(Duration::from_millis(1)), day));
    }
}
