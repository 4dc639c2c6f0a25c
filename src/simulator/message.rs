//! One message inside the SMSC: what was submitted, its id, and what became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{config::MessageIdForm, faults::Fault, link::LinkId, refunds::RefundOrder, text::Part};
use crate::{clock::Timestamp, msisdn::Msisdn};

/// What the client submitted, as far as the carrier cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) from: String,
    pub(super) to: Msisdn,
    /// As the client wrote it: a receipt's source address must repeat it.
    pub(super) to_as_written: String,
    pub(super) text: String,
    /// Of one part of a longer message: which, and what it is made of.
    pub(super) segment: Option<Segment>,
    pub(super) tariff: Option<String>,
    pub(super) reference: Option<Uuid>,
    /// Which charge is to be given back, if it asks for that.
    pub(super) refund: Option<RefundOrder>,
    pub(super) user_message_reference: Option<u16>,
    pub(super) receipts: ReceiptsWanted,
    pub(super) validity: Option<Duration>,
    /// The link that it came by.
    pub(super) via: LinkId,
}

/// One part of a longer message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) part: Part,
    pub(super) data_coding: u8,
    pub(super) octets: Vec<u8>,
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
    /// The network's error: 0, or see [`super::Refusal::err`] and [`super::RefundRefusal::err`].
    pub(super) err: u8,
    pub(super) done_at: Option<Timestamp>,
    /// Whose id it has: its own, or that of an older message.
    pub(super) id: MessageKey,
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

    /// An id that no message ever has.
    pub(super) fn of_nobody(self) -> MessageKey {
        MessageKey(self.0 ^ (1 << 40))
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
    /// Finished messages whose receipts are all acknowledged, the oldest first: their ids may be used again.
    settled: VecDeque<MessageKey>,
    /// The newest message under an id that was used again.
    reused: BTreeMap<MessageKey, MessageKey>,
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
            settled: VecDeque::new(),
            reused: BTreeMap::new(),
            next: FIRST_KEY,
            pending: 0,
            kept_max,
            pending_max,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending >= self.pending_max
    }

    /// The id that the next accepted message gets: a new one, or the oldest that is done with, if `used_again`.
    pub(super) fn next_id(&self, used_again: bool) -> MessageKey {
        let old = self.settled.front().filter(|_| used_again);
        old.copied().unwrap_or(MessageKey(self.next))
    }

    /// Keeps an accepted message, whose id is from [`Messages::next_id`].
    pub(super) fn accept(&mut self, message: Message) -> MessageKey {
        debug_assert!(!self.is_full(), "the caller asks before it accepts");
        while self.kept.len() >= self.kept_max {
            let Some(oldest) = self.finished.pop_front() else { break };
            self.forget(oldest);
        }
        let key = MessageKey(self.next);
        self.next += 1;
        self.pending += 1;
        if message.id != key {
            self.settled.retain(|settled| *settled != message.id);
            self.reused.insert(message.id, key);
        }
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

    /// All receipts of a finished message are acknowledged.
    pub(super) fn settle(&mut self, key: MessageKey) {
        // One reuse is enough for a test; an id three times over would tell nothing new.
        if self.kept.get(&key).is_some_and(|message| message.id == key) {
            self.settled.push_back(key);
            while self.settled.len() > SETTLED_MAX {
                self.settled.pop_front();
            }
        }
    }

    pub(super) fn get(&self, key: MessageKey) -> Option<&Message> {
        self.kept.get(&key)
    }

    /// The newest message with this id.
    pub(super) fn with_id(&self, id: MessageKey) -> Option<&Message> {
        self.kept.get(self.reused.get(&id).unwrap_or(&id))
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    fn forget(&mut self, key: MessageKey) {
        let Some(message) = self.kept.remove(&key) else { return };
        if self.reused.get(&message.id) == Some(&key) {
            self.reused.remove(&message.id);
        }
        if self.settled.front() == Some(&key) {
            self.settled.pop_front();
        }
    }
}

/// Ids that wait to be used again.
const SETTLED_MAX: usize = 1_024;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A free message to number 1.
    pub(in crate::simulator) fn submission() -> Submission {
        Submission {
            from: "2505".into(),
            to: "77010000001".parse().expect("a number"),
            to_as_written: "77010000001".into(),
            text: String::new(),
            segment: None,
            tariff: None,
            reference: None,
            refund: None,
            user_message_reference: None,
            receipts: ReceiptsWanted::Always,
            validity: None,
            via: LinkId::default(),
        }
    }

    fn message(id: MessageKey) -> Message {
        Message {
            submission: submission(),
            faults: vec![],
            submitted_at: Timestamp::from_unix_seconds(0),
            price_minor: None,
            state: MessageState::Enroute,
            err: 0,
            done_at: None,
            id,
        }
    }

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
        let at = Timestamp::from_unix_seconds(0);
        let mut messages = Messages::new(2, 2);
        let first = messages.accept(message(messages.next_id(false)));
        let second = messages.accept(message(messages.next_id(false)));
        assert!(messages.is_full());
        assert!(messages.finish(second, MessageState::Delivered, 0, at).is_some());
        assert!(messages.finish(second, MessageState::Expired, 0, at).is_none());
        let third = messages.accept(message(messages.next_id(false)));
        assert!(messages.get(second).is_none());
        assert!(messages.get(first).is_some() && messages.get(third).is_some());
        assert_eq!(messages.pending(), 2);
    }

    #[test]
    fn only_an_id_that_is_done_with_is_used_again_and_then_means_the_newer_message() {
        let mut messages = Messages::new(10, 10);
        let first = messages.accept(message(messages.next_id(true)));
        let second = messages.accept(message(messages.next_id(true)));
        assert_ne!(first, second, "the first one is still on its way");
        messages.finish(first, MessageState::Delivered, 0, Timestamp::from_unix_seconds(1));
        messages.settle(first);
        assert_eq!(messages.next_id(false), MessageKey(FIRST_KEY + 2));
        let third = messages.accept(message(messages.next_id(true)));
        assert_eq!(messages.get(third).map(|message| message.id), Some(first));
        assert_eq!(messages.with_id(first).map(|message| message.state), Some(MessageState::Enroute));
        assert_eq!(messages.next_id(true), MessageKey(FIRST_KEY + 3), "an id is used twice, not three times");
    }
}
