//! A rate that a contract names, held by `governor`.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

/// So many parts of a second's messages may go at once.
const BURST_PARTS: u32 = 10;

/// A permission that was got is kept until it is used: what else a message needs may come later.
#[derive(Debug)]
pub struct Limiter {
    governor: RateLimiter<NotKeyed, InMemoryState, ToldTime, NoOpMiddleware<Duration>>,
    time: ToldTime,
    begun: Option<Instant>,
    granted: bool,
    not_before: Option<Instant>,
}

impl Limiter {
    /// At most so many messages a second, a tenth of them at once.
    pub fn new(per_second: u32) -> Limiter {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(per_second / BURST_PARTS).unwrap_or(NonZeroU32::MIN);
        let time = ToldTime::default();
        let governor = RateLimiter::direct_with_clock(Quota::per_second(rate).allow_burst(burst), time.clone());
        Limiter { governor, time, begun: None, granted: false, not_before: None }
    }

    /// Whether a message may go. Errors: when it may.
    pub fn allows(&mut self, now: Instant) -> Result<(), Instant> {
        if self.granted {
            return Ok(());
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Err(at);
        }
        let begun = *self.begun.get_or_insert(now);
        self.time.tell(now.saturating_duration_since(begun));
        match self.governor.check() {
            Ok(()) => {
                self.granted = true;
                Ok(())
            }
            Err(not_until) => {
                // Less than the resolution of timers would be asked for again at once.
                let wait = not_until.wait_time_from(self.time.now()).max(Duration::from_micros(100));
                self.not_before = Some(now + wait);
                Err(now + wait)
            }
        }
    }

    /// The message goes.
    pub fn take(&mut self) {
        debug_assert!(self.granted, "it was asked for first");
        self.granted = false;
    }
}

/// The limiter's clock: the time that it was last told, since the first telling. So it reads none, and a simulation can turn it.
#[derive(Clone, Debug, Default)]
struct ToldTime(Arc<AtomicU64>);

impl ToldTime {
    fn tell(&self, time: Duration) {
        self.0.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ToldTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_second_may_go_at_once_and_a_permission_is_kept_until_it_is_used() {
        let (mut limiter, now) = (Limiter::new(50), Instant::now());
        for _ in 0..5 {
            assert_eq!(limiter.allows(now), Ok(()));
            assert_eq!(limiter.allows(now), Ok(()), "asking twice costs nothing");
            limiter.take();
        }
        let at = limiter.allows(now).unwrap_err();
        assert!(at > now && at <= now + Duration::from_millis(25));
    }
}
