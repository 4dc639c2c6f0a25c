//! What the simulator's tasks share.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::{ConfigError, SimulatorConfig},
    exchange::Exchange,
    links::Links,
    stats::Stats,
};
use crate::clock::{Clock, Timestamp};

/// The exchange behind its lock, the links, and what ends the tasks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SimulatorConfig,
    pub(super) links: Links,
    /// Ends every task.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// One permit for each MO or receipt that waits for an acknowledgement.
    pub(super) deliveries: Arc<Semaphore>,
    exchange: Mutex<Exchange>,
    clock: Clock,
    second: Mutex<Second>,
}

/// The running second of the TPS limit.
#[derive(Debug)]
struct Second {
    began: Instant,
    submits: u32,
}

impl Shared {
    pub(super) fn new(config: SimulatorConfig, clock: Clock) -> Result<Shared, ConfigError> {
        let exchange = Exchange::new(config.clone())?;
        Ok(Shared {
            links: Links::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            deliveries: Arc::new(Semaphore::new(config.limits.deliveries_max)),
            exchange: Mutex::new(exchange),
            clock,
            second: Mutex::new(Second { began: Instant::now(), submits: 0 }),
            config,
        })
    }

    /// The exchange, locked. Never held across an await.
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs `task` until it is done or the simulator stops; then it yields none.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task))
    }

    /// Counts a submission against the TPS limit. False if it is over.
    pub(super) fn within_tps(&self) -> bool {
        let Some(tps_max) = self.config.tps_max else { return true };
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.elapsed().as_secs() >= 1 {
            *second = Second { began: Instant::now(), submits: 0 };
        }
        second.submits = second.submits.saturating_add(1);
        second.submits <= tps_max
    }

    pub(super) fn stats(&self) -> Stats {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let exchange = self.exchange();
        Stats {
            connections_open: count(self.links.count()),
            deliveries_pending: count(
                self.config.limits.deliveries_max.saturating_sub(self.deliveries.available_permits()),
            ),
            messages_pending: count(exchange.messages.pending()),
            ..exchange.stats.clone()
        }
    }
}
