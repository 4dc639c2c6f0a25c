//! One transaction for many callers.
//!
//! A task drains a bounded queue into batches and commits one after another. Nobody is made to wait for company: a batch is
//! what has gathered while the one before was being committed. Each caller is answered only after the commit.

use std::{collections::VecDeque, time::Instant};

use metrics::{gauge, histogram};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{Outcome, Store, StoreError, Write, overlap};
use crate::process;

/// The bounds of a group commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCommitConfig {
    /// Writes that may wait. Further callers wait for room.
    pub queue_max: usize,
    /// Writes in one transaction.
    pub batch_max: usize,
}

impl Default for GroupCommitConfig {
    fn default() -> GroupCommitConfig {
        GroupCommitConfig { queue_max: 4_096, batch_max: 1_024 }
    }
}

/// The way in for every write. Clones share one queue and one writer task.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    queue: mpsc::Sender<Job>,
    news: watch::Receiver<u64>,
    closing: CancellationToken,
    task: TaskTracker,
}

/// A write with its caller.
#[derive(Debug)]
struct Job {
    write: Write,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
}

impl GroupCommit {
    /// Starts the writer task on the current tokio runtime. It ends with [`GroupCommit::close`], or when the last clone is
    /// gone and the queue is empty.
    pub fn start(store: Store, config: GroupCommitConfig) -> GroupCommit {
        let (queue, jobs) = mpsc::channel(config.queue_max.max(1));
        let closing = CancellationToken::new();
        let task = TaskTracker::new();
        let (tell, news) = watch::channel(0);
        let writer = Writer { store, jobs, news: tell, batch_max: config.batch_max.max(1), waiting: VecDeque::new() };
        task.spawn(process::own(writer.run(closing.clone())));
        task.close();
        GroupCommit { queue, news, closing, task }
    }

    /// Writes and waits until it is durable. Waits for room if the queue is full. Once the write is in the queue, dropping
    /// the future does not cancel it.
    ///
    /// Errors: [`StoreError::Refused`] if this write is at fault, and only its own caller hears of it;
    /// [`StoreError::Database`] for a whole batch; [`StoreError::Closed`] after [`GroupCommit::close`].
    pub async fn write(&self, write: Write) -> Result<Outcome, StoreError> {
        write.check()?;
        let (answer, answered) = oneshot::channel();
        self.queue.send(Job { write, answer }).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Changes after each commit that has brought something for the journals, and says how many those were. It is closed with the writer.
    pub fn journal_news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }

    /// Returns once the writer has ended: after [`GroupCommit::close`], or because it panicked, and then nothing can be written
    /// any more and the process had better end.
    pub async fn ended(&self) {
        self.queue.closed().await;
    }

    /// Takes no further writes, commits those that wait, and returns when all of them are answered.
    pub async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

struct Writer {
    store: Store,
    jobs: mpsc::Receiver<Job>,
    /// Told of commits that those want to know of who follow the journal.
    news: watch::Sender<u64>,
    batch_max: usize,
    /// Writes in the order in which they came: those that had to let another go first, then the new ones.
    waiting: VecDeque<Job>,
}

impl Writer {
    async fn run(mut self, closing: CancellationToken) {
        let mut fresh = Vec::new();
        loop {
            self.receive(&mut fresh, &closing).await;
            self.waiting.extend(fresh.drain(..));
            if self.waiting.is_empty() {
                return;
            }
            gauge!("store_queue_depth").set(depth(self.jobs.len() + self.waiting.len()));
            let batch = self.take_batch();
            self.commit(batch).await;
        }
    }

    /// Fills up what waits to a whole batch. Waits only if there is nothing to do; returns with nothing once the queue is
    /// closed and empty.
    async fn receive(&mut self, fresh: &mut Vec<Job>, closing: &CancellationToken) {
        let room = self.batch_max - self.waiting.len();
        if closing.is_cancelled() {
            self.jobs.close();
        }
        if self.waiting.is_empty() && !self.jobs.is_closed() {
            tokio::select! {
                biased;
                () = closing.cancelled() => self.jobs.close(),
                _ = self.jobs.recv_many(fresh, room) => return,
            }
        }
        if self.waiting.is_empty() {
            self.jobs.recv_many(fresh, room).await;
        } else {
            let ready = room.min(self.jobs.len());
            fresh.extend((0..ready).map_while(|_| self.jobs.try_recv().ok()));
        }
    }

    /// The writes that can share a transaction. The others keep their order and go with a later one.
    fn take_batch(&mut self) -> Vec<Job> {
        let apart = overlap::apart(self.waiting.iter().map(|job| &job.write));
        let (mut batch, mut held_back) = (Vec::with_capacity(apart.len()), VecDeque::new());
        for (job, goes) in self.waiting.drain(..).zip(apart) {
            if goes { batch.push(job) } else { held_back.push_back(job) }
        }
        self.waiting = held_back;
        batch
    }

    async fn commit(&self, batch: Vec<Job>) {
        let (writes, callers): (Vec<Write>, Vec<_>) = batch.into_iter().map(|job| (job.write, job.answer)).unzip();
        let rows = writes.len();
        let is_news = writes.iter().any(|write| matches!(write, Write::Open(_) | Write::Settle(_)));
        let begun = Instant::now();
        let results = commit_or_bisect(&self.store, writes).await;
        histogram!("store_commit_seconds").record(begun.elapsed());
        histogram!("store_batch_rows").record(depth(rows));
        if is_news && results.iter().any(Result::is_ok) {
            self.news.send_modify(|commits| *commits += 1);
        }
        for (caller, result) in callers.into_iter().zip(results) {
            // A caller that went away does not want to know.
            let _ = caller.send(result);
        }
    }
}

/// Commits the batch. If one write is at fault, tries the halves, so that in the end it fails alone: at most as many
/// levels as the batch has bits. Any other error, such as a full disk, is every caller's.
async fn commit_or_bisect(store: &Store, batch: Vec<Write>) -> Vec<Result<Outcome, StoreError>> {
    let mut results = Vec::with_capacity(batch.len());
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let rows = part.len();
        let (mut part, result) = store.commit_checked(part).await;
        match result {
            Ok(outcomes) => results.extend(outcomes.into_iter().map(Ok)),
            Err(error) if rows > 1 && part.len() == rows && error.blames_one_write() => {
                let second = part.split_off(rows / 2);
                parts.extend([second, part]);
            }
            Err(error) => {
                warn!(%error, rows, "a commit failed");
                results.extend(std::iter::repeat_n(Err(error), rows));
            }
        }
    }
    results
}

/// For a metric, which is a float.
fn depth(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
