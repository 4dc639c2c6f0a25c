use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The number on the sticker in the bus: one to eight digits, unique across all cities. Leading zeros count: `0123` is
/// another vehicle than `123`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VehicleCode {
    // Filled up with zero bytes, which are no digits: so the derived equality and order are those of the text.
    digits: [u8; VehicleCode::DIGITS_MAX],
}

/// The text is not one to eight digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a vehicle code has one to eight digits")]
pub struct VehicleCodeError;

impl VehicleCode {
    /// The most digits that a code has.
    pub const DIGITS_MAX: usize = 8;

    /// The digits, as on the sticker.
    pub fn as_str(&self) -> &str {
        let text = std::str::from_utf8(&self.digits).expect("digits and zero bytes are ASCII");
        text.trim_end_matches('\0')
    }
}

impl FromStr for VehicleCode {
    type Err = VehicleCodeError;

    fn from_str(text: &str) -> Result<VehicleCode, VehicleCodeError> {
        let mut digits = [0; VehicleCode::DIGITS_MAX];
        let places = digits.get_mut(..text.len()).ok_or(VehicleCodeError)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(VehicleCodeError);
        }
        places.copy_from_slice(text.as_bytes());
        Ok(VehicleCode { digits })
    }
}

impl fmt::Display for VehicleCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for VehicleCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VehicleCode({self})")
    }
}

impl TryFrom<String> for VehicleCode {
    type Error = VehicleCodeError;

    fn try_from(text: String) -> Result<VehicleCode, VehicleCodeError> {
        text.parse()
    }
}

impl From<VehicleCode> for String {
    fn from(code: VehicleCode) -> String {
        code.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_to_eight_digits_and_nothing_else() {
        for text in ["1", "1234", "0123", "99999999"] {
            assert_eq!(text.parse::<VehicleCode>().map(|code| code.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "123456789", "12a4", "-1", " 1", "١٢", "1\0"] {
            assert_eq!(text.parse::<VehicleCode>(), Err(VehicleCodeError), "{text:?}");
        }
    }

    #[test]
    fn json_is_a_string_and_leading_zeros_count() {
        let code: VehicleCode = "0123".parse().expect("a code");
        assert_ne!(Ok(code), "123".parse());
        assert_eq!(serde_json::to_string(&code).expect("a string"), "\"0123\"");
        assert!(serde_json::from_str::<VehicleCode>("\"12x\"").is_err());
    }

    proptest! {
        #[test]
        fn codes_are_ordered_as_their_texts(a in "[0-9]{1,8}", b in "[0-9]{1,8}") {
            let (x, y): (VehicleCode, VehicleCode) = (a.parse().expect("a code"), b.parse().expect("a code"));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
