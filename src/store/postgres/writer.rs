//! The one connection that writes, and the task that owns it. A caller that goes away cancels nothing, so the connection
//! is never left inside a transaction.

use std::time::Duration;

use sqlx::{Connection, Row, postgres::PgConnection};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    Opener,
    chain::ChainPlace,
    instances::Membership,
    judge, statements, turns,
    waiting::{ANSWER_MAX, in_time},
};
use crate::{
    ledger::Head,
    store::{
        Outcome, StoreError, Write,
        sql::{decode, jobs::Job, rows::Rows},
    },
};

/// So often a batch is judged, where another transaction is faster. Each time somebody else has got something done.
const TRIES_MAX: u32 = 4;
/// While it is not known whether a commit was made, the database is asked again at these intervals.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Owns the connection. After an error that it may not have survived it is opened anew, for the next job.
pub(super) struct WriterTask {
    opener: Opener,
    connection: Option<PgConnection>,
    chain: ChainPlace,
    /// Another daemon has begun to be served: this one must write nothing more, and end.
    is_deposed: bool,
}

/// A batch that is written, and not committed yet.
struct Written {
    /// Which of the writer's commits it would be.
    number: i64,
    outcomes: Vec<Outcome>,
}

impl WriterTask {
    pub(super) fn new(opener: Opener, connection: PgConnection) -> WriterTask {
        WriterTask {
            chain: ChainPlace::new(opener.membership.writer),
            opener,
            connection: Some(connection),
            is_deposed: false,
        }
    }

    /// Does one job after another until the last sender is gone, somebody closes the store, or another daemon is served by the database. A
    /// caller that no longer waits for its answer is no reason to stop: sending to it fails, and that is all.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = None;
        while !self.is_deposed
            && let Some(job) = jobs.recv().await
        {
            match job {
                Job::Commit { batch, answer } => {
                    let result = self.commit(&batch).await;
                    let _ = answer.send((batch, result));
                }
                Job::Ping { answer } => {
                    let _ = answer.send(self.beat().await);
                }
                Job::Close { answer } => {
                    jobs.close();
                    closing.get_or_insert(answer);
                }
            }
        }
        // Whoever still waits, or comes now, hears that the store is closed.
        drop(jobs);
        if self.is_deposed {
            error!("another daemon is served by the database now: nothing more is written");
        }
        // A read that has no answer must not keep us.
        let _ = timeout(ANSWER_MAX, self.opener.readers.close()).await;
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            warn!(%error, "the connection did not close cleanly; nothing that was answered is lost");
        }
        drop(closing);
    }

    /// One transaction for the whole batch, again where another transaction was faster.
    async fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        let mut last = StoreError::Refused("it contradicts what is kept, however often it is judged".into());
        for _ in 0..TRIES_MAX {
            let mut db = self.connected().await?;
            match in_time(write(&mut db, self.opener.membership, &mut self.chain, batch)).await {
                Ok(Some(Written { number, outcomes })) => {
                    return match in_time(sqlx::raw_sql("COMMIT").execute(&mut db)).await {
                        Ok(_) => {
                            self.connection = Some(db);
                            Ok(outcomes)
                        }
                        // Whatever was said to it, or whether anything was: only the database knows.
                        Err(error) => {
                            warn!(%error, number, "nobody knows yet whether a commit was made");
                            drop(db);
                            self.chain.forget();
                            if self.was_committed(number).await? { Ok(outcomes) } else { Err(error) }
                        }
                    };
                }
                Ok(None) => self.roll_back(db).await,
                Err(error) => {
                    self.chain.forget();
                    if !error.leaves_no_connection() {
                        self.roll_back(db).await;
                    }
                    self.is_deposed |= matches!(error, StoreError::Closed);
                    if !error.may_be_a_race() {
                        return Err(error);
                    }
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Who cannot roll back has lost the connection, and with it the transaction.
    async fn roll_back(&mut self, mut db: PgConnection) {
        self.chain.forget();
        if in_time(sqlx::raw_sql("ROLLBACK").execute(&mut db)).await.is_ok() {
            self.connection = Some(db);
        }
    }

    /// The connection, which is put back after its transaction has ended.
    ///
    /// Errors: the database cannot be reached; [`StoreError::Closed`] if it serves another daemon.
    async fn connected(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let opened = in_time(self.opener.again()).await;
        self.is_deposed |= matches!(opened, Err(StoreError::Closed));
        opened
    }

    /// Asks until the database knows. Neither answer is guessed, because one would be given for something that is not durable, and the
    /// other for something that is.
    ///
    /// Errors: [`StoreError::Closed`] if another daemon is served meanwhile: then its commits are counted, too.
    async fn was_committed(&mut self, number: i64) -> Result<bool, StoreError> {
        let mut pause = PAUSE_MIN;
        loop {
            match self.last_commit().await {
                Ok(last) => {
                    let was_made = last >= number;
                    info!(number, was_made, "it is known now whether the commit was made");
                    return Ok(was_made);
                }
                Err(StoreError::Closed) => {
                    self.is_deposed = true;
                    return Err(StoreError::Closed);
                }
                Err(error) => warn!(%error, number, "whether a commit was made cannot be asked yet"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The number of the writer's last commit. Waits for a transaction that the server has not given up yet: it holds the row.
    async fn last_commit(&mut self) -> Result<i64, StoreError> {
        let Membership { writer, epoch, .. } = self.opener.membership;
        let mut db = self.connected().await?;
        let query = sqlx::query("SELECT commits FROM writers WHERE id = $1 AND epoch = $2 FOR UPDATE");
        let query = query.bind(i64::from(writer.0)).bind(epoch);
        let last = in_time(query.fetch_optional(&mut db)).await?.ok_or(StoreError::Closed)?.try_get(0)?;
        self.connection = Some(db);
        Ok(last)
    }

    /// A real write, so that a full disk or a server that only reads is found out.
    async fn beat(&mut self) -> Result<(), StoreError> {
        let mut db = self.connected().await?;
        in_time(sqlx::query("UPDATE pulse SET beat = beat + 1").execute(&mut db)).await?;
        self.connection = Some(db);
        Ok(())
    }
}

/// Counts the commit, and tells where the writer's chain ends. Nobody else appends to it.
const COUNT: &str = "
WITH counted AS (
    UPDATE writers SET commits = commits + 1 WHERE id = $1 AND epoch = $2 RETURNING commits, fenced, shared
)
SELECT head.number, head.at, head.hash, commits, fenced, shared
FROM counted LEFT JOIN LATERAL
     (SELECT number, at, hash FROM chain WHERE writer = $1 ORDER BY number DESC LIMIT 1) AS head ON true";

/// Judges the batch and writes what passed, up to the commit. `None` where something is not as it was judged any more: it must be rolled
/// back, and judged again.
///
/// Errors: [`StoreError::Closed`] if the database serves another daemon in our place; [`StoreError::Fenced`] if others have taken over, and the batch
/// would begin something.
async fn write(
    db: &mut PgConnection,
    membership: Membership,
    chain: &mut ChainPlace,
    batch: &[Write],
) -> Result<Option<Written>, StoreError> {
    let Membership { writer, epoch, .. } = membership;
    sqlx::raw_sql("BEGIN").execute(&mut *db).await?;
    // Counted in the transaction itself: so the count tells afterwards whether the transaction was committed. Who puts up the fence
    // changes the same row, so it stands before this commit or behind it.
    let counted = sqlx::query(COUNT).bind(i64::from(writer.0)).bind(epoch).fetch_optional(&mut *db).await?;
    let counted = counted.ok_or(StoreError::Closed)?;
    let (number, is_fenced, is_shared): (i64, bool, bool) =
        (counted.try_get(3)?, counted.try_get(4)?, counted.try_get(5)?);
    chain.head = if counted.try_get::<Option<i64>, _>(0)?.is_some() { decode::head(&counted)? } else { Head::NONE };
    if is_fenced && batch.iter().any(Write::begins_something) {
        return Err(StoreError::Fenced);
    }
    chain.is_shared = is_shared;
    if is_shared {
        turns::take(db, batch).await?;
    }
    let verdicts = judge::judge(db, batch).await?;
    let is_written = statements::write(Rows::collect(batch, &verdicts), db, chain).await?;
    Ok(is_written.then_some(Written { number, outcomes: verdicts.outcomes }))
}
