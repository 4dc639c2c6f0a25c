use serde::{Deserialize, Serialize};

use super::{CarrierName, Doubt, Fee, Reason, Retry, Validation};
use crate::clock::Timestamp;

/// When to ask a carrier for the status of an attempt that it has left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuerySchedule {
    /// From the opening of the doubt to the first query, in milliseconds.
    pub first_after_ms: u64,
    /// The interval doubles with each query up to this, in milliseconds; then it stays.
    pub interval_ms_max: u64,
}

/// What the contract with the carrier says about attempts, copied into each so that a later change of configuration does
/// not touch money that is already under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// How long a request may travel inside the carrier before its absence means anything (M5), in milliseconds.
    pub in_flight_delay_ms: u64,
    /// When to query; `None` where the carrier has no status query.
    pub queries: Option<QuerySchedule>,
    /// Whether it can be asked about a charge only by the id that it gave.
    #[serde(default)]
    pub queries_by_carrier_id: bool,
    /// Whether it can be asked what became of a refund.
    #[serde(default = "Contract::refunds_can_be_asked_about")]
    pub queries_refunds: bool,
    /// Whether the carrier can be asked to give money back.
    pub can_refund: bool,
    /// Whether the same request again, with the same key and the same bytes, is answered and not charged again (M4).
    #[serde(default)]
    pub replays_keys: bool,
    /// How long the carrier holds a reservation, in milliseconds. `None` where a request takes the money at once.
    #[serde(default)]
    pub reservation_ms: Option<u64>,
    /// What the carrier keeps of what it takes. `None` where it keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Fee>,
    /// Set where a refund is a message of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_message: Option<RefundMessage>,
}

/// How money goes back by a message, as over SMPP. The message has an id of its own, and can be asked about by that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundMessage {
    /// How long after the carrier took the message its receipt may come, in milliseconds; what is not proved by then is in doubt.
    pub receipt_lag_ms: u64,
}

impl Contract {
    /// The longest in-flight delay, in milliseconds: six hours. A process counts it from its own start at the earliest (M5), and one that
    /// is started anew each night must come to its end.
    pub const IN_FLIGHT_DELAY_MS_MAX: u64 = 21_600_000;

    /// What contracts of before did not say: they are asked, and answer or not.
    const fn refunds_can_be_asked_about() -> bool {
        true
    }
}

/// What the carrier said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// In our words.
    pub reason: Reason,
    /// Whether another attempt may succeed.
    pub retry: Retry,
    /// In the carrier's words: a status or an `err` code.
    pub detail: String,
}

/// What became of an attempt (M2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "attempt", rename_all = "snake_case")]
pub enum AttemptState {
    /// Durable, and perhaps on its way.
    Open,
    /// Not one byte was written. It did not happen.
    NotSent,
    /// A definite no of the carrier. It did not happen.
    Rejected(Rejection),
    /// The carrier took the request; the outcome is still to come.
    Accepted,
    /// The money was taken.
    Charged,
    /// It may have happened.
    InDoubt {
        /// What made it doubtful.
        cause: Doubt,
    },
}

impl AttemptState {
    /// Whether it might still turn out either way.
    pub const fn is_undecided(&self) -> bool {
        matches!(self, AttemptState::Open | AttemptState::Accepted | AttemptState::InDoubt { .. })
    }

    /// The stable code, as in the store and the logs.
    pub const fn code(&self) -> &'static str {
        match self {
            AttemptState::Open => "open",
            AttemptState::NotSent => "not_sent",
            AttemptState::Rejected(_) => "rejected",
            AttemptState::Accepted => "accepted",
            AttemptState::Charged => "charged",
            AttemptState::InDoubt { .. } => "in_doubt",
        }
    }
}

/// What a carrier was last asked to do for an attempt. Whatever it is, it is durable before its first byte leaves (M1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// To take the money; where the contract has two steps, to hold it.
    #[default]
    Take,
    /// To take what it holds.
    Confirm,
    /// To give up what it holds.
    Cancel,
}

/// One try to take the money. Durable before its first byte leaves (M1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u16,
    /// Where it was sent.
    pub carrier: CarrierName,
    /// What the carrier was given to tell it by: `user_message_reference` in SMPP, a correlator over HTTP.
    pub wire_reference: String,
    /// What the contract says.
    pub contract: Contract,
    /// What became of it.
    pub state: AttemptState,
    /// When it was opened; not a byte left before.
    pub opened_at: Timestamp,
    /// The same by the carrier's own clock, to the second, where it was known: the carrier's lists are in its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_time: Option<Timestamp>,
    /// The carrier's own id, normalised: an SMPP message id, a payment id. Not known while no response came.
    pub carrier_id: Option<String>,
    /// From when on its absence counts (M5): since it has been in doubt or was sent again, or since what the carrier took in is past
    /// its deadline or was asked to be given up.
    pub in_doubt_since: Option<Timestamp>,
    /// When a complete listing first lacked it (M5).
    pub not_found_at: Option<Timestamp>,
    /// Queries made so far.
    pub queries: u32,
    /// When to ask next.
    pub next_query_at: Option<Timestamp>,
    /// What the carrier was last asked to do.
    #[serde(default)]
    pub asked: Asked,
    /// Whether the subscriber's one-time password is still to come.
    #[serde(default)]
    pub otp_wanted: bool,
    /// How the subscriber is to agree, where the carrier has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Whether a confirmation before the last request may still be on its way.
    #[serde(default)]
    pub confirmed_before: bool,
    /// Until when the carrier holds the amount by our own timer: none of them tells us when it lets go.
    #[serde(default)]
    pub reserved_until: Option<Timestamp>,
}

impl Attempt {
    /// An attempt about to be sent.
    pub(super) const fn open(
        number: u16,
        carrier: CarrierName,
        wire_reference: String,
        contract: Contract,
        opened_at: Timestamp,
        carrier_time: Option<Timestamp>,
    ) -> Attempt {
        Attempt {
            number,
            carrier,
            wire_reference,
            contract,
            state: AttemptState::Open,
            opened_at,
            carrier_time,
            carrier_id: None,
            in_doubt_since: None,
            not_found_at: None,
            queries: 0,
            next_query_at: None,
            asked: Asked::Take,
            otp_wanted: false,
            validation: None,
            confirmed_before: false,
            reserved_until: None,
        }
    }

    /// Whether the books were put back since it was under way: then it may be that not this one, but one that followed it, took the money.
    pub const fn was_lost_sight_of(&self) -> bool {
        matches!(self.state, AttemptState::InDoubt { cause: Doubt::Restored })
    }

    /// Whether the amount is held first, and taken by a second request.
    pub const fn has_two_steps(&self) -> bool {
        self.contract.reservation_ms.is_some()
    }

    /// Whether the carrier may hold the amount, and was not told yet to take it or to let it go.
    pub fn may_be_reserved(&self) -> bool {
        self.has_two_steps() && self.asked == Asked::Take && self.carrier_id.is_some() && self.state.is_undecided()
    }

    /// Whether the carrier may have given it an id that we never learned: it may have arrived, and no answer named one.
    pub fn may_have_unknown_id(&self) -> bool {
        let may_have_arrived = match self.state {
            AttemptState::NotSent => false,
            // Refused in its own response; but after a doubt, perhaps in spite of having arrived.
            AttemptState::Rejected(_) => self.in_doubt_since.is_some(),
            _ => true,
        };
        may_have_arrived && self.carrier_id.is_none()
    }

    /// Whether there is a way to ask the carrier what became of it.
    pub fn can_be_asked_about(&self) -> bool {
        let has_question = self.contract.queries.is_some() || self.has_two_steps();
        has_question && (self.carrier_id.is_some() || !self.contract.queries_by_carrier_id)
    }

    /// The delay before query number `self.queries + 1`, in milliseconds: doubling, bounded. `None` where nothing could come of it.
    pub(super) fn query_interval_ms(&self) -> Option<u64> {
        // A reservation that nobody looks after would be neither taken nor given up; and what can be sent again is, in time.
        let otherwise = QuerySchedule { first_after_ms: 2_000, interval_ms_max: 60_000 };
        let is_looked_after = self.has_two_steps() || self.contract.replays_keys;
        if !self.can_be_asked_about() && !self.contract.replays_keys {
            return None;
        }
        let schedule = self.contract.queries.or(is_looked_after.then_some(otherwise))?;
        let doubled = schedule.first_after_ms.saturating_mul(1_u64.checked_shl(self.queries).unwrap_or(u64::MAX));
        Some(doubled.min(schedule.interval_ms_max).max(1))
    }
}
