//! Delivery receipts as this SMSC writes them (SMPP 3.4, appendix B), and as the field writes them where a fault says so.

use std::{fmt::Write, time::Duration};

use rusmpp::{
    pdus::DeliverSm,
    tlvs::{MessageDeliveryRequestTlvValue as Tlv, TlvTag},
    types::{AnyOctetString, OctetString},
    values::{self, ErrorCodeNetworkType, EsmClass, MessagePayload, NetworkErrorCode, Npi, Ton, UserMessageReference},
};

use super::{
    config::ReceiptForm,
    damage::Damage,
    exchange::Exchange,
    faults::Fault,
    link::Parcel,
    message::{Message, MessageKey, MessageState},
    times, wire,
};
use crate::clock::Timestamp;

/// One receipt to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiptDue {
    pub(super) state: MessageState,
    pub(super) err: u8,
    pub(super) oddity: Oddity,
}

/// What is odd about one receipt of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    None,
    UnknownStat,
    /// For a message that the client never sent.
    UnknownId,
    /// See [`Damage::PastEnd`].
    PastEnd,
}

/// `esm_class` of an SMSC delivery receipt (section 5.2.12).
const ESM_CLASS_RECEIPT: u8 = 0x04;
/// Octets of the message that a receipt's text repeats.
const TEXT_OCTETS: usize = 20;
/// Whom a receipt of [`Oddity::UnknownId`] is about: nobody has this number.
const NOBODY: &str = "70000000000";

/// The receipts of a message that has ended, and the pause before them.
pub(super) fn due(message: &Message) -> (Duration, Vec<ReceiptDue>) {
    let last = ReceiptDue { state: message.state, err: message.err, oddity: Oddity::None };
    let mut first = Vec::new();
    let mut after = Duration::ZERO;
    let mut copies = 1;
    for fault in &message.faults {
        match fault {
            Fault::EnrouteFirst => first.push(ReceiptDue { state: MessageState::Enroute, err: 0, ..last }),
            Fault::UndeliveredFirst => first.push(ReceiptDue { state: MessageState::Undeliverable, err: 1, ..last }),
            Fault::UnknownStatFirst => first.push(ReceiptDue { oddity: Oddity::UnknownStat, ..last }),
            Fault::UnknownIdFirst => first.push(ReceiptDue { oddity: Oddity::UnknownId, ..last }),
            Fault::PastEndFirst => first.push(ReceiptDue { oddity: Oddity::PastEnd, ..last }),
            Fault::DuplicateReceipt => copies = 2,
            Fault::NoReceipt => copies = 0,
            Fault::LateReceipt { ms } => after += Duration::from_millis(*ms),
            _ => {}
        }
    }
    first.extend(std::iter::repeat_n(last, copies));
    if copies == 0 || !message.submission.receipts.include(message.state) {
        first.clear();
    }
    (after, first)
}

/// The receipt that says `due` about a message. None if the message is not kept any more.
pub(super) fn write(exchange: &Exchange, key: MessageKey, due: ReceiptDue, now: Timestamp) -> Option<Parcel> {
    let message = exchange.messages.get(key)?;
    let submission = &message.submission;
    let has = |fault| message.faults.contains(&fault);
    let stranger = due.oddity == Oddity::UnknownId;
    let id = match due.oddity {
        Oddity::UnknownId => message.id.of_nobody().in_receipt(exchange.config.message_id),
        _ => message.id.in_receipt(exchange.config.message_id),
    };
    let esm_class = if has(Fault::ReceiptWithoutEsmClass) { 0 } else { ESM_CLASS_RECEIPT };
    let mut receipt = DeliverSm::builder()
        .source_addr_ton(Ton::International)
        .source_addr_npi(Npi::Isdn)
        .source_addr(wire::c_string(if stranger { NOBODY } else { &submission.to_as_written }))
        .destination_addr(wire::c_string(&submission.from))
        .esm_class(EsmClass::from(esm_class));
    let form = form(exchange, message, due);
    let octets = text(exchange, message, &id, due, now).into_bytes();
    if matches!(form, ReceiptForm::Text | ReceiptForm::Both) || has(Fault::ReceiptTextAndPayload) {
        receipt = receipt.short_message(OctetString::from_slice(&octets).unwrap_or_default());
    }
    if form == ReceiptForm::Payload || has(Fault::ReceiptTextAndPayload) {
        receipt = receipt.push_tlv(Tlv::MessagePayload(MessagePayload::new(AnyOctetString::from_vec(octets))));
    }
    if matches!(form, ReceiptForm::Tlv | ReceiptForm::Both) {
        let network_error = NetworkErrorCode::new(ErrorCodeNetworkType::Gsm, due.err.into());
        let receipted_message_id = match has(Fault::ReceiptWithoutNul) {
            false => Tlv::ReceiptedMessageId(wire::c_string(&id)),
            true => {
                let value = AnyOctetString::from_vec(id.into_bytes());
                Tlv::Other { tag: TlvTag::ReceiptedMessageId, value }
            }
        };
        let state = match due.oddity {
            Oddity::UnknownStat => values::MessageState::Unknown,
            _ => on_the_wire(due.state),
        };
        receipt = receipt
            .push_tlv(receipted_message_id)
            .push_tlv(Tlv::MessageState(state))
            .push_tlv(Tlv::NetworkErrorCode(network_error));
    }
    let echo = exchange.config.echo_user_message_reference && !stranger;
    if let Some(reference) = submission.user_message_reference.filter(|_| echo) {
        receipt = receipt.push_tlv(Tlv::UserMessageReference(UserMessageReference::new(reference)));
    }
    let damage = [
        (has(Fault::ReceiptOddTlvs), Damage::OddTlvs),
        (has(Fault::ReceiptTrailingOctets), Damage::TrailingOctets),
        (due.oddity == Oddity::PastEnd, Damage::PastEnd),
    ];
    Some(Parcel {
        message: receipt.build(),
        damage: damage.into_iter().filter_map(|(done, damage)| done.then_some(damage)).collect(),
        not_on: has(Fault::ReceiptOnOtherLink).then_some(submission.via),
    })
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

/// Where this receipt carries its fields. Some faults need one form to be seen at all.
fn form(exchange: &Exchange, message: &Message, due: ReceiptDue) -> ReceiptForm {
    let mut form = exchange.config.receipt_form;
    for fault in &message.faults {
        match fault {
            Fault::ReceiptAs { form: wanted } => form = *wanted,
            Fault::ReceiptDisagrees | Fault::ReceiptWithoutNul => form = ReceiptForm::Both,
            Fault::ReceiptReordered
            | Fault::ReceiptLowerCase
            | Fault::ReceiptFieldsMissing
            | Fault::ReceiptAlphanumericErr => form = ReceiptForm::Text,
            _ => {}
        }
    }
    // TLVs behind the text would be within a length that reaches too far.
    if due.oddity == Oddity::PastEnd { ReceiptForm::Text } else { form }
}

fn text(exchange: &Exchange, message: &Message, id: &str, due: ReceiptDue, now: Timestamp) -> String {
    let has = |fault| message.faults.contains(&fault);
    let [submitted, done] =
        [message.submitted_at, message.done_at.unwrap_or(now)].map(|at| times::receipt_date(at, &exchange.zone));
    let stat = match (due.oddity, due.state) {
        (Oddity::UnknownStat, _) => "QUEUED7",
        (_, MessageState::Delivered) if has(Fault::ReceiptDisagrees) => MessageState::Undeliverable.stat(),
        _ if has(Fault::ReceiptDisagrees) => MessageState::Delivered.stat(),
        (_, state) => state.stat(),
    };
    let err = match has(Fault::ReceiptAlphanumericErr) {
        true => format!("A{:02}", due.err % 100),
        false => format!("{:03}", due.err),
    };
    let delivered = if due.state == MessageState::Delivered { "001" } else { "000" };
    // Only ASCII: a receipt is in the default alphabet whatever the message was in.
    let excerpt: String = message.submission.text.chars().filter(char::is_ascii_graphic).take(TEXT_OCTETS).collect();
    let mut fields = vec![
        ("id", id),
        ("sub", "001"),
        ("dlvrd", delivered),
        ("submit date", &submitted),
        ("done date", &done),
        ("stat", stat),
        ("err", &err),
        ("text", &excerpt),
    ];
    if has(Fault::ReceiptFieldsMissing) {
        fields.retain(|(name, _)| matches!(*name, "id" | "stat"));
    }
    if has(Fault::ReceiptReordered) {
        // The text stays last: it may hold anything.
        let place =
            |name: &str| ["stat", "err", "done date", "id", "sub", "submit date"].iter().position(|n| *n == name);
        fields.sort_by_key(|(name, _)| (*name == "text", place(name).unwrap_or(usize::MAX)));
    }
    let mut text = String::new();
    for (name, value) in fields {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{space}{name}:{value}");
    }
    if has(Fault::ReceiptLowerCase) { text.to_lowercase() } else { text }
}
