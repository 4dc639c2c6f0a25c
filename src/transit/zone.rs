use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A fare zone of a suburban route: `1234 3` buys a ticket to zone 3. One digit, so that a blank within a vehicle code is not
/// taken for a zone more often than it must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Zone(u8);

/// The number is not one to nine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a zone is a number from 1 to 9")]
pub struct ZoneError;

impl Zone {
    /// The last zone that there can be.
    pub const LAST: Zone = Zone(9);

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Zone {
    type Error = ZoneError;

    fn try_from(number: u8) -> Result<Zone, ZoneError> {
        if (1..=Zone::LAST.0).contains(&number) { Ok(Zone(number)) } else { Err(ZoneError) }
    }
}

impl From<Zone> for u8 {
    fn from(zone: Zone) -> u8 {
        zone.0
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        match text.as_bytes() {
            [digit @ b'1'..=b'9'] => Ok(Zone(digit - b'0')),
            _ => Err(ZoneError),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_one_digit_and_json_is_a_number() {
        for number in 1..=9 {
            let zone = Zone::try_from(number).expect("a zone");
            assert_eq!(number.to_string().parse(), Ok(zone));
            assert_eq!(serde_json::to_string(&zone).expect("a number"), number.to_string());
        }
        for text in ["", "0", "10", "01", "+1", "²", "١"] {
            assert_eq!(text.parse::<Zone>(), Err(ZoneError), "{text:?}");
        }
        assert!(serde_json::from_str::<Zone>("0").is_err() && serde_json::from_str::<Zone>("\"3\"").is_err());
    }
}
