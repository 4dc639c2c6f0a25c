use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A hundred per cent, in hundredths of a per cent.
const WHOLE: i128 = 10_000;

/// From 0 to 100 per cent, in hundredths of a per cent: `12`, `2.75`. Never a float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percentage(u16);

/// A text that is no percentage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a percentage: write 0 to 100 with at most two digits after the point, as in \"2.75\"")]
pub struct PercentageError(String);

impl Percentage {
    /// Nothing.
    pub const ZERO: Percentage = Percentage(0);

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// This share of `minor` units, rounded to a whole unit, half away from zero.
    pub fn of(self, minor: i64) -> i64 {
        rounded(i128::from(minor) * i128::from(self.0), WHOLE)
    }

    /// The tax at this rate that `minor` units include: of 112 at 12 per cent, 12. Rounded as [`Percentage::of`].
    pub fn included_in(self, minor: i64) -> i64 {
        rounded(i128::from(minor) * i128::from(self.0), WHOLE + i128::from(self.0))
    }
}

/// No quotient here is larger than what is divided.
fn rounded(dividend: i128, divisor: i128) -> i64 {
    let half = divisor / 2;
    let away = if dividend < 0 { dividend - half } else { dividend + half };
    i64::try_from(away / divisor).expect("a share is not larger than the whole")
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl FromStr for Percentage {
    type Err = PercentageError;

    fn from_str(text: &str) -> Result<Percentage, PercentageError> {
        let bad = || PercentageError(text.chars().take(16).collect());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 3) || !digits(part, 2) {
            return Err(bad());
        }
        let number = |s: &str| s.parse::<u16>().map_err(|_| bad());
        let part = number(part)? * if part.len() == 1 { 10 } else { 1 };
        match number(whole)? * 100 + part {
            hundredths if i128::from(hundredths) <= WHOLE => Ok(Percentage(hundredths)),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Percentage {
    type Error = PercentageError;

    fn try_from(text: String) -> Result<Percentage, PercentageError> {
        text.parse()
    }
}

impl From<Percentage> for String {
    fn from(percentage: Percentage) -> String {
        percentage.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn percent(text: &str) -> Percentage {
        text.parse().expect("a percentage")
    }

    #[test]
    fn a_share_is_rounded_half_away_from_zero() {
        assert_eq!(percent("5").of(8_000), 400);
        assert_eq!(percent("12.5").of(4), 1, "0.5 becomes 1");
        assert_eq!(percent("12.5").of(3), 0);
        assert_eq!(percent("12.5").of(-4), -1);
        assert_eq!(percent("100").of(i64::MAX), i64::MAX);
        assert_eq!(percent("100").of(i64::MIN), i64::MIN);
        assert_eq!(Percentage::ZERO.of(1_000), 0);
    }

    #[test]
    fn an_included_tax_is_the_tax_on_what_is_left_without_it() {
        assert_eq!(percent("12").included_in(11_200), 1_200);
        assert_eq!(percent("16").included_in(8_000), 1_103, "1103.448");
        assert_eq!(percent("12").included_in(-11_200), -1_200);
        assert_eq!(Percentage::ZERO.included_in(8_000), 0);
        assert!(Percentage::ZERO.is_zero() && !percent("0.01").is_zero());
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["", "-1", "+1", "1e1", "1,5", "1.", ".5", "1.234", "100.01", "101", "0100", "1000", " 1", "٣"] {
            assert!(text.parse::<Percentage>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(hundredths in 0..=10_000_u16) {
            prop_assert_eq!(Percentage(hundredths).to_string().parse(), Ok(Percentage(hundredths)));
        }

        #[test]
        fn a_tax_and_what_is_left_are_the_whole(hundredths in 0..=10_000_u16, minor in 0..i64::MAX) {
            let tax = Percentage(hundredths).included_in(minor);
            prop_assert!((0..=minor).contains(&tax));
            let again = Percentage(hundredths).of(minor - tax);
            prop_assert!((again - tax).abs() <= 1, "{tax} and {again}");
        }
    }
}
