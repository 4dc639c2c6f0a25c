//! How what we send is written: the charged message, the text for a passenger, the id in a status query.
//!
//! A text goes in the carrier's default alphabet (`data_coding` 0) where that and the air have all its characters, else in
//! UCS-2. What 0 means is configured and read by on the way in as well, so one key sets both right; IA5 (`data_coding` 1)
//! would say the same letters in a coding that fewer SMSCs know.

use std::time::Duration;

use crate::{
    carrier::{
        LongMessages, RefundProfile, SmppProfile, Text,
        tariff::{self, Priced, TariffError},
    },
    charge::{Attempt, Charge, Reference, Refund},
    clock::Timestamp,
    msisdn::Msisdn,
    smpp::{
        Address, SubmitSm,
        receipt::IdBase,
        text::{PartMark, TooManySegments, encode_message, segments, split_message},
    },
};

/// `registered_delivery`: a receipt for success and failure (SMPP 3.4, 5.2.17).
const RECEIPT_WANTED: u8 = 1;
/// A free text has at most so many parts.
const PARTS_MAX: u8 = 10;

/// The message by which the carrier takes the fare of `charge`. `text` is what the phone shows.
///
/// It is one message, however long its text: of several, each would be charged. What does not fit one segment goes whole into
/// `message_payload`.
///
/// Errors: the amount has no tariff, or a value of it does not fit its type.
pub(super) fn charged_message(
    short_number: &str,
    profile: &SmppProfile,
    charge: &Charge,
    attempt: &Attempt,
    text: &str,
    now: Timestamp,
) -> Result<SubmitSm, TariffError> {
    let mut message = whole(short_number, profile, charge.order.msisdn, text);
    message.registered_delivery = RECEIPT_WANTED;
    if profile.validity_period {
        message.validity_period = relative_time(charge.terms.ticket_deadline.since(now));
    }
    let message = match attempt.wire_reference.parse() {
        Ok(number) if profile.user_message_reference => message.with_user_message_reference(number),
        _ => message,
    };
    tariff::apply(&profile.tariffs, &Priced::charge(charge), message)
}

/// The message by which the carrier gives back what is refunded of `charge`. `carrier_id` names the charged message, in our normal form.
///
/// It may be tried for as long as its receipt is waited for: after that it is looked for in the carrier's books, and must not be
/// done later. It has one form only, however often it is asked for.
///
/// Errors: as [`charged_message`].
pub(super) fn refund_message(
    short_number: &str,
    profile: &SmppProfile,
    refunds: &RefundProfile,
    charge: &Charge,
    refund: &Refund,
    carrier_id: &str,
) -> Result<SubmitSm, TariffError> {
    let carrier_id = id_as_written(profile, carrier_id);
    let priced = Priced::refund(charge, refund, &carrier_id);
    let mut message = whole(short_number, profile, charge.order.msisdn, &priced.filled(&refunds.text));
    message.registered_delivery = RECEIPT_WANTED;
    if profile.validity_period {
        message.validity_period = relative_time(Duration::from_millis(refunds.message().receipt_lag_ms));
    }
    if profile.user_message_reference {
        message = message.with_user_message_reference(refund.user_message_reference());
    }
    tariff::apply(&refunds.tariffs, &priced, message)
}

/// The messages that a text for a passenger takes, in the order in which they are to be sent; at least one.
///
/// Only the last asks for a receipt: a text has one state, and of several receipts each would have to wait for the others.
///
/// Errors: more than ten parts.
pub(super) fn text(
    short_number: &str,
    profile: &SmppProfile,
    text: &Text<'_>,
    now: Timestamp,
) -> Result<Vec<SubmitSm>, TooManySegments> {
    let mark = match profile.long_messages {
        LongMessages::Udh => Some(PartMark::Header),
        LongMessages::Udh8 => Some(PartMark::ShortHeader),
        LongMessages::Sar => Some(PartMark::Sar),
        LongMessages::Payload => None,
    };
    let mut messages = match mark {
        Some(mark) => in_parts(short_number, profile, text, mark)?,
        None => vec![whole(short_number, profile, text.msisdn, text.text)],
    };
    let validity_period = relative_time(text.expires_at.since(now));
    messages.iter_mut().for_each(|message| message.validity_period.clone_from(&validity_period));
    if let Some(last) = messages.last_mut() {
        last.registered_delivery = RECEIPT_WANTED;
    }
    Ok(messages)
}

fn in_parts(
    short_number: &str,
    profile: &SmppProfile,
    text: &Text<'_>,
    mark: PartMark,
) -> Result<Vec<SubmitSm>, TooManySegments> {
    let number = concatenation_number(text.id);
    let parts = split_message(text.text, profile.default_alphabet, mark, number, PARTS_MAX)?;
    let message = |part: crate::smpp::text::Part| {
        let mut message = empty(short_number, text.msisdn);
        message.esm_class = part.esm_class;
        message.data_coding = part.data_coding;
        message.short_message = part.short_message.into();
        match part.sar {
            Some(sar) => message.with_sar(sar.reference_number, sar.total, sar.part),
            None => message,
        }
    };
    Ok(parts.into_iter().map(message).collect())
}

/// One message with the whole text: in `short_message` if it is one segment, else in the parameter made for what is longer (SMPP
/// 3.4, 5.3.2.32).
fn whole(short_number: &str, profile: &SmppProfile, msisdn: Msisdn, text: &str) -> SubmitSm {
    let mut message = empty(short_number, msisdn);
    let (data_coding, octets) = encode_message(text, profile.default_alphabet);
    message.data_coding = data_coding;
    if segments(text).segments > 1 {
        return message.with_message_payload(octets);
    }
    message.short_message = octets.into();
    message
}

fn empty(short_number: &str, msisdn: Msisdn) -> SubmitSm {
    let destination = Address::international(msisdn.e164().to_string());
    SubmitSm::new(Address::short_code(short_number), destination)
}

/// What the parts of one text share. It follows from the text's name, so that each try has the same; the last bytes of a name are
/// at random.
fn concatenation_number(id: Reference) -> u16 {
    let [.., high, low] = *id.as_bytes();
    u16::from_be_bytes([high, low])
}

/// Our normal form of an id, written back the way that the carrier wrote it in its response.
pub(super) fn id_as_written(profile: &SmppProfile, normal: &str) -> String {
    match (profile.message_id.response, normal.parse::<u128>()) {
        (IdBase::Hex, Ok(number)) => format!("{number:X}"),
        _ => normal.to_owned(),
    }
}

/// A relative time of SMPP (3.4, 7.1.1.2): `000000hhmmss000R`, at least one second and less than 100 hours.
fn relative_time(span: Duration) -> String {
    let seconds = span.as_secs().clamp(1, 99 * 3_600);
    format!("000000{:02}{:02}{:02}000R", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        carrier::{ChargedAt, Urgency, test_profile},
        charge::{Event, Evidence, EvidenceSource, Finding, LateSuccess, Terms, samples, step},
        money::Money,
        smpp::tlv,
    };

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);

    fn profile(long_messages: LongMessages) -> SmppProfile {
        SmppProfile { long_messages, ..test_profile(ChargedAt::Delivery) }
    }

    fn messages(long_messages: LongMessages, characters: &str) -> Result<Vec<SubmitSm>, TooManySegments> {
        let sent = Text {
            id: Reference::from_bytes([0xAB; 16]),
            msisdn: "+77051111111".parse().expect("a number"),
            text: characters,
            expires_at: NOW.plus(Duration::from_secs(3_600)),
            urgency: Urgency::Normal,
        };
        text("2505", &profile(long_messages), &sent, NOW)
    }

    fn payload(message: &SubmitSm) -> Option<usize> {
        message.tlvs.iter().find(|tlv| tlv.tag == tlv::MESSAGE_PAYLOAD).map(|tlv| tlv.value.len())
    }

    #[test]
    fn a_relative_time_is_written_as_the_specification_says() {
        assert_eq!(relative_time(Duration::from_secs(60)), "000000000100000R");
        assert_eq!(relative_time(Duration::from_secs(3_661)), "000000010101000R");
        assert_eq!(relative_time(Duration::ZERO), "000000000001000R");
        assert_eq!(relative_time(Duration::MAX), "000000990000000R");
    }

    #[test]
    fn a_text_of_one_segment_is_one_message_whatever_the_profile_says_of_long_ones() {
        for form in [LongMessages::Udh, LongMessages::Udh8, LongMessages::Sar, LongMessages::Payload] {
            let one = messages(form, &"ж".repeat(70)).expect("one");
            assert_eq!((one.len(), one[0].short_message.len(), one[0].esm_class), (1, 140, 0));
            assert_eq!((one[0].tlvs.len(), one[0].registered_delivery), (0, RECEIPT_WANTED));
        }
        // 160 septets are one segment too, in the carrier's default alphabet.
        let one = messages(LongMessages::Udh, &"a".repeat(160)).expect("one");
        assert_eq!((one.len(), one[0].data_coding, one[0].short_message.len()), (1, 0, 160));
    }

    #[test]
    fn a_long_text_goes_in_parts_of_which_the_last_asks_for_a_receipt() {
        let udh = messages(LongMessages::Udh, &"ж".repeat(132)).expect("two");
        assert_eq!(udh.iter().map(|part| part.esm_class).collect::<Vec<_>>(), [0x40, 0x40]);
        let headers: Vec<&[u8]> = udh.iter().map(|part| &part.short_message[..7]).collect();
        assert_eq!(headers, [[6, 8, 4, 0xAB, 0xAB, 2, 1], [6, 8, 4, 0xAB, 0xAB, 2, 2]]);
        let old = messages(LongMessages::Udh8, &"ж".repeat(132)).expect("two");
        let headers: Vec<&[u8]> = old.iter().map(|part| &part.short_message[..6]).collect();
        assert_eq!(headers, [[5, 0, 3, 0xAB, 2, 1], [5, 0, 3, 0xAB, 2, 2]]);

        let sar = messages(LongMessages::Sar, &"ж".repeat(132)).expect("two");
        for (part, number) in sar.iter().zip(1..) {
            let tlvs: Vec<(u16, &[u8])> = part.tlvs.iter().map(|tlv| (tlv.tag, tlv.value.as_ref())).collect();
            assert_eq!(tlvs, [(0x020C, &[0xAB, 0xAB][..]), (0x020E, &[2]), (0x020F, &[number])]);
            assert_eq!((part.esm_class, part.short_message.len()), (0, 132));
        }
        for parts in [udh, old, sar] {
            assert_eq!(parts.iter().map(|part| part.registered_delivery).collect::<Vec<_>>(), [0, RECEIPT_WANTED]);
            assert!(parts.iter().all(|part| part.validity_period == "000000010000000R"));
        }
    }

    #[test]
    fn a_long_text_goes_whole_where_the_smsc_splits_by_itself() {
        let whole = messages(LongMessages::Payload, &"ж".repeat(134)).expect("one");
        assert_eq!((whole.len(), whole[0].short_message.len(), payload(&whole[0])), (1, 0, Some(268)));
    }

    #[test]
    fn a_text_of_eleven_parts_is_refused() {
        assert_eq!(messages(LongMessages::Udh, &"ж".repeat(660)).expect("ten").len(), 10);
        let too_many = TooManySegments { segments: 11, segments_max: 10 };
        assert_eq!(messages(LongMessages::Udh, &"ж".repeat(661)), Err(too_many));
    }

    #[test]
    fn a_charged_message_is_never_split() {
        let terms = Terms::new(NOW.plus(Duration::from_secs(60)), LateSuccess::Refund);
        let charge = Charge::new(Reference::from_bytes([1; 16]), samples::order(NOW), terms);
        let contract = test_profile(ChargedAt::Delivery).contract();
        let carrier = "beeline".parse().expect("a name");
        let open = Event::OpenAttempt { carrier, wire_reference: "7".into(), contract, carrier_time: None };
        let charge = step(&charge, open, NOW).expect("it is new").next;
        let attempt = charge.last_attempt().expect("it was opened");
        for (text, in_payload) in [("ж".repeat(70), None), ("ж".repeat(71), Some(142)), ("a".repeat(161), Some(161))]
        {
            for form in [LongMessages::Udh, LongMessages::Sar, LongMessages::Payload] {
                let message = charged_message("2505", &profile(form), &charge, attempt, &text, NOW).expect("a tariff");
                assert_eq!(payload(&message), in_payload);
                assert!(message.tlvs.iter().all(|tlv| !(0x020C..=0x020F).contains(&tlv.tag)));
                assert_eq!((message.esm_class, message.registered_delivery), (0, RECEIPT_WANTED));
            }
        }
    }

    /// A charge that was taken, of which 30 tenge are to go back, under this profile's contract.
    fn refunding(profile: &SmppProfile) -> Charge {
        let terms = Terms::new(NOW.plus(Duration::from_secs(60)), LateSuccess::Refund);
        let charge = Charge::new(Reference::from_bytes([1; 16]), samples::order(NOW), terms);
        let open = Event::OpenAttempt {
            carrier: "beeline".parse().expect("a name"),
            wire_reference: "7".into(),
            contract: profile.contract(),
            carrier_time: None,
        };
        let paid = Evidence {
            id: "r".into(),
            attempt: 1,
            source: EvidenceSource::Response,
            finding: Finding::Charged { carrier_id: Some("175".into()), amount: None },
        };
        let ask = Event::RequestRefund { refund: Reference::from_bytes([2; 16]), amount: Money::kzt(3_000), by: None };
        let events = [open, Event::Evidence(paid), ask];
        events.into_iter().fold(charge, |charge, event| step(&charge, event, NOW).expect("legal").next)
    }

    #[test]
    fn a_refund_names_the_charged_message_as_the_carrier_wrote_its_id() {
        let mut profile = profile(LongMessages::Udh);
        let section = r#"
            proved_by = "receipt"
            partial = true
            text = "BACK {major} OF {carrier_id}"
            receipt_lag_seconds = 3600
            [[tariffs]]
            amount = "80"
            service_type = "RALL"
            [[tariffs]]
            source = "25059"
            source_ton = 5
            service_type = "RPART"
            tlvs = [
                { tag = 0x1403, type = "c_octet_string", value = "{carrier_id}" },
                { tag = 0x1404, type = "integer4", value = "{minor}" },
                { tag = 0x1402, type = "reference" },
            ]
        "#;
        profile.refund = Some(toml::from_str(section).expect("a section"));
        let charge = refunding(&profile);
        let refunds = profile.refund.as_ref().expect("a section");
        let message = refund_message("2505", &profile, refunds, &charge, &charge.refunds[0], "175").expect("a tariff");
        assert_eq!(
            (message.service_type.as_str(), message.source.addr.as_str(), message.source.ton),
            ("RPART", "25059", 5)
        );
        assert_eq!((message.registered_delivery, message.validity_period.as_str()), (1, "000000010000000R"));
        assert_eq!(message.short_message.as_ref(), b"BACK 30 OF AF");
        let tlvs: Vec<(u16, &[u8])> = message.tlvs.iter().map(|tlv| (tlv.tag, tlv.value.as_ref())).collect();
        let number = [2, 2];
        assert_eq!(tlvs, [(0x0204, &number[..]), (0x1403, b"AF\0"), (0x1404, &[0, 0, 0x0B, 0xB8]), (0x1402, &[2; 16])]);
        let again = refund_message("2505", &profile, refunds, &charge, &charge.refunds[0], "175").expect("a tariff");
        assert_eq!(again, message, "it has one form");
    }

    #[test]
    fn a_refund_whose_amount_has_no_tariff_is_no_message() {
        let mut profile = profile(LongMessages::Udh);
        let section =
            "proved_by = \"response\"\ntext = \"{carrier_id}\"\ntariffs = [{ amount = \"80\", service_type = \"R\" }]";
        profile.refund = Some(toml::from_str(section).expect("a section"));
        let charge = refunding(&profile);
        let refunds = profile.refund.as_ref().expect("a section");
        let composed = refund_message("2505", &profile, refunds, &charge, &charge.refunds[0], "175");
        assert_eq!(composed, Err(TariffError::NoTariff(Money::kzt(3_000))));
    }
}
