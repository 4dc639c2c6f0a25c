//! The books in the database, as they were at one moment: a daemon may go on writing.

use sqlx::{
    ConnectOptions, Row,
    postgres::{PgConnection, PgRow},
};
use uuid::Uuid;

use super::{MIGRATIONS, Postgres, database, options, set::SetStatement, waiting::Read};
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
/// Errors: the database cannot be reached, or its schema is not this program's.
pub(in crate::store) async fn open(url: &str) -> Result<PgConnection, StoreError> {
    let mut db = connect(url).await?;
    // A month that is taken out disappears for everybody at once, so it is held before the moment is chosen of which everything is read.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; LOCK TABLE journal, ledger, retired_charges IN ACCESS SHARE MODE";
    sqlx::raw_sql(begin).execute(&mut db).await?;
    Ok(db)
}

/// A connection to a database whose schema is this program's.
///
/// Errors: the database cannot be reached, or its schema is another.
pub(super) async fn connect(url: &str) -> Result<PgConnection, StoreError> {
    let options = options(url)?;
    let cannot = |why: String| StoreError::Connect { database: database(&options), why };
    let mut db = options.connect().await.map_err(|error| cannot(error.to_string()))?;
    let schema = sqlx::query("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(&mut db).await;
    let schema: Option<i64> = schema.and_then(|row| row.try_get(0)).map_err(|error| cannot(error.to_string()))?;
    let ours = MIGRATIONS.iter().map(|migration| migration.version).max();
    if schema != ours {
        return Err(cannot(format!(
            "its schema is at {}, and this program's at {}; `smsbusd migrate` brings it up to date",
            schema.unwrap_or(0),
            ours.unwrap_or(0)
        )));
    }
    Ok(db)
}

impl Postgres {
    pub(in crate::store) async fn retired_months(
        &self,
        reference: Reference,
    ) -> Result<Vec<(String, bool)>, StoreError> {
        let query = sqlx::query(
            "SELECT month, journal_sha256 IS NOT NULL FROM retired_charges JOIN retirements USING (month)
             WHERE reference = $1 ORDER BY month",
        );
        let rows = query.bind(reference.uuid()).all(&self.readers).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

/// Blocks of several writers stand in the journal one after another: the entries of a commit have places side by side.
impl Books for PgConnection {
    type Row = PgRow;

    async fn blocks(&mut self, after: BlockPlace, limit: u32) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query(
            "SELECT writer, number, at, entries, lines, last_seq, digest, hash FROM chain WHERE last_seq > $1
             ORDER BY last_seq LIMIT $2",
        );
        Ok(query.bind(after.last_seq).bind(i64::from(limit)).fetch_all(self).await?)
    }

    async fn journal(&mut self, (after, until): (i64, i64), limit: u32) -> Result<Vec<PgRow>, StoreError> {
        let query = "SELECT seq, reference, at, body FROM journal WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
        Ok(sqlx::query(query).bind(after).bind(until).bind(i64::from(limit)).fetch_all(self).await?)
    }

    async fn lines_of_versions(&mut self, versions: &[(Reference, u32)]) -> Result<Vec<PgRow>, StoreError> {
        static LINES: SetStatement = SetStatement::new(
            "SELECT ordinality - 1, ledger.reference, ledger.version, account, minor, currency, posted_at
             FROM {rows} JOIN ledger ON ledger.reference = new.reference AND ledger.version = new.version",
        );
        LINES.select(self, versions).await
    }

    async fn ledger_lines(&mut self) -> Result<u64, StoreError> {
        let lines = sqlx::query("SELECT count(*) FROM ledger").fetch_one(self).await?;
        decode::small(&lines, 0, "ledger")
    }

    async fn charges(&mut self, after: Option<Reference>, limit: u32) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query(
            "SELECT reference, body, version, state, due_at, in_doubt_since, amount_minor, msisdn FROM charges
             WHERE reference > $1 ORDER BY reference LIMIT $2",
        );
        let after = after.map_or(Uuid::nil(), |after| Uuid::from_bytes(*after.as_bytes()));
        Ok(query.bind(after).bind(i64::from(limit)).fetch_all(self).await?)
    }

    async fn without_charge(&mut self, limit: u32) -> Result<Vec<PgRow>, StoreError> {
        let query = "SELECT DISTINCT reference FROM journal
             WHERE NOT EXISTS (SELECT 1 FROM charges WHERE charges.reference = journal.reference) LIMIT $1";
        Ok(sqlx::query(query).bind(i64::from(limit)).fetch_all(self).await?)
    }

    async fn journal_of(&mut self, references: &[Reference]) -> Result<Vec<PgRow>, StoreError> {
        static JOURNAL: SetStatement = SetStatement::new(
            "SELECT journal.reference, body FROM {rows} JOIN journal ON journal.reference = new.value ORDER BY seq",
        );
        JOURNAL.select(self, references).await
    }

    async fn lines_of(&mut self, references: &[Reference]) -> Result<Vec<PgRow>, StoreError> {
        static LINES: SetStatement = SetStatement::new(
            "SELECT ledger.reference, version, account, minor, currency, posted_at
             FROM {rows} JOIN ledger ON ledger.reference = new.value",
        );
        LINES.select(self, references).await
    }

    async fn tickets_of(&mut self, references: &[Reference]) -> Result<Vec<PgRow>, StoreError> {
        static TICKETS: SetStatement = SetStatement::new(
            "SELECT tickets.reference, revoked_at IS NOT NULL FROM {rows} JOIN tickets ON tickets.reference = new.value",
        );
        TICKETS.select(self, references).await
    }

    async fn words_of(&mut self, references: &[Reference]) -> Result<Vec<PgRow>, StoreError> {
        static WORDS: SetStatement = SetStatement::new(
            "SELECT evidence.reference, evidence.id, words, salt
             FROM {rows} JOIN evidence ON evidence.reference = new.value WHERE words IS NOT NULL",
        );
        WORDS.select(self, references).await
    }

    async fn roots(&mut self, limit: u32) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query("SELECT day, root FROM roots ORDER BY day DESC LIMIT $1");
        Ok(query.bind(i64::from(limit)).fetch_all(self).await?)
    }

    async fn retirements(&mut self) -> Result<Vec<PgRow>, StoreError> {
        let query = "SELECT month, blocks, entries, lines, charges, journal_sha256, ledger_sha256 FROM retirements ORDER BY month";
        Ok(sqlx::query(query).fetch_all(self).await?)
    }

    async fn retired_blocks(&mut self) -> Result<Vec<PgRow>, StoreError> {
        let query = "SELECT writer, first, last, month FROM retired_blocks ORDER BY writer, first";
        Ok(sqlx::query(query).fetch_all(self).await?)
    }

    async fn carried(&mut self) -> Result<Vec<PgRow>, StoreError> {
        let query = "SELECT account, currency, sum(minor)::bigint FROM carried GROUP BY account, currency";
        Ok(sqlx::query(query).fetch_all(self).await?)
    }

    async fn retired_of(&mut self, references: &[Reference]) -> Result<Vec<PgRow>, StoreError> {
        static RETIRED: SetStatement = SetStatement::new(
            "SELECT retired_charges.reference, to_json(versions)::text, state, to_json(accounts)::text,
                    to_json(currencies)::text, to_json(minors)::text
             FROM {rows} JOIN retired_charges ON retired_charges.reference = new.value ORDER BY month",
        );
        RETIRED.select(self, references).await
    }
}
