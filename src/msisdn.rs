//! Kazakhstan's mobile numbers in E.164.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A mobile number of Kazakhstan in E.164: `7`, then ten digits of which the first is `7` (`77011234567`).
///
/// `Debug` and [`Msisdn::masked`] hide the middle; `Display` shows the whole number and is for the wire, the store and
/// answers to callers who may know it, never for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Msisdn(u64);

/// Why a text is not such a number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MsisdnError {
    /// A character other than digits, spaces, dashes, brackets or a leading plus.
    #[error("a phone number has only digits, spaces, dashes and brackets after an optional plus")]
    BadCharacter,
    /// Not eleven digits beginning with 7 or 8, nor ten.
    #[error("a phone number of Kazakhstan has ten digits after +7 or 8; {0} digits came")]
    BadLength(usize),
    /// The right length, but not a mobile number of Kazakhstan.
    #[error("not a mobile number of Kazakhstan: it must begin with +77")]
    NotMobile,
}

const FIRST: u64 = 77_000_000_000;
const LAST: u64 = 77_999_999_999;

impl Msisdn {
    /// From the digits of E.164 as a number. Errors: outside Kazakhstan's mobile range.
    pub fn from_e164(digits: u64) -> Result<Msisdn, MsisdnError> {
        if (FIRST..=LAST).contains(&digits) { Ok(Msisdn(digits)) } else { Err(MsisdnError::NotMobile) }
    }

    /// The digits of E.164 as a number, without the plus.
    pub const fn e164(self) -> u64 {
        self.0
    }

    /// The three digits after the country code, by which numbers were first given to carriers: `701`.
    pub fn prefix(self) -> u16 {
        u16::try_from(self.0 / 10_000_000 % 1_000).unwrap_or(0)
    }

    /// The last four digits, which the short code of a ticket is bound to.
    pub fn last_four(self) -> u16 {
        u16::try_from(self.0 % 10_000).unwrap_or(0)
    }

    /// For logs: `+7701***4567`.
    pub fn masked(self) -> String {
        format!("+7{}***{:04}", self.prefix(), self.last_four())
    }

    /// `text` with this number masked wherever it stands, with whatever before its ten digits, and with spaces, dashes and brackets
    /// between them.
    pub fn masked_in(self, text: &str) -> String {
        let national = format!("{:010}", self.e164() % 10_000_000_000);
        let mask = format!("{}***{:04}", self.prefix(), self.last_four());
        let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            if let Some(behind) = behind_digits(rest, &national) {
                masked.push_str(&mask);
                rest = behind;
            } else {
                masked.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
        masked
    }
}

/// What stands in `text` behind these digits, if it begins with them. One or two marks may stand between two of them.
fn behind_digits<'a>(text: &'a str, digits: &str) -> Option<&'a str> {
    let mut rest = text;
    for (n, digit) in digits.chars().enumerate() {
        for _ in 0..if n == 0 { 0 } else { 2 } {
            rest = rest.strip_prefix([' ', '-', '(', ')', '.', '\u{a0}']).unwrap_or(rest);
        }
        rest = rest.strip_prefix(digit)?;
    }
    Some(rest)
}

impl FromStr for Msisdn {
    type Err = MsisdnError;

    /// Reads `+7707…`, `8707…`, `7707…` or ten digits; spaces, dashes and brackets are passed over.
    fn from_str(text: &str) -> Result<Msisdn, MsisdnError> {
        let text = text.trim();
        let plus = text.starts_with('+');
        let mut digits = 0_u64;
        let mut count = 0_usize;
        for c in text.strip_prefix('+').unwrap_or(text).chars() {
            match c {
                '0'..='9' if count < 15 => {
                    digits = digits * 10 + u64::from(c as u32 - u32::from('0'));
                    count += 1;
                }
                '0'..='9' => return Err(MsisdnError::BadLength(16)),
                ' ' | '-' | '(' | ')' | '\u{a0}' => {}
                _ => return Err(MsisdnError::BadCharacter),
            }
        }
        let e164 = match (count, digits / 10_000_000_000) {
            (11, 7) => digits,
            // 8 is the trunk prefix inside the country; after a plus it would be another country.
            (11, 8) if !plus => digits - 10_000_000_000,
            (10, _) if !plus => digits + 70_000_000_000,
            (11, _) => return Err(MsisdnError::NotMobile),
            _ => return Err(MsisdnError::BadLength(count)),
        };
        Msisdn::from_e164(e164)
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for Msisdn {
    type Error = MsisdnError;

    fn try_from(text: String) -> Result<Msisdn, MsisdnError> {
        text.parse()
    }
}

impl From<Msisdn> for String {
    fn from(msisdn: Msisdn) -> String {
        msisdn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_masked_in_a_text_however_it_is_written_there() {
        let text = "tel:+77071234567, 87071234567, 7071234567; not 77071234568";
        let masked = "tel:+7707***4567, 8707***4567, 707***4567; not 77071234568";
        assert_eq!(Msisdn(77_071_234_567).masked_in(text), masked);
        let text = "+7 (707) 123-45-67, 8 707 1234567; № 7071234, 707\u{a0}123\u{a0}45\u{a0}68 ж";
        let masked = "+7 (707***4567, 8 707***4567; № 7071234, 707\u{a0}123\u{a0}45\u{a0}68 ж";
        assert_eq!(Msisdn(77_071_234_567).masked_in(text), masked);
    }

    #[test]
    fn the_four_ways_of_writing_a_number_are_one_number() {
        let expected = Msisdn(77_071_234_567);
        for text in ["+77071234567", "87071234567", "77071234567", "7071234567", " +7 (707) 123-45-67 "] {
            assert_eq!(text.parse(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn refuses_other_countries_landlines_and_noise() {
        assert_eq!("+79161234567".parse::<Msisdn>(), Err(MsisdnError::NotMobile));
        assert_eq!("+87071234567".parse::<Msisdn>(), Err(MsisdnError::NotMobile));
        assert_eq!("707123456".parse::<Msisdn>(), Err(MsisdnError::BadLength(9)));
        assert_eq!("".parse::<Msisdn>(), Err(MsisdnError::BadLength(0)));
        assert_eq!("77071234567x".parse::<Msisdn>(), Err(MsisdnError::BadCharacter));
        assert_eq!("9".repeat(400).parse::<Msisdn>(), Err(MsisdnError::BadLength(16)));
    }

    #[test]
    fn logs_never_see_the_middle() {
        let msisdn = Msisdn(77_011_234_567);
        assert_eq!(msisdn.masked(), "+7701***4567");
        assert_eq!(format!("{msisdn:?}"), "+7701***4567");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(digits in FIRST..=LAST) {
            let msisdn = Msisdn(digits);
            prop_assert_eq!(msisdn.to_string().parse(), Ok(msisdn));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Msisdn>();
        }
    }
}
