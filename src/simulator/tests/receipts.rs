//! Receipts as the field writes them.

use rusmpp::{pdus::DeliverSm, tlvs::TlvTag, tlvs::TlvValue};

use super::{
    peer::{As, Peer, charged, field, receipt_text, tlv},
    *,
};

/// The receipts of one message to number 1 that `fault` strikes, all acknowledged.
async fn receipts(fault: Fault, count: usize) -> (String, Vec<DeliverSm>) {
    let (simulator, mut peer) = struck_by(charged_at_delivery(), fault).await;
    let (_, id) = peer.submit(charged(number(1))).await;
    let mut receipts = Vec::new();
    for _ in 0..count {
        receipts.push(peer.receive().await);
    }
    assert_eq!(charges(&simulator), 1, "{fault:?}");
    assert!(peer.is_quiet().await, "{fault:?}");
    (id, receipts)
}

async fn receipt(fault: Fault) -> (String, DeliverSm) {
    let (id, mut all) = receipts(fault, 1).await;
    (id, all.remove(0))
}

#[tokio::test]
async fn case_04_a_receipt_for_an_unknown_id_comes_first() {
    let (id, both) = receipts(Fault::UnknownIdFirst, 2).await;
    assert_ne!(field(&both[0], "id"), id);
    assert_ne!(both[0].source_addr, both[1].source_addr, "it is about nobody that the client wrote to");
    assert_eq!(tlv(&both[0], TlvTag::UserMessageReference), None);
    assert_eq!(field(&both[1], "id"), id);
}

#[tokio::test]
async fn case_07_the_receipt_takes_another_link_than_the_submission() {
    for _ in 0..3 {
        let (_simulator, mut peer) = struck_by(quick(), Fault::ReceiptOnOtherLink).await;
        let mut other = Peer::bound_as(&_simulator, As::Receiver).await;
        let (_, id) = peer.submit(charged(number(1))).await;
        assert_eq!(field(&other.receive().await, "id"), id);
    }
}

#[tokio::test]
async fn case_08_receipts_in_the_payload_only_or_against_themselves() {
    let (id, in_payload) = receipt(Fault::ReceiptAs { form: ReceiptForm::Payload }).await;
    assert!(in_payload.short_message().is_empty());
    let Some(TlvValue::MessagePayload(payload)) = tlv(&in_payload, TlvTag::MessagePayload) else {
        panic!("no payload")
    };
    assert!(payload.value.as_ref().starts_with(format!("id:{id} sub:001").as_bytes()));

    let (_, disagreeing) = receipt(Fault::ReceiptDisagrees).await;
    assert_eq!(field(&disagreeing, "stat"), "UNDELIV");
    let state = tlv(&disagreeing, TlvTag::MessageState);
    assert_eq!(state, Some(TlvValue::MessageState(rusmpp::values::MessageState::Delivered)));

    let (id, only_tlvs) = receipt(Fault::ReceiptAs { form: ReceiptForm::Tlv }).await;
    assert!(only_tlvs.short_message().is_empty());
    let receipted = tlv(&only_tlvs, TlvTag::ReceiptedMessageId);
    assert!(matches!(receipted, Some(TlvValue::ReceiptedMessageId(it)) if it.as_str() == id));
}

#[tokio::test]
async fn case_09_fields_in_another_order_missing_in_lower_case_and_alphanumeric() {
    let (id, reordered) = receipt(Fault::ReceiptReordered).await;
    let text = receipt_text(&reordered);
    assert!(text.starts_with("stat:DELIVRD err:000 done date:"), "{text}");
    assert!(text.contains(&format!(" id:{id} ")) && text.ends_with("text:SMSBUS"), "{text}");
    let (_, lower) = receipt(Fault::ReceiptLowerCase).await;
    assert_eq!(field(&lower, "stat"), "delivrd");
    let (id, few) = receipt(Fault::ReceiptFieldsMissing).await;
    assert_eq!(receipt_text(&few), format!("id:{id} stat:DELIVRD"));
    let (_, alphanumeric) = receipt(Fault::ReceiptAlphanumericErr).await;
    assert_eq!(field(&alphanumeric, "err"), "A00");
    let (_, unknown) = receipts(Fault::UnknownStatFirst, 2).await;
    assert_eq!([field(&unknown[0], "stat"), field(&unknown[1], "stat")], ["QUEUED7", "DELIVRD"]);
}

#[tokio::test]
async fn case_10_a_receipt_without_the_esm_class_of_one() {
    let (id, receipt) = receipt(Fault::ReceiptWithoutEsmClass).await;
    assert_eq!(u8::from(receipt.esm_class), 0);
    assert!(receipt.short_message().as_ref().starts_with(format!("id:{id} ").as_bytes()));
}

/// The octets of the receipts, which a strict codec does not read.
async fn frames(fault: Fault, count: usize) -> Vec<bytes::Bytes> {
    let (_simulator, mut peer) = struck_by(quick(), fault).await;
    peer.send(charged(number(1))).await;
    let response = peer.frame().await;
    assert_eq!(response[4], 0x80, "the response comes first");
    let mut frames = Vec::new();
    for _ in 0..count {
        let frame = peer.frame().await;
        let sequence = u32::from_be_bytes(frame[12..16].try_into().expect("four octets"));
        peer.acknowledge(sequence, rusmpp::CommandStatus::EsmeRok).await;
        frames.push(frame);
    }
    frames
}

fn holds(frame: &[u8], octets: &[u8]) -> bool {
    frame.windows(octets.len()).any(|window| window == octets)
}

#[tokio::test]
async fn case_22_receipts_without_nul_with_odd_tlvs_and_with_trailing_octets() {
    let without_nul = frames(Fault::ReceiptWithoutNul, 1).await;
    assert!(holds(&without_nul[0], b"\x00\x1E\x00\x071000000"), "{:?}", without_nul[0]);
    assert!(frames(Fault::ReceiptOddTlvs, 1).await[0].ends_with(b"\x3F\xF0\x00\x01?"));
    assert!(frames(Fault::ReceiptTrailingOctets, 1).await[0].ends_with(b"\xDE\xAD\xBE"));
}

#[tokio::test]
async fn case_23_an_sm_length_past_the_end_comes_before_a_good_receipt() {
    let both = frames(Fault::PastEndFirst, 2).await;
    assert!(holds(&both[0], b"\xFEid:1000000 "));
    assert!(!holds(&both[1], b"\xFEid:1000000 ") && holds(&both[1], b"id:1000000 "));
}

#[tokio::test]
async fn case_24_a_receipt_with_its_text_twice() {
    let both = frames(Fault::ReceiptTextAndPayload, 1).await;
    let count = both[0].windows(10).filter(|window| *window == b"id:1000000").count();
    assert_eq!(count, 2);
}
