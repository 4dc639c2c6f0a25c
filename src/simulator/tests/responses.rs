//! Responses to `submit_sm` as the field gives them.

use std::time::Duration;

use rusmpp::{CommandId, CommandStatus};

use super::{
    peer::{Peer, charged, field, free, message_id},
    *,
};

fn word(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(frame[at..at + 4].try_into().expect("four octets"))
}

const SUBMIT_SM_RESP: u32 = 0x8000_0004;

#[tokio::test]
async fn case_11_a_response_waits_for_the_next_one_but_not_for_ever() {
    let (simulator, mut peer) = struck_by(quick(), Fault::OutOfOrder).await;
    let mut message = charged(number(1));
    message.registered_delivery = Default::default();
    let first = peer.send(message.clone()).await;
    assert!(peer.is_quiet().await);
    message.destination_addr = crate::simulator::wire::c_string("77010000002");
    let second = peer.send(message.clone()).await;
    let order = [peer.next().await, peer.next().await].map(|command| command.map(|it| it.sequence_number()));
    assert_eq!(order, [Some(second), Some(first)]);
    simulator.set_fault(FaultRule::next(1, Fault::OutOfOrder)).expect("valid");
    let alone = peer.send(message).await;
    assert_eq!(peer.response(alone).await.status(), CommandStatus::EsmeRok);
    assert_eq!(charges(&simulator), 3);
}

#[tokio::test]
async fn case_13_a_response_to_a_sequence_number_never_used_comes_first() {
    let (_simulator, mut peer) = struck_by(quick(), Fault::UnknownSequenceFirst).await;
    let sequence = peer.send(charged(number(1))).await;
    let stranger = peer.next().await.expect("a PDU");
    assert_eq!(stranger.id(), CommandId::SubmitSmResp);
    assert_ne!(stranger.sequence_number(), sequence);
    assert_ne!(message_id(&peer.response(sequence).await), message_id(&stranger));
}

#[tokio::test]
async fn case_14_a_good_response_without_a_body() {
    let (simulator, mut peer) = struck_by(quick(), Fault::MissingMessageId).await;
    let sequence = peer.send(charged(number(1))).await;
    let frame = peer.frame().await;
    assert_eq!((frame.len(), word(&frame, 4), word(&frame, 8), word(&frame, 12)), (16, SUBMIT_SM_RESP, 0, sequence));
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn case_15_an_error_with_a_body_and_without() {
    for (body, octets) in [(true, 17), (false, 16)] {
        let (simulator, mut peer) = struck_by(quick(), Fault::Refuse { status: 0x45, body }).await;
        peer.send(charged(number(1))).await;
        let frame = peer.frame().await;
        assert_eq!((frame.len(), word(&frame, 8)), (octets, 0x45));
        assert_eq!(charges(&simulator), 0);
    }
}

#[tokio::test]
async fn a_nack_of_nothing_comes_for_a_message_that_was_charged() {
    let (simulator, mut peer) = struck_by(quick(), Fault::NackSequenceZero).await;
    peer.send(charged(number(1))).await;
    let nack = peer.response(0).await;
    assert_eq!((nack.id(), charges(&simulator)), (CommandId::GenericNack, 1));
    assert_eq!(field(&peer.receive().await, "stat"), "DELIVRD");
}

#[tokio::test]
async fn case_18_many_pdus_leave_in_one_segment() {
    let (_simulator, mut peer) = struck_by(quick(), Fault::OneSegment { ms: 40 }).await;
    peer.send(charged(number(1))).await;
    let mut octets = bytes::BytesMut::from(&peer.segment().await[..]);
    let mut ids = Vec::new();
    while let Some(frame) = crate::simulator::wire::split(&mut octets).expect("good lengths") {
        ids.push(word(&frame, 4));
    }
    // submit_sm_resp, enquire_link, and the receipt that came within the time.
    assert_eq!(ids, [SUBMIT_SM_RESP, 0x15, 0x05]);
}

#[tokio::test]
async fn case_19_impossible_lengths_come_for_a_message_that_was_charged() {
    for command_length in [0, 15, 0x7FFF_FFFF] {
        let (simulator, mut peer) = struck_by(quick(), Fault::BadLength { command_length }).await;
        peer.send(charged(number(1))).await;
        let octets = peer.segment().await;
        assert_eq!(word(&octets, 0), command_length);
        assert_eq!(charges(&simulator), 1);
    }
}

#[tokio::test]
async fn case_22_responses_without_nul_with_odd_tlvs_and_with_trailing_octets() {
    for (fault, end) in [
        (Fault::ResponseWithoutNul, &b"1000000"[..]),
        (Fault::ResponseOddTlvs, &b"\x3F\xF0\x00\x01?"[..]),
        (Fault::ResponseTrailingOctets, &b"1000000\x00\xDE\xAD\xBE"[..]),
    ] {
        let (simulator, mut peer) = struck_by(quick(), fault).await;
        peer.send(charged(number(1))).await;
        let frame = peer.frame().await;
        assert!(frame.ends_with(end), "{fault:?}: {frame:?}");
        assert_eq!((word(&frame, 0) as usize, word(&frame, 8), charges(&simulator)), (frame.len(), 0, 1));
    }
}

#[tokio::test]
async fn case_06_an_id_is_used_again_and_belongs_to_the_newer_message() {
    let simulator = start(charged_at_delivery()).await;
    let mut peer = Peer::bound(&simulator).await;
    let (_, first) = peer.submit(charged(number(1))).await;
    peer.receive().await;
    simulator.set_fault(FaultRule::for_number(number(2), 1, Fault::ReusedMessageId)).expect("valid");
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().receipts_acknowledged == 1).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    simulator.set_subscriber(number(2), Subscriber::with_balance(0)).expect("room");
    let (_, second) = peer.submit(charged(number(2))).await;
    assert_eq!(first, second);
    let receipt = peer.receive().await;
    assert_eq!((field(&receipt, "id"), field(&receipt, "stat")), (first.clone(), "UNDELIV".to_owned()));
    let query = rusmpp::pdus::QuerySm::builder().message_id(crate::simulator::wire::c_string(&first)).build();
    let response = peer.ask(query).await;
    let Some(rusmpp::Pdu::QuerySmResp(body)) = response.pdu() else { panic!("no body") };
    assert_eq!(u8::from(body.message_state), 5);
}

#[tokio::test]
async fn case_35_a_storm_of_throttling_passes() {
    let simulator = start(quick()).await;
    let storm = FaultRule::always(Fault::Throttle).lasting(Duration::from_millis(60));
    simulator.set_fault(storm).expect("valid");
    let mut peer = Peer::bound(&simulator).await;
    assert_eq!(peer.submit(charged(number(1))).await.0, 0x58);
    tokio::time::sleep(Duration::from_millis(90)).await;
    assert_eq!(peer.submit(free(number(1), "x")).await.0, 0);
    assert_eq!(simulator.stats().faults_by_kind["throttle"], 1);
}

#[tokio::test]
async fn the_ledger_names_the_faults_of_what_was_charged() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DropResponse).await;
    peer.send(charged(number(1))).await;
    peer.receive().await;
    assert_eq!(simulator.ledger().entries()[0].faults, [Fault::DropResponse]);
}

#[tokio::test]
async fn nothing_follows_a_message_id_without_a_nul() {
    let (simulator, mut peer) = struck_by(quick(), Fault::ResponseTrailingOctets).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::ResponseWithoutNul)).expect("valid");
    peer.send(charged(number(1))).await;
    assert!(peer.frame().await.ends_with(b"1000000"));
}
