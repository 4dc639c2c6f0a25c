//! What a `deliver_sm` is: a receipt, or a message from a passenger.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use metrics::counter;
use tracing::warn;

use super::SmppCarrier;
use crate::{
    carrier::{Ack, CarrierEvent, CarrierReceipt, SmppProfile, transcript},
    charge::Finding,
    msisdn::Msisdn,
    passenger::MoPart,
    smpp::{
        DeliverSm,
        receipt::{Delivery, Receipt, ReceiptTlvs, Voucher},
        text::{Concatenation, DefaultAlphabet, ReferenceNumber, decode_message},
        tlv::{self, Tlvs},
    },
};

impl SmppCarrier {
    pub(super) fn delivered(&self, sm: &DeliverSm, ack: Ack) -> Option<CarrierEvent> {
        let profile = &self.0.profile;
        let (text, part) = read(sm, profile.default_alphabet);
        let receipt = read_receipt(sm, profile);

        let Ok(msisdn) = sm.source.addr.parse::<Msisdn>() else {
            // It can be nobody's purchase, and asking for it again would bring the same.
            warn!(carrier = %self.0.name, ton = sm.source.ton, "a message from an address that is no mobile number of Kazakhstan");
            counter!("carrier_unreadable_total", "carrier" => self.0.name.to_string(), "kind" => "source").increment(1);
            ack.refuse();
            return None;
        };
        match receipt {
            // Words alone can be written by a passenger: without the carrier's own mark they prove nothing.
            Some(receipt) if receipt.voucher != Voucher::TextOnly || profile.receipts_by_text_alone => {
                Some(CarrierEvent::Receipt { receipt: self.receipt(&receipt, msisdn, sm), ack })
            }
            _ => Some(CarrierEvent::Mo { msisdn, destination: sm.destination.addr.clone(), text, part, ack }),
        }
    }

    fn receipt(&self, receipt: &Receipt, msisdn: Msisdn, sm: &DeliverSm) -> CarrierReceipt {
        if receipt.disagreement {
            warn!(carrier = %self.0.name, state = %receipt.state, "a receipt contradicts itself");
            counter!("carrier_unreadable_total", "carrier" => self.0.name.to_string(), "kind" => "receipt")
                .increment(1);
        }
        let (finding, refund) = match receipt.intermediate {
            true => (Finding::Nothing, Finding::Nothing),
            false => (
                self.0.meanings.of_receipt(receipt, receipt.message_id.clone()),
                self.0.meanings.of_refund_receipt(receipt, receipt.message_id.clone()),
            ),
        };
        let delivered = match receipt.delivery() {
            Delivery::Delivered => Some(true),
            Delivery::Failed => Some(false),
            Delivery::NothingNew => None,
        };
        CarrierReceipt {
            carrier: self.0.name.clone(),
            carrier_id: receipt.message_id.clone(),
            msisdn,
            source: sm.destination.addr.clone(),
            finding,
            refund,
            delivered,
            key: receipt.evidence_key(),
            submitted_at: receipt.submit_date.as_ref().and_then(|date| date.civil),
            user_message_reference: receipt.user_message_reference,
            words: words_of(sm, self.0.profile.default_alphabet),
        }
    }
}

/// What a message says as a receipt. It may stand in `short_message` or in `message_payload`, whatever the other holds; TLVs
/// alone are one too.
fn read_receipt(sm: &DeliverSm, profile: &SmppProfile) -> Option<Receipt> {
    let receipted_message_id = sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID);
    let tlvs = receipt_tlvs(sm, receipted_message_id.as_deref());
    let read = |message: &Bytes| {
        let (_, content) = decode_message(sm.esm_class, sm.data_coding, profile.default_alphabet, message);
        Receipt::read(sm.esm_class, content.text().unwrap_or_default(), &tlvs, &profile.message_id)
    };
    let receipts: Vec<Receipt> = sm.messages().filter_map(read).collect();
    // The one that says most: words beside the TLVs outrank TLVs alone.
    let with_words = receipts.iter().position(|receipt| receipt.stat_as_written.is_some()).unwrap_or(0);
    receipts.into_iter().nth(with_words).or_else(|| read(&Bytes::new()))
}

/// The text of a receipt, and the TLVs that speak of the message.
fn words_of(sm: &DeliverSm, default: DefaultAlphabet) -> String {
    let mut words = "deliver_sm:".to_owned();
    for message in sm.messages() {
        let (_, content) = decode_message(sm.esm_class, sm.data_coding, default, message);
        let text = content.text().map_or_else(|| HEXLOWER.encode(message), str::to_owned);
        words.push(' ');
        words.push_str(&text);
    }
    let id = sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID).map(|id| format!("receipted_message_id {id:?}"));
    let state = sm.tlvs.integer(tlv::MESSAGE_STATE).map(|state| format!("message_state {state}"));
    let error = sm.tlvs.get(tlv::NETWORK_ERROR_CODE);
    let error = error.map(|bytes| format!("network_error_code {}", HEXLOWER.encode(bytes)));
    for tlv in [id, state, error].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(&tlv);
    }
    transcript::cut(&mut words);
    words
}

/// What a message says, and its place if it is a part. A header outranks the SAR parameters: the phone wrote it.
fn read(sm: &DeliverSm, default: DefaultAlphabet) -> (String, Option<MoPart>) {
    let (header, content) = decode_message(sm.esm_class, sm.data_coding, default, sm.message());
    let place = header.and_then(|header| header.concatenation).or_else(|| sar(&sm.tlvs));
    (content.text().unwrap_or_default().to_owned(), place.map(part))
}

/// The place that the SAR parameters name (SMPP 3.4, 5.3.2.22 to 24); all three must be there, and make sense.
fn sar(tlvs: &Tlvs) -> Option<Concatenation> {
    let reference_number = tlvs.integer(tlv::SAR_MSG_REF_NUM)?.try_into().ok()?;
    let total = tlvs.integer(tlv::SAR_TOTAL_SEGMENTS)?.try_into().ok()?;
    let part = tlvs.integer(tlv::SAR_SEGMENT_SEQNUM)?.try_into().ok()?;
    Concatenation::from_sar(reference_number, total, part)
}

fn part(place: Concatenation) -> MoPart {
    let (reference_number, wide) = match place.reference_number {
        ReferenceNumber::Bits8(number) => (number.into(), false),
        ReferenceNumber::Bits16(number) => (number, true),
    };
    MoPart { reference_number, wide, total: place.total, number: place.part }
}

fn receipt_tlvs<'a>(sm: &DeliverSm, receipted_message_id: Option<&'a str>) -> ReceiptTlvs<'a> {
    let error = sm.tlvs.get(tlv::NETWORK_ERROR_CODE).and_then(|value| value.as_ref().try_into().ok());
    ReceiptTlvs {
        receipted_message_id,
        message_state: sm.tlvs.integer(tlv::MESSAGE_STATE).and_then(|state| state.try_into().ok()),
        network_error_code: error,
        user_message_reference: sm.tlvs.integer(tlv::USER_MESSAGE_REFERENCE).and_then(|number| number.try_into().ok()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        carrier::{ChargedAt, test_profile},
        passenger,
        smpp::{
            Tlv,
            text::{PartMark, split_message},
        },
    };

    fn sar_of(tlvs: &[(u16, &'static [u8])]) -> Option<MoPart> {
        let tlvs = tlvs.iter().map(|(tag, value)| Tlv { tag: *tag, value: bytes::Bytes::from_static(value) });
        let sm = DeliverSm { short_message: "1234".into(), tlvs: tlvs.collect(), ..DeliverSm::default() };
        let (text, part) = read(&sm, DefaultAlphabet::GsmUnpacked);
        assert_eq!(text, "1234");
        part
    }

    #[test]
    fn case_24_a_receipt_is_found_in_the_payload_whatever_stands_in_the_short_message() {
        let profile = test_profile(ChargedAt::Delivery);
        let words = "id:17 stat:DELIVRD err:000";
        for (short, payload, delivered) in [
            ("", words, true),
            (" ", words, true),
            ("BUS", words, true),
            (words, "BUS", true),
            (words, words, true),
            ("1234", "1235", false),
        ] {
            let tlv = Tlv { tag: tlv::MESSAGE_PAYLOAD, value: payload.to_owned().into() };
            let tlvs = [tlv].into_iter().collect();
            let sm = DeliverSm { esm_class: 4, short_message: short.to_owned().into(), tlvs, ..DeliverSm::default() };
            let found = read_receipt(&sm, &profile).map(|receipt| receipt.delivery());
            assert_eq!(found == Some(Delivery::Delivered), delivered, "{short:?} and {payload:?}: {found:?}");
        }
    }

    #[test]
    fn case_39_sar_parameters_name_a_part_if_all_three_are_there_and_make_sense() {
        type Value = (u16, &'static [u8]);
        let number: Value = (tlv::SAR_MSG_REF_NUM, &[1, 2]);
        let total: Value = (tlv::SAR_TOTAL_SEGMENTS, &[2]);
        let part: Value = (tlv::SAR_SEGMENT_SEQNUM, &[1]);
        let first_of_two = Some(MoPart { reference_number: 0x0102, wide: true, total: 2, number: 1 });
        assert_eq!(sar_of(&[part, number, total]), first_of_two);
        for missing in [[number, total], [number, part], [total, part]] {
            assert_eq!(sar_of(&missing), None);
        }
        for senseless in [&[0][..], &[3], &[1, 1]] {
            assert_eq!(sar_of(&[number, total, (tlv::SAR_SEGMENT_SEQNUM, senseless)]), None);
        }
    }

    #[test]
    fn case_39_a_header_outranks_the_sar_parameters() {
        let sar =
            [(tlv::SAR_MSG_REF_NUM, &[0, 9][..]), (tlv::SAR_TOTAL_SEGMENTS, &[3]), (tlv::SAR_SEGMENT_SEQNUM, &[3])];
        let tlvs = sar.map(|(tag, value)| Tlv { tag, value: value.to_vec().into() });
        let short_message = vec![5, 0, 3, 7, 2, 1, b'1'].into();
        let sm = DeliverSm { esm_class: 0x40, short_message, tlvs: tlvs.into_iter().collect(), ..DeliverSm::default() };
        let part = MoPart { reference_number: 7, wide: false, total: 2, number: 1 };
        assert_eq!(read(&sm, DefaultAlphabet::GsmUnpacked), ("1".into(), Some(part)));
    }

    fn any_default() -> impl Strategy<Value = DefaultAlphabet> {
        use DefaultAlphabet::{Ascii, GsmPacked, GsmUnpacked, Latin1};
        prop::sample::select(vec![GsmUnpacked, GsmPacked, Latin1, Ascii])
    }

    proptest! {
        /// What is split on the way out is what is joined on the way in, in every order and with repeats.
        #[test]
        fn case_39_a_text_in_parts_is_read_as_the_text(
            text in prop_oneof![
                "[a-zA-Z0-9*{}€\\[\\]^ ]{0,900}", "[а-яәғқңөұүһі🚌0-9 ]{0,400}", "[àéñ£ΔΩ0-9|~]{0,500}"
            ],
            default in any_default(),
            mark in prop::sample::select(vec![PartMark::Header, PartMark::ShortHeader, PartMark::Sar]),
            number: u16,
            shuffle in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let parts = split_message(&text, default, mark, number, u8::MAX).expect("short enough");
            let read_part = |part: &crate::smpp::text::Part| {
                let sar = part.sar.map(|sar| {
                    let number = sar.reference_number.to_be_bytes().to_vec();
                    let values = [number, vec![sar.total], vec![sar.part]];
                    let tags = [tlv::SAR_MSG_REF_NUM, tlv::SAR_TOTAL_SEGMENTS, tlv::SAR_SEGMENT_SEQNUM];
                    tags.into_iter().zip(values).map(|(tag, value)| Tlv { tag, value: value.into() }).collect()
                });
                let sm = DeliverSm {
                    esm_class: part.esm_class,
                    data_coding: part.data_coding,
                    short_message: part.short_message.clone().into(),
                    tlvs: sar.unwrap_or_default(),
                    ..DeliverSm::default()
                };
                read(&sm, default)
            };
            let read: Vec<(String, Option<MoPart>)> = parts.iter().map(read_part).collect();
            if let [(only, place)] = read.as_slice() {
                prop_assert_eq!((only, *place), (&text, None));
                return Ok(());
            }
            let mut places: Vec<(MoPart, &str)> =
                read.iter().map(|(text, place)| (place.expect("a part"), text.as_str())).collect();
            for index in &shuffle {
                places.push(places[index.index(read.len())]);
            }
            for (at, index) in shuffle.iter().enumerate() {
                let length = places.len();
                places.swap(at % length, index.index(length));
            }
            prop_assert_eq!(passenger::join(places.iter().copied()), Some(text));
            let missing = places[0].0;
            prop_assert_eq!(passenger::join(places.iter().copied().filter(|(place, _)| *place != missing)), None);
        }
    }
}
