//! The one connection that writes, and the task that owns it. A caller that goes away cancels nothing, so the connection
//! is never left inside a transaction.

use serde::Serialize;
use sqlx::{
    Connection, SqlitePool,
    sqlite::{SqliteConnection, SqliteRow},
};
use tokio::sync::mpsc;
use tracing::warn;

use super::judge;
use crate::store::{
    Outcome, StoreError, Write,
    sql::{jobs::Job, rows::Rows, tables::WithBodies},
};

/// Does one job after another until the last sender is gone or somebody closes the store. A caller that no longer waits
/// for its answer is no reason to stop: sending to it fails, and that is all.
pub(super) async fn run(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Job>, readers: SqlitePool) {
    let mut closing = None;
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Commit { batch, answer } => {
                let result = commit(&mut connection, &batch).await;
                let _ = answer.send((batch, result));
            }
            Job::Ping { answer } => {
                let _ = answer.send(beat(&mut connection).await);
            }
            Job::Close { answer } => {
                jobs.close();
                closing.get_or_insert(answer);
            }
        }
    }
    readers.close().await;
    if let Err(error) = connection.close().await {
        warn!(%error, "the database did not close cleanly; nothing that was answered is lost");
    }
    drop(closing);
}

/// One transaction for the whole batch: judge each write against what is kept, then write what passed in set statements.
async fn commit(connection: &mut SqliteConnection, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    let result = match judge_and_write(connection, batch).await {
        Ok(outcomes) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| outcomes).map_err(Into::into),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // After some errors SQLite has rolled back by itself, and then there is nothing left to roll back.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    result
}

async fn judge_and_write(connection: &mut SqliteConnection, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    let (verdicts, end) = judge::begin_and_judge(connection, batch).await?;
    Rows::collect(batch, &verdicts).write(connection, end).await?;
    Ok(verdicts.outcomes)
}

/// A real write, so that a full disk or one that went read-only is found out.
async fn beat(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE pulse SET beat = beat + 1").execute(connection).await?;
    Ok(())
}

/// Runs a statement whose one parameter is a JSON array, a row of the statement per element, and returns what it selects.
/// Nothing is run for no rows.
pub(super) async fn select_set<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<Vec<SqliteRow>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query(sql).bind(json(rows)).fetch_all(connection).await?)
}

/// Runs a statement as [`select_set`] does and returns how many rows it changed.
pub(super) async fn write_set<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<u64, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    Ok(sqlx::query(sql).bind(json(rows)).execute(connection).await?.rows_affected())
}

/// Runs a statement as [`write_set`] does, with the bodies of the rows as its second parameter.
pub(super) async fn write_bodies<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    WithBodies { rows, bodies }: WithBodies<T>,
) -> Result<u64, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    Ok(sqlx::query(sql).bind(json(&rows)).bind(bodies).execute(connection).await?.rows_affected())
}

pub(super) fn json<T: Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("rows have text keys and finite numbers")
}
