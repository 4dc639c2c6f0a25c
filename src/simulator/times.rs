//! SMPP's ways of writing time (SMPP 3.4, section 7.1.1, and the dates of appendix B).

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};

use crate::clock::Timestamp;

/// Not a time as section 7.1.1 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYMMDDhhmmsstnnp")]
pub(super) struct NotATime;

/// How long a message is valid from `now`: `text` is absolute (`…+`, `…-`), relative (`…R`) or empty for the default.
///
/// A relative month counts 30 days and a year 365, as the specification leaves it to the SMSC.
pub(super) fn validity(text: &str, now: Timestamp) -> Result<Option<Duration>, NotATime> {
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, sign) = text.split_at_checked(15).ok_or(NotATime)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotATime);
    }
    let field = |from: usize| digits.get(from..from + 2).and_then(|pair| pair.parse::<i16>().ok()).ok_or(NotATime);
    let [year, month, day, hour, minute, second] = [field(0)?, field(2)?, field(4)?, field(6)?, field(8)?, field(10)?];
    let quarters = i64::from(field(13)?);
    let local_ahead = match sign {
        "R" => {
            let days = i64::from(year) * 365 + i64::from(month) * 30 + i64::from(day);
            let seconds = ((days * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
            return Ok(Some(Duration::from_secs(u64::try_from(seconds).map_err(|_| NotATime)?)));
        }
        "+" => quarters,
        "-" => -quarters,
        _ => return Err(NotATime),
    };
    if quarters > 48 {
        return Err(NotATime);
    }
    let part = |value: i16| i8::try_from(value).map_err(|_| NotATime);
    let local = DateTime::new(2000 + year, part(month)?, part(day)?, part(hour)?, part(minute)?, part(second)?, 0)
        .map_err(|_| NotATime)?;
    let utc = local.to_zoned(TimeZone::UTC).map_err(|_| NotATime)?.timestamp().as_second() - local_ahead * 15 * 60;
    Ok(Some(Timestamp::from_unix_seconds(utc).since(now)))
}

/// A date in a receipt's text: `YYMMDDhhmm` in the SMSC's zone.
pub(super) fn receipt_date(at: Timestamp, zone: &TimeZone) -> String {
    at.zoned(zone).strftime("%y%m%d%H%M").to_string()
}

/// The absolute form, as `final_date` in a `query_sm_resp`.
pub(super) fn absolute(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.zoned(zone);
    let quarters = local.offset().seconds() / (15 * 60);
    let sign = if quarters < 0 { '-' } else { '+' };
    format!("{}0{:02}{sign}", local.strftime("%y%m%d%H%M%S"), quarters.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn absolute_and_relative_validity_mean_the_same_moment() {
        let now = at("2026-03-01T07:30:00Z");
        for text in ["000000000500000R", "260301123500020+", "260301073500000+", "260301023500020-"] {
            assert_eq!(validity(text, now), Ok(Some(Duration::from_secs(300))), "{text}");
        }
        assert_eq!(validity("", now), Ok(None));
        assert_eq!(validity("250301123500020+", now), Ok(Some(Duration::ZERO)));
        for text in ["260301123500020", "261301123500020+", "26030112350002é", "260301123500049+", "260301123500020?"]
        {
            assert_eq!(validity(text, now), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_the_zone_of_the_smsc() {
        let zone = TimeZone::get("Asia/Almaty").expect("the zone is bundled");
        assert_eq!(receipt_date(at("2026-03-01T19:05:59Z"), &zone), "2603020005");
        assert_eq!(absolute(at("2026-03-01T19:05:59Z"), &zone), "260302000559020+");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ahead in 0_u32..4_000_000) {
            let zone = TimeZone::get("Asia/Almaty").expect("the zone is bundled");
            let now = at("2026-03-01T07:30:00Z");
            let span = Duration::from_secs(ahead.into());
            prop_assert_eq!(validity(&absolute(now.plus(span), &zone), now), Ok(Some(span)));
        }

        #[test]
        fn no_text_panics(text in "[0-9R+é-]{0,20}") {
            let _ = validity(&text, at("2026-03-01T07:30:00Z"));
        }
    }
}
