//! How fast a pool may send when the SMSC says that it is too fast: additive increase, multiplicative decrease.

use std::time::{Duration, Instant};

/// The rate never falls below this part of the contract's, nor below one message a second: some message must find out when it gets
/// better, and an SMSC that refuses even so little is not slowed down by us.
const FLOOR_PARTS: u64 = 20;
const FLOOR_MILLI: u64 = 1_000;
/// After a decrease the rate stays where it is for so long, and answers to what was sent before it count for nothing.
const HOLD: Duration = Duration::from_secs(1);
/// Messages that could have gone within this time go at once: timers are no finer.
const BURST: Duration = Duration::from_millis(10);
/// A second without throttling wins back this part of the contract's rate.
const INCREASE_PARTS: u64 = 20;
/// From this `congestion_state` on, the rate grows no further (SMPP 5.0, 4.8.4.18: "nearing congestion").
const CONGESTION_NEAR: u8 = 90;
/// At this `congestion_state` the SMSC is congested.
const CONGESTED: u8 = 100;

/// The rate of a pool beneath the contract's own, in thousandths of a message a second. It reads no clock.
///
/// The contract's rate is held by `governor`. This one only bites after `ESME_RTHROTTLED`, `ESME_RMSGQFUL` or a congested
/// `congestion_state`: it halves the rate, or what was really sent where that is less, and wins back a twentieth of the
/// contract's rate a second, so that twenty good seconds at most undo a storm.
#[derive(Debug)]
pub struct Throttle {
    ceiling: u64,
    /// `None` while the contract's rate is all there is.
    reduced: Option<Reduced>,
    sent: Sent,
}

#[derive(Clone, Copy, Debug)]
struct Reduced {
    rate: u64,
    /// What was sent before says nothing of the reduced rate.
    since: Instant,
    /// Up to when growth has been counted.
    grown_until: Instant,
    /// When the next message may go.
    next: Instant,
}

/// How many messages went in this second and in the one before.
#[derive(Debug, Default)]
struct Sent {
    second: Option<Instant>,
    now: u64,
    before: u64,
}

impl Throttle {
    /// For a contract's rate in messages a second.
    pub fn new(per_second: u32) -> Throttle {
        Throttle { ceiling: milli(per_second), reduced: None, sent: Sent::default() }
    }

    /// Another contract's rate; a reduction stays.
    pub fn set_ceiling(&mut self, per_second: u32) {
        self.ceiling = milli(per_second);
    }

    /// When the next message may go; `None` if at once.
    pub fn not_before(&mut self, now: Instant) -> Option<Instant> {
        self.grow(now);
        self.reduced.map(|reduced| reduced.next).filter(|next| *next > now)
    }

    /// A message goes.
    pub fn take(&mut self, now: Instant) {
        self.sent.count(now);
        if let Some(reduced) = &mut self.reduced {
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            reduced.next = reduced.next.max(earliest) + interval(reduced.rate);
        }
    }

    /// A message that went at `sent_at` was answered with "too fast".
    pub fn throttled(&mut self, sent_at: Instant, now: Instant) {
        if self.reduced.is_some_and(|reduced| sent_at <= reduced.since || now < reduced.since + HOLD) {
            return;
        }
        let sending = self.sending(now);
        self.reduce_to(sending / 2, now);
    }

    /// The SMSC's `congestion_state`, 0 to 100: a hint, weaker than a refusal.
    pub fn congestion(&mut self, state: u8, now: Instant) {
        match (&mut self.reduced, state) {
            (Some(reduced), CONGESTED..) if now < reduced.since + HOLD => {}
            (_, CONGESTED..) => {
                let sending = self.sending(now);
                self.reduce_to(sending - sending / 8, now);
            }
            (Some(reduced), CONGESTION_NEAR..) => reduced.grown_until = reduced.grown_until.max(now),
            _ => {}
        }
    }

    /// The rate in force, in thousandths of a message a second.
    pub fn rate(&self) -> u64 {
        self.reduced.map_or(self.ceiling, |reduced| reduced.rate)
    }

    /// Whether the rate is beneath the contract's.
    pub fn is_reduced(&self) -> bool {
        self.reduced.is_some()
    }

    /// How long so many messages take from now on, at a rate that grows as it would without further throttling.
    pub fn time_for(&self, messages: u64) -> Duration {
        let (rate, growth) = (self.rate().max(1), self.growth());
        let wanted = messages.saturating_mul(1_000);
        let growing_ms = (self.ceiling - rate.min(self.ceiling)).saturating_mul(1_000) / growth;
        let while_growing = (rate + self.ceiling) / 2 * growing_ms / 1_000;
        let ms = if wanted >= while_growing {
            growing_ms + (wanted - while_growing).saturating_mul(1_000) / self.ceiling.max(1)
        } else {
            // wanted = rate·t + growth·t²/2, solved for t.
            let root =
                (rate.saturating_mul(rate)).saturating_add(growth.saturating_mul(wanted).saturating_mul(2)).isqrt();
            (root - rate).saturating_mul(1_000) / growth
        };
        Duration::from_millis(ms)
    }

    /// What is really sent: the rate, or less where a whole second says so.
    fn sending(&mut self, now: Instant) -> u64 {
        let rate = self.rate();
        self.sent.rate(now).map_or(rate, |sent| sent.min(rate))
    }

    /// What a second wins back.
    fn growth(&self) -> u64 {
        (self.ceiling / INCREASE_PARTS).max(1_000)
    }

    fn reduce_to(&mut self, rate: u64, now: Instant) {
        let floor = (self.ceiling / FLOOR_PARTS).max(FLOOR_MILLI).min(self.ceiling);
        let rate = rate.clamp(floor, self.ceiling);
        self.reduced = Some(Reduced { rate, since: now, grown_until: now + HOLD, next: now + interval(rate) });
    }

    fn grow(&mut self, now: Instant) {
        let growth = self.growth();
        let Some(reduced) = &mut self.reduced else { return };
        let elapsed = u64::try_from(now.saturating_duration_since(reduced.grown_until).as_millis()).unwrap_or(u64::MAX);
        let won = growth.saturating_mul(elapsed) / 1_000;
        if won == 0 {
            return;
        }
        reduced.grown_until = now;
        reduced.rate = reduced.rate.saturating_add(won);
        // A message that waits for a slow rate need not wait once the rate is faster.
        reduced.next = reduced.next.min(now + interval(reduced.rate));
        if reduced.rate >= self.ceiling {
            self.reduced = None;
        }
    }
}

impl Sent {
    fn count(&mut self, now: Instant) {
        self.turn(now);
        self.now += 1;
    }

    /// In thousandths of a message a second: the busier of this second and the one before. `None` after idle time: the first
    /// moments of a burst say nothing of a rate.
    fn rate(&mut self, now: Instant) -> Option<u64> {
        self.turn(now);
        (self.before > 0).then(|| self.now.max(self.before).saturating_mul(1_000))
    }

    fn turn(&mut self, now: Instant) {
        let second = *self.second.get_or_insert(now);
        let elapsed = now.saturating_duration_since(second);
        if elapsed >= Duration::from_secs(2) {
            *self = Sent { second: Some(now), now: 0, before: 0 };
        } else if elapsed >= Duration::from_secs(1) {
            *self = Sent { second: Some(second + Duration::from_secs(1)), now: 0, before: self.now };
        }
    }
}

fn milli(per_second: u32) -> u64 {
    u64::from(per_second) * 1_000
}

fn interval(rate_milli: u64) -> Duration {
    Duration::from_nanos(1_000_000_000_000 / rate_milli.max(1))
}

#[cfg(test)]
#[allow(clippy::float_arithmetic, reason = "a model to compare with")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends as fast as it may for `time`; how many went.
    fn send_for(throttle: &mut Throttle, now: &mut Instant, time: Duration) -> usize {
        let (end, mut count) = (*now + time, 0);
        while *now < end {
            if throttle.not_before(*now).is_none() {
                throttle.take(*now);
                count += 1;
            }
            *now += MS;
        }
        count
    }

    /// A second with so many messages.
    fn steady_second(throttle: &mut Throttle, now: &mut Instant, messages: u32) {
        for _ in 0..messages {
            throttle.take(*now);
            *now += Duration::from_secs(1) / messages;
        }
    }

    #[test]
    fn without_throttling_the_contracts_rate_is_all_there_is() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        assert_eq!(send_for(&mut throttle, &mut now, MS * 500), 500, "holding the contract's rate is not its business");
        assert!(!throttle.is_reduced());
    }

    #[test]
    fn case_35_a_refusal_halves_what_was_really_sent() {
        let (mut throttle, mut now) = (Throttle::new(400), Instant::now());
        steady_second(&mut throttle, &mut now, 40);
        throttle.throttled(now, now);
        assert_eq!(throttle.rate(), 20_000, "half of forty a second, not half of the contract's four hundred");
    }

    #[test]
    fn the_first_moments_of_a_burst_say_nothing_of_a_rate() {
        let (mut throttle, now) = (Throttle::new(200), Instant::now());
        for _ in 0..8 {
            throttle.take(now);
        }
        throttle.throttled(now, now + MS * 5);
        assert_eq!(throttle.rate(), 100_000, "eight in five milliseconds are no eight a second");
    }

    #[test]
    fn what_waits_is_expected_to_go_at_a_rate_that_grows() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        assert_eq!(throttle.time_for(250), MS * 2_500);
        for _ in 0..10 {
            throttle.throttled(now, now);
            now += HOLD;
        }
        assert_eq!(throttle.rate(), 5_000);
        // A model in small steps.
        for messages in [1_u32, 10, 100, 950, 951, 2_000] {
            let (mut rate, mut gone, mut expected) = (5.0, 0.0, 0.0);
            while gone < f64::from(messages) {
                gone += rate * 0.001;
                rate = f64::min(rate + 5.0 * 0.001, 100.0);
                expected += 0.001;
            }
            let found = throttle.time_for(messages.into()).as_secs_f64();
            assert!((found - expected).abs() < 0.02 * expected + 0.01, "{messages}: {found} and {expected}");
        }
    }

    #[test]
    fn one_storm_is_one_decrease_however_many_messages_it_hits() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        steady_second(&mut throttle, &mut now, 64);
        let sent_at = now;
        for _ in 0..64 {
            now += MS;
            throttle.throttled(sent_at, now);
        }
        assert_eq!(throttle.rate(), 32_000);
        now += HOLD;
        throttle.throttled(now, now);
        assert!(throttle.rate() < 32_000, "what was sent at the reduced rate counts again");
    }

    #[test]
    fn the_rate_grows_by_a_twentieth_of_the_contracts_rate_a_second_until_it_is_whole() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        steady_second(&mut throttle, &mut now, 20);
        throttle.throttled(now, now);
        assert_eq!(throttle.rate(), 10_000);
        assert_eq!(send_for(&mut throttle, &mut now, HOLD), 9, "held for a second, the first after a pause");
        let sent = send_for(&mut throttle, &mut now, MS * 1_000);
        assert!((11..=14).contains(&sent), "between ten and fifteen a second, on average: {sent}");
        assert!((14_900..=15_100).contains(&throttle.rate()), "{}", throttle.rate());
        now += MS * 20_000;
        assert_eq!(throttle.not_before(now), None);
        assert!(!throttle.is_reduced());
    }

    #[test]
    fn it_never_stops_altogether() {
        let (mut throttle, mut now) = (Throttle::new(50), Instant::now());
        for _ in 0..20 {
            throttle.throttled(now, now);
            now += HOLD;
        }
        assert_eq!(throttle.rate(), 2_500);
        assert!(throttle.not_before(now + Duration::from_millis(400)).is_none());
    }

    #[test]
    fn a_congestion_hint_does_not_shorten_the_hold_after_a_refusal() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        steady_second(&mut throttle, &mut now, 20);
        throttle.throttled(now, now);
        throttle.congestion(100, now + MS * 100);
        throttle.not_before(now + MS * 900);
        assert_eq!(throttle.rate(), 10_000);
    }

    #[test]
    fn a_congestion_hint_brakes_gently_and_a_near_one_stops_the_growth() {
        let (mut throttle, mut now) = (Throttle::new(100), Instant::now());
        steady_second(&mut throttle, &mut now, 80);
        throttle.congestion(79, now);
        assert!(!throttle.is_reduced(), "high load is no congestion");
        throttle.congestion(100, now);
        assert_eq!(throttle.rate(), 70_000);
        now += HOLD * 2;
        throttle.congestion(95, now);
        assert_eq!(throttle.not_before(now), None);
        assert_eq!(throttle.rate(), 70_000);
    }
}
