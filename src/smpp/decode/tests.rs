//! Odd PDUs one by one, and `rusmpp` as the oracle for the proper ones.

use bytes::BytesMut;
use proptest::prelude::*;
use rusmpp::{
    Command, CommandStatus as RusmppStatus, Pdu,
    decode::DecodeWithLength,
    pdus,
    tlvs::{MessageDeliveryRequestTlvValue, MessageSubmissionRequestTlvValue, TlvTag},
    types::{AnyOctetString, COctetString, EmptyOrFullCOctetString, OctetString},
    values::{InterfaceVersion, MessageState, ServiceType},
};

use super::*;
use crate::smpp::{
    encode,
    framing::Framer,
    pdu::{Bind, BindMode, QuerySm, SubmitSm},
    wire::{deliver_body, pdu, resp, tlv},
};

fn read(pdu: &[u8]) -> Decoded {
    decode(Bytes::copy_from_slice(pdu)).unwrap().unwrap()
}

fn read_message(body: &[u8]) -> (DeliverSm, Vec<Quirk>) {
    let decoded = read(&pdu(command::DELIVER_SM, 0, 1, body));
    let Inbound::DeliverSm(sm) = decoded.body else { panic!("{decoded:?}") };
    (*sm, decoded.quirks.iter().collect())
}

fn message_id(body: &[u8]) -> (Option<String>, Vec<Quirk>) {
    let decoded = read(&resp(command::SUBMIT_SM, 0, 1, body));
    let Inbound::SubmitSmResp { message_id, .. } = decoded.body else { panic!("{decoded:?}") };
    (message_id, decoded.quirks.iter().collect())
}

#[test]
fn a_proper_message_is_read_without_a_quirk() {
    let (sm, quirks) = read_message(&deliver_body(4, b"1234"));
    assert_eq!(quirks, []);
    assert_eq!(sm.source, Address::international("77015554433"));
    assert_eq!(sm.destination, Address::short_code("2505"));
    assert_eq!((sm.data_coding, sm.message().as_ref()), (8, b"1234".as_slice()));
}

#[test]
fn case_14_an_empty_or_missing_message_id_is_none() {
    assert_eq!(message_id(b""), (None, vec![Quirk::MissingBody]));
    assert_eq!(message_id(b"\0"), (None, vec![]));
}

#[test]
fn case_15_an_error_response_without_a_body_is_proper() {
    for command_id in [command::SUBMIT_SM, command::BIND_TRANSCEIVER, command::QUERY_SM] {
        assert!(read(&resp(command_id, 8, 1, b"")).quirks.is_empty());
    }
}

#[test]
fn case_22_a_string_without_its_nul_goes_to_the_end() {
    assert_eq!(message_id(b"abc"), (Some("abc".into()), vec![Quirk::UnterminatedString]));
}

#[test]
fn case_22_a_string_longer_than_allowed_is_taken_whole() {
    let long = "9".repeat(90);
    assert_eq!(message_id(format!("{long}\0").as_bytes()), (Some(long), vec![Quirk::OverlongString]));
}

/// SMPP 3.4, 4.7.1: 65 octets, where `deliver_sm` has 21.
#[test]
fn an_address_of_a_data_sm_may_be_long() {
    let body = [b"\0\x05\x00".as_slice(), &[b'x'; 64], b"\0\x03\x002505\0\0\0\0"].concat();
    let decoded = read(&pdu(command::DATA_SM, 0, 1, &body));
    let Inbound::DeliverSm(sm) = &decoded.body else { panic!("{decoded:?}") };
    assert_eq!(sm.source.addr.len(), 64);
    assert!(decoded.quirks.is_empty(), "{:?}", decoded.quirks);
}

#[test]
fn case_22_an_id_that_is_not_ascii_stays_unique() {
    assert_ne!(message_id(b"\xE9\0").0, message_id(b"\xE8\0").0);
}

#[test]
fn case_22_tlvs_in_odd_order_and_twice() {
    let tlvs = [
        tlv(tlv::MESSAGE_STATE, &[2]),
        tlv(0x1400, b"vendor"),
        tlv(tlv::RECEIPTED_MESSAGE_ID, b"id\0"),
        tlv(tlv::MESSAGE_STATE, &[5]),
        tlv(0xFFFF, b""),
    ];
    let (sm, quirks) = read_message(&deliver_body(0, &tlvs.concat()));
    assert_eq!(sm.tlvs.integer(tlv::MESSAGE_STATE), Some(2), "the first wins");
    assert_eq!(sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID).as_deref(), Some("id"));
    assert_eq!(sm.tlvs.get(0x1400).map(Bytes::as_ref), Some(b"vendor".as_slice()));
    assert_eq!(quirks, [Quirk::TlvRepeated]);
}

#[test]
fn case_22_tlvs_of_wrong_length() {
    let wide = tlv(tlv::MESSAGE_STATE, &[0, 0, 0, 2]);
    let cut = [tlv::RECEIPTED_MESSAGE_ID.to_be_bytes().as_slice(), &[0xFF, 0xFF], b"id"].concat();
    let (sm, quirks) = read_message(&deliver_body(0, &[wide, cut].concat()));
    assert_eq!(sm.tlvs.integer(tlv::MESSAGE_STATE), Some(2));
    assert_eq!(sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID).as_deref(), Some("id"));
    assert_eq!(quirks, [Quirk::TlvCut]);
}

#[test]
fn case_22_trailing_bytes_are_skipped() {
    let (sm, quirks) = read_message(&deliver_body(2, b"hi\0\x01\x02"));
    assert_eq!(sm.message().as_ref(), b"hi");
    assert_eq!(quirks, [Quirk::TrailingBytes]);
}

#[test]
fn case_22_a_body_where_there_should_be_none_is_skipped() {
    for (command_id, body) in [
        (command::ENQUIRE_LINK, Inbound::EnquireLink),
        (command::UNBIND, Inbound::Unbind),
        (command::GENERIC_NACK, Inbound::GenericNack),
        (0x8000_0015, Inbound::EnquireLinkResp),
    ] {
        let decoded = read(&pdu(command_id, 0, 1, b"odd"));
        assert_eq!(decoded.body, body);
        assert!(decoded.quirks.contains(Quirk::UnexpectedBody));
    }
}

#[test]
fn case_22_more_tlvs_than_anybody_needs_are_dropped() {
    let tlvs: Vec<u8> = (0..10_000).flat_map(|tag| tlv(tag, b"")).collect();
    let (sm, quirks) = read_message(&deliver_body(0, &tlvs));
    assert_eq!(sm.tlvs.len(), Tlvs::MAX);
    assert_eq!(quirks, [Quirk::TooManyTlvs]);
}

#[test]
fn case_23_sm_length_past_the_end_takes_what_is_there() {
    let (sm, quirks) = read_message(&deliver_body(200, b"id:1 stat:DELIVRD"));
    assert_eq!(sm.message().as_ref(), b"id:1 stat:DELIVRD");
    assert!(sm.short_message_cut);
    assert_eq!(quirks, [Quirk::ShortMessageCut]);
}

#[test]
fn case_24_both_messages_are_kept_the_short_one_first() {
    let body = deliver_body(5, &[b"short".as_slice(), &tlv(tlv::MESSAGE_PAYLOAD, b"payload")].concat());
    let (sm, quirks) = read_message(&body);
    assert_eq!(sm.message().as_ref(), b"short");
    assert_eq!(sm.messages().map(Bytes::as_ref).collect::<Vec<_>>(), [b"short".as_slice(), b"payload"]);
    assert_eq!(quirks, [Quirk::TwoMessages]);
    let (sm, quirks) = read_message(&deliver_body(0, &tlv(tlv::MESSAGE_PAYLOAD, b"payload")));
    assert_eq!(sm.message().as_ref(), b"payload");
    assert_eq!(quirks, []);
}

#[test]
fn case_10_an_esm_class_is_read_as_it_stands() {
    let says = |esm_class| DeliverSm { esm_class, ..DeliverSm::default() }.says_receipt();
    assert!(says(0x04) && says(0x44));
    assert!(!says(0x00) && !says(0x40) && !says(0x20) && !says(0x08));
}

#[test]
fn a_body_that_ends_before_its_fields_is_unreadable_and_named() {
    let error = decode(Bytes::from(pdu(command::DELIVER_SM, 0, 9, b"\0\x01\x01777\0"))).unwrap().unwrap_err();
    assert_eq!((error.header.sequence, error.field), (9, "dest_addr_ton"));
    assert_eq!(error.to_string(), "deliver_sm (sequence 9) ends before its field dest_addr_ton");
}

fn c_string<const MAX: usize>() -> impl Strategy<Value = COctetString<1, MAX>> {
    prop::collection::vec(1u8..128, 0..MAX).prop_map(|mut bytes| {
        bytes.push(0);
        COctetString::from_vec(bytes).unwrap()
    })
}

fn time() -> impl Strategy<Value = EmptyOrFullCOctetString<17>> {
    prop_oneof![
        Just(EmptyOrFullCOctetString::empty()),
        "[0-9]{15}[+R-]".prop_map(|text| EmptyOrFullCOctetString::from_string(text).unwrap())
    ]
}

fn encoded(status: u32, sequence: u32, pdu: impl Into<Pdu>) -> Vec<u8> {
    use rusmpp::encode::{Length, owned::Encode};
    let command = Command::new(RusmppStatus::from(status), sequence, pdu);
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    [u32::try_from(command.length() + 4).unwrap().to_be_bytes().as_slice(), &bytes].concat()
}

fn reread(mut bytes: BytesMut) -> Command {
    let length = bytes.len() - 4;
    let mut body = bytes.split_off(4);
    Command::decode(&mut body, length).unwrap().0
}

proptest! {
    #[test]
    fn what_rusmpp_writes_as_deliver_sm_we_read_the_same(
        (service, source, destination) in (c_string::<6>(), c_string::<21>(), c_string::<21>()),
        [source_ton, source_npi, dest_ton, dest_npi, esm_class] in any::<[u8; 5]>(),
        [protocol, priority, registered, replace, coding, canned] in any::<[u8; 6]>(),
        (schedule, validity) in (time(), time()),
        message in prop::collection::vec(any::<u8>(), 0..=255),
        vendor in prop::option::of((0x1400u16..0x4000, prop::collection::vec(any::<u8>(), 0..300))),
        payload in prop::option::of(prop::collection::vec(any::<u8>(), 1..1_000)),
        sequence in any::<u32>(),
    ) {
        let mut tlvs = Vec::new();
        if let Some((tag, value)) = &vendor {
            let value = AnyOctetString::from_slice(value);
            tlvs.push(MessageDeliveryRequestTlvValue::Other { tag: TlvTag::from(*tag), value });
        }
        if let Some(payload) = &payload {
            tlvs.push(MessageDeliveryRequestTlvValue::MessagePayload(rusmpp::values::MessagePayload::new(
                AnyOctetString::from_slice(payload),
            )));
        }
        let theirs = pdus::DeliverSm::new(
            ServiceType::new(service.clone()),
            source_ton.into(), source_npi.into(), source.clone(),
            dest_ton.into(), dest_npi.into(), destination.clone(),
            esm_class.into(), protocol, priority.into(), schedule.clone(), validity.clone(),
            registered.into(), replace.into(), coding.into(), canned,
            OctetString::from_slice(&message).unwrap(),
            tlvs,
        );
        let decoded = read(&encoded(0, sequence, theirs));
        prop_assert_eq!(decoded.header.sequence, sequence);
        let Inbound::DeliverSm(ours) = decoded.body else { panic!("not a message") };
        prop_assert_eq!(ours.service_type, service.as_str());
        prop_assert_eq!(ours.source, Address { ton: source_ton, npi: source_npi, addr: source.as_str().into() });
        prop_assert_eq!(ours.destination, Address { ton: dest_ton, npi: dest_npi, addr: destination.as_str().into() });
        prop_assert_eq!(
            [ours.esm_class, ours.protocol_id, ours.priority_flag, ours.registered_delivery],
            [esm_class, protocol, priority, registered]
        );
        prop_assert_eq!(
            [ours.replace_if_present_flag, ours.data_coding, ours.sm_default_msg_id],
            [replace, coding, canned]
        );
        prop_assert_eq!(ours.schedule_delivery_time, schedule.as_str());
        prop_assert_eq!(ours.validity_period, validity.as_str());
        prop_assert_eq!(ours.short_message.as_ref(), message.as_slice());
        prop_assert_eq!(ours.tlvs.get(tlv::MESSAGE_PAYLOAD).map(|value| value.to_vec()), payload.clone());
        if let Some((tag, value)) = vendor {
            prop_assert_eq!(ours.tlvs.get(tag).map(|value| value.to_vec()), Some(value));
        }
        let both = payload.is_some() && !message.is_empty();
        prop_assert_eq!(decoded.quirks.iter().collect::<Vec<_>>(), if both { vec![Quirk::TwoMessages] } else { vec![] });
    }

    #[test]
    fn what_rusmpp_writes_as_responses_we_read_the_same(
        id in c_string::<65>(),
        system_id in c_string::<16>(),
        version in prop::option::of(any::<u8>()),
        final_date in time(),
        state in 0u8..10,
        error_code in any::<u8>(),
        sequence in any::<u32>(),
        status in 0u32..0x110,
    ) {
        let submitted = read(&encoded(status, sequence, pdus::SubmitSmResp::new(id.clone(), vec![])));
        let message_id = Some(id.as_str().to_owned()).filter(|id| !id.is_empty());
        prop_assert_eq!(submitted.body, Inbound::SubmitSmResp { message_id, tlvs: Tlvs::default() });
        prop_assert_eq!((submitted.header.status.0, submitted.header.sequence), (status, sequence));

        let bound = pdus::BindTransceiverResp::new(system_id.clone(), version.map(InterfaceVersion::from));
        let expected = BindResp { system_id: system_id.as_str().into(), sc_interface_version: version };
        prop_assert_eq!(read(&encoded(status, sequence, bound)).body, Inbound::BindResp(expected));

        let queried = pdus::QuerySmResp::new(id.clone(), final_date.clone(), MessageState::from(state), error_code);
        let expected = QueryState {
            message_id: id.as_str().into(),
            final_date: final_date.as_str().into(),
            message_state: state,
            error_code,
        };
        prop_assert_eq!(read(&encoded(status, sequence, queried)).body, Inbound::QuerySmResp(Some(expected)));
    }

    #[test]
    fn arbitrary_bytes_never_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _any = decode(Bytes::from(bytes.clone()));
        for command_id in [command::DELIVER_SM, command::DATA_SM, 0x8000_0001, 0x8000_0003, 0x8000_0004] {
            let _any = decode(Bytes::from(pdu(command_id, 0, 1, &bytes)));
        }
    }

    /// The strict decoder accepts what we send, and finds in it what we meant.
    #[test]
    fn what_we_write_as_submit_sm_rusmpp_reads_the_same(
        service_type in "[ -~]{0,5}",
        source in "[ -~]{0,20}",
        destination in "[0-9]{0,20}",
        [ton, npi, esm_class, protocol_id, priority_flag] in any::<[u8; 5]>(),
        [registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id] in any::<[u8; 4]>(),
        validity_period in prop_oneof![Just(String::new()), "[0-9]{15}[+R-]"],
        message in prop::collection::vec(any::<u8>(), 0..=255),
        (tag, value) in (0x1400u16..0x4000, prop::collection::vec(any::<u8>(), 1..300)),
        reference in any::<u16>(),
        sequence in 1u32..0x8000_0000,
    ) {
        let sm = SubmitSm {
            service_type: service_type.clone(),
            source: Address { ton, npi, addr: source.clone() },
            destination: Address { ton, npi, addr: destination.clone() },
            esm_class, protocol_id, priority_flag,
            schedule_delivery_time: String::new(),
            validity_period: validity_period.clone(),
            registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id,
            short_message: message.clone().into(),
            tlvs: Vec::new(),
        };
        let sm = sm.with_tlv(tag, value.clone()).with_user_message_reference(reference).with_sar(reference, 3, 1);
        let mut bytes = BytesMut::new();
        encode::submit_sm(sm, sequence, &mut bytes).unwrap();

        let mut framer = Framer::default();
        prop_assert_eq!(framer.push(&bytes), bytes.len());
        prop_assert_eq!(framer.next_pdu().unwrap().map(|pdu| pdu.len()), Some(bytes.len()));

        let command = reread(bytes);
        prop_assert_eq!(command.sequence_number, sequence);
        let Some(Pdu::SubmitSm(theirs)) = command.pdu() else { panic!("not a submit_sm") };
        prop_assert_eq!(theirs.service_type.value().as_str(), service_type);
        prop_assert_eq!(theirs.source_addr.as_str(), source);
        prop_assert_eq!(theirs.destination_addr.as_str(), destination);
        prop_assert_eq!(u8::from(theirs.source_addr_ton), ton);
        prop_assert_eq!(u8::from(theirs.dest_addr_npi), npi);
        prop_assert_eq!([u8::from(theirs.esm_class), theirs.protocol_id], [esm_class, protocol_id]);
        prop_assert_eq!(theirs.validity_period.as_str(), validity_period);
        prop_assert_eq!(u8::from(theirs.registered_delivery), registered_delivery);
        prop_assert_eq!(u8::from(theirs.data_coding), data_coding);
        prop_assert_eq!(theirs.short_message().as_ref(), message.as_slice());
        let expected: [MessageSubmissionRequestTlvValue; 5] = [
            MessageSubmissionRequestTlvValue::Other { tag: TlvTag::from(tag), value: AnyOctetString::from_slice(&value) },
            MessageSubmissionRequestTlvValue::UserMessageReference(reference.into()),
            MessageSubmissionRequestTlvValue::SarMsgRefNum(reference),
            MessageSubmissionRequestTlvValue::SarTotalSegments(3),
            MessageSubmissionRequestTlvValue::SarSegmentSeqnum(1),
        ];
        let expected: Vec<rusmpp::tlvs::Tlv> = expected.into_iter().map(Into::into).collect();
        prop_assert_eq!(theirs.tlvs(), expected.as_slice());
    }

    #[test]
    fn what_we_write_to_bind_and_query_rusmpp_reads_the_same(
        system_id in "[ -~]{0,15}", password in "[ -~]{0,8}", range in "[0-9]{0,40}", id in "[ -~]{0,64}", version: u8,
    ) {
        let ours = Bind {
            mode: BindMode::Transmitter,
            system_id: system_id.clone(),
            password: password.clone(),
            system_type: "vma".into(),
            interface_version: version,
            address_range: Address { ton: 1, npi: 1, addr: range.clone() },
        };
        let mut bytes = BytesMut::new();
        encode::bind(ours, 1, &mut bytes).unwrap();
        let command = reread(bytes);
        let Some(Pdu::BindTransmitter(theirs)) = command.pdu() else { panic!("not a bind_transmitter") };
        prop_assert_eq!(theirs.system_id.as_str(), system_id);
        prop_assert_eq!(theirs.password.as_str(), password);
        prop_assert_eq!(theirs.address_range.as_str(), range);
        prop_assert_eq!(u8::from(theirs.interface_version), version);

        let mut bytes = BytesMut::new();
        encode::query_sm(QuerySm { message_id: id.clone(), source: Address::short_code("2505") }, 2, &mut bytes).unwrap();
        let command = reread(bytes);
        let Some(Pdu::QuerySm(theirs)) = command.pdu() else { panic!("not a query_sm") };
        prop_assert_eq!(theirs.message_id.as_str(), id);
        prop_assert_eq!(theirs.source_addr.as_str(), "2505");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_without_the_value() {
    let mut out = BytesMut::new();
    let bind = Bind { password: "far too long".into(), ..Bind::default() };
    let refused = encode::bind(bind, 1, &mut out).unwrap_err().to_string();
    assert!(refused.contains("password") && !refused.contains("far too long"), "{refused}");

    let refuse = |sm: SubmitSm| encode::submit_sm(sm, 1, &mut BytesMut::new()).unwrap_err().to_string();
    let source = Address { addr: "1".repeat(21), ..Address::default() };
    assert!(refuse(SubmitSm::new(source, Address::default())).contains("source_addr"));
    assert!(refuse(SubmitSm { short_message: vec![0; 256].into(), ..SubmitSm::default() }).contains("short_message"));
    assert!(refuse(SubmitSm::default().with_tlv(0x1400, vec![0; 65_536])).contains("0x1400"));
    assert!(refuse(SubmitSm::default().with_message_payload(vec![0; 65_535])).contains("65"));
    assert!(refuse(SubmitSm { service_type: "a\0b".into(), ..SubmitSm::default() }).contains("service_type"));
    assert!(out.is_empty());
}
