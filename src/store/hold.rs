//! One process at a time serves a file: two would send the same texts, ask the same questions and lease the same serials twice.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use super::{StoreError, address::Address};

/// Characters of a process id, as another process wrote it.
const ID_MAX: u64 = 20;

/// The right of this process to serve a store, until it is dropped or the process ends, in whatever way.
///
/// It is a lock of the operating system on a file beside the database. That file stays: to remove it would let two in.
#[derive(Debug)]
pub struct Hold {
    /// Locked as long as it is open. Nothing is held of what is in memory.
    _file: Option<File>,
}

impl Hold {
    /// Of nothing: for who looks beside those who are served.
    pub(super) const fn none() -> Hold {
        Hold { _file: None }
    }

    /// Takes the store that `url` names. Whoever reads only needs no hold.
    ///
    /// Errors: [`StoreError::InUse`] if a process holds it; the text names no store, or the file beside it cannot be opened.
    pub fn take(url: &str) -> Result<Hold, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => Ok(Hold { _file: Some(lock(&config.path)?) }),
            // A database server is held by the connection that writes, and what is in memory by nobody else.
            Address::Postgres(_) | Address::Memory => Ok(Hold { _file: None }),
        }
    }
}

fn lock(database: &Path) -> Result<File, StoreError> {
    let path = beside(database);
    let cannot = |error: std::io::Error| StoreError::Open { path: path.clone(), why: error.to_string() };
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse { path: database.into(), process: holder(file) });
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    // Only for the message above: on a full disk the lock holds without it.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Two names of one database have one lock, also before there is a database.
fn beside(database: &Path) -> PathBuf {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let known = fs::canonicalize(database);
    let new = || Some(fs::canonicalize(folder).ok()?.join(database.file_name()?));
    let mut name = known.ok().or_else(new).unwrap_or_else(|| database.to_owned()).into_os_string();
    name.push(".lock");
    name.into()
}

/// Who holds it, as far as can be told.
fn holder(file: File) -> String {
    let mut text = String::new();
    match file.take(ID_MAX).read_to_string(&mut text) {
        Ok(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => format!("process {text}"),
        _ => "another process".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_held_once_by_whatever_name_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.db"), folder.path().join("b.db"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let url = |path: &Path| format!("sqlite://{}", path.display());
        let hold = Hold::take(&url(&file)).unwrap();
        for name in [&file, &link] {
            let refused = Hold::take(&url(name)).unwrap_err().to_string();
            assert!(refused.contains(&format!("is in use by process {}", std::process::id())), "{refused}");
        }
        drop(hold);
        Hold::take(&url(&link)).unwrap();
    }

    #[test]
    fn what_is_in_memory_is_nobody_elses() {
        let _first = Hold::take("memory:").unwrap();
        Hold::take("memory:").unwrap();
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let refused = Hold::take("sqlite:///nowhere/at/all.db").unwrap_err().to_string();
        assert!(refused.contains("/nowhere/at/all.db.lock"), "{refused}");
    }
}
