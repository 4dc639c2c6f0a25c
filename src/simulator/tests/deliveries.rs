use std::time::Duration;

use rusmpp::{CommandStatus, tlvs::TlvValue};

use super::{
    peer::{As, Peer, charged, field},
    *,
};
use crate::simulator::text;

/// A text sent in the background, and its report.
fn texting(simulator: &Simulator, text: &str) -> tokio::task::JoinHandle<MoReport> {
    let (simulator, text) = (simulator.clone(), text.to_owned());
    tokio::spawn(
        async move { simulator.send_mo(number(1), "2505", &text).await.expect("a text that a phone can send") },
    )
}

#[tokio::test]
async fn an_mo_reaches_the_receiver_and_is_acknowledged() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound_as(&simulator, As::Receiver).await;
    for (sent, coding) in [("1234*2", 0), ("БИЛЕТ", 8)] {
        let report = texting(&simulator, sent);
        let mo = peer.receive().await;
        assert_eq!((mo.source_addr.as_str(), mo.destination_addr.as_str()), ("77010000001", "2505"));
        assert_eq!((u8::from(mo.esm_class), u8::from(mo.data_coding)), (0, coding));
        assert_eq!(text::decode(coding, mo.short_message().as_ref()), sent);
        let report = report.await.expect("no panic");
        assert_eq!(report, MoReport { outcome: MoOutcome::Acknowledged, tries: 1 });
    }
    assert_eq!((simulator.stats().mos, simulator.stats().mos_acknowledged), (2, 2));
}

#[tokio::test]
async fn a_long_mo_travels_in_the_payload() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let long = "Ж".repeat(200);
    let report = texting(&simulator, &long);
    let mo = peer.receive().await;
    assert!(mo.short_message().is_empty());
    let payload = mo.tlvs().iter().find_map(|tlv| match tlv.value() {
        Some(TlvValue::MessagePayload(payload)) => Some(text::decode(8, &payload.value)),
        _ => None,
    });
    assert_eq!(payload, Some(long));
    assert_eq!(report.await.expect("no panic").outcome, MoOutcome::Acknowledged);
}

#[tokio::test]
async fn case_37_an_unanswered_or_temporarily_refused_mo_comes_again_with_the_same_content() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let report = texting(&simulator, "1234");
    let (_, first) = peer.deliver_sm().await;
    let (sequence, second) = peer.deliver_sm().await;
    peer.acknowledge(sequence, CommandStatus::EsmeRxTAppn).await;
    let third = peer.receive().await;
    assert_eq!((&first, &second), (&second, &third));
    assert_eq!(report.await.expect("no panic"), MoReport { outcome: MoOutcome::Acknowledged, tries: 3 });
    assert_eq!(simulator.stats().redeliveries, 2);
}

#[tokio::test]
async fn an_mo_is_given_up_after_its_tries_and_at_once_if_refused_for_good() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let silent = texting(&simulator, "1234").await.expect("no panic");
    assert_eq!(silent, MoReport { outcome: MoOutcome::GivenUp, tries: 3 });
    for _ in 0..3 {
        peer.deliver_sm().await;
    }
    let report = texting(&simulator, "1234");
    let (sequence, _) = peer.deliver_sm().await;
    peer.acknowledge(sequence, CommandStatus::EsmeRxPAppn).await;
    assert_eq!(report.await.expect("no panic").outcome, MoOutcome::Refused(0x65));
    assert_eq!(simulator.stats().deliveries_given_up, 2);
}

#[tokio::test]
async fn an_mo_survives_a_lost_link_and_waits_for_the_next_bind() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let report = texting(&simulator, "1234");
    let (_, first) = peer.deliver_sm().await;
    simulator.drop_links();
    assert!(peer.end().await.is_some(), "a reset, not an orderly end");
    let mut again = Peer::bound(&simulator).await;
    assert_eq!(again.receive().await, first);
    assert_eq!(report.await.expect("no panic").outcome, MoOutcome::Acknowledged);
}

#[tokio::test]
async fn an_acknowledged_mo_can_come_again() {
    let simulator = start(quick()).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::RedeliverMo)).expect("valid");
    let mut peer = Peer::bound(&simulator).await;
    let report = texting(&simulator, "1234");
    assert_eq!(peer.receive().await, peer.receive().await);
    assert_eq!(report.await.expect("no panic"), MoReport { outcome: MoOutcome::Acknowledged, tries: 2 });
}

#[tokio::test]
async fn receivers_take_turns_and_transmitters_are_left_out() {
    let simulator = start(quick()).await;
    let mut first = Peer::bound_as(&simulator, As::Receiver).await;
    let mut second = Peer::bound(&simulator).await;
    let mut transmitter = Peer::bound_as(&simulator, As::Transmitter).await;
    let reports = [texting(&simulator, "1"), texting(&simulator, "2")];
    tokio::join!(first.receive(), second.receive());
    for report in reports {
        assert_eq!(report.await.expect("no panic").tries, 1);
    }
    assert!(transmitter.is_quiet().await);
}

#[tokio::test]
async fn a_receipt_is_repeated_until_acknowledged_also_after_the_client_was_killed() {
    let simulator = start(charged_at_delivery()).await;
    let mut peer = Peer::bound(&simulator).await;
    let (_, id) = peer.submit(charged(number(1))).await;
    let (_, first) = peer.deliver_sm().await;
    let (_, second) = peer.deliver_sm().await;
    assert_eq!(first, second);
    drop(peer);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().connections_open == 0).await);
    assert_eq!(simulator.stats().deliveries_pending, 1);
    let mut again = Peer::bound(&simulator).await;
    assert_eq!(field(&again.receive().await, "id"), id);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().deliveries_pending == 0).await);
    assert_eq!((simulator.stats().receipts, simulator.stats().receipts_acknowledged), (1, 1));
}

#[tokio::test]
async fn no_deliver_sm_comes_before_the_bind_response() {
    let simulator = start(quick()).await;
    let report = texting(&simulator, "1234");
    tokio::time::sleep(Duration::from_millis(10)).await;
    // `bound_as` takes PDUs aside, so the order is asked for here.
    let mut peer = Peer::connect(&simulator).await;
    peer.bind(As::Receiver, "secret").await;
    peer.receive().await;
    assert_eq!(report.await.expect("no panic").tries, 1);
}

#[tokio::test]
async fn texts_that_no_phone_sends_are_refused() {
    let simulator = start(quick()).await;
    let too_long = simulator.send_mo(number(1), "2505", &"x".repeat(1_001)).await;
    assert_eq!(too_long, Err(MoError::TooLong(1_001)));
    assert_eq!(simulator.send_mo(number(1), "", "1234").await, Err(MoError::Address(String::new())));
}

#[tokio::test]
async fn waiting_mos_are_bounded_and_a_shut_down_ends_them() {
    let limits = Limits { deliveries_max: 1, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    let waiting = texting(&simulator, "1234");
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().mos == 1).await);
    assert_eq!(simulator.send_mo(number(2), "2505", "1234").await, Err(MoError::TooMany(1)));
    simulator.shutdown().await;
    assert_eq!(waiting.await.expect("no panic").outcome, MoOutcome::ShutDown);
}
