//! The places in the window, and the queue for them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{handle::Submission, task::Command};
use crate::smpp::pdu::SubmitSm;

/// Which queue a reservation waits in. Within a lane: first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Served first, always.
    Priority,
    /// Served when nobody waits in [`Lane::Priority`].
    Normal,
}

/// Why no place in the window was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReserveError {
    /// The deadline passed first.
    #[error("no place in the window came free in time")]
    Deadline,
    /// Too many wait already.
    #[error("too many wait for a place in the window")]
    Busy,
    /// The link has been unbound for good.
    #[error("the link has ended")]
    Ended,
}

/// A place in the window, held for one request. Dropping it gives the place back.
///
/// A slot outlives a reconnect: [`Slot::submit`] uses whatever session is bound then, and the outcome is
/// [`NotWritten`](crate::smpp::SubmitOutcome::NotWritten) if none is.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    held: bool,
}

impl Slot {
    /// Sends `sm` at once, whether or not the future given back is polled. The slot stays taken until the outcome is
    /// known. Dropping the future loses nothing: the outcome then comes as a [`LinkEvent::Orphan`](super::LinkEvent::Orphan).
    pub fn submit(self, sm: SubmitSm, token: u64) -> Submission {
        let commands = self.slots.commands.clone();
        let (reply, outcome) = oneshot::channel();
        match commands.send(Command::Submit { sm: Box::new(sm), token, reply, slot: self }) {
            Ok(()) => Submission::waiting(token, outcome, commands),
            Err(_ended) => Submission::not_sent(token, commands),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.held {
            self.slots.release();
        }
    }
}

/// All places of a link.
#[derive(Debug)]
pub(super) struct Slots {
    inner: Mutex<Inner>,
    waiting_max: usize,
    /// A channel without a bound of its own: every command is sent by a slot or a responder, which are bounded.
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
struct Inner {
    free: usize,
    gate: Gate,
    priority: VecDeque<oneshot::Sender<Slot>>,
    normal: VecDeque<oneshot::Sender<Slot>>,
}

/// Whether places are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
    Ended,
}

impl Slots {
    pub(super) fn new(places: usize, waiting_max: usize, commands: mpsc::UnboundedSender<Command>) -> Slots {
        let inner = Inner { free: places, gate: Gate::Shut, priority: VecDeque::new(), normal: VecDeque::new() };
        Slots { inner: Mutex::new(inner), waiting_max, commands }
    }

    /// A place, if one is free and nobody waits for it.
    pub(super) fn try_reserve(self: &Arc<Slots>) -> Option<Slot> {
        let mut inner = self.lock();
        let free = inner.gate == Gate::Open && inner.free > 0;
        free.then(|| {
            inner.free -= 1;
            self.slot()
        })
    }

    /// Waits for a place in `lane`, until `deadline`.
    pub(super) async fn reserve(self: &Arc<Slots>, lane: Lane, deadline: Instant) -> Result<Slot, ReserveError> {
        if let Some(slot) = self.try_reserve() {
            return Ok(slot);
        }
        let waiting = self.enqueue(lane)?;
        match tokio::time::timeout_at(deadline.into(), waiting).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_ended)) => Err(ReserveError::Ended),
            Err(_elapsed) => Err(ReserveError::Deadline),
        }
    }

    fn enqueue(self: &Arc<Slots>, lane: Lane) -> Result<oneshot::Receiver<Slot>, ReserveError> {
        let mut inner = self.lock();
        if inner.gate == Gate::Ended {
            return Err(ReserveError::Ended);
        }
        if inner.waiting() >= self.waiting_max {
            // Those who gave up leave their senders behind.
            inner.priority.retain(|waiter| !waiter.is_closed());
            inner.normal.retain(|waiter| !waiter.is_closed());
        }
        if inner.waiting() >= self.waiting_max {
            return Err(ReserveError::Busy);
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

    pub(super) fn set_gate(self: &Arc<Slots>, gate: Gate) {
        let mut inner = self.lock();
        if inner.gate == gate || inner.gate == Gate::Ended {
            return;
        }
        inner.gate = gate;
        if gate == Gate::Ended {
            inner.priority.clear();
            inner.normal.clear();
        }
        drop(inner);
        self.serve();
    }

    fn release(self: &Arc<Slots>) {
        self.lock().free += 1;
        self.serve();
    }

    /// Gives free places to those who wait. A slot is never dropped under the lock, since its drop takes it.
    fn serve(self: &Arc<Slots>) {
        while let Some(waiter) = self.next_waiter() {
            if let Err(mut refused) = waiter.send(self.slot()) {
                refused.held = false;
                self.lock().free += 1;
            }
        }
    }

    /// Whose turn it is; one place is taken off for them.
    fn next_waiter(&self) -> Option<oneshot::Sender<Slot>> {
        let mut inner = self.lock();
        if inner.gate != Gate::Open || inner.free == 0 {
            return None;
        }
        let waiter = inner.priority.pop_front().or_else(|| inner.normal.pop_front())?;
        inner.free -= 1;
        Some(waiter)
    }

    fn slot(self: &Arc<Slots>) -> Slot {
        Slot { slots: Arc::clone(self), held: true }
    }

    /// A panic elsewhere cannot leave the few numbers in here half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn waiting(&self) -> usize {
        self.priority.len() + self.normal.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slots(places: usize, waiting_max: usize) -> Arc<Slots> {
        let (commands, _never_read) = mpsc::unbounded_channel();
        let slots = Arc::new(Slots::new(places, waiting_max, commands));
        slots.set_gate(Gate::Open);
        slots
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn a_dropped_slot_is_free_again() {
        let slots = slots(1, 10);
        let slot = slots.try_reserve().unwrap();
        assert!(slots.try_reserve().is_none());
        drop(slot);
        assert!(slots.try_reserve().is_some());
    }

    #[tokio::test]
    async fn the_priority_lane_is_served_first_and_each_lane_in_order() {
        let slots = slots(1, 10);
        let held = slots.try_reserve().unwrap();
        let mut normal = [slots.enqueue(Lane::Normal).unwrap(), slots.enqueue(Lane::Normal).unwrap()];
        let mut priority = slots.enqueue(Lane::Priority).unwrap();
        drop(held);
        let first = priority.try_recv().unwrap();
        assert!(normal[0].try_recv().is_err());
        drop(first);
        let second = normal[0].try_recv().unwrap();
        assert!(normal[1].try_recv().is_err());
        drop(second);
        assert!(normal[1].try_recv().is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_place() {
        let slots = slots(1, 10);
        let held = slots.try_reserve().unwrap();
        assert_eq!(slots.reserve(Lane::Normal, soon()).await.unwrap_err(), ReserveError::Deadline);
        let mut patient = slots.enqueue(Lane::Normal).unwrap();
        drop(held);
        assert!(patient.try_recv().is_ok());
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_forgets_those_who_gave_up() {
        let slots = slots(0, 2);
        let first = slots.enqueue(Lane::Normal).unwrap();
        let _second = slots.enqueue(Lane::Priority).unwrap();
        assert_eq!(slots.enqueue(Lane::Priority).unwrap_err(), ReserveError::Busy);
        drop(first);
        assert!(slots.enqueue(Lane::Priority).is_ok());
    }

    #[tokio::test]
    async fn a_shut_gate_gives_no_places_and_an_ended_one_says_so() {
        let slots = slots(1, 10);
        slots.set_gate(Gate::Shut);
        assert!(slots.try_reserve().is_none());
        let mut waiting = slots.enqueue(Lane::Normal).unwrap();
        slots.set_gate(Gate::Open);
        drop(waiting.try_recv().unwrap());
        slots.set_gate(Gate::Ended);
        assert_eq!(slots.reserve(Lane::Normal, soon()).await.unwrap_err(), ReserveError::Ended);
        slots.set_gate(Gate::Open);
        assert!(slots.try_reserve().is_none(), "the end is final");
    }
}
