//! The rows that a charge is made of, from what the engine is given: the same tables, the same columns, the same bodies.

use smsbusd::{
    charge::{Attempt, Charge},
    store::{JournalEntry, Named, Opening, Settlement, SlotChange},
};

use crate::statements::{
    How::{Insert, Update},
    Kind::{AnyText, Body, Bytes, Flag, Int, Name, Text},
    Known, Rows, Statement, Value,
};

/// What the chain of hashes would hold. The hashing is the engine's work; the row is the same.
static HASH: [u8; 32] = [0xa5; 32];

/// What belongs to an opening, of one charge or of many: one transaction. `block`: whose block of the chain it is, and which.
pub(crate) fn openings<'a>(openings: &[&'a Opening], on_postgres: bool, block: (i64, i64)) -> Vec<Rows<'a>> {
    let entries: Vec<&JournalEntry> = openings.iter().flat_map(|opening| &opening.journal).collect();
    let charges = openings.iter().flat_map(|opening| charge_row(&opening.charge, on_postgres));
    let keys = openings.iter().flat_map(|opening| {
        let (guard, charge) = (&opening.guard, &opening.charge);
        [
            Value::Text(&guard.caller),
            Value::AnyText(Some(&guard.key)),
            Value::Bytes(Some(&guard.body_sha256)),
            Value::Name(Some(charge.reference)),
            Value::Flag(false),
            int(charge.order.received_at.unix_ms()),
        ]
    });
    let slots = openings.iter().flat_map(|opening| {
        let (order, claim) = (&opening.charge.order, opening.slot.as_ref().expect("all of these claim their slot"));
        [
            msisdn(&opening.charge),
            Value::Text(order.vehicle.as_str()),
            Value::Name(Some(opening.charge.reference)),
            int(claim.passengers.into()),
            int(claim.held_until.unix_ms()),
        ]
    });
    let attempts = openings.iter().flat_map(|opening| {
        let attempt = first_attempt(&opening.charge);
        [
            Value::Name(Some(opening.charge.reference)),
            int(attempt.number.into()),
            Value::Text(attempt.carrier.as_str()),
            Value::Text(&attempt.wire_reference),
            Value::Text(attempt.state.code()),
            int(attempt.opened_at.unix_ms()),
        ]
    });
    vec![
        Rows { statement: if on_postgres { &POSTGRES_CHARGES } else { &SQLITE_CHARGES }, values: charges.collect() },
        Rows { statement: &KEYS, values: keys.collect() },
        Rows { statement: &SLOTS, values: slots.collect() },
        Rows { statement: &ATTEMPTS, values: attempts.collect() },
        journal(&entries),
        chain(block, entries.len(), 0, openings.first().map_or(0, |opening| opening.charge.updated_at.unix_ms())),
    ]
}

/// What belongs to a settlement.
pub(crate) fn settlements<'a>(settlements: &[&'a Settlement], block: (i64, i64)) -> Vec<Rows<'a>> {
    let of = |settlement: &'a Settlement| Value::Name(Some(settlement.charge.reference));
    let charges = settlements.iter().flat_map(|settlement| {
        let charge = &settlement.charge;
        [
            of(settlement),
            int(settlement.from_version.into()),
            int(charge.version.into()),
            Value::Text(charge.state.code()),
            Value::Int(charge.due_at().map(|at| at.unix_ms())),
            Value::Int(charge.in_doubt_since.map(|at| at.unix_ms())),
            Value::Body(serde_json::to_string(charge).unwrap()),
        ]
    });
    let evidence = settlements.iter().flat_map(|settlement| {
        let verbatim = settlement.verbatim.as_ref();
        [
            of(settlement),
            Value::AnyText(settlement.journal.evidence_id()),
            Value::AnyText(verbatim.map(|verbatim| verbatim.words.as_str())),
            Value::Bytes(verbatim.map(|verbatim| verbatim.salt.as_slice())),
        ]
    });
    let attempts = settlements.iter().flat_map(|settlement| {
        let attempt = first_attempt(&settlement.charge);
        [of(settlement), int(attempt.number.into()), Value::Text(attempt.state.code())]
    });
    let carrier_ids = settlements.iter().flat_map(|settlement| {
        let new = settlement.carrier_id.as_ref().expect("all of these learn an id");
        let Named::Attempt(attempt) = new.names else { unreachable!("none of these is a refund") };
        [Value::Text(new.carrier.as_str()), Value::AnyText(Some(&new.id)), of(settlement), int(attempt.into())]
    });
    let entries: Vec<&JournalEntry> = settlements.iter().map(|settlement| &settlement.journal).collect();
    let lines = || settlements.iter().flat_map(|settlement| &settlement.entries);
    let ledger = lines().flat_map(|line| {
        [
            Value::Name(Some(line.reference)),
            int(line.version.into()),
            Value::Body(line.account.to_string()),
            int(line.minor),
            Value::Text(line.currency.code()),
            int(line.posted_at.unix_ms()),
        ]
    });
    let at = settlements.first().map_or(0, |settlement| settlement.journal.at.unix_ms());
    vec![
        Rows { statement: &CHARGES_CHANGED, values: charges.collect() },
        Rows { statement: &EVIDENCE, values: evidence.collect() },
        Rows { statement: &ATTEMPTS_CHANGED, values: attempts.collect() },
        Rows { statement: &CARRIER_IDS, values: carrier_ids.collect() },
        journal(&entries),
        Rows { statement: &LEDGER, values: ledger.collect() },
        tickets(settlements),
        messages(settlements),
        slots_held(settlements),
        chain(block, entries.len(), lines().count(), at),
    ]
}

fn charge_row(charge: &Charge, on_postgres: bool) -> Vec<Value<'_>> {
    let order = &charge.order;
    let mut row = vec![
        Value::Name(Some(charge.reference)),
        int(charge.version.into()),
        Value::Text(charge.state.code()),
        msisdn(charge),
        Value::Text(order.vehicle.as_str()),
        int(order.received_at.unix_ms()),
        int(charge.terms.ticket_deadline.unix_ms()),
        Value::Int(charge.due_at().map(|at| at.unix_ms())),
        int(order.amount.minor),
        Value::Text(order.amount.currency.code()),
        Value::Body(serde_json::to_string(charge).unwrap()),
    ];
    if on_postgres {
        row.extend([Value::AnyText(Some(&order.agency)), Value::AnyText(order.channel.caller())]);
    }
    row
}

fn journal<'a>(entries: &[&'a JournalEntry]) -> Rows<'a> {
    let values = entries.iter().flat_map(|entry| {
        let body = Value::Body(serde_json::to_string(entry).unwrap());
        [Value::Name(Some(entry.reference)), int(entry.at.unix_ms()), body]
    });
    Rows { statement: &JOURNAL, values: values.collect() }
}

/// One block for a transaction, whatever it holds.
fn chain<'a>((writer, number): (i64, i64), entries: usize, lines: usize, at: i64) -> Rows<'a> {
    let count = |count: usize| int(i64::try_from(count).expect("a small number"));
    let hash = || Value::Bytes(Some(&HASH));
    let values = vec![int(writer), int(number), int(at), count(entries), count(lines), hash(), hash()];
    Rows { statement: &CHAIN, values }
}

fn tickets<'a>(settlements: &[&'a Settlement]) -> Rows<'a> {
    let values = settlements.iter().filter_map(|settlement| settlement.ticket.as_ref()).flat_map(|ticket| {
        [
            Value::Name(Some(ticket.reference)),
            int(i64::try_from(ticket.msisdn.e164()).expect("fifteen digits")),
            Value::Text(ticket.vehicle.as_str()),
            Value::Text(&ticket.short_code),
            Value::Bytes(Some(&ticket.cwt)),
            int(ticket.issued_at.unix_ms()),
            int(ticket.expires_at.unix_ms()),
        ]
    });
    Rows { statement: &TICKETS, values: values.collect() }
}

fn messages<'a>(settlements: &[&'a Settlement]) -> Rows<'a> {
    let values = settlements.iter().flat_map(|settlement| &settlement.messages).flat_map(|message| {
        [
            Value::Name(Some(message.id)),
            Value::Name(message.reference),
            Value::Text(message.carrier.as_str()),
            int(i64::try_from(message.msisdn.e164()).expect("fifteen digits")),
            Value::AnyText(Some(&message.text)),
            Value::Flag(message.ticket),
            int(message.created_at.unix_ms()),
            int(message.expires_at.unix_ms()),
            Value::Text("pending"),
            int(0),
            int(message.created_at.unix_ms()),
        ]
    });
    Rows { statement: &MESSAGES, values: values.collect() }
}

fn slots_held<'a>(settlements: &[&'a Settlement]) -> Rows<'a> {
    let values = settlements.iter().flat_map(|settlement| {
        let SlotChange::HoldUntil(until) = settlement.slot else { unreachable!("all of these hold their slot") };
        let charge = &settlement.charge;
        let vehicle = Value::Text(charge.order.vehicle.as_str());
        [msisdn(charge), vehicle, Value::Name(Some(charge.reference)), int(until.unix_ms())]
    });
    Rows { statement: &SLOTS_HELD, values: values.collect() }
}

fn first_attempt(charge: &Charge) -> &Attempt {
    charge.attempts.first().expect("all of these have one")
}

fn msisdn<'a>(charge: &Charge) -> Value<'a> {
    int(i64::try_from(charge.order.msisdn.e164()).expect("fifteen digits"))
}

const fn int<'a>(int: i64) -> Value<'a> {
    Value::Int(Some(int))
}

static SQLITE_CHARGES: Statement = Statement {
    name: "sqlite charges",
    columns: &[
        ("reference", Name),
        ("version", Int),
        ("state", Text),
        ("msisdn", Int),
        ("vehicle", Text),
        ("received_at", Int),
        ("ticket_deadline", Int),
        ("due_at", Int),
        ("amount_minor", Int),
        ("currency", Text),
        ("body", Body),
    ],
    how: Insert { table: "charges", known: None },
};

/// SQLite reads the last two in the body.
static POSTGRES_CHARGES: Statement = Statement {
    name: "postgres charges",
    columns: &[
        ("reference", Name),
        ("version", Int),
        ("state", Text),
        ("msisdn", Int),
        ("vehicle", Text),
        ("received_at", Int),
        ("ticket_deadline", Int),
        ("due_at", Int),
        ("amount_minor", Int),
        ("currency", Text),
        ("body", Body),
        ("agency", AnyText),
        ("caller", AnyText),
    ],
    how: Insert { table: "charges", known: None },
};

static CHARGES_CHANGED: Statement = Statement {
    name: "charges changed",
    columns: &[
        ("reference", Name),
        ("from_version", Int),
        ("version", Int),
        ("state", Text),
        ("due_at", Int),
        ("in_doubt_since", Int),
        ("body", Body),
    ],
    how: Update {
        table: "charges",
        set: "version = new.version, state = new.state, due_at = new.due_at, in_doubt_since = new.in_doubt_since, body = new.body",
        of: "charges.reference = new.reference AND charges.version = new.from_version",
    },
};

static KEYS: Statement = Statement {
    name: "keys",
    columns: &[
        ("caller", Text),
        ("key", AnyText),
        ("body_sha256", Bytes),
        ("reference", Name),
        ("repeat", Flag),
        ("used_at", Int),
    ],
    how: Insert { table: "keys", known: None },
};

static SLOTS: Statement = Statement {
    name: "slots",
    columns: &[("msisdn", Int), ("vehicle", Text), ("reference", Name), ("passengers", Int), ("held_until", Int)],
    how: Insert { table: "slots", known: None },
};

static SLOTS_HELD: Statement = Statement {
    name: "slots held",
    columns: &[("msisdn", Int), ("vehicle", Text), ("reference", Name), ("held_until", Int)],
    how: Update {
        table: "slots",
        set: "held_until = new.held_until",
        of: "slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle AND slots.reference = new.reference",
    },
};

static ATTEMPTS: Statement = Statement {
    name: "attempts",
    columns: &[
        ("reference", Name),
        ("number", Int),
        ("carrier", Text),
        ("wire_reference", Text),
        ("state", Text),
        ("opened_at", Int),
    ],
    how: Insert { table: "attempts", known: None },
};

static ATTEMPTS_CHANGED: Statement = Statement {
    name: "attempts changed",
    columns: &[("reference", Name), ("number", Int), ("state", Text)],
    how: Update {
        table: "attempts",
        set: "state = new.state",
        of: "attempts.reference = new.reference AND attempts.number = new.number",
    },
};

static EVIDENCE: Statement = Statement {
    name: "evidence",
    columns: &[("reference", Name), ("id", AnyText), ("words", AnyText), ("salt", Bytes)],
    how: Insert { table: "evidence", known: None },
};

static CARRIER_IDS: Statement = Statement {
    name: "carrier ids",
    columns: &[("carrier", Text), ("id", AnyText), ("reference", Name), ("attempt", Int)],
    how: Insert { table: "carrier_ids", known: None },
};

static JOURNAL: Statement = Statement {
    name: "journal",
    columns: &[("reference", Name), ("at", Int), ("body", Body)],
    how: Insert {
        table: "journal",
        known: Some(Known {
            column: "seq",
            sqlite: None,
            postgres: "(SELECT (pg_current_xact_id()::text::bigint << 16) + base FROM places) + {n}",
        }),
    },
};

static LEDGER: Statement = Statement {
    name: "ledger",
    columns: &[
        ("reference", Name),
        ("version", Int),
        ("account", Body),
        ("minor", Int),
        ("currency", Text),
        ("posted_at", Int),
    ],
    how: Insert { table: "ledger", known: None },
};

static TICKETS: Statement = Statement {
    name: "tickets",
    columns: &[
        ("reference", Name),
        ("msisdn", Int),
        ("vehicle", Text),
        ("short_code", Text),
        ("cwt", Bytes),
        ("issued_at", Int),
        ("expires_at", Int),
    ],
    how: Insert { table: "tickets", known: None },
};

static MESSAGES: Statement = Statement {
    name: "messages",
    columns: &[
        ("id", Name),
        ("reference", Name),
        ("carrier", Text),
        ("msisdn", Int),
        ("text", AnyText),
        ("ticket", Flag),
        ("created_at", Int),
        ("expires_at", Int),
        ("state", Text),
        ("tries", Int),
        ("due_at", Int),
    ],
    how: Insert { table: "messages", known: None },
};

/// Its last entry is the last of the transaction.
static CHAIN: Statement = Statement {
    name: "chain",
    columns: &[
        ("writer", Int),
        ("number", Int),
        ("at", Int),
        ("entries", Int),
        ("lines", Int),
        ("digest", Bytes),
        ("hash", Bytes),
    ],
    how: Insert {
        table: "chain",
        known: Some(Known {
            column: "last_seq",
            sqlite: Some("(SELECT max(seq) FROM journal)"),
            postgres: "(SELECT (pg_current_xact_id()::text::bigint << 16) + base FROM places) + 65535",
        }),
    },
};
