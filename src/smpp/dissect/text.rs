//! The user data of a message: what it says, or only how long it is and how it is coded.

use super::{
    dissection::{Field, Value},
    mask,
};
use crate::smpp::{
    receipt::{ReceiptTlvs, looks_like_receipt},
    text::{Alphabet, Content, DefaultAlphabet, ReferenceNumber, decode_message},
};

/// Bits 5 … 2 of `esm_class` (SMPP 3.4, 5.2.12).
const MESSAGE_TYPE: u8 = 0x3C;
const TYPE_RECEIPT: u8 = 0x04;
const TYPE_INTERMEDIATE: u8 = 0x20;

/// How the user data of a PDU is to be read, and whether it may be seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) esm_class: u8,
    pub(super) data_coding: u8,
    pub(super) default: DefaultAlphabet,
    /// Texts from the SMSC may be seen; ours may be tickets.
    pub(super) shown: bool,
}

impl Reading {
    pub(super) fn field(self, name: &'static str, octets: &[u8]) -> Field {
        if octets.is_empty() {
            return Field::new(name, Value::Text(String::new()));
        }
        let (header, content) = decode_message(self.esm_class, self.data_coding, self.default, octets);
        let part = header.and_then(|header| header.concatenation).map(|part| {
            let reference = match part.reference_number {
                ReferenceNumber::Bits8(number) => u16::from(number),
                ReferenceNumber::Bits16(number) => number,
            };
            format!(", part {} of {} of message {reference}", part.part, part.total)
        });
        let part = part.unwrap_or_default();
        let body = octets.get(header.map_or(0, |header| header.octets)..).unwrap_or_default();
        // Some carriers announce a header in receipts that have none. Then nobody knows where the quotation begins; nor in a receipt
        // that is coded as no text.
        let is_unclear = header.is_some() || matches!(content, Content::Binary(_));
        let shown = self.shown && !(self.is_flagged() && is_unclear);
        match content {
            Content::Text(text) => {
                let (coding, count) = (alphabet_name(text.alphabet), text.characters.chars().count());
                let characters = if count == 1 { "character" } else { "characters" };
                let value =
                    if shown { Value::Text(self.masked(&text.characters)) } else { Value::Hidden(octets.len()) };
                Field {
                    meaning: Some(format!("{coding}, {count} {characters}{part}").into()),
                    problem: text.flawed.then_some("not all of it is characters of this alphabet".into()),
                    ..Field::new(name, value)
                }
            }
            Content::Binary(_) => {
                let value = if shown { Value::Hex(mask::hex(body)) } else { Value::Hidden(octets.len()) };
                Field { meaning: Some(format!("no text{part}").into()), ..Field::new(name, value) }
            }
        }
    }

    fn is_flagged(self) -> bool {
        matches!(self.esm_class & MESSAGE_TYPE, TYPE_RECEIPT | TYPE_INTERMEDIATE)
    }

    fn masked(self, text: &str) -> String {
        if self.is_flagged() {
            mask::numbers_of_receipt(&without_quotation(text))
        } else if looks_like_receipt(self.esm_class, text, &ReceiptTlvs::default()) {
            // A passenger can write such words, and a phone number for an id.
            mask::numbers(&without_quotation(text))
        } else {
            mask::numbers(text)
        }
    }
}

/// A receipt up to where it begins to quote our message, which may be a ticket.
fn without_quotation(receipt: &str) -> String {
    const KEY: &str = "text:";
    let lower = receipt.to_ascii_lowercase();
    let begins_a_word = |at: &usize| {
        lower.get(..*at).is_some_and(|before| before.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric()))
    };
    match lower.match_indices(KEY).map(|(at, _)| at).find(begins_a_word) {
        Some(at) => {
            let (before, quotation) = receipt.split_at(at + KEY.len());
            format!("{before}({} characters, not shown)", quotation.chars().count())
        }
        None => receipt.to_owned(),
    }
}

fn alphabet_name(alphabet: Alphabet) -> &'static str {
    match alphabet {
        Alphabet::GsmUnpacked => "GSM 03.38",
        Alphabet::GsmPacked => "GSM 03.38 packed",
        Alphabet::Ascii => "ASCII",
        Alphabet::Latin1 => "Latin-1",
        Alphabet::Cyrillic => "ISO 8859-5",
        Alphabet::Ucs2 => "UCS-2",
    }
}
