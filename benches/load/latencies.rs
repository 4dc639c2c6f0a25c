//! Times, counted in buckets that grow with them: as small for ten million as for ten, and exact to less than one per cent.

use std::time::Duration;

use serde_json::{Value, json};

/// Buckets of one doubling, as a power of two: 128 of them tell times apart by 0.8 %.
const FINE_BITS: u32 = 7;
const FINE: u64 = 1 << FINE_BITS;
/// Up to 2^37 µs, a day and a half. What is longer counts as that.
const DOUBLINGS: u64 = 30;

pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    sum_us: u64,
    max_us: u64,
}

impl Latencies {
    pub(crate) fn new() -> Latencies {
        let buckets = usize::try_from((DOUBLINGS + 1) * FINE).expect("a few thousand");
        Latencies { buckets: vec![0; buckets], count: 0, sum_us: 0, max_us: 0 }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let last = self.buckets.len() - 1;
        self.buckets[bucket(us).min(last)] += 1;
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }

    /// The time that so many of a thousand do not exceed; zero for none.
    pub(crate) fn per_mille(&self, part: u64) -> Duration {
        let wanted = (self.count * part).div_ceil(1_000).max(1);
        let mut passed = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= wanted {
                return Duration::from_micros(upper_end(bucket).min(self.max_us));
            }
        }
        Duration::from_micros(self.max_us)
    }

    /// In milliseconds, for a report.
    pub(crate) fn to_json(&self) -> Value {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let mean = Duration::from_micros(self.sum_us.checked_div(self.count).unwrap_or(0));
        json!({
            "count": self.count,
            "p50": ms(self.per_mille(500)),
            "p90": ms(self.per_mille(900)),
            "p99": ms(self.per_mille(990)),
            "p99_9": ms(self.per_mille(999)),
            "max": ms(Duration::from_micros(self.max_us)),
            "mean": ms(mean),
        })
    }
}

/// Below `FINE` every microsecond has a bucket of its own; above, each doubling has `FINE` of them.
fn bucket(us: u64) -> usize {
    let doublings = (u64::BITS - us.leading_zeros()).saturating_sub(FINE_BITS + 1);
    usize::try_from(u64::from(doublings) * FINE + (us >> doublings)).unwrap_or(usize::MAX)
}

/// The longest time of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / FINE).saturating_sub(1);
    let fine = bucket - doublings * FINE;
    ((fine + 1) << doublings) - 1
}
