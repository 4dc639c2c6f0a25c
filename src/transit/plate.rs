use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A state plate in one spelling: upper case, without spaces and dashes, Cyrillic letters that look like Latin ones
/// made Latin. So `123 авс 02`, typed on any keyboard, is `123ABC02`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Plate(String);

/// The text cannot be a plate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a state plate has 4 to 10 letters and digits, at least one of them a letter")]
pub struct PlateError;

impl Plate {
    const LENGTH: std::ops::RangeInclusive<usize> = 4..=10;

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Plate {
    type Err = PlateError;

    fn from_str(text: &str) -> Result<Plate, PlateError> {
        let mut plate = String::with_capacity(*Plate::LENGTH.end());
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase) {
            let c = latin_look_alike(c);
            if !c.is_ascii_alphanumeric() || plate.len() == *Plate::LENGTH.end() {
                return Err(PlateError);
            }
            plate.push(c);
        }
        // Digits alone would be a vehicle code.
        let is_plate = Plate::LENGTH.contains(&plate.len()) && plate.contains(|c: char| c.is_ascii_alphabetic());
        if is_plate { Ok(Plate(plate)) } else { Err(PlateError) }
    }
}

/// The Latin letter that a Cyrillic capital looks like: the twelve that stand on state plates. Any other character is itself.
pub const fn latin_look_alike(c: char) -> char {
    match c {
        'А' => 'A',
        'В' => 'B',
        'Е' => 'E',
        'К' => 'K',
        'М' => 'M',
        'Н' => 'H',
        'О' => 'O',
        'Р' => 'P',
        'С' => 'C',
        'Т' => 'T',
        'У' => 'Y',
        'Х' => 'X',
        other => other,
    }
}

impl fmt::Display for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plate({self})")
    }
}

impl TryFrom<String> for Plate {
    type Error = PlateError;

    fn try_from(text: String) -> Result<Plate, PlateError> {
        text.parse()
    }
}

impl From<Plate> for String {
    fn from(plate: Plate) -> String {
        plate.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> Option<String> {
        text.parse::<Plate>().ok().map(String::from)
    }

    #[test]
    fn cyrillic_and_latin_look_alikes_are_one_plate() {
        for text in ["123ABC02", "123 авс 02", " 123-АBС-02 ", "123\u{a0}abc 02"] {
            assert_eq!(folded(text).as_deref(), Some("123ABC02"), "{text:?}");
        }
        assert_eq!(folded("авекмнорстух"), None, "twelve letters are too many");
        assert_eq!(folded("авекмн").as_deref(), Some("ABEKMH"));
        assert_eq!(folded("орстух").as_deref(), Some("OPCTYX"));
    }

    #[test]
    fn what_cannot_be_a_plate_is_refused() {
        for text in ["", "A12", "12345678", "123ЖЖЖ02", "123_ABC", "123ABC02123"] {
            assert_eq!(text.parse::<Plate>(), Err(PlateError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_one_spelling_reads_as_itself_and_no_text_panics(text in ".{0,16}|[0-9А-Яа-яA-Za-z -]{0,14}") {
            if let Ok(plate) = text.parse::<Plate>() {
                prop_assert_eq!(plate.as_str().parse(), Ok(plate.clone()));
                prop_assert!(text.parse::<crate::transit::VehicleCode>().is_err());
            }
        }
    }
}
