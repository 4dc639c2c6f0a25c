//! One row of each table, as it travels to its set statement: the fields are the columns.

mod followers;
mod known;
mod texts;

use serde::{Serialize, Serializer};

pub(in crate::store) use self::{
    followers::{FailedRow, PlaceRow, WebhookRow},
    known::{FactRow, HomeRow, LanguageRow, SalesRow},
    texts::{FingerprintRow, MessageRow, MoRow, MovedRow, ParkedRow, UnownedRow, WatchRow},
};
use crate::{
    charge::{Attempt, Charge, Reference, Refund},
    clock::Timestamp,
    ledger::{Account, Entry},
    store::{KeyGuard, Named, NewCarrierId, StoredTicket, Verbatim},
    transit::VehicleCode,
};

/// Rows with a JSON body each. The bodies stand one after another in one blob beside the rows, so that SQLite need not read
/// them in order to pass them on; a row says where its own is.
pub(in crate::store) struct WithBodies<T> {
    pub(in crate::store) rows: Vec<T>,
    pub(in crate::store) bodies: Vec<u8>,
}

/// The place of a body, as `substr` counts: the first byte is 1.
#[derive(Serialize)]
pub(in crate::store) struct Body {
    pub(in crate::store) body_at: usize,
    pub(in crate::store) body_bytes: usize,
}

impl<T> Default for WithBodies<T> {
    fn default() -> WithBodies<T> {
        WithBodies { rows: Vec::new(), bodies: Vec::new() }
    }
}

impl<T> WithBodies<T> {
    /// Gives back the body as it is written.
    pub(in crate::store) fn push<B: Serialize>(&mut self, body: &B, row: impl FnOnce(Body) -> T) -> &[u8] {
        let before = self.bodies.len();
        serde_json::to_writer(&mut self.bodies, body).expect("bodies have text keys and finite numbers");
        self.rows.push(row(Body { body_at: before + 1, body_bytes: self.bodies.len() - before }));
        &self.bodies[before..]
    }
}

/// Bytes as the hex digits that `unhex` reads.
pub(in crate::store) struct Hex<'a>(pub(in crate::store) &'a [u8]);

/// A text of others, in which any character may stand, the one of code 0 too.
#[derive(Serialize)]
pub(in crate::store) struct AnyText<'a>(pub(in crate::store) &'a str);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(self.0))
    }
}

#[derive(Serialize)]
pub(in crate::store) struct OpenedRow<'a> {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) version: u32,
    pub(in crate::store) state: &'static str,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) received_at: i64,
    pub(in crate::store) ticket_deadline: i64,
    pub(in crate::store) due_at: Option<i64>,
    pub(in crate::store) in_doubt_since: Option<i64>,
    pub(in crate::store) amount_minor: i64,
    pub(in crate::store) currency: &'static str,
    // Not for SQLite, which reads them in the body.
    #[serde(skip)]
    pub(in crate::store) agency: AnyText<'a>,
    #[serde(skip)]
    pub(in crate::store) caller: Option<AnyText<'a>>,
    #[serde(flatten)]
    pub(in crate::store) body: Body,
}

impl<'a> OpenedRow<'a> {
    pub(in crate::store) fn new(charge: &'a Charge, body: Body) -> OpenedRow<'a> {
        let order = &charge.order;
        OpenedRow {
            reference: charge.reference,
            version: charge.version,
            state: charge.state.code(),
            msisdn: order.msisdn.e164(),
            vehicle: &order.vehicle,
            received_at: order.received_at.unix_ms(),
            ticket_deadline: charge.terms.ticket_deadline.unix_ms(),
            due_at: charge.due_at().map(Timestamp::unix_ms),
            in_doubt_since: charge.in_doubt_since.map(Timestamp::unix_ms),
            amount_minor: order.amount.minor,
            currency: order.amount.currency.code(),
            agency: AnyText(&order.agency),
            caller: order.channel.caller().map(AnyText),
            body,
        }
    }
}

/// The order and the terms of a charge never change, so their columns stay as they are.
#[derive(Serialize)]
pub(in crate::store) struct ChangedRow {
    pub(in crate::store) reference: Reference,
    // Not for SQLite, which serves one daemon.
    #[serde(skip)]
    pub(in crate::store) opens_attempt: bool,
    pub(in crate::store) from_version: u32,
    pub(in crate::store) version: u32,
    pub(in crate::store) state: &'static str,
    pub(in crate::store) due_at: Option<i64>,
    pub(in crate::store) in_doubt_since: Option<i64>,
    #[serde(flatten)]
    pub(in crate::store) body: Body,
}

impl ChangedRow {
    pub(in crate::store) fn new(from_version: u32, charge: &Charge, opens_attempt: bool, body: Body) -> ChangedRow {
        ChangedRow {
            reference: charge.reference,
            opens_attempt,
            from_version,
            version: charge.version,
            state: charge.state.code(),
            due_at: charge.due_at().map(Timestamp::unix_ms),
            in_doubt_since: charge.in_doubt_since.map(Timestamp::unix_ms),
            body,
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct KeyRow<'a> {
    pub(in crate::store) caller: &'a str,
    pub(in crate::store) key: AnyText<'a>,
    pub(in crate::store) body_sha256: Hex<'a>,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) repeat: bool,
    pub(in crate::store) used_at: i64,
}

impl<'a> KeyRow<'a> {
    pub(in crate::store) fn new(guard: &'a KeyGuard, reference: Reference, repeat: bool, at: Timestamp) -> KeyRow<'a> {
        KeyRow {
            caller: &guard.caller,
            key: AnyText(&guard.key),
            body_sha256: Hex(&guard.body_sha256),
            reference,
            repeat,
            used_at: at.unix_ms(),
        }
    }
}

#[derive(Clone, Copy, Serialize)]
pub(in crate::store) struct SlotRow<'a> {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) passengers: u8,
    pub(in crate::store) held_until: i64,
    /// How the slot was found; NULL if it was free. Not for SQLite, where nobody else writes.
    #[serde(skip)]
    pub(in crate::store) found_holder: Option<Reference>,
    #[serde(skip)]
    pub(in crate::store) found_until: Option<i64>,
}

/// A slot that `holder` holds goes on for another time, or to another charge. No passengers means that they stay.
#[derive(Serialize)]
pub(in crate::store) struct HeldRow<'a> {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) holder: Reference,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) passengers: Option<u8>,
    pub(in crate::store) held_until: i64,
}

#[derive(Serialize)]
pub(in crate::store) struct ReleasedRow<'a> {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) holder: Reference,
}

#[derive(Serialize)]
pub(in crate::store) struct AttemptRow<'a> {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) number: u16,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) wire_reference: &'a str,
    pub(in crate::store) state: &'static str,
    pub(in crate::store) opened_at: i64,
}

impl<'a> AttemptRow<'a> {
    pub(in crate::store) fn new(charge: &Charge, attempt: &'a Attempt) -> AttemptRow<'a> {
        AttemptRow {
            reference: charge.reference,
            number: attempt.number,
            carrier: attempt.carrier.as_str(),
            wire_reference: &attempt.wire_reference,
            state: attempt.state.code(),
            opened_at: attempt.opened_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct EvidenceRow<'a> {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) id: AnyText<'a>,
    pub(in crate::store) words: Option<AnyText<'a>>,
    pub(in crate::store) salt: Option<Hex<'a>>,
}

impl<'a> EvidenceRow<'a> {
    pub(in crate::store) fn new(reference: Reference, id: &'a str, verbatim: Option<&'a Verbatim>) -> EvidenceRow<'a> {
        let words = verbatim.map(|verbatim| AnyText(&verbatim.words));
        EvidenceRow { reference, id: AnyText(id), words, salt: verbatim.map(|verbatim| Hex(&verbatim.salt)) }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct CarrierIdRow<'a> {
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) id: AnyText<'a>,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) attempt: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::store) refund: Option<Reference>,
}

impl<'a> CarrierIdRow<'a> {
    pub(in crate::store) fn new(reference: Reference, new: &'a NewCarrierId) -> CarrierIdRow<'a> {
        let (attempt, refund) = match new.names {
            Named::Attempt(number) => (Some(number), None),
            Named::Refund(refund) => (None, Some(refund)),
        };
        CarrierIdRow { carrier: new.carrier.as_str(), id: AnyText(&new.id), reference, attempt, refund }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct JournalRow {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) at: i64,
    #[serde(flatten)]
    pub(in crate::store) body: Body,
}

#[derive(Serialize)]
pub(in crate::store) struct LedgerRow<'a> {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) version: u32,
    pub(in crate::store) account: &'a Account,
    pub(in crate::store) minor: i64,
    pub(in crate::store) currency: &'static str,
    pub(in crate::store) posted_at: i64,
}

impl<'a> LedgerRow<'a> {
    pub(in crate::store) fn new(entry: &'a Entry) -> LedgerRow<'a> {
        LedgerRow {
            reference: entry.reference,
            version: entry.version,
            account: &entry.account,
            minor: entry.minor,
            currency: entry.currency.code(),
            posted_at: entry.posted_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct TicketRow<'a> {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) vehicle: &'a VehicleCode,
    pub(in crate::store) short_code: &'a str,
    pub(in crate::store) cwt: Hex<'a>,
    pub(in crate::store) issued_at: i64,
    pub(in crate::store) expires_at: i64,
    pub(in crate::store) revoked_at: Option<i64>,
}

impl<'a> TicketRow<'a> {
    pub(in crate::store) fn new(ticket: &'a StoredTicket) -> TicketRow<'a> {
        TicketRow {
            reference: ticket.reference,
            msisdn: ticket.msisdn.e164(),
            vehicle: &ticket.vehicle,
            short_code: &ticket.short_code,
            cwt: Hex(&ticket.cwt),
            issued_at: ticket.issued_at.unix_ms(),
            expires_at: ticket.expires_at.unix_ms(),
            revoked_at: ticket.revoked_at.map(Timestamp::unix_ms),
        }
    }
}

/// Something happens to what `id` names at this moment.
#[derive(Serialize)]
pub(in crate::store) struct MomentRow {
    pub(in crate::store) id: Reference,
    pub(in crate::store) at: i64,
}

impl MomentRow {
    pub(in crate::store) fn new(id: Reference, at: Timestamp) -> MomentRow {
        MomentRow { id, at: at.unix_ms() }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct BreakRow {
    pub(in crate::store) reference: Reference,
    pub(in crate::store) kind: &'static str,
    pub(in crate::store) at: i64,
    pub(in crate::store) amount_minor: i64,
    pub(in crate::store) currency: &'static str,
}

#[derive(Serialize)]
pub(in crate::store) struct RefundRow<'a> {
    pub(in crate::store) id: Reference,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) state: &'static str,
    pub(in crate::store) minor: i64,
    pub(in crate::store) currency: &'static str,
    pub(in crate::store) opened_at: i64,
}

impl<'a> RefundRow<'a> {
    /// One for each refund of a charge.
    pub(in crate::store) fn all(charge: &'a Charge) -> impl Iterator<Item = RefundRow<'a>> {
        charge.refunds.iter().filter_map(|refund| RefundRow::new(charge, refund))
    }

    fn new(charge: &'a Charge, refund: &Refund) -> Option<RefundRow<'a>> {
        Some(RefundRow {
            id: refund.reference,
            reference: charge.reference,
            carrier: charge.carrier_of(refund)?.as_str(),
            state: refund.state.code(),
            minor: refund.amount.minor,
            currency: refund.amount.currency.code(),
            opened_at: refund.opened_at.unix_ms(),
        })
    }
}
