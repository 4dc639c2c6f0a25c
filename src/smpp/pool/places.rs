//! The places in the windows of all links of a pool, who waits for one, and whether a message may go now.
//!
//! All waiting happens here, in two lanes, before a place is given: so a ticket's text overtakes a new charge whether windows are
//! full, the contract's rate is used up, or the SMSC has slowed us down.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    breaker::{Breaker, BreakerConfig, BreakerState},
    command::Command,
    latency::Latency,
    limiter::Limiter,
    submission::Submission,
    throttle::Throttle,
};
use crate::smpp::{
    pdu::SubmitSm,
    session::{DoubtCause, SubmitOutcome},
    status::CommandStatus,
};

/// Which queue a reservation waits in. Within a lane: first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Served first, always.
    Priority,
    /// Served when nobody waits in [`Lane::Priority`].
    Normal,
}

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
    /// A channel without a bound of its own: every command is sent by a slot or a responder, which are bounded.
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

/// All places of a pool.
#[derive(Debug)]
pub(super) struct Places {
    inner: Mutex<Inner>,
    waiting_max: usize,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// The moment at which somebody can be served has changed.
    retimed: Notify,
}

#[derive(Debug)]
struct Inner {
    links: Vec<LinkPlaces>,
    priority: VecDeque<oneshot::Sender<Slot>>,
    normal: VecDeque<oneshot::Sender<Slot>>,
    contract: Limiter,
    throttle: Throttle,
    breaker: Breaker,
    latency: Latency,
    paused: bool,
    ended: bool,
    /// When somebody who waits can be served, if nothing else happens.
    serve_at: Option<Instant>,
}

#[derive(Debug)]
struct LinkPlaces {
    free: usize,
    window: usize,
    /// Whether a request would be taken.
    open: bool,
    contract: Option<Limiter>,
    /// Messages of this session are in doubt because the link was lost.
    lost_some: bool,
}

/// What can be done for those who wait.
enum Turn {
    /// This link has a place, and a message may go.
    Now(usize),
    /// A message may go then.
    Later(Instant),
    /// Something else has to happen first.
    Wait,
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
        let link = |link: LinkPlacesConfig| LinkPlaces {
            free: link.window,
            window: link.window,
            open: false,
            contract: link.tps.map(Limiter::new),
            lost_some: false,
        };
        let inner = Inner {
            links: config.links.into_iter().map(link).collect(),
            priority: VecDeque::new(),
            normal: VecDeque::new(),
            contract: Limiter::new(config.tps),
            throttle: Throttle::new(config.tps),
            breaker: Breaker::new(config.breaker),
            latency: Latency::default(),
            paused: false,
            ended: false,
            serve_at: None,
        };
        Places { inner: Mutex::new(inner), waiting_max: config.waiting_max, commands, retimed: Notify::new() }
    }

    /// The way to a link.
    pub(super) fn commands(&self, link: usize) -> mpsc::UnboundedSender<Command> {
        self.commands[link].clone()
    }

    /// A place, if a message may go this instant and nobody waits.
    pub(super) fn try_reserve(self: &Arc<Places>) -> Option<Slot> {
        let now = now();
        let mut inner = self.lock();
        if inner.somebody_waits() {
            return None;
        }
        match inner.turn(now) {
            Turn::Now(link) => Some(inner.give(self, link, now)),
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
        let mut inner = self.lock();
        if inner.ended {
            return Err(ReserveError::Ended);
        }
        if inner.waiting() >= self.waiting_max {
            inner.forget_those_who_gave_up();
        }
        if inner.waiting() >= self.waiting_max {
            return Err(ReserveError::Busy);
        }
        if inner.comes_too_late(lane, deadline) {
            inner.forget_those_who_gave_up();
            if inner.comes_too_late(lane, deadline) {
                return Err(ReserveError::TooLate);
            }
        }
        let (give, waiting) = oneshot::channel();
        match lane {
            Lane::Priority => inner.priority.push_back(give),
            Lane::Normal => inner.normal.push_back(give),
        }
        drop(inner);
        // A place may have come free since it was looked for.
        self.serve();
        Ok(waiting)
    }

    /// Whether the link takes requests.
    pub(super) fn set_open(self: &Arc<Places>, link: usize, open: bool) {
        let mut inner = self.lock();
        let places = &mut inner.links[link];
        if places.open == open {
            return;
        }
        places.open = open;
        drop(inner);
        self.serve();
    }

    /// The link's session is over. However many messages it left in doubt, that is one failure.
    pub(super) fn session_ended(self: &Arc<Places>, link: usize) {
        let mut inner = self.lock();
        inner.links[link].open = false;
        if std::mem::take(&mut inner.links[link].lost_some) {
            inner.breaker.failed(now());
        }
        drop(inner);
        self.serve();
    }

    /// What the SMSC says of its load.
    pub(super) fn congestion(&self, state: u8) {
        self.lock().throttle.congestion(state, now());
    }

    /// Gives no more places, or again. Places given are good.
    pub(super) fn set_paused(self: &Arc<Places>, paused: bool) {
        self.lock().paused = paused;
        self.serve();
    }

    /// The contract's rate has changed.
    pub(super) fn set_tps(self: &Arc<Places>, tps: u32) {
        let mut inner = self.lock();
        inner.contract = Limiter::new(tps);
        inner.throttle.set_ceiling(tps);
        drop(inner);
        self.serve();
    }

    /// Gives no more places, for good. Those who wait are told.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        let waiting = (std::mem::take(&mut inner.priority), std::mem::take(&mut inner.normal));
        drop(inner);
        self.retimed.notify_waiters();
        drop(waiting);
    }

    pub(super) fn standing(&self) -> Standing {
        let mut inner = self.lock();
        let breaker = inner.breaker.state(now());
        Standing {
            links_open: inner.links.iter().filter(|link| link.open && link.window > 0).count(),
            paused: inner.paused,
            breaker,
            rate_milli: inner.throttle.rate(),
            throttled: inner.throttle.is_reduced(),
            in_flight: inner.links.iter().map(|link| link.window - link.free).sum(),
            waiting: inner.waiting(),
        }
    }

    /// How long an answer takes, nearly always.
    pub(super) fn expected_answer(&self) -> Duration {
        self.lock().latency.expected()
    }

    /// Serves those who wait when time alone lets them go on. Ends with the places.
    pub(super) async fn keep_time(self: Arc<Places>) {
        loop {
            let retimed = self.retimed.notified();
            let serve_at = {
                let inner = self.lock();
                if inner.ended {
                    return;
                }
                inner.serve_at
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
        let mut inner = self.lock();
        inner.links[slot.link].free += 1;
        if slot.trial {
            inner.breaker.give_back();
        }
        drop(inner);
        self.serve();
    }

    fn leave_trial(self: &Arc<Places>) {
        self.lock().breaker.give_back();
        self.serve();
    }

    fn settle(self: &Arc<Places>, slot: &Slot, outcome: &SubmitOutcome) {
        let (now, link, given_at) = (now(), slot.link, slot.given_at);
        let mut inner = self.lock();
        inner.links[link].free += 1;
        match outcome {
            SubmitOutcome::Response { status: CommandStatus::SYSTEM_ERROR, .. } => {
                inner.breaker.failed(now);
            }
            SubmitOutcome::Response { status, .. } | SubmitOutcome::Nack { status } => {
                inner.breaker.answered();
                inner.latency.measured(now.saturating_duration_since(given_at));
                if matches!(*status, CommandStatus::THROTTLED | CommandStatus::QUEUE_FULL) {
                    inner.throttle.throttled(given_at, now);
                }
            }
            // When it is we who unbind, no more places are given anyway.
            SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost | DoubtCause::TaskEnded | DoubtCause::Unbind } => {
                inner.links[link].lost_some = true;
            }
            SubmitOutcome::NotWritten { .. } => {
                if slot.trial {
                    inner.breaker.give_back();
                }
            }
            SubmitOutcome::InDoubt { .. } => {
                inner.breaker.failed(now);
            }
        }
        drop(inner);
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
        let mut inner = self.lock();
        if !inner.somebody_waits() {
            inner.serve_at = None;
            return None;
        }
        match inner.turn(now) {
            Turn::Now(link) => {
                let waiter = inner.priority.pop_front().or_else(|| inner.normal.pop_front())?;
                Some((waiter, inner.give(self, link, now)))
            }
            Turn::Later(at) => {
                if inner.serve_at != Some(at) {
                    inner.serve_at = Some(at);
                    self.retimed.notify_one();
                }
                None
            }
            Turn::Wait => {
                inner.serve_at = None;
                None
            }
        }
    }

    /// A panic elsewhere cannot leave the few numbers in here half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether a message may go now, and on which link: the one with most places free, so that load spreads.
    fn turn(&mut self, now: Instant) -> Turn {
        if self.paused || self.ended {
            return Turn::Wait;
        }
        let (mut best, mut earliest) = (None::<(usize, usize)>, None::<Instant>);
        for (index, link) in self.links.iter_mut().enumerate() {
            if !link.open || link.free == 0 {
                continue;
            }
            match link.contract.as_mut().map_or(Ok(()), |contract| contract.allows(now)) {
                Ok(()) if best.is_none_or(|(_, free)| link.free > free) => best = Some((index, link.free)),
                Ok(()) => {}
                Err(at) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
            }
        }
        let Some((link, _)) = best else { return earliest.map_or(Turn::Wait, Turn::Later) };
        if !self.breaker.lets_through(now) {
            return match self.breaker.state(now) {
                BreakerState::Open { until } => Turn::Later(until),
                _ => Turn::Wait,
            };
        }
        if let Some(at) = self.throttle.not_before(now) {
            return Turn::Later(at);
        }
        match self.contract.allows(now) {
            Ok(()) => Turn::Now(link),
            Err(at) => Turn::Later(at),
        }
    }

    fn give(&mut self, places: &Arc<Places>, link: usize, now: Instant) -> Slot {
        let chosen = &mut self.links[link];
        assert!(chosen.free > 0, "a place was given that is not there");
        chosen.free -= 1;
        if let Some(contract) = &mut chosen.contract {
            contract.take();
        }
        self.contract.take();
        self.throttle.take(now);
        let trial = self.breaker.take();
        Slot { places: Arc::clone(places), link, given_at: now, trial, held: true }
    }

    /// Whether anybody waits who has not given up.
    fn somebody_waits(&mut self) -> bool {
        for lane in [&mut self.priority, &mut self.normal] {
            while lane.front().is_some_and(oneshot::Sender::is_closed) {
                lane.pop_front();
            }
        }
        self.waiting() > 0
    }

    fn forget_those_who_gave_up(&mut self) {
        self.priority.retain(|waiter| !waiter.is_closed());
        self.normal.retain(|waiter| !waiter.is_closed());
    }

    fn waiting(&self) -> usize {
        self.priority.len() + self.normal.len()
    }

    fn comes_too_late(&self, lane: Lane, deadline: Instant) -> bool {
        self.expected_wait(lane).is_some_and(|wait| now() + wait > deadline)
    }

    /// How long one more in `lane` would wait at the rate in force, as far as that can be known: not while no link is open.
    fn expected_wait(&self, lane: Lane) -> Option<Duration> {
        let window: usize = self.links.iter().filter(|link| link.open).map(|link| link.window).sum();
        let ahead = match lane {
            Lane::Priority => self.priority.len(),
            Lane::Normal => self.waiting(),
        };
        let (window, ahead) = (u64::try_from(window).ok().filter(|window| *window > 0)?, u64::try_from(ahead).ok()?);
        let by_rate = self.throttle.time_for(ahead);
        let by_window = self.latency.typical().saturating_mul(u32::try_from(ahead / window).unwrap_or(u32::MAX));
        Some(by_rate.max(by_window))
    }
}

/// The monotonic clock, which the runtime may control.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
