//! What the HTTP interfaces saw of their client, and what was wrong with it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Interface, Operation};
use crate::clock::Timestamp;

/// Counters since the start, and the last requests that broke their specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpStats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests whose operation was understood.
    pub requests: u64,
    /// The same by operation.
    pub requests_by_operation: BTreeMap<Operation, u64>,
    /// Answers by HTTP status. A connection that is reset has none.
    pub answers_by_status: BTreeMap<u16, u64>,
    /// Requests without good credentials. An access token that has expired is one of these.
    pub unauthenticated: u64,
    /// Requests above `requests_per_s_max`.
    pub throttled: u64,
    /// Stored answers that were given again.
    pub replays: u64,
    /// Correlators and transaction numbers that had been used before, and were refused for it.
    pub duplicates: u64,
    /// Access tokens given out.
    pub tokens: u64,
    /// Reservations that expired.
    pub reservations_expired: u64,
    /// Callbacks that were due, lost ones included.
    pub callbacks: u64,
    /// Tries of them.
    pub callback_tries: u64,
    /// Those that were answered 2xx.
    pub callbacks_acknowledged: u64,
    /// Answers to tries by HTTP status.
    pub callback_answers_by_status: BTreeMap<u16, u64>,
    /// Those that were given up, or lost.
    pub callbacks_given_up: u64,
    /// Callbacks on their way now.
    pub callbacks_pending: u64,
    /// Requests of the client that break the specification. Anything but zero is the client's bug.
    pub violations: u64,
    /// The last of them.
    pub violations_last: VecDeque<Violation>,
}

/// A request that broke its specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// When it was read.
    pub at: Timestamp,
    /// Over which interface.
    pub interface: Interface,
    /// Method and path.
    pub request: String,
    /// What is wrong with it.
    pub reason: String,
    /// The begin of its body, as text.
    pub body: String,
}

/// Violations kept.
const VIOLATIONS_KEPT: usize = 32;
/// Characters shown of each body.
const BODY_SHOWN: usize = 1_024;

impl HttpStats {
    pub(super) fn record_request(&mut self, operation: Operation) {
        self.requests += 1;
        *self.requests_by_operation.entry(operation).or_insert(0) += 1;
    }

    pub(super) fn record_answer(&mut self, status: u16) {
        *self.answers_by_status.entry(status).or_insert(0) += 1;
    }

    pub(super) fn record_violation(&mut self, mut violation: Violation) {
        self.violations += 1;
        if self.violations_last.len() >= VIOLATIONS_KEPT {
            self.violations_last.pop_front();
        }
        violation.body = violation.body.chars().take(BODY_SHOWN).collect();
        self.violations_last.push_back(violation);
    }
}
