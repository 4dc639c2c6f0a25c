//! What the SMSC does about a `submit_sm`: the answer, the manner in which it comes, and what becomes of the link.

use std::time::Duration;

use super::{damage::Damage, faults::Fault, message::MessageKey};

/// What the SMSC does about a `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    pub(super) reply: Reply,
    pub(super) manner: Manner,
    pub(super) link: LinkFate,
    /// An accepted message, and how long it is on its way to the phone.
    pub(super) accepted: Option<(MessageKey, Duration)>,
}

/// The answer to a `submit_sm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Accepted {
        message_id: String,
    },
    /// `ESME_ROK` without a body.
    Bare,
    Status {
        status: u32,
        body: bool,
    },
    WrongType {
        message_id: String,
    },
    Nack {
        /// Whether under sequence number 0.
        of_nothing: bool,
    },
    /// Only the first octets of a PDU: a `command_length` that cannot be.
    BadLength(u32),
    Silence,
}

/// How the answer comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) after: Duration,
    /// It waits until the receipt is acknowledged.
    pub(super) after_receipt: bool,
    /// It waits for the answer to the next `submit_sm`.
    pub(super) after_next: bool,
    pub(super) twice: bool,
    pub(super) octet_by_octet: bool,
    /// With all that follows within this time, in one segment.
    pub(super) gathered: Option<Duration>,
    /// What comes before it.
    pub(super) strays: Vec<Stray>,
    /// What is done to its octets.
    pub(super) damage: Vec<Damage>,
    /// What it says of the load, in percent, to a client that asked for SMPP 5.0.
    pub(super) congestion: Option<u8>,
}

/// A PDU that comes before an answer and does not belong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// Of an unknown command id.
    Garbage,
    /// A `submit_sm_resp` under a sequence number that the client never used.
    UnknownSequence,
}

/// What happens to the connection after a `submit_sm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkFate {
    Stay,
    Reset,
    Unbind,
    /// Half-open for so long, then reset.
    Silent(Duration),
    /// Not read for so long.
    Unread(Duration),
}

const ESME_RSYSERR: u32 = 0x08;
/// Queue full (SMPP 3.4, section 5.1.3).
pub(super) const ESME_RMSGQFUL: u32 = 0x14;
/// Throttled.
pub(super) const ESME_RTHROTTLED: u32 = 0x58;

impl Ruling {
    pub(super) fn plain(reply: Reply) -> Ruling {
        Ruling { reply, manner: Manner::default(), link: LinkFate::Stay, accepted: None }
    }

    pub(super) fn refused(status: u32) -> Ruling {
        Ruling::plain(Reply::Status { status, body: false })
    }

    /// Faults that keep a message from being accepted at all: exactly those of [`Fault::prevents_charge`].
    pub(super) fn before_acceptance(fault: Fault) -> Option<Ruling> {
        match fault {
            Fault::DropLinkBeforeCharge => Some(Ruling { link: LinkFate::Reset, ..Ruling::plain(Reply::Silence) }),
            Fault::Throttle => Some(Ruling::refused(ESME_RTHROTTLED)),
            Fault::QueueFull => Some(Ruling::refused(ESME_RMSGQFUL)),
            Fault::Refuse { status, body } => Some(Ruling::plain(Reply::Status { status, body })),
            Fault::SystemError { charged: false } => Some(Ruling::refused(ESME_RSYSERR)),
            Fault::Nack => Some(Ruling::plain(Reply::Nack { of_nothing: false })),
            _ => None,
        }
    }

    /// Faults in the answer to an accepted message, and in its link.
    pub(super) fn spoil(&mut self, fault: Fault) {
        let Ruling { reply, manner, link, .. } = self;
        match fault {
            Fault::DropResponse => *reply = Reply::Silence,
            Fault::SystemError { .. } => *reply = Reply::Status { status: ESME_RSYSERR, body: false },
            Fault::EmptyMessageId => *reply = Reply::Accepted { message_id: String::new() },
            Fault::MissingMessageId => *reply = Reply::Bare,
            Fault::WrongResponseType => {
                if let Reply::Accepted { message_id } = reply {
                    *reply = Reply::WrongType { message_id: std::mem::take(message_id) };
                }
            }
            Fault::NackSequenceZero => *reply = Reply::Nack { of_nothing: true },
            Fault::BadLength { command_length } => *reply = Reply::BadLength(command_length),
            Fault::DelayResponse { ms } => manner.after += Duration::from_millis(ms),
            Fault::ReceiptBeforeResponse => manner.after_receipt = true,
            Fault::OutOfOrder => manner.after_next = true,
            Fault::DuplicateResponse => manner.twice = true,
            Fault::Slow => manner.octet_by_octet = true,
            Fault::OneSegment { ms } => manner.gathered = Some(Duration::from_millis(ms)),
            Fault::GarbagePdu => manner.strays.push(Stray::Garbage),
            Fault::UnknownSequenceFirst => manner.strays.push(Stray::UnknownSequence),
            Fault::ResponseWithoutNul => manner.damage.push(Damage::WithoutNul),
            Fault::ResponseOddTlvs => manner.damage.push(Damage::OddTlvs),
            Fault::ResponseTrailingOctets => manner.damage.push(Damage::TrailingOctets),
            Fault::Congestion { percent } => manner.congestion = Some(percent),
            Fault::DropLinkAfterSubmit => (*reply, *link) = (Reply::Silence, LinkFate::Reset),
            Fault::UnbindMidWindow => (*reply, *link) = (Reply::Silence, LinkFate::Unbind),
            Fault::GoSilent { ms } => {
                (*reply, *link) = (Reply::Silence, LinkFate::Silent(Duration::from_millis(ms)));
            }
            Fault::StopReading { ms } => *link = LinkFate::Unread(Duration::from_millis(ms)),
            _ => {}
        }
    }
}
