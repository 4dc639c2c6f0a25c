//! The generations of the books on a server. A standby that takes over raises the server's timeline and loses nothing, so it begins none;
//! what was put back to an older moment does.

use sqlx::{Connection, Row, postgres::PgConnection};

use super::{
    Postgres,
    waiting::{Read, in_time},
};
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

const HEADS: &str = "
SELECT writers.id, top.number, top.at, top.hash
FROM writers CROSS JOIN LATERAL
     (SELECT number, at, hash FROM chain WHERE writer = writers.id ORDER BY number DESC LIMIT 1) AS top
ORDER BY 1";

/// No place of this transaction or a later one lies before that of the generation.
const LEAVE_PLACES_OUT: &str =
    "UPDATE places SET base = greatest(base, $1 - (pg_current_xact_id()::text::bigint << 16))";
/// Daemons that were served before the restore, and have only lost their connections, write nothing more.
const DEPOSE: &str = "UPDATE writers SET epoch = epoch + 1, instance = NULL, fenced = true";
/// The numbers of instances are fencing tokens.
const LEAVE_IDS_OUT: &str = "
SELECT setval(pg_get_serial_sequence('instances', 'id'), greatest($1, (SELECT max(id) FROM instances), 1)),
       setval(pg_get_serial_sequence('breaks', 'id'), greatest($1, (SELECT max(id) FROM breaks), 1))";

impl Postgres {
    pub(in crate::store) async fn heads(&self) -> Result<Vec<(Writer, Head)>, StoreError> {
        sqlx::query(HEADS).all(&self.readers).await?.iter().map(writers_head).collect()
    }

    pub(in crate::store) async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        sqlx::query(GENERATIONS).all(&self.readers).await?.iter().map(generation).collect()
    }

    pub(in crate::store) async fn has_block(&self, writer: Writer, head: &Head) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_BLOCK).bind(i64::from(writer.0)).bind(kept(head.number));
        Ok(query.bind(head.hash.as_slice()).one(&self.readers).await?.try_get::<i64, _>(0)? > 0)
    }

    pub(in crate::store) async fn has_reread(
        &self,
        carrier: &CarrierName,
        generation: u32,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_REREAD).bind(i64::from(generation)).bind(carrier.as_str());
        Ok(query.one(&self.readers).await?.try_get::<i64, _>(0)? > 0)
    }

    /// It happens once, and the writer has other work: so one of those that read writes it.
    pub(in crate::store) async fn keep_reread(&self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError> {
        in_time(async {
            let mut db = self.readers.acquire().await?;
            let mut transaction = db.begin().await?;
            sqlx::raw_sql("SET TRANSACTION READ WRITE").execute(&mut *transaction).await?;
            transaction.keep_reread(carrier, reread).await?;
            Ok::<(), StoreError>(transaction.commit().await?)
        })
        .await
    }
}

impl Generations for PgConnection {
    async fn generations(&mut self) -> Result<Vec<Generation>, StoreError> {
        sqlx::query(GENERATIONS).fetch_all(self).await?.iter().map(generation).collect()
    }

    async fn heads(&mut self) -> Result<Vec<(Writer, Head)>, StoreError> {
        sqlx::query(HEADS).fetch_all(self).await?.iter().map(writers_head).collect()
    }

    async fn has_block(&mut self, writer: Writer, head: &Head) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_BLOCK).bind(i64::from(writer.0)).bind(kept(head.number));
        Ok(query.bind(head.hash.as_slice()).fetch_one(self).await?.try_get::<i64, _>(0)? > 0)
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
        let mut transaction = self.begin().await?;
        let begun = begin(&mut transaction, restore).await?;
        transaction.commit().await?;
        Ok(begun)
    }

    async fn finish_generation(&mut self, number: u32, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(FINISH_GENERATION).bind(i64::from(number)).bind(at.unix_ms()).execute(self).await?;
        Ok(())
    }

    async fn pending(&mut self) -> Result<Vec<Reference>, StoreError> {
        let rows = sqlx::query(PENDING).fetch_all(self).await?;
        rows.iter().map(|row| decode::reference(row, 0)).collect()
    }

    async fn keep_reread(&mut self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError> {
        let query = sqlx::query(KEEP_REREAD).bind(i64::from(reread.generation)).bind(carrier.as_str());
        let query = query.bind(reread.at.unix_ms()).bind(kept(reread.payments)).bind(kept(reread.unknown));
        query.execute(self).await?;
        Ok(())
    }

    async fn has_reread(&mut self, carrier: &CarrierName, generation: u32) -> Result<bool, StoreError> {
        let query = sqlx::query(HAS_REREAD).bind(i64::from(generation)).bind(carrier.as_str());
        Ok(query.fetch_one(self).await?.try_get::<i64, _>(0)? > 0)
    }
}

async fn begin(db: &mut PgConnection, restore: &Restore) -> Result<Generation, StoreError> {
    let last = db.generations().await?.last().map_or(FIRST_GENERATION, |last| last.number).max(restore.after);
    let heads = db.heads().await?;
    // A block of a clock that ran ahead says nothing of what is lost.
    let restored_to = heads.iter().map(|(_, head)| head.at.min(restore.lost_until)).max();
    let ends = sqlx::query(
        "SELECT greatest((SELECT max(seq) FROM journal), (SELECT max(last_seq) FROM chain), (SELECT max(places_from) FROM generations),
                         (pg_current_xact_id()::text::bigint << 16) + (SELECT base FROM places)),
                greatest((SELECT max(id) FROM writers), (SELECT max(writer) FROM chain), 1),
                greatest((SELECT max(seq) FROM journal), (SELECT max(last_seq) FROM chain), 0)",
    );
    let ends = ends.fetch_one(&mut *db).await?;
    let (furthest, writer_max): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
    let at = Beginning::at(restore.at, furthest, writer_max);
    let begun = beginning(restore, last + 1, restored_to, (ends.try_get(2)?, at));
    let (first_day, last_day) = days_of_serials(&begun);
    sqlx::query(BEGIN_GENERATION)
        .bind(i64::from(begun.number))
        .bind(begun.began_at.unix_ms())
        .bind(begun.restored_to.map(Timestamp::unix_ms))
        .bind(begun.lost_until.unix_ms())
        .bind(begun.by.as_bytes())
        .bind(begun.because.as_bytes())
        .bind(kept(begun.books_end))
        .bind(at.places_from)
        .bind(at.writers_after)
        .bind(&last_day)
        .execute(&mut *db)
        .await?;
    let serials = sqlx::query(LEAVE_SERIALS_OUT).bind(SERIALS_LEFT_OUT).bind(&last_day).bind(&first_day);
    serials.execute(&mut *db).await?;
    sqlx::query(CLOSE_MOS).bind(restore.at.unix_ms()).execute(&mut *db).await?;
    sqlx::query(FORGET_WATERMARKS).execute(&mut *db).await?;
    sqlx::query(LEAVE_PLACES_OUT).bind(at.places_from).execute(&mut *db).await?;
    sqlx::query(LEAVE_IDS_OUT).bind(at.ids_after).execute(&mut *db).await?;
    sqlx::raw_sql(DEPOSE).execute(&mut *db).await?;
    sqlx::raw_sql("DELETE FROM leases; DELETE FROM instances").execute(&mut *db).await?;
    Ok(begun)
}
