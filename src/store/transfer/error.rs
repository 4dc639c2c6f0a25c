use thiserror::Error;

use crate::{clock::Timestamp, store::StoreError};

/// Flaws that are told one by one.
const FLAWS_TOLD: usize = 20;

/// Why books were not moved. Unless it says otherwise, both stores are as they were.
#[derive(Clone, Debug, Error)]
pub enum TransferError {
    /// The books cannot be moved from what this address names.
    #[error("{0}")]
    From(String),
    /// The books cannot be moved to what this address names.
    #[error("{0}")]
    To(String),
    /// One of the stores failed, is in use, or was moved elsewhere.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target keeps something already.
    #[error(
        "the database is not empty: there are rows in its table {table}; books are moved into a database that has none"
    )]
    NotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// The target had the books, and has nothing any more.
    #[error(
        "the books were moved to {to} at {at}, and that database is empty now; docs/postgres.md tells the way back"
    )]
    Gone {
        /// Its address, as it may be shown.
        to: String,
        /// When they were moved.
        at: Timestamp,
    },
    /// The journal of the source is of before there was a chain of hashes, and has got none yet.
    #[error("the journal of the source has no chain yet; `smsbusd migrate` gives it one")]
    Unchained,
    /// The two stores do not have the same tables.
    #[error("table {table}: {why}")]
    Tables {
        /// The table.
        table: String,
        /// What is not alike.
        why: String,
    },
    /// What was written is not what was read.
    #[error("table {table}, row {row}: {why}; nothing was moved")]
    Differs {
        /// The table.
        table: String,
        /// The values of its key.
        row: String,
        /// What differs.
        why: String,
    },
    /// The books are not in order. They are moved whole, so they were not before either.
    #[error("the books are not in order, and were not moved; `smsbusd ledger check` on the source says more:{}", told(.flaws, *.total))]
    Flawed {
        /// What is wrong, the first of it.
        flaws: Vec<String>,
        /// How much is wrong.
        total: u64,
    },
    /// Whether the target has committed is not known. The source is marked, so neither can be served by mistake.
    #[error(
        "nobody knows yet whether the books were moved: {why}; until that is known the source is not served; run the same command again, it tells"
    )]
    Unknown {
        /// Why it cannot be asked.
        why: String,
    },
    /// Nothing was moved, and the source keeps its mark all the same.
    #[error("nothing was moved: {why}; but the source is still marked as moved ({marked}); run the same command again")]
    StillMarked {
        /// Why nothing was moved.
        why: String,
        /// Why the mark could not be taken back.
        marked: String,
    },
}

impl TransferError {
    /// What a server refuses without a name is of this table.
    pub(super) fn of(self, table: &str) -> TransferError {
        match self {
            TransferError::Store(StoreError::Refused(why)) => TransferError::Tables { table: table.into(), why },
            other => other,
        }
    }
}

impl From<sqlx::Error> for TransferError {
    fn from(error: sqlx::Error) -> TransferError {
        TransferError::Store(error.into())
    }
}

fn told(flaws: &[String], total: u64) -> String {
    let mut told: String = flaws.iter().take(FLAWS_TOLD).map(|flaw| format!("\n{flaw}")).collect();
    let untold = total.saturating_sub(flaws.len().min(FLAWS_TOLD) as u64);
    if untold > 0 {
        told += &format!("\nand {untold} more");
    }
    told
}
