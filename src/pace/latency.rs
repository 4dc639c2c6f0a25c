//! How long answers take.

use std::time::Duration;

/// A smoothed mean and deviation, as TCP keeps them for its retransmission timer (RFC 6298, section 2).
#[derive(Debug, Default)]
pub struct Latency {
    mean: Option<Duration>,
    deviation: Duration,
}

impl Latency {
    /// One answer took so long.
    pub fn measured(&mut self, time: Duration) {
        match self.mean {
            None => (self.mean, self.deviation) = (Some(time), time / 2),
            Some(mean) => {
                self.deviation = self.deviation * 3 / 4 + mean.abs_diff(time) / 4;
                self.mean = Some(mean * 7 / 8 + time / 8);
            }
        }
    }

    /// What an answer takes; nothing while none has been measured.
    pub fn typical(&self) -> Duration {
        self.mean.unwrap_or_default()
    }

    /// What nearly every answer stays below.
    pub fn expected(&self) -> Duration {
        self.typical() + self.deviation * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_follows_what_is_measured_and_widens_with_its_spread() {
        let mut latency = Latency::default();
        assert_eq!(latency.expected(), Duration::ZERO);
        for _ in 0..100 {
            latency.measured(MS * 10);
        }
        assert!((MS * 9..=MS * 11).contains(&latency.typical()) && latency.expected() < MS * 12);
        for time in [5, 40, 5, 40, 5, 40] {
            latency.measured(MS * time);
        }
        assert!(latency.expected() > MS * 40, "{:?}", latency.expected());
    }
}
