use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charge::Reason;

/// What a carrier can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Take the amount at once.
    Charge,
    /// Hold the amount; nothing is taken before it is confirmed.
    Reserve,
    /// Hand in the one-time password that the subscriber was asked for.
    Validate,
    /// Take what is held.
    Confirm,
    /// Give up what is held.
    Cancel,
    /// Say what became of an attempt.
    Status,
    /// Give money back.
    Refund,
    /// Say what became of a refund.
    RefundStatus,
    /// Say what is known of a subscriber.
    Subscriber,
    /// Say whose subscriber a number is.
    Portability,
}

impl Operation {
    /// All of them, in the order in which a charge may meet them.
    pub const ALL: [Operation; 10] = [
        Operation::Charge,
        Operation::Reserve,
        Operation::Validate,
        Operation::Confirm,
        Operation::Cancel,
        Operation::Status,
        Operation::Refund,
        Operation::RefundStatus,
        Operation::Subscriber,
        Operation::Portability,
    ];

    /// The stable code, as in profiles, logs and metrics: `refund_status`.
    pub const fn code(self) -> &'static str {
        match self {
            Operation::Charge => "charge",
            Operation::Reserve => "reserve",
            Operation::Validate => "validate",
            Operation::Confirm => "confirm",
            Operation::Cancel => "cancel",
            Operation::Status => "status",
            Operation::Refund => "refund",
            Operation::RefundStatus => "refund_status",
            Operation::Subscriber => "subscriber",
            Operation::Portability => "portability",
        }
    }

    /// Whether it only asks: an answer that says nothing changes nothing (M8).
    pub const fn only_asks(self) -> bool {
        matches!(self, Operation::Status | Operation::RefundStatus | Operation::Subscriber | Operation::Portability)
    }

    /// Whether it is about giving money back.
    pub const fn is_refund(self) -> bool {
        matches!(self, Operation::Refund | Operation::RefundStatus)
    }

    /// Whether it is about one attempt, and not only about a number.
    pub const fn is_about_a_charge(self) -> bool {
        !matches!(self, Operation::Subscriber | Operation::Portability)
    }

    /// What its answers may mean. Anything else in a table is a mistake of the profile.
    pub const fn meanings(self) -> &'static [&'static str] {
        match self {
            Operation::Charge => &[
                "charged",
                "accepted",
                "otp_needed",
                "cancelled",
                "duplicate",
                "busy",
                "session_fault",
                "in_doubt",
                "not_our_subscriber",
                "rejected",
            ],
            Operation::Reserve => &[
                "reserved",
                "accepted",
                "otp_needed",
                "cancelled",
                "duplicate",
                "busy",
                "session_fault",
                "in_doubt",
                "not_our_subscriber",
                "rejected",
            ],
            Operation::Validate => &[
                "charged",
                "reserved",
                "accepted",
                "otp_needed",
                "cancelled",
                "duplicate",
                "busy",
                "session_fault",
                "in_doubt",
                "rejected",
            ],
            Operation::Confirm => {
                &["charged", "accepted", "cancelled", "duplicate", "busy", "session_fault", "in_doubt", "rejected"]
            }
            Operation::Cancel => {
                &["cancelled", "charged", "accepted", "duplicate", "busy", "session_fault", "in_doubt"]
            }
            Operation::Status => &[
                "charged",
                "accepted",
                "reserved",
                "otp_needed",
                "cancelled",
                "not_found",
                "busy",
                "session_fault",
                "in_doubt",
                "not_our_subscriber",
                "rejected",
            ],
            Operation::Refund => {
                &["refunded", "accepted", "duplicate", "busy", "session_fault", "in_doubt", "rejected"]
            }
            Operation::RefundStatus => {
                &["refunded", "accepted", "not_found", "busy", "session_fault", "in_doubt", "rejected"]
            }
            Operation::Subscriber => &["found", "not_our_subscriber", "not_found", "in_doubt"],
            Operation::Portability => &["found", "not_found", "in_doubt"],
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What one row of a table makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The money was taken.
    Charged,
    /// The money went back.
    Refunded,
    /// The carrier took the request; the outcome is still to come.
    Accepted,
    /// The amount is held.
    Reserved,
    /// The carrier asks the subscriber for a one-time password.
    OtpNeeded,
    /// What was held was given up: nothing was taken, and nothing will be.
    Cancelled,
    /// The carrier says that it was asked before (M6).
    Duplicate,
    /// It did not happen; again, with back-off.
    Busy,
    /// It did not happen; our credentials or the session are at fault.
    SessionFault,
    /// Nobody knows.
    InDoubt,
    /// The carrier knows nothing of it.
    NotFound,
    /// The number is another carrier's: it did not happen here.
    NotOurSubscriber,
    /// The answer says what was asked for. Of questions about a number only.
    Found,
    /// It did not happen, for good.
    Rejected(Reason),
}

impl Meaning {
    /// The stable code, as in profiles: `otp_needed`.
    pub const fn code(self) -> &'static str {
        match self {
            Meaning::Charged => "charged",
            Meaning::Refunded => "refunded",
            Meaning::Accepted => "accepted",
            Meaning::Reserved => "reserved",
            Meaning::OtpNeeded => "otp_needed",
            Meaning::Cancelled => "cancelled",
            Meaning::Duplicate => "duplicate",
            Meaning::Busy => "busy",
            Meaning::SessionFault => "session_fault",
            Meaning::InDoubt => "in_doubt",
            Meaning::NotFound => "not_found",
            Meaning::NotOurSubscriber => "not_our_subscriber",
            Meaning::Found => "found",
            Meaning::Rejected(_) => "rejected",
        }
    }

    /// Whether money, a promise of it or a fact is believed on the strength of it: then the answer must be a success (2xx) and what it
    /// echoes must be there.
    pub const fn is_positive(self) -> bool {
        matches!(
            self,
            Meaning::Charged
                | Meaning::Refunded
                | Meaning::Accepted
                | Meaning::Reserved
                | Meaning::OtpNeeded
                | Meaning::Found
        )
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meaning::Rejected(reason) => write!(f, "rejected ({reason})"),
            other => f.write_str(other.code()),
        }
    }
}
