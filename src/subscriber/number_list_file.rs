use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Asserts, NumberList, NumberListSettings,
    number_list::{Span, key},
};
use crate::{
    clock::Timestamp,
    eligibility::{Fact, FactName},
    msisdn::{Msisdn, MsisdnError},
};

/// All number lists, loaded together.
#[derive(Clone, Debug, Default)]
pub struct NumberLists(Vec<NumberList>);

/// Which lists there are, and how long they may be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberListsSettings {
    /// So many lines at most, in all files together. An entry takes 12 bytes of memory; one that
    /// is cut in two by a narrower one 24, and loading about as much again.
    pub lines_max: usize,
    /// The lists.
    pub lists: Vec<NumberListSettings>,
}

impl Default for NumberListsSettings {
    fn default() -> NumberListsSettings {
        NumberListsSettings { lines_max: 5_000_000, lists: Vec::new() }
    }
}

/// Why the lists could not be loaded. None of them is, then. The text of a line is not repeated: it may be a phone
/// number.
#[derive(Debug, Error)]
pub enum NumberListError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two lists have one name, so that a fact would not say which it is from.
    #[error("two number lists have the name {0:?}")]
    RepeatedName(String),
    /// More lines than are allowed; what was left for this file, after those before it, is `lines_max`.
    #[error("{}: more than {lines_max} lines", file.display())]
    TooManyLines {
        /// Which.
        file: PathBuf,
        /// The bound.
        lines_max: usize,
    },
    /// A line that cannot be understood.
    #[error("{}, line {line}, column {column}: {reason}", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Counted from 1, comments and empty lines too.
        line: usize,
        /// The field, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: LineFault,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// The line is over 1,000 bytes.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A column name that means nothing here.
    #[error("unknown column name; known are from (or msisdn), to, value")]
    UnknownColumn,
    /// A column named twice.
    #[error("this column is named twice")]
    RepeatedColumn,
    /// The names of the columns lack `from`.
    #[error("no column is named from or msisdn")]
    NoFrom,
    /// More fields than columns.
    #[error("one field too many")]
    TooManyFields,
    /// Not a number.
    #[error(transparent)]
    Msisdn(#[from] MsisdnError),
    /// The end lies before the beginning.
    #[error("the range ends before it begins")]
    Backwards,
    /// Neither `true` nor `false`.
    #[error("a value is true or false")]
    Value,
}

const LINE_BYTES_MAX: usize = 1_000;

impl NumberLists {
    /// Reads every file, whole or not at all. Blocking: a caller on an async runtime hands it to a thread.
    ///
    /// A list's facts are dated by when its file was last written, and never later than `now`: to load an old file
    /// again, or to restart, makes it no younger. Errors: see [`NumberListError`].
    pub fn load(settings: &NumberListsSettings, now: Timestamp) -> Result<NumberLists, NumberListError> {
        let mut lines_left = settings.lines_max;
        let mut lists: Vec<NumberList> = Vec::with_capacity(settings.lists.len());
        for list in &settings.lists {
            if lists.iter().any(|loaded| **loaded.name() == *list.name) {
                return Err(NumberListError::RepeatedName(list.name.clone()));
            }
            let unreadable = |source| NumberListError::Unreadable { file: list.file.clone(), source };
            let file = File::open(&list.file).map_err(unreadable)?;
            let written_at = file.metadata().and_then(|metadata| metadata.modified()).map_err(unreadable)?;
            let (spans, lines) = read_spans(&list.file, BufReader::new(file), lines_left)?;
            lines_left -= lines;
            lists.push(NumberList::new(list, spans, timestamp(written_at).min(now)));
        }
        Ok(NumberLists(lists))
    }

    /// What the lists state of `msisdn` as a subscriber of `carrier`.
    pub fn facts(&self, msisdn: Msisdn, carrier: &str) -> impl Iterator<Item = (FactName, Fact)> {
        self.0.iter().filter_map(move |list| list.fact(msisdn, carrier))
    }

    /// The name of the first deny list that holds `msisdn`.
    pub fn denied_by(&self, msisdn: Msisdn, carrier: &str) -> Option<Arc<str>> {
        let mut deny_lists = self.0.iter().filter(|list| list.asserts() == Asserts::Denied);
        deny_lists.find(|list| list.value(msisdn, carrier) == Some(true)).map(|list| list.name().clone())
    }

    /// The lists, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &NumberList> {
        self.0.iter()
    }
}

impl From<Vec<NumberList>> for NumberLists {
    fn from(lists: Vec<NumberList>) -> NumberLists {
        NumberLists(lists)
    }
}

/// The entries of a file, and how many lines it has.
pub(super) fn read_spans(
    file: &Path,
    mut text: impl BufRead,
    lines_max: usize,
) -> Result<(Vec<Span>, usize), NumberListError> {
    let mut columns = None;
    let mut spans = Vec::new();
    let mut bytes = Vec::with_capacity(LINE_BYTES_MAX);
    let mut line = 0;
    loop {
        bytes.clear();
        let at_most = u64::try_from(LINE_BYTES_MAX + 1).expect("a small number");
        let unreadable = |source| NumberListError::Unreadable { file: file.to_owned(), source };
        if text.by_ref().take(at_most).read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            return Ok((spans, line));
        }
        if line == lines_max {
            return Err(NumberListError::TooManyLines { file: file.to_owned(), lines_max });
        }
        line += 1;
        let at = |(column, reason)| NumberListError::Line { file: file.to_owned(), line, column, reason };
        let content = content(&bytes, line == 1).map_err(|reason| at((1, reason)))?;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match &columns {
            None if content.trim_start_matches('"').starts_with(char::is_alphabetic) => {
                columns = Some(Columns::read(content).map_err(at)?);
            }
            _ => spans.push(columns.get_or_insert(Columns::UNNAMED).entry(content).map_err(at)?),
        }
    }
}

/// What a line says, without its end and the file's BOM.
fn content(bytes: &[u8], is_first: bool) -> Result<&str, LineFault> {
    if bytes.len() > LINE_BYTES_MAX {
        return Err(LineFault::TooLong);
    }
    let text = str::from_utf8(bytes).map_err(|_| LineFault::NotUtf8)?;
    let without_bom = text.strip_prefix('\u{feff}').filter(|_| is_first);
    Ok(without_bom.unwrap_or(text).trim())
}

/// The fields of a line, counted from 1. None of them can hold a comma, so quotes are only taken off.
fn fields(line: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(line.split(',').map(|field| {
        let field = field.trim();
        field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field).trim()
    }))
}

/// Which column is where, counted from 1.
struct Columns {
    from: usize,
    to: Option<usize>,
    value: Option<usize>,
}

impl Columns {
    const UNNAMED: Columns = Columns { from: 1, to: Some(2), value: Some(3) };

    fn read(names: &str) -> Result<Columns, (usize, LineFault)> {
        let (mut from, mut to, mut value) = (None, None, None);
        for (column, name) in fields(names) {
            let place = match name.to_ascii_lowercase().as_str() {
                "from" | "msisdn" => &mut from,
                "to" => &mut to,
                "value" => &mut value,
                _ => return Err((column, LineFault::UnknownColumn)),
            };
            if place.replace(column).is_some() {
                return Err((column, LineFault::RepeatedColumn));
            }
        }
        Ok(Columns { from: from.ok_or((1, LineFault::NoFrom))?, to, value })
    }

    fn entry(&self, line: &str) -> Result<Span, (usize, LineFault)> {
        let (mut from, mut to, mut value) = ("", "", "");
        for (column, field) in fields(line) {
            if column == self.from {
                from = field;
            } else if Some(column) == self.to {
                to = field;
            } else if Some(column) == self.value {
                value = field;
            } else if !field.is_empty() {
                return Err((column, LineFault::TooManyFields));
            }
        }
        let number = |column: usize, text: &str| match text.parse() {
            Ok(msisdn) => Ok(key(msisdn)),
            Err(error) => Err((column, LineFault::Msisdn(error))),
        };
        let to_column = self.to.unwrap_or(self.from);
        let from = number(self.from, from)?;
        let to = if to.is_empty() { from } else { number(to_column, to)? };
        if to < from {
            return Err((to_column, LineFault::Backwards));
        }
        let value = match value.to_ascii_lowercase().as_str() {
            "" | "true" => true,
            "false" => false,
            _ => return Err((self.value.unwrap_or(self.from), LineFault::Value)),
        };
        Ok(Span { from, to, value })
    }
}

fn timestamp(at: SystemTime) -> Timestamp {
    let ms = at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Timestamp::from_unix_ms(ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn spans(text: &str) -> Result<Vec<Span>, String> {
        read_spans(Path::new("numbers.csv"), text.as_bytes(), 10).map(|(spans, _)| spans).map_err(|e| e.to_string())
    }

    fn span(from: u32, to: u32, value: bool) -> Span {
        Span { from, to, value }
    }

    #[test]
    fn singles_ranges_and_values_are_read_in_every_spelling() {
        let text = "\u{feff}# from the carrier, 1 March\r\n\r\n+77011234567\r\n87011230000, 87011239999\r\n\
                    \"7017654321\",,\"FALSE\"\r\n7 701 000 00 01,,true,,";
        let expected = [
            span(11_234_567, 11_234_567, true),
            span(11_230_000, 11_239_999, true),
            span(17_654_321, 17_654_321, false),
        ];
        assert_eq!(spans(text).expect("a good file"), [&expected[..], &[span(10_000_001, 10_000_001, true)]].concat());
    }

    #[test]
    fn a_line_of_column_names_may_say_another_order() {
        let expected = [span(11_234_567, 11_234_567, false)];
        assert_eq!(spans("value,MSISDN\nfalse,77011234567").expect("a good file"), expected);
        assert_eq!(spans("# names follow\n\"from\",\"to\",\"value\"\n77011234567,,false\n").expect("good"), expected);
    }

    #[test]
    fn a_bad_line_is_named_by_file_line_column_and_reason() {
        let error = |text| spans(text).expect_err("a bad file");
        let expected = [
            ("77011234567\n\n12345", "numbers.csv, line 3, column 1: a phone number of Kazakhstan has ten digits"),
            ("77011234567,x", "line 1, column 2: a phone number has only digits"),
            ("77011234567,77011234566", "line 1, column 2: the range ends before it begins"),
            ("77011234567,,yes", "line 1, column 3: a value is true or false"),
            ("77011234567,,true,77011234567", "line 1, column 4: one field too many"),
            (
                ",77011234567",
                "line 1, column 1: a phone number of Kazakhstan has ten digits after +7 or 8; 0 digits came",
            ),
            ("msisdn,name\n", "line 1, column 2: unknown column name"),
            ("from,msisdn\n", "line 1, column 2: this column is named twice"),
            ("to,value\n", "line 1, column 1: no column is named from or msisdn"),
            ("77011234567\nfrom,to", "line 2, column 1: a phone number has only digits"),
            ("77011234567\n77011234567\n\n\n\n\n\n\n\n\n\n", "numbers.csv: more than 10 lines"),
        ];
        for (text, part) in expected {
            assert!(error(text).contains(part), "{text:?}: {}", error(text));
        }
        assert!(error(&"7".repeat(2_000)).contains("longer than 1000 bytes"));
        let not_utf8 = read_spans(Path::new("n.csv"), &b"# ok\n# \xcf\xf0"[..], 10).expect_err("windows-1251");
        assert_eq!(not_utf8.to_string(), "n.csv, line 2, column 1: not UTF-8");
    }

    #[test]
    fn no_error_repeats_a_phone_number() {
        assert!(!spans("77011234567,770112345678").expect_err("too long a number").contains("7701"));
    }

    fn settings(file: &Path, names: &[&str]) -> NumberListsSettings {
        let list = |name: &&str| NumberListSettings {
            name: (*name).to_owned(),
            asserts: Asserts::Fact(FactName::CorporateNumber),
            file: file.to_owned(),
            carrier: None,
        };
        NumberListsSettings { lines_max: 3, lists: names.iter().map(list).collect() }
    }

    #[test]
    fn a_file_is_dated_by_when_it_was_written_and_all_files_share_the_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("numbers.csv");
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        std::fs::write(&path, "77011234567\n77011234568\n").expect("written");
        let written = |at: Timestamp| {
            let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.unix_ms()).expect("after 1970"));
            File::options().write(true).open(&path).and_then(|file| file.set_modified(at)).expect("dated");
        };
        let loaded = || NumberLists::load(&settings(&path, &["one"]), now).expect("a good file");
        for (at, expected) in [(now.minus(Duration::from_secs(9)), 9), (now.plus(Duration::from_secs(9)), 0)] {
            written(at);
            let ages: Vec<_> = loaded().iter().map(|list| now.since(list.observed_at()).as_secs()).collect();
            assert_eq!(ages, [expected]);
        }
        let too_many = NumberLists::load(&settings(&path, &["one", "two"]), now).expect_err("four lines");
        assert!(matches!(too_many, NumberListError::TooManyLines { lines_max: 1, .. }), "{too_many}");
        let twice = NumberLists::load(&settings(&path, &["one", "one"]), now).expect_err("one name");
        assert!(matches!(twice, NumberListError::RepeatedName(_)), "{twice}");
        let absent = NumberLists::load(&settings(&folder.path().join("no.csv"), &["one"]), now).expect_err("no file");
        assert!(absent.to_string().contains("no.csv: "), "{absent}");
    }

    #[test]
    fn the_example_lists_load() {
        let written = include_str!("../../config/examples/numbers/number_lists.toml");
        let mut settings: NumberListsSettings = toml::from_str(written).expect("sound settings");
        for list in &mut settings.lists {
            list.file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&list.file);
        }
        let lists = NumberLists::load(&settings, Timestamp::MAX).expect("good files");
        let says = |number: &str, carrier: &str| {
            let msisdn = number.parse().expect("a number");
            let facts = lists.facts(msisdn, carrier).map(|(name, fact)| (name, fact.value));
            (facts.collect::<Vec<_>>(), lists.denied_by(msisdn, carrier))
        };
        use crate::eligibility::FactValue::{False, True};
        assert_eq!(says("+77000000150", "tele2"), (vec![(FactName::CorporateNumber, True)], None));
        assert_eq!(says("+77000000142", "tele2"), (vec![(FactName::CorporateNumber, False)], None));
        assert_eq!(says("+77000000201", "tele2"), (vec![(FactName::CreditDebt, True)], None));
        assert_eq!(says("+77000000201", "kcell"), (vec![], None));
        assert_eq!(says("+77000000901", "kcell"), (vec![], Some("denied".into())));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_spans(Path::new("x"), &bytes[..], 10);
        }

        #[test]
        fn no_text_that_looks_like_a_list_panics(text in "[0-9,\n#\"frmtovalue7 +]{0,120}") {
            let _ = read_spans(Path::new("x"), text.as_bytes(), 10);
        }
    }
}
