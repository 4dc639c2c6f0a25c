//! Requests that wait for their response, the numbers they go by, and those that waited in vain.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Instant,
};

/// The largest sequence number (SMPP 3.4, 3.2).
pub(super) const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// What kind of request it is: its response must be of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Submit,
    Query,
}

/// A request of a caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) token: u64,
    pub(super) submitted: Instant,
    /// When it is in doubt, if nothing comes.
    pub(super) due: Instant,
    /// Whether a byte of it is written.
    pub(super) begun: bool,
}

/// The window of one session.
#[derive(Debug)]
pub(super) struct InFlight {
    requests: HashMap<u32, Request>,
    due: BTreeSet<(Instant, u32)>,
    late: HashMap<u32, (Kind, u64)>,
    /// The late ones in the order of their doubt, answered ones included: so its length bounds the memory.
    late_order: VecDeque<u32>,
    late_max: usize,
    last_sequence: u32,
    wrapped: bool,
}

impl InFlight {
    pub(super) fn new(late_max: usize) -> InFlight {
        InFlight {
            requests: HashMap::new(),
            due: BTreeSet::new(),
            late: HashMap::new(),
            late_order: VecDeque::new(),
            late_max,
            last_sequence: 0,
            wrapped: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The next sequence number that neither a request in flight, nor a late one, nor `taken` goes by. It terminates
    /// because all of these together are far fewer than there are numbers.
    pub(super) fn next_sequence(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            if self.last_sequence >= SEQUENCE_MAX {
                self.last_sequence = 0;
                self.wrapped = true;
            }
            self.last_sequence += 1;
            let sequence = self.last_sequence;
            if !self.requests.contains_key(&sequence) && !self.late.contains_key(&sequence) && !taken(sequence) {
                return sequence;
            }
        }
    }

    /// Whether a request ever went by `sequence`.
    pub(super) fn was_used(&self, sequence: u32) -> bool {
        (1..=SEQUENCE_MAX).contains(&sequence) && (self.wrapped || sequence <= self.last_sequence)
    }

    pub(super) fn insert(&mut self, sequence: u32, request: Request) {
        self.due.insert((request.due, sequence));
        let before = self.requests.insert(sequence, request);
        debug_assert!(before.is_none(), "two requests in flight go by one number");
    }

    pub(super) fn get(&self, sequence: u32) -> Option<&Request> {
        self.requests.get(&sequence)
    }

    pub(super) fn remove(&mut self, sequence: u32) -> Option<Request> {
        let request = self.requests.remove(&sequence)?;
        self.due.remove(&(request.due, sequence));
        Some(request)
    }

    /// A byte of it is written.
    pub(super) fn begin(&mut self, sequence: u32) {
        if let Some(request) = self.requests.get_mut(&sequence) {
            request.begun = true;
        }
    }

    /// When the next request is in doubt.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A request whose time is out.
    pub(super) fn overdue(&self, now: Instant) -> Option<u32> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, sequence)| *sequence)
    }

    /// The numbers of all in flight of which a byte is written, or none is; in the order of their due time.
    pub(super) fn sequences(&self, begun: bool) -> Vec<u32> {
        let is = |sequence: &u32| self.requests.get(sequence).is_some_and(|request| request.begun == begun);
        self.due.iter().map(|(_, sequence)| *sequence).filter(is).collect()
    }

    /// Remembers a request in doubt, so that a late answer is recognised. Forgets the oldest beyond the limit.
    pub(super) fn remember(&mut self, sequence: u32, kind: Kind, token: u64) {
        self.late.insert(sequence, (kind, token));
        self.late_order.push_back(sequence);
        while self.late_order.len() > self.late_max {
            if let Some(oldest) = self.late_order.pop_front() {
                self.late.remove(&oldest);
            }
        }
    }

    /// The token of a remembered request of this kind; it is forgotten with this call.
    pub(super) fn recall(&mut self, sequence: u32, kind: Kind) -> Option<u64> {
        self.late.get(&sequence).filter(|(late, _)| *late == kind)?;
        self.late.remove(&sequence).map(|(_, token)| token)
    }

    #[cfg(test)]
    pub(super) fn set_last_sequence(&mut self, sequence: u32) {
        self.last_sequence = sequence;
    }
}
