//! What a daemon asks of generations while it serves.

use std::path::Path;

use super::{Generation, Reread, Store, StoreError, address::Address, sqlite};
use crate::{
    charge::CarrierName,
    clock::Timestamp,
    ledger::{Head, Writer},
};

/// A copy that was made of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size.
    pub bytes: u64,
    /// The moment of the last commit in it; `None` if there is none.
    pub latest: Option<Timestamp>,
}

impl Store {
    /// Copies the file that `url` names to `to`, which must not exist, as it is at one moment: a daemon may go on writing. Durable on return.
    ///
    /// Errors: the store is no file, or cannot be read; the copy exists, or cannot be written, and nothing is left of it then.
    pub async fn back_up(url: &str, to: &Path) -> Result<BackedUp, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => sqlite::backup::back_up(&config, to).await,
            Address::Postgres(_) => Err(StoreError::Address {
                url: Store::shown(url),
                why: "a server is backed up with its own tools, pg_basebackup and the archive of its log; docs/backup.md tells how",
            }),
            Address::Memory => {
                Err(StoreError::Address { url: url.into(), why: "what is in memory cannot be backed up" })
            }
        }
    }

    /// The generations of the books after the first, in their order.
    pub async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        match self {
            Store::Sqlite(backend) => backend.generations().await,
            Store::Postgres(backend) => backend.generations().await,
            Store::Memory(_) => Ok(Vec::new()),
        }
    }

    /// The ends of all chains of hashes: what a watermark notes.
    pub async fn heads(&self) -> Result<Vec<(Writer, Head)>, StoreError> {
        match self {
            Store::Sqlite(backend) => backend.heads().await,
            Store::Postgres(backend) => backend.heads().await,
            Store::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Whether the books have this block, and with it everything before it.
    pub async fn has_block(&self, writer: Writer, head: &Head) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(backend) => backend.has_block(writer, head).await,
            Store::Postgres(backend) => backend.has_block(writer, head).await,
            Store::Memory(_) => Ok(true),
        }
    }

    /// Whether this carrier's payments of the time that this generation lost were read to the end.
    pub async fn has_reread(&self, carrier: &CarrierName, generation: u32) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(backend) => backend.has_reread(carrier, generation).await,
            Store::Postgres(backend) => backend.has_reread(carrier, generation).await,
            Store::Memory(_) => Ok(true),
        }
    }

    /// Notes that they were. Durable on return; the first note stays.
    pub async fn keep_reread(&self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(backend) => backend.keep_reread(carrier, reread).await,
            Store::Postgres(backend) => backend.keep_reread(carrier, reread).await,
            Store::Memory(_) => Ok(()),
        }
    }
}
