//! `rusmpp`'s strict decoder as the oracle: what it takes, we take, and find the same in it.

use bytes::{Bytes, BytesMut};
use rusmpp::{Command, Pdu, decode::DecodeWithLength, encode::Length, pdus, tlvs::Tlv};
use smsbusd::smpp::{
    Address, DeliverSm,
    decode::{DecodeError, Decoded},
    pdu::{Inbound, QueryState},
    tlv::Tlvs,
};

pub fn check(pdu: &Bytes, ours: &Result<Decoded, DecodeError>) {
    let mut octets = BytesMut::from(&pdu[4..]);
    let length = octets.len();
    let Ok((theirs, read)) = Command::decode(&mut octets, length) else { return };
    // A command that it does not know, or an error without a body.
    let Some(theirs) = theirs.pdu().filter(|_| read == length) else { return };
    let Ok(ours) = ours else { panic!("strictly read, and not leniently: {theirs:?}") };
    match (theirs, &ours.body) {
        (Pdu::DeliverSm(theirs), Inbound::DeliverSm(ours)) => check_message(theirs, ours),
        (Pdu::SubmitSmResp(theirs), Inbound::SubmitSmResp { message_id, .. }) => {
            assert_eq!(message_id.as_deref().unwrap_or_default(), theirs.message_id().as_str());
        }
        (Pdu::QuerySmResp(theirs), Inbound::QuerySmResp(Some(ours))) => {
            let expected = QueryState {
                message_id: theirs.message_id.as_str().into(),
                final_date: theirs.final_date.as_str().into(),
                message_state: theirs.message_state.into(),
                error_code: theirs.error_code,
            };
            assert_eq!(*ours, expected);
        }
        (Pdu::BindTransceiverResp(theirs), Inbound::BindResp(ours)) => {
            assert_eq!(ours.system_id, theirs.system_id.as_str());
        }
        (Pdu::BindTransmitterResp(theirs), Inbound::BindResp(ours)) => {
            assert_eq!(ours.system_id, theirs.system_id.as_str());
        }
        (Pdu::BindReceiverResp(theirs), Inbound::BindResp(ours)) => {
            assert_eq!(ours.system_id, theirs.system_id.as_str());
        }
        (Pdu::DataSm(theirs), Inbound::DeliverSm(ours)) => {
            assert_eq!(ours.source.addr, theirs.source_addr.as_str());
            assert_eq!(ours.destination.addr, theirs.destination_addr.as_str());
            assert_eq!(ours.data_coding, u8::from(theirs.data_coding));
        }
        (Pdu::EnquireLink, body) => assert_eq!(*body, Inbound::EnquireLink),
        (Pdu::EnquireLinkResp, body) => assert_eq!(*body, Inbound::EnquireLinkResp),
        (Pdu::Unbind, body) => assert_eq!(*body, Inbound::Unbind),
        (Pdu::UnbindResp, body) => assert_eq!(*body, Inbound::UnbindResp),
        (Pdu::GenericNack, body) => assert_eq!(*body, Inbound::GenericNack),
        (Pdu::DeliverSm(_) | Pdu::DataSm(_) | Pdu::SubmitSmResp(_) | Pdu::QuerySmResp(_), other) => {
            panic!("read as {other:?}")
        }
        _ => {}
    }
}

fn check_message(theirs: &pdus::DeliverSm, ours: &DeliverSm) {
    let address = |ton: u8, npi: u8, addr: &str| Address { ton, npi, addr: addr.into() };
    assert_eq!(ours.service_type, theirs.service_type.value().as_str());
    let (ton, npi) = (theirs.source_addr_ton.into(), theirs.source_addr_npi.into());
    assert_eq!(ours.source, address(ton, npi, theirs.source_addr.as_str()));
    let (ton, npi) = (theirs.dest_addr_ton.into(), theirs.dest_addr_npi.into());
    assert_eq!(ours.destination, address(ton, npi, theirs.destination_addr.as_str()));
    assert_eq!(
        [ours.esm_class, ours.protocol_id, ours.priority_flag, ours.registered_delivery],
        [theirs.esm_class.into(), theirs.protocol_id, theirs.priority_flag.into(), theirs.registered_delivery.into()]
    );
    assert_eq!(
        [ours.replace_if_present_flag, ours.data_coding, ours.sm_default_msg_id],
        [theirs.replace_if_present_flag.into(), theirs.data_coding.into(), theirs.sm_default_msg_id]
    );
    assert_eq!(ours.schedule_delivery_time, theirs.schedule_delivery_time.as_str());
    assert_eq!(ours.validity_period, theirs.validity_period.as_str());
    assert_eq!(ours.short_message.as_ref(), theirs.short_message().as_ref());
    assert!(!ours.short_message_cut);
    // It reads a value by its tag and not by its length; where these differ, it has lost its place.
    let is_whole = |tlv: &Tlv| tlv.value().is_some_and(|value| value.length() == usize::from(tlv.value_length()));
    for theirs in theirs.tlvs().iter().take_while(|tlv| is_whole(tlv)).take(Tlvs::MAX) {
        assert!(ours.tlvs.get(theirs.tag().into()).is_some(), "{theirs:?} is not there");
    }
}
