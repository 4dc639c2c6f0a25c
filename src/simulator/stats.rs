//! What the simulator saw of its client, and what was wrong with it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{faults::Fault, http::HttpStats};
use crate::clock::Timestamp;

/// Counters since the start, and the last PDUs that broke the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// TLS handshakes that failed; their connections are not among those accepted.
    pub handshakes_failed: u64,
    /// Successful binds.
    pub binds: u64,
    /// Refused binds.
    pub binds_refused: u64,
    /// `submit_sm` read, whatever came of them.
    pub submits: u64,
    /// Those that were accepted.
    pub submits_accepted: u64,
    /// Those that were refused, throttled ones included.
    pub submits_refused: u64,
    /// Those that passed the TPS limit.
    pub submits_over_tps: u64,
    /// Those that passed the window.
    pub submits_over_window: u64,
    /// Accepted messages that have reached no final state yet.
    pub messages_pending: u64,
    /// `query_sm` read.
    pub queries: u64,
    /// `enquire_link` read.
    pub enquire_links: u64,
    /// `enquire_link` of the SMSC that were answered.
    pub enquire_links_answered: u64,
    /// `unbind` read.
    pub unbinds: u64,
    /// `generic_nack` read.
    pub nacks: u64,
    /// MOs given to the simulator.
    pub mos: u64,
    /// MOs acknowledged by the client.
    pub mos_acknowledged: u64,
    /// Receipts written.
    pub receipts: u64,
    /// Receipts acknowledged by the client.
    pub receipts_acknowledged: u64,
    /// `deliver_sm` sent again: no answer, a lost link, or a temporary error.
    pub redeliveries: u64,
    /// MOs and receipts that still wait for an acknowledgement.
    pub deliveries_pending: u64,
    /// MOs and receipts given up: too many tries, or refused for good.
    pub deliveries_given_up: u64,
    /// Messages dropped from full inboxes.
    pub inbox_dropped: u64,
    /// Faults that struck.
    pub faults: u64,
    /// The same by kind, as rules name it.
    pub faults_by_kind: BTreeMap<String, u64>,
    /// Responses under a sequence number that nothing was sent with.
    pub responses_unexpected: u64,
    /// PDUs of the client that the strict codec or the specification refuses. Anything but zero is the client's bug.
    pub malformed: u64,
    /// The last of them.
    pub malformed_last: VecDeque<Malformed>,
    /// The interfaces over HTTP.
    #[serde(default)]
    pub http: HttpStats,
}

/// A PDU that broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Malformed {
    /// When it was read.
    pub at: Timestamp,
    /// What is wrong with it.
    pub reason: String,
    /// Its octets in hexadecimal, cut after 512.
    pub octets: String,
}

/// Malformed PDUs kept.
const MALFORMED_KEPT: usize = 32;
/// Octets shown of each.
const OCTETS_SHOWN: usize = 512;

impl Stats {
    pub(super) fn record_faults(&mut self, struck: &[Fault]) {
        for fault in struck {
            self.faults += 1;
            *self.faults_by_kind.entry(fault.kind()).or_insert(0) += 1;
        }
    }

    pub(super) fn record_malformed(&mut self, at: Timestamp, reason: String, octets: &[u8]) {
        self.malformed += 1;
        if self.malformed_last.len() >= MALFORMED_KEPT {
            self.malformed_last.pop_front();
        }
        let shown = octets.get(..OCTETS_SHOWN).unwrap_or(octets);
        self.malformed_last.push_back(Malformed { at, reason, octets: data_encoding::HEXLOWER.encode(shown) });
    }
}
