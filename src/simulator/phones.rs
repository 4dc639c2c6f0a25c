//! What the phones show: free messages as their owners read them, long ones joined again.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    message::{Segment, Submission},
    text::{self, Part},
};
use crate::{clock::Timestamp, msisdn::Msisdn};

/// A free message that reached a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMessage {
    /// When it reached the phone; of one in parts, when the last one did.
    pub at: Timestamp,
    /// Its source address.
    pub from: String,
    /// What the passenger reads.
    pub text: String,
    /// Which part of a concatenated message it is, while others are missing; none for a whole one.
    pub part: Option<Part>,
}

/// The inboxes of all phones, bounded in number and each in length.
#[derive(Debug)]
pub(super) struct Phones {
    inboxes: BTreeMap<Msisdn, VecDeque<Shown>>,
    phones_max: usize,
    messages_max: usize,
}

#[derive(Clone, Debug)]
struct Shown {
    message: InboxMessage,
    /// Of a part: what it is made of, as characters may be cut in two between parts.
    segment: Option<Segment>,
}

impl Phones {
    pub(super) fn new(phones_max: usize, messages_max: usize) -> Phones {
        Phones { inboxes: BTreeMap::new(), phones_max, messages_max }
    }

    /// The messages that reached this phone, the oldest first.
    pub(super) fn inbox(&self, msisdn: Msisdn) -> Vec<InboxMessage> {
        let inbox = self.inboxes.get(&msisdn);
        inbox.map(|inbox| inbox.iter().map(|shown| shown.message.clone()).collect()).unwrap_or_default()
    }

    /// Shows a message. Once all parts of one are there, it takes their place. Returns how many messages were dropped.
    pub(super) fn show(&mut self, submission: &Submission, now: Timestamp) -> u64 {
        let to = submission.to;
        if self.inboxes.len() >= self.phones_max && !self.inboxes.contains_key(&to) {
            return 1;
        }
        let inbox = self.inboxes.entry(to).or_default();
        let segment = submission.segment.clone();
        let message = InboxMessage {
            at: now,
            from: submission.from.clone(),
            text: submission.text.clone(),
            part: segment.as_ref().map(|segment| segment.part),
        };
        let Some(segment) = segment else { return push(inbox, Shown { message, segment: None }, self.messages_max) };
        // A phone does not show the same part twice.
        let is_part =
            |shown: &Shown, part: Part| shown.message.from == message.from && shown.message.part == Some(part);
        if inbox.iter().any(|shown| is_part(shown, segment.part)) {
            return 0;
        }
        let part = segment.part;
        let dropped = push(inbox, Shown { message: message.clone(), segment: Some(segment) }, self.messages_max);
        let parts: Option<Vec<Segment>> = (1..=part.total)
            .map(|number| {
                let shown = inbox.iter().find(|shown| is_part(shown, Part { number, ..part }))?;
                shown.segment.clone()
            })
            .collect();
        if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
            inbox.retain(|shown| {
                let of_it = |shown_part: Part| shown_part.reference == part.reference && shown_part.total == part.total;
                shown.message.from != message.from || !shown.message.part.is_some_and(of_it)
            });
            let whole = InboxMessage { text: joined(&parts), part: None, ..message };
            return dropped + push(inbox, Shown { message: whole, segment: None }, self.messages_max);
        }
        dropped
    }
}

fn push(inbox: &mut VecDeque<Shown>, shown: Shown, messages_max: usize) -> u64 {
    let full = inbox.len() >= messages_max;
    if full {
        inbox.pop_front();
    }
    inbox.push_back(shown);
    u64::from(full)
}

/// The text of all parts. Octets are joined first, where the alphabet is one.
fn joined(parts: &[Segment]) -> String {
    match parts {
        [first, rest @ ..] if rest.iter().all(|part| part.data_coding == first.data_coding) => {
            let octets: Vec<u8> = parts.iter().flat_map(|part| part.octets.iter().copied()).collect();
            text::decode(first.data_coding, &octets)
        }
        _ => parts.iter().map(|part| text::decode(part.data_coding, &part.octets)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::message::{ReceiptsWanted, tests::submission};

    fn part(number: u8, octets: &[u8]) -> Submission {
        let part = Part { reference: 9, total: 2, number };
        let segment = Segment { part, data_coding: 8, octets: octets.to_vec() };
        let text = text::decode(8, octets);
        Submission { segment: Some(segment), text, receipts: ReceiptsWanted::Never, ..submission() }
    }

    #[test]
    fn parts_in_any_order_become_one_message_and_a_cut_character_is_whole_again() {
        // A bus: two UTF-16 units, cut between the parts.
        let (first, second) = (part(1, b"\x00A\xD8\x3D"), part(2, b"\xDE\x8C\x00B"));
        let mut phones = Phones::new(10, 10);
        let at = Timestamp::from_unix_seconds(0);
        phones.show(&second, at);
        phones.show(&second, at);
        let to = second.to;
        assert_eq!(phones.inbox(to).len(), 1, "the same part again is not shown again");
        assert!(phones.inbox(to)[0].part.is_some());
        phones.show(&first, at);
        let [whole] = &phones.inbox(to)[..] else { panic!("one message: {:?}", phones.inbox(to)) };
        assert_eq!((whole.text.as_str(), whole.part), ("A🚌B", None));
    }

    #[test]
    fn an_inbox_and_their_number_are_bounded() {
        let mut phones = Phones::new(1, 2);
        let at = Timestamp::from_unix_seconds(0);
        let dropped: u64 = (0..3).map(|_| phones.show(&submission(), at)).sum();
        assert_eq!((dropped, phones.inbox(submission().to).len()), (1, 2));
        let other = Submission { to: "77010000002".parse().expect("a number"), ..submission() };
        assert_eq!(phones.show(&other, at), 1);
    }
}
