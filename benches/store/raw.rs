//! The same rows in the same tables and indexes of SQLite as the store writes, by hand: set statements over one connection, no guard
//! asked, nobody answered, nothing hashed. What is left is JSON, SQLite and the disk.

use std::time::{Duration, Instant};

use serde::Serialize;
use smsbusd::{
    charge::Charge,
    store::{JournalEntry, Named, Opening, Settlement, SlotChange},
};
use sqlx::sqlite::SqliteConnection;

async fn set<T: Serialize>(db: &mut SqliteConnection, sql: &'static str, rows: impl Iterator<Item = T>) {
    let rows: Vec<T> = rows.collect();
    sqlx::query(sql).bind(serde_json::to_string(&rows).unwrap()).execute(db).await.unwrap();
}

/// The same with a JSON body per row, which stands in a blob of its own so that SQLite need not read it.
async fn set_with_bodies<T: Serialize, B: Serialize>(
    db: &mut SqliteConnection,
    sql: &'static str,
    rows: impl Iterator<Item = (T, B)>,
) {
    let mut bodies = Vec::new();
    let rows: Vec<_> = rows
        .map(|(row, body)| {
            let from = bodies.len();
            serde_json::to_writer(&mut bodies, &body).unwrap();
            (row, from + 1, bodies.len() - from)
        })
        .collect();
    sqlx::query(sql).bind(serde_json::to_string(&rows).unwrap()).bind(bodies).execute(db).await.unwrap();
}

async fn plain(db: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(db).await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The openings of a batch. `block`: of the chain.
pub(crate) async fn open(db: &mut SqliteConnection, openings: &[&Opening], block: i64) -> Duration {
    let begun = Instant::now();
    plain(db, "BEGIN IMMEDIATE").await;
    let charges = openings.iter().map(|opening| {
        let charge: &Charge = &opening.charge;
        let order = &charge.order;
        let row = (
            (charge.reference, charge.version, charge.state.code(), order.msisdn.e164(), &order.vehicle),
            (
                order.received_at.unix_ms(),
                charge.terms.ticket_deadline.unix_ms(),
                charge.due_at().map(|at| at.unix_ms()),
            ),
            (order.amount.minor, order.amount.currency.code()),
        );
        (row, charge)
    });
    let sql = "INSERT INTO charges (reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at,
                                    amount_minor, currency, body)
               SELECT unhex(value->>'$[0][0][0]', '-'), value->>'$[0][0][1]', value->>'$[0][0][2]', value->>'$[0][0][3]',
                      value->>'$[0][0][4]', value->>'$[0][1][0]', value->>'$[0][1][1]', value->>'$[0][1][2]',
                      value->>'$[0][2][0]', value->>'$[0][2][1]',
                      CAST(substr(?2, value->>'$[1]', value->>'$[2]') AS TEXT)
               FROM jsonb_each(?1)";
    set_with_bodies(db, sql, charges).await;
    let keys = openings.iter().map(|opening| {
        let guard = &opening.guard;
        let at = opening.charge.order.received_at.unix_ms();
        (&guard.caller, &guard.key, hex(&guard.body_sha256), opening.charge.reference, at)
    });
    let sql = "INSERT INTO keys SELECT value->>0, value->>1, unhex(value->>2), unhex(value->>3, '-'), 0, value->>4
               FROM jsonb_each(?1)";
    set(db, sql, keys).await;
    let slots = openings.iter().filter_map(|opening| {
        let (order, wish) = (&opening.charge.order, opening.slot.as_ref()?);
        let held_until = wish.held_until.unix_ms();
        Some((order.msisdn.e164(), &order.vehicle, opening.charge.reference, wish.passengers, held_until))
    });
    let sql = "INSERT INTO slots SELECT value->>0, value->>1, unhex(value->>2, '-'), value->>3, value->>4
               FROM jsonb_each(?1)";
    set(db, sql, slots).await;
    let attempts = openings.iter().flat_map(|opening| {
        let reference = opening.charge.reference;
        opening.charge.attempts.iter().map(move |attempt| {
            let (carrier, opened_at) = (attempt.carrier.as_str(), attempt.opened_at.unix_ms());
            (reference, attempt.number, carrier, &attempt.wire_reference, attempt.state.code(), opened_at)
        })
    });
    let sql = "INSERT INTO attempts
               SELECT unhex(value->>0, '-'), value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?1)";
    set(db, sql, attempts).await;
    journal(db, openings.iter().flat_map(|opening| &opening.journal)).await;
    chain(db, block, openings.len() * 2, 0).await;
    plain(db, "COMMIT").await;
    begun.elapsed()
}

async fn journal<'a>(db: &mut SqliteConnection, entries: impl Iterator<Item = &'a JournalEntry>) {
    let sql = "INSERT INTO journal (reference, at, body)
               SELECT unhex(value->>'$[0][0]', '-'), value->>'$[0][1]',
                      CAST(substr(?2, value->>'$[1]', value->>'$[2]') AS TEXT)
               FROM jsonb_each(?1)";
    set_with_bodies(db, sql, entries.map(|entry| ((entry.reference, entry.at.unix_ms()), entry))).await;
}

/// The settlements of a batch.
pub(crate) async fn settle(db: &mut SqliteConnection, settlements: &[&Settlement], block: i64) -> Duration {
    let begun = Instant::now();
    plain(db, "BEGIN IMMEDIATE").await;
    let charges = settlements.iter().map(|settlement| {
        let charge = &settlement.charge;
        ((charge.reference, settlement.from_version, charge.version, charge.state.code()), charge)
    });
    let sql = "UPDATE charges
               SET version = new.value->>'$[0][2]', state = new.value->>'$[0][3]', due_at = NULL,
                   body = CAST(substr(?2, new.value->>'$[1]', new.value->>'$[2]') AS TEXT)
               FROM jsonb_each(?1) AS new
               WHERE charges.reference = unhex(new.value->>'$[0][0]', '-') AND charges.version = new.value->>'$[0][1]'";
    set_with_bodies(db, sql, charges).await;
    let evidence = settlements.iter().map(|settlement| {
        let verbatim = settlement.verbatim.as_ref();
        let words = verbatim.map(|verbatim| verbatim.words.as_str());
        let salt = verbatim.map(|verbatim| data_encoding::HEXLOWER.encode(&verbatim.salt));
        (settlement.charge.reference, settlement.journal.evidence_id(), words, salt)
    });
    let sql =
        "INSERT INTO evidence SELECT unhex(value->>0, '-'), value->>1, value->>2, unhex(value->>3) FROM jsonb_each(?1)";
    set(db, sql, evidence).await;
    let attempts = settlements.iter().flat_map(|settlement| {
        let reference = settlement.charge.reference;
        settlement.charge.attempts.iter().map(move |attempt| (reference, attempt.number, attempt.state.code()))
    });
    let sql = "UPDATE attempts SET state = new.value->>2 FROM jsonb_each(?1) AS new
               WHERE attempts.reference = unhex(new.value->>0, '-') AND attempts.number = new.value->>1";
    set(db, sql, attempts).await;
    let ids = settlements.iter().filter_map(|settlement| {
        let new = settlement.carrier_id.as_ref()?;
        let attempt = match new.names {
            Named::Attempt(number) => Some(number),
            Named::Refund(_) => None,
        };
        Some((new.carrier.as_str(), &new.id, settlement.charge.reference, attempt))
    });
    let sql = "INSERT INTO carrier_ids (carrier, id, reference, attempt)
               SELECT value->>0, value->>1, unhex(value->>2, '-'), value->>3 FROM jsonb_each(?1)";
    set(db, sql, ids).await;
    journal(db, settlements.iter().map(|settlement| &settlement.journal)).await;
    let entries = settlements.iter().flat_map(|settlement| &settlement.entries).map(|entry| {
        let posted_at = entry.posted_at.unix_ms();
        (entry.reference, entry.version, &entry.account, entry.minor, entry.currency.code(), posted_at)
    });
    let sql = "INSERT INTO ledger
               SELECT unhex(value->>0, '-'), value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?1)";
    set(db, sql, entries).await;
    let lines = settlements.iter().map(|settlement| settlement.entries.len()).sum();
    chain(db, block, settlements.len(), lines).await;
    tickets_and_messages(db, settlements).await;
    plain(db, "COMMIT").await;
    begun.elapsed()
}

/// One block for a transaction. The hash would be the engine's work; the row is the same.
async fn chain(db: &mut SqliteConnection, number: i64, entries: usize, lines: usize) {
    let sql = "INSERT INTO chain (writer, number, at, entries, lines, last_seq, digest, hash)
               SELECT 1, ?1, 0, ?2, ?3, max(seq), zeroblob(32), zeroblob(32) FROM journal";
    let count = |count: usize| i64::try_from(count).unwrap();
    sqlx::query(sql).bind(number).bind(count(entries)).bind(count(lines)).execute(db).await.unwrap();
}

async fn tickets_and_messages(db: &mut SqliteConnection, settlements: &[&Settlement]) {
    let tickets = settlements.iter().filter_map(|settlement| settlement.ticket.as_ref()).map(|ticket| {
        let (issued_at, expires_at) = (ticket.issued_at.unix_ms(), ticket.expires_at.unix_ms());
        let msisdn = ticket.msisdn.e164();
        (ticket.reference, msisdn, &ticket.vehicle, &ticket.short_code, hex(&ticket.cwt), issued_at, expires_at)
    });
    let sql = "INSERT INTO tickets
               SELECT unhex(value->>0, '-'), value->>1, value->>2, value->>3, unhex(value->>4), value->>5, value->>6, NULL
               FROM jsonb_each(?1)";
    set(db, sql, tickets).await;
    let messages = settlements.iter().flat_map(|settlement| &settlement.messages).map(|message| {
        let (created_at, expires_at) = (message.created_at.unix_ms(), message.expires_at.unix_ms());
        let (carrier, msisdn) = (message.carrier.as_str(), message.msisdn.e164());
        (message.id, message.reference, carrier, msisdn, &message.text, message.ticket, created_at, expires_at)
    });
    let sql = "INSERT INTO messages
               SELECT unhex(value->>0, '-'), unhex(value->>1, '-'), value->>2, value->>3, value->>4, value->>5, value->>6,
                      value->>7, 'pending', 0, value->>6
               FROM jsonb_each(?1)";
    set(db, sql, messages).await;
    let slots = settlements.iter().filter_map(|settlement| {
        let SlotChange::HoldUntil(until) = &settlement.slot else { return None };
        let order = &settlement.charge.order;
        Some((order.msisdn.e164(), &order.vehicle, settlement.charge.reference, until.unix_ms()))
    });
    let sql = "UPDATE slots SET held_until = new.value->>3 FROM jsonb_each(?1) AS new
               WHERE slots.msisdn = new.value->>0 AND slots.vehicle = new.value->>1
                 AND slots.reference = unhex(new.value->>2, '-')";
    set(db, sql, slots).await;
}
