use crate::{
    charge::{Event, Reference},
    clock::Timestamp,
    msisdn::Msisdn,
    passenger::MoPart,
};

use super::CarrierReceipt;

/// Who goes first when places are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A ticket on its way to a passenger who has paid.
    Ticket,
    /// A new charge, or a text without a ticket.
    Normal,
}

/// What became of a text for a passenger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The carrier took it.
    Submitted {
        /// The carrier's id, normalised.
        carrier_id: Option<String>,
    },
    /// Not now: the carrier was busy, or the link was lost. A text may be sent twice; it costs nobody anything.
    Later,
    /// Never: the carrier refuses this text.
    Refused {
        /// In the carrier's words.
        detail: String,
    },
}

/// A text for a passenger, as the adapter needs it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Its name, the same each time that it is sent: the parts of a long text are told by it, so that a phone that has some of them
    /// already takes the second try for the same message.
    pub id: Reference,
    /// To whom.
    pub msisdn: Msisdn,
    /// What it says.
    pub text: &'a str,
    /// After this moment it is worth nothing.
    pub expires_at: Timestamp,
    /// How it waits for the places that the later parts of a long text need.
    pub urgency: Urgency,
}

/// What a carrier says without being asked.
#[derive(Debug)]
pub enum CarrierEvent {
    /// A message from a passenger.
    Mo {
        /// From whom.
        msisdn: Msisdn,
        /// To which short number.
        destination: String,
        /// What it says.
        text: String,
        /// Its place, if the carrier says that it is a part: of a longer message, or the only one.
        part: Option<MoPart>,
        /// To be answered once the message is durable.
        ack: Ack,
    },
    /// A delivery receipt.
    Receipt {
        /// What it says.
        receipt: CarrierReceipt,
        /// To be answered once the receipt is durable.
        ack: Ack,
    },
    /// The answer to an attempt, or to a request for a refund, that had been given up as in doubt.
    Late {
        /// The charge.
        reference: Reference,
        /// What the answer says: evidence.
        event: Event,
        /// Word for word.
        words: Option<String>,
    },
}

/// The acknowledgement of a message or receipt. Dropping it unanswered asks the carrier to deliver again.
#[derive(Debug)]
pub struct Ack(Option<crate::smpp::Responder>);

impl Ack {
    pub(super) fn new(responder: crate::smpp::Responder) -> Ack {
        Ack(Some(responder))
    }

    /// It is durable here; the carrier may forget it.
    pub fn accept(mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::OK);
        }
    }

    /// It will never be taken: the sender or the content cannot be read.
    pub fn refuse(mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::PERMANENT_APP_ERROR);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(responder) = self.0.take() {
            responder.answer(crate::smpp::CommandStatus::TEMPORARY_APP_ERROR);
        }
    }
}
