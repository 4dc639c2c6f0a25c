use rusmpp::{
    CommandId, CommandStatus, Pdu,
    pdus::{CancelSm, QuerySm, SubmitSm},
    types::OctetString,
};

use super::{
    peer::{As, Peer, charged, free, message_id, vendor},
    *,
};
use crate::simulator::wire;

#[tokio::test]
async fn the_right_password_binds_and_a_wrong_one_does_not() {
    let simulator = start(quick()).await;
    let mut peer = Peer::connect(&simulator).await;
    let refused = peer.bind(As::Transceiver, "wrong").await;
    assert_eq!((refused.id(), refused.status()), (CommandId::BindTransceiverResp, CommandStatus::EsmeRinvpaswd));
    let bound = peer.bind(As::Transceiver, "secret").await;
    assert_eq!(bound.status(), CommandStatus::EsmeRok);
    let Some(Pdu::BindTransceiverResp(body)) = bound.pdu() else { panic!("no body") };
    assert_eq!(body.sc_interface_version(), Some(rusmpp::values::InterfaceVersion::Smpp3_4));
    assert_eq!(peer.bind(As::Transceiver, "secret").await.status(), CommandStatus::EsmeRalybnd);
    assert_eq!((simulator.stats().binds, simulator.stats().binds_refused), (1, 2));
}

#[tokio::test]
async fn only_a_bound_transmitter_submits() {
    let simulator = start(quick()).await;
    let mut peer = Peer::connect(&simulator).await;
    assert_eq!(peer.submit(charged(number(1))).await.0, 0x04);
    let mut receiver = Peer::bound_as(&simulator, As::Receiver).await;
    assert_eq!(receiver.submit(charged(number(1))).await.0, 0x04);
    let mut transmitter = Peer::bound_as(&simulator, As::Transmitter).await;
    assert_eq!(transmitter.submit(charged(number(1))).await.0, 0);
    assert_eq!(simulator.ledger().entries().len(), 1);
}

#[tokio::test]
async fn enquire_link_and_unbind_are_answered_and_the_connection_ends_in_order() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    assert_eq!(peer.ask(Pdu::EnquireLink).await.id(), CommandId::EnquireLinkResp);
    assert_eq!(peer.ask(Pdu::Unbind).await.id(), CommandId::UnbindResp);
    assert_eq!(peer.end().await, None);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().connections_open == 0).await);
}

#[tokio::test]
async fn who_does_not_bind_in_time_is_cut_off() {
    let limits = Limits { bind_within_ms: 20, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    assert_eq!(Peer::connect(&simulator).await.end().await, None);
}

#[tokio::test]
async fn connections_are_bounded() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    let mut first = Peer::bound(&simulator).await;
    assert_eq!(Peer::connect(&simulator).await.end().await, None);
    assert_eq!(first.ask(Pdu::EnquireLink).await.status(), CommandStatus::EsmeRok);
}

#[tokio::test]
async fn what_the_client_breaks_is_recorded_and_the_session_lives() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    // A submit_sm that is nothing but a source address without its end.
    let mut octets = 26_u32.to_be_bytes().to_vec();
    octets.extend([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 99]);
    octets.extend(b"0123456789");
    peer.send_octets(&octets).await;
    let nack = peer.response(99).await;
    assert_eq!((nack.id(), nack.status()), (CommandId::GenericNack, CommandStatus::EsmeRinvcmdlen));
    let mut odd_reference = free(number(1), "x");
    odd_reference.push_tlv(vendor(TLV_REFERENCE, b"short"));
    assert_eq!(peer.submit(odd_reference).await.0, 0xC2);
    let mut open_tariff = free(number(1), "x");
    open_tariff.push_tlv(vendor(TLV_TARIFF, b"BUS_80"));
    assert_eq!(peer.submit(open_tariff).await.0, 0xC4);
    let stats = simulator.stats();
    assert_eq!((stats.malformed, stats.submits_refused), (3, 2));
    assert_eq!(stats.malformed_last[0].octets, data_encoding::HEXLOWER.encode(&octets));
    assert!(stats.malformed_last[1].reason.contains("0x1402"), "{:?}", stats.malformed_last[1]);
    assert_eq!(peer.submit(charged(number(1))).await.0, 0);
}

#[tokio::test]
async fn an_unknown_request_is_nacked_and_a_bad_length_ends_the_stream() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let nack = peer.ask(CancelSm::default()).await;
    assert_eq!((nack.id(), nack.status()), (CommandId::GenericNack, CommandStatus::EsmeRinvcmdid));
    assert_eq!(simulator.stats().malformed, 0, "cancel_sm is good SMPP, only not served");
    peer.send_octets(&[0xFF; 16]).await;
    assert_eq!(peer.response(0).await.status(), CommandStatus::EsmeRinvcmdlen);
    assert_eq!(peer.end().await, None);
    assert_eq!(simulator.stats().malformed, 1);
}

#[tokio::test]
async fn requests_in_pieces_and_in_bulk_are_all_answered() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let bulk: Vec<u8> =
        (100..120).flat_map(|sequence| wire::pdu(CommandStatus::EsmeRok, sequence, Pdu::EnquireLink)).collect();
    for piece in bulk.chunks(7) {
        peer.send_octets(piece).await;
    }
    for sequence in 100..120 {
        assert_eq!(peer.next().await.map(|command| command.sequence_number()), Some(sequence));
    }
}

#[tokio::test]
async fn the_tps_limit_throttles_and_the_window_is_kept() {
    let simulator = start(SimulatorConfig { tps_max: Some(2), ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(peer.submit(free(number(1), "x")).await.0);
    }
    assert_eq!(statuses, [0, 0, 0x58]);
    assert_eq!(simulator.stats().submits_over_tps, 1);

    let slow = SimulatorConfig { window_max: 2, response_delay_ms: DelayRange::exactly(50), ..quick() };
    let simulator = start(slow).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut sequences = Vec::new();
    for _ in 0..3 {
        sequences.push(peer.send(free(number(1), "x")).await);
    }
    let over = peer.response(sequences[2]).await;
    assert_eq!(over.status(), CommandStatus::EsmeRmsgqful);
    assert_eq!(peer.response(sequences[0]).await.status(), CommandStatus::EsmeRok);
    assert_eq!(simulator.stats().submits_over_window, 1);
}

#[tokio::test]
async fn query_sm_tells_the_state_by_the_id_of_the_response() {
    let config = SimulatorConfig { message_id: MessageIdForm::HexThenDecimal, ..charged_at_delivery() };
    let simulator = start(config).await;
    simulator.set_subscriber(number(2), Subscriber::with_balance(0)).expect("room");
    let off = Subscriber::with_balance(20_000).and(Condition::PhoneOff);
    simulator.set_subscriber(number(3), off).expect("room");
    let mut peer = Peer::bound(&simulator).await;
    let mut states = Vec::new();
    for last in 1..=3 {
        let (_, id) = peer.submit(charged(number(last))).await;
        if last < 3 {
            peer.receive().await;
        }
        let query = QuerySm::builder().message_id(wire::c_string(&id)).source_addr(wire::c_string("2505")).build();
        let response = peer.ask(query).await;
        let Some(Pdu::QuerySmResp(body)) = response.pdu() else { panic!("no body") };
        states.push((u8::from(body.message_state), body.error_code, body.final_date.is_empty()));
    }
    assert_eq!(states, [(2, 0, false), (5, 50, false), (1, 0, true)]);
    let unknown = peer.ask(QuerySm::builder().message_id(wire::c_string("ffff")).build()).await;
    assert_eq!(unknown.status(), CommandStatus::EsmeRqueryfail);
}

#[tokio::test]
async fn fields_that_cannot_be_served_are_refused() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let nowhere = SubmitSm::builder().destination_addr(wire::c_string("2505")).build();
    assert_eq!(peer.submit(nowhere).await.0, 0x0B);
    let mut unknown_tariff = free(number(1), "x");
    unknown_tariff.push_tlv(vendor(TLV_TARIFF, b"BUS_99\0"));
    assert_eq!(peer.submit(unknown_tariff).await.0, 0xC4);
    assert_eq!(simulator.stats().malformed, 0);
    let mut twice = free(number(1), "x");
    twice.push_tlv(rusmpp::tlvs::MessageSubmissionRequestTlvValue::MessagePayload(
        rusmpp::values::MessagePayload::new(rusmpp::types::AnyOctetString::from_static_slice(b"y")),
    ));
    assert_eq!(peer.submit(twice.clone()).await.0, 0x01);
    twice.set_short_message(OctetString::empty());
    assert_eq!(peer.submit(twice).await.0, 0);
    peer.receive().await;
    assert_eq!(simulator.inbox(number(1)).last().map(|message| message.text.as_str()), Some("y"));
}

#[tokio::test]
async fn a_connection_without_a_socket_is_a_session_like_any_other() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let simulator = start(quick()).await;
    let mut stream = simulator.connect();
    stream.write_all(&wire::pdu(CommandStatus::EsmeRok, 5, Pdu::EnquireLink)).await.expect("open");
    let mut response = [0; 16];
    stream.read_exact(&mut response).await.expect("answered");
    assert_eq!(response[..], wire::pdu(CommandStatus::EsmeRok, 5, Pdu::EnquireLinkResp)[..]);
}

#[tokio::test]
async fn a_shut_down_simulator_closes_everything_and_keeps_its_books() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let sequence = peer.send(charged(number(1))).await;
    assert_ne!(message_id(&peer.response(sequence).await), "");
    simulator.shutdown().await;
    peer.end().await;
    assert_eq!(simulator.ledger().total(), Money::kzt(8_000));
    let config = SimulatorConfig { smpp_listen: simulator.smpp_address(), ..quick() };
    assert!(Simulator::start(config).await.is_ok(), "the address is free again");
}
