//! What the simulator's tasks share.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinHandle, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    chaos::Running,
    config::{ConfigError, SimulatorConfig},
    exchange::Exchange,
    faults::{FaultRule, InvalidFault, RuleId},
    http::Front,
    links::Links,
    listeners::Listener,
    rate::{Rate, percent},
    stats::Stats,
};
use crate::clock::{Clock, Timestamp};

/// The exchange behind its lock, the links, and what ends the tasks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SimulatorConfig,
    pub(super) listeners: Vec<Listener>,
    pub(super) links: Links,
    pub(super) links_opened: AtomicU64,
    /// Submissions of the whole carrier.
    pub(super) rate: Rate,
    pub(super) chaos: Mutex<Running>,
    /// Ends every task.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// One permit for each MO or receipt that waits for an acknowledgement.
    pub(super) deliveries: Arc<Semaphore>,
    /// What the HTTP interfaces share.
    pub(super) http: Front,
    exchange: Mutex<Exchange>,
    clock: Clock,
}

impl Shared {
    pub(super) fn new(
        config: SimulatorConfig,
        clock: Clock,
        listeners: Vec<Listener>,
        http: Front,
    ) -> Result<Shared, ConfigError> {
        let exchange = Exchange::new(config.clone())?;
        Ok(Shared {
            listeners,
            links: Links::new(),
            links_opened: AtomicU64::new(0),
            rate: Rate::new(config.tps_max),
            chaos: Mutex::new(Running::default()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            deliveries: Arc::new(Semaphore::new(config.limits.deliveries_max)),
            http,
            exchange: Mutex::new(exchange),
            clock,
            config,
        })
    }

    /// The exchange, locked, with all that is due by now done. Never held across an await.
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.expire_reservations(self.clock.now());
        exchange
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

    /// Puts a fault in force, and ends it when its time is over.
    pub(super) fn set_fault(self: &Arc<Self>, rule: FaultRule) -> Result<RuleId, InvalidFault> {
        let for_ms = rule.for_ms;
        let id = self.exchange().faults.add(rule)?;
        self.end_fault_after(id, for_ms);
        Ok(id)
    }

    /// Ends the faults of the configuration when their time is over.
    pub(super) fn time_configured_faults(self: &Arc<Self>) {
        let timed = self.exchange().faults.timed();
        for (id, for_ms) in timed {
            self.end_fault_after(id, Some(for_ms));
        }
    }

    /// How loaded the SMSC is, in percent: the fullest of its limits.
    pub(super) fn load_percent(&self) -> u8 {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let pending = count(self.exchange().messages.pending());
        let messages = percent(pending, count(self.config.limits.messages_pending_max));
        u8::try_from(messages.max(self.rate.load_percent())).unwrap_or(100)
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
            http: self.http.stats(&exchange.stats.http),
            ..exchange.stats.clone()
        }
    }

    fn end_fault_after(self: &Arc<Self>, id: RuleId, for_ms: Option<u64>) {
        let Some(ms) = for_ms else { return };
        let shared = Arc::clone(self);
        self.spawn(async move {
            sleep(Duration::from_millis(ms)).await;
            shared.exchange().faults.remove(id);
        });
    }
}
