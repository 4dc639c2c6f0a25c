//! The chain of hashes over the journal and the ledger: one block a commit, in the transaction of the commit.

use jiff::tz::TimeZone;
use sqlx::postgres::PgConnection;
use tracing::info;

use super::WRITER;
use crate::{
    ledger::{Block, BlockDigest, DailyRoot, Head},
    store::{StoreError, sql::decode},
};

/// Appends the block of a commit whose rows are written; nothing if it appended nothing. The first block of a new day closes the
/// day before.
pub(super) async fn append(db: &mut PgConnection, digest: BlockDigest) -> Result<(), StoreError> {
    if digest.is_empty() {
        return Ok(());
    }
    let head = head(db).await?;
    let block = digest.seal(WRITER, &head);
    keep(db, &block).await?;
    let day = head.at.date_in(&TimeZone::UTC);
    if head != Head::NONE && day != block.at.date_in(&TimeZone::UTC) {
        let closed = DailyRoot::over(day, &[(WRITER, head)]);
        keep_root(db, &closed).await?;
        info!(%day, root = data_encoding::HEXLOWER.encode(&closed.root), "the books of a day are closed");
    }
    Ok(())
}

/// The end of the chain.
async fn head(db: &mut PgConnection) -> Result<Head, StoreError> {
    let query = sqlx::query("SELECT number, at, hash FROM chain WHERE writer = $1 ORDER BY number DESC LIMIT 1");
    match query.bind(i64::from(WRITER.0)).fetch_optional(db).await? {
        None => Ok(Head::NONE),
        Some(row) => decode::head(&row),
    }
}

/// The last entry of the journal that the block covers is the last of this transaction.
async fn keep(db: &mut PgConnection, block: &Block) -> Result<(), StoreError> {
    let number = i64::try_from(block.number).expect("blocks are counted one by one");
    sqlx::query(
        "INSERT INTO chain (writer, number, at, entries, lines, last_seq, digest, hash)
         SELECT $1, $2, $3, $4, $5, (pg_current_xact_id()::text::bigint << 16) + base + $4, $6, $7 FROM places",
    )
    .bind(i64::from(block.writer.0))
    .bind(number)
    .bind(block.at.unix_ms())
    .bind(i64::from(block.entries))
    .bind(i64::from(block.lines))
    .bind(block.digest.as_slice())
    .bind(block.hash.as_slice())
    .execute(db)
    .await?;
    Ok(())
}

async fn keep_root(db: &mut PgConnection, closed: &DailyRoot) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO roots (day, root) VALUES ($1, $2)")
        .bind(closed.day.to_string())
        .bind(closed.root.as_slice())
        .execute(db)
        .await?;
    Ok(())
}
