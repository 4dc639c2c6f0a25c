//! One row of each table, as it travels to its set statement: the fields are the columns.

use serde::{Serialize, Serializer};

use crate::{
    charge::{Attempt, CarrierName, Charge, Home, Reference},
    clock::Timestamp,
    eligibility::{FactName, FactSource, FactValue},
    ledger::{Account, Entry},
    msisdn::Msisdn,
    passenger::Language,
    store::{
        EventPlace, IncomingSms, KeyGuard, Named, NewCarrierId, OutgoingSms, ParkedReceipt, StoredFact, StoredTicket,
        Verbatim, WebhookProgress, sales::SalesChanges,
    },
    transit::VehicleCode,
};

/// Rows with a JSON body each. The bodies stand one after another in one blob beside the rows, so that SQLite need not read
/// them in order to pass them on; a row says where its own is.
pub(super) struct WithBodies<T> {
    pub(super) rows: Vec<T>,
    pub(super) bodies: Vec<u8>,
}

/// The place of a body, as `substr` counts: the first byte is 1.
#[derive(Serialize)]
pub(super) struct Body {
    pub(super) body_at: usize,
    pub(super) body_bytes: usize,
}

impl<T> Default for WithBodies<T> {
    fn default() -> WithBodies<T> {
        WithBodies { rows: Vec::new(), bodies: Vec::new() }
    }
}

impl<T> WithBodies<T> {
    /// Gives back the body as it is written.
    pub(super) fn push<B: Serialize>(&mut self, body: &B, row: impl FnOnce(Body) -> T) -> &[u8] {
        let before = self.bodies.len();
        serde_json::to_writer(&mut self.bodies, body).expect("bodies have text keys and finite numbers");
        self.rows.push(row(Body { body_at: before + 1, body_bytes: self.bodies.len() - before }));
        &self.bodies[before..]
    }
}

/// Bytes as the hex digits that `unhex` reads.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(self.0))
    }
}

#[derive(Serialize)]
pub(super) struct OpenedRow<'a> {
    pub(super) reference: Reference,
    pub(super) version: u32,
    pub(super) state: &'static str,
    pub(super) msisdn: u64,
    pub(super) vehicle: &'a VehicleCode,
    pub(super) received_at: i64,
    pub(super) ticket_deadline: i64,
    pub(super) due_at: Option<i64>,
    pub(super) in_doubt_since: Option<i64>,
    pub(super) amount_minor: i64,
    pub(super) currency: &'static str,
    #[serde(flatten)]
    pub(super) body: Body,
}

impl<'a> OpenedRow<'a> {
    pub(super) fn new(charge: &'a Charge, body: Body) -> OpenedRow<'a> {
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
            body,
        }
    }
}

/// The order and the terms of a charge never change, so their columns stay as they are.
#[derive(Serialize)]
pub(super) struct ChangedRow {
    pub(super) reference: Reference,
    pub(super) from_version: u32,
    pub(super) version: u32,
    pub(super) state: &'static str,
    pub(super) due_at: Option<i64>,
    pub(super) in_doubt_since: Option<i64>,
    #[serde(flatten)]
    pub(super) body: Body,
}

impl ChangedRow {
    pub(super) fn new(from_version: u32, charge: &Charge, body: Body) -> ChangedRow {
        ChangedRow {
            reference: charge.reference,
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
pub(super) struct KeyRow<'a> {
    pub(super) caller: &'a str,
    pub(super) key: &'a str,
    pub(super) body_sha256: Hex<'a>,
    pub(super) reference: Reference,
    pub(super) repeat: bool,
    pub(super) used_at: i64,
}

impl<'a> KeyRow<'a> {
    pub(super) fn new(guard: &'a KeyGuard, reference: Reference, repeat: bool, at: Timestamp) -> KeyRow<'a> {
        KeyRow {
            caller: &guard.caller,
            key: &guard.key,
            body_sha256: Hex(&guard.body_sha256),
            reference,
            repeat,
            used_at: at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SlotRow<'a> {
    pub(super) msisdn: u64,
    pub(super) vehicle: &'a VehicleCode,
    pub(super) reference: Reference,
    pub(super) passengers: u8,
    pub(super) held_until: i64,
}

/// A slot that `holder` holds goes on for another time, or to another charge. No passengers means that they stay.
#[derive(Serialize)]
pub(super) struct HeldRow<'a> {
    pub(super) msisdn: u64,
    pub(super) vehicle: &'a VehicleCode,
    pub(super) holder: Reference,
    pub(super) reference: Reference,
    pub(super) passengers: Option<u8>,
    pub(super) held_until: i64,
}

#[derive(Serialize)]
pub(super) struct ReleasedRow<'a> {
    pub(super) msisdn: u64,
    pub(super) vehicle: &'a VehicleCode,
    pub(super) holder: Reference,
}

#[derive(Serialize)]
pub(super) struct AttemptRow<'a> {
    pub(super) reference: Reference,
    pub(super) number: u16,
    pub(super) carrier: &'a str,
    pub(super) wire_reference: &'a str,
    pub(super) state: &'static str,
    pub(super) opened_at: i64,
}

impl<'a> AttemptRow<'a> {
    pub(super) fn new(charge: &Charge, attempt: &'a Attempt) -> AttemptRow<'a> {
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
pub(super) struct EvidenceRow<'a> {
    reference: Reference,
    id: &'a str,
    words: Option<&'a str>,
    salt: Option<Hex<'a>>,
}

impl<'a> EvidenceRow<'a> {
    pub(super) fn new(reference: Reference, id: &'a str, verbatim: Option<&'a Verbatim>) -> EvidenceRow<'a> {
        let words = verbatim.map(|verbatim| verbatim.words.as_str());
        EvidenceRow { reference, id, words, salt: verbatim.map(|verbatim| Hex(&verbatim.salt)) }
    }
}

#[derive(Serialize)]
pub(super) struct CarrierIdRow<'a> {
    pub(super) carrier: &'a str,
    pub(super) id: &'a str,
    pub(super) reference: Reference,
    pub(super) attempt: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund: Option<Reference>,
}

impl<'a> CarrierIdRow<'a> {
    pub(super) fn new(reference: Reference, new: &'a NewCarrierId) -> CarrierIdRow<'a> {
        let (attempt, refund) = match new.names {
            Named::Attempt(number) => (Some(number), None),
            Named::Refund(refund) => (None, Some(refund)),
        };
        CarrierIdRow { carrier: new.carrier.as_str(), id: &new.id, reference, attempt, refund }
    }
}

#[derive(Serialize)]
pub(super) struct JournalRow {
    pub(super) reference: Reference,
    pub(super) at: i64,
    #[serde(flatten)]
    pub(super) body: Body,
}

#[derive(Serialize)]
pub(super) struct LedgerRow<'a> {
    pub(super) reference: Reference,
    pub(super) version: u32,
    pub(super) account: &'a Account,
    pub(super) minor: i64,
    pub(super) currency: &'static str,
    pub(super) posted_at: i64,
}

impl<'a> LedgerRow<'a> {
    pub(super) fn new(entry: &'a Entry) -> LedgerRow<'a> {
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
pub(super) struct TicketRow<'a> {
    pub(super) reference: Reference,
    pub(super) msisdn: u64,
    pub(super) vehicle: &'a VehicleCode,
    pub(super) short_code: &'a str,
    pub(super) cwt: Hex<'a>,
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
    pub(super) revoked_at: Option<i64>,
}

impl<'a> TicketRow<'a> {
    pub(super) fn new(ticket: &'a StoredTicket) -> TicketRow<'a> {
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
pub(super) struct MomentRow {
    pub(super) id: Reference,
    pub(super) at: i64,
}

impl MomentRow {
    pub(super) fn new(id: Reference, at: Timestamp) -> MomentRow {
        MomentRow { id, at: at.unix_ms() }
    }
}

#[derive(Serialize)]
pub(super) struct MessageRow<'a> {
    pub(super) id: Reference,
    pub(super) reference: Option<Reference>,
    pub(super) carrier: &'a str,
    pub(super) msisdn: u64,
    pub(super) text: &'a str,
    pub(super) ticket: bool,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
}

impl<'a> MessageRow<'a> {
    pub(super) fn new(message: &'a OutgoingSms) -> MessageRow<'a> {
        MessageRow {
            id: message.id,
            reference: message.reference,
            carrier: message.carrier.as_str(),
            msisdn: message.msisdn.e164(),
            text: &message.text,
            ticket: message.ticket,
            created_at: message.created_at.unix_ms(),
            expires_at: message.expires_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MovedRow {
    pub(super) id: Reference,
    pub(super) state: &'static str,
    pub(super) tries: u32,
    pub(super) due_at: i64,
}

#[derive(Serialize)]
pub(super) struct MoRow<'a> {
    pub(super) id: Reference,
    pub(super) carrier: &'a str,
    pub(super) msisdn: u64,
    pub(super) destination: &'a str,
    pub(super) text: &'a str,
    pub(super) fingerprint: Hex<'a>,
    pub(super) received_at: i64,
    pub(super) same_since: i64,
    pub(super) kind: &'static str,
    pub(super) kept_at: i64,
    pub(super) part_reference: Option<u16>,
    pub(super) part_wide: Option<bool>,
    pub(super) part_total: Option<u8>,
    pub(super) part_number: Option<u8>,
}

impl<'a> MoRow<'a> {
    pub(super) fn new(message: &'a IncomingSms) -> MoRow<'a> {
        MoRow {
            id: message.id,
            carrier: message.carrier.as_str(),
            msisdn: message.msisdn.e164(),
            destination: &message.destination,
            text: &message.text,
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
pub(super) struct FingerprintRow<'a> {
    pub(super) id: Reference,
    pub(super) fingerprint: Hex<'a>,
    pub(super) kept_at: i64,
}

#[derive(Serialize)]
pub(super) struct WatchRow<'a> {
    pub(super) carrier: &'a str,
    pub(super) at: i64,
}

#[derive(Serialize)]
pub(super) struct ParkedRow<'a> {
    pub(super) id: &'a str,
    pub(super) carrier: &'a str,
    pub(super) carrier_id: Option<&'a str>,
    pub(super) msisdn: Option<u64>,
    pub(super) received_at: i64,
    #[serde(flatten)]
    pub(super) body: Body,
}

impl<'a> ParkedRow<'a> {
    pub(super) fn new(receipt: &'a ParkedReceipt, body: Body) -> ParkedRow<'a> {
        ParkedRow {
            id: &receipt.id,
            carrier: receipt.carrier.as_str(),
            carrier_id: receipt.carrier_id.as_deref(),
            msisdn: receipt.msisdn.map(Msisdn::e164),
            received_at: receipt.received_at.unix_ms(),
            body,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BreakRow {
    pub(super) reference: Reference,
    pub(super) kind: &'static str,
    pub(super) at: i64,
    pub(super) amount_minor: i64,
    pub(super) currency: &'static str,
}

#[derive(Serialize)]
pub(super) struct LanguageRow {
    pub(super) msisdn: u64,
    pub(super) language: Language,
}

#[derive(Serialize)]
pub(super) struct FactRow<'a> {
    pub(super) msisdn: u64,
    pub(super) carrier: &'a str,
    pub(super) name: FactName,
    pub(super) value: FactValue,
    pub(super) source: &'a FactSource,
    pub(super) observed_at: i64,
}

impl<'a> FactRow<'a> {
    pub(super) fn new(stored: &'a StoredFact) -> FactRow<'a> {
        FactRow {
            msisdn: stored.msisdn.e164(),
            carrier: stored.carrier.as_str(),
            name: stored.name,
            value: stored.fact.value,
            source: &stored.fact.source,
            observed_at: stored.fact.observed_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct HomeRow<'a> {
    pub(super) msisdn: u64,
    pub(super) carrier: Option<&'a str>,
    pub(super) refused_by: Option<&'a str>,
    pub(super) source: &'static str,
    pub(super) observed_at: i64,
}

impl<'a> HomeRow<'a> {
    pub(super) fn new(home: &'a Home) -> HomeRow<'a> {
        HomeRow {
            msisdn: home.msisdn.e164(),
            carrier: home.carrier.as_ref().map(CarrierName::as_str),
            refused_by: home.refused_by.as_ref().map(CarrierName::as_str),
            source: home.source.code(),
            observed_at: home.observed_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SalesRow<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) quarter: i64,
    pub(super) currency: &'static str,
    pub(super) minor: i64,
}

impl SalesRow<'_> {
    /// What changes at all.
    pub(super) fn all(changes: &SalesChanges) -> Vec<SalesRow<'_>> {
        let changed = changes.iter().filter(|(_, minor)| **minor != 0);
        changed
            .map(|((seller, quarter, currency), minor)| SalesRow {
                kind: seller.kind(),
                name: seller.name(),
                quarter: quarter.unix_ms(),
                currency: currency.code(),
                minor: *minor,
            })
            .collect()
    }
}

#[derive(Serialize)]
pub(super) struct WebhookRow<'a> {
    pub(super) name: &'a str,
    pub(super) cursor: u64,
    pub(super) failing_since: Option<i64>,
    pub(super) disabled: Option<&'static str>,
    pub(super) disabled_at: Option<i64>,
    pub(super) replay_cursor: Option<u64>,
    pub(super) replay_until: Option<u64>,
}

impl<'a> WebhookRow<'a> {
    pub(super) fn new(WebhookProgress { name, standing, .. }: &'a WebhookProgress) -> WebhookRow<'a> {
        WebhookRow {
            name,
            cursor: standing.cursor,
            failing_since: standing.failing_since.map(Timestamp::unix_ms),
            disabled: standing.disabled.map(|(why, _)| why.code()),
            disabled_at: standing.disabled.map(|(_, at)| at.unix_ms()),
            replay_cursor: standing.replay.map(|replay| replay.cursor),
            replay_until: standing.replay.map(|replay| replay.until),
        }
    }
}

/// The place of a failed delivery.
#[derive(Serialize)]
pub(super) struct PlaceRow<'a> {
    pub(super) webhook: &'a str,
    pub(super) entry: u64,
    pub(super) part: u8,
}

impl<'a> PlaceRow<'a> {
    pub(super) fn removed(progress: &'a WebhookProgress) -> impl Iterator<Item = PlaceRow<'a>> {
        let row = |place: &EventPlace| PlaceRow { webhook: &progress.name, entry: place.entry, part: place.part };
        progress.removed.iter().map(row)
    }
}

#[derive(Serialize)]
pub(super) struct FailedRow<'a> {
    pub(super) webhook: &'a str,
    pub(super) entry: u64,
    pub(super) part: u8,
    pub(super) event_type: &'a str,
    pub(super) reference: Reference,
    pub(super) failed_at: i64,
    pub(super) tries: u32,
    pub(super) due_at: Option<i64>,
    pub(super) why: &'a str,
}

impl<'a> FailedRow<'a> {
    pub(super) fn all(progress: &'a WebhookProgress) -> impl Iterator<Item = FailedRow<'a>> {
        progress.failed.iter().map(|failed| FailedRow {
            webhook: &progress.name,
            entry: failed.place.entry,
            part: failed.place.part,
            event_type: &failed.event_type,
            reference: failed.reference,
            failed_at: failed.failed_at.unix_ms(),
            tries: failed.tries,
            due_at: failed.due_at.map(Timestamp::unix_ms),
            why: &failed.why,
        })
    }
}
