//! Those who wait for a place, in two lanes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// Which queue a reservation waits in. Within a lane: first come, first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Served first, always.
    Priority,
    /// Served when nobody waits in [`Lane::Priority`].
    Normal,
}

/// Those who wait to be given an `S`. Who drops the receiving end has given up.
#[derive(Debug)]
pub struct Waiting<S> {
    priority: VecDeque<oneshot::Sender<S>>,
    normal: VecDeque<oneshot::Sender<S>>,
}

impl<S> Default for Waiting<S> {
    fn default() -> Waiting<S> {
        Waiting { priority: VecDeque::new(), normal: VecDeque::new() }
    }
}

impl<S> Waiting<S> {
    /// One more, behind all others in the lane.
    pub fn push(&mut self, lane: Lane) -> oneshot::Receiver<S> {
        let (give, given) = oneshot::channel();
        match lane {
            Lane::Priority => self.priority.push_back(give),
            Lane::Normal => self.normal.push_back(give),
        }
        given
    }

    /// The next to be served.
    pub fn pop(&mut self) -> Option<oneshot::Sender<S>> {
        self.priority.pop_front().or_else(|| self.normal.pop_front())
    }

    /// Whether anybody waits who has not given up.
    pub fn is_somebody_there(&mut self) -> bool {
        for lane in [&mut self.priority, &mut self.normal] {
            while lane.front().is_some_and(oneshot::Sender::is_closed) {
                lane.pop_front();
            }
        }
        self.count() > 0
    }

    /// Makes room in the middle of the lanes too.
    pub fn forget_those_who_gave_up(&mut self) {
        self.priority.retain(|waiter| !waiter.is_closed());
        self.normal.retain(|waiter| !waiter.is_closed());
    }

    /// How many wait, with those who have given up and were not noticed yet.
    pub fn count(&self) -> usize {
        self.priority.len() + self.normal.len()
    }

    /// How many would be served before one more in this lane.
    pub fn ahead_in(&self, lane: Lane) -> usize {
        match lane {
            Lane::Priority => self.priority.len(),
            Lane::Normal => self.count(),
        }
    }
}
