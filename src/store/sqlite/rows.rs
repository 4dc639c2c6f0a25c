//! What a batch writes, table by table: each list becomes one set statement.

use serde::{Serialize, Serializer};

use super::judge::{Superseded, Verdicts};
use crate::{
    charge::{Attempt, Charge, Reference},
    clock::Timestamp,
    ledger::Entry,
    passenger::Language,
    store::{
        IncomingSms, JournalEntry, KeyGuard, MessageProgress, MoAnswer, Opening, Outcome, OutgoingSms, ParkedReceipt,
        Settlement, SlotChange, StoredTicket, Write,
    },
    transit::VehicleCode,
};

/// The rows of a batch, in the order of its writes.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) opened: WithBodies<OpenedRow<'a>>,
    pub(super) changed: WithBodies<ChangedRow>,
    pub(super) keys: Vec<KeyRow<'a>>,
    pub(super) slots: Vec<SlotRow<'a>>,
    pub(super) held: Vec<HeldRow<'a>>,
    pub(super) released: Vec<ReleasedRow<'a>>,
    pub(super) attempts: Vec<AttemptRow<'a>>,
    pub(super) evidence: Vec<EvidenceRow<'a>>,
    pub(super) carrier_ids: Vec<CarrierIdRow<'a>>,
    pub(super) journal: WithBodies<JournalRow>,
    pub(super) ledger: Vec<LedgerRow<'a>>,
    pub(super) tickets: Vec<TicketRow<'a>>,
    pub(super) revoked: Vec<MomentRow>,
    pub(super) messages: Vec<MessageRow<'a>>,
    pub(super) moved: Vec<MovedRow>,
    pub(super) mos: Vec<MoRow<'a>>,
    pub(super) answered: Vec<MomentRow>,
    pub(super) parked: WithBodies<ParkedRow<'a>>,
    pub(super) unparked: Vec<&'a str>,
    pub(super) breaks: Vec<BreakRow>,
    pub(super) languages: Vec<LanguageRow>,
}

impl<'a> Rows<'a> {
    /// The rows of those writes that passed their guards.
    pub(super) fn collect(batch: &'a [Write], verdicts: &'a Verdicts) -> Rows<'a> {
        let mut rows = Rows::default();
        verdicts.superseded.iter().for_each(|old| rows.supersede(old));
        for (place, (write, outcome)) in batch.iter().zip(&verdicts.outcomes).enumerate() {
            let needless = verdicts.needless_answers.contains(&place);
            match (write, outcome) {
                (Write::Open(opening), Outcome::Opened { .. }) => rows.open(opening),
                (Write::Settle(settlement), Outcome::Settled { .. }) => rows.settle(settlement),
                (Write::RecordRepeat { guard, reference, at, mo }, Outcome::Done) => {
                    rows.keys.push(KeyRow::new(guard, *reference, true, *at));
                    mo.iter().filter(|_| !needless).for_each(|answer| rows.answer(answer));
                }
                (Write::KeepMo(message), Outcome::MoKept) => rows.mos.push(MoRow::new(message)),
                (Write::AnswerMo(answer), Outcome::Done) => rows.answer(answer),
                (Write::Park(receipt), Outcome::Parked) => {
                    rows.parked.push(&receipt.body, |body| ParkedRow::new(receipt, body));
                }
                (Write::Unpark { id }, _) => rows.unparked.push(id),
                (Write::MoveMessage(progress), _) => rows.move_message(progress),
                (Write::SetLanguage { msisdn, language }, _) => {
                    rows.languages.push(LanguageRow { msisdn: msisdn.e164(), language: *language });
                }
                _ => {}
            }
        }
        rows
    }

    fn supersede(&mut self, old: &'a Superseded) {
        self.changed.push(&old.charge, |body| ChangedRow::new(old.from_version, &old.charge, body));
        self.append(&old.entry);
    }

    fn open(&mut self, opening: &'a Opening) {
        let charge = &opening.charge;
        let order = &charge.order;
        self.opened.push(charge, |body| OpenedRow::new(charge, body));
        self.keys.push(KeyRow::new(&opening.guard, charge.reference, false, order.received_at));
        self.slots.extend(opening.slot.iter().map(|wish| SlotRow {
            msisdn: order.msisdn.e164(),
            vehicle: &order.vehicle,
            reference: charge.reference,
            passengers: wish.passengers,
            held_until: wish.held_until.unix_ms(),
        }));
        self.attempts.extend(charge.attempts.iter().map(|attempt| AttemptRow::new(charge, attempt)));
        opening.journal.iter().for_each(|entry| self.append(entry));
        self.messages.extend(opening.messages.iter().map(MessageRow::new));
        self.answered.extend(opening.mo.map(|mo| MomentRow::new(mo, charge.updated_at)));
    }

    fn settle(&mut self, settlement: &'a Settlement) {
        let charge = &settlement.charge;
        let (reference, at) = (charge.reference, settlement.journal.at);
        self.changed.push(charge, |body| ChangedRow::new(settlement.from_version, charge, body));
        self.evidence.extend(settlement.journal.evidence_id().map(|id| EvidenceRow { reference, id }));
        self.attempts.extend(charge.attempts.iter().map(|attempt| AttemptRow::new(charge, attempt)));
        self.carrier_ids.extend(settlement.carrier_id.iter().map(|new| CarrierIdRow {
            carrier: new.carrier.as_str(),
            id: &new.id,
            reference,
            attempt: Some(new.attempt),
        }));
        self.append(&settlement.journal);
        self.ledger.extend(settlement.entries.iter().map(LedgerRow::new));
        self.tickets.extend(settlement.ticket.iter().map(TicketRow::new));
        self.revoked.extend(settlement.revoke_ticket.then(|| MomentRow::new(reference, at)));
        self.messages.extend(settlement.messages.iter().map(MessageRow::new));
        self.change_slot(charge, &settlement.slot);
        self.breaks.extend(settlement.breaks.iter().map(|found| BreakRow {
            reference,
            kind: found.code(),
            at: at.unix_ms(),
            amount_minor: charge.order.amount.minor,
            currency: charge.order.amount.currency.code(),
        }));
    }

    fn change_slot(&mut self, charge: &'a Charge, change: &'a SlotChange) {
        let (msisdn, vehicle, reference) = (charge.order.msisdn.e164(), &charge.order.vehicle, charge.reference);
        match change {
            SlotChange::Keep => {}
            SlotChange::HoldUntil(until) => self.held.push(HeldRow {
                msisdn,
                vehicle,
                holder: reference,
                reference,
                passengers: None,
                held_until: until.unix_ms(),
            }),
            SlotChange::Release(Some(before)) => self.held.push(HeldRow {
                msisdn,
                vehicle,
                holder: reference,
                reference: before.reference,
                passengers: Some(before.passengers),
                held_until: before.held_until.unix_ms(),
            }),
            SlotChange::Release(None) => self.released.push(ReleasedRow { msisdn, vehicle, holder: reference }),
        }
    }

    fn append(&mut self, entry: &JournalEntry) {
        let (reference, at) = (entry.reference, entry.at.unix_ms());
        self.journal.push(entry, |body| JournalRow { reference, at, body });
    }

    fn answer(&mut self, answer: &'a MoAnswer) {
        self.answered.push(MomentRow::new(answer.mo, answer.at));
        self.messages.extend(answer.messages.iter().map(MessageRow::new));
    }

    fn move_message(&mut self, progress: &'a MessageProgress) {
        self.moved.push(MovedRow {
            id: progress.id,
            state: progress.to.code(),
            tries: progress.tries,
            due_at: progress.due_at.unix_ms(),
        });
        self.carrier_ids.extend(progress.carrier_id.iter().map(|(carrier, id)| CarrierIdRow {
            carrier: carrier.as_str(),
            id,
            reference: progress.id,
            attempt: None,
        }));
    }
}

/// Rows with a JSON body each. The bodies stand one after another in one blob beside the rows, so that SQLite need not read
/// them in order to pass them on; a row says where its own is.
pub(super) struct WithBodies<T> {
    pub(super) rows: Vec<T>,
    pub(super) bodies: Vec<u8>,
}

/// The place of a body, as `substr` counts: the first byte is 1.
#[derive(Serialize)]
pub(super) struct Body {
    body_at: usize,
    body_bytes: usize,
}

impl<T> Default for WithBodies<T> {
    fn default() -> WithBodies<T> {
        WithBodies { rows: Vec::new(), bodies: Vec::new() }
    }
}

impl<T> WithBodies<T> {
    fn push<B: Serialize>(&mut self, body: &B, row: impl FnOnce(Body) -> T) {
        let before = self.bodies.len();
        serde_json::to_writer(&mut self.bodies, body).expect("bodies have text keys and finite numbers");
        self.rows.push(row(Body { body_at: before + 1, body_bytes: self.bodies.len() - before }));
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
    reference: Reference,
    version: u32,
    state: &'static str,
    msisdn: u64,
    vehicle: &'a VehicleCode,
    received_at: i64,
    ticket_deadline: i64,
    due_at: Option<i64>,
    in_doubt_since: Option<i64>,
    amount_minor: i64,
    currency: &'static str,
    #[serde(flatten)]
    body: Body,
}

impl<'a> OpenedRow<'a> {
    fn new(charge: &'a Charge, body: Body) -> OpenedRow<'a> {
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
    reference: Reference,
    from_version: u32,
    version: u32,
    state: &'static str,
    due_at: Option<i64>,
    in_doubt_since: Option<i64>,
    #[serde(flatten)]
    body: Body,
}

impl ChangedRow {
    fn new(from_version: u32, charge: &Charge, body: Body) -> ChangedRow {
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
    caller: &'a str,
    key: &'a str,
    body_sha256: Hex<'a>,
    reference: Reference,
    repeat: bool,
    used_at: i64,
}

impl<'a> KeyRow<'a> {
    fn new(guard: &'a KeyGuard, reference: Reference, repeat: bool, at: Timestamp) -> KeyRow<'a> {
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
    msisdn: u64,
    vehicle: &'a VehicleCode,
    reference: Reference,
    passengers: u8,
    held_until: i64,
}

/// A slot that `holder` holds goes on for another time, or to another charge. No passengers means that they stay.
#[derive(Serialize)]
pub(super) struct HeldRow<'a> {
    msisdn: u64,
    vehicle: &'a VehicleCode,
    holder: Reference,
    reference: Reference,
    passengers: Option<u8>,
    held_until: i64,
}

#[derive(Serialize)]
pub(super) struct ReleasedRow<'a> {
    msisdn: u64,
    vehicle: &'a VehicleCode,
    holder: Reference,
}

#[derive(Serialize)]
pub(super) struct AttemptRow<'a> {
    reference: Reference,
    number: u16,
    carrier: &'a str,
    wire_reference: &'a str,
    state: &'static str,
    opened_at: i64,
}

impl<'a> AttemptRow<'a> {
    fn new(charge: &Charge, attempt: &'a Attempt) -> AttemptRow<'a> {
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
}

#[derive(Serialize)]
pub(super) struct CarrierIdRow<'a> {
    carrier: &'a str,
    id: &'a str,
    reference: Reference,
    attempt: Option<u16>,
}

#[derive(Serialize)]
pub(super) struct JournalRow {
    reference: Reference,
    at: i64,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize)]
pub(super) struct LedgerRow<'a> {
    reference: Reference,
    version: u32,
    account: &'a crate::ledger::Account,
    minor: i64,
    currency: &'static str,
    posted_at: i64,
}

impl<'a> LedgerRow<'a> {
    fn new(entry: &'a Entry) -> LedgerRow<'a> {
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
    reference: Reference,
    msisdn: u64,
    vehicle: &'a VehicleCode,
    short_code: &'a str,
    cwt: Hex<'a>,
    issued_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl<'a> TicketRow<'a> {
    fn new(ticket: &'a StoredTicket) -> TicketRow<'a> {
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
    id: Reference,
    at: i64,
}

impl MomentRow {
    fn new(id: Reference, at: Timestamp) -> MomentRow {
        MomentRow { id, at: at.unix_ms() }
    }
}

#[derive(Serialize)]
pub(super) struct MessageRow<'a> {
    id: Reference,
    reference: Option<Reference>,
    carrier: &'a str,
    msisdn: u64,
    text: &'a str,
    ticket: bool,
    created_at: i64,
    expires_at: i64,
}

impl<'a> MessageRow<'a> {
    fn new(message: &'a OutgoingSms) -> MessageRow<'a> {
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
    id: Reference,
    state: &'static str,
    tries: u32,
    due_at: i64,
}

#[derive(Serialize)]
pub(super) struct MoRow<'a> {
    id: Reference,
    carrier: &'a str,
    msisdn: u64,
    destination: &'a str,
    text: &'a str,
    fingerprint: Hex<'a>,
    received_at: i64,
    same_since: i64,
}

impl<'a> MoRow<'a> {
    fn new(message: &'a IncomingSms) -> MoRow<'a> {
        MoRow {
            id: message.id,
            carrier: message.carrier.as_str(),
            msisdn: message.msisdn.e164(),
            destination: &message.destination,
            text: &message.text,
            fingerprint: Hex(&message.fingerprint),
            received_at: message.received_at.unix_ms(),
            same_since: message.same_since.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ParkedRow<'a> {
    id: &'a str,
    carrier: &'a str,
    carrier_id: Option<&'a str>,
    msisdn: u64,
    received_at: i64,
    #[serde(flatten)]
    body: Body,
}

impl<'a> ParkedRow<'a> {
    fn new(receipt: &'a ParkedReceipt, body: Body) -> ParkedRow<'a> {
        ParkedRow {
            id: &receipt.id,
            carrier: receipt.carrier.as_str(),
            carrier_id: receipt.carrier_id.as_deref(),
            msisdn: receipt.msisdn.e164(),
            received_at: receipt.received_at.unix_ms(),
            body,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BreakRow {
    reference: Reference,
    kind: &'static str,
    at: i64,
    amount_minor: i64,
    currency: &'static str,
}

#[derive(Serialize)]
pub(super) struct LanguageRow {
    msisdn: u64,
    language: Language,
}
