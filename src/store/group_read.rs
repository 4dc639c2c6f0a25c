//! One read for many purchases.
//!
//! Each purchase begins with the same question. Asked alone, it takes a connection, a statement and a way to the database and
//! back; so what is asked while an answer is under way is asked together afterwards. Nobody waits for company.

use metrics::histogram;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::{Prior, PriorQuestion, Store, StoreError};
use crate::process;

/// Questions that may wait. Further callers wait for room.
const QUEUE_MAX: usize = 4_096;
/// Questions in one statement.
const ASKED_TOGETHER: usize = 256;

/// Asks what is kept before a purchase. Clones share one queue and one task, which ends with the last clone.
#[derive(Clone, Debug)]
pub struct GroupRead {
    queue: mpsc::Sender<Asked>,
}

#[derive(Debug)]
struct Asked {
    question: PriorQuestion,
    answer: oneshot::Sender<Result<Prior, StoreError>>,
}

impl GroupRead {
    /// Starts the task on the current tokio runtime.
    pub fn start(store: Store) -> GroupRead {
        let (queue, asked) = mpsc::channel(QUEUE_MAX);
        process::spawn(read(store, asked));
        GroupRead { queue }
    }

    /// What is kept of a purchase to come: everything that was committed before the call.
    ///
    /// Errors: those of the read, for everybody who was asking with us; [`StoreError::Closed`] if the task is gone.
    pub async fn prior(&self, question: PriorQuestion) -> Result<Prior, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Asked { question, answer }).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

async fn read(store: Store, mut queue: mpsc::Receiver<Asked>) {
    let mut asked = Vec::new();
    while queue.recv_many(&mut asked, ASKED_TOGETHER).await > 0 {
        let (questions, askers): (Vec<_>, Vec<_>) = asked.drain(..).map(|one| (one.question, one.answer)).unzip();
        histogram!("store_read_rows").record(f64::from(u32::try_from(questions.len()).unwrap_or(u32::MAX)));
        let (store, count) = (store.clone(), questions.len());
        // A task of its own: a defect that panics here must not end the purchases of everybody after these.
        let reading = process::spawn(async move { store.priors(&questions).await });
        let answers = match reading.await.unwrap_or(Err(StoreError::Closed)) {
            Ok(priors) => priors.into_iter().map(Ok).collect(),
            Err(error) => {
                warn!(%error, questions = count, "what is kept of purchases to come cannot be read");
                vec![Err(error); count]
            }
        };
        for (asker, answer) in askers.into_iter().zip(answers) {
            // Who went away does not want to know.
            let _ = asker.send(answer);
        }
    }
}
