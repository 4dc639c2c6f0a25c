//! A stream as it comes: cut into PDUs however it is sliced, read, written again, and taken apart.

use bytes::{Bytes, BytesMut};
use smsbusd::smpp::{
    DeliverSm, SubmitSm,
    decode::{Decoded, Quirk, decode},
    dissect::{Direction, Dissection, dissect},
    encode,
    framing::{Framer, FramingError, PDU_BYTES_MAX, PDU_BYTES_MIN},
    pdu::{Inbound, command},
    text::DefaultAlphabet,
};

use crate::oracle;

/// More than anything that is shown of one PDU takes, escapes included.
const SHOWN_OCTETS_MAX: usize = 512 * 1024;

/// `slices` decides how the stream is sliced into reads.
pub fn check(stream: &[u8], slices: u8, alphabet: DefaultAlphabet) {
    let expected = cut_plainly(stream);
    assert_eq!(cut(stream, |_| usize::MAX), expected, "read at once");
    let mut state = u32::from(slices);
    let sliced = cut(stream, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 24) as usize % (1 + usize::from(slices))
    });
    assert_eq!(sliced, expected, "sliced");
    for pdu in &expected.0 {
        check_pdu(pdu, alphabet);
    }
    // What is not framed may be dissected: a trace shows what came.
    shown(Direction::Received, stream, alphabet);
}

type Cut = (Vec<Bytes>, Option<FramingError>);

/// As the specification says it, without any state.
fn cut_plainly(mut stream: &[u8]) -> Cut {
    let mut pdus = Vec::new();
    while let Some(length) = stream.first_chunk::<4>() {
        let command_length = u32::from_be_bytes(*length);
        let length = command_length as usize;
        if !(PDU_BYTES_MIN..=PDU_BYTES_MAX).contains(&length) {
            return (pdus, Some(FramingError { command_length }));
        }
        let Some((pdu, rest)) = stream.split_at_checked(length) else { break };
        pdus.push(Bytes::copy_from_slice(pdu));
        stream = rest;
    }
    (pdus, None)
}

fn cut(mut stream: &[u8], mut slice: impl FnMut(usize) -> usize) -> Cut {
    let mut framer = Framer::default();
    let mut pdus = Vec::new();
    while !stream.is_empty() {
        let (now, _later) = stream.split_at(slice(stream.len()).min(stream.len()));
        let room = framer.room();
        let pushed = framer.push(now);
        assert_eq!(pushed, room.min(now.len()));
        assert!(framer.buffered() <= Framer::CAPACITY);
        stream = &stream[pushed..];
        loop {
            match framer.next_pdu() {
                Ok(Some(pdu)) => pdus.push(pdu),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next_pdu(), Err(error), "it does not pick up again");
                    return (pdus, Some(error));
                }
            }
        }
        assert!(framer.room() > 0, "there is always room where no PDU is whole");
    }
    (pdus, None)
}

fn check_pdu(pdu: &Bytes, alphabet: DefaultAlphabet) {
    let read = decode(pdu.clone()).expect("a PDU has a header");
    assert_eq!(decode(Bytes::copy_from_slice(pdu)), Some(read.clone()), "read twice");
    let header = match &read {
        Ok(decoded) => decoded.header,
        Err(error) => error.header,
    };
    let words = [header.command_id, header.status.0, header.sequence];
    assert_eq!(words.map(u32::to_be_bytes).concat(), pdu[4..16]);

    oracle::check(pdu, &read);
    let received = shown(Direction::Received, pdu, alphabet);
    shown(Direction::Sent, pdu, alphabet);
    match &read {
        Ok(decoded) => {
            check_message(decoded);
            check_against_dissection(decoded, &received);
        }
        Err(error) => assert!(!received.is_sound(), "{error}, and nothing is wrong with it"),
    }
}

/// What is shown of a PDU; it can be kept as JSON and shown again.
fn shown(direction: Direction, pdu: &[u8], alphabet: DefaultAlphabet) -> Dissection {
    let dissection = dissect(direction, pdu, alphabet);
    assert_eq!(dissection.length, pdu.len());
    assert!((1..SHOWN_OCTETS_MAX).contains(&dissection.to_string().len()));
    let json = serde_json::to_string(&dissection).expect("it can be written");
    assert_eq!(serde_json::from_str::<Dissection>(&json).expect("it can be read again"), dissection);
    dissection
}

/// Decoding and dissection are two readers of one specification: what the one calls sound holds nothing odd for the other.
fn check_against_dissection(decoded: &Decoded, dissection: &Dissection) {
    assert_eq!(dissection.command_id, decoded.header.command_id);
    assert_eq!((dissection.status, dissection.sequence), (decoded.header.status.0, decoded.header.sequence));
    if dissection.is_sound() {
        let odd = decoded.quirks.iter().find(|quirk| *quirk != Quirk::TwoMessages);
        assert_eq!(odd, None, "odd for the one reader, and sound for the other");
    }
}

/// A message that was read can be written as a `submit_sm`, whose layout is the same, and read again: nothing changes. What the
/// strict encoder refuses had something odd about it.
fn check_message(decoded: &Decoded) {
    let Inbound::DeliverSm(sm) = &decoded.body else { return };
    assert!(sm.messages().all(|data| !data.is_empty()));
    assert!(sm.message().is_empty() == (sm.messages().count() == 0));
    let mut octets = BytesMut::new();
    let written = encode::submit_sm(as_submission(sm), 1, &mut octets);
    if written.is_err() {
        let data_sm = decoded.header.command_id == command::DATA_SM;
        // The decoder takes a time of any length and octets over 0x7F, and `data_sm` has longer addresses.
        let lenient = data_sm || !decoded.quirks.is_empty() || !has_strict_strings(sm);
        assert!(lenient, "{written:?}: {sm:?}");
        return;
    }
    octets[4..8].copy_from_slice(&command::DELIVER_SM.to_be_bytes());
    let again = decode(octets.freeze()).expect("a header").expect("what was written can be read");
    let quirks: Vec<Quirk> = again.quirks.iter().collect();
    let two = !sm.short_message.is_empty() && sm.message_payload().is_some();
    assert_eq!(quirks, if two { vec![Quirk::TwoMessages] } else { vec![] });
    let plain = DeliverSm { short_message_cut: false, ..DeliverSm::clone(sm) };
    assert_eq!(again.body, Inbound::DeliverSm(Box::new(plain)));
}

fn has_strict_strings(sm: &DeliverSm) -> bool {
    let strings = [&sm.service_type, &sm.source.addr, &sm.destination.addr];
    let times = [&sm.schedule_delivery_time, &sm.validity_period];
    strings.into_iter().chain(times).all(|text| text.is_ascii())
        && times.into_iter().all(|time| time.is_empty() || time.len() == 16)
}

fn as_submission(sm: &DeliverSm) -> SubmitSm {
    let sm = sm.clone();
    SubmitSm {
        service_type: sm.service_type,
        source: sm.source,
        destination: sm.destination,
        esm_class: sm.esm_class,
        protocol_id: sm.protocol_id,
        priority_flag: sm.priority_flag,
        schedule_delivery_time: sm.schedule_delivery_time,
        validity_period: sm.validity_period,
        registered_delivery: sm.registered_delivery,
        replace_if_present_flag: sm.replace_if_present_flag,
        data_coding: sm.data_coding,
        sm_default_msg_id: sm.sm_default_msg_id,
        short_message: sm.short_message,
        tlvs: sm.tlvs.iter().cloned().collect(),
    }
}
