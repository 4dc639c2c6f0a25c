use std::{io::ErrorKind, time::Duration};

use rusmpp::{CommandId, CommandStatus, Pdu};

use super::{
    peer::{Peer, charged, field, free, message_id},
    *,
};

#[tokio::test]
async fn a_dropped_response_is_charged_and_its_receipt_comes() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DropResponse).await;
    let sequence = peer.send(charged(number(1))).await;
    assert_eq!(field(&peer.receive().await, "stat"), "DELIVRD");
    assert!(peer.is_quiet().await, "no response to {sequence}");
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn a_delayed_response_is_overtaken_by_the_next() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DelayResponse { ms: 40 }).await;
    let first = peer.send(charged(number(1))).await;
    let second = peer.send(free(number(2), "x")).await;
    let order: Vec<u32> = [peer.next().await, peer.next().await, peer.next().await]
        .into_iter()
        .flatten()
        .filter(|command| command.id() == CommandId::SubmitSmResp)
        .map(|command| command.sequence_number())
        .collect();
    assert_eq!(order, [second, first]);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn case_01_a_receipt_comes_before_its_response() {
    let redelivery = Redelivery { acknowledge_within_ms: 2_000, ..quick().redelivery };
    let config = SimulatorConfig { redelivery, ..quick() };
    let (_simulator, mut peer) = struck_by(config, Fault::ReceiptBeforeResponse).await;
    let sequence = peer.send(charged(number(1))).await;
    let first = peer.next().await.expect("a PDU");
    assert_eq!(first.id(), CommandId::DeliverSm);
    assert!(peer.is_quiet().await, "the response waits for the acknowledgement");
    peer.acknowledge(first.sequence_number(), CommandStatus::EsmeRok).await;
    assert_ne!(message_id(&peer.response(sequence).await), "");
}

#[tokio::test]
async fn responses_and_receipts_can_come_twice() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DuplicateResponse).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::DuplicateReceipt)).expect("valid");
    let sequence = peer.send(charged(number(1))).await;
    let responses = [peer.response(sequence).await, peer.response(sequence).await];
    assert_eq!(responses[0], responses[1]);
    assert_eq!(peer.receive().await, peer.receive().await);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn a_receipt_can_be_missing_or_late() {
    let (simulator, mut peer) = struck_by(quick(), Fault::NoReceipt).await;
    peer.submit(charged(number(1))).await;
    assert!(peer.is_quiet().await);
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::LateReceipt { ms: 60 })).expect("valid");
    let submitted = tokio::time::Instant::now();
    peer.submit(charged(number(1))).await;
    peer.receive().await;
    assert!(submitted.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn receipts_can_disagree() {
    for (fault, first) in [(Fault::EnrouteFirst, "ENROUTE"), (Fault::UndeliveredFirst, "UNDELIV")] {
        let (simulator, mut peer) = struck_by(charged_at_delivery(), fault).await;
        let (_, id) = peer.submit(charged(number(1))).await;
        let receipts = [peer.receive().await, peer.receive().await];
        assert_eq!(receipts.each_ref().map(|receipt| field(receipt, "stat")), [first, "DELIVRD"]);
        assert_eq!(receipts.each_ref().map(|receipt| field(receipt, "id")), [id.clone(), id]);
        assert_eq!(charges(&simulator), 1);
    }
}

#[tokio::test]
async fn a_link_reset_after_the_submit_has_charged_and_the_receipt_waits_for_the_next_bind() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DropLinkAfterSubmit).await;
    peer.send(charged(number(1))).await;
    assert_eq!(peer.end().await, Some(ErrorKind::ConnectionReset));
    assert_eq!(charges(&simulator), 1);
    let mut again = Peer::bound(&simulator).await;
    assert_eq!(field(&again.receive().await, "stat"), "DELIVRD");
}

#[tokio::test]
async fn a_link_reset_before_the_charge_has_charged_nothing() {
    let (simulator, mut peer) = struck_by(quick(), Fault::DropLinkBeforeCharge).await;
    peer.send(charged(number(1))).await;
    assert_eq!(peer.end().await, Some(ErrorKind::ConnectionReset));
    assert_eq!((charges(&simulator), simulator.stats().submits_accepted), (0, 0));
}

#[tokio::test]
async fn refusals_on_demand_charge_nothing_but_one() {
    for (fault, status, charged_count) in [
        (Fault::Throttle, 0x58, 0),
        (Fault::QueueFull, 0x14, 0),
        (Fault::SystemError { charged: false }, 0x08, 0),
        (Fault::SystemError { charged: true }, 0x08, 1),
    ] {
        let (simulator, mut peer) = struck_by(quick(), fault).await;
        assert_eq!(peer.submit(charged(number(1))).await.0, status, "{fault:?}");
        assert_eq!(charges(&simulator), charged_count, "{fault:?}");
        assert_eq!(peer.submit(charged(number(1))).await.0, 0, "the rule is used up");
    }
}

#[tokio::test]
async fn case_14_and_16_an_empty_id_and_the_wrong_response_type() {
    let (simulator, mut peer) = struck_by(quick(), Fault::EmptyMessageId).await;
    assert_eq!(peer.submit(charged(number(1))).await, (0, String::new()));
    assert_eq!(field(&peer.receive().await, "id"), simulator.ledger().entries()[0].message_id);
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::WrongResponseType)).expect("valid");
    assert_eq!(peer.ask(charged(number(1))).await.id(), CommandId::DeliverSmResp);
    assert_eq!(charges(&simulator), 2);
}

#[tokio::test]
async fn a_nack_under_the_requests_number_means_that_nothing_happened() {
    let (simulator, mut peer) = struck_by(quick(), Fault::Nack).await;
    assert_eq!(peer.ask(charged(number(1))).await.id(), CommandId::GenericNack);
    assert_eq!(charges(&simulator), 0);
}

#[tokio::test]
async fn case_30_an_unbind_in_the_middle_of_the_window_leaves_the_rest_open() {
    let (simulator, mut peer) = struck_by(quick(), Fault::UnbindMidWindow).await;
    peer.send(charged(number(1))).await;
    let unbind = peer.next().await.expect("a PDU");
    assert_eq!(unbind.id(), CommandId::Unbind);
    assert_eq!(peer.submit(charged(number(2))).await.0, 0x04);
    peer.send_octets(&super::super::wire::pdu(CommandStatus::EsmeRok, unbind.sequence_number(), Pdu::UnbindResp)).await;
    assert_eq!(peer.end().await, None);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn case_18_and_20_garbage_and_single_octets_come_before_a_good_response() {
    let (simulator, mut peer) = struck_by(quick(), Fault::GarbagePdu).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::Slow)).expect("valid");
    let sequence = peer.send(charged(number(1))).await;
    assert!(matches!(peer.next().await.map(|command| command.id()), Some(CommandId::Other(0x0BAD))));
    assert_ne!(message_id(&peer.response(sequence).await), "");
}

#[tokio::test]
async fn cleared_faults_strike_no_more() {
    let (simulator, mut peer) = struck_by(quick(), Fault::Throttle).await;
    simulator.clear_faults();
    assert_eq!(peer.submit(charged(number(1))).await.0, 0);
    assert_eq!(simulator.stats().faults, 0);
}
