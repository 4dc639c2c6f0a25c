//! The books in the file, as they are this moment: beside a daemon that goes on writing, too.

use sqlx::{
    ConnectOptions, Row,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use super::{MIGRATIONS, SqliteConfig, options, writer::select_set};
use crate::{
    charge::Reference,
    store::{
        StoreError,
        sql::{
            audit::{BlockPlace, Books},
            decode,
        },
    },
};

/// A connection that only reads, inside one transaction.
///
/// Errors: the file cannot be opened or read, or its schema is not this program's.
pub(in crate::store) async fn open(config: &SqliteConfig) -> Result<SqliteConnection, StoreError> {
    begin(config, options(config).read_only(true), "BEGIN").await
}

/// A connection inside one transaction that has the write lock: until it ends, nobody changes what is read.
///
/// Errors: as [`open`]; the file cannot be written; another process has the lock.
pub(in crate::store) async fn open_alone(config: &SqliteConfig) -> Result<SqliteConnection, StoreError> {
    begin(config, options(config), "BEGIN IMMEDIATE").await
}

async fn begin(
    config: &SqliteConfig,
    options: SqliteConnectOptions,
    begin: &'static str,
) -> Result<SqliteConnection, StoreError> {
    let cannot = |why: String| StoreError::Open { path: config.path.clone(), why };
    let options = options.create_if_missing(false);
    let mut db = options.connect().await.map_err(|error| cannot(error.to_string()))?;
    let schema = sqlx::query("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(&mut db).await;
    let schema: Option<i64> = schema.and_then(|row| row.try_get(0)).map_err(|error| cannot(error.to_string()))?;
    let ours = MIGRATIONS.iter().map(|migration| migration.version).max();
    match schema == ours {
        true => {
            sqlx::query(begin).execute(&mut db).await.map_err(|error| cannot(error.to_string()))?;
            Ok(db)
        }
        false => Err(cannot(format!(
            "its schema is at {}, and this program's at {}; `smsbusd migrate` brings it up to date",
            schema.unwrap_or(0),
            ours.unwrap_or(0)
        ))),
    }
}

/// One connection writes, and each generation has a writer with a higher number, so the blocks are numbered in the order of the journal.
impl Books for SqliteConnection {
    type Row = SqliteRow;

    async fn blocks(&mut self, after: BlockPlace, limit: u32) -> Result<Vec<SqliteRow>, StoreError> {
        let query = sqlx::query(
            "SELECT writer, number, at, entries, lines, last_seq, digest, hash FROM chain
             WHERE (writer, number) > (?1, ?2) ORDER BY writer, number LIMIT ?3",
        );
        let number = i64::try_from(after.number).unwrap_or(i64::MAX);
        Ok(query.bind(after.writer).bind(number).bind(limit).fetch_all(self).await?)
    }

    async fn journal(&mut self, (after, until): (i64, i64), limit: u32) -> Result<Vec<SqliteRow>, StoreError> {
        let query = "SELECT seq, reference, at, body FROM journal WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        Ok(sqlx::query(query).bind(after).bind(until).bind(limit).fetch_all(self).await?)
    }

    async fn lines_of_versions(&mut self, versions: &[(Reference, u32)]) -> Result<Vec<SqliteRow>, StoreError> {
        let lines = "SELECT wanted.key, ledger.reference, version, account, minor, currency, posted_at
             FROM jsonb_each(?1) AS wanted
             CROSS JOIN ledger ON ledger.reference = unhex(wanted.value->>0, '-') AND ledger.version = wanted.value->>1";
        select_set(self, lines, versions).await
    }

    async fn ledger_lines(&mut self) -> Result<u64, StoreError> {
        let lines = sqlx::query("SELECT count(*) FROM ledger").fetch_one(self).await?;
        decode::small(&lines, 0, "ledger")
    }

    async fn charges(&mut self, after: Option<Reference>, limit: u32) -> Result<Vec<SqliteRow>, StoreError> {
        let query = sqlx::query(
            "SELECT reference, body, version, state, due_at, in_doubt_since, amount_minor, msisdn FROM charges
             WHERE reference > ?1 ORDER BY reference LIMIT ?2",
        );
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        Ok(query.bind(after).bind(limit).fetch_all(self).await?)
    }

    async fn without_charge(&mut self, limit: u32) -> Result<Vec<SqliteRow>, StoreError> {
        let query = "SELECT DISTINCT reference FROM journal INDEXED BY journal_by_reference
             WHERE NOT EXISTS (SELECT 1 FROM charges WHERE charges.reference = journal.reference) LIMIT ?1";
        Ok(sqlx::query(query).bind(limit).fetch_all(self).await?)
    }

    async fn journal_of(&mut self, references: &[Reference]) -> Result<Vec<SqliteRow>, StoreError> {
        let journal = "SELECT journal.reference, body FROM jsonb_each(?1) AS wanted
             CROSS JOIN journal INDEXED BY journal_by_reference
                     ON journal.reference = unhex(wanted.value, '-') ORDER BY seq";
        select_set(self, journal, references).await
    }

    async fn lines_of(&mut self, references: &[Reference]) -> Result<Vec<SqliteRow>, StoreError> {
        let lines =
            "SELECT ledger.reference, version, account, minor, currency, posted_at FROM jsonb_each(?1) AS wanted
             CROSS JOIN ledger ON ledger.reference = unhex(wanted.value, '-')";
        select_set(self, lines, references).await
    }

    async fn tickets_of(&mut self, references: &[Reference]) -> Result<Vec<SqliteRow>, StoreError> {
        let tickets = "SELECT tickets.reference, revoked_at IS NOT NULL FROM jsonb_each(?1) AS wanted
             CROSS JOIN tickets ON tickets.reference = unhex(wanted.value, '-')";
        select_set(self, tickets, references).await
    }

    async fn words_of(&mut self, references: &[Reference]) -> Result<Vec<SqliteRow>, StoreError> {
        let words = "SELECT evidence.reference, evidence.id, words, salt FROM jsonb_each(?1) AS wanted
             CROSS JOIN evidence ON evidence.reference = unhex(wanted.value, '-') WHERE words IS NOT NULL";
        select_set(self, words, references).await
    }

    async fn roots(&mut self, limit: u32) -> Result<Vec<SqliteRow>, StoreError> {
        let query = sqlx::query("SELECT day, root FROM roots ORDER BY day DESC LIMIT ?1");
        Ok(query.bind(limit).fetch_all(self).await?)
    }
}

#[cfg(test)]
mod tests;
