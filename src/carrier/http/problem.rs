use std::{fmt, ops::Range};

use thiserror::Error;
use toml::de::{DeTable, DeValue};

/// Problems that are told at once; the rest are counted.
const PROBLEMS_MAX: usize = 50;

/// One thing that is wrong with a profile, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileProblem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    /// The key, as in `charge.reply.rows[2].means`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for ProfileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a profile cannot be used: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", listed(.0))]
pub struct ProfileError(pub Vec<ProfileProblem>);

fn listed(problems: &[ProfileProblem]) -> String {
    problems.iter().map(ProfileProblem::to_string).collect::<Vec<_>>().join("\n")
}

/// What has been found wrong so far, in one file.
#[derive(Debug)]
pub(super) struct Problems {
    file: String,
    places: Places,
    found: Vec<ProfileProblem>,
}

impl Problems {
    /// Of the file called `file`, which holds `text`.
    pub(super) fn new(file: &str, text: &str) -> Problems {
        Problems { file: file.to_owned(), places: Places::new(text), found: Vec::new() }
    }

    /// `key` is wrong, because `what`.
    pub(super) fn note(&mut self, key: &str, what: impl Into<String>) {
        if self.found.len() < PROBLEMS_MAX {
            let line = self.places.line_of(key);
            self.found.push(ProfileProblem { file: self.file.clone(), line, key: key.to_owned(), what: what.into() });
        }
    }

    /// `key` is wrong unless `fine`.
    pub(super) fn check(&mut self, fine: bool, key: &str, what: impl Into<String>) {
        if !fine {
            self.note(key, what);
        }
    }

    /// What came out well; what did not is wrong at `key`.
    pub(super) fn noted<T>(&mut self, key: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.note(key, error.to_string())).ok()
    }

    /// The file is no TOML, or a table of it has a key that there is not, or lacks one.
    pub(super) fn unreadable(mut self, error: &toml::de::Error) -> ProfileError {
        let span = error.span();
        let line = span.as_ref().map(|span| self.places.line_at(span.start));
        let key = span.and_then(|span| self.places.key_at(&span)).unwrap_or_default();
        self.found.push(ProfileProblem { file: self.file.clone(), line, key, what: error.message().to_owned() });
        ProfileError(self.found)
    }

    /// Nothing was wrong, or everything that was.
    pub(super) fn into_result(self) -> Result<(), ProfileError> {
        if self.found.is_empty() { Ok(()) } else { Err(ProfileError(self.found)) }
    }
}

/// Where each key stands in the file.
#[derive(Debug)]
struct Places {
    line_starts: Vec<usize>,
    keys: Vec<(String, Range<usize>)>,
}

impl Places {
    fn new(text: &str) -> Places {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut places = Places { line_starts, keys: Vec::new() };
        // What is broken further down takes nothing from what stands above it.
        let (document, _) = DeTable::parse_recoverable(text);
        places.note_table("", document.get_ref());
        places
    }

    fn note_table(&mut self, key: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let below = if key.is_empty() { name.get_ref().to_string() } else { format!("{key}.{}", name.get_ref()) };
            self.note_value(&below, name.span(), value.span(), value.get_ref());
        }
    }

    fn note_value(&mut self, key: &str, name: Range<usize>, span: Range<usize>, value: &DeValue<'_>) {
        self.keys.push((key.to_owned(), name.start.min(span.start)..span.end));
        match value {
            DeValue::Table(table) => self.note_table(key, table),
            DeValue::Array(values) => {
                for (n, value) in values.iter().enumerate() {
                    self.note_value(&format!("{key}[{n}]"), value.span(), value.span(), value.get_ref());
                }
            }
            _ => {}
        }
    }

    /// The line of `key`; if there is none, of the table that it would stand in.
    fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some((_, span)) = self.keys.iter().find(|(known, _)| known == key) {
                return Some(self.line_at(span.start));
            }
            key = key.get(..key.rfind(['.', '['])?)?;
        }
    }

    fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The innermost key around a place.
    fn key_at(&self, span: &Range<usize>) -> Option<String> {
        let around = self.keys.iter().filter(|(_, key)| key.start <= span.start && span.start < key.end);
        around.min_by_key(|(_, key)| key.len()).map(|(key, _)| key.clone())
    }
}
