use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::charge::{RefundState, State};

/// What an event tells. Names are stable; new ones may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A charge was asked for, or is looked at again after it was in doubt or waited for a password.
    ChargeProcessing,
    /// The carrier asks the subscriber to agree.
    ChargeAwaitingOtp,
    /// The money was taken, and a ticket was issued.
    ChargeCharged,
    /// Our rules said no; nothing was sent.
    ChargeDeclined,
    /// The carrier definitely said no; nothing was taken.
    ChargeRejected,
    /// Nobody knows whether the money was taken.
    ChargeInDoubt,
    /// The whole amount is on its way back.
    ChargeRefunding,
    /// The whole amount is owed to the passenger.
    ChargeRefundOwed,
    /// The whole amount went back.
    ChargeRefunded,
    /// A ticket was issued.
    TicketIssued,
    /// A ticket is no longer valid.
    TicketRevoked,
    /// A refund is on its way.
    RefundProcessing,
    /// The carrier may have made a refund.
    RefundInDoubt,
    /// A refund is on the refund list.
    RefundOwed,
    /// The carrier gave the money of a refund back.
    RefundDone,
    /// A refund was paid back in another way than by the carrier.
    RefundPaidOut,
    /// A difference was found that somebody must look at.
    BreakOpened,
}

impl EventType {
    /// Every type, in the order of the documentation.
    pub const ALL: [EventType; 17] = [
        EventType::ChargeProcessing,
        EventType::ChargeAwaitingOtp,
        EventType::ChargeCharged,
        EventType::ChargeDeclined,
        EventType::ChargeRejected,
        EventType::ChargeInDoubt,
        EventType::ChargeRefunding,
        EventType::ChargeRefundOwed,
        EventType::ChargeRefunded,
        EventType::TicketIssued,
        EventType::TicketRevoked,
        EventType::RefundProcessing,
        EventType::RefundInDoubt,
        EventType::RefundOwed,
        EventType::RefundDone,
        EventType::RefundPaidOut,
        EventType::BreakOpened,
    ];

    /// The name: `charge.charged`.
    pub const fn code(self) -> &'static str {
        match self {
            EventType::ChargeProcessing => "charge.processing",
            EventType::ChargeAwaitingOtp => "charge.awaiting_otp",
            EventType::ChargeCharged => "charge.charged",
            EventType::ChargeDeclined => "charge.declined",
            EventType::ChargeRejected => "charge.rejected",
            EventType::ChargeInDoubt => "charge.in_doubt",
            EventType::ChargeRefunding => "charge.refunding",
            EventType::ChargeRefundOwed => "charge.refund_owed",
            EventType::ChargeRefunded => "charge.refunded",
            EventType::TicketIssued => "ticket.issued",
            EventType::TicketRevoked => "ticket.revoked",
            EventType::RefundProcessing => "refund.processing",
            EventType::RefundInDoubt => "refund.in_doubt",
            EventType::RefundOwed => "refund.owed",
            EventType::RefundDone => "refund.done",
            EventType::RefundPaidOut => "refund.paid_out",
            EventType::BreakOpened => "break.opened",
        }
    }

    /// What a charge's arrival in a state is called.
    pub(super) const fn of_state(state: State) -> EventType {
        match state {
            State::Processing => EventType::ChargeProcessing,
            State::AwaitingOtp => EventType::ChargeAwaitingOtp,
            State::Charged => EventType::ChargeCharged,
            State::Declined(_) => EventType::ChargeDeclined,
            State::Rejected(_) => EventType::ChargeRejected,
            State::InDoubt => EventType::ChargeInDoubt,
            State::Refunding => EventType::ChargeRefunding,
            State::RefundOwed => EventType::ChargeRefundOwed,
            State::Refunded => EventType::ChargeRefunded,
        }
    }

    /// What a refund's arrival in a state is called.
    pub(super) const fn of_refund(state: RefundState) -> EventType {
        match state {
            RefundState::Requested | RefundState::Waiting | RefundState::Accepted => EventType::RefundProcessing,
            RefundState::InDoubt => EventType::RefundInDoubt,
            RefundState::Owed => EventType::RefundOwed,
            RefundState::Done => EventType::RefundDone,
            RefundState::PaidOut => EventType::RefundPaidOut,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Which types of events somebody wants; all of them if none is named. Written as names with commas between them; `refund.*` means
/// every type that begins so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct EventFilter(BTreeSet<EventType>);

/// A name that no type of events has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no type of events; there are {names}, and charge.* and the like for all that begin so", names = all_names())]
pub struct EventFilterError(String);

fn all_names() -> String {
    EventType::ALL.map(EventType::code).join(", ")
}

impl EventFilter {
    /// Whether this type is wanted.
    pub fn wants(&self, kind: EventType) -> bool {
        self.0.is_empty() || self.0.contains(&kind)
    }

    fn add(&mut self, name: &str) -> Result<(), EventFilterError> {
        let fits = |kind: &EventType| match name.strip_suffix(".*") {
            Some(family) => kind.code().split('.').next() == Some(family),
            None => kind.code() == name,
        };
        let mut named = EventType::ALL.into_iter().filter(fits).peekable();
        if named.peek().is_none() {
            return Err(EventFilterError(name.chars().take(40).collect()));
        }
        self.0.extend(named);
        Ok(())
    }
}

impl FromStr for EventFilter {
    type Err = EventFilterError;

    fn from_str(text: &str) -> Result<EventFilter, EventFilterError> {
        let mut filter = EventFilter::default();
        text.split(',').try_for_each(|name| filter.add(name.trim()))?;
        Ok(filter)
    }
}

impl TryFrom<Vec<String>> for EventFilter {
    type Error = EventFilterError;

    fn try_from(names: Vec<String>) -> Result<EventFilter, EventFilterError> {
        let mut filter = EventFilter::default();
        names.iter().try_for_each(|name| filter.add(name))?;
        Ok(filter)
    }
}

impl From<EventFilter> for Vec<String> {
    fn from(filter: EventFilter) -> Vec<String> {
        filter.0.into_iter().map(|kind| kind.code().to_owned()).collect()
    }
}
