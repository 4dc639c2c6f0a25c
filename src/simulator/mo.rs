//! A passenger's text on its way to the client: whole or in parts, as phones send it and as the field spoils it.

use rusmpp::{
    pdus::DeliverSm,
    tlvs::MessageDeliveryRequestTlvValue as Tlv,
    types::{AnyOctetString, OctetString},
    values::{DataCoding, EsmClass, MessagePayload, Npi, Ton},
};

use super::{
    config::MoForm,
    faults::Fault,
    handle::MoError,
    link::Parcel,
    text::{self, CODING_GSM},
    wire,
};
use crate::msisdn::Msisdn;

/// `esm_class` of a receipt, which an MO must not have (SMPP 3.4, section 5.2.12).
const ESM_CLASS_RECEIPT: u8 = 0x04;
/// `esm_class` bit: a user data header stands before the text.
const ESM_CLASS_HEADER: u8 = 0x40;
/// The most that `short_message` carries in one piece (section 5.2.22).
const SHORT_MESSAGE_OCTETS: usize = 254;

/// What carries one text.
pub(super) struct Mo<'a> {
    pub(super) from: Msisdn,
    pub(super) to: &'a str,
    pub(super) text: &'a str,
    pub(super) form: MoForm,
    /// What its parts, if any, have in common.
    pub(super) reference: u16,
    pub(super) faults: &'a [Fault],
}

/// Errors: a destination or a text that no phone could send.
pub(super) fn check(to: &str, text: &str) -> Result<(), MoError> {
    if to.is_empty() || to.len() > 20 || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(MoError::Address(to.chars().take(32).collect()));
    }
    match text.chars().count() {
        length if length > MoError::TEXT_CHARS_MAX => Err(MoError::TooLong(length)),
        _ => Ok(()),
    }
}

impl Mo<'_> {
    /// The messages that carry the text, in the order in which they are sent.
    pub(super) fn parcels(&self) -> Vec<Parcel> {
        let (coding, octets) = text::encode(self.text);
        let form = self.form();
        let pieces = match form {
            MoForm::Payload => vec![&octets[..]],
            _ => pieces(coding, &octets, form, self.is_to_be_split()),
        };
        let total = pieces.len();
        let mut messages: Vec<DeliverSm> = match pieces[..] {
            [] => vec![self.whole(coding, &[])],
            [piece] => vec![self.whole(coding, piece)],
            _ => (1..).zip(&pieces).map(|(number, piece)| self.part(coding, piece, form, total, number)).collect(),
        };
        if messages.len() > 1 {
            for fault in self.faults {
                match fault {
                    Fault::MoPartsOutOfOrder => messages.reverse(),
                    Fault::MoPartTwice => messages.extend(messages.first().cloned()),
                    Fault::MoPartMissing => {
                        messages.pop();
                    }
                    _ => {}
                }
            }
        }
        messages.into_iter().map(|message| Parcel { message, damage: Vec::new(), not_on: None }).collect()
    }

    fn is_to_be_split(&self) -> bool {
        let splits = |fault: &Fault| {
            matches!(
                fault,
                Fault::MoInParts { .. } | Fault::MoPartsOutOfOrder | Fault::MoPartTwice | Fault::MoPartMissing
            )
        };
        self.faults.iter().any(splits)
    }

    fn form(&self) -> MoForm {
        let wanted = self.faults.iter().find_map(|fault| match fault {
            Fault::MoInParts { form } => Some(*form),
            _ => None,
        });
        match wanted.unwrap_or(self.form) {
            MoForm::Payload if self.is_to_be_split() => MoForm::Udh8,
            form => form,
        }
    }

    fn whole(&self, coding: u8, octets: &[u8]) -> DeliverSm {
        let mut message = self.message(coding, 0);
        match OctetString::from_slice(octets) {
            Ok(short_message) if octets.len() <= SHORT_MESSAGE_OCTETS => message.set_short_message(short_message),
            _ => {
                let payload = AnyOctetString::from_vec(octets.to_vec());
                message.push_tlv(Tlv::MessagePayload(MessagePayload::new(payload)));
            }
        }
        message
    }

    fn part(&self, coding: u8, octets: &[u8], form: MoForm, total: usize, number: u8) -> DeliverSm {
        // At most 1,000 characters, so a few parts.
        let total = u8::try_from(total).unwrap_or(u8::MAX);
        let [high, low] = self.reference.to_be_bytes();
        let header = match form {
            MoForm::Udh16 => vec![6, 0x08, 4, high, low, total, number],
            MoForm::Udh8 => vec![5, 0x00, 3, low, total, number],
            MoForm::Sar | MoForm::Payload => Vec::new(),
        };
        let mut message = self.message(coding, if header.is_empty() { 0 } else { ESM_CLASS_HEADER });
        message.set_short_message(OctetString::from_vec([&header[..], octets].concat()).unwrap_or_default());
        if header.is_empty() {
            message.push_tlv(Tlv::SarMsgRefNum(self.reference));
            message.push_tlv(Tlv::SarTotalSegments(total));
            message.push_tlv(Tlv::SarSegmentSeqnum(number));
        }
        message
    }

    fn message(&self, coding: u8, esm_class: u8) -> DeliverSm {
        let as_receipt = if self.faults.contains(&Fault::MoAsReceipt) { ESM_CLASS_RECEIPT } else { 0 };
        DeliverSm::builder()
            .source_addr_ton(Ton::International)
            .source_addr_npi(Npi::Isdn)
            .source_addr(wire::c_string(&self.from.e164().to_string()))
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(wire::c_string(self.to))
            .esm_class(EsmClass::from(esm_class | as_receipt))
            .data_coding(DataCoding::from(coding))
            .build()
    }
}

/// The text cut as phones cut it: no character in two. One piece if it fits into one message and need not be split.
fn pieces(coding: u8, octets: &[u8], form: MoForm, split: bool) -> Vec<&[u8]> {
    // 140 octets, which hold 160 septets, less the header (GSM 03.40, section 9.2.3.24.1).
    let (whole, part) = match (coding, form) {
        (CODING_GSM, MoForm::Udh16) => (160, 152),
        (CODING_GSM, _) => (160, 153),
        (_, MoForm::Udh16) => (140, 132),
        _ => (140, 134),
    };
    if octets.len() <= whole && !split {
        return vec![octets];
    }
    let unit = if coding == CODING_GSM { 1 } else { 2 };
    let half = octets.len().div_ceil(2).next_multiple_of(unit).max(unit);
    let size = if split { part.min(half) } else { part };
    let mut pieces = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let mut end = size.min(rest.len());
        // An escape, or the first half of a surrogate pair, goes with what follows it.
        let is_open = |end: usize| match rest.get(..end) {
            Some([.., 0x1B]) => coding == CODING_GSM,
            Some([.., high, _]) => coding != CODING_GSM && (0xD8..0xDC).contains(high),
            _ => false,
        };
        if end < rest.len() && is_open(end) {
            end = if end > unit { end - unit } else { end + unit };
        }
        let (piece, following) = rest.split_at(end.min(rest.len()));
        pieces.push(piece);
        rest = following;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulator::text::Part;

    fn parcels(text: &str, form: MoForm, faults: &[Fault]) -> Vec<DeliverSm> {
        let from = "77010000001".parse().expect("a number");
        let mo = Mo { from, to: "2505", text, form, reference: 0x0102, faults };
        mo.parcels().into_iter().map(|parcel| parcel.message).collect()
    }

    fn part_of(message: &DeliverSm) -> Option<Part> {
        text::strip_header(message.esm_class.into(), message.short_message().as_ref()).1
    }

    #[test]
    fn a_long_text_is_cut_where_a_phone_cuts_it() {
        let long = "Ж".repeat(100);
        let lengths = |form| -> Vec<usize> {
            parcels(&long, form, &[]).iter().map(|message| message.short_message().as_ref().len()).collect()
        };
        assert_eq!(lengths(MoForm::Udh8), [140, 72]);
        assert_eq!(lengths(MoForm::Udh16), [139, 75]);
        assert_eq!(lengths(MoForm::Sar), [134, 66]);
        assert_eq!(lengths(MoForm::Payload), [200]);
        assert_eq!(parcels("1234", MoForm::Udh8, &[]).len(), 1);
        let part = part_of(&parcels(&long, MoForm::Udh16, &[])[1]);
        assert_eq!(part, Some(Part { reference: 0x0102, total: 2, number: 2 }));
    }

    #[test]
    fn even_a_short_code_can_come_in_parts_in_any_order_twice_or_not_whole() {
        let numbers = |faults: &[Fault]| -> Vec<u8> {
            parcels("1234", MoForm::Payload, faults).iter().filter_map(part_of).map(|part| part.number).collect()
        };
        assert_eq!(numbers(&[Fault::MoInParts { form: MoForm::Udh16 }]), [1, 2]);
        assert_eq!(numbers(&[Fault::MoPartsOutOfOrder]), [2, 1]);
        assert_eq!(numbers(&[Fault::MoPartTwice]), [1, 2, 1]);
        assert_eq!(numbers(&[Fault::MoPartMissing]), [1]);
        assert_eq!(parcels("1", MoForm::Payload, &[Fault::MoPartMissing]).len(), 1, "one character cannot be split");
        assert_eq!(parcels("", MoForm::Udh8, &[Fault::MoPartMissing]).len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_cut_joins_again_and_no_character_is_in_two(
            text in "[a-zA-Z0-9 €{}Ёәі🚌]{0,400}", split: bool,
            form in prop::sample::select(vec![MoForm::Udh8, MoForm::Udh16, MoForm::Sar]),
        ) {
            let (coding, octets) = text::encode(&text);
            let pieces = pieces(coding, &octets, form, split);
            prop_assert_eq!(&pieces.concat(), &octets);
            let read: String = pieces.iter().map(|piece| text::decode(coding, piece)).collect();
            prop_assert_eq!(read, text);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= 160));
        }
    }
}
