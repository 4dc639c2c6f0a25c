//! Moves the books of an installation from its file to a PostgreSQL server, and proves that nothing differs.
//!
//! What must not be is two stores that can be served: the same passenger would be charged by both. So there is one moment at which the
//! books go over, and before it the source is marked, durably:
//!
//! 1. Both stores are held, as a daemon holds its own. The source's write lock is taken for the whole move: what is read is what is there
//!    when the mark is set.
//! 2. The rows are copied, in one transaction of the target; then both sides are read and compared, and the books are audited there.
//! 3. The mark is committed in the source: from here on no daemon starts on it.
//! 4. The target commits: from here on a daemon finds the books there. The mark says then that the move is done.
//!
//! Killed before 3, nothing has changed. Killed between 3 and 4, neither is served: the same command again begins anew. Killed after
//! 4, it is done, and the same command again says so. Where the answer to the commit is lost, the target is asked.

mod copying;
mod error;
mod proof;
mod schema;
mod tables;
mod target;

#[cfg(test)]
mod tests;

use std::time::Duration;

use fail::fail_point;
use sqlx::{Connection, postgres::PgConnection, sqlite::SqliteConnection};
use tokio::time::timeout;
use tracing::{info, warn};

pub use self::{error::TransferError, proof::ComparedTable};
use self::{schema::SharedTable, tables::TABLES};
use super::{
    Hold, SqliteConfig, Store, StoreError,
    address::Address,
    postgres,
    sql::audit::{audit, kept_roots},
    sqlite::{
        books, chain,
        moved::{self, Mark},
    },
};
use crate::{clock::Timestamp, ledger::Audited};

/// A store that has said nothing for so long says nothing any more. A busy disk may be slow, and no daemon waits for this.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// The books that were moved.
#[derive(Clone, Debug)]
pub enum Transferred {
    /// Now.
    Moved {
        /// Every table, the same in both stores.
        tables: Vec<ComparedTable>,
        /// What the audit of the target found: no flaw.
        audited: Box<Audited>,
    },
    /// By an earlier move, which was perhaps broken off before it could say so.
    Before {
        /// When.
        at: Timestamp,
    },
}

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'p> {
    /// The rows of a table are written.
    Copied {
        /// The table.
        table: &'p str,
        /// Its rows.
        rows: u64,
    },
    /// A table is the same in both stores.
    Compared(&'p ComparedTable),
    /// The books are being audited at the target.
    Auditing,
}

/// Moves the books in the file that `from` names into the empty database that `to` names. The target's schema is brought up to date; the
/// source is only marked, at `now`. On return the target holds the books durably, and the source is not served any more.
///
/// Errors: nothing was moved, and the source is as it was, but for [`TransferError::Unknown`] and [`TransferError::StillMarked`]. An
/// address is wrong; a store is in use or fails; the target is not empty; something differs; the books are not in order.
pub async fn transfer(
    from: &str,
    to: &str,
    now: Timestamp,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Transferred, TransferError> {
    let config = addresses(from, to)?;
    // Before anything is made, taken or changed.
    books::open(&config).await?.close().await?;
    let _hold = Hold::take(from)?;
    let mut source = books::open_alone(&config).await?;
    let mark = moved::mark(&mut source).await?;
    let mut target = answered(postgres::take(to)).await?;
    target::begin(&mut target, TABLES).await?;
    let shared = schema::shared(&mut source, &mut target).await?;
    let shown = Store::shown(to);
    let occupied = target::occupied(&mut target, &shared).await?;
    match (mark, occupied) {
        (Some(mark), _) if mark.to != shown => return Err(mark.refusal(&config).into()),
        (Some(mark), Some(_)) if target::has(&mut target, chain::end(&mut source).await?).await? => {
            commit(&mut source).await?;
            finish(source).await;
            return Ok(Transferred::Before { at: mark.at });
        }
        (_, Some(table)) => return Err(TransferError::NotEmpty { table }),
        // Whoever was charged there meanwhile is unknown here.
        (Some(Mark { to, at, done: true }), None) => return Err(TransferError::Gone { to, at }),
        (_, None) => {}
    }
    copy(&mut source, &mut target, &mut progress).await?;
    let (tables, audited) = prove(&shared, &mut source, &mut target, &mut progress).await?;
    hand_over(source, target, to, &Mark { to: shown, at: now, done: false }).await?;
    Ok(Transferred::Moved { tables, audited: Box::new(audited) })
}

/// The file that `from` names. Books go from SQLite to PostgreSQL and in no other direction.
fn addresses(from: &str, to: &str) -> Result<SqliteConfig, TransferError> {
    let config = match Address::read(from) {
        Ok(Address::Sqlite(config)) => config,
        Ok(_) => {
            let why = format!(
                "{:?} is no file: books are moved from sqlite:// to postgres:// only; from one server to another they go by its own means",
                Store::shown(from)
            );
            return Err(TransferError::From(why));
        }
        Err(error) => return Err(TransferError::From(error.to_string())),
    };
    match (Address::read(to), Store::complaint(to)) {
        (Ok(Address::Postgres(_)), None) => Ok(config),
        (Ok(Address::Postgres(_)), Some(complaint)) => {
            Err(TransferError::To(format!("{:?}: {complaint}", Store::shown(to))))
        }
        (Ok(_), _) => {
            Err(TransferError::To(format!("{:?} is no server: books are moved to postgres:// only", Store::shown(to))))
        }
        (Err(error), _) => Err(TransferError::To(error.to_string())),
    }
}

/// Writes every row, in the transactions that are open.
async fn copy(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(), TransferError> {
    // Its row goes when the blocks are made, in the same transaction.
    if sqlx::query("SELECT 1 FROM chain_wanted").fetch_optional(&mut *source).await?.is_some() {
        return Err(TransferError::Unchained);
    }
    target::make_months(target, &copying::months(source).await?).await?;
    for table in TABLES {
        let rows = copying::copy(table, source, target).await.map_err(|error| error.of(table.name))?;
        target::analyze(target, table).await?;
        progress(Progress::Copied { table: table.name, rows });
    }
    target::take_note(target).await
}

/// Compares every table, then audits the books where they are to be: chain, sums, charges, and the roots of the source.
///
/// Errors: anything differs, or is not in order.
async fn prove(
    shared: &[SharedTable],
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(Vec<ComparedTable>, Audited), TransferError> {
    let mut compared = Vec::with_capacity(shared.len());
    target::read_by_key(target, true).await?;
    for table in shared {
        let same = proof::compare(table, source, target).await?;
        progress(Progress::Compared(&same));
        compared.push(same);
    }
    target::read_by_key(target, false).await?;
    progress(Progress::Auditing);
    let roots = kept_roots(source, u32::MAX).await?;
    let audited = Box::pin(audit(target, &roots)).await?;
    match audited.flaws_total {
        0 => Ok((compared, audited)),
        total => {
            let flaws = audited.flaws.iter().map(ToString::to_string).collect();
            Err(TransferError::Flawed { flaws, total })
        }
    }
}

/// Marks the source, then commits the target. At no moment can both be served.
async fn hand_over(
    mut source: SqliteConnection,
    mut target: PgConnection,
    to: &str,
    mark: &Mark,
) -> Result<(), TransferError> {
    let number = target::count_commit(&mut target).await?;
    moved::set(&mut source, mark).await?;
    fail_point!("transfer-before-mark");
    commit(&mut source).await?;
    fail_point!("transfer-after-mark");
    let Err(error) = target::commit(target).await else {
        fail_point!("transfer-after-commit");
        info!(to = mark.to, "the books were moved");
        finish(source).await;
        return Ok(());
    };
    warn!(%error, "nobody knows yet whether the books were moved");
    match target::was_committed(to, number).await {
        Ok(true) => {
            finish(source).await;
            Ok(())
        }
        Ok(false) => match moved::take_back(&mut source).await {
            Ok(()) => Err(error),
            Err(marked) => Err(TransferError::StillMarked { why: error.to_string(), marked: marked.to_string() }),
        },
        Err(asked) => Err(TransferError::Unknown { why: asked.to_string() }),
    }
}

async fn commit(source: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("COMMIT").execute(source).await?;
    Ok(())
}

/// Notes the end, and closes the file, so that the mark is in it and not only in the log beside it. Until then it holds all the same.
async fn finish(mut source: SqliteConnection) {
    let noted = moved::finish(&mut source).await;
    if let Err(error) = noted.and(source.close().await.map_err(Into::into)) {
        warn!(%error, "the books were moved, but the mark of the source does not say yet that it is done");
    }
}

/// What takes longer has no answer any more, and its connection is given up.
///
/// Errors: those of the work; a time-out is one of the connection.
async fn answered<T, E: Into<StoreError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, StoreError> {
    match timeout(SILENCE_MAX, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
    }
}
