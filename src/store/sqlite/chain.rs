//! The chain of hashes over the journal and the ledger: one block a commit, in the transaction of the commit.

use jiff::tz::TimeZone;
use sqlx::{Row, sqlite::SqliteConnection};
use tracing::info;

use crate::{
    ledger::{Block, BlockDigest, DailyRoot, Head, Writer},
    store::{
        StoreError,
        sql::{audit::journal_rows, decode},
    },
};

/// The one connection that writes.
const WRITER: Writer = Writer(1);
/// Entries of one block, where a journal of before gets its chain.
const ADOPTED_ENTRIES: u32 = 1_000;

/// Appends the block of a commit whose rows are written; nothing if it appended nothing. The first block of a new day closes the
/// day before.
pub(super) async fn append(db: &mut SqliteConnection, digest: BlockDigest) -> Result<(), StoreError> {
    if digest.is_empty() {
        return Ok(());
    }
    let head = head(db).await?;
    let block = digest.seal(WRITER, &head);
    let last_seq = sqlx::query("SELECT max(seq) FROM journal").fetch_one(&mut *db).await?.try_get(0)?;
    keep(db, &block, last_seq).await?;
    let day = head.at.date_in(&TimeZone::UTC);
    if head != Head::NONE && day != block.at.date_in(&TimeZone::UTC) {
        let closed = DailyRoot::over(day, &[(WRITER, head)]);
        keep_root(db, &closed).await?;
        info!(%day, root = data_encoding::HEXLOWER.encode(&closed.root), "the books of a day are closed");
    }
    Ok(())
}

/// The end of the chain.
async fn head(db: &mut SqliteConnection) -> Result<Head, StoreError> {
    let query = sqlx::query("SELECT number, at, hash FROM chain WHERE writer = ?1 ORDER BY number DESC LIMIT 1");
    match query.bind(WRITER.0).fetch_optional(db).await? {
        None => Ok(Head::NONE),
        Some(row) => decode::head(&row),
    }
}

async fn keep(db: &mut SqliteConnection, block: &Block, last_seq: i64) -> Result<(), StoreError> {
    let number = i64::try_from(block.number).expect("blocks are counted one by one");
    sqlx::query("INSERT INTO chain (writer, number, at, entries, lines, last_seq, digest, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
        .bind(block.writer.0)
        .bind(number)
        .bind(block.at.unix_ms())
        .bind(block.entries)
        .bind(block.lines)
        .bind(last_seq)
        .bind(block.digest.as_slice())
        .bind(block.hash.as_slice())
        .execute(db)
        .await?;
    Ok(())
}

async fn keep_root(db: &mut SqliteConnection, closed: &DailyRoot) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO roots (day, root) VALUES (?1, ?2)")
        .bind(closed.day.to_string())
        .bind(closed.root.as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Gives what was written before there was a chain its blocks: all of them, or none.
pub(super) async fn adopt(db: &mut SqliteConnection) -> Result<(), StoreError> {
    if sqlx::query("SELECT 1 FROM chain_wanted").fetch_optional(&mut *db).await?.is_none() {
        return Ok(());
    }
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await?;
    let adopted = adopt_all(db).await;
    let end = if adopted.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::query(end).execute(&mut *db).await?;
    adopted
}

async fn adopt_all(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let rows = journal_rows(db, (after, i64::MAX), ADOPTED_ENTRIES).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        let mut digest = BlockDigest::default();
        for row in &rows {
            digest.entry(row.reference, row.at, row.body.as_bytes());
            digest.lines(&row.lines);
        }
        let block = digest.seal(WRITER, &head(db).await?);
        keep(db, &block, after).await?;
    }
    sqlx::query("DELETE FROM chain_wanted").execute(&mut *db).await?;
    info!(entries_to = after, "what was written before there was a chain has its blocks now");
    Ok(())
}
