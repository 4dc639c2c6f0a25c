use std::time::Duration;

use rusmpp::{
    Pdu,
    tlvs::TlvValue,
    types::EmptyOrFullCOctetString,
    values::{EsmClass, RegisteredDelivery},
};

use super::{
    peer::{Peer, charged, field, free, receipt_text},
    *,
};

const REFUSED: [(Condition, Refusal); 7] = [
    (Condition::CorporateNumber, Refusal::CorporateNumber),
    (Condition::CreditDebt, Refusal::CreditDebt),
    (Condition::NoTopUpSinceActivation, Refusal::NoTopUpSinceActivation),
    (Condition::InitialBalanceUnused, Refusal::InitialBalanceUnused),
    (Condition::RecentSimSwap, Refusal::RecentSimSwap),
    (Condition::Unknown, Refusal::NotOurSubscriber),
    (Condition::Barred, Refusal::Barred),
];

#[tokio::test]
async fn a_submission_is_charged_once_and_the_ledger_says_for_what() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let (status, id) = peer.submit(charged(number(1))).await;
    assert_eq!(status, 0);
    let ledger = simulator.ledger();
    let [entry] = ledger.entries() else { panic!("one charge, not {ledger:?}") };
    assert_eq!((entry.msisdn, entry.amount, &entry.message_id), (number(1), Money::kzt(8_000), &id));
    assert_eq!((entry.reference, entry.user_message_reference), (Some(REFERENCE), Some(77)));
    assert_eq!((entry.tariff.as_str(), entry.text.as_str()), ("BUS_80", "SMSBUS"));
    assert_eq!(simulator.balance(number(1)), Money::kzt(12_000));
    assert!(simulator.inbox(number(1)).is_empty(), "inboxes are for free messages");
}

#[tokio::test]
async fn a_repeated_submission_is_charged_again_and_shows() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    for _ in 0..3 {
        peer.submit(charged(number(1))).await;
    }
    assert_eq!(simulator.ledger().total_of(number(1)), Money::kzt(16_000), "the third one found too little");
    assert_eq!(simulator.ledger().charged_twice(), [(REFERENCE, 2)].into());
    assert_eq!(simulator.balance(number(1)), Money::kzt(4_000));
}

#[tokio::test]
async fn a_source_address_can_be_the_tariff() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut message = free(number(1), "SMSBUS");
    message.source_addr = crate::simulator::wire::c_string("25051");
    assert_eq!(peer.submit(message).await.0, 0);
    assert_eq!(simulator.ledger().total(), Money::kzt(8_000));
}

#[tokio::test]
async fn charging_at_submission_refuses_by_command_status() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    for (last, (condition, refusal)) in (10..).zip(REFUSED) {
        simulator.set_subscriber(number(last), Subscriber::with_balance(20_000).and(condition)).expect("room");
        assert_eq!(peer.submit(charged(number(last))).await.0, refusal.command_status(), "{condition:?}");
    }
    simulator.set_subscriber(number(1), Subscriber::with_balance(7_999)).expect("room");
    assert_eq!(peer.submit(charged(number(1))).await.0, 0x450);
    simulator.set_own_account_empty(true);
    assert_eq!(peer.submit(charged(number(2))).await.0, 0x456);
    assert!(simulator.ledger().entries().is_empty());
    assert!(peer.is_quiet().await, "a refused message has no receipt");
}

#[tokio::test]
async fn charging_at_delivery_refuses_by_an_undeliverable_receipt() {
    let simulator = start(charged_at_delivery()).await;
    let mut peer = Peer::bound(&simulator).await;
    for (last, (condition, refusal)) in (10..).zip(REFUSED) {
        simulator.set_subscriber(number(last), Subscriber::with_balance(20_000).and(condition)).expect("room");
        let (status, id) = peer.submit(charged(number(last))).await;
        let receipt = peer.receive().await;
        assert_eq!((status, field(&receipt, "id")), (0, id));
        assert_eq!((field(&receipt, "stat"), field(&receipt, "err")), ("UNDELIV".into(), refusal.err()));
    }
    assert!(simulator.ledger().entries().is_empty());
    peer.submit(charged(number(1))).await;
    let receipt = peer.receive().await;
    assert_eq!((field(&receipt, "stat"), field(&receipt, "err")), ("DELIVRD".into(), "000".into()));
    assert_eq!(simulator.ledger().total(), Money::kzt(8_000));
}

#[tokio::test]
async fn a_phone_that_is_off_lets_the_message_expire_uncharged() {
    let simulator = start(charged_at_delivery()).await;
    let off = Subscriber::with_balance(20_000).and(Condition::PhoneOff);
    simulator.set_subscriber(number(1), off).expect("room");
    let mut peer = Peer::bound(&simulator).await;
    let mut message = charged(number(1));
    message.validity_period = EmptyOrFullCOctetString::from_static_slice(b"000000000001000R\0").expect("17 octets");
    peer.submit(message).await;
    let receipt = peer.receive().await;
    assert_eq!(field(&receipt, "stat"), "EXPIRED");
    assert!(simulator.ledger().entries().is_empty());
}

#[tokio::test]
async fn a_phone_switched_on_in_time_gets_its_message_and_is_charged() {
    let simulator = start(charged_at_delivery()).await;
    let off = Subscriber::with_balance(20_000).and(Condition::PhoneOff);
    simulator.set_subscriber(number(1), off).expect("room");
    let mut peer = Peer::bound(&simulator).await;
    peer.submit(charged(number(1))).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(simulator.stats().messages_pending, 1);
    simulator.set_subscriber(number(1), Subscriber::with_balance(20_000)).expect("room");
    assert_eq!(field(&peer.receive().await, "stat"), "DELIVRD");
    assert_eq!(simulator.balance(number(1)), Money::kzt(12_000));
}

#[tokio::test]
async fn free_messages_land_in_the_inbox_as_the_passenger_reads_them() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    for text in ["БИЛЕТ 7K3M2Q9X 139А", "TICKET {7K3M2Q9X}"] {
        assert_eq!(peer.submit(free(number(1), text)).await.0, 0);
        assert_eq!(field(&peer.receive().await, "stat"), "DELIVRD");
    }
    let mut part = free(number(1), "");
    part.esm_class = EsmClass::from(0x40);
    part.set_short_message(rusmpp::types::OctetString::from_static_slice(&[5, 0, 3, 9, 2, 1, b'A']).expect("short"));
    peer.submit(part).await;
    peer.receive().await;
    let inbox = simulator.inbox(number(1));
    let texts: Vec<&str> = inbox.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["БИЛЕТ 7K3M2Q9X 139А", "TICKET {7K3M2Q9X}", "A"]);
    assert_eq!(inbox[2].part, Some(Part { reference: 9, total: 2, number: 1 }));
    assert_eq!(inbox[0].from, "2505");
    assert!(simulator.ledger().entries().is_empty());
}

#[tokio::test]
async fn an_inbox_drops_its_oldest() {
    let limits = Limits { inbox_messages_max: 2, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    for text in ["1", "2", "3"] {
        peer.submit(free(number(1), text)).await;
        peer.receive().await;
    }
    let texts: Vec<String> = simulator.inbox(number(1)).into_iter().map(|message| message.text).collect();
    assert_eq!((texts, simulator.stats().inbox_dropped), (vec!["2".into(), "3".into()], 1));
}

#[tokio::test]
async fn receipts_come_as_text_as_tlvs_or_as_both() {
    for (form, has_text, has_tlvs) in
        [(ReceiptForm::Text, true, false), (ReceiptForm::Tlv, false, true), (ReceiptForm::Both, true, true)]
    {
        let simulator = start(SimulatorConfig { receipt_form: form, ..quick() }).await;
        let mut peer = Peer::bound(&simulator).await;
        let (_, id) = peer.submit(charged(number(1))).await;
        let receipt = peer.receive().await;
        assert_eq!(receipt.source_addr.as_str(), "77010000001");
        assert_eq!(receipt.destination_addr.as_str(), "2505");
        let text = receipt_text(&receipt);
        assert_eq!(text.starts_with(&format!("id:{id} sub:001 dlvrd:001 submit date:")), has_text, "{text}");
        assert_eq!(text.is_empty(), !has_text);
        let values: Vec<&TlvValue> = receipt.tlvs().iter().filter_map(|tlv| tlv.value()).collect();
        let receipted =
            values.iter().any(|value| matches!(value, TlvValue::ReceiptedMessageId(it) if it.as_str() == id));
        let delivered =
            values.iter().any(|value| matches!(value, TlvValue::MessageState(rusmpp::values::MessageState::Delivered)));
        assert_eq!((receipted, delivered), (has_tlvs, has_tlvs));
        assert!(values.iter().any(|value| matches!(value, TlvValue::UserMessageReference(it) if it.value == 77)));
    }
}

#[tokio::test]
async fn ids_differ_between_response_and_receipt_as_configured() {
    let simulator = start(SimulatorConfig { message_id: MessageIdForm::HexThenDecimal, ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    let (_, id) = peer.submit(charged(number(1))).await;
    let receipt = peer.receive().await;
    assert_eq!(u64::from_str_radix(&id, 16).ok(), field(&receipt, "id").parse().ok());
    assert_eq!(simulator.ledger().entries()[0].message_id, id);
}

#[tokio::test]
async fn registered_delivery_says_which_receipts_come() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    for (octet, receipts) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        let before = simulator.stats().receipts;
        let mut message = free(number(1), "x");
        message.registered_delivery = RegisteredDelivery::from(octet);
        peer.submit(message).await;
        let delivered = simulator.inbox(number(1)).len();
        assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().messages_pending == 0).await, "{delivered}");
        for _ in 0..receipts {
            peer.receive().await;
        }
        assert_eq!(simulator.stats().receipts - before, receipts);
    }
    assert_eq!(peer.ask(Pdu::EnquireLink).await.status(), rusmpp::CommandStatus::EsmeRok);
}

#[tokio::test]
async fn a_full_ledger_charges_nobody() {
    let limits = Limits { ledger_entries_max: 1, ..Limits::default() };
    let simulator = start(SimulatorConfig { limits, ..quick() }).await;
    let mut peer = Peer::bound(&simulator).await;
    assert_eq!(peer.submit(charged(number(1))).await.0, 0);
    assert_eq!(peer.submit(charged(number(2))).await.0, 0x14);
    assert_eq!(simulator.balance(number(2)), Money::kzt(20_000));
}
