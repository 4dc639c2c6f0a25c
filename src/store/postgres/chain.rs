//! The chains of hashes, one for each writer, and the roots over all of them.

use std::time::Duration;

use jiff::{civil::Date, tz::TimeZone};
use sqlx::{
    Row,
    postgres::{PgConnection, PgRow},
};

use crate::{
    clock::Timestamp,
    ledger::{Block, DailyRoot, Head, Writer},
    store::{
        StoreError,
        sql::{
            chain::{Chain, is_new_day},
            decode::{self, small},
        },
    },
};

/// With several writers, a day is over once the clock of one of them is so far past its end: no other's is so slow.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(600);

/// The chain of one writer, in the transaction that is open.
pub(super) struct WritersChain<'a> {
    pub(super) db: &'a mut PgConnection,
    pub(super) place: &'a mut ChainPlace,
}

/// Whose chain it is, and what its writer remembers of the days.
#[derive(Debug)]
pub(super) struct ChainPlace {
    pub(super) writer: Writer,
    /// Whether there are other writers.
    pub(super) is_shared: bool,
    /// Where it ended when the transaction began.
    pub(super) head: Head,
    /// All days before it have their roots, as far as this writer knows.
    closed_before: Option<Date>,
}

impl ChainPlace {
    pub(super) fn new(writer: Writer) -> ChainPlace {
        ChainPlace { writer, is_shared: false, head: Head::NONE, closed_before: None }
    }

    /// What was remembered in a transaction that was rolled back may not be so.
    pub(super) fn forget(&mut self) {
        self.closed_before = None;
    }
}

impl Chain for WritersChain<'_> {
    async fn head(&mut self) -> Result<(Writer, Head), StoreError> {
        Ok((self.place.writer, self.place.head))
    }

    async fn open_since(&mut self) -> Result<Timestamp, StoreError> {
        if !self.place.is_shared && self.place.closed_before.is_some() {
            return Ok(Timestamp::MIN);
        }
        let last: Option<String> =
            sqlx::query("SELECT max(day) FROM roots").fetch_one(&mut *self.db).await?.try_get(0)?;
        let Some(last) = last else { return Ok(Timestamp::MIN) };
        let last: Date = last.parse().map_err(|error| decode::corrupt("roots", &last, error))?;
        let next = last.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
        let next = next.map_err(|error| decode::corrupt("roots", &last.to_string(), error))?;
        Ok(Timestamp::from_unix_ms(next.timestamp().as_millisecond()))
    }

    /// The entry that was written last is the last of this transaction.
    async fn keep(&mut self, block: &Block) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO chain (writer, number, at, entries, lines, last_seq, digest, hash)
         SELECT $1, $2, $3, $4, $5, (pg_current_xact_id()::text::bigint << 16) + base + $4, $6, $7 FROM places",
        )
        .bind(i64::from(block.writer.0))
        .bind(counted(block.number))
        .bind(block.at.unix_ms())
        .bind(i64::from(block.entries))
        .bind(i64::from(block.lines))
        .bind(block.digest.as_slice())
        .bind(block.hash.as_slice())
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    async fn close_days(&mut self, head: &Head, now: Timestamp) -> Result<Vec<DailyRoot>, StoreError> {
        if is_new_day(head, now) {
            self.keep_day_end(head).await?;
        }
        let apart = if self.place.is_shared { CLOCKS_APART_MAX } else { Duration::ZERO };
        let today = day(now.minus(apart));
        if self.place.closed_before.is_some_and(|closed_before| closed_before >= today) {
            return Ok(Vec::new());
        }
        let mut closed = Vec::new();
        for day in self.days_to_close(today).await? {
            let root = DailyRoot::over(day, &self.heads(day).await?);
            let query = sqlx::query("INSERT INTO roots (day, root) VALUES ($1, $2) ON CONFLICT (day) DO NOTHING");
            let query = query.bind(day.to_string()).bind(root.root.as_slice());
            if query.execute(&mut *self.db).await?.rows_affected() > 0 {
                closed.push(root);
            }
        }
        self.place.closed_before = Some(today);
        Ok(closed)
    }
}

impl WritersChain<'_> {
    async fn keep_day_end(&mut self, head: &Head) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO day_ends (day, writer, number, at, hash) VALUES ($1, $2, $3, $4, $5)")
            .bind(day(head.at).to_string())
            .bind(i64::from(self.place.writer.0))
            .bind(counted(head.number))
            .bind(head.at.unix_ms())
            .bind(head.hash.as_slice());
        query.execute(&mut *self.db).await?;
        Ok(())
    }

    /// Days before `today` with a block, and without a root.
    async fn days_to_close(&mut self, today: Date) -> Result<Vec<Date>, StoreError> {
        let ends = sqlx::query("SELECT day FROM day_ends WHERE day > coalesce((SELECT max(day) FROM roots), '')");
        let ends = ends.fetch_all(&mut *self.db).await?;
        let kept = sqlx::query("SELECT max(day) FROM roots").fetch_one(&mut *self.db).await?;
        let kept: Option<String> = kept.try_get(0)?;
        let mut days: Vec<Date> = ends.iter().map(|row| decode::word(row, 0, "day_ends")).collect::<Result<_, _>>()?;
        days.extend(self.tops().await?.iter().map(|(_, head)| day(head.at)));
        days.sort_unstable();
        days.dedup();
        days.retain(|day| *day < today && kept.as_deref().is_none_or(|kept| day.to_string().as_str() > kept));
        Ok(days)
    }

    /// The ends of all chains at the end of a day.
    async fn heads(&mut self, of: Date) -> Result<Vec<(Writer, Head)>, StoreError> {
        let mut heads = self.tops().await?;
        heads.retain(|(_, head)| day(head.at) <= of);
        let ends = sqlx::query(
            "SELECT DISTINCT ON (writer) writer, number, at, hash FROM day_ends WHERE day <= $1 ORDER BY writer, day DESC",
        );
        let ends = ends.bind(of.to_string()).fetch_all(&mut *self.db).await?;
        for row in &ends {
            let (writer, head) = writers_head(row)?;
            // Who has stood still since has gone on from there.
            if !heads.iter().any(|(other, _)| *other == writer) {
                heads.push((writer, head));
            }
        }
        Ok(heads)
    }

    /// The ends of all chains.
    async fn tops(&mut self) -> Result<Vec<(Writer, Head)>, StoreError> {
        let tops = sqlx::query(
            "SELECT writers.id, top.number, top.at, top.hash
             FROM writers CROSS JOIN LATERAL
                  (SELECT number, at, hash FROM chain WHERE writer = writers.id ORDER BY number DESC LIMIT 1) AS top",
        );
        tops.fetch_all(&mut *self.db).await?.iter().map(writers_head).collect()
    }
}

fn writers_head(row: &PgRow) -> Result<(Writer, Head), StoreError> {
    let head =
        Head { number: small(row, 1, "chain")?, at: decode::moment(row, 2)?, hash: decode::hash(row, 3, "chain")? };
    Ok((Writer(small(row, 0, "chain")?), head))
}

fn day(at: Timestamp) -> Date {
    at.date_in(&TimeZone::UTC)
}

fn counted(number: u64) -> i64 {
    i64::try_from(number).expect("blocks are counted one by one")
}
