//! One message inside the SMSC: what was submitted, its id, and what became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{config::MessageIdForm, faults::Fault, text::Part};
use crate::{clock::Timestamp, msisdn::Msisdn};

/// What the client submitted, as far as the carrier cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) from: String,
    pub(super) to: Msisdn,
    /// As the client wrote it: a receipt's source address must repeat it.
    pub(super) to_as_written: String,
    pub(super) text: String,
    pub(super) part: Option<Part>,
    pub(super) tariff: Option<String>,
    pub(super) reference: Option<Uuid>,
    pub(super) user_message_reference: Option<u16>,
    pub(super) receipts: ReceiptsWanted,
    pub(super) validity: Option<Duration>,
}

/// Which receipts `registered_delivery` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiptsWanted {
    Never,
    Always,
    OnFailure,
    OnSuccess,
}

/// What became of a message (SMPP 3.4, section 5.2.28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MessageState {
    Enroute,
    Delivered,
    Expired,
    Undeliverable,
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) submission: Submission,
    /// What was drawn to go wrong with it.
    pub(super) faults: Vec<Fault>,
    pub(super) submitted_at: Timestamp,
    pub(super) price_minor: Option<i64>,
    pub(super) state: MessageState,
    /// The network's error: 0, or see [`super::Refusal::err`].
    pub(super) err: u8,
    pub(super) done_at: Option<Timestamp>,
}

/// A message's number inside the SMSC; every written form of its id comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageKey(u64);

/// Message ids start here, so that decimal and hexadecimal forms differ.
const FIRST_KEY: u64 = 1_000_000;

impl ReceiptsWanted {
    /// From the two low bits of `registered_delivery` (SMPP 3.4, section 5.2.17; 3 is of SMPP 5.0).
    pub(super) fn from_registered_delivery(octet: u8) -> ReceiptsWanted {
        match octet & 0b11 {
            0 => ReceiptsWanted::Never,
            1 => ReceiptsWanted::Always,
            2 => ReceiptsWanted::OnFailure,
            _ => ReceiptsWanted::OnSuccess,
        }
    }

    pub(super) fn include(self, state: MessageState) -> bool {
        match self {
            ReceiptsWanted::Never => false,
            ReceiptsWanted::Always => true,
            ReceiptsWanted::OnFailure => state != MessageState::Delivered,
            ReceiptsWanted::OnSuccess => state == MessageState::Delivered,
        }
    }
}

impl MessageState {
    /// `stat` in a receipt's text (SMPP 3.4, appendix B).
    pub(super) fn stat(self) -> &'static str {
        match self {
            MessageState::Enroute => "ENROUTE",
            MessageState::Delivered => "DELIVRD",
            MessageState::Expired => "EXPIRED",
            MessageState::Undeliverable => "UNDELIV",
        }
    }
}

impl MessageKey {
    /// The id as the `submit_sm_resp` writes it, and as `query_sm` must ask for it.
    pub(super) fn in_response(self, form: MessageIdForm) -> String {
        match form {
            MessageIdForm::Decimal | MessageIdForm::PaddedReceipt => self.0.to_string(),
            MessageIdForm::Hex | MessageIdForm::HexThenDecimal => format!("{:x}", self.0),
            MessageIdForm::Uuid => self.uuid().to_string(),
        }
    }

    /// The id as receipts write it.
    pub(super) fn in_receipt(self, form: MessageIdForm) -> String {
        match form {
            MessageIdForm::Decimal | MessageIdForm::HexThenDecimal => self.0.to_string(),
            MessageIdForm::Hex => format!("{:x}", self.0),
            MessageIdForm::PaddedReceipt => format!("{:016}", self.0),
            MessageIdForm::Uuid => self.uuid().to_string().to_uppercase(),
        }
    }

    /// Reads an id as the response wrote it.
    pub(super) fn from_response(id: &str, form: MessageIdForm) -> Option<MessageKey> {
        match form {
            MessageIdForm::Decimal | MessageIdForm::PaddedReceipt => id.parse().ok(),
            MessageIdForm::Hex | MessageIdForm::HexThenDecimal => u64::from_str_radix(id, 16).ok(),
            MessageIdForm::Uuid => Uuid::parse_str(id).ok().map(|uuid| uuid.as_u64_pair().1 & UUID_KEY_BITS),
        }
        .map(MessageKey)
    }

    /// A well-formed UUID (version 8, RFC 9562) whose low bits are the key.
    fn uuid(self) -> Uuid {
        Uuid::from_u64_pair(0x5349_4d53_4d53_8000, 0x8000_0000_0000_0000 | (self.0 & UUID_KEY_BITS))
    }
}

const UUID_KEY_BITS: u64 = 0x3FFF_FFFF_FFFF_FFFF;

/// The accepted messages, as long as they are kept.
#[derive(Debug)]
pub(super) struct Messages {
    kept: BTreeMap<MessageKey, Message>,
    /// Finished messages, the oldest first: what is forgotten when room is needed.
    finished: VecDeque<MessageKey>,
    next: u64,
    pending: usize,
    kept_max: usize,
    pending_max: usize,
}

impl Messages {
    pub(super) fn new(kept_max: usize, pending_max: usize) -> Messages {
        Messages {
            kept: BTreeMap::new(),
            finished: VecDeque::new(),
            next: FIRST_KEY,
            pending: 0,
            kept_max,
            pending_max,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending >= self.pending_max
    }

    /// The key that the next accepted message gets.
    pub(super) fn next_key(&self) -> MessageKey {
        MessageKey(self.next)
    }

    /// Keeps an accepted message under [`Messages::next_key`].
    pub(super) fn accept(&mut self, message: Message) -> MessageKey {
        debug_assert!(!self.is_full(), "the caller asks before it accepts");
        while self.kept.len() >= self.kept_max {
            let Some(oldest) = self.finished.pop_front() else { break };
            self.kept.remove(&oldest);
        }
        let key = MessageKey(self.next);
        self.next += 1;
        self.pending += 1;
        self.kept.insert(key, message);
        key
    }

    /// Ends a pending message, once, and returns it. None if it is not pending.
    pub(super) fn finish(&mut self, key: MessageKey, state: MessageState, err: u8, at: Timestamp) -> Option<Message> {
        let message = self.kept.get_mut(&key).filter(|message| message.state == MessageState::Enroute)?;
        message.state = state;
        message.err = err;
        message.done_at = Some(at);
        self.pending -= 1;
        self.finished.push_back(key);
        Some(message.clone())
    }

    pub(super) fn get(&self, key: MessageKey) -> Option<&Message> {
        self.kept.get(&key)
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_id_leads_back_to_its_message() {
        use MessageIdForm::{Decimal, Hex, HexThenDecimal, PaddedReceipt, Uuid};
        let key = MessageKey(1_000_255);
        for form in [Decimal, Hex, HexThenDecimal, PaddedReceipt, Uuid] {
            assert_eq!(MessageKey::from_response(&key.in_response(form), form), Some(key), "{form:?}");
            assert_eq!(MessageKey::from_response("?", form), None);
        }
        assert_eq!(
            (key.in_response(HexThenDecimal), key.in_receipt(HexThenDecimal)),
            ("f433f".into(), "1000255".into())
        );
        assert_eq!(key.in_receipt(PaddedReceipt), "0000000001000255");
        assert_eq!(key.in_receipt(Uuid), key.in_response(Uuid).to_uppercase());
    }

    #[test]
    fn a_message_ends_once_and_only_finished_ones_are_forgotten() {
        let submission = Submission {
            from: "2505".into(),
            to: "77010000001".parse().expect("a number"),
            to_as_written: "77010000001".into(),
            text: String::new(),
            part: None,
            tariff: None,
            reference: None,
            user_message_reference: None,
            receipts: ReceiptsWanted::Always,
            validity: None,
        };
        let at = Timestamp::from_unix_seconds(0);
        let message = Message {
            submission,
            faults: vec![],
            submitted_at: at,
            price_minor: None,
            state: MessageState::Enroute,
            err: 0,
            done_at: None,
        };
        let mut messages = Messages::new(2, 2);
        let first = messages.accept(message.clone());
        let second = messages.accept(message.clone());
        assert!(messages.is_full());
        assert!(messages.finish(second, MessageState::Delivered, 0, at).is_some());
        assert!(messages.finish(second, MessageState::Expired, 0, at).is_none());
        let third = messages.accept(message);
        assert!(messages.get(second).is_none());
        assert!(messages.get(first).is_some() && messages.get(third).is_some());
        assert_eq!(messages.pending(), 2);
    }
}
