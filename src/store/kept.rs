use serde::{Deserialize, Serialize};

use super::Told;
use crate::{
    charge::{CarrierName, Event, Reference, State},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
    passenger::MoPart,
    transit::VehicleCode,
};

/// An event of a charge, for the audit and for those who follow the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The charge.
    pub reference: Reference,
    /// The version that it led to.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// `None` for the opening itself.
    pub event: Option<Event>,
    /// Where the charge stood before; `None` at the opening.
    pub from: Option<State>,
    /// Where it stands since.
    pub to: State,
    /// The [`Verbatim::digest`](super::Verbatim::digest) of what the carrier said, if that is how we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<String>,
    /// What else it tells those who follow the events.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}

impl JournalEntry {
    /// The id of the evidence that led here: counted once (M9).
    pub fn evidence_id(&self) -> Option<&str> {
        self.event.as_ref().and_then(Event::evidence_id)
    }
}

/// Who holds the slot of a subscriber and a vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The charge.
    pub reference: Reference,
    /// Passengers in total.
    pub passengers: u8,
    /// Until when.
    pub held_until: Timestamp,
}

/// What a carrier id names. An id that a carrier uses again belongs to the newest that had it (M9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An attempt.
    Attempt {
        /// Its charge.
        reference: Reference,
        /// Its number.
        attempt: u16,
    },
    /// A refund that is a message of its own.
    Refund {
        /// Its charge.
        reference: Reference,
        /// Its name.
        refund: Reference,
    },
    /// An outgoing message, by its [`OutgoingSms::id`].
    Message(Reference),
}

/// A signed ticket as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTicket {
    /// The charge's reference and the ticket's id.
    pub reference: Reference,
    /// Who rides.
    pub msisdn: Msisdn,
    /// On which vehicle.
    pub vehicle: VehicleCode,
    /// The code for a plain phone.
    pub short_code: String,
    /// The signed CWT.
    pub cwt: Vec<u8>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A message from a passenger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingSms {
    /// Its name for life.
    pub id: Reference,
    /// The carrier on whose bind it came.
    pub carrier: CarrierName,
    /// From whom.
    pub msisdn: Msisdn,
    /// To which short number.
    pub destination: String,
    /// What it says.
    pub text: String,
    /// Its place, if it is one part of a longer message. A part is never answered itself.
    pub part: Option<MoPart>,
    /// How it may be taken.
    pub kind: MoKind,
    /// SHA-256 over carrier, source, destination, text and place: what makes two deliveries one message.
    pub fingerprint: [u8; 32],
    /// When it first came. It may have been put off then.
    pub received_at: Timestamp,
    /// When it came this time, to be kept.
    pub kept_at: Timestamp,
    /// A message with the same fingerprint that was kept after this moment, and before [`IncomingSms::same_until`], is this
    /// message. For a part, so is what was closed after it.
    pub same_since: Timestamp,
}

/// A message from a passenger, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMo {
    /// The message.
    pub message: IncomingSms,
    /// The moment by which the ticket service must have asked for a charge, if the message was handed to it.
    pub answer_by: Option<Timestamp>,
    /// When it was answered, by a charge or without one. For a part: when it was closed.
    pub answered_at: Option<Timestamp>,
}

impl IncomingSms {
    /// A message that was kept at or after this moment is another one, whatever it says: the clock has gone back since. Or for as long
    /// as it went back, a passenger would write in vain.
    pub fn same_until(&self) -> Timestamp {
        self.kept_at.plus(self.kept_at.since(self.same_since))
    }
}

/// How a message from a passenger may be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoKind {
    /// As what it says.
    #[default]
    Prompt,
    /// It waited at the carrier while messages could not be taken: nothing is bought with it.
    Late,
    /// Parts of it never came: it is no command, whatever is there of it.
    Incomplete,
    /// It has more parts than are put together: it is no command, whatever this part says.
    TooLong,
}

impl MoKind {
    /// The stable code, as in the store.
    pub const fn code(self) -> &'static str {
        match self {
            MoKind::Prompt => "prompt",
            MoKind::Late => "late",
            MoKind::Incomplete => "incomplete",
            MoKind::TooLong => "too_long",
        }
    }
}

/// A message to a passenger, free of charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingSms {
    /// Its name for life.
    pub id: Reference,
    /// The charge that it speaks of.
    pub reference: Option<Reference>,
    /// Through which carrier.
    pub carrier: CarrierName,
    /// To whom.
    pub msisdn: Msisdn,
    /// What it says.
    pub text: String,
    /// Whether it carries a ticket: those go first.
    pub ticket: bool,
    /// When it was written.
    pub created_at: Timestamp,
    /// After this moment it is worth nothing and is not sent any more.
    pub expires_at: Timestamp,
}

/// Where an outgoing message stands. Kept apart from the charge's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Waits to be sent, perhaps not for the first time.
    Pending,
    /// The carrier took it.
    Submitted,
    /// It reached the phone.
    Delivered,
    /// The carrier refused it, or could not deliver it.
    Failed,
    /// Its time ran out before it could be sent.
    Expired,
}

impl MessageState {
    /// The stable code, as in the store and the logs.
    pub const fn code(self) -> &'static str {
        match self {
            MessageState::Pending => "pending",
            MessageState::Submitted => "submitted",
            MessageState::Delivered => "delivered",
            MessageState::Failed => "failed",
            MessageState::Expired => "expired",
        }
    }

    /// Whether the message stays where it is.
    pub const fn is_final(self) -> bool {
        matches!(self, MessageState::Delivered | MessageState::Failed | MessageState::Expired)
    }
}

/// An outgoing message with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedSms {
    /// The message.
    pub message: OutgoingSms,
    /// Where it stands.
    pub state: MessageState,
    /// Tries so far. Never 1 where one of them may have left an id that nobody knows.
    pub tries: u32,
    /// When it may be tried next.
    pub due_at: Timestamp,
}

impl QueuedSms {
    /// Whether the carrier may have it under an id that we never learned: a try that arrived without an answer, or without anybody
    /// left to keep count of it. A receipt for that id may look like one for something else.
    pub fn may_have_unknown_id(&self) -> bool {
        match self.state {
            MessageState::Pending => true,
            MessageState::Expired => self.tries > 0,
            MessageState::Submitted | MessageState::Delivered | MessageState::Failed => self.tries != 1,
        }
    }
}

/// A receipt or callback that nobody owns yet: it came before its response, or its response was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReceipt {
    /// Names this piece: carrier, carrier id (or destination), state, `err` and done date (M9).
    pub id: String,
    /// The carrier.
    pub carrier: CarrierName,
    /// Its id, normalised. `None` where the receipt had none.
    pub carrier_id: Option<String>,
    /// The passenger whose phone the message went to. `None` where nothing but the carrier's id can find the owner.
    pub msisdn: Option<Msisdn>,
    /// The receipt itself in the carrier module's JSON: what is needed to weigh it later.
    pub body: serde_json::Value,
    /// When it came.
    pub received_at: Timestamp,
}

/// A break as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBreak {
    /// The charge; `None` for a piece that no charge owns.
    pub reference: Option<Reference>,
    /// The [`ParkedReceipt::id`] of such a piece.
    pub piece: Option<String>,
    /// What differs, by [`Break::code`](crate::charge::Break::code); `receipt_unowned` for such a piece.
    pub kind: String,
    /// When it was found.
    pub at: Timestamp,
    /// The amount of the charge.
    pub amount: Option<Money>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_ran_out_after_a_try_without_an_answer_may_have_an_id_that_nobody_knows() {
        let message = OutgoingSms {
            id: Reference::from_bytes([1; 16]),
            reference: None,
            carrier: "beeline".parse().expect("a name"),
            msisdn: "+77051111111".parse().expect("a number"),
            text: "?".into(),
            ticket: false,
            created_at: Timestamp::from_unix_seconds(1),
            expires_at: Timestamp::from_unix_seconds(2),
        };
        for (state, tries, may) in [
            (MessageState::Pending, 0, true),
            (MessageState::Expired, 0, false),
            (MessageState::Expired, 1, true),
            (MessageState::Submitted, 1, false),
            (MessageState::Submitted, 2, true),
            (MessageState::Delivered, 1, false),
            (MessageState::Failed, 1, false),
            (MessageState::Failed, 3, true),
        ] {
            let due_at = message.created_at;
            let queued = QueuedSms { message: message.clone(), state, tries, due_at };
            assert_eq!(queued.may_have_unknown_id(), may, "{state:?} after {tries}");
        }
    }
}
