use jiff::civil::DateTime;

/// More than any form of a date takes.
const LENGTH_MAX: usize = 32;

/// A date of a receipt. Its time zone is the carrier's and is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptDate {
    /// As the carrier wrote it, at most 32 characters.
    pub as_written: String,
    /// The civil time, if it is one.
    pub civil: Option<DateTime>,
    /// Whether seconds were written; else they are 0 and mean nothing.
    pub to_the_second: bool,
}

impl ReceiptDate {
    /// Reads `YYMMDDhhmm`, `YYMMDDhhmmss`, `YYYYMMDDhhmm`, `YYYYMMDDhhmmss` and the absolute time of SMPP 3.4 section 7.1.1
    /// (`YYMMDDhhmmsstnnp`, of which the offset is ignored), with or without separators. Years are 2000 … 2099.
    ///
    /// Twelve digits are first tried with a year of two: only the years 2001 … 2012 could be mistaken.
    pub fn parse(text: &str) -> Option<ReceiptDate> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let as_written: String = text.chars().take(LENGTH_MAX).collect();
        let digits: Vec<u8> = as_written.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let stray = |c: char| !(c.is_ascii_digit() || " -/:.,TZ+".contains(c));
        let (civil, to_the_second) = match digits.len() {
            _ if as_written.contains(stray) => (None, false),
            10 => (short_year(&digits), false),
            12 => match short_year(&digits) {
                Some(civil) => (Some(civil), true),
                None => (long_year(&digits), false),
            },
            14 => (long_year(&digits), true),
            15 if as_written.ends_with(['+', '-']) => (digits.get(..12).and_then(short_year), true),
            _ => (None, false),
        };
        Some(ReceiptDate { as_written, civil, to_the_second })
    }
}

/// `YYMMDDhhmm` and perhaps `ss`.
fn short_year(digits: &[u8]) -> Option<DateTime> {
    let (year, rest) = digits.split_at_checked(2)?;
    civil(2_000 + i16::from(two(year)?), rest)
}

/// `YYYYMMDDhhmm` and perhaps `ss`.
fn long_year(digits: &[u8]) -> Option<DateTime> {
    match digits {
        [2, 0, rest @ ..] => short_year(rest),
        _ => None,
    }
}

fn civil(year: i16, rest: &[u8]) -> Option<DateTime> {
    let mut pairs = [0_i8; 5];
    for (value, pair) in pairs.iter_mut().zip(rest.chunks(2)) {
        *value = two(pair)?;
    }
    let [month, day, hour, minute, second] = pairs;
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

fn two(digits: &[u8]) -> Option<i8> {
    match digits {
        [tens, ones] => i8::try_from(tens * 10 + ones).ok(),
        _ => None,
    }
}
