//! Exact decimals: amounts are read from and written as the digits of the text, and never pass through a float.

/// Digits of a number, before and after its point, above which it is no amount.
const DIGITS_MAX: usize = 40;

/// Why a text is no amount in tiyn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AmountError {
    /// Not a number.
    Syntax,
    /// A number finer than a tiyn.
    TooFine,
    /// Too large for 64 bits.
    TooLarge,
}

/// Reads a JSON number (RFC 8259, section 6) of tenge into tiyn, exactly: `80`, `80.50`, `8.05e1`. A sign is no amount.
pub(super) fn from_json_number(text: &str) -> Result<i64, AmountError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        None => (mantissa, ""),
        Some((_, "")) => return Err(AmountError::Syntax),
        Some(parts) => parts,
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
        return Err(AmountError::Syntax);
    }
    shifted(whole, fraction, exponent)
}

/// Reads a plain decimal of tenge into tiyn, as forms carry it: `80`, `80.5`, `80.50`. No sign, no exponent.
pub(super) fn from_decimal(text: &str) -> Result<i64, AmountError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(AmountError::Syntax);
    }
    shifted(whole, fraction, 0)
}

/// Tenge, with two digits after the point only where there are tiyn: `80`, `80.50`. Reads back as JSON number and decimal.
pub(super) fn to_text(minor: i64) -> String {
    let (sign, units) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    match units % 100 {
        0 => format!("{sign}{}", units / 100),
        tiyn => format!("{sign}{}.{tiyn:02}", units / 100),
    }
}

/// `whole.fraction` times ten to the `exponent`, in hundredths.
fn shifted(whole: &str, fraction: &str, exponent: i64) -> Result<i64, AmountError> {
    if whole.len() + fraction.len() > DIGITS_MAX {
        return Err(AmountError::TooLarge);
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let trailing = length(&digits) - length(digits.trim_end_matches('0'));
    // The power of ten of the last significant digit, in hundredths.
    let power = exponent.saturating_sub(length(fraction)).saturating_add(trailing).saturating_add(2);
    let power = match u32::try_from(power) {
        Ok(power) => power,
        Err(_) if power < 0 => return Err(AmountError::TooFine),
        Err(_) => return Err(AmountError::TooLarge),
    };
    let units: i64 = significant.parse().map_err(|_| AmountError::TooLarge)?;
    let scale = 10_i64.checked_pow(power).ok_or(AmountError::TooLarge)?;
    units.checked_mul(scale).ok_or(AmountError::TooLarge)
}

fn read_exponent(text: &str) -> Result<i64, AmountError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !all_digits(digits) {
        return Err(AmountError::Syntax);
    }
    let size: i64 = digits.parse().unwrap_or(i64::MAX);
    Ok(if text.starts_with('-') { -size } else { size })
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_amount_has_many_spellings_in_json() {
        for text in ["80.5", "80.50", "80.500", "8.05e1", "8050E-2", "805e-1", "0.805e+2"] {
            assert_eq!(from_json_number(text), Ok(8_050), "{text}");
        }
        assert_eq!(from_json_number("0"), Ok(0));
        assert_eq!(from_json_number("0e999999999999999999999"), Ok(0));
        assert_eq!(from_json_number("92233720368547758.07"), Ok(i64::MAX));
    }

    #[test]
    fn what_is_no_amount_is_told_apart() {
        for text in ["", "-1", "+1", "01", ".5", "1.", "1e", "1e+", "1e1.5", "1,5", " 1", "NaN", "0x10", "1_0", "٣"] {
            assert_eq!(from_json_number(text), Err(AmountError::Syntax), "{text:?}");
        }
        assert_eq!(from_json_number("80.001"), Err(AmountError::TooFine));
        assert_eq!(from_json_number("1e-99999999999999999999"), Err(AmountError::TooFine));
        for text in
            ["92233720368547758.08", "1e17", "1e99999999999999999999", "99999999999999999999999999999999999999999"]
        {
            assert_eq!(from_json_number(text), Err(AmountError::TooLarge), "{text}");
        }
        for text in ["1e2", "", ".", "1.", "-1"] {
            assert_eq!(from_decimal(text), Err(AmountError::Syntax), "{text:?}");
        }
        assert_eq!(from_decimal("80.005"), Err(AmountError::TooFine));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_by_either_way(minor in 0..=i64::MAX) {
            let text = to_text(minor);
            prop_assert_eq!(from_json_number(&text), Ok(minor));
            prop_assert_eq!(from_decimal(&text), Ok(minor));
        }

        #[test]
        fn the_exponent_only_moves_the_point(minor in 1..1_000_000_000_i64, zeros in 0_usize..6, shift in -6_i32..6) {
            // minor tiyn = minor × 10^-2 tenge, written with the point moved by `shift` and zeros behind it.
            let text = format!("{minor}.{:0<1$}e{2}", "0", zeros + 1, shift - 2);
            let expected = match u32::try_from(shift) {
                Ok(up) => minor.checked_mul(10_i64.pow(up)),
                Err(_) => Some(minor).filter(|m| m % 10_i64.pow(shift.unsigned_abs()) == 0)
                    .map(|m| m / 10_i64.pow(shift.unsigned_abs())),
            };
            match expected {
                Some(expected) => prop_assert_eq!(from_json_number(&text), Ok(expected)),
                None => prop_assert_eq!(from_json_number(&text), Err(AmountError::TooFine)),
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9eE.+-]{0,60}") {
            let _ = (from_json_number(&text), from_decimal(&text));
        }
    }
}
