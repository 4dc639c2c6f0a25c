//! What goes wrong on a bound link beside the responses.

use std::{io::ErrorKind, time::Duration};

use rusmpp::{CommandId, CommandStatus, Pdu};

use super::{
    peer::{As, Peer, charged, free},
    *,
};

async fn bound_with(rule: FaultRule) -> (Simulator, Peer) {
    let simulator = start(quick()).await;
    simulator.set_fault(rule).expect("a valid rule");
    let peer = Peer::bound(&simulator).await;
    (simulator, peer)
}

#[tokio::test]
async fn case_27_a_half_open_link_has_charged_and_says_nothing_more() {
    let (simulator, mut peer) = struck_by(quick(), Fault::GoSilent { ms: 300 }).await;
    peer.send(charged(number(1))).await;
    peer.send(Pdu::EnquireLink).await;
    assert!(peer.is_quiet().await);
    assert_eq!((charges(&simulator), simulator.stats().enquire_links), (1, 0));
    let mut other = Peer::bound(&simulator).await;
    other.receive().await;
    assert_eq!(peer.end().await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn case_28_an_enquire_link_is_ignored_or_nacked() {
    let (simulator, mut peer) = bound_with(FaultRule::next(1, Fault::IgnoreEnquireLink)).await;
    peer.send(Pdu::EnquireLink).await;
    assert!(peer.is_quiet().await);
    simulator.set_fault(FaultRule::next(1, Fault::NackEnquireLink)).expect("valid");
    assert_eq!(peer.ask(Pdu::EnquireLink).await.id(), CommandId::GenericNack);
    assert_eq!(peer.ask(Pdu::EnquireLink).await.id(), CommandId::EnquireLinkResp);
}

#[tokio::test]
async fn case_29_an_enquire_link_is_answered_behind_others() {
    let (_simulator, mut peer) = bound_with(FaultRule::next(1, Fault::LateEnquireLink { ms: 50 })).await;
    let sequence = peer.send(Pdu::EnquireLink).await;
    for _ in 0..10 {
        assert_eq!(peer.next().await.map(|command| command.id()), Some(CommandId::EnquireLink));
    }
    let answer = peer.next().await.expect("the answer");
    assert_eq!((answer.id(), answer.sequence_number()), (CommandId::EnquireLinkResp, sequence));
}

#[tokio::test]
async fn case_32_what_does_not_decode_is_answered_by_an_unbind() {
    let (simulator, mut peer) = bound_with(FaultRule::next(1, Fault::UnbindOnMalformed)).await;
    // A submit_sm whose service_type has more than six octets.
    let mut octets = crate::simulator::wire::pdu(CommandStatus::EsmeRok, 7, free(number(1), "x")).to_vec();
    octets.splice(16..17, *b"OVERLONG\0");
    let length = u32::try_from(octets.len()).expect("short");
    octets[..4].copy_from_slice(&length.to_be_bytes());
    peer.send_octets(&octets).await;
    let unbind = peer.next().await.expect("a PDU");
    assert_eq!(unbind.id(), CommandId::Unbind);
    peer.send_octets(&crate::simulator::wire::pdu(CommandStatus::EsmeRok, unbind.sequence_number(), Pdu::UnbindResp))
        .await;
    assert_eq!(peer.end().await, None);
    assert_eq!(simulator.stats().malformed, 1);
}

#[tokio::test]
async fn case_33_a_slow_reader_reads_on_later() {
    let (_simulator, mut peer) = struck_by(quick(), Fault::StopReading { ms: 200 }).await;
    let mut message = charged(number(1));
    message.registered_delivery = Default::default();
    assert_eq!(peer.submit(message).await.0, 0);
    let sequence = peer.send(Pdu::EnquireLink).await;
    assert!(peer.is_quiet().await);
    assert_eq!(peer.response(sequence).await.id(), CommandId::EnquireLinkResp);
}

#[tokio::test]
async fn the_smsc_asks_for_signs_of_life_itself() {
    let simulator = start(SimulatorConfig { enquire_link_every_ms: Some(20), ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    for _ in 0..2 {
        let enquiry = peer.next().await.expect("an enquire_link");
        assert_eq!(enquiry.id(), CommandId::EnquireLink);
        let response =
            crate::simulator::wire::pdu(CommandStatus::EsmeRok, enquiry.sequence_number(), Pdu::EnquireLinkResp);
        peer.send_octets(&response).await;
    }
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().enquire_links_answered >= 2).await);
}

#[tokio::test]
async fn case_34_the_sequence_numbers_of_the_smsc_wrap() {
    let simulator = start(SimulatorConfig { first_sequence: 0x7FFF_FFFF, ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut sequences = Vec::new();
    for _ in 0..2 {
        peer.submit(free(number(1), "x")).await;
        let (sequence, _) = peer.deliver_sm().await;
        peer.acknowledge(sequence, CommandStatus::EsmeRok).await;
        sequences.push(sequence);
    }
    assert_eq!(sequences, [0x7FFF_FFFF, 1]);
    // Late answers are late, and one to what was never sent is unexpected.
    for (sequence, unexpected) in [(0x7FFF_FFFF, 0), (1, 0), (2, 1), (0x7FFF_FFFE, 2)] {
        peer.acknowledge(sequence, CommandStatus::EsmeRok).await;
        peer.ask(Pdu::EnquireLink).await;
        assert_eq!(simulator.stats().responses_unexpected, unexpected, "{sequence:#x}");
    }
}

#[tokio::test]
async fn one_bind_has_a_tps_limit_of_its_own() {
    let simulator = start(SimulatorConfig { bind_tps_max: Some(1), ..quick() }).await;
    let (mut first, mut second) = (Peer::bound(&simulator).await, Peer::bound(&simulator).await);
    assert_eq!(first.submit(free(number(1), "x")).await.0, 0);
    assert_eq!(first.submit(free(number(1), "x")).await.0, 0x58);
    assert_eq!(second.submit(free(number(1), "x")).await.0, 0);
    assert_eq!(simulator.stats().submits_over_tps, 1);
}

#[tokio::test]
async fn one_link_of_several_can_be_reset() {
    let simulator = start(quick()).await;
    let mut receiver = Peer::bound_as(&simulator, As::Receiver).await;
    let mut transmitter = Peer::bound_as(&simulator, As::Transmitter).await;
    let links = simulator.links();
    let modes: Vec<Option<BindMode>> = links.iter().map(|link| link.mode).collect();
    assert_eq!(modes, [Some(BindMode::Receiver), Some(BindMode::Transmitter)]);
    assert!(simulator.drop_link(links[0].id));
    assert_eq!(receiver.end().await, Some(ErrorKind::ConnectionReset));
    assert_eq!(transmitter.ask(Pdu::EnquireLink).await.status(), CommandStatus::EsmeRok);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!simulator.drop_link(links[0].id), "it is gone");
}
