use sqlx::postgres::PgConnection;

use crate::{
    ledger::{Block, DailyRoot, Head},
    store::{
        StoreError,
        sql::{
            chain::{Chain, WRITER},
            decode,
        },
    },
};

impl Chain for PgConnection {
    async fn head(&mut self) -> Result<Head, StoreError> {
        let query = sqlx::query("SELECT number, at, hash FROM chain WHERE writer = $1 ORDER BY number DESC LIMIT 1");
        let last = query.bind(i64::from(WRITER.0)).fetch_optional(self).await?;
        last.as_ref().map_or(Ok(Head::NONE), decode::head)
    }

    /// The entry that was written last is the last of this transaction.
    async fn keep(&mut self, block: &Block) -> Result<(), StoreError> {
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
        .execute(self)
        .await?;
        Ok(())
    }

    async fn keep_root(&mut self, closed: &DailyRoot) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO roots (day, root) VALUES ($1, $2)");
        query.bind(closed.day.to_string()).bind(closed.root.as_slice()).execute(self).await?;
        Ok(())
    }
}
