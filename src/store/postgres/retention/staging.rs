//! What each charge had in the month, gathered in tables of its own beside the books. They count once the month is cut off, and not before.

use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgConnection};
use uuid::Uuid;

use super::{Parts, reading::Step};
use crate::{
    charge::Reference,
    store::{StoreError, sql::decode::small},
};

/// Charges that are gathered in one transaction. A long one would hold up those who follow the events.
const CHARGES_AT_ONCE: i64 = 5_000;

/// The tables of a month that is on its way out.
pub(super) struct Staging {
    month: String,
    ledger: String,
    steps: String,
    charges: String,
    references: Vec<Uuid>,
    versions: Vec<i64>,
    states: Vec<String>,
}

impl Staging {
    /// The table of steps, and the part of `retired_charges`, of a month.
    pub(super) fn tables(parts: &Parts) -> (String, String) {
        (format!("retiring_{}", parts.month.suffix()), format!("retired_charges_{}", parts.month.suffix()))
    }

    /// Makes the tables anew: what a run that was broken off has left there counts for nothing.
    pub(super) async fn begin(db: &mut PgConnection, parts: &Parts) -> Result<Staging, StoreError> {
        let (steps, charges) = Staging::tables(parts);
        let month = parts.month.to_string();
        let make = format!(
            "DROP TABLE IF EXISTS {steps}, {charges};
             CREATE UNLOGGED TABLE {steps} (reference uuid NOT NULL, version bigint NOT NULL, state text NOT NULL);
             CREATE TABLE {charges} (LIKE retired_charges INCLUDING ALL, CHECK (month = '{month}'))"
        );
        db.execute(AssertSqlSafe(make)).await?;
        let ledger = parts.ledger.clone();
        Ok(Staging { month, ledger, steps, charges, references: Vec::new(), versions: Vec::new(), states: Vec::new() })
    }

    /// An entry that goes.
    pub(super) fn add(&mut self, reference: Reference, step: &Step) {
        self.references.push(reference.uuid());
        self.versions.push(step.version.into());
        self.states.push(serde_json::json!(step.to).to_string());
    }

    /// Writes what was added.
    pub(super) async fn send(&mut self, db: &mut PgConnection) -> Result<(), StoreError> {
        if self.references.is_empty() {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO {} (reference, version, state) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])",
            self.steps
        );
        let insert = sqlx::query(AssertSqlSafe(insert)).bind(&self.references).bind(&self.versions).bind(&self.states);
        insert.execute(db).await?;
        self.references.clear();
        self.versions.clear();
        self.states.clear();
        Ok(())
    }

    /// Makes of the steps what is kept of each charge.
    pub(super) async fn gather_charges(&self, db: &mut PgConnection) -> Result<(), StoreError> {
        let Staging { month, ledger, steps, charges, .. } = self;
        let index = format!("CREATE INDEX ON {steps} (reference, version); ANALYZE {steps}; ANALYZE {ledger}");
        db.execute(AssertSqlSafe(index)).await?;
        let next = format!(
            "SELECT max(reference::text)::uuid FROM (
                 SELECT DISTINCT reference FROM {steps} WHERE reference > $1 ORDER BY reference LIMIT {CHARGES_AT_ONCE}) AS page"
        );
        let gather = format!(
            "INSERT INTO {charges} (month, reference, versions, state, accounts, currencies, minors)
             SELECT '{month}', step.reference, step.versions, step.state, coalesce(sums.accounts, '{{}}'),
                    coalesce(sums.currencies, '{{}}'), coalesce(sums.minors, '{{}}')
             FROM (SELECT reference, array_agg(version ORDER BY version) AS versions,
                          (array_agg(state ORDER BY version DESC))[1] AS state
                   FROM {steps} WHERE reference > $1 AND reference <= $2 GROUP BY reference) AS step
             LEFT JOIN LATERAL (
                 SELECT array_agg(account) AS accounts, array_agg(currency) AS currencies, array_agg(minor) AS minors
                 FROM (SELECT account, currency, sum(minor)::bigint AS minor FROM {ledger} AS line
                       WHERE line.reference = step.reference AND line.version = ANY (step.versions)
                       GROUP BY account, currency HAVING sum(minor) <> 0 ORDER BY account, currency) AS line) AS sums ON true"
        );
        let mut after = Uuid::nil();
        loop {
            let until = sqlx::query(AssertSqlSafe(next.clone())).bind(after).fetch_one(&mut *db).await?;
            let Some(until) = until.try_get::<Option<Uuid>, _>(0)? else { return Ok(()) };
            sqlx::query(AssertSqlSafe(gather.clone())).bind(after).bind(until).execute(&mut *db).await?;
            after = until;
        }
    }

    /// How many charges had entries in the month that go.
    pub(super) async fn charges(&self, db: &mut PgConnection) -> Result<u64, StoreError> {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {}", self.charges));
        small(&sqlx::query(query).fetch_one(db).await?, 0, "retired_charges")
    }
}
