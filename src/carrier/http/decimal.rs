use crate::money::{Currency, Money};

use super::document::AmountUnit;

/// Digits that an amount may be written with.
const DIGITS_MAX: usize = 24;

/// Reads an amount exactly, as JSON, XML and forms write it: `80`, `80.50`, `8.05e1`, `80.5000`. `None`: a sign, noise, or more than the
/// minor unit can say.
pub(super) fn read_amount(text: &str, unit: AmountUnit, currency: Currency) -> Option<Money> {
    let places = match unit {
        AmountUnit::Major => 2,
        AmountUnit::Minor => 0,
    };
    let (digits, exponent) = read_decimal(text)?;
    let minor = scaled(digits, exponent.checked_add(places)?)?;
    Some(Money::new(i64::try_from(minor).ok()?, currency))
}

/// Whether both are decimals of the same value.
pub(super) fn same_decimal(one: &str, other: &str) -> bool {
    // Without the zeros at the end, one value has one form.
    let canonical = |text: &str| {
        let (mut digits, mut exponent) = read_decimal(text)?;
        while digits != 0 && digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        Some((digits, if digits == 0 { 0 } else { exponent }))
    };
    canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

/// Digits and the power of ten that they are multiplied with. `None`: no unsigned decimal.
fn read_decimal(text: &str) -> Option<(u128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let sign = exponent.strip_prefix('+').unwrap_or(exponent);
            let sound = (1..=4).contains(&sign.len());
            (mantissa, if sound { sign.parse::<i32>().ok()? } else { return None })
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let ends_in_point = mantissa.ends_with('.');
    if whole.is_empty() || ends_in_point || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if whole.len() + fraction.len() > DIGITS_MAX {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?))
}

/// `digits` times ten to the `power`, if that is whole.
fn scaled(digits: u128, power: i32) -> Option<u128> {
    if digits == 0 {
        return Some(0);
    }
    let factor = 10_u128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return digits.checked_mul(factor);
    }
    digits.is_multiple_of(factor).then(|| digits / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn major(text: &str) -> Option<i64> {
        read_amount(text, AmountUnit::Major, Currency::Kzt).map(|amount| amount.minor)
    }

    #[test]
    fn an_amount_is_read_exactly_however_it_is_written() {
        for text in ["80.5", "80.50", "80.500000", "8.05e1", "805E-1", "0.805e+2", "080.50"] {
            assert_eq!(major(text), Some(8_050), "{text}");
        }
        assert_eq!(read_amount("8050", AmountUnit::Minor, Currency::Kzt), Some(Money::kzt(8_050)));
        assert_eq!(read_amount("8050.0", AmountUnit::Minor, Currency::Kzt), Some(Money::kzt(8_050)));
        assert_eq!(major("0.00"), Some(0));
    }

    #[test]
    fn what_is_no_exact_amount_is_none() {
        for text in ["", "-80", "+80", "80,50", "80.505", "1e-3", ".5", "5.", "8 0", "0x10", "NaN", "1e99999", "٣"] {
            assert_eq!(major(text), None, "{text}");
        }
        assert_eq!(major("99999999999999999999"), None);
        assert_eq!(major(&"9".repeat(40)), None);
        assert_eq!(read_amount("80.5", AmountUnit::Minor, Currency::Kzt), None);
    }

    #[test]
    fn decimals_are_compared_by_value() {
        assert!(same_decimal("80", "80.00") && same_decimal("8e1", "80") && same_decimal("0", "0.00"));
        assert!(!same_decimal("80", "80.01") && !same_decimal("80", "eighty") && !same_decimal("x", "x"));
    }

    proptest! {
        #[test]
        fn every_amount_reads_back(minor in 0..i64::MAX) {
            prop_assert_eq!(major(&Money::kzt(minor).major()), Some(minor));
        }

        #[test]
        fn no_text_panics(text in "[0-9.eE+-]{0,30}") {
            let _ = (major(&text), same_decimal(&text, "1"));
        }
    }
}
