//! The database that the books are moved to: one transaction, in which nobody else writes, and whose commit can be asked for later.

use sqlx::{AssertSqlSafe, Connection, Row, postgres::PgConnection};
use tracing::warn;

use super::{
    answered,
    error::TransferError,
    schema::SharedTable,
    tables::{COUNTED, Table},
};
use crate::{
    ledger::{Head, Writer},
    store::{postgres, sql::chain::FIRST_WRITER},
};

/// Begins the transaction, and lets nobody else write into the tables of the books until it ends.
///
/// Errors: somebody else is in the middle of writing into them.
pub(super) async fn begin(target: &mut PgConnection, tables: &[Table]) -> Result<(), TransferError> {
    let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
    // Between two statements the other store is read, on a machine that may be slow. And the source is not served any more once this is
    // committed: that must not be lost with the server's power.
    let begin = format!(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10min';
         SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
         LOCK TABLE {} IN EXCLUSIVE MODE",
        names.join(", ")
    );
    answered(sqlx::raw_sql(AssertSqlSafe(begin)).execute(target)).await?;
    Ok(())
}

/// Makes the months of the journal and the ledger that these moments are in.
pub(super) async fn make_months(target: &mut PgConnection, moments: &[i64]) -> Result<(), TransferError> {
    Ok(answered(postgres::partitions::make_months(target, moments)).await?)
}

/// The first table that has a row.
pub(super) async fn occupied(
    target: &mut PgConnection,
    tables: &[SharedTable],
) -> Result<Option<String>, TransferError> {
    for table in tables {
        let query = AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name));
        if answered(sqlx::query(query).fetch_one(&mut *target)).await?.try_get(0)? {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}

/// Whether the end of the source's chain is in the target's: then the books that led there are, too.
pub(super) async fn has(target: &mut PgConnection, (writer, head): (Writer, Head)) -> Result<bool, TransferError> {
    let query = sqlx::query("SELECT EXISTS (SELECT 1 FROM chain WHERE writer = $1 AND number = $2 AND hash = $3)");
    let number = i64::try_from(head.number).expect("blocks are counted one by one");
    let query = query.bind(i64::from(writer.0)).bind(number).bind(head.hash.as_slice());
    Ok(head != Head::NONE && answered(query.fetch_one(target)).await?.try_get(0)?)
}

/// What the server must know of the rows that it was given: numbers that it counts itself go on after them, and it can plan with them.
pub(super) async fn take_note(target: &mut PgConnection) -> Result<(), TransferError> {
    let (table, column) = COUNTED;
    let count = format!(
        "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table} HAVING count(*) > 0"
    );
    answered(sqlx::raw_sql(AssertSqlSafe(count)).execute(&mut *target)).await?;
    // Each generation of the file has had a writer, whose chain goes on here.
    let writers = "INSERT INTO writers (id, epoch, commits) SELECT writers_after + 1, 0, 0 FROM generations
                   ON CONFLICT (id) DO NOTHING";
    answered(sqlx::raw_sql(writers).execute(target)).await?;
    Ok(())
}

/// Lets the server plan with what a table holds now.
pub(super) async fn analyze(target: &mut PgConnection, table: &Table) -> Result<(), TransferError> {
    answered(sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE {}", table.name))).execute(target)).await?;
    Ok(())
}

/// Has the server read tables by their keys, row by row, or as it likes. To sort one of many gigabytes it would need as much of its disk
/// once more.
pub(super) async fn read_by_key(target: &mut PgConnection, by_key: bool) -> Result<(), TransferError> {
    let query = sqlx::query("SELECT set_config('enable_sort', $1, true)").bind(if by_key { "off" } else { "on" });
    answered(query.execute(target)).await?;
    Ok(())
}

/// Counts the commit in its own transaction, as a daemon's writer does, and gives its number. Daemons that were served by the database
/// before, and have only lost their connections, write nothing more.
pub(super) async fn count_commit(target: &mut PgConnection) -> Result<i64, TransferError> {
    answered(sqlx::raw_sql("UPDATE writers SET epoch = epoch + 1, instance = NULL").execute(&mut *target)).await?;
    let count = "UPDATE writers SET commits = commits + 1 WHERE id = $1 RETURNING commits";
    let counted = answered(sqlx::query(count).bind(i64::from(FIRST_WRITER.0)).fetch_one(target)).await?;
    Ok(counted.try_get(0)?)
}

/// Commits, and lets the database go.
///
/// Errors: nobody knows whether it has committed.
pub(super) async fn commit(mut target: PgConnection) -> Result<(), TransferError> {
    answered(sqlx::raw_sql("COMMIT").execute(&mut target)).await?;
    if let Err(error) = answered(target.close()).await {
        warn!(%error, "the connection did not close cleanly; nothing is lost");
    }
    Ok(())
}

/// Asks over a new connection whether the commit of that number was made. Who has the database now has it alone, so the connection
/// that it was sent over is gone, and what is not there never comes.
///
/// Errors: the server cannot be asked.
pub(super) async fn was_committed(url: &str, number: i64) -> Result<bool, TransferError> {
    let mut target = answered(postgres::take(url)).await?;
    let query = sqlx::query("SELECT commits >= $2 FROM writers WHERE id = $1 FOR UPDATE")
        .bind(i64::from(FIRST_WRITER.0))
        .bind(number);
    Ok(answered(query.fetch_one(&mut target)).await?.try_get(0)?)
}
