//! Which file a key is written in: for messages, and for paths that are relative to that file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::{Value, ValueKind};

/// How the environment names itself as an origin; also the config crate's own words.
pub(super) const ENVIRONMENT: &str = "the environment";
/// A path that begins so lies in the folder of systemd's credentials.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// The origins of all keys, tables included, and what relative paths begin at.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    written: BTreeMap<String, String>,
    /// The folder of the first file: where the built-in relative paths begin.
    pub(super) first_folder: PathBuf,
    pub(super) credentials_directory: Option<PathBuf>,
}

impl Origins {
    /// Notes the origins of everything in `value`, which stands under `key`.
    pub(super) fn note(&mut self, key: &str, value: &Value) {
        if let Some(origin) = value.origin() {
            self.written.insert(key.to_owned(), origin.to_owned());
        }
        match &value.kind {
            ValueKind::Table(table) => table.iter().for_each(|(name, value)| self.note(&below(key, name), value)),
            ValueKind::Array(values) => {
                values.iter().enumerate().for_each(|(n, value)| self.note(&format!("{key}[{n}]"), value));
            }
            _ => {}
        }
    }

    /// The file that `key` is written in. Of a table: a file that some of it is written in. Of a key that is missing: the
    /// file of the table that it would stand in.
    pub(super) fn of(&self, key: &str) -> Option<&str> {
        let mut key = key;
        loop {
            if let Some(origin) = self.written.get(key).or_else(|| self.of_table(key)) {
                return Some(origin);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    fn of_table(&self, key: &str) -> Option<&String> {
        let is_inside = |inner: &str| inner.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']));
        let inside = || self.written.range(key.to_owned()..).take_while(|(inner, _)| inner.starts_with(key));
        let mut origins = inside().filter(|(inner, _)| is_inside(inner)).map(|(_, origin)| origin);
        let first = origins.next()?;
        Some(std::iter::once(first).chain(origins).find(|origin| *origin != ENVIRONMENT).unwrap_or(first))
    }

    /// The path that `written` under `key` means. Errors: it wants systemd's credentials, and there are none.
    pub(super) fn path(&self, key: &str, written: &Path) -> Result<PathBuf, String> {
        if let Ok(rest) = written.strip_prefix(CREDENTIALS) {
            let folder = self.credentials_directory.as_ref();
            return folder.map(|folder| folder.join(rest)).ok_or_else(|| {
                format!(
                    "{}: CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential=",
                    written.display()
                )
            });
        }
        Ok(match self.of(key) {
            Some(ENVIRONMENT) => written.to_owned(),
            Some(file) => folder_of(Path::new(file)).join(written),
            None => self.first_folder.join(written),
        })
    }
}

/// The folder that a file lies in; empty for the working directory.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The key of `name` in the table `key`.
pub(super) fn below(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}
