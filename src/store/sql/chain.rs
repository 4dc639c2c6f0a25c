//! The chain of hashes over the journal and the ledger: one block a commit, in the transaction of the commit.

use jiff::tz::TimeZone;
use tracing::info;

use crate::{
    clock::Timestamp,
    ledger::{Block, BlockDigest, DailyRoot, Head, Writer},
    store::StoreError,
};

/// The first writer of a store. A file has one in each generation.
pub(in crate::store) const FIRST_WRITER: Writer = Writer(1);

/// Where the blocks of one writer are kept, in the transaction that is open.
pub(in crate::store) trait Chain {
    /// Whose blocks they are, and the end of that writer's chain.
    async fn head(&mut self) -> Result<(Writer, Head), StoreError>;

    /// When the first day begins that has no root yet: nothing is appended to one that has.
    async fn open_since(&mut self) -> Result<Timestamp, StoreError>;

    /// Keeps a block that covers the journal up to the entry that was written last.
    async fn keep(&mut self, block: &Block) -> Result<(), StoreError>;

    /// The writer goes on in another day than the one in which its chain ended: `head`. Keeps the roots of days that are over for all
    /// writers, and returns them.
    async fn close_days(&mut self, head: &Head, now: Timestamp) -> Result<Vec<DailyRoot>, StoreError>;
}

/// Appends the block of a commit whose rows are written; nothing if it appended nothing.
pub(in crate::store) async fn append(db: &mut impl Chain, digest: BlockDigest) -> Result<(), StoreError> {
    if digest.is_empty() {
        return Ok(());
    }
    let (writer, head) = db.head().await?;
    let block = digest.not_before(db.open_since().await?).seal(writer, &head);
    db.keep(&block).await?;
    for DailyRoot { day, root } in db.close_days(&head, block.at).await? {
        info!(%day, root = data_encoding::HEXLOWER.encode(&root), "the books of a day are closed");
    }
    Ok(())
}

/// Whether a chain that ended with `head` goes on in another day.
pub(in crate::store) fn is_new_day(head: &Head, at: Timestamp) -> bool {
    *head != Head::NONE && head.at.date_in(&TimeZone::UTC) != at.date_in(&TimeZone::UTC)
}
