//! The chain, and how a journal of before gets its own.

use jiff::tz::TimeZone;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tracing::info;

use super::judge::END;
use crate::{
    clock::Timestamp,
    ledger::{Block, BlockDigest, DailyRoot, Head, Writer},
    store::{
        StoreError,
        sql::{
            audit::journal_rows,
            chain::{Chain, FIRST_WRITER, is_new_day},
            decode,
            generation::{Generations, writers_head},
            row::SqlRow,
        },
    },
};

/// Entries of one block, where a journal of before gets its chain.
const ADOPTED_ENTRIES: u32 = 1_000;

/// The chain of the file's generation, in the transaction that is open, and its end.
pub(super) struct FileChain<'a> {
    pub(super) db: &'a mut SqliteConnection,
    pub(super) end: (Writer, Head),
}

impl Chain for FileChain<'_> {
    async fn head(&mut self) -> Result<(Writer, Head), StoreError> {
        Ok(self.end)
    }

    /// A day is closed by the block after it, and no block is earlier than the one before it.
    async fn open_since(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::MIN)
    }

    async fn keep(&mut self, block: &Block) -> Result<(), StoreError> {
        keep_up_to(self.db, block, None).await
    }

    /// One writes at a time, so a day is over with its first block of another. The chains of generations before have ended, and are in
    /// every root since.
    async fn close_days(&mut self, head: &Head, now: Timestamp) -> Result<Vec<DailyRoot>, StoreError> {
        let is_first = *head == Head::NONE;
        if !is_first && !is_new_day(head, now) {
            return Ok(Vec::new());
        }
        // The block that goes on in another day is kept already: it is none of the day that is over.
        let before = |(_, of): &(Writer, Head)| of.at.date_in(&TimeZone::UTC) < now.date_in(&TimeZone::UTC);
        let (writer, _) = self.head().await?;
        let mut heads = self.db.heads().await?;
        heads.retain(|(of, _)| *of != writer);
        heads.extend((!is_first).then_some((writer, *head)));
        heads.retain(before);
        let Some(last) = heads.iter().map(|(_, head)| head).max_by_key(|head| head.at) else { return Ok(Vec::new()) };
        let day = last.at.date_in(&TimeZone::UTC);
        let is_closed = sqlx::query("SELECT 1 FROM roots WHERE day = ?1").bind(day.to_string());
        if is_closed.fetch_optional(&mut *self.db).await?.is_some() {
            return Ok(Vec::new());
        }
        let closed = DailyRoot::over(day, &heads);
        let query = sqlx::query("INSERT INTO roots (day, root) VALUES (?1, ?2)");
        query.bind(closed.day.to_string()).bind(closed.root.as_slice()).execute(&mut *self.db).await?;
        Ok(vec![closed])
    }
}

/// The writer of the file's generation, and the end of its chain.
pub(in crate::store) async fn end(db: &mut SqliteConnection) -> Result<(Writer, Head), StoreError> {
    end_in(&sqlx::query(END).fetch_one(db).await?)
}

/// The same, as it was read.
pub(super) fn end_in(row: &SqliteRow) -> Result<(Writer, Head), StoreError> {
    let head = match row.maybe_int(1)? {
        Some(_) => writers_head(row)?.1,
        None => Head::NONE,
    };
    Ok((Writer(decode::small(row, 0, "generations")?), head))
}

/// Up to the entry of this place, or to the last that there is.
async fn keep_up_to(db: &mut SqliteConnection, block: &Block, last_seq: Option<i64>) -> Result<(), StoreError> {
    let number = i64::try_from(block.number).expect("blocks are counted one by one");
    let query = "INSERT INTO chain (writer, number, at, entries, lines, last_seq, digest, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, (SELECT max(seq) FROM journal)), ?7, ?8)";
    sqlx::query(query)
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
        let (_, head) = end(db).await?;
        let block = digest.seal(FIRST_WRITER, &head);
        keep_up_to(db, &block, Some(after)).await?;
    }
    sqlx::query("DELETE FROM chain_wanted").execute(&mut *db).await?;
    info!(entries_to = after, "what was written before there was a chain has its blocks now");
    Ok(())
}
