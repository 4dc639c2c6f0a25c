//! The chain of hashes over the journal and the ledger: one block a commit, in the transaction of the commit.

use jiff::tz::TimeZone;
use tracing::info;

use crate::{
    ledger::{Block, BlockDigest, DailyRoot, Head, Writer},
    store::StoreError,
};

/// The one connection that writes.
pub(in crate::store) const WRITER: Writer = Writer(1);

/// Where the blocks are kept, in the transaction that is open.
pub(in crate::store) trait Chain {
    /// The end of the writer's chain.
    async fn head(&mut self) -> Result<Head, StoreError>;

    /// Keeps a block that covers the journal up to the entry that was written last.
    async fn keep(&mut self, block: &Block) -> Result<(), StoreError>;

    async fn keep_root(&mut self, closed: &DailyRoot) -> Result<(), StoreError>;
}

/// Appends the block of a commit whose rows are written; nothing if it appended nothing. The first block of a new day closes the
/// day before.
pub(in crate::store) async fn append(db: &mut impl Chain, digest: BlockDigest) -> Result<(), StoreError> {
    if digest.is_empty() {
        return Ok(());
    }
    let head = db.head().await?;
    let block = digest.seal(WRITER, &head);
    db.keep(&block).await?;
    let day = head.at.date_in(&TimeZone::UTC);
    if head != Head::NONE && day != block.at.date_in(&TimeZone::UTC) {
        let closed = DailyRoot::over(day, &[(WRITER, head)]);
        db.keep_root(&closed).await?;
        info!(%day, root = data_encoding::HEXLOWER.encode(&closed.root), "the books of a day are closed");
    }
    Ok(())
}
