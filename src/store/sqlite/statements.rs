//! The set statements that write a batch. Each reads its rows from one JSON array; references travel as UUID text and
//! other bytes as hex. Bodies stand in a blob of their own.

use std::mem::take;

use sqlx::sqlite::SqliteConnection;

use super::{
    chain::FileChain,
    outstanding::{KEEP_REFUNDS, MARK_REPORTED, REPORT_UNOWNED},
    script::{Parameters, Script},
    webhooks::move_webhooks,
    writer::{write_bodies, write_set},
};
use crate::{
    clock::Timestamp,
    ledger::{Head, Writer},
    store::{
        FORGOTTEN_MAX, Forgetting, StoreError,
        sql::{chain, rows::Rows, tables::SalesRow},
    },
};

impl Rows<'_> {
    /// Writes everything inside the transaction that is open, at the end of the chain. Charges come first, because others refer to
    /// them.
    pub(super) async fn write(self, db: &mut SqliteConnection, end: (Writer, Head)) -> Result<(), StoreError> {
        self.write_charges(db).await?.write_rest(db, end).await
    }

    /// What nearly every commit has.
    async fn write_charges(mut self, db: &mut SqliteConnection) -> Result<Self, StoreError> {
        let expected = self.changed.rows.len();
        let sales = SalesRow::all(&self.sales);
        let parameters = Parameters::default()
            .bodies(take(&mut self.opened))
            .bodies(take(&mut self.changed))
            .rows(&self.keys)
            .rows(&self.slots)
            .rows(&self.held)
            .rows(&self.released)
            .rows(&self.attempts)
            .rows(&self.evidence)
            .rows(&self.carrier_ids)
            .bodies(take(&mut self.journal))
            .rows(&self.ledger)
            .rows(&self.tickets)
            .rows(&self.messages)
            .rows(&sales);
        if parameters.are_rows() {
            let done = WRITE_CHARGES.run(db, parameters).await?;
            let changed = done.get(CHANGED).map_or(0, |done| done.changed);
            if usize::try_from(changed) != Ok(expected) {
                let why = format!("{expected} charges were judged to be in the right version, {changed} were");
                return Err(StoreError::Refused(why));
            }
        }
        Ok(self)
    }

    async fn write_rest(self, db: &mut SqliteConnection, end: (Writer, Head)) -> Result<(), StoreError> {
        let texts = Parameters::default()
            .rows(&self.answered)
            .rows(&self.handed_over)
            .rows(&self.asked_again)
            .rows(&self.moved)
            .rows(&self.mos)
            .rows(&self.fingerprints);
        if texts.are_rows() {
            WRITE_TEXTS.run(db, texts).await?;
        }
        write_set(db, KEEP_REFUNDS, &self.refunds).await?;
        write_set(db, REVOKE_TICKETS, &self.revoked).await?;
        write_set(db, WATCH_MOS, &self.watched).await?;
        write_bodies(db, PARK, self.parked).await?;
        write_set(db, REPORT_UNOWNED, &self.unowned).await?;
        write_set(db, MARK_REPORTED, &self.unowned).await?;
        write_set(db, UNPARK, &self.unparked).await?;
        write_set(db, KEEP_BREAKS, &self.breaks).await?;
        write_set(db, SET_LANGUAGES, &self.languages).await?;
        write_set(db, KEEP_FACTS, &self.facts).await?;
        write_set(db, KEEP_HOMES, &self.homes).await?;
        for forgetting in &self.forgotten {
            forget(db, forgetting).await?;
        }
        move_webhooks(db, &self.webhooks).await?;
        chain::append(&mut FileChain { db, end }, self.digest).await
    }
}

static WRITE_CHARGES: Script = Script::new(OF_CHARGES);
const OF_CHARGES: &[&str] = &[
    OPEN_CHARGES,
    CHANGE_CHARGES,
    KEEP_KEYS,
    CLAIM_SLOTS,
    HOLD_SLOTS,
    RELEASE_SLOTS,
    KEEP_ATTEMPTS,
    COUNT_EVIDENCE,
    LEARN_CARRIER_IDS,
    APPEND_JOURNAL,
    APPEND_LEDGER,
    KEEP_TICKETS,
    QUEUE_MESSAGES,
    ADD_SALES,
];
/// The place of `CHANGE_CHARGES` in it.
const CHANGED: usize = 1;

static WRITE_TEXTS: Script = Script::new(OF_TEXTS);
const OF_TEXTS: &[&str] = &[ANSWER_MOS, HAND_OVER_MOS, ASK_AGAIN, MOVE_MESSAGES, KEEP_MOS, KEEP_FINGERPRINTS];

/// The oldest go first, and never so many that others wait long for the writer.
async fn forget(db: &mut SqliteConnection, forgetting: &Forgetting) -> Result<(), StoreError> {
    let Forgetting { facts_before, facts_oldest, homes_before, homes_oldest } = *forgetting;
    for (sql, before, rows_max) in [
        (FORGET_FACTS, facts_before, FORGOTTEN_MAX),
        (FORGET_FACTS, Timestamp::MAX, facts_oldest.min(FORGOTTEN_MAX)),
        (FORGET_HOMES, homes_before, FORGOTTEN_MAX),
        (FORGET_HOMES, Timestamp::MAX, homes_oldest.min(FORGOTTEN_MAX)),
    ] {
        if rows_max > 0 {
            sqlx::query(sql).bind(before.unix_ms()).bind(rows_max).execute(&mut *db).await?;
        }
    }
    Ok(())
}

const OPEN_CHARGES: &str = "
INSERT INTO charges (reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at, in_doubt_since,
                     amount_minor, currency, body)
SELECT unhex(value->>'reference', '-'), value->>'version', value->>'state', value->>'msisdn', value->>'vehicle',
       value->>'received_at', value->>'ticket_deadline', value->>'due_at', value->>'in_doubt_since',
       value->>'amount_minor', value->>'currency', CAST(substr(?2, value->>'body_at', value->>'body_bytes') AS TEXT)
FROM jsonb_each(?1)";

const CHANGE_CHARGES: &str = "
UPDATE charges
SET version = new.value->>'version', state = new.value->>'state', due_at = new.value->>'due_at',
    in_doubt_since = new.value->>'in_doubt_since', body = CAST(substr(?2, new.value->>'body_at', new.value->>'body_bytes') AS TEXT)
FROM jsonb_each(?1) AS new
WHERE charges.reference = unhex(new.value->>'reference', '-') AND charges.version = new.value->>'from_version'";

const KEEP_KEYS: &str = "
INSERT INTO keys (caller, key, body_sha256, reference, repeat, used_at)
SELECT value->>'caller', value->>'key', unhex(value->>'body_sha256'), unhex(value->>'reference', '-'),
       value->>'repeat', value->>'used_at'
FROM jsonb_each(?1)";

const CLAIM_SLOTS: &str = "
INSERT INTO slots (msisdn, vehicle, reference, passengers, held_until)
SELECT value->>'msisdn', value->>'vehicle', unhex(value->>'reference', '-'), value->>'passengers', value->>'held_until'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (msisdn, vehicle) DO UPDATE
SET reference = excluded.reference, passengers = excluded.passengers, held_until = excluded.held_until";

const HOLD_SLOTS: &str = "
UPDATE slots
SET reference = unhex(new.value->>'reference', '-'), passengers = coalesce(new.value->>'passengers', passengers),
    held_until = new.value->>'held_until'
FROM jsonb_each(?1) AS new
WHERE slots.msisdn = new.value->>'msisdn' AND slots.vehicle = new.value->>'vehicle'
  AND slots.reference = unhex(new.value->>'holder', '-')";

const RELEASE_SLOTS: &str = "
DELETE FROM slots
WHERE (msisdn, vehicle, reference) IN (
    SELECT value->>'msisdn', value->>'vehicle', unhex(value->>'holder', '-') FROM jsonb_each(?1)
)";

const KEEP_ATTEMPTS: &str = "
INSERT INTO attempts (reference, number, carrier, wire_reference, state, opened_at)
SELECT unhex(value->>'reference', '-'), value->>'number', value->>'carrier', value->>'wire_reference',
       value->>'state', value->>'opened_at'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (reference, number) DO UPDATE SET state = excluded.state WHERE state <> excluded.state";

const COUNT_EVIDENCE: &str = "
INSERT INTO evidence (reference, id, words, salt)
SELECT unhex(value->>'reference', '-'), value->>'id', value->>'words', unhex(value->>'salt') FROM jsonb_each(?1)";

const LEARN_CARRIER_IDS: &str = "
INSERT INTO carrier_ids (carrier, id, reference, attempt, refund)
SELECT value->>'carrier', value->>'id', unhex(value->>'reference', '-'), value->>'attempt', unhex(value->>'refund', '-')
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (carrier, id)
DO UPDATE SET reference = excluded.reference, attempt = excluded.attempt, refund = excluded.refund";

const APPEND_JOURNAL: &str = "
INSERT INTO journal (reference, at, body)
SELECT unhex(value->>'reference', '-'), value->>'at', CAST(substr(?2, value->>'body_at', value->>'body_bytes') AS TEXT) FROM jsonb_each(?1) ORDER BY key";

const APPEND_LEDGER: &str = "
INSERT INTO ledger (reference, version, account, minor, currency, posted_at)
SELECT unhex(value->>'reference', '-'), value->>'version', value->>'account', value->>'minor', value->>'currency',
       value->>'posted_at'
FROM jsonb_each(?1)";

const KEEP_TICKETS: &str = "
INSERT INTO tickets (reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at)
SELECT unhex(value->>'reference', '-'), value->>'msisdn', value->>'vehicle', value->>'short_code',
       unhex(value->>'cwt'), value->>'issued_at', value->>'expires_at', value->>'revoked_at'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (reference) DO UPDATE
SET short_code = excluded.short_code, cwt = excluded.cwt, issued_at = excluded.issued_at,
    expires_at = excluded.expires_at, revoked_at = excluded.revoked_at";

const REVOKE_TICKETS: &str = "
UPDATE tickets SET revoked_at = new.value->>'at'
FROM jsonb_each(?1) AS new
WHERE tickets.reference = unhex(new.value->>'id', '-') AND tickets.revoked_at IS NULL";

const ANSWER_MOS: &str = "
UPDATE mos SET answered_at = new.value->>'at'
FROM jsonb_each(?1) AS new
WHERE mos.id = unhex(new.value->>'id', '-') AND mos.answered_at IS NULL";

const HAND_OVER_MOS: &str = "
UPDATE mos SET answer_by = new.value->>'at'
FROM jsonb_each(?1) AS new
WHERE mos.id = unhex(new.value->>'id', '-') AND mos.answer_by IS NULL";

const ASK_AGAIN: &str = "
DELETE FROM mo_fingerprints
WHERE (fingerprint, mo) IN (
    SELECT mos.fingerprint, mos.id FROM jsonb_each(?1) AS asked CROSS JOIN mos ON mos.id = unhex(asked.value, '-')
)";

const QUEUE_MESSAGES: &str = "
INSERT INTO messages (id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at)
SELECT unhex(value->>'id', '-'), unhex(value->>'reference', '-'), value->>'carrier', value->>'msisdn', value->>'text',
       value->>'ticket', value->>'created_at', value->>'expires_at', 'pending', 0, value->>'created_at'
FROM jsonb_each(?1)";

const MOVE_MESSAGES: &str = "
UPDATE messages SET state = new.value->>'state', tries = new.value->>'tries', due_at = new.value->>'due_at'
FROM jsonb_each(?1) AS new
WHERE messages.id = unhex(new.value->>'id', '-') AND messages.state IN ('pending', 'submitted')";

const KEEP_MOS: &str = "
INSERT INTO mos (id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at,
                 part_reference, part_wide, part_total, part_number)
SELECT unhex(value->>'id', '-'), value->>'carrier', value->>'msisdn', value->>'destination', value->>'text',
       unhex(value->>'fingerprint'), value->>'received_at', value->>'same_since', value->>'kind', value->>'kept_at',
       value->>'part_reference', value->>'part_wide', value->>'part_total', value->>'part_number'
FROM jsonb_each(?1)";

const KEEP_FINGERPRINTS: &str = "
INSERT INTO mo_fingerprints (fingerprint, mo, received_at)
SELECT unhex(value->>'fingerprint'), unhex(value->>'id', '-'), value->>'kept_at' FROM jsonb_each(?1)
WHERE true
ON CONFLICT (fingerprint) DO UPDATE SET mo = excluded.mo, received_at = excluded.received_at";

const WATCH_MOS: &str = "
INSERT INTO mo_watch (carrier, taken_at)
SELECT value->>'carrier', value->>'at' FROM jsonb_each(?1)
WHERE true
ON CONFLICT (carrier) DO UPDATE SET taken_at = excluded.taken_at";

const PARK: &str = "
INSERT INTO parked (id, carrier, carrier_id, msisdn, received_at, body)
SELECT value->>'id', value->>'carrier', value->>'carrier_id', value->>'msisdn', value->>'received_at', CAST(substr(?2, value->>'body_at', value->>'body_bytes') AS TEXT)
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (id) DO NOTHING";

const UNPARK: &str = "DELETE FROM parked WHERE id IN (SELECT value FROM jsonb_each(?1))";

const KEEP_BREAKS: &str = "
INSERT INTO breaks (reference, kind, at, amount_minor, currency)
SELECT unhex(value->>'reference', '-'), value->>'kind', value->>'at', value->>'amount_minor', value->>'currency'
FROM jsonb_each(?1)
ORDER BY key";

const SET_LANGUAGES: &str = "
INSERT INTO languages (msisdn, language)
SELECT value->>'msisdn', value->>'language' FROM jsonb_each(?1)
WHERE true
ON CONFLICT (msisdn) DO UPDATE SET language = excluded.language";

const ADD_SALES: &str = "
INSERT INTO sales (kind, name, quarter, currency, minor)
SELECT value->>'kind', value->>'name', value->>'quarter', value->>'currency', value->>'minor' FROM jsonb_each(?1)
WHERE true
ON CONFLICT (quarter, kind, name, currency) DO UPDATE SET minor = minor + excluded.minor";

const KEEP_FACTS: &str = "
INSERT INTO facts (msisdn, carrier, name, value, source, observed_at)
SELECT value->>'msisdn', value->>'carrier', value->>'name', value->>'value', value->>'source', value->>'observed_at'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (msisdn, carrier, name) DO UPDATE
SET value = excluded.value, source = excluded.source, observed_at = excluded.observed_at
WHERE excluded.observed_at >= observed_at";

const KEEP_HOMES: &str = "
INSERT INTO homes (msisdn, carrier, refused_by, source, observed_at)
SELECT value->>'msisdn', value->>'carrier', value->>'refused_by', value->>'source', value->>'observed_at'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (msisdn) DO UPDATE
SET carrier = excluded.carrier, refused_by = excluded.refused_by, source = excluded.source,
    observed_at = excluded.observed_at
WHERE excluded.observed_at >= observed_at";

const FORGET_FACTS: &str = "
DELETE FROM facts WHERE (msisdn, carrier, name) IN (
    SELECT msisdn, carrier, name FROM facts INDEXED BY facts_by_age WHERE observed_at < ?1
    ORDER BY observed_at, msisdn, carrier, name LIMIT ?2
)";

const FORGET_HOMES: &str = "
DELETE FROM homes WHERE msisdn IN (
    SELECT msisdn FROM homes INDEXED BY homes_by_age WHERE observed_at < ?1 ORDER BY observed_at, msisdn LIMIT ?2
)";

#[cfg(test)]
pub(super) const ALL: [&[&str]; 3] = [
    OF_CHARGES,
    OF_TEXTS,
    &[
        REVOKE_TICKETS,
        WATCH_MOS,
        PARK,
        UNPARK,
        KEEP_BREAKS,
        SET_LANGUAGES,
        KEEP_FACTS,
        KEEP_HOMES,
        FORGET_FACTS,
        FORGET_HOMES,
    ],
];
