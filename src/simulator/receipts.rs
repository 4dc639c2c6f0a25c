//! Delivery receipts as this SMSC writes them (SMPP 3.4, appendix B).

use rusmpp::{
    pdus::DeliverSm,
    tlvs::MessageDeliveryRequestTlvValue as Tlv,
    types::OctetString,
    values::{self, ErrorCodeNetworkType, EsmClass, NetworkErrorCode, Npi, Ton, UserMessageReference},
};

use super::{
    config::ReceiptForm,
    exchange::{Exchange, ReceiptDue},
    message::{Message, MessageKey, MessageState},
    times, wire,
};
use crate::clock::Timestamp;

/// `esm_class` of an SMSC delivery receipt (section 5.2.12).
const ESM_CLASS_RECEIPT: u8 = 0x04;
/// Octets of the message that a receipt's text repeats.
const TEXT_OCTETS: usize = 20;

/// The receipt that says `due` about a message. None if the message is not kept any more.
pub(super) fn write(exchange: &Exchange, key: MessageKey, due: ReceiptDue, now: Timestamp) -> Option<DeliverSm> {
    let message = exchange.messages.get(key)?;
    let config = &exchange.config;
    let submission = &message.submission;
    let id = key.in_receipt(config.message_id);
    let mut receipt = DeliverSm::builder()
        .source_addr_ton(Ton::International)
        .source_addr_npi(Npi::Isdn)
        .source_addr(wire::c_string(&submission.to_as_written))
        .destination_addr(wire::c_string(&submission.from))
        .esm_class(EsmClass::from(ESM_CLASS_RECEIPT));
    if config.receipt_form != ReceiptForm::Tlv {
        let done_at = message.done_at.unwrap_or(now);
        let dates = [message.submitted_at, done_at].map(|at| times::receipt_date(at, &exchange.zone));
        receipt = receipt.short_message(OctetString::from_vec(text(&id, message, due, &dates)).unwrap_or_default());
    }
    if config.receipt_form != ReceiptForm::Text {
        let network_error = NetworkErrorCode::new(ErrorCodeNetworkType::Gsm, due.err.into());
        receipt = receipt
            .push_tlv(Tlv::ReceiptedMessageId(wire::c_string(&id)))
            .push_tlv(Tlv::MessageState(on_the_wire(due.state)))
            .push_tlv(Tlv::NetworkErrorCode(network_error));
    }
    if let Some(reference) = submission.user_message_reference.filter(|_| config.echo_user_message_reference) {
        receipt = receipt.push_tlv(Tlv::UserMessageReference(UserMessageReference::new(reference)));
    }
    Some(receipt.build())
}

/// `message_state` as TLVs and `query_sm_resp` carry it.
pub(super) fn on_the_wire(state: MessageState) -> values::MessageState {
    match state {
        MessageState::Enroute => values::MessageState::Enroute,
        MessageState::Delivered => values::MessageState::Delivered,
        MessageState::Expired => values::MessageState::Expired,
        MessageState::Undeliverable => values::MessageState::Undeliverable,
    }
}

fn text(id: &str, message: &Message, due: ReceiptDue, [submitted, done]: &[String; 2]) -> Vec<u8> {
    let delivered = u8::from(due.state == MessageState::Delivered);
    let stat = due.state.stat();
    // Only ASCII: a receipt is in the default alphabet whatever the message was in.
    let excerpt: String = message.submission.text.chars().filter(char::is_ascii_graphic).take(TEXT_OCTETS).collect();
    format!(
        "id:{id} sub:001 dlvrd:{delivered:03} submit date:{submitted} done date:{done} stat:{stat} err:{:03} text:{excerpt}",
        due.err
    )
    .into_bytes()
}
