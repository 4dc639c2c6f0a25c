//! Amounts as CAMARA writes them: JSON numbers in major units. They are read and written as text, never as a float.

use serde_json::value::RawValue;

use crate::money::{Currency, Money};

/// Digits and signs of a number that is read. No amount needs as many.
const CHARS_MAX: usize = 40;

/// `80` or `80.50`, as a JSON number.
pub(super) fn to_json(amount: Money) -> Box<RawValue> {
    RawValue::from_string(amount.major()).expect("a decimal number is JSON")
}

/// Reads a JSON number exactly: `80`, `80.00`, `80.500`, `8e1`. `None` for what is no number, less than a minor unit, or out of
/// range. A text that holds a number is taken for one: some write amounts so.
pub(super) fn from_json(number: &RawValue, currency: &str) -> Option<Money> {
    let currency: Currency = currency.parse().ok()?;
    let text = number.get();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.len() > CHARS_MAX {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or((1, mantissa), |mantissa| (-1, mantissa));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    // The power of ten between the last digit and the minor unit.
    let power = exponent.checked_add(2)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let minor = if digits == 0 {
        0
    } else if power >= 0 {
        digits.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?
    } else {
        let unit = 10_i128.checked_pow(power.unsigned_abs())?;
        (digits % unit == 0).then_some(digits / unit)?
    };
    Some(Money::new(i64::try_from(sign * minor).ok()?, currency))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Money> {
        from_json(&RawValue::from_string(text.into()).ok()?, "KZT")
    }

    #[test]
    fn numbers_are_read_exactly_however_they_are_written() {
        for text in ["80", "80.0", "80.00", "80.000", "8e1", "8.0E+1", "800e-1", "\"80.00\"", "0.08e3"] {
            assert_eq!(read(text), Some(Money::kzt(8_000)), "{text}");
        }
        assert_eq!(read("0.29"), Some(Money::kzt(29)));
        assert_eq!(read("1.10"), Some(Money::kzt(110)));
        assert_eq!(read("-80"), Some(Money::kzt(-8_000)));
        assert_eq!(read("0e999999999"), Some(Money::kzt(0)));
        assert_eq!(read("90071992547409.93"), Some(Money::kzt(9_007_199_254_740_993)), "no float in between");
    }

    #[test]
    fn what_is_no_exact_amount_is_none() {
        for text in [
            "80.005",
            "1e-3",
            "1e18",
            "1e999999999",
            "1e-999999999",
            "null",
            "true",
            "{}",
            "\"\"",
            "\"+80\"",
            "\"8 0\"",
            "\"1,5\"",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(from_json(&to_json(Money::kzt(1)), "XXX"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(minor in any::<i64>()) {
            let amount = Money::kzt(minor);
            prop_assert_eq!(from_json(&to_json(amount), "KZT"), Some(amount));
        }

        #[test]
        fn nothing_that_is_json_makes_it_panic(text in r#"-?[0-9]{0,30}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,12})?|"[ -~]{0,50}""#) {
            if let Ok(raw) = RawValue::from_string(text) {
                let _ = from_json(&raw, "KZT");
            }
        }
    }
}
