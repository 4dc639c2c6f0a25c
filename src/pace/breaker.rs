//! The circuit breaker: a carrier that takes messages and answers nothing makes one charge in doubt after the other, so after
//! a number of them in a row it gets none for a while, and then one, to see.

use std::time::{Duration, Instant};

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// So many failures in a row, without one definite answer in between, open it. A lost link counts once.
    pub failures_max: u32,
    /// How long it stays open the first time; each time that the trial fails, twice as long.
    pub pause: Duration,
    /// The longest that it stays open.
    pub pause_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig { failures_max: 10, pause: Duration::from_secs(5), pause_max: Duration::from_secs(60) }
    }
}

/// How the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Messages flow.
    Closed,
    /// None goes until this moment.
    Open {
        /// When the trial begins.
        until: Instant,
    },
    /// One message goes, and its answer decides.
    Trial,
}

/// It reads no clock.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: BreakerState,
    failures: u32,
    /// How often in a row it has opened.
    openings: u32,
    /// A trial message is on its way.
    trying: bool,
}

impl Breaker {
    /// Closed.
    pub fn new(config: BreakerConfig) -> Breaker {
        Breaker { config, state: BreakerState::Closed, failures: 0, openings: 0, trying: false }
    }

    /// How it stands at `now`.
    pub fn state(&mut self, now: Instant) -> BreakerState {
        if let BreakerState::Open { until } = self.state
            && until <= now
        {
            self.state = BreakerState::Trial;
            self.trying = false;
        }
        self.state
    }

    /// Whether a message may go now.
    pub fn lets_through(&mut self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open { .. } => false,
            BreakerState::Trial => !self.trying,
        }
    }

    /// A message goes. `true` if it is the trial.
    pub fn take(&mut self) -> bool {
        self.trying = self.state == BreakerState::Trial;
        self.trying
    }

    /// The trial did not go, or what becomes of it will say nothing of the carrier's health.
    pub fn give_back(&mut self) {
        self.trying = false;
    }

    /// A definite answer, whatever it says: the carrier is there.
    pub fn answered(&mut self) {
        *self = Breaker::new(self.config);
    }

    /// A message whose fate is not known. `true` if that opened the breaker.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            BreakerState::Closed => self.failures >= self.config.failures_max.max(1),
            // What went before it opened says nothing new.
            BreakerState::Open { .. } => false,
            BreakerState::Trial => self.trying,
        };
        if opens {
            let pause = self.config.pause.saturating_mul(1 << self.openings.min(16)).min(self.config.pause_max);
            self.openings = self.openings.saturating_add(1);
            self.state = BreakerState::Open { until: now + pause };
            self.trying = false;
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn breaker() -> (Breaker, Instant) {
        (Breaker::new(BreakerConfig { failures_max: 3, pause: PAUSE, pause_max: PAUSE * 3 }), Instant::now())
    }

    /// Open, by failures.
    fn open() -> (Breaker, Instant) {
        let (mut breaker, now) = breaker();
        assert_eq!([breaker.failed(now), breaker.failed(now), breaker.failed(now)], [false, false, true]);
        (breaker, now)
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_begins_anew() {
        let (mut breaker, now) = breaker();
        breaker.failed(now);
        breaker.failed(now);
        breaker.answered();
        assert_eq!([breaker.failed(now), breaker.failed(now)], [false, false]);
        assert!(breaker.lets_through(now));
        assert!(breaker.failed(now));
        assert!(!breaker.lets_through(now));
        assert_eq!(breaker.state(now), BreakerState::Open { until: now + PAUSE });
    }

    #[test]
    fn after_the_pause_one_message_goes_and_its_answer_closes_it() {
        let (mut breaker, now) = open();
        let then = now + PAUSE;
        assert!(!breaker.lets_through(then - Duration::from_millis(1)));
        assert!(breaker.lets_through(then));
        breaker.take();
        assert!(!breaker.lets_through(then), "one at a time");
        breaker.answered();
        assert_eq!(breaker.state(then), BreakerState::Closed);
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_twice_as_long_up_to_the_most() {
        let (mut breaker, mut now) = open();
        for pause in [PAUSE * 2, PAUSE * 3, PAUSE * 3] {
            now += PAUSE * 3;
            assert!(breaker.lets_through(now));
            breaker.take();
            assert!(breaker.failed(now));
            assert_eq!(breaker.state(now), BreakerState::Open { until: now + pause });
        }
    }

    #[test]
    fn a_trial_that_never_went_leaves_room_for_another() {
        let (mut breaker, now) = open();
        let then = now + PAUSE;
        assert!(breaker.lets_through(then));
        breaker.take();
        breaker.give_back();
        assert!(breaker.lets_through(then));
    }

    #[test]
    fn what_went_before_it_opened_neither_prolongs_nor_fails_a_trial() {
        let (mut breaker, now) = open();
        assert!(!breaker.failed(now + Duration::from_secs(1)));
        let then = now + PAUSE;
        assert_eq!(breaker.state(then), BreakerState::Trial);
        assert!(!breaker.failed(then), "no trial is on its way");
    }
}
