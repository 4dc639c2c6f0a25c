//! Rows of what passengers and carriers send, and of what is sent to them.

use serde::Serialize;

use super::{AnyText, Body, Hex};
use crate::{
    charge::Reference,
    clock::Timestamp,
    msisdn::Msisdn,
    store::{IncomingSms, OutgoingSms, ParkedReceipt, outstanding::UNOWNED},
};

#[derive(Serialize)]
pub(in crate::store) struct MessageRow<'a> {
    pub(in crate::store) id: Reference,
    pub(in crate::store) reference: Option<Reference>,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) text: AnyText<'a>,
    pub(in crate::store) ticket: bool,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) expires_at: i64,
}

impl<'a> MessageRow<'a> {
    pub(in crate::store) fn new(message: &'a OutgoingSms) -> MessageRow<'a> {
        MessageRow {
            id: message.id,
            reference: message.reference,
            carrier: message.carrier.as_str(),
            msisdn: message.msisdn.e164(),
            text: AnyText(&message.text),
            ticket: message.ticket,
            created_at: message.created_at.unix_ms(),
            expires_at: message.expires_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct MovedRow {
    pub(in crate::store) id: Reference,
    pub(in crate::store) state: &'static str,
    pub(in crate::store) tries: u32,
    pub(in crate::store) due_at: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct MoRow<'a> {
    pub(in crate::store) id: Reference,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) destination: AnyText<'a>,
    pub(in crate::store) text: AnyText<'a>,
    pub(in crate::store) fingerprint: Hex<'a>,
    pub(in crate::store) received_at: i64,
    pub(in crate::store) same_since: i64,
    pub(in crate::store) kind: &'static str,
    pub(in crate::store) kept_at: i64,
    pub(in crate::store) part_reference: Option<u16>,
    pub(in crate::store) part_wide: Option<bool>,
    pub(in crate::store) part_total: Option<u8>,
    pub(in crate::store) part_number: Option<u8>,
}

impl<'a> MoRow<'a> {
    pub(in crate::store) fn new(message: &'a IncomingSms) -> MoRow<'a> {
        MoRow {
            id: message.id,
            carrier: message.carrier.as_str(),
            msisdn: message.msisdn.e164(),
            destination: AnyText(&message.destination),
            text: AnyText(&message.text),
            fingerprint: Hex(&message.fingerprint),
            received_at: message.received_at.unix_ms(),
            same_since: message.same_since.unix_ms(),
            kind: message.kind.code(),
            kept_at: message.kept_at.unix_ms(),
            part_reference: message.part.map(|part| part.reference_number),
            part_wide: message.part.map(|part| part.wide),
            part_total: message.part.map(|part| part.total),
            part_number: message.part.map(|part| part.number),
        }
    }
}

/// By what a second delivery of a message is known.
#[derive(Serialize)]
pub(in crate::store) struct FingerprintRow<'a> {
    pub(in crate::store) id: Reference,
    pub(in crate::store) fingerprint: Hex<'a>,
    pub(in crate::store) kept_at: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct WatchRow<'a> {
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) at: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct ParkedRow<'a> {
    pub(in crate::store) id: AnyText<'a>,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) carrier_id: Option<AnyText<'a>>,
    pub(in crate::store) msisdn: Option<u64>,
    pub(in crate::store) received_at: i64,
    #[serde(flatten)]
    pub(in crate::store) body: Body,
}

impl<'a> ParkedRow<'a> {
    pub(in crate::store) fn new(receipt: &'a ParkedReceipt, body: Body) -> ParkedRow<'a> {
        ParkedRow {
            id: AnyText(&receipt.id),
            carrier: receipt.carrier.as_str(),
            carrier_id: receipt.carrier_id.as_deref().map(AnyText),
            msisdn: receipt.msisdn.map(Msisdn::e164),
            received_at: receipt.received_at.unix_ms(),
            body,
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct UnownedRow<'a> {
    pub(in crate::store) id: AnyText<'a>,
    pub(in crate::store) kind: &'static str,
    pub(in crate::store) at: i64,
}

impl<'a> UnownedRow<'a> {
    pub(in crate::store) fn new(id: &'a str, at: Timestamp) -> UnownedRow<'a> {
        UnownedRow { id: AnyText(id), kind: UNOWNED, at: at.unix_ms() }
    }
}
