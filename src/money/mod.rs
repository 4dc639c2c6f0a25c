//! Integer money with its ISO 4217 currency.
//!
//! Amounts are `i64` in the currency's minor unit (tiyn for KZT) and never a float. Arithmetic is checked: an overflow or
//! a mix of currencies is an error that the caller sees, not a wrong sum. A [`Percentage`] is exact too, and its share of an
//! amount is rounded once, half away from zero.

mod percentage;

pub use percentage::{Percentage, PercentageError};

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A currency by its ISO 4217 code. All of them here have two decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Kazakhstani tenge; the minor unit is the tiyn.
    Kzt,
    /// Kyrgyzstani som.
    Kgs,
    /// Uzbekistani sum.
    Uzs,
    /// Russian rouble.
    Rub,
    /// Euro.
    Eur,
    /// United States dollar.
    Usd,
}

impl Currency {
    const ALL: [Currency; 6] =
        [Currency::Kzt, Currency::Kgs, Currency::Uzs, Currency::Rub, Currency::Eur, Currency::Usd];

    /// The three letters of ISO 4217.
    pub const fn code(self) -> &'static str {
        match self {
            Currency::Kzt => "KZT",
            Currency::Kgs => "KGS",
            Currency::Uzs => "UZS",
            Currency::Rub => "RUB",
            Currency::Eur => "EUR",
            Currency::Usd => "USD",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Currency::ALL
            .into_iter()
            .find(|currency| currency.code() == code)
            .ok_or_else(|| MoneyError::UnknownCurrency(code.chars().take(8).collect()))
    }
}

/// An amount in minor units of one currency. May be negative: a ledger has two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: tiyn for KZT, so 80 tenge are 8,000.
    pub minor: i64,
    /// What the units are units of.
    pub currency: Currency,
}

/// Why an amount could not be read or computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// The code is not one that this gateway knows.
    #[error("unknown currency {0:?}; known are KZT, KGS, UZS, RUB, EUR, USD")]
    UnknownCurrency(String),
    /// Not a plain decimal number with at most two digits after the point.
    #[error("{0:?} is not an amount: write 80, 80.5 or 80.50")]
    NotAnAmount(String),
    /// The result does not fit 64 bits.
    #[error("the amount is out of range")]
    OutOfRange,
    /// Two currencies met in one sum.
    #[error("cannot add {0} and {1}")]
    MixedCurrencies(Currency, Currency),
}

impl Money {
    /// `minor` units (tiyn) of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// `minor` tiyn.
    pub const fn kzt(minor: i64) -> Money {
        Money::new(minor, Currency::Kzt)
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Money {
        Money::new(0, currency)
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// The sum. Errors: mixed currencies, overflow.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Money::new(minor, self.currency))
    }

    /// The difference. Errors: mixed currencies, overflow.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        let negated = other.minor.checked_neg().ok_or(MoneyError::OutOfRange)?;
        self.checked_add(Money::new(negated, other.currency))
    }

    /// This amount `count` times, as for a number of passengers. Errors: overflow.
    pub fn checked_mul(self, count: u32) -> Result<Money, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(count)).ok_or(MoneyError::OutOfRange)?;
        Ok(Money::new(minor, self.currency))
    }

    /// Reads a decimal amount such as `80`, `80.5` or `80.50` in major units.
    ///
    /// Errors: a sign, an exponent, a comma, a third digit after the point, or an amount over the range.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        let bad = || MoneyError::NotAnAmount(text.chars().take(32).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
            return Err(bad());
        }
        let major: i64 = whole.parse().map_err(|_| MoneyError::OutOfRange)?;
        let cents: i64 = fraction.parse().map_err(|_| bad())?;
        let cents = if fraction.len() == 1 { cents * 10 } else { cents };
        let minor = major.checked_mul(100).and_then(|m| m.checked_add(cents)).ok_or(MoneyError::OutOfRange)?;
        Ok(Money::new(minor, currency))
    }

    /// The amount in major units without its currency: `80`, or `80.50` where there is a fraction.
    pub fn major(self) -> String {
        let sign = if self.minor < 0 { "-" } else { "" };
        let units = self.minor.unsigned_abs();
        match units % 100 {
            0 => format!("{sign}{}", units / 100),
            cents => format!("{sign}{}.{cents:02}", units / 100),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.major(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_shows_tenge_with_and_without_tiyn() {
        assert_eq!(Money::parse_major("80", Currency::Kzt), Ok(Money::kzt(8_000)));
        assert_eq!(Money::parse_major("80.5", Currency::Kzt), Ok(Money::kzt(8_050)));
        assert_eq!(Money::kzt(8_000).to_string(), "80 KZT");
        assert_eq!(Money::kzt(-8_005).to_string(), "-80.05 KZT");
    }

    #[test]
    fn refuses_what_is_not_a_plain_decimal() {
        for text in ["", "-1", "+1", "1e3", "1,5", "1.", ".5", "1.234", " 1", "٣"] {
            assert!(matches!(Money::parse_major(text, Currency::Kzt), Err(MoneyError::NotAnAmount(_))), "{text:?}");
        }
        assert_eq!(Money::parse_major("99999999999999999999", Currency::Kzt), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn refuses_to_mix_currencies_or_overflow() {
        let usd = Money::new(1, Currency::Usd);
        assert!(Money::kzt(1).checked_add(usd).is_err());
        assert_eq!(Money::kzt(i64::MAX).checked_add(Money::kzt(1)), Err(MoneyError::OutOfRange));
        assert_eq!(Money::kzt(0).checked_sub(Money::kzt(i64::MIN)), Err(MoneyError::OutOfRange));
        assert_eq!(Money::kzt(i64::MAX).checked_mul(2), Err(MoneyError::OutOfRange));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(minor in 0..i64::MAX) {
            let money = Money::kzt(minor);
            prop_assert_eq!(Money::parse_major(&money.major(), Currency::Kzt), Ok(money));
        }
    }
}
