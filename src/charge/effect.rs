use serde::{Deserialize, Serialize};

use super::{Reason, Reference};
use crate::money::Money;

/// What the gateway has to do. What a carrier is asked for is done after the commit; everything else is committed with the charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this attempt to its carrier, once it is durable (M1).
    Send {
        /// Its number.
        attempt: u16,
    },
    /// Write this attempt to its carrier once more, in the same bytes: the carrier replays keys (M4).
    Resend {
        /// Its number.
        attempt: u16,
    },
    /// Pass on the one-time password.
    Validate {
        /// The number of the attempt that it is for.
        attempt: u16,
    },
    /// Have the carrier take what it holds.
    Confirm {
        /// The number of the attempt that it is held for.
        attempt: u16,
    },
    /// Have the carrier give up what it holds.
    Cancel {
        /// The number of the attempt that it is held for.
        attempt: u16,
    },
    /// Ask the carrier for the status of this attempt.
    Query {
        /// Its number.
        attempt: u16,
    },
    /// Wait for a send slot again: the attempt before did not happen.
    TryAgain,
    /// Find the carrier whose subscriber this is, and wait for a send slot there: the attempt before did not happen.
    Reroute,
    /// Have the carrier give money back.
    Refund {
        /// Which refund.
        refund: Reference,
    },
    /// Write the last request for a refund to the carrier once more, in the same bytes: the carrier replays keys (M4).
    ResendRefund {
        /// Which refund.
        refund: Reference,
    },
    /// Ask the carrier what became of a refund.
    QueryRefund {
        /// Which refund.
        refund: Reference,
    },
    /// Make and store the signed ticket (M10).
    IssueTicket,
    /// The ticket is no longer valid.
    RevokeTicket,
    /// Tell the passenger.
    Tell(Notice),
    /// A new purchase for the same subscriber and vehicle may start: this one took nothing.
    ReleaseSlot,
    /// Somebody must look at this; an alert goes with it.
    RaiseBreak(Break),
}

/// What a passenger is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// Here is the ticket.
    Ticket,
    /// Here is the ticket, past its deadline: the money came late, and it was to buy the ticket all the same (M11).
    LateTicket,
    /// Nothing was taken, and why.
    NotTaken {
        /// Why.
        reason: Reason,
    },
    /// The money came too late for the ride and goes back.
    LateRefund,
    /// The money came too late for the ride, and the carrier cannot give it back: it is owed.
    LateOwed,
    /// Somebody gives money back, over the carrier or in another way.
    Refund {
        /// How much.
        amount: Money,
        /// Whether nothing of the purchase is left: then the ticket is no longer valid.
        whole: bool,
    },
    /// What the carrier was asked to give back does not come from it: it is owed.
    RefundOwed {
        /// How much.
        amount: Money,
        /// Whether it was to go back of our own accord: it came too late, or for what had been decided as not happened.
        unasked: bool,
    },
}

/// A difference between what should be and what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// Proof of payment for an attempt that had been decided as not happened. The money is owed (M8).
    ChargedAfterRejection,
    /// A definite no for an attempt that had been proved as paid. The ticket stays (M8).
    RejectedAfterCharge,
    /// The carrier answered an attempt that by our own books was never sent.
    AnswerToUnsent,
    /// The carrier took another amount, or in another currency, than it was asked for.
    AmountDiffers,
    /// The carrier gave one attempt two ids.
    CarrierIdDiffers,
    /// Evidence for an attempt that this charge never had.
    UnknownAttempt,
    /// Proof that money went back for a refund that had been refused, found absent, or decided by a person as not made.
    RefundedAfterRefusal,
    /// Proof that the carrier gave back what had been paid back in another way.
    RefundedTwice,
    /// A definite no for a refund that had been proved as made.
    RefusedAfterRefund,
    /// No ticket can be made for a purchase that was paid; its money goes back.
    NoTicket,
}

impl Break {
    /// The stable code, as in the store, the logs and the metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Break::ChargedAfterRejection => "charged_after_rejection",
            Break::RejectedAfterCharge => "rejected_after_charge",
            Break::AnswerToUnsent => "answer_to_unsent",
            Break::AmountDiffers => "amount_differs",
            Break::CarrierIdDiffers => "carrier_id_differs",
            Break::UnknownAttempt => "unknown_attempt",
            Break::RefundedAfterRefusal => "refunded_after_refusal",
            Break::RefundedTwice => "refunded_twice",
            Break::RefusedAfterRefund => "refused_after_refund",
            Break::NoTicket => "no_ticket",
        }
    }
}
