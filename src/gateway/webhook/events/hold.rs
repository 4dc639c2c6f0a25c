//! For how long a receiver is left alone, and what that holds up.

use std::time::Duration;

use tokio::time::Instant;

/// Between two measures of a webhook that never pauses.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// A replay that gets no further so many times in a row blames its events.
const REPLAY_ROUNDS_MAX: u32 = 5;

/// What a courier remembers from one round to the next. A new process has forgotten it, and asks at once.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The receiver is left alone: nothing is sent.
    pub(super) receiver: Hold,
    /// The replay is left alone: what happens is told all the same.
    pub(super) replay: Hold,
    /// The receiver has read something else since the replay was last held.
    was_up_since: bool,
    measured_at: Option<Instant>,
}

/// For how long something is left alone that went no further.
#[derive(Debug, Default)]
pub(super) struct Hold {
    rounds: u32,
    until: Option<Instant>,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cause {
    #[default]
    Several,
    /// It was found out with one event, which may be to blame: with another beside it one would know.
    OneEvent,
    /// The receiver asked for time in its answer to a delivery that had failed before.
    Retried,
}

impl Pace {
    /// The receiver has read an event that is no part of a replay.
    pub(super) fn is_up(&mut self) {
        self.receiver = Hold::default();
        self.was_up_since = true;
    }

    /// Nothing of what a replay sent at once was taken. Whether its events are to blame: the receiver has read others since the last time, or
    /// it went on for too long. Whoever asks for time blames nothing, except for too long.
    pub(super) fn hold_replay(&mut self, asked_for_time: bool, pause: impl FnOnce(u32) -> Duration) -> bool {
        self.replay.set(None, 0, pause);
        let to_blame = self.was_up_since && !asked_for_time || self.replay.rounds >= REPLAY_ROUNDS_MAX;
        if to_blame {
            self.replay = Hold::default();
        }
        self.was_up_since = false;
        to_blame
    }

    /// Whether to measure now: before every pause, and from time to time where there is none.
    pub(super) fn is_to_be_measured(&mut self, before_pause: bool) -> bool {
        let is_due = before_pause || self.measured_at.is_none_or(|at| at.elapsed() >= MEASURE_EVERY);
        if is_due {
            self.measured_at = Some(Instant::now());
        }
        is_due
    }
}

impl Hold {
    /// How long it still lasts.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Whether nobody is left alone, or not any more since [`Hold::lift`].
    pub(super) const fn is_lifted(&self) -> bool {
        self.until.is_none()
    }

    /// Whether it follows upon another, with nothing taken in between.
    pub(super) const fn is_repeated(&self) -> bool {
        self.rounds > 0
    }

    /// Whether one event alone may be to blame for it.
    pub(super) fn is_by_one_event(&self) -> bool {
        self.cause == Cause::OneEvent
    }

    /// Ends it. The next one is longer all the same, unless something is taken. Whether it came from a delivery that was tried again: then what
    /// is new goes first, or such deliveries alone would be sent.
    pub(super) fn lift(&mut self) -> bool {
        self.until = None;
        std::mem::take(&mut self.cause) == Cause::Retried
    }

    /// Begins once more, longer than before. For how long.
    pub(super) fn set(
        &mut self,
        wish: Option<Duration>,
        events: usize,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Duration {
        self.rounds = self.rounds.saturating_add(1);
        let pause = pause(self.rounds);
        let pause = wish.map_or(pause, |wish| pause.max(wish));
        self.until = Some(Instant::now() + pause);
        self.cause = if events == 1 && wish.is_none() { Cause::OneEvent } else { Cause::Several };
        pause
    }

    /// A receiver that is up asks for time.
    pub(super) fn grant(&mut self, wish: Duration) {
        self.until = self.until.max(Some(Instant::now() + wish));
        self.cause = Cause::Several;
    }

    /// It does so in its answer to a delivery that failed before.
    pub(super) fn grant_to_retried(&mut self, wish: Duration) {
        self.grant(wish);
        self.cause = Cause::Retried;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_webhook_that_never_pauses_is_measured_every_five_seconds() {
        let mut pace = Pace::default();
        let mut measured = Vec::new();
        for second in 0..12 {
            if pace.is_to_be_measured(false) {
                measured.push(second);
            }
            tokio::time::advance(SECOND).await;
        }
        assert_eq!(measured, [0, 5, 10]);
        assert!(pace.is_to_be_measured(true) && !pace.is_to_be_measured(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_blames_its_events_once_others_were_read_or_after_five_times() {
        let mut pace = Pace::default();
        let alone: Vec<bool> = (0..6).map(|_| pace.hold_replay(false, |_| SECOND)).collect();
        assert_eq!(alone, [false, false, false, false, true, false]);
        pace.is_up();
        assert!(!pace.hold_replay(true, |_| SECOND), "it asked for time");
        pace.is_up();
        assert!(pace.hold_replay(false, |_| SECOND));
        assert!(pace.replay.is_lifted() && !pace.hold_replay(false, |_| SECOND), "one after the other");
        assert!(pace.replay.left().is_some() && pace.receiver.left().is_none(), "what is new goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_granted_in_full_and_never_shortens_a_hold() {
        let mut hold = Hold::default();
        hold.grant_to_retried(3 * SECOND);
        hold.grant(SECOND);
        assert_eq!(hold.left(), Some(3 * SECOND));
        hold.grant_to_retried(4 * SECOND);
        tokio::time::advance(4 * SECOND).await;
        assert_eq!((hold.left(), hold.is_lifted(), hold.lift(), hold.lift()), (None, false, true, false));
        assert!(hold.is_lifted() && !hold.is_repeated());
    }
}
