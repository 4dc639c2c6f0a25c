//! The charge: its states, the evidence that moves it, its deadlines.
//!
//! A *charge* is one purchase, taken or not from one phone balance. It is tried by *attempts*, one at a time; what a
//! carrier, a statement or a human says of an attempt is *evidence*. Everything that can happen to a charge goes through
//! one function, [`step`]: values in, values out. The gateway commits what it returns and then runs its effects.
//!
//! The money rules M1–M16 (`docs/money.md`) outrank everything else here.

mod attempt;
mod effect;
mod event;
mod evidence;
mod fee;
mod home;
mod illegal;
mod order;
mod reason;
mod refund;
mod refunding;
mod reserving;
mod restoring;
mod step;
mod time;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use attempt::{Asked, Attempt, AttemptState, Contract, QuerySchedule, RefundMessage, Rejection};
pub use effect::{Break, Effect, Notice};
pub use event::Event;
pub use evidence::{Doubt, Evidence, EvidenceSource, Finding, Retry, Validation};
pub use fee::Fee;
pub use home::{Home, HomeSource};
pub use illegal::Illegal;
pub use order::{CarrierName, CarrierNameError, Channel, Extends, LateSuccess, Order, Reference, Terms, Trip};
pub use reason::Reason;
pub use refund::{OwedBecause, REFUND_TRIES_MAX, Refund, RefundState};
pub use restoring::PerhapsSent;
pub use step::{Step, step};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, money::Money};

/// Attempts that one charge may have; a charge that was turned away so often ends as not taken. With the pauses between them, so
/// many last about as long as a passenger waits.
pub const ATTEMPTS_MAX: usize = 16;
/// Refunds that one charge may have, total and partial.
pub const REFUNDS_MAX: usize = 8;

/// Where a charge stands, as the API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum State {
    /// Waiting to be sent, or for the carrier's answer.
    Processing,
    /// The carrier asks the subscriber for a one-time password.
    AwaitingOtp,
    /// The money was taken and the ticket issued.
    Charged,
    /// Our rules said no; nothing was sent.
    Declined(Reason),
    /// The carrier definitely said no; nothing was taken.
    Rejected(Reason),
    /// The request may have reached the carrier, and no evidence says what came of it.
    InDoubt,
    /// The whole amount is on its way back.
    Refunding,
    /// The whole amount is owed to the passenger and no request to the carrier is under way.
    RefundOwed,
    /// The whole amount went back.
    Refunded,
}

impl State {
    /// The stable code, as in the API and the store: `in_doubt`.
    pub const fn code(self) -> &'static str {
        match self {
            State::Processing => "processing",
            State::AwaitingOtp => "awaiting_otp",
            State::Charged => "charged",
            State::Declined(_) => "declined",
            State::Rejected(_) => "rejected",
            State::InDoubt => "in_doubt",
            State::Refunding => "refunding",
            State::RefundOwed => "refund_owed",
            State::Refunded => "refunded",
        }
    }

    /// Why nothing was taken, where that is so.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            State::Declined(reason) | State::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the question *was the money taken* is still open.
    pub const fn is_open(self) -> bool {
        matches!(self, State::Processing | State::AwaitingOtp | State::InDoubt)
    }

    /// Whether it is certain that nothing was taken.
    pub const fn is_not_taken(self) -> bool {
        matches!(self, State::Declined(_) | State::Rejected(_))
    }
}

/// One purchase, taken or not from one phone balance. The value of a moment: [`step`] makes the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Its name for life; the ticket's id too.
    pub reference: Reference,
    /// Counts the changes. The store refuses a change made from an older version.
    pub version: u32,
    /// What is bought, by whom.
    pub order: Order,
    /// The terms under which it was opened; a later change of configuration does not touch them.
    pub terms: Terms,
    /// Where it stands.
    pub state: State,
    /// Every attempt, the newest last. Only the last can be undecided.
    pub attempts: Vec<Attempt>,
    /// Every refund, the newest last.
    pub refunds: Vec<Refund>,
    /// The purchase that started for the same subscriber and vehicle after this one's deadline (M12). Once there is one,
    /// this charge can only end as not taken or refunded.
    pub superseded_by: Option<Reference>,
    /// Since when it has been in doubt without a break.
    pub in_doubt_since: Option<Timestamp>,
    /// When the money was known to be taken.
    pub charged_at: Option<Timestamp>,
    /// The generation of the books in which it was last declared in doubt, because they had been put back to an older moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_in: Option<u32>,
    /// The latest moment that [`step`] has seen. A clock that jumps back is held here.
    pub updated_at: Timestamp,
}

impl Charge {
    /// A charge just asked for: nothing was sent, nothing is known.
    pub fn new(reference: Reference, order: Order, terms: Terms) -> Charge {
        let updated_at = order.received_at;
        Charge {
            reference,
            version: 1,
            order,
            terms,
            state: State::Processing,
            attempts: Vec::new(),
            refunds: Vec::new(),
            superseded_by: None,
            in_doubt_since: None,
            charged_at: None,
            restored_in: None,
            updated_at,
        }
    }

    /// The newest attempt.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The attempt with this number (1 is the first).
    pub fn attempt(&self, number: u16) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// The attempt whose outcome is not known yet. At most one, and always the last (M2).
    pub fn undecided_attempt(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.state.is_undecided())
    }

    /// Whether it waits for a send slot: open, and no attempt that might still take the money.
    pub fn wants_attempt(&self) -> bool {
        self.state == State::Processing && self.undecided_attempt().is_none()
    }

    /// The refund of this name.
    pub fn refund(&self, reference: Reference) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.reference == reference)
    }

    /// The attempt whose money this refund gives back.
    pub fn attempt_of(&self, refund: &Refund) -> Option<&Attempt> {
        refund.attempt.map_or(self.last_attempt(), |number| self.attempt(number))
    }

    /// The carrier that took the money of this refund.
    pub fn carrier_of(&self, refund: &Refund) -> Option<&CarrierName> {
        self.attempt_of(refund).map(|attempt| &attempt.carrier)
    }

    /// The name of the refund of a success that came too late: then nothing was sold (M11, M12).
    pub fn late_refund(&self) -> Reference {
        self.reference.derive("late refund", 0)
    }

    /// What went back to the passenger or is promised to, of what this charge took.
    pub fn refunded_amount(&self) -> Money {
        let minor =
            self.refunds.iter().filter(|refund| refund.attempt.is_none()).map(|refund| refund.amount.minor).sum();
        Money::new(minor, self.order.amount.currency)
    }

    /// The next moment at which [`Event::Tick`] would change something. `None` once nothing is left to wait for.
    pub fn due_at(&self) -> Option<Timestamp> {
        let deadline = match self.state {
            State::Processing | State::AwaitingOtp => Some(self.terms.ticket_deadline),
            _ => None,
        };
        let undecided = self.undecided_attempt();
        let query = undecided.and_then(|attempt| attempt.next_query_at);
        let reservation = undecided.filter(|attempt| attempt.may_be_reserved()).and_then(|a| a.reserved_until);
        let refunds = self.refunds.iter().filter_map(|refund| refund.next_at);
        [deadline, query, reservation].into_iter().flatten().chain(refunds).min()
    }
}
