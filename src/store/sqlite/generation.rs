//! The generations of the books in a file.

use sqlx::{ConnectOptions, Connection, Row, sqlite::SqliteConnection};

use super::{Sqlite, SqliteConfig, connect_migrated};
use crate::{
    charge::{CarrierName, Reference},
    clock::Timestamp,
    ledger::{Head, Writer},
    store::{
        Generation, Reread, Restore, StoreError,
        generation::{Beginning, FIRST_GENERATION, SERIALS_LEFT_OUT},
        sql::{
            decode,
            generation::{
                BEGIN_GENERATION, CLOSE_MOS, FINISH_GENERATION, FORGET_WATERMARK, FORGET_WATERMARKS, GENERATIONS,
                Generations, HAS_BLOCK, HAS_REREAD, KEEP_REREAD, KEEP_WATERMARK, KEEPS_WATERMARK, LEAVE_SERIALS_OUT,
                PENDING, beginning, days_of_serials, generation, kept, writers_head,
            },
        },
    },
};

/// Each generation has one writer.
const HEADS: &str = "
SELECT chain.writer, number, at, hash
FROM (SELECT 1 AS writer UNION SELECT writers_after + 1 FROM generations) AS known
JOIN chain ON chain.writer = known.writer
          AND number = (SELECT max(number) FROM chain AS newer WHERE newer.writer = known.writer)
ORDER BY 1";

const LEAVE_PLACES_OUT: &str = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'journal'";
/// Nothing was counted yet.
const COUNT_PLACES_FROM: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', ?1)";

/// A connection that writes, to a file that no daemon serves. Its schema is brought up to date.
///
/// Errors: as [`Sqlite::open`].
pub(in crate::store) async fn take(config: &SqliteConfig) -> Result<SqliteConnection, StoreError> {
    connect_migrated(config).await
}

impl Sqlite {
    pub(in crate::store) async fn heads(&self) -> Result<Vec<(Writer, Head)>, StoreError> {
        self.readers.acquire().await?.heads().await
    }

    pub(in crate::store) async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        self.readers.acquire().await?.generations().await
    }

    pub(in crate::store) async fn has_block(&self, writer: Writer, head: &Head) -> Result<bool, StoreError> {
        self.readers.acquire().await?.has_block(writer, head).await
    }

    pub(in crate::store) async fn has_reread(
        &self,
        carrier: &CarrierName,
        generation: u32,
    ) -> Result<bool, StoreError> {
        self.readers.acquire().await?.has_reread(carrier, generation).await
    }

    /// Over a connection of its own: it happens once, and the writer has other work.
    pub(in crate::store) async fn keep_reread(&self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError> {
        let options = (*self.readers.connect_options()).clone().pragma("query_only", "OFF");
        let mut db = options.connect().await?;
        db.keep_reread(carrier, reread).await?;
        Ok(db.close().await?)
    }
}

impl Generations for SqliteConnection {
    async fn generations(&mut self) -> Result<Vec<Generation>, StoreError> {
        sqlx::query(GENERATIONS).fetch_all(self).await?.iter().map(generation).collect()
    }

    async fn heads(&mut self) -> Result<Vec<(Writer, Head)>, StoreError> {
        sqlx::query(HEADS).fetch_all(self).await?.iter().map(writers_head).collect()
    }

    async fn has_block(&mut self, writer: Writer, head: &Head) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_BLOCK).bind(writer.0).bind(kept(head.number)).bind(head.hash.as_slice());
        Ok(query.fetch_one(self).await?.try_get::<i64, _>(0)? > 0)
    }

    async fn keeps_watermark(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query(KEEPS_WATERMARK).bind(name).fetch_one(self).await?.try_get::<i64, _>(0)? > 0)
    }

    async fn keep_watermark(&mut self, name: &str, since: Timestamp) -> Result<(), StoreError> {
        sqlx::query(KEEP_WATERMARK).bind(name).bind(since.unix_ms()).execute(self).await?;
        Ok(())
    }

    async fn forget_watermark(&mut self, name: &str) -> Result<(), StoreError> {
        sqlx::query(FORGET_WATERMARK).bind(name).execute(self).await?;
        Ok(())
    }

    async fn begin_generation(&mut self, restore: &Restore) -> Result<Generation, StoreError> {
        let mut transaction = self.begin_with("BEGIN IMMEDIATE").await?;
        let begun = begin(&mut transaction, restore).await?;
        transaction.commit().await?;
        Ok(begun)
    }

    async fn finish_generation(&mut self, number: u32, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(FINISH_GENERATION).bind(number).bind(at.unix_ms()).execute(self).await?;
        Ok(())
    }

    async fn pending(&mut self) -> Result<Vec<Reference>, StoreError> {
        let rows = sqlx::query(PENDING).fetch_all(self).await?;
        rows.iter().map(|row| decode::reference(row, 0)).collect()
    }

    async fn keep_reread(&mut self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError> {
        let query = sqlx::query(KEEP_REREAD).bind(reread.generation).bind(carrier.as_str()).bind(reread.at.unix_ms());
        query.bind(kept(reread.payments)).bind(kept(reread.unknown)).execute(self).await?;
        Ok(())
    }

    async fn has_reread(&mut self, carrier: &CarrierName, generation: u32) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_REREAD).bind(generation).bind(carrier.as_str());
        Ok(query.fetch_one(self).await?.try_get::<i64, _>(0)? > 0)
    }
}

async fn begin(db: &mut SqliteConnection, restore: &Restore) -> Result<Generation, StoreError> {
    let last = db.generations().await?.last().map_or(FIRST_GENERATION, |last| last.number).max(restore.after);
    let heads = db.heads().await?;
    // A block of a clock that ran ahead says nothing of what is lost.
    let restored_to = heads.iter().map(|(_, head)| head.at.min(restore.lost_until)).max();
    let ends = sqlx::query(
        "SELECT max(coalesce((SELECT max(seq) FROM journal), 0), coalesce((SELECT max(places_from) FROM generations), 0)),
                coalesce((SELECT max(writers_after) + 1 FROM generations), 1), coalesce((SELECT max(seq) FROM journal), 0)",
    );
    let ends = ends.fetch_one(&mut *db).await?;
    let (furthest, writer_max): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
    let at = Beginning::at(restore.at, furthest, writer_max);
    let begun = beginning(restore, last + 1, restored_to, (ends.try_get(2)?, at));
    let (first_day, last_day) = days_of_serials(&begun);
    sqlx::query(BEGIN_GENERATION)
        .bind(begun.number)
        .bind(begun.began_at.unix_ms())
        .bind(begun.restored_to.map(Timestamp::unix_ms))
        .bind(begun.lost_until.unix_ms())
        .bind(&begun.by)
        .bind(&begun.because)
        .bind(kept(begun.books_end))
        .bind(at.places_from)
        .bind(at.writers_after)
        .bind(&last_day)
        .execute(&mut *db)
        .await?;
    // Where SQLite itself counts from.
    if sqlx::query(LEAVE_PLACES_OUT).bind(at.places_from - 1).execute(&mut *db).await?.rows_affected() == 0 {
        sqlx::query(COUNT_PLACES_FROM).bind(at.places_from - 1).execute(&mut *db).await?;
    }
    let serials = sqlx::query(LEAVE_SERIALS_OUT).bind(SERIALS_LEFT_OUT).bind(&last_day).bind(&first_day);
    serials.execute(&mut *db).await?;
    sqlx::query(CLOSE_MOS).bind(restore.at.unix_ms()).execute(&mut *db).await?;
    sqlx::query(FORGET_WATERMARKS).execute(&mut *db).await?;
    Ok(begun)
}
