//! How long to wait before connecting again.

use std::time::Duration;

use super::super::{DownWhy, Reconnect};
use crate::smpp::{session::Closed, status::CommandStatus};

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    reconnect: Reconnect,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(reconnect: Reconnect) -> Backoff {
        Backoff { reconnect, failures: 0 }
    }

    /// How long to wait after `why`, when the link had been up for `up_for`. `random` picks between nothing and its argument.
    pub(super) fn wait(
        &mut self,
        why: &DownWhy,
        up_for: Duration,
        random: impl FnOnce(Duration) -> Duration,
    ) -> Duration {
        if up_for >= self.reconnect.longest {
            self.failures = 0;
        }
        let ceiling = self.reconnect.first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        match why {
            DownWhy::Session(Closed::BindRefused(CommandStatus::ALREADY_BOUND)) => self.reconnect.already_bound,
            _ => random(ceiling.min(self.reconnect.longest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECONNECT: Reconnect = Reconnect {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
        already_bound: Duration::from_secs(90),
    };

    fn lost() -> DownWhy {
        DownWhy::Session(Closed::LinkLost("reset".into()))
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_wait_and_starts_anew_after_a_good_time() {
        let mut backoff = Backoff::new(RECONNECT);
        let waits: Vec<u64> = (0..40).map(|_| backoff.wait(&lost(), Duration::ZERO, |most| most).as_secs()).collect();
        assert_eq!(&waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        assert_eq!(backoff.wait(&lost(), Duration::from_secs(29), |most| most).as_secs(), 30, "up too briefly");
        assert_eq!(backoff.wait(&lost(), Duration::from_secs(30), |most| most).as_secs(), 1);
    }

    #[test]
    fn case_25_already_bound_waits_for_the_smscs_timer() {
        let mut backoff = Backoff::new(RECONNECT);
        let why = DownWhy::Session(Closed::BindRefused(CommandStatus::ALREADY_BOUND));
        assert_eq!(backoff.wait(&why, Duration::ZERO, |_| Duration::ZERO).as_secs(), 90);
        let other = DownWhy::Session(Closed::BindRefused(CommandStatus(0x0E)));
        assert_eq!(backoff.wait(&other, Duration::ZERO, |_| Duration::ZERO), Duration::ZERO);
    }
}
