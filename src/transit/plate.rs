use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A state plate of Kazakhstan in one spelling: upper case, without blanks and dashes, Cyrillic letters that look like
/// Latin ones made Latin. So `123 авс 02`, typed on any keyboard, is `123ABC02`. Every comparison of plates is one of this
/// spelling.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Plate(String);

/// The text cannot be a plate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a state plate is written as 123 ABC 02 or 123 AB 02 with a region from 01 to 20, or in the old way as A 123 BCD or A 123 BC"
)]
pub struct PlateError;

impl Plate {
    /// The most letters and digits that a plate has.
    pub const LENGTH_MAX: usize = 8;
    /// The regions, the last two digits of a plate: 01 is Astana, 20 is Ulytau.
    const REGIONS: std::ops::RangeInclusive<u8> = 1..=20;

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Plate {
    type Err = PlateError;

    fn from_str(text: &str) -> Result<Plate, PlateError> {
        let mut plate = String::with_capacity(Plate::LENGTH_MAX);
        for c in text.chars().filter(|c| !is_separator(*c)) {
            let c = latin_look_alike(upper(c));
            if !c.is_ascii_alphanumeric() || plate.len() == Plate::LENGTH_MAX {
                return Err(PlateError);
            }
            plate.push(c);
        }
        if has_a_form_of_plates(plate.as_bytes()) { Ok(Plate(plate)) } else { Err(PlateError) }
    }
}

/// `123ABC02` (a person's) and `123AB02` (a company's) since 2012; `A123BCD` and `A123BC` before.
///
/// Each has a letter, so that none is a vehicle code; and none is another one with a digit behind it, so that a zone can
/// follow a plate.
fn has_a_form_of_plates(plate: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let letters = |part: &[u8]| part.iter().all(u8::is_ascii_uppercase);
    match *plate {
        [a, b, c, ref series @ .., tens, ones] if digits(&[a, b, c, tens, ones]) => {
            let region = (tens - b'0') * 10 + (ones - b'0');
            matches!(series.len(), 2 | 3) && letters(series) && Plate::REGIONS.contains(&region)
        }
        [region, a, b, c, ref series @ ..] => {
            matches!(series.len(), 2 | 3) && letters(&[region]) && digits(&[a, b, c]) && letters(series)
        }
        _ => false,
    }
}

/// Blanks of all kinds, and what stands for a dash on one keyboard or another.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// The capital of a letter that has one of its own; any other character is itself.
fn upper(c: char) -> char {
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => c,
    }
}

/// The Latin letter that a Cyrillic capital looks like, Kazakh ones included. Any other character is itself.
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
        'У' | 'Ү' => 'Y',
        'Х' => 'X',
        'І' => 'I',
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
pub(crate) mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::transit::VehicleCode;

    fn folded(text: &str) -> Option<String> {
        text.parse::<Plate>().ok().map(String::from)
    }

    #[test]
    fn cyrillic_and_latin_look_alikes_are_one_plate() {
        for text in ["123ABC02", "123 авс 02", " 123-АBС-02 ", "123\u{a0}abc 02", "123–Аbс—02", "1 2 3 a b c 0 2"]
        {
            assert_eq!(folded(text).as_deref(), Some("123ABC02"), "{text:?}");
        }
        assert_eq!(folded("123 аве 02").as_deref(), Some("123ABE02"));
        assert_eq!(folded("456кмн17").as_deref(), Some("456KMH17"));
        assert_eq!(folded("о 123 рс").as_deref(), Some("O123PC"));
        assert_eq!(folded("т 123 хуі").as_deref(), Some("T123XYI"));
        assert_eq!(folded("т 123 хүІ").as_deref(), Some("T123XYI"));
    }

    #[test]
    fn plates_have_the_forms_of_the_state_and_its_regions() {
        for text in ["123ABC02", "123AB20", "001AA01", "A123BCD", "Z999AB"] {
            assert_eq!(folded(text).as_deref(), Some(text));
        }
        for text in [
            "",
            "A12",
            "12345678",
            "123ЖЖЖ02",
            "123_ABC02",
            "123ABC021",
            "123ABC",
            "123ABC00",
            "123ABC21",
            "123A02",
            "123ABCD02",
            "A123B",
            "A123BCDE",
            "AB123CD",
            "123ßC02",
            "１２３ABC02",
        ] {
            assert_eq!(text.parse::<Plate>(), Err(PlateError), "{text:?}");
        }
    }

    /// Any plate in its one spelling.
    pub(crate) fn any_plate() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9]{3}[A-Z]{2,3}(0[1-9]|1[0-9]|20)", "[A-Z][0-9]{3}[A-Z]{2,3}"]
    }

    /// The same plate as it may be typed: any letter in the other alphabet or in lower case, separators anywhere.
    pub(crate) fn typed(plate: String) -> impl Strategy<Value = String> {
        let separators =
            prop::collection::vec(select(vec!["", "", "", " ", "-", "–", "\u{a0}", " - "]), plate.len() + 1);
        let looks = prop::collection::vec(0..4_u8, plate.len());
        (Just(plate), separators, looks).prop_map(|(plate, separators, looks)| {
            let letter = |c: char, look: u8| {
                let cyrillic = "АВЕКМНОРСТУХІ".chars().find(|other| latin_look_alike(*other) == c).unwrap_or(c);
                let c = if look & 1 == 0 { c } else { cyrillic };
                if look & 2 == 0 { c.to_string() } else { c.to_lowercase().to_string() }
            };
            let letters = plate.chars().zip(looks).map(|(c, look)| letter(c, look));
            let (first, rest) = separators.split_first().expect("one more than letters");
            let parts = letters.zip(rest).map(|(letter, separator)| format!("{letter}{separator}"));
            std::iter::once((*first).to_owned()).chain(parts).collect()
        })
    }

    proptest! {
        #[test]
        fn any_mixture_of_look_alikes_cases_and_separators_is_the_same_plate(
            (plate, written) in any_plate().prop_flat_map(|plate| (Just(plate.clone()), typed(plate)))
        ) {
            prop_assert_eq!(folded(&written), Some(plate), "{:?}", written);
        }

        #[test]
        fn a_plate_never_equals_a_vehicle_code_nor_another_plate_with_a_digit_behind_it(plate in any_plate(), digit in 0..10_u8) {
            prop_assert!(plate.parse::<VehicleCode>().is_err());
            prop_assert_eq!(folded(&format!("{plate}{digit}")), None);
        }

        #[test]
        fn the_one_spelling_reads_as_itself_and_no_text_panics(text in ".{0,16}|[0-9А-Яа-яA-Za-z -]{0,14}") {
            if let Ok(plate) = text.parse::<Plate>() {
                prop_assert_eq!(plate.as_str().parse(), Ok(plate.clone()));
                prop_assert!(text.parse::<VehicleCode>().is_err());
            }
        }
    }
}
