//! What a simulation makes of commits: slow, failed, durable though nobody hears of it, or the last thing that a process does.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{Memory, Outcome, StoreError, Write};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done, after so long.
    Done(Duration),
    /// It fails, and nothing is written.
    Failed,
    /// It is written, and its answer is lost: whoever asked hears of a failure.
    Unanswered,
    /// The process ends before anything is written.
    EndedBefore,
    /// The process ends when all is written.
    EndedAfter,
}

/// Who decides, and is told.
pub(crate) trait Attendant: fmt::Debug + Send + Sync {
    /// A batch is about to be committed.
    fn fate(&self, batch: &[Write]) -> Fate;
    /// It was committed, or refused.
    fn committed(&self, batch: &[Write], result: &Result<Vec<Outcome>, StoreError>);
    /// The process is to end here and now.
    fn end(&self);
}

impl Memory {
    /// Asks `attendant` about every commit from now on.
    pub(crate) fn attend(&self, attendant: Arc<dyn Attendant>) {
        self.state().attendant = Some(attendant);
    }

    pub(super) fn attendant(&self) -> Option<Arc<dyn Attendant>> {
        self.state().attendant.clone()
    }

    pub(super) async fn commit_attended(
        &self,
        attendant: &dyn Attendant,
        batch: &[Write],
    ) -> Result<Vec<Outcome>, StoreError> {
        let fate = attendant.fate(batch);
        match fate {
            Fate::Failed => return Err(lost()),
            Fate::EndedBefore => {
                attendant.end();
                return std::future::pending().await;
            }
            Fate::Done(after) if !after.is_zero() => tokio::time::sleep(after).await,
            _ => {}
        }
        let result = self.state().commit(batch);
        attendant.committed(batch, &result);
        match fate {
            Fate::Unanswered => Err(lost()),
            Fate::EndedAfter => {
                attendant.end();
                std::future::pending().await
            }
            _ => result,
        }
    }
}

fn lost() -> StoreError {
    StoreError::Database(Arc::new(sqlx::Error::Io(io::Error::other("the simulated database is lost"))))
}
