//! The one connection that writes, and the task that owns it. A caller that goes away cancels nothing, so the connection
//! is never left inside a transaction.

use std::time::Duration;

use sqlx::{Connection, Row, postgres::PgConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tracing::{info, warn};

use super::{Opener, WRITER, judge, statements};
use crate::store::{Outcome, StoreError, Write, sql::rows::Rows};

/// So often a batch is judged, where another instance is faster. Each time somebody else has got something done.
const TRIES_MAX: u32 = 4;
/// While it is not known whether a commit was made, the database is asked again at these intervals.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What the writer is asked to do.
pub(super) enum Job {
    Commit { batch: Vec<Write>, answer: oneshot::Sender<Answer> },
    Ping { answer: oneshot::Sender<Result<(), StoreError>> },
    Close { answer: oneshot::Sender<()> },
}

/// The batch comes back with what came of it.
pub(super) type Answer = (Vec<Write>, Result<Vec<Outcome>, StoreError>);

impl Job {
    pub(super) fn into_batch(self) -> Vec<Write> {
        match self {
            Job::Commit { batch, .. } => batch,
            Job::Ping { .. } | Job::Close { .. } => Vec::new(),
        }
    }
}

/// Owns the connection. After an error that it may not have survived it is opened anew, for the next job.
pub(super) struct WriterTask {
    opener: Opener,
    connection: Option<PgConnection>,
}

/// How a transaction ended.
enum End {
    Committed(Vec<Outcome>),
    /// Something is not as it was judged: nothing is written, and it must be judged again.
    Overtaken,
    /// The answer to COMMIT never came. It would be the writer's commit of this number.
    Unknown {
        number: i64,
        outcomes: Vec<Outcome>,
        error: StoreError,
    },
}

impl WriterTask {
    pub(super) fn new(opener: Opener, connection: PgConnection) -> WriterTask {
        WriterTask { opener, connection: Some(connection) }
    }

    /// Does one job after another until the last sender is gone or somebody closes the store. A caller that no longer waits
    /// for its answer is no reason to stop: sending to it fails, and that is all.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = None;
        while let Some(job) = jobs.recv().await {
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
        self.opener.readers.close().await;
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            warn!(%error, "the connection did not close cleanly; nothing that was answered is lost");
        }
        drop(closing);
    }

    /// One transaction for the whole batch, again where another instance was faster.
    async fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        let mut last = StoreError::Refused("it contradicts what is kept, however often it is judged".into());
        for _ in 0..TRIES_MAX {
            let mut db = self.connected().await?;
            let error = match transact(&mut db, batch).await {
                Ok(End::Committed(outcomes)) => {
                    self.connection = Some(db);
                    return Ok(outcomes);
                }
                Ok(End::Unknown { number, outcomes, error }) => {
                    warn!(%error, number, "nobody knows yet whether a commit was made");
                    drop(db);
                    return if self.was_committed(number).await { Ok(outcomes) } else { Err(error) };
                }
                Ok(End::Overtaken) => None,
                Err(error) => Some(error),
            };
            // Who cannot roll back has lost the connection, and with it the transaction.
            if sqlx::raw_sql("ROLLBACK").execute(&mut db).await.is_ok() {
                self.connection = Some(db);
            }
            match error {
                None => {}
                Some(error) if error.may_be_a_race() => last = error,
                Some(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The connection, which is put back after its transaction has ended.
    async fn connected(&mut self) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.opener.writer().await,
        }
    }

    /// Asks until the database knows. Neither answer is guessed, because one would be given for something that is not durable, and the
    /// other for something that is.
    async fn was_committed(&mut self, number: i64) -> bool {
        let mut pause = PAUSE_MIN;
        loop {
            match self.last_commit().await {
                Ok(last) => {
                    let was_made = last >= number;
                    info!(number, was_made, "it is known now whether the commit was made");
                    return was_made;
                }
                Err(error) => warn!(%error, number, "whether a commit was made cannot be asked yet"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The number of the writer's last commit. Waits for a transaction that the server has not given up yet: it holds the row.
    async fn last_commit(&mut self) -> Result<i64, StoreError> {
        let mut db = self.connected().await?;
        let query = sqlx::query("SELECT commits FROM writers WHERE id = $1 FOR UPDATE").bind(i64::from(WRITER.0));
        let last = query.fetch_one(&mut db).await?.try_get(0)?;
        self.connection = Some(db);
        Ok(last)
    }

    /// A real write, so that a full disk or a server that only reads is found out.
    async fn beat(&mut self) -> Result<(), StoreError> {
        let mut db = self.connected().await?;
        sqlx::query("UPDATE pulse SET beat = beat + 1").execute(&mut db).await?;
        self.connection = Some(db);
        Ok(())
    }
}

async fn transact(db: &mut PgConnection, batch: &[Write]) -> Result<End, StoreError> {
    sqlx::raw_sql("BEGIN").execute(&mut *db).await?;
    // Counted in the transaction itself: so the count tells afterwards whether the transaction was committed.
    let count = sqlx::query("UPDATE writers SET commits = commits + 1 WHERE id = $1 RETURNING commits")
        .bind(i64::from(WRITER.0));
    let number = count.fetch_one(&mut *db).await?.try_get(0)?;
    let verdicts = judge::judge(db, batch).await?;
    if !statements::write(Rows::collect(batch, &verdicts), db).await? {
        return Ok(End::Overtaken);
    }
    match sqlx::raw_sql("COMMIT").execute(&mut *db).await {
        Ok(_) => Ok(End::Committed(verdicts.outcomes)),
        Err(error @ sqlx::Error::Database(_)) => Err(error.into()),
        Err(error) => Ok(End::Unknown { number, outcomes: verdicts.outcomes, error: error.into() }),
    }
}
