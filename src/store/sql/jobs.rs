//! The way to the task that owns the connection that writes.

use tokio::sync::{mpsc, oneshot};

use crate::store::{Outcome, StoreError, Write};

/// Batches that may wait for the writer. Each caller of `commit` waits for its own.
const JOBS_MAX: usize = 4;

/// What the writer is asked to do.
pub(in crate::store) enum Job {
    Commit { batch: Vec<Write>, answer: oneshot::Sender<Answer> },
    Ping { answer: oneshot::Sender<Result<(), StoreError>> },
    Close { answer: oneshot::Sender<()> },
}

/// The batch comes back with what came of it.
pub(in crate::store) type Answer = (Vec<Write>, Result<Vec<Outcome>, StoreError>);

/// Where jobs are handed in. The writer ends when the last clone is gone, or after [`Jobs::close`].
#[derive(Clone, Debug)]
pub(in crate::store) struct Jobs(mpsc::Sender<Job>);

/// For a writer that is about to be started.
pub(in crate::store) fn channel() -> (Jobs, mpsc::Receiver<Job>) {
    let (jobs, taken) = mpsc::channel(JOBS_MAX);
    (Jobs(jobs), taken)
}

impl Jobs {
    /// Hands the batch to the writer and waits. Dropping the future does not cancel the commit.
    pub(in crate::store) async fn commit(&self, batch: Vec<Write>) -> Answer {
        let (answer, answered) = oneshot::channel();
        match self.0.send(Job::Commit { batch, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| (Vec::new(), Err(StoreError::Closed))),
            Err(mpsc::error::SendError(job)) => (job.into_batch(), Err(StoreError::Closed)),
        }
    }

    pub(in crate::store) async fn ping(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job::Ping { answer }).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(in crate::store) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Job::Close { answer }).await.is_ok() {
            // An error means that the writer has ended already.
            let _ = answered.await;
        }
    }
}

impl Job {
    fn into_batch(self) -> Vec<Write> {
        match self {
            Job::Commit { batch, .. } => batch,
            Job::Ping { .. } | Job::Close { .. } => Vec::new(),
        }
    }
}
