//! The slots, those who wait for one, and what allows a request. All waiting is here, in two lanes, before a slot is given.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, oneshot};

use super::outcome::Outcome;
use crate::{
    carrier::{NoSlot, Urgency},
    pace::{BreakerConfig, BreakerState, Lane, Pacer, Turn, Waiting},
};

/// The right to send one request now. Dropping it gives the place back.
#[derive(Debug)]
pub struct WebSlot {
    slots: Arc<Slots>,
    given_at: Instant,
    /// The circuit breaker waits for what becomes of this request.
    trial: bool,
    /// What becomes of it says nothing of the carrier's health.
    question: bool,
    held: bool,
}

impl WebSlot {
    /// When it was given.
    pub fn given_at(&self) -> Instant {
        self.given_at
    }

    /// It is for a question, which leaves the circuit breaker and its trial to charges: a carrier may answer the one and not the
    /// other.
    pub fn for_question(mut self) -> WebSlot {
        self.question = true;
        if std::mem::take(&mut self.trial) {
            self.slots.leave_trial();
        }
        self
    }

    /// Gives the place back, with what became of the request: the carrier's health, mood and latency are known by that.
    pub fn settle(mut self, outcome: &Outcome) {
        self.held = false;
        self.slots.settle(&self, outcome);
    }
}

impl Drop for WebSlot {
    fn drop(&mut self) {
        if self.held {
            self.slots.give_back(self);
        }
    }
}

pub(super) struct SlotsConfig {
    pub(super) tps: u32,
    pub(super) concurrency: usize,
    pub(super) breaker: BreakerConfig,
    pub(super) waiting_max: usize,
}

/// How the gate stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) paused: bool,
    pub(super) ended: bool,
    /// No part of it is ours.
    pub(super) rests: bool,
    /// The last request got through to the carrier.
    pub(super) reachable: bool,
    pub(super) breaker: BreakerState,
    pub(super) rate_milli: u64,
    pub(super) throttled: bool,
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
}

#[derive(Debug)]
pub(super) struct Slots {
    queue: Mutex<Queue>,
    concurrency: usize,
    waiting_max: usize,
    /// The moment at which somebody can be served has changed.
    retimed: Notify,
    /// A slot came back after the end.
    returned: Notify,
}

/// All that is under the lock.
#[derive(Debug)]
struct Queue {
    free: usize,
    /// The contract's rate, in requests a second.
    tps: u32,
    /// So many parts of so many are ours, of the rate and of the requests under way.
    part: (u32, u32),
    concurrency: usize,
    waiting: Waiting<WebSlot>,
    pacer: Pacer,
    /// The carrier asked to be left alone until then.
    hold_until: Option<Instant>,
    reachable: bool,
    paused: bool,
    ended: bool,
    /// When somebody who waits can be served, if nothing else happens.
    serve_at: Option<Instant>,
}

impl Slots {
    pub(super) fn new(config: &SlotsConfig) -> Slots {
        let queue = Queue {
            free: config.concurrency,
            tps: config.tps,
            part: (1, 1),
            concurrency: config.concurrency,
            waiting: Waiting::default(),
            pacer: Pacer::new(config.tps, config.breaker),
            hold_until: None,
            reachable: true,
            paused: false,
            ended: false,
            serve_at: None,
        };
        Slots {
            queue: Mutex::new(queue),
            concurrency: config.concurrency,
            waiting_max: config.waiting_max,
            retimed: Notify::new(),
            returned: Notify::new(),
        }
    }

    pub(super) fn try_reserve(self: &Arc<Slots>) -> Option<WebSlot> {
        let now = now();
        let mut queue = self.lock();
        if queue.waiting.is_somebody_there() {
            return None;
        }
        match queue.turn(now) {
            Turn::Now => Some(self.give(&mut queue, now)),
            Turn::Later(_) | Turn::Wait => None,
        }
    }

    pub(super) async fn reserve(self: &Arc<Slots>, deadline: Instant, urgency: Urgency) -> Result<WebSlot, NoSlot> {
        if let Some(slot) = self.try_reserve() {
            return Ok(slot);
        }
        let waiting = self.enqueue(deadline, urgency)?;
        match tokio::time::timeout_at(deadline.into(), waiting).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_ended)) => Err(NoSlot::ShuttingDown),
            Err(_elapsed) => Err(NoSlot::InTime),
        }
    }

    fn enqueue(self: &Arc<Slots>, deadline: Instant, urgency: Urgency) -> Result<oneshot::Receiver<WebSlot>, NoSlot> {
        let mut queue = self.lock();
        if queue.ended {
            return Err(NoSlot::ShuttingDown);
        }
        let lane = match urgency {
            Urgency::Ticket => Lane::Priority,
            Urgency::Normal => Lane::Normal,
        };
        let refuses = |queue: &Queue| {
            let wait = queue.pacer.time_for(queue.waiting.ahead_in(lane), self.concurrency);
            queue.waiting.count() >= self.waiting_max || now() + wait > deadline
        };
        if refuses(&queue) {
            queue.waiting.forget_those_who_gave_up();
            if refuses(&queue) {
                return Err(NoSlot::TooManyWait);
            }
        }
        let waiting = queue.waiting.push(lane);
        drop(queue);
        // A place may have come free since it was looked for.
        self.serve();
        Ok(waiting)
    }

    pub(super) fn set_paused(self: &Arc<Slots>, paused: bool) {
        self.lock().paused = paused;
        self.serve();
    }

    pub(super) fn set_tps(self: &Arc<Slots>, tps: u32) {
        let mut queue = self.lock();
        queue.tps = tps;
        queue.retune();
        drop(queue);
        self.serve();
    }

    pub(super) fn set_part(self: &Arc<Slots>, ours: u32, all: u32) {
        let mut queue = self.lock();
        if std::mem::replace(&mut queue.part, (ours, all.max(1))) != (ours, all.max(1)) {
            queue.retune();
        }
        drop(queue);
        self.serve();
    }

    pub(super) fn expected_answer(&self) -> Duration {
        self.lock().pacer.latency.expected()
    }

    pub(super) fn load(&self) -> Load {
        let mut queue = self.lock();
        Load {
            paused: queue.paused,
            ended: queue.ended,
            rests: queue.part.0 == 0,
            reachable: queue.reachable,
            breaker: queue.pacer.breaker.state(now()),
            rate_milli: queue.pacer.throttle.rate(),
            throttled: queue.pacer.throttle.is_reduced(),
            in_flight: self.concurrency - queue.free,
            waiting: queue.waiting.count(),
        }
    }

    /// No more slots for anybody; returns when all are back, or at `deadline`.
    pub(super) async fn end(&self, deadline: Instant) {
        let waiting = {
            let mut queue = self.lock();
            queue.ended = true;
            std::mem::take(&mut queue.waiting)
        };
        drop(waiting);
        self.retimed.notify_one();
        loop {
            let returned = self.returned.notified();
            if self.lock().free == self.concurrency {
                return;
            }
            if tokio::time::timeout_at(deadline.into(), returned).await.is_err() {
                return;
            }
        }
    }

    /// Serves those who wait when time alone lets them go on. Ends with the slots.
    pub(super) async fn keep_time(slots: Weak<Slots>) {
        // Awaited without holding the slots, so that they can go: looked after now and then.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        while let Some(held) = slots.upgrade() {
            let serve_at = {
                let queue = held.lock();
                if queue.ended {
                    return;
                }
                queue.serve_at
            };
            let at = serve_at.unwrap_or(now() + LOOK_EVERY).min(now() + LOOK_EVERY);
            if tokio::time::timeout_at(at.into(), held.retimed.notified()).await.is_err() && serve_at.is_some() {
                held.serve();
            }
        }
    }

    fn give(self: &Arc<Slots>, queue: &mut Queue, now: Instant) -> WebSlot {
        assert!(queue.free > 0, "a place was given that is not there");
        queue.free -= 1;
        let trial = queue.pacer.take(now);
        WebSlot { slots: Arc::clone(self), given_at: now, trial, question: false, held: true }
    }

    fn give_back(self: &Arc<Slots>, slot: &WebSlot) {
        let mut queue = self.lock();
        queue.free += 1;
        if slot.trial {
            queue.pacer.breaker.give_back();
        }
        drop(queue);
        self.returned.notify_waiters();
        self.serve();
    }

    fn leave_trial(self: &Arc<Slots>) {
        self.lock().pacer.breaker.give_back();
        self.serve();
    }

    fn settle(self: &Arc<Slots>, slot: &WebSlot, outcome: &Outcome) {
        let now = now();
        let mut queue = self.lock();
        queue.free += 1;
        queue.listen_to_mood(slot.given_at, outcome, now);
        if !slot.question {
            queue.weigh(slot.given_at, outcome, now);
        }
        drop(queue);
        self.returned.notify_waiters();
        self.serve();
    }

    /// Gives slots to those who wait, as many as may have one now. A slot is never dropped under the lock, since its drop takes it.
    fn serve(self: &Arc<Slots>) {
        while let Some((waiter, slot)) = self.next_waiter() {
            // Who gave up waiting gives the place back by dropping it.
            let _gone = waiter.send(slot);
        }
    }

    fn next_waiter(self: &Arc<Slots>) -> Option<(oneshot::Sender<WebSlot>, WebSlot)> {
        let now = now();
        let mut queue = self.lock();
        if !queue.waiting.is_somebody_there() {
            queue.serve_at = None;
            return None;
        }
        match queue.turn(now) {
            Turn::Now => {
                let waiter = queue.waiting.pop()?;
                Some((waiter, self.give(&mut queue, now)))
            }
            Turn::Later(at) => {
                if queue.serve_at != Some(at) {
                    queue.serve_at = Some(at);
                    self.retimed.notify_one();
                }
                None
            }
            Turn::Wait => {
                queue.serve_at = None;
                None
            }
        }
    }

    /// A panic elsewhere cannot leave the few numbers in here half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn retune(&mut self) {
        let (ours, all) = self.part;
        let part = u64::from(self.tps) * u64::from(ours) / u64::from(all);
        self.pacer.set_tps(u32::try_from(part).unwrap_or(self.tps).max(1));
    }

    fn in_use(&self) -> usize {
        self.concurrency - self.free
    }

    /// How many requests of ours may be under way at once.
    fn allowed(&self) -> usize {
        let (ours, all) = self.part;
        let part = self.concurrency * usize::try_from(ours).unwrap_or(1) / usize::try_from(all).unwrap_or(1);
        if ours == 0 { 0 } else { part.clamp(1, self.concurrency) }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        if self.paused || self.ended || self.in_use() >= self.allowed() {
            return Turn::Wait;
        }
        match self.hold_until.filter(|at| *at > now) {
            Some(at) => Turn::Later(at),
            None => self.pacer.turn(now),
        }
    }

    /// What an outcome says of the carrier's health. Each failure counts that leaves money in doubt, and each that shows
    /// that the carrier cannot be reached.
    fn weigh(&mut self, given_at: Instant, outcome: &Outcome, now: Instant) {
        self.reachable = !matches!(outcome, Outcome::NotSent(_));
        match outcome {
            Outcome::Answer(answer) if answer.status < 500 => {
                self.pacer.breaker.answered();
                self.pacer.latency.measured(now.saturating_duration_since(given_at));
            }
            _ => {
                self.pacer.breaker.failed(now);
            }
        }
    }

    fn listen_to_mood(&mut self, given_at: Instant, outcome: &Outcome, now: Instant) {
        let Outcome::Answer(answer) = outcome else { return };
        if matches!(answer.status, 429 | 503) {
            self.pacer.throttle.throttled(given_at, now);
            let until = answer.retry_after().map(|wait| now + wait);
            self.hold_until = self.hold_until.max(until);
        }
    }
}

/// The monotonic clock, which the runtime may control.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
