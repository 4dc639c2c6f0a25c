use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use crate::clock::Timestamp;

/// Why the store could not do what it was asked. Nothing of the write was written. Clones tell every caller of a failed
/// batch the same.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The database could not be reached, or failed at its work: a full disk, a lock held for too long. The same write may
    /// succeed later.
    #[error("the database failed: {0}")]
    Database(#[source] Arc<sqlx::Error>),
    /// The write contradicts itself, or what is kept: a reference, a message or a ledger line that exists already. It will
    /// never succeed.
    #[error("the write was refused: {0}")]
    Refused(String),
    /// The schema could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migrate(#[source] Arc<sqlx::migrate::MigrateError>),
    /// The text does not name a store.
    #[error(
        "{url:?} names no store: {why}; write sqlite:///var/lib/smsbusd/smsbusd.db, postgres://user@host/database or memory:"
    )]
    Address {
        /// The text, without a password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file cannot be opened.
    #[error("cannot open the database {path}: {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A process serves the store already: see [`Hold`](super::Hold).
    #[error("{path} is in use by {process}; one daemon at a time serves a file")]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who, as far as can be told.
        process: String,
    },
    /// The books in the file were moved to another store, or a move was broken off before its end: see [`transfer`](super::transfer()).
    #[error("{}", moved(.path, .to, *.at, *.done))]
    Moved {
        /// The file.
        path: PathBuf,
        /// The address of the other store, as it may be shown.
        to: String,
        /// When.
        at: Timestamp,
        /// Whether the other store is known to have them.
        done: bool,
    },
    /// The database server cannot be reached, or refuses us.
    #[error("cannot connect to {database}: {why}")]
    Connect {
        /// The database and where it is.
        database: String,
        /// Why not.
        why: String,
    },
    /// Somebody has the database for himself.
    #[error(
        "{database} serves instances, or is held by somebody for himself: a daemon of a version that is served alone, or a move of books"
    )]
    Taken {
        /// The database and where it is.
        database: String,
    },
    /// A daemon of this name is served by the database already.
    #[error("{database} serves an instance named {name:?} already; each wants an instances.name of its own")]
    NameTaken {
        /// The database and where it is.
        database: String,
        /// The name.
        name: String,
    },
    /// The other daemons have taken this one for dead, and go on in its place: it may begin nothing any more. What it learns of what it had
    /// begun it may still write.
    #[error("the other instances have taken over: nothing is begun any more")]
    Fenced,
    /// No back-up could be made.
    #[error("cannot back up to {path}: {why}")]
    BackUp {
        /// The copy.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Books that were put back are not ready to be served.
    #[error("generation {number} of the books was begun and is not finished: run `smsbusd restored` again")]
    Unfinished {
        /// The generation.
        number: u32,
    },
    /// A row does not say what it must.
    #[error("{table}, row {row}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What names the row.
        row: String,
        /// What is wrong.
        why: String,
    },
    /// The writer is gone: the process is ending. Where another daemon is served instead, what was under way may have been written or not.
    #[error("the store is closed")]
    Closed,
}

/// What happened to the books of a file, and what to do about it.
fn moved(path: &Path, to: &str, at: Timestamp, done: bool) -> String {
    let path = path.display();
    match done {
        true => format!(
            "the books in {path} were moved to {to} at {at}: serve them there; who was charged there would be charged here as well"
        ),
        false => format!(
            "a move of the books in {path} to {to} was begun at {at}, and its end is not known here: run the same \
             `smsbusd migrate --from … --to …` again, it brings it about; until then they are not served"
        ),
    }
}

impl StoreError {
    /// Whether the same may do at the next try, once it is judged anew: another writer was faster with what may be there once, or two waited
    /// for each other.
    pub(super) fn may_be_a_race(&self) -> bool {
        match self {
            StoreError::Refused(_) => true,
            // serialization_failure, deadlock_detected
            StoreError::Database(error) => {
                let code = error.as_database_error().and_then(|error| error.code());
                matches!(code.as_deref(), Some("40001" | "40P01"))
            }
            _ => false,
        }
    }

    /// Whether a server that says so serves no writer any more: it goes (class 57, 08), or only reads (25006).
    pub(super) fn leaves_no_connection(&self) -> bool {
        let StoreError::Database(error) = self else { return false };
        match error.as_database_error().and_then(|error| error.code()) {
            Some(code) => code == "25006" || code.starts_with("57P") || code.starts_with("08"),
            None => true,
        }
    }

    /// Whether one write is at fault, so that the others of its batch can do without it.
    pub(super) const fn blames_one_write(&self) -> bool {
        matches!(self, StoreError::Refused(_) | StoreError::Corrupt { .. } | StoreError::Fenced)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match &error {
            sqlx::Error::Database(refusal) if is_constraint(refusal.as_ref()) => {
                StoreError::Refused(refusal.message().to_owned())
            }
            _ => StoreError::Database(Arc::new(error)),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> StoreError {
        StoreError::Migrate(Arc::new(error))
    }
}

/// A constraint, a trigger or the type of a column said no. PostgreSQL says so by the class of its code of five characters: 22 (data
/// exception), 23 (integrity constraint violation), 54 (a limit was exceeded). SQLite's primary code is the low byte of the extended code:
/// SQLITE_TOOBIG (18), SQLITE_CONSTRAINT (19), SQLITE_MISMATCH (20).
fn is_constraint(error: &dyn sqlx::error::DatabaseError) -> bool {
    match error.code().as_deref() {
        Some(code) if code.len() == 5 => ["22", "23", "54"].contains(&&code[..2]),
        Some(code) => matches!(code.parse::<u32>().map(|code| code & 0xff), Ok(18..=20)),
        None => false,
    }
}
