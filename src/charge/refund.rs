use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Contract, Reference};
use crate::{clock::Timestamp, money::Money};

/// A refund that the carrier lost is asked for again, so often in all.
pub const REFUND_TRIES_MAX: u16 = 3;
/// From a request that was not sent to the next try, and from a request to the first question about it, where the contract
/// names no other time.
const PAUSE: Duration = Duration::from_secs(30);
/// The pause doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// What became of a refund. It has its own doubt, which ends like a charge's: by evidence only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The carrier is being asked: durable, and perhaps on its way.
    Requested,
    /// The last request was not sent, or definitely not taken; the next is due at [`Refund::next_at`].
    Waiting,
    /// The carrier took the request; the outcome is still to come.
    Accepted,
    /// The carrier may have done it.
    InDoubt,
    /// Owed: the carrier cannot or would not, so it stands on the refund list.
    Owed,
    /// The money went back.
    Done,
}

impl RefundState {
    /// The stable code, as in the API and the events: what a request to the carrier stands at is nobody else's business.
    pub const fn public_code(self) -> &'static str {
        match self {
            RefundState::Requested | RefundState::Waiting | RefundState::Accepted => "processing",
            RefundState::InDoubt => "in_doubt",
            RefundState::Owed => "owed",
            RefundState::Done => "done",
        }
    }
}

/// Money on its way back to the passenger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its own name for life.
    pub reference: Reference,
    /// What goes back.
    pub amount: Money,
    /// What became of it.
    pub state: RefundState,
    /// Set where the carrier took money for an attempt that had been decided as not happened (M8): that money is owed
    /// whatever the charge's own state is.
    pub attempt: Option<u16>,
    /// When the obligation arose; its age counts from here.
    pub opened_at: Timestamp,
    /// Requests made so far that may have arrived and did not, by evidence, come to nothing; the carrier tells them apart by it.
    #[serde(default)]
    pub tries: u16,
    /// The carrier's own id of the refund, if it has told one.
    #[serde(default)]
    pub carrier_id: Option<String>,
    /// When the carrier first heard this name, if it did: no earlier than this.
    #[serde(default)]
    pub named_at: Option<Timestamp>,
    /// Whether the last name was sent to the carrier more than once.
    #[serde(default)]
    pub sent_again: bool,
    /// From when on its absence counts (M5): since it has been in doubt, or was sent again.
    #[serde(default)]
    pub in_doubt_since: Option<Timestamp>,
    /// When a complete listing first lacked it (M5).
    #[serde(default)]
    pub not_found_at: Option<Timestamp>,
    /// Pauses so far: each is longer than the one before.
    #[serde(default)]
    pub pauses: u32,
    /// When the next request or question is due. `None` once nothing is left to do.
    #[serde(default)]
    pub next_at: Option<Timestamp>,
}

impl Refund {
    /// A refund that the carrier is asked for if it can be, and that is owed otherwise.
    pub(super) fn new(
        reference: Reference,
        amount: Money,
        attempt: Option<u16>,
        contract: Option<&Contract>,
        now: Timestamp,
    ) -> Refund {
        let mut refund = Refund {
            reference,
            amount,
            state: RefundState::Owed,
            attempt,
            opened_at: now,
            tries: 0,
            carrier_id: None,
            named_at: None,
            sent_again: false,
            in_doubt_since: None,
            not_found_at: None,
            pauses: 0,
            next_at: None,
        };
        if let Some(contract) = contract.filter(|contract| contract.can_refund) {
            refund.request(contract, now);
        }
        refund
    }

    /// What the carrier tells the requests of this refund by: another for each that it lost.
    pub fn wire_reference(&self) -> String {
        format!("{}-{}", self.reference, self.tries)
    }

    /// Makes it durable that the carrier is asked.
    pub(super) fn request(&mut self, contract: &Contract, now: Timestamp) {
        self.state = RefundState::Requested;
        self.tries = self.tries.saturating_add(1);
        self.named_at = Some(now);
        self.sent_again = false;
        self.in_doubt_since = None;
        self.not_found_at = None;
        self.pause(contract, now);
    }

    /// The next look at it, later each time.
    pub(super) fn pause(&mut self, contract: &Contract, now: Timestamp) {
        let first = contract.queries.map_or(PAUSE, |queries| Duration::from_millis(queries.first_after_ms).max(PAUSE));
        let doubled = first.saturating_mul(1_u32.checked_shl(self.pauses).unwrap_or(u32::MAX));
        self.pauses = self.pauses.saturating_add(1);
        self.next_at = Some(now.plus(doubled.min(PAUSE_MAX)));
    }
}
