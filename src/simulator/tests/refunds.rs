//! Money on its way back over SMPP.

use rusmpp::{pdus::SubmitSm, values::ServiceType};

use super::{
    peer::{Peer, charged, field, free, vendor},
    *,
};

const OTHER: [u8; 16] = [7; 16];

fn gives_back(refunds: RefundsConfig) -> SimulatorConfig {
    SimulatorConfig { refunds: Some(refunds), ..quick() }
}

/// A message that asks for so many tiyn of a charged one, or for all of it.
fn refund(message_id: &str, minor: Option<i64>) -> SubmitSm {
    let mut message = free(number(1), "BACK");
    message.service_type = ServiceType::new(wire::c_string("RFND"));
    message.push_tlv(vendor(0x1403, format!("{message_id}\0").as_bytes()));
    if let Some(minor) = minor {
        message.push_tlv(vendor(0x1404, format!("{minor}\0").as_bytes()));
    }
    message.push_tlv(vendor(TLV_REFERENCE, &OTHER));
    message
}

async fn taken(peer: &mut Peer) -> String {
    let (status, id) = peer.submit(charged(number(1))).await;
    assert_eq!(status, 0);
    id
}

#[tokio::test]
async fn money_goes_back_whole_or_in_parts_and_the_ledger_says_of_which_message() {
    let simulator = start(gives_back(RefundsConfig::default())).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    let (status, refund_id) = peer.submit(refund(&id, Some(3_000))).await;
    assert_eq!((status, peer.submit(refund(&id, Some(5_000))).await.0), (0, 0));
    let ledger = simulator.ledger();
    assert_eq!((ledger.total(), ledger.refunded_of(number(1))), (Money::kzt(8_000), Money::kzt(8_000)));
    assert_eq!((ledger.charged_twice().len(), simulator.balance(number(1))), (0, Money::kzt(20_000)));
    let entry = &ledger.refunds()[0];
    assert_eq!((&entry.payment_id, &entry.refund_id, entry.interface), (&id, &refund_id, None));
    assert_eq!(entry.request_reference, uuid::Uuid::from_bytes(OTHER).to_string());
    assert!(simulator.inbox(number(1)).is_empty(), "inboxes are for free messages");

    let other = taken(&mut peer).await;
    assert_eq!(peer.submit(refund(&other, None)).await.0, 0);
    assert_eq!(simulator.ledger().refunded(), Money::kzt(16_000), "no amount means all");
}

#[tokio::test]
async fn a_refund_at_submission_is_refused_by_command_status() {
    let simulator = start(gives_back(RefundsConfig::default())).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    let mut strangers = refund(&id, None);
    strangers.destination_addr = wire::c_string("77010000002");
    for (message, refusal) in [
        (refund("4711", None), RefundRefusal::UnknownMessage),
        (strangers, RefundRefusal::UnknownMessage),
        (refund(&id, Some(8_001)), RefundRefusal::ExceedsCharge),
    ] {
        assert_eq!(peer.submit(message).await.0, refusal.command_status(), "{refusal:?}");
    }
    assert_eq!(peer.submit(refund(&id, None)).await.0, 0);
    // All of it once more: nothing is left.
    assert_eq!(peer.submit(refund(&id, None)).await.0, RefundRefusal::ExceedsCharge.command_status());
    assert_eq!(simulator.ledger().refunded(), Money::kzt(8_000));
}

#[tokio::test]
async fn where_only_all_can_go_back_a_part_and_a_second_time_are_refused() {
    let simulator = start(gives_back(RefundsConfig { partial: false, ..RefundsConfig::default() })).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    assert_eq!(peer.submit(refund(&id, Some(3_000))).await.0, RefundRefusal::NoParts.command_status());
    assert_eq!(peer.submit(refund(&id, None)).await.0, 0);
    assert_eq!(peer.submit(refund(&id, None)).await.0, RefundRefusal::RefundedBefore.command_status());
    assert_eq!(simulator.ledger().refunds().len(), 1);
}

#[tokio::test]
async fn a_refund_at_delivery_is_refused_by_an_undeliverable_receipt() {
    let at_delivery = RefundsConfig { at: ChargingMoment::Delivery, ..RefundsConfig::default() };
    let simulator = start(gives_back(at_delivery)).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    assert_eq!(field(&peer.receive().await, "stat"), "DELIVRD");
    for (message, stat, err) in [
        (refund(&id, None), "DELIVRD", "000".to_owned()),
        (refund(&id, None), "UNDELIV", RefundRefusal::ExceedsCharge.err()),
        (refund("4711", None), "UNDELIV", RefundRefusal::UnknownMessage.err()),
    ] {
        assert_eq!(peer.submit(message).await.0, 0);
        let receipt = peer.receive().await;
        assert_eq!((field(&receipt, "stat"), field(&receipt, "err")), (stat.to_owned(), err));
    }
    assert_eq!(simulator.ledger().refunded(), Money::kzt(8_000));
}

#[tokio::test]
async fn the_charged_message_can_be_named_in_the_text_and_the_amount_by_a_tariff() {
    let by_text = RefundsConfig { message_id_tlv: None, amount_tlv: None, ..RefundsConfig::default() };
    let mut config = gives_back(by_text);
    config.tariffs.insert("BACK_30".into(), 3_000);
    let simulator = start(config).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    let mut message = free(number(1), &format!("REFUND {id}"));
    message.service_type = ServiceType::new(wire::c_string("RFND"));
    message.push_tlv(vendor(TLV_TARIFF, b"BACK_30\0"));
    assert_eq!(peer.submit(message).await.0, 0);
    assert_eq!((charges(&simulator), simulator.ledger().refunded()), (1, Money::kzt(3_000)), "it takes nothing");
}

#[tokio::test]
async fn a_refund_that_names_no_message_or_no_amount_breaks_the_protocol() {
    let simulator = start(gives_back(RefundsConfig::default())).await;
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    let mut nameless = free(number(1), "BACK");
    nameless.service_type = ServiceType::new(wire::c_string("RFND"));
    assert_eq!(peer.submit(nameless).await.0, 0xC3);
    for minor in [0, -5] {
        assert_eq!(peer.submit(refund(&id, Some(minor))).await.0, 0xC4);
    }
    assert_eq!(simulator.stats().malformed, 3);
    assert!(simulator.ledger().refunds().is_empty());
}

#[tokio::test]
async fn faults_of_refunds_strike_nothing_else() {
    let simulator = start(gives_back(RefundsConfig::default())).await;
    let rule = FaultRule::always(Fault::Refuse { status: 0x14, body: false }).only(Traffic::Refunds);
    simulator.set_fault(rule).expect("a rule");
    simulator.set_fault(FaultRule::always(Fault::Slow).only(Traffic::Charged)).expect("a rule");
    let mut peer = Peer::bound(&simulator).await;
    let id = taken(&mut peer).await;
    assert_eq!(peer.submit(free(number(1), "hello")).await.0, 0);
    assert_eq!(peer.submit(refund(&id, None)).await.0, 0x14);
    assert!(simulator.ledger().refunds().is_empty());
}
