//! What is asked of a store that is to let go of old months of the journal and the ledger, and what comes of it.

use std::path::PathBuf;

use thiserror::Error;

use super::{ArchiveError, Month, StoreError};
use crate::clock::Timestamp;

/// Which months are to go, and where to.
#[derive(Clone, Debug)]
pub struct RetentionOrder {
    /// So many whole months before this one stay.
    pub keep_months: u32,
    /// The folder that the others are archived in; `None` if they are to go without.
    pub archive: Option<PathBuf>,
    /// Whether it is only told what would be done.
    pub dry_run: bool,
    /// By our clock. The database's clock counts as well: the earlier of the two.
    pub now: Timestamp,
}

/// What came of a month that is old enough to go.
#[derive(Clone, Debug)]
pub enum MonthOutcome {
    /// It is no longer in the journal and the ledger; durably.
    Retired(RetiredMonth),
    /// It would go.
    Due {
        /// Entries of the journal.
        entries: u64,
        /// Lines of the ledger.
        lines: u64,
    },
    /// It stays, and nothing of it was changed.
    Refused {
        /// Why.
        why: String,
    },
}

/// A month that is no longer in the journal and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredMonth {
    /// Blocks of the chain, which stay themselves.
    pub blocks: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Lines of the ledger.
    pub lines: u64,
    /// Charges that had entries in it.
    pub charges: u64,
    /// Entries that stay, because their block has some of another month as well.
    pub kept_entries: u64,
    /// The SHA-256 of the archived journal and ledger.
    pub archived: Option<([u8; 32], [u8; 32])>,
}

/// What came of a retention.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The first month that stays.
    pub keeps_from: Month,
    /// The months before it, in their order.
    pub months: Vec<(Month, MonthOutcome)>,
    /// Entries that stand in no month: a clock was wrong, or their month is retired. They stay.
    pub outside: u64,
}

/// Why a retention ended before its end. Each month went as a whole, or stayed as it was: the same command again goes on.
#[derive(Debug, Error)]
pub enum RetentionError {
    /// The database failed or could not be reached. If it failed in the moment of a commit, the month may be gone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be written.
    #[error("the archive: {0}")]
    Archive(#[from] ArchiveError),
    /// The store is none that has months.
    #[error("{url}: only a PostgreSQL store lets go of months; a file keeps everything")]
    NoMonths {
        /// Its address, without a password.
        url: String,
    },
    /// Another process does the same.
    #[error("another retention is under way in this database")]
    Busy,
    /// Somebody reads or writes the tables for so long that a month cannot be taken out between.
    #[error("month {month}: somebody holds the journal or the ledger for long (a check, a dump?); run it again later")]
    Held {
        /// The month.
        month: Month,
    },
}

impl From<sqlx::Error> for RetentionError {
    fn from(error: sqlx::Error) -> RetentionError {
        RetentionError::Store(error.into())
    }
}
