//! The places in the windows of all links of a pool, who waits for one, and whether a message may go now.
//!
//! All waiting happens here, in two lanes, before a place is given: so a ticket's text overtakes a new charge whether windows are
//! full, the contract's rate is used up, or the SMSC has slowed us down.

mod queue;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};

use self::queue::{Queue, Turn};
use super::{command::Command, submission::Submission};
use crate::{
    pace::{BreakerConfig, BreakerState, Lane},
    smpp::{
        pdu::SubmitSm,
        session::{DoubtCause, SubmitOutcome},
        status::CommandStatus,
    },
};

/// Why no place in a window was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReserveError {
    /// The deadline passed first.
    #[error("no place in the window came free in time")]
    Deadline,
    /// So many are ahead that, at the rate in force, the deadline will pass first: said at once, not when it has.
    #[error("too many wait ahead for a place to come free in time")]
    TooLate,
    /// Too many wait already.
    #[error("too many wait for a place in the window")]
    Busy,
    /// The pool has been unbound for good.
    #[error("the links have ended")]
    Ended,
}

/// A place in the window of one link, held for one request. Dropping it gives the place back.
///
/// A slot outlives a reconnect: [`Slot::submit`] uses whatever session its link has bound then, and the outcome is
/// [`NotWritten`](crate::smpp::SubmitOutcome::NotWritten) if it has none.
#[derive(Debug)]
pub struct Slot {
    places: Arc<Places>,
    link: usize,
    given_at: Instant,
    /// The circuit breaker waits for what becomes of this message.
    trial: bool,
    held: bool,
}

impl Slot {
    /// Sends `sm` at once, whether or not the future given back is polled. The slot stays taken until the outcome is
    /// known. Dropping the future loses nothing: the outcome then comes as a [`PoolEvent::Orphan`](super::PoolEvent::Orphan).
    pub fn submit(self, sm: SubmitSm, token: u64) -> Submission {
        let commands = self.commands();
        let (reply, outcome) = oneshot::channel();
        match commands.send(Command::Submit { sm: Box::new(sm), token, reply, slot: self }) {
            Ok(()) => Submission::waiting(token, outcome, commands),
            Err(_ended) => Submission::not_sent(token, commands),
        }
    }

    /// When it was given.
    pub fn given_at(&self) -> Instant {
        self.given_at
    }

    /// The way to the link whose place this is.
    pub(super) fn commands(&self) -> mpsc::UnboundedSender<Command> {
        self.places.commands(self.link)
    }

    /// It is for a question, which leaves the circuit breaker's trial to a message: a carrier may answer the one and not the other.
    pub(super) fn leave_trial(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.places.leave_trial();
        }
    }

    /// Gives the place back, with what it was used for.
    pub(super) fn settle(mut self, outcome: &SubmitOutcome) {
        self.held = false;
        self.places.settle(&self, outcome);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.held {
            self.places.give_back(self);
        }
    }
}

/// What the places of a pool start from.
pub(super) struct PlacesConfig {
    /// The contract's rate for all links together, in messages a second.
    pub(super) tps: u32,
    pub(super) breaker: BreakerConfig,
    pub(super) waiting_max: usize,
    pub(super) links: Vec<LinkPlacesConfig>,
}

/// What one link adds.
pub(super) struct LinkPlacesConfig {
    /// Places in its window; none for a receiver.
    pub(super) window: usize,
    /// The contract's rate for this link alone, in messages a second.
    pub(super) tps: Option<u32>,
    /// Whether it begins at rest.
    pub(super) rests: bool,
    /// A channel without a bound of its own: every command is sent by a slot or a responder, which are bounded.
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

/// All places of a pool.
#[derive(Debug)]
pub(super) struct Places {
    queue: Mutex<Queue>,
    waiting_max: usize,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// The moment at which somebody can be served has changed.
    retimed: Notify,
}

/// How the pool stands, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Links that take messages now.
    pub links_open: usize,
    /// Paused by hand.
    pub paused: bool,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// The rate in force, in thousandths of a message a second.
    pub rate_milli: u64,
    /// Whether that is beneath the contract's rate, because the SMSC throttled us.
    pub throttled: bool,
    /// Requests under way.
    pub in_flight: usize,
    /// Reservations that wait.
    pub waiting: usize,
}

impl Standing {
    /// Whether a message could go now, or as soon as there is a place.
    pub fn sends(&self) -> bool {
        self.links_open > 0 && !self.paused && !matches!(self.breaker, BreakerState::Open { .. })
    }
}

/// For links and handles.
impl Places {
    pub(super) fn new(config: PlacesConfig) -> Places {
        let commands = config.links.iter().map(|link| link.commands.clone()).collect();
        let queue = Queue::new(config.tps, config.breaker, config.links);
        Places { queue: Mutex::new(queue), waiting_max: config.waiting_max, commands, retimed: Notify::new() }
    }

    /// The way to a link.
    pub(super) fn commands(&self, link: usize) -> mpsc::UnboundedSender<Command> {
        self.commands[link].clone()
    }

    /// A place, if a message may go this instant and nobody waits.
    pub(super) fn try_reserve(self: &Arc<Places>) -> Option<Slot> {
        let now = now();
        let mut queue = self.lock();
        if queue.waiting.is_somebody_there() {
            return None;
        }
        match queue.turn(now) {
            Turn::Now(link) => Some(queue.give(self, link, now)),
            Turn::Later(_) | Turn::Wait => None,
        }
    }

    /// Waits for a place in `lane`, until `deadline`.
    pub(super) async fn reserve(self: &Arc<Places>, lane: Lane, deadline: Instant) -> Result<Slot, ReserveError> {
        if let Some(slot) = self.try_reserve() {
            return Ok(slot);
        }
        let waiting = self.enqueue(lane, deadline)?;
        match tokio::time::timeout_at(deadline.into(), waiting).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_ended)) => Err(ReserveError::Ended),
            Err(_elapsed) => Err(ReserveError::Deadline),
        }
    }

    fn enqueue(self: &Arc<Places>, lane: Lane, deadline: Instant) -> Result<oneshot::Receiver<Slot>, ReserveError> {
        let mut queue = self.lock();
        if queue.ended {
            return Err(ReserveError::Ended);
        }
        if queue.waiting.count() >= self.waiting_max {
            queue.waiting.forget_those_who_gave_up();
        }
        if queue.waiting.count() >= self.waiting_max {
            return Err(ReserveError::Busy);
        }
        if queue.comes_too_late(lane, deadline) {
            queue.waiting.forget_those_who_gave_up();
            if queue.comes_too_late(lane, deadline) {
                return Err(ReserveError::TooLate);
            }
        }
        let waiting = queue.waiting.push(lane);
        drop(queue);
        // A place may have come free since it was looked for.
        self.serve();
        Ok(waiting)
    }

    /// Whether the link takes requests.
    pub(super) fn set_open(self: &Arc<Places>, link: usize, open: bool) {
        let mut queue = self.lock();
        let places = &mut queue.links[link];
        if places.open == open {
            return;
        }
        places.open = open;
        drop(queue);
        self.serve();
    }

    /// The link's session is over. However many messages it left in doubt, that is one failure.
    pub(super) fn session_ended(self: &Arc<Places>, link: usize) {
        let mut queue = self.lock();
        queue.links[link].open = false;
        if std::mem::take(&mut queue.links[link].lost_some) {
            queue.pacer.breaker.failed(now());
        }
        drop(queue);
        self.serve();
    }

    /// What the SMSC says of its load.
    pub(super) fn congestion(&self, state: u8) {
        self.lock().pacer.throttle.congestion(state, now());
    }

    /// Gives no more places, or again. Places given are good.
    pub(super) fn set_paused(self: &Arc<Places>, paused: bool) {
        self.lock().paused = paused;
        self.serve();
    }

    /// The contract's rate has changed.
    pub(super) fn set_tps(self: &Arc<Places>, tps: u32) {
        let mut queue = self.lock();
        queue.set_tps(tps);
        drop(queue);
        self.serve();
    }

    /// Whether the link rests, and with it its part of the rate.
    pub(super) fn set_rests(self: &Arc<Places>, link: usize, rests: bool) {
        let mut queue = self.lock();
        if std::mem::replace(&mut queue.links[link].rests, rests) == rests {
            return;
        }
        queue.retune();
        drop(queue);
        self.serve();
    }

    /// Gives no more places, for good. Those who wait are told.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        queue.ended = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        self.retimed.notify_waiters();
        drop(waiting);
    }

    pub(super) fn standing(&self) -> Standing {
        let mut queue = self.lock();
        let breaker = queue.pacer.breaker.state(now());
        Standing {
            links_open: queue.links.iter().filter(|link| link.open && link.window > 0).count(),
            paused: queue.paused,
            breaker,
            rate_milli: queue.pacer.throttle.rate(),
            throttled: queue.pacer.throttle.is_reduced(),
            in_flight: queue.links.iter().map(|link| link.window - link.free).sum(),
            waiting: queue.waiting.count(),
        }
    }

    /// How long an answer takes, nearly always.
    pub(super) fn expected_answer(&self) -> Duration {
        self.lock().pacer.latency.expected()
    }

    /// Serves those who wait when time alone lets them go on. Ends with the places.
    pub(super) async fn keep_time(self: Arc<Places>) {
        loop {
            let retimed = self.retimed.notified();
            let serve_at = {
                let queue = self.lock();
                if queue.ended {
                    return;
                }
                queue.serve_at
            };
            match serve_at {
                None => retimed.await,
                Some(at) => {
                    if tokio::time::timeout_at(at.into(), retimed).await.is_err() {
                        self.serve();
                    }
                }
            }
        }
    }
}

/// The way of a place.
impl Places {
    fn give_back(self: &Arc<Places>, slot: &Slot) {
        let mut queue = self.lock();
        queue.links[slot.link].free += 1;
        if slot.trial {
            queue.pacer.breaker.give_back();
        }
        drop(queue);
        self.serve();
    }

    fn leave_trial(self: &Arc<Places>) {
        self.lock().pacer.breaker.give_back();
        self.serve();
    }

    fn settle(self: &Arc<Places>, slot: &Slot, outcome: &SubmitOutcome) {
        let (now, link, given_at) = (now(), slot.link, slot.given_at);
        let mut queue = self.lock();
        queue.links[link].free += 1;
        match outcome {
            SubmitOutcome::Response { status: CommandStatus::SYSTEM_ERROR, .. } => {
                queue.pacer.breaker.failed(now);
            }
            SubmitOutcome::Response { status, .. } | SubmitOutcome::Nack { status } => {
                queue.pacer.breaker.answered();
                queue.pacer.latency.measured(now.saturating_duration_since(given_at));
                if matches!(*status, CommandStatus::THROTTLED | CommandStatus::QUEUE_FULL) {
                    queue.pacer.throttle.throttled(given_at, now);
                }
            }
            // When it is we who unbind, no more places are given anyway.
            SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost | DoubtCause::TaskEnded | DoubtCause::Unbind } => {
                queue.links[link].lost_some = true;
            }
            SubmitOutcome::NotWritten { .. } => {
                if slot.trial {
                    queue.pacer.breaker.give_back();
                }
            }
            SubmitOutcome::InDoubt { .. } => {
                queue.pacer.breaker.failed(now);
            }
        }
        drop(queue);
        self.serve();
    }

    /// Gives places to those who wait, as many as may have one now. A slot is never dropped under the lock, since its drop
    /// takes it.
    fn serve(self: &Arc<Places>) {
        while let Some((waiter, slot)) = self.next_waiter() {
            // Who gave up waiting gives the place back by dropping it.
            let _gone = waiter.send(slot);
        }
    }

    /// Whose turn it is, with the place; or the moment at which it will be somebody's is kept.
    fn next_waiter(self: &Arc<Places>) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let now = now();
        let mut queue = self.lock();
        if !queue.waiting.is_somebody_there() {
            queue.serve_at = None;
            return None;
        }
        match queue.turn(now) {
            Turn::Now(link) => {
                let waiter = queue.waiting.pop()?;
                Some((waiter, queue.give(self, link, now)))
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

/// The monotonic clock, which the runtime may control.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
