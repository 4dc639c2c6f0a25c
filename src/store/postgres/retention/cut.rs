//! The one transaction in which a month goes.

use std::time::Duration;

use fail::fail_point;
use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};
use tokio::time::sleep;

use super::{Extent, Parts, reading::Gathered, staging::Staging, unsettled_charges};
use crate::{
    clock::Timestamp,
    store::{RetentionError, RetiredMonth, StoreError, postgres::partitions},
};

/// Nobody waits for us longer than this: a table that is held by somebody is asked for again.
const LOCK_MAX: &str = "SET LOCAL lock_timeout = '300ms'";
const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(500);

/// Takes the month out of the journal and the ledger, with everything that is kept of it, durably. Returns why not, where something came into
/// it meanwhile; then nothing was changed.
///
/// Errors: the database fails; if it was lost at the commit, the month may be gone. [`RetentionError::Held`].
pub(super) async fn cut(
    db: &mut PgConnection,
    parts: &Parts,
    extent: Extent,
    gathered: &Gathered,
    retired: &RetiredMonth,
    now: Timestamp,
) -> Result<Option<String>, RetentionError> {
    db.execute("BEGIN").await?;
    match within(db, parts, extent, gathered, retired, now).await {
        Ok(None) => {
            fail_point!("retention-before-commit");
            db.execute("COMMIT").await?;
            fail_point!("retention-after-commit");
            Ok(None)
        }
        Ok(Some(why)) => {
            db.execute("ROLLBACK").await?;
            Ok(Some(why))
        }
        Err(error) => {
            // Where the connection is lost, the server rolls back by itself.
            let _ = db.execute("ROLLBACK").await;
            Err(error)
        }
    }
}

async fn within(
    db: &mut PgConnection,
    parts: &Parts,
    extent: Extent,
    gathered: &Gathered,
    retired: &RetiredMonth,
    now: Timestamp,
) -> Result<Option<String>, RetentionError> {
    let Parts { journal, ledger, .. } = parts;
    db.execute(partitions::LOCK).await?;
    // From here on nothing comes into the month; the other months are written to as ever.
    let still = format!("LOCK TABLE ONLY {journal}, ONLY {ledger} IN SHARE MODE");
    if !patiently(db, &still).await? {
        return Err(RetentionError::Held { month: parts.month });
    }
    if parts.extent(db).await? != extent {
        return Ok(Some("something was written into it meanwhile: a clock may be wrong".into()));
    }
    if let Some(why) = unsettled_charges(db, parts).await? {
        return Ok(Some(why));
    }
    let alone = format!(
        "LOCK TABLE ONLY journal, ONLY ledger, ONLY journal_other, ONLY ledger_other, ONLY retired_charges,
                    ONLY {journal}, ONLY {ledger} IN ACCESS EXCLUSIVE MODE"
    );
    if !patiently(db, &alone).await? {
        return Err(RetentionError::Held { month: parts.month });
    }
    take_out(db, parts, gathered).await?;
    keep(db, parts, gathered, retired, now).await?;
    let (steps, charges) = Staging::tables(parts);
    let month = parts.month;
    let end = format!(
        "ALTER TABLE retired_charges ATTACH PARTITION {charges} FOR VALUES IN ('{month}');
         SELECT guard_part('{charges}');
         DROP TABLE {journal}, {ledger}, {steps}"
    );
    db.execute(AssertSqlSafe(end)).await?;
    Ok(None)
}

/// Takes locks, all or none. Asked for in short turns: who comes after us for the same table waits for as long as we do.
async fn patiently(db: &mut PgConnection, lock: &str) -> Result<bool, StoreError> {
    for _ in 0..TRIES_MAX {
        let tried = format!("SAVEPOINT locking; {LOCK_MAX}; {lock}");
        match db.execute(AssertSqlSafe(tried)).await {
            Ok(_) => return Ok(true),
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("55P03" | "40P01")) => {
                db.execute("ROLLBACK TO SAVEPOINT locking").await?;
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// What stays goes to the part for what is in no month.
async fn take_out(db: &mut PgConnection, parts: &Parts, gathered: &Gathered) -> Result<(), StoreError> {
    let Parts { journal, ledger, .. } = parts;
    let out = format!("ALTER TABLE journal DETACH PARTITION {journal}; ALTER TABLE ledger DETACH PARTITION {ledger}");
    db.execute(AssertSqlSafe(out)).await?;
    let entries = format!("INSERT INTO journal SELECT * FROM {journal} WHERE seq = ANY ($1)");
    sqlx::query(AssertSqlSafe(entries)).bind(&gathered.kept_seqs).execute(&mut *db).await?;
    let references: Vec<uuid::Uuid> = gathered.kept_versions.iter().map(|(reference, _)| reference.uuid()).collect();
    let versions: Vec<i64> = gathered.kept_versions.iter().map(|(_, version)| i64::from(*version)).collect();
    let lines = format!(
        "INSERT INTO ledger SELECT part.* FROM {ledger} AS part
         JOIN unnest($1::uuid[], $2::bigint[]) AS kept (reference, version)
           ON part.reference = kept.reference AND part.version = kept.version"
    );
    sqlx::query(AssertSqlSafe(lines)).bind(references).bind(versions).execute(db).await?;
    Ok(())
}

/// What is known of the month from now on.
async fn keep(
    db: &mut PgConnection,
    parts: &Parts,
    gathered: &Gathered,
    retired: &RetiredMonth,
    now: Timestamp,
) -> Result<(), StoreError> {
    let month = parts.month.to_string();
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (journal, ledger) = retired.archived.unzip();
    let retirement = sqlx::query(
        "INSERT INTO retirements (month, retired_at, blocks, entries, lines, charges, journal_sha256, ledger_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&month)
    .bind(now.unix_ms())
    .bind(number(retired.blocks))
    .bind(number(retired.entries))
    .bind(number(retired.lines))
    .bind(number(retired.charges))
    .bind(journal.map(Vec::from))
    .bind(ledger.map(Vec::from));
    retirement.execute(&mut *db).await?;
    let runs: Vec<(i64, i64, i64)> = gathered
        .runs
        .iter()
        .flat_map(|(writer, runs)| runs.iter().map(|(first, last)| (writer.0.into(), number(*first), number(*last))))
        .collect();
    let blocks = sqlx::query(
        "INSERT INTO retired_blocks (month, writer, first, last)
         SELECT $1, run.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS run",
    )
    .bind(&month)
    .bind(runs.iter().map(|run| run.0).collect::<Vec<i64>>())
    .bind(runs.iter().map(|run| run.1).collect::<Vec<i64>>())
    .bind(runs.iter().map(|run| run.2).collect::<Vec<i64>>());
    blocks.execute(&mut *db).await?;
    // The lines that go, and not those that stay.
    let (steps, _) = Staging::tables(parts);
    let carried = format!(
        "INSERT INTO carried (month, account, currency, minor, lines)
         SELECT '{month}', account, currency, sum(minor)::bigint, count(*) FROM {ledger} AS line
         JOIN {steps} AS step ON step.reference = line.reference AND step.version = line.version
         GROUP BY account, currency",
        ledger = parts.ledger
    );
    db.execute(AssertSqlSafe(carried)).await?;
    Ok(())
}
