use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::{clock::Timestamp, money::Money};

/// What made an attempt doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// No answer in time.
    Timeout,
    /// The link broke, or the carrier unbound, after the request was written.
    LinkLost,
    /// The carrier nacked without saying what.
    NackWithoutSequence,
    /// An answer came that cannot be read, or that says neither yes nor no.
    UnclearAnswer,
    /// The carrier says that it was asked before (M6).
    Duplicate,
    /// This process ended while the attempt was open.
    Restart,
    /// The books were put back to a moment at which the attempt was under way, or could have followed.
    Restored,
}

impl Doubt {
    /// The stable code, as in logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Doubt::Timeout => "timeout",
            Doubt::LinkLost => "link_lost",
            Doubt::NackWithoutSequence => "nack_without_sequence",
            Doubt::UnclearAnswer => "unclear_answer",
            Doubt::Duplicate => "duplicate",
            Doubt::Restart => "restart",
            Doubt::Restored => "restored",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether, after a definite no, another attempt may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The no is for good: the charge is rejected.
    Never,
    /// The carrier was busy, or the session is at fault: again at the same carrier, with back-off, until the deadline.
    SameCarrier,
    /// The number is another carrier's: once more, there.
    OtherCarrier,
}

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum EvidenceSource {
    /// Our own end of the link: what was written, what was lost, what timed out.
    Link,
    /// The carrier's response to the request itself, in time or late.
    Response,
    /// The carrier's response to the same request, sent again (M4). It can be the first one's, replayed.
    Repeat,
    /// A delivery receipt.
    Receipt,
    /// A callback of the carrier.
    Callback,
    /// The reply to a status query.
    Query,
    /// The start of this process found the attempt open.
    Recovery,
    /// A person, whose name and reason are kept.
    Operator {
        /// The caller's name.
        name: String,
        /// The reason given.
        because: String,
    },
}

/// How a subscriber is to agree to a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Validation {
    /// By a one-time password, which we pass on.
    Password {
        /// What the carrier tells the validation by.
        authorization_id: String,
    },
    /// On a page of the carrier's. It tells the carrier, and the carrier tells us.
    Page {
        /// Its address.
        url: String,
    },
}

/// What a piece of evidence says of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub enum Finding {
    /// Not one byte was written: it did not happen.
    NotSent,
    /// A definite no: it did not happen.
    Rejected {
        /// Why, in our words.
        reason: Reason,
        /// Whether another attempt may succeed.
        retry: Retry,
        /// In the carrier's words.
        detail: String,
    },
    /// The carrier took the request; the outcome is still to come.
    Accepted {
        /// The carrier's id, normalised.
        carrier_id: Option<String>,
    },
    /// The carrier asks the subscriber to agree, by a one-time password or on a page.
    OtpNeeded {
        /// The carrier's id, normalised.
        carrier_id: Option<String>,
        /// How, where this piece tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<Validation>,
    },
    /// The amount is held; nothing is taken before it is confirmed.
    Reserved {
        /// The carrier's id, normalised.
        carrier_id: Option<String>,
    },
    /// What was held was given up, or has expired: nothing was taken, and nothing will be.
    Cancelled,
    /// The money was taken.
    Charged {
        /// The carrier's id, normalised, where this piece has one.
        carrier_id: Option<String>,
        /// The amount, where this piece has one.
        amount: Option<Money>,
    },
    /// It may have happened.
    Doubtful {
        /// What made it doubtful.
        cause: Doubt,
    },
    /// A listing lacks it.
    NotFound {
        /// Whether the listing was complete, and asked for at a moment that our clock can tell (M5); otherwise it says nothing.
        complete: bool,
        /// When the carrier was asked, if that was earlier: the answer tells what was there then, however late it comes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_at: Option<Timestamp>,
    },
    /// Nothing new: an intermediate receipt, a failed query.
    Nothing,
}

impl Finding {
    /// The stable code, as in logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Finding::NotSent => "not_sent",
            Finding::Rejected { .. } => "rejected",
            Finding::Accepted { .. } => "accepted",
            Finding::OtpNeeded { .. } => "otp_needed",
            Finding::Reserved { .. } => "reserved",
            Finding::Cancelled => "cancelled",
            Finding::Charged { .. } => "charged",
            Finding::Doubtful { .. } => "in_doubt",
            Finding::NotFound { .. } => "not_found",
            Finding::Nothing => "nothing",
        }
    }
}

/// A message about the outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Names this piece within the charge; the same piece again changes nothing (M9).
    pub id: String,
    /// The number of the attempt it speaks of.
    pub attempt: u16,
    /// Who says it.
    pub source: EvidenceSource,
    /// What it says.
    pub finding: Finding,
}
