//! The months of the journal and the ledger. A month's parts are made ahead of time, and never while a charge is written: what finds none
//! stands in the part of its own for what falls into no month, and is moved once its month is made.

use std::time::Duration;

use sqlx::{
    Connection, Row,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{task::JoinHandle, time::sleep};
use tracing::{info, warn};

use super::{open, waiting::in_time};
use crate::store::StoreError;

/// So many months are there before they begin: whoever looks after it may be away for a quarter.
const MONTHS_AHEAD: i32 = 3;
/// How often a daemon looks; and how soon again, where that failed.
const EVERY: Duration = Duration::from_secs(86_400);
const AGAIN: Duration = Duration::from_secs(600);

/// By the database's clock: the last month, this one and those that come. The last one, because what is written at midnight began before.
const WANTED: &str = "
SELECT months.month::date AS month
FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month',
                     date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => $1), interval '1 month') AS months(month)
WHERE to_char(month, 'YYYY-MM') NOT IN (SELECT month FROM retirements)
  AND (to_regclass('journal_' || to_char(month, 'YYYY_MM')) IS NULL
       OR to_regclass('ledger_' || to_char(month, 'YYYY_MM')) IS NULL)";

/// One daemon at a time makes parts, or takes them away. Until the transaction ends.
pub(super) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('smsbusd:partitions:' || current_schema(), 0))";

/// Makes what is missing of the months around now. Where nothing is, it only looks.
pub(super) async fn make_ahead(db: &mut PgConnection) -> Result<(), StoreError> {
    let wanted = format!("SELECT count(*) FROM ({WANTED}) AS wanted");
    let missing = sqlx::query(sqlx::AssertSqlSafe(wanted)).bind(MONTHS_AHEAD).fetch_one(&mut *db).await?;
    if missing.try_get::<i64, _>(0)? == 0 {
        return Ok(());
    }
    let mut transaction = db.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    let make = format!("SELECT coalesce(sum(make_month(month)), 0)::bigint FROM ({WANTED} ORDER BY month) AS wanted");
    let made = sqlx::query(sqlx::AssertSqlSafe(make)).bind(MONTHS_AHEAD).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    info!(parts = made.try_get::<i64, _>(0)?, "parts of the journal and the ledger are made for months to come");
    Ok(())
}

/// The same at a start, which does not fail over it: somebody may hold the tables, and it is done later.
///
/// Errors: the connection is lost.
pub(super) async fn make_ahead_or_later(db: &mut PgConnection) -> Result<(), StoreError> {
    match make_ahead(db).await {
        Err(error) if !error.leaves_no_connection() => {
            warn!(%error, "the months to come of the journal and the ledger are not made yet");
            Ok(())
        }
        done => done,
    }
}

/// Makes the months of these moments, in milliseconds since 1970, inside the transaction that is open: for books that come from elsewhere.
pub(in crate::store) async fn make_months(db: &mut PgConnection, moments: &[i64]) -> Result<(), StoreError> {
    let make = sqlx::query(
        "SELECT make_month(month)
         FROM (SELECT DISTINCT date_trunc('month', to_timestamp(moment / 1000) AT TIME ZONE 'UTC')::date AS month
               FROM unnest($1::bigint[]) AS moment) AS months
         WHERE month BETWEEN '2020-01-01' AND now() AT TIME ZONE 'UTC' + interval '3 months' ORDER BY month",
    );
    make.bind(moments).fetch_all(db).await?;
    Ok(())
}

/// Looks after the months for as long as it is kept: every day, on a connection of its own.
#[derive(Debug)]
pub(super) struct Upkeep(JoinHandle<()>);

impl Upkeep {
    pub(super) fn begin(options: PgConnectOptions) -> Upkeep {
        Upkeep(tokio::spawn(async move {
            let mut pause = EVERY;
            loop {
                sleep(pause).await;
                pause = match in_time(look_after(&options)).await {
                    Ok(()) => EVERY,
                    // Nothing is lost: what finds no month stands aside, and is moved later.
                    Err(error) => {
                        warn!(%error, "the months to come of the journal and the ledger could not be looked after");
                        AGAIN
                    }
                };
            }
        }))
    }
}

/// What it was doing is rolled back by the server.
impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look_after(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut db = open(options).await?;
    make_ahead(&mut db).await?;
    Ok(db.close().await?)
}
