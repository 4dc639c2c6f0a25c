use std::fmt;

/// The state of a message, from `stat` or from the TLV `message_state` (SMPP 3.4 section 5.2.28, SMPP 5.0 section 4.7.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waiting for its first try (SMPP 5.0).
    Scheduled,
    /// On its way.
    Enroute,
    /// Delivered to the phone.
    Delivered,
    /// Its validity period ran out.
    Expired,
    /// Deleted by the carrier.
    Deleted,
    /// It can never be delivered.
    Undeliverable,
    /// Accepted, in somebody's hands.
    Accepted,
    /// The carrier does not know.
    Unknown,
    /// Refused by the carrier.
    Rejected,
    /// Skipped (SMPP 5.0).
    Skipped,
    /// A state that no specification names; [`Receipt::stat_as_written`](super::Receipt::stat_as_written) has its words.
    Unrecognised,
}

/// What a state means for the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It reached the phone.
    Delivered,
    /// It did not and never will.
    Failed,
    /// Nothing that is final.
    NothingNew,
}

impl MessageState {
    /// From the words of a text receipt: the short forms of SMPP 3.4 appendix B and the long ones, in any case.
    pub fn from_stat(stat: &str) -> MessageState {
        match stat.to_ascii_uppercase().as_str() {
            "SCHEDULED" | "SCHEDLD" => MessageState::Scheduled,
            "ENROUTE" => MessageState::Enroute,
            "DELIVRD" | "DELIVERED" => MessageState::Delivered,
            "EXPIRED" => MessageState::Expired,
            "DELETED" => MessageState::Deleted,
            "UNDELIV" | "UNDELIVERABLE" | "UNDELIVERED" | "UNDELIVRD" => MessageState::Undeliverable,
            "ACCEPTD" | "ACCEPTED" => MessageState::Accepted,
            "UNKNOWN" => MessageState::Unknown,
            "REJECTD" | "REJECTED" => MessageState::Rejected,
            "SKIPPED" => MessageState::Skipped,
            _ => MessageState::Unrecognised,
        }
    }

    /// From the value of the TLV `message_state`.
    pub const fn from_tlv(value: u8) -> MessageState {
        match value {
            0 => MessageState::Scheduled,
            1 => MessageState::Enroute,
            2 => MessageState::Delivered,
            3 => MessageState::Expired,
            4 => MessageState::Deleted,
            5 => MessageState::Undeliverable,
            6 => MessageState::Accepted,
            7 => MessageState::Unknown,
            8 => MessageState::Rejected,
            9 => MessageState::Skipped,
            _ => MessageState::Unrecognised,
        }
    }

    /// The seven letters of appendix B.
    pub const fn stat(self) -> &'static str {
        match self {
            MessageState::Scheduled => "SCHEDLD",
            MessageState::Enroute => "ENROUTE",
            MessageState::Delivered => "DELIVRD",
            MessageState::Expired => "EXPIRED",
            MessageState::Deleted => "DELETED",
            MessageState::Undeliverable => "UNDELIV",
            MessageState::Accepted => "ACCEPTD",
            MessageState::Unknown => "UNKNOWN",
            MessageState::Rejected => "REJECTD",
            MessageState::Skipped => "SKIPPED",
            MessageState::Unrecognised => "?",
        }
    }

    /// What the state says about the delivery.
    pub const fn delivery(self) -> Delivery {
        match self {
            MessageState::Delivered => Delivery::Delivered,
            MessageState::Expired | MessageState::Deleted | MessageState::Undeliverable | MessageState::Rejected => {
                Delivery::Failed
            }
            _ => Delivery::NothingNew,
        }
    }

    /// One state from all that one receipt names, the most trusted first. Receipts that come at once mean the same:
    /// - *delivered* and *failed* together prove neither, however often each is said: [`MessageState::Unknown`], so that nothing is
    ///   concluded and the message stays in doubt until better evidence comes. Believing either could keep money without a ticket,
    ///   or give a ticket for nothing;
    /// - what is final beats what is not, because that is where all end, in whatever order they come;
    /// - of those that mean the same for the delivery, the most trusted is right.
    pub fn conclusion(named: &[MessageState]) -> MessageState {
        let first = |delivery| named.iter().copied().find(|state| state.delivery() == delivery);
        match (first(Delivery::Delivered), first(Delivery::Failed)) {
            (Some(_), Some(_)) => MessageState::Unknown,
            (Some(state), None) | (None, Some(state)) => state,
            (None, None) => {
                let known = named.iter().copied().find(|state| *state != MessageState::Unrecognised);
                known.or(named.first().copied()).unwrap_or(MessageState::Unknown)
            }
        }
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stat())
    }
}
