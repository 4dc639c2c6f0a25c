use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Contract, Reason, Reference};
use crate::{clock::Timestamp, money::Money};

/// A refund that the carrier lost is asked for again, so often in all.
pub const REFUND_TRIES_MAX: u16 = 3;
/// From a request that was not sent to the next try, and from a request to the doubt about it. Its answer is on its way meanwhile.
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
    /// The carrier gave the money back.
    Done,
    /// What was owed was paid back in another way: the passenger has it, and the carrier has what it took.
    PaidOut,
}

impl RefundState {
    /// Every state, in the order in which a refund can go through them.
    pub const ALL: [RefundState; 7] = [
        RefundState::Requested,
        RefundState::Waiting,
        RefundState::Accepted,
        RefundState::InDoubt,
        RefundState::Owed,
        RefundState::Done,
        RefundState::PaidOut,
    ];

    /// The stable code, as in the store and the logs.
    pub const fn code(self) -> &'static str {
        match self {
            RefundState::Requested => "requested",
            RefundState::Waiting => "waiting",
            RefundState::Accepted => "accepted",
            RefundState::InDoubt => "in_doubt",
            RefundState::Owed => "owed",
            RefundState::Done => "done",
            RefundState::PaidOut => "paid_out",
        }
    }

    /// Whether the passenger has the money.
    pub const fn is_settled(self) -> bool {
        matches!(self, RefundState::Done | RefundState::PaidOut)
    }
}

/// Why the carrier does not give money back, so that it is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum OwedBecause {
    /// By its contract the carrier gives nothing back.
    NotRefundable,
    /// The carrier refused.
    Refused {
        /// In our words.
        reason: Reason,
        /// In the carrier's words.
        detail: String,
    },
    /// The carrier lost every request, by complete listings (M5).
    Lost,
    /// A person found out that it was not made.
    Resolved {
        /// The caller's name.
        name: String,
        /// The reason given.
        because: String,
    },
}

impl OwedBecause {
    /// The stable code, as in the API.
    pub const fn code(&self) -> &'static str {
        match self {
            OwedBecause::NotRefundable => "not_refundable",
            OwedBecause::Refused { .. } => "refused",
            OwedBecause::Lost => "lost",
            OwedBecause::Resolved { .. } => "resolved",
        }
    }
}

impl RefundState {
    /// The stable code, as in the API and the events: what a request to the carrier stands at is nobody else's business.
    pub const fn public_code(self) -> &'static str {
        match self {
            RefundState::Requested | RefundState::Waiting | RefundState::Accepted => "processing",
            RefundState::InDoubt => "in_doubt",
            RefundState::Owed => "owed",
            RefundState::Done => "done",
            RefundState::PaidOut => "paid_out",
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
    /// When the next request or question is due. `None` once nothing is left to do, or nothing can be asked.
    #[serde(default)]
    pub next_at: Option<Timestamp>,
    /// Why it was ever owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<OwedBecause>,
    /// When the carrier took the message for it, where it is a message: its receipt is waited for from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
}

impl Refund {
    /// So long after it first heard a key, a carrier that replays keys is taken to know it still. None of them tells how long it does,
    /// and a forgotten key would give the money back twice.
    pub const KEY_IS_KNOWN_FOR: Duration = Duration::from_secs(3_600);

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
            owed: None,
            taken_at: None,
        };
        match contract.filter(|contract| contract.can_refund) {
            Some(contract) => refund.request(contract, now),
            None => refund.owed = Some(OwedBecause::NotRefundable),
        }
        refund
    }

    /// What the carrier tells the requests of this refund by: another for each that it lost.
    pub fn wire_reference(&self) -> String {
        format!("{}-{}", self.reference, self.tries)
    }

    /// What a message for it is told by: sixteen bits that follow from its name, so that no other process chooses others; never 0.
    pub fn user_message_reference(&self) -> u16 {
        let [.., high, low] = *self.reference.as_bytes();
        u16::from_be_bytes([high, low]).max(1)
    }

    /// When it was made durable that the carrier is asked: not a byte left before. Until then, when the refund was opened.
    pub fn sent_at(&self) -> Timestamp {
        self.named_at.unwrap_or(self.opened_at)
    }

    /// Whether the carrier may have given its message an id that we never learned: it may have arrived, and no answer named one.
    pub fn may_have_unknown_id(&self) -> bool {
        let was_refused = matches!(self.owed, Some(OwedBecause::Refused { .. }));
        let may_have_arrived = self.tries > 0 && self.state != RefundState::Waiting && !was_refused;
        may_have_arrived && self.carrier_id.is_none()
    }

    /// Whether there is a way to ask the carrier what became of it.
    pub fn can_be_asked_about(&self, contract: &Contract) -> bool {
        contract.queries_refunds && (contract.refund_message.is_none() || self.carrier_id.is_some())
    }

    /// Makes it durable that the carrier is asked.
    pub(super) fn request(&mut self, contract: &Contract, now: Timestamp) {
        self.state = RefundState::Requested;
        self.tries = self.tries.saturating_add(1);
        self.named_at = Some(now);
        self.sent_again = false;
        self.in_doubt_since = None;
        self.not_found_at = None;
        self.taken_at = None;
        self.pauses = 0;
        self.pause(contract, now);
    }

    /// The next look at it, later each time: a question as soon as the contract's schedule has the first one, anything else after
    /// [`PAUSE`]. The end of the wait for a receipt is one too. None where nothing could come of it.
    pub(super) fn pause(&mut self, contract: &Contract, now: Timestamp) {
        let receipt_due_at = self.receipt_due_at(contract);
        let is_asked_about = matches!(self.state, RefundState::Accepted | RefundState::InDoubt);
        if is_asked_about && !self.can_be_asked_about(contract) && !self.may_be_resent(contract, now) {
            self.next_at = receipt_due_at;
            return;
        }
        let schedule = contract.queries.filter(|_| is_asked_about);
        let first = schedule.map_or(PAUSE, |queries| Duration::from_millis(queries.first_after_ms));
        let doubled = first.saturating_mul(1_u32.checked_shl(self.pauses.saturating_sub(1)).unwrap_or(u32::MAX));
        self.pauses = self.pauses.saturating_add(1);
        let next_at = now.plus(doubled.min(PAUSE_MAX));
        self.next_at = Some(receipt_due_at.map_or(next_at, |due_at| due_at.min(next_at)));
    }

    /// When a receipt that has not come is late.
    fn receipt_due_at(&self, contract: &Contract) -> Option<Timestamp> {
        let message = contract.refund_message.filter(|_| self.state == RefundState::Accepted)?;
        Some(self.taken_at?.plus(Duration::from_millis(message.receipt_lag_ms)))
    }

    /// Whether what should have come by now has not: the answer to its request, or the receipt of its message.
    pub(super) fn is_overdue(&self, contract: &Contract, now: Timestamp) -> bool {
        self.state == RefundState::Requested || self.receipt_due_at(contract).is_some_and(|due_at| due_at <= now)
    }

    /// Nobody knows whether the last request was done.
    pub(super) fn doubt(&mut self, contract: &Contract, now: Timestamp) {
        self.state = RefundState::InDoubt;
        self.in_doubt_since = Some(now);
        self.ask_from_now_on(contract, now);
    }

    /// The carrier took the last request, and tells the outcome later.
    pub(super) fn accepted(&mut self, carrier_id: Option<String>, contract: &Contract, now: Timestamp) {
        self.carrier_id = carrier_id.or(self.carrier_id.take());
        self.state = RefundState::Accepted;
        if contract.refund_message.is_some() {
            // Once: that it was taken is said again by each receipt that says nothing else.
            self.taken_at.get_or_insert(now);
        }
        self.in_doubt_since = None;
        self.ask_from_now_on(contract, now);
    }

    /// Questions have pauses of their own; the first look is a question, where there are any.
    fn ask_from_now_on(&mut self, contract: &Contract, now: Timestamp) {
        self.pauses = 1;
        self.pause(contract, now);
    }

    /// Whether its last request may still be sent once more (M4).
    pub(super) fn may_be_resent(&self, contract: &Contract, now: Timestamp) -> bool {
        let is_known = self.named_at.is_some_and(|named| now < named.plus(Refund::KEY_IS_KNOWN_FOR));
        self.state == RefundState::InDoubt && contract.replays_keys && is_known
    }

    /// The passenger has the money, or somebody owes it.
    pub(super) fn end(&mut self, state: RefundState) {
        self.state = state;
        self.in_doubt_since = None;
        self.next_at = None;
    }
}
