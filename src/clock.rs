//! Time: UTC timestamps in milliseconds, and the clock that the daemon reads and a simulation turns.
//!
//! PURE modules receive a [`Timestamp`]; only the edges hold a [`Clock`]. Running timers use tokio's monotonic clock;
//! what is stored is UTC.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{fmt::rfc2822::DateTimePrinter, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A moment in UTC, in milliseconds since 1970. Written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A text that is no moment in RFC 3339, or one outside the years 1 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a moment in RFC 3339 (2026-03-01T07:30:00Z): {0}")]
pub struct TimestampError(String);

static HTTP_DATES: DateTimePrinter = DateTimePrinter::new();
/// Where [`Clock::ran`] counts from.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Timestamp {
    /// The earliest moment that can be shown: year 1. Arithmetic stops there.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000);
    /// The latest moment that can be shown: end of year 9999 less a day. Arithmetic stops there.
    pub const MAX: Timestamp = Timestamp(253_402_128_000_000);

    /// `ms` milliseconds after 1970-01-01T00:00:00Z, held within [`Timestamp::MIN`] and [`Timestamp::MAX`].
    pub const fn from_unix_ms(ms: i64) -> Timestamp {
        if ms < Timestamp::MIN.0 {
            Timestamp::MIN
        } else if ms > Timestamp::MAX.0 {
            Timestamp::MAX
        } else {
            Timestamp(ms)
        }
    }

    /// `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix_seconds(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since 1970.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// `span` later, to the millisecond; stops at [`Timestamp::MAX`].
    pub fn plus(self, span: Duration) -> Timestamp {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_ms(self.0.saturating_add(ms))
    }

    /// `span` earlier, to the millisecond; stops at [`Timestamp::MIN`].
    pub fn minus(self, span: Duration) -> Timestamp {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_ms(self.0.saturating_sub(ms))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The civil date of this moment in `zone`.
    pub fn date_in(self, zone: &TimeZone) -> jiff::civil::Date {
        self.zoned(zone).date()
    }

    /// This moment as `zone` shows it.
    pub fn zoned(self, zone: &TimeZone) -> jiff::Zoned {
        self.to_jiff().to_zoned(zone.clone())
    }

    /// This moment as HTTP shows it (RFC 9110 §5.6.7), to the second, rounded down.
    pub fn to_http_date(self) -> Option<String> {
        HTTP_DATES.timestamp_to_rfc9110_string(&self.to_jiff()).ok()
    }

    /// A moment as HTTP shows it. `None` for a text that is none.
    pub fn from_http_date(text: &str) -> Option<Timestamp> {
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Timestamp::from_unix_ms(parsed.as_millisecond()))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        // Both bounds of this type lie within jiff's.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|e: jiff::Error| TimestampError(e.to_string()))?;
        let ms = parsed.as_millisecond();
        if (Timestamp::MIN.0..=Timestamp::MAX.0).contains(&ms) {
            Ok(Timestamp(ms))
        } else {
            Err(TimestampError("outside the years 1 to 9999".into()))
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Timestamp, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> String {
        at.to_string()
    }
}

/// Where *now* comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Manual(ManualClock),
    /// A simulation's wall clock.
    #[cfg(test)]
    Simulated(SimulatedClock),
}

impl Clock {
    /// The present moment, UTC.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::from_unix_ms(jiff::Timestamp::now().as_millisecond()),
            Clock::Manual(clock) => clock.now(),
            #[cfg(test)]
            Clock::Simulated(clock) => clock.now(),
        }
    }

    /// How long something has run that stands for nothing but the time that passed: by the machine's clock that nobody sets. Only the
    /// difference of two within one process means anything.
    pub fn ran(&self) -> Duration {
        match self {
            Clock::System => BEGUN.elapsed(),
            Clock::Manual(clock) => clock.ran(),
            #[cfg(test)]
            Clock::Simulated(clock) => clock.ran(),
        }
    }
}

/// A clock turned by hand. Clones share one face.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Face>);

#[derive(Debug)]
struct Face {
    start: Timestamp,
    at: AtomicI64,
    /// By how much it was set back, all together.
    back_ms: AtomicI64,
}

impl ManualClock {
    /// Standing at `at`.
    pub fn new(at: Timestamp) -> ManualClock {
        ManualClock(Arc::new(Face { start: at, at: AtomicI64::new(at.unix_ms()), back_ms: AtomicI64::new(0) }))
    }

    /// Sets it to `at`. Forward, so much time has passed; back, none has.
    pub fn set(&self, at: Timestamp) {
        let back_ms = self.now().unix_ms().saturating_sub(at.unix_ms()).max(0);
        self.0.back_ms.fetch_add(back_ms, Ordering::SeqCst);
        self.0.at.store(at.unix_ms(), Ordering::SeqCst);
    }

    /// Turns it forward by `span`.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().plus(span));
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.at.load(Ordering::SeqCst))
    }

    fn ran(&self) -> Duration {
        let forth_ms = self.now().unix_ms().saturating_sub(self.0.start.unix_ms());
        let ran_ms = forth_ms.saturating_add(self.0.back_ms.load(Ordering::SeqCst));
        Duration::from_millis(u64::try_from(ran_ms).unwrap_or(0))
    }
}

/// A wall clock that runs with a monotonic one, and jumps when it is told to. Clones share one face.
#[cfg(test)]
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    start: Timestamp,
    begun: std::time::Instant,
    monotonic: fn() -> std::time::Instant,
    jumped_ms: Arc<AtomicI64>,
}

#[cfg(test)]
impl SimulatedClock {
    /// Shows `start` now, and runs as `monotonic` does.
    pub(crate) fn new(start: Timestamp, monotonic: fn() -> std::time::Instant) -> SimulatedClock {
        SimulatedClock { start, begun: monotonic(), monotonic, jumped_ms: Arc::default() }
    }

    /// Jumps forth, or back.
    pub(crate) fn jump(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Jumps to what it would show if it had never jumped.
    pub(crate) fn set_right(&self) {
        self.jumped_ms.store(0, Ordering::SeqCst);
    }

    /// How long it has run, whatever it shows.
    pub(crate) fn ran(&self) -> Duration {
        (self.monotonic)().saturating_duration_since(self.begun)
    }

    fn now(&self) -> Timestamp {
        let at = self.start.plus(self.ran());
        Timestamp::from_unix_ms(at.unix_ms().saturating_add(self.jumped_ms.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_reads_rfc_3339_with_milliseconds() {
        let at = Timestamp::from_unix_ms(1_772_350_200_123);
        assert_eq!(at.to_string(), "2026-03-01T07:30:00.123Z");
        assert_eq!("2026-03-01T12:30:00.123+05:00".parse(), Ok(at));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn shows_and_reads_dates_of_http_to_the_second() {
        let at = Timestamp::from_unix_ms(1_772_350_200_999);
        assert_eq!(at.to_http_date().as_deref(), Some("Sun, 01 Mar 2026 07:30:00 GMT"));
        assert_eq!(
            Timestamp::from_http_date("Sun, 01 Mar 2026 07:30:00 GMT"),
            Some(Timestamp::from_unix_ms(1_772_350_200_000))
        );
        assert_eq!(Timestamp::from_http_date("2026-03-01T07:30:00Z"), None);
    }

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
        for at in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(at.to_string().parse(), Ok(at));
        }
    }

    #[test]
    fn a_day_is_cut_in_the_carriers_zone_and_almaty_moved_in_2024() {
        let zone = TimeZone::get("Asia/Almaty").expect("the zone is bundled");
        let before: Timestamp = "2024-02-28T18:30:00Z".parse().expect("a moment");
        let after: Timestamp = "2024-03-02T18:30:00Z".parse().expect("a moment");
        assert_eq!(before.date_in(&zone).to_string(), "2024-02-29");
        assert_eq!(after.date_in(&zone).to_string(), "2024-03-02");
    }

    #[test]
    fn a_manual_clock_stands_still_and_can_go_back() {
        let hand = ManualClock::new(Timestamp::from_unix_seconds(100));
        let clock = Clock::Manual(hand.clone());
        hand.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(105));
        hand.set(Timestamp::from_unix_seconds(50));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(50));
    }
}
