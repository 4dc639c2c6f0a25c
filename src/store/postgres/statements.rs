//! The set statements that write a batch.
//!
//! What was judged may have changed since, because others may write too. So a statement names what it was judged by, and says how
//! many rows were still so: fewer, or a row that is there already, and the commit begins again.

use sqlx::postgres::PgConnection;

use super::{
    chain::{ChainPlace, WritersChain},
    set::{SetStatement, Together},
    webhooks::move_webhooks,
};
use crate::{
    clock::Timestamp,
    store::{
        FORGOTTEN_MAX, Forgetting, StoreError,
        sql::{
            chain,
            rows::Rows,
            tables::{SalesRow, SlotRow},
        },
    },
};

/// Writes everything inside the transaction that is open. Returns `false` where something is not as it was judged any more; then
/// nothing may be committed.
pub(super) async fn write(rows: Rows<'_>, db: &mut PgConnection, place: &mut ChainPlace) -> Result<bool, StoreError> {
    // What it forgets may be kept anew.
    ASK_AGAIN.write(db, &rows.asked_again).await?;
    if !what_most_have(&rows)?.run(db).await? {
        return Ok(false);
    }
    HAND_OVER_MOS.write(db, &rows.handed_over).await?;
    KEEP_REFUNDS.write(db, &rows.refunds).await?;
    REVOKE_TICKETS.write(db, &rows.revoked).await?;
    WATCH_MOS.write(db, &rows.watched).await?;
    PARK.write_bodies(db, &rows.parked).await?;
    REPORT_UNOWNED.write(db, &rows.unowned).await?;
    UNPARK.write(db, &rows.unparked).await?;
    KEEP_BREAKS.write(db, &rows.breaks).await?;
    SET_LANGUAGES.write(db, &rows.languages).await?;
    KEEP_FACTS.write(db, &rows.facts).await?;
    KEEP_HOMES.write(db, &rows.homes).await?;
    for forgetting in &rows.forgotten {
        forget(db, forgetting).await?;
    }
    move_webhooks(db, &rows.webhooks).await?;
    chain::append(&mut WritersChain { db, place }, rows.digest).await?;
    Ok(true)
}

/// The rows of a charge that is opened or settled, and those of messages.
fn what_most_have(rows: &Rows<'_>) -> Result<Together, StoreError> {
    let mut all = Together::default();
    all.write_bodies(&OPEN_CHARGES, &rows.opened)?;
    all.write_bodies(&CHANGE_CHARGES, &rows.changed)?;
    all.expect_all(&rows.changed.rows);
    all.write(&KEEP_KEYS, &rows.keys)?;
    all.expect_all(&rows.keys);
    let (taken, free): (Vec<SlotRow<'_>>, Vec<SlotRow<'_>>) =
        rows.slots.iter().copied().partition(|slot| slot.found_holder.is_some());
    all.write(&CLAIM_FREE_SLOTS, &free)?;
    all.write(&CLAIM_TAKEN_SLOTS, &taken)?;
    all.expect_all(&taken);
    all.write(&HOLD_SLOTS, &rows.held)?;
    all.write(&RELEASE_SLOTS, &rows.released)?;
    all.write(&KEEP_ATTEMPTS, &rows.attempts)?;
    all.write(&COUNT_EVIDENCE, &rows.evidence)?;
    all.write(&LEARN_CARRIER_IDS, &rows.carrier_ids)?;
    all.write_bodies(&APPEND_JOURNAL, &rows.journal)?;
    all.write(&APPEND_LEDGER, &rows.ledger)?;
    all.write(&KEEP_TICKETS, &rows.tickets)?;
    all.write(&ADD_SALES, &SalesRow::all(&rows.sales))?;
    all.write(&ANSWER_MOS, &rows.answered)?;
    all.expect_all(&rows.answered);
    all.write(&QUEUE_MESSAGES, &rows.messages)?;
    all.write(&MOVE_MESSAGES, &rows.moved)?;
    all.write(&KEEP_MOS, &rows.mos)?;
    all.write(&KEEP_FINGERPRINTS, &rows.fingerprints)?;
    Ok(all)
}

/// The oldest go first, and never so many that others wait long for the writer.
async fn forget(db: &mut PgConnection, forgetting: &Forgetting) -> Result<(), StoreError> {
    let Forgetting { facts_before, facts_oldest, homes_before, homes_oldest } = *forgetting;
    for (sql, before, rows_max) in [
        (FORGET_FACTS, facts_before, FORGOTTEN_MAX),
        (FORGET_FACTS, Timestamp::MAX, facts_oldest.min(FORGOTTEN_MAX)),
        (FORGET_HOMES, homes_before, FORGOTTEN_MAX),
        (FORGET_HOMES, Timestamp::MAX, homes_oldest.min(FORGOTTEN_MAX)),
    ] {
        if rows_max > 0 {
            sqlx::query(sql).bind(before.unix_ms()).bind(i64::from(rows_max)).execute(&mut *db).await?;
        }
    }
    Ok(())
}

static OPEN_CHARGES: SetStatement = SetStatement::new(
    "INSERT INTO charges (reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at,
                          in_doubt_since, amount_minor, currency, agency, caller, body)
     SELECT reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at, in_doubt_since,
            amount_minor, currency, agency, caller, {body}
     FROM {rows}",
);

static CHANGE_CHARGES: SetStatement = SetStatement::new(
    "UPDATE charges
     SET version = new.version, state = new.state, due_at = new.due_at, in_doubt_since = new.in_doubt_since,
         instance = CASE WHEN new.opens_attempt OR (charges.due_at IS NULL AND new.due_at IS NOT NULL)
                         THEN this_instance() ELSE charges.instance END,
         body = {body}
     FROM {rows}
     WHERE charges.reference = new.reference AND charges.version = new.from_version",
);

/// A key that repeats a charge names one that there is.
static KEEP_KEYS: SetStatement = SetStatement::new(
    "INSERT INTO keys (caller, key, body_sha256, reference, repeat, used_at)
     SELECT caller, key, body_sha256, reference, repeat, used_at FROM {rows}
     WHERE NOT repeat OR EXISTS (SELECT 1 FROM charges WHERE charges.reference = new.reference)",
);

/// Somebody else's claim of the same slot violates its key: then all is judged anew.
static CLAIM_FREE_SLOTS: SetStatement = SetStatement::new(
    "INSERT INTO slots (msisdn, vehicle, reference, passengers, held_until)
     SELECT msisdn, vehicle, reference, passengers, held_until FROM {rows}",
);

/// A slot that was found held by another or until another moment is as it was found.
static CLAIM_TAKEN_SLOTS: SetStatement = SetStatement::new(
    "UPDATE slots SET reference = new.reference, passengers = new.passengers, held_until = new.held_until
     FROM {rows}
     WHERE slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle
       AND slots.reference = new.found_holder AND slots.held_until = new.found_until",
);

static HOLD_SLOTS: SetStatement = SetStatement::new(
    "UPDATE slots
     SET reference = new.reference, passengers = coalesce(new.passengers, slots.passengers), held_until = new.held_until
     FROM {rows}
     WHERE slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle AND slots.reference = new.holder",
);

static RELEASE_SLOTS: SetStatement = SetStatement::new(
    "DELETE FROM slots USING {rows}
     WHERE slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle AND slots.reference = new.holder",
);

static KEEP_ATTEMPTS: SetStatement = SetStatement::new(
    "INSERT INTO attempts (reference, number, carrier, wire_reference, state, opened_at)
     SELECT reference, number, carrier, wire_reference, state, opened_at FROM {rows}
     ON CONFLICT (reference, number) DO UPDATE SET state = excluded.state WHERE attempts.state <> excluded.state",
);

static COUNT_EVIDENCE: SetStatement = SetStatement::new(
    "INSERT INTO evidence (reference, id, words, salt) SELECT reference, id, words, salt FROM {rows}",
);

static LEARN_CARRIER_IDS: SetStatement = SetStatement::new(
    "INSERT INTO carrier_ids (carrier, id, reference, attempt, refund)
     SELECT carrier, id, reference, attempt, refund FROM {rows}
     ON CONFLICT (carrier, id)
     DO UPDATE SET reference = excluded.reference, attempt = excluded.attempt, refund = excluded.refund",
);

/// The place of an entry: see [`places`](super::places).
static APPEND_JOURNAL: SetStatement = SetStatement::new(
    "INSERT INTO journal (seq, reference, at, body)
     SELECT (SELECT (pg_current_xact_id()::text::bigint << 16) + base FROM places) + ordinality, reference, at, {body}
     FROM {rows}",
);

static APPEND_LEDGER: SetStatement = SetStatement::new(
    "INSERT INTO ledger (reference, version, account, minor, currency, posted_at)
     SELECT reference, version, account, minor, currency, posted_at FROM {rows}",
);

static KEEP_TICKETS: SetStatement = SetStatement::new(
    "INSERT INTO tickets (reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at)
     SELECT reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at FROM {rows}
     ON CONFLICT (reference) DO UPDATE
     SET short_code = excluded.short_code, cwt = excluded.cwt, issued_at = excluded.issued_at,
         expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
);

static REVOKE_TICKETS: SetStatement = SetStatement::new(
    "UPDATE tickets SET revoked_at = new.at FROM {rows} WHERE tickets.reference = new.id AND tickets.revoked_at IS NULL",
);

static ANSWER_MOS: SetStatement = SetStatement::new(
    "UPDATE mos SET answered_at = new.at FROM {rows} WHERE mos.id = new.id AND mos.answered_at IS NULL",
);

static HAND_OVER_MOS: SetStatement =
    SetStatement::new("UPDATE mos SET answer_by = new.at FROM {rows} WHERE mos.id = new.id AND mos.answer_by IS NULL");

static ASK_AGAIN: SetStatement = SetStatement::new(
    "DELETE FROM mo_fingerprints AS known USING {rows}, mos
     WHERE mos.id = new.value AND known.fingerprint = mos.fingerprint AND known.mo = mos.id",
);

static QUEUE_MESSAGES: SetStatement = SetStatement::new(
    "INSERT INTO messages (id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at)
     SELECT id, reference, carrier, msisdn, text, ticket, created_at, expires_at, 'pending', 0, created_at FROM {rows}",
);

static MOVE_MESSAGES: SetStatement = SetStatement::new(
    "UPDATE messages SET state = new.state, tries = new.tries, due_at = new.due_at
     FROM {rows}
     WHERE messages.id = new.id AND messages.state IN ('pending', 'submitted')",
);

static KEEP_MOS: SetStatement = SetStatement::new(
    "INSERT INTO mos (id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at,
                      part_reference, part_wide, part_total, part_number)
     SELECT id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at,
            part_reference, part_wide, part_total, part_number
     FROM {rows}",
);

static KEEP_FINGERPRINTS: SetStatement = SetStatement::new(
    "INSERT INTO mo_fingerprints (fingerprint, mo, received_at) SELECT fingerprint, id, kept_at FROM {rows}
     ON CONFLICT (fingerprint) DO UPDATE SET mo = excluded.mo, received_at = excluded.received_at",
);

static WATCH_MOS: SetStatement = SetStatement::new(
    "INSERT INTO mo_watch (carrier, taken_at) SELECT carrier, at FROM {rows}
     ON CONFLICT (carrier) DO UPDATE SET taken_at = excluded.taken_at",
);

static PARK: SetStatement = SetStatement::new(
    "INSERT INTO parked (id, carrier, carrier_id, msisdn, received_at, body)
     SELECT id, carrier, carrier_id, msisdn, received_at, {body} FROM {rows}
     ON CONFLICT (id) DO NOTHING",
);

static UNPARK: SetStatement = SetStatement::new("DELETE FROM parked USING {rows} WHERE parked.id = new.value");

/// Written with the charge: only charges that have refunds have rows.
static KEEP_REFUNDS: SetStatement = SetStatement::new(
    "INSERT INTO refunds (id, reference, carrier, state, minor, currency, opened_at)
     SELECT id, reference, carrier, state, minor, currency, opened_at FROM {rows}
     ON CONFLICT (id) DO UPDATE SET state = excluded.state WHERE refunds.state <> excluded.state",
);

/// What was reported before is no new break.
static REPORT_UNOWNED: SetStatement = SetStatement::new(
    "WITH marked AS (
         UPDATE parked SET reported_at = new.at
         FROM {rows} WHERE parked.id = new.id AND parked.reported_at IS NULL
         RETURNING parked.id, new.kind, new.at, ordinality
     )
     INSERT INTO breaks (piece, kind, at) SELECT id, kind, at FROM marked ORDER BY ordinality",
);

static KEEP_BREAKS: SetStatement = SetStatement::new(
    "INSERT INTO breaks (reference, kind, at, amount_minor, currency)
     SELECT reference, kind, at, amount_minor, currency FROM {rows} ORDER BY ordinality",
);

static SET_LANGUAGES: SetStatement = SetStatement::new(
    "INSERT INTO languages (msisdn, language) SELECT msisdn, language FROM {rows}
     ON CONFLICT (msisdn) DO UPDATE SET language = excluded.language",
);

static ADD_SALES: SetStatement = SetStatement::new(
    "INSERT INTO sales (kind, name, quarter, currency, minor)
     SELECT kind, name, quarter, currency, minor FROM {rows} ORDER BY quarter, kind, name, currency
     ON CONFLICT (quarter, kind, name, currency, writer) DO UPDATE SET minor = sales.minor + excluded.minor",
);

static KEEP_FACTS: SetStatement = SetStatement::new(
    "INSERT INTO facts (msisdn, carrier, name, value, source, observed_at)
     SELECT msisdn, carrier, name, value, source, observed_at FROM {rows}
     ON CONFLICT (msisdn, carrier, name) DO UPDATE
     SET value = excluded.value, source = excluded.source, observed_at = excluded.observed_at
     WHERE excluded.observed_at >= facts.observed_at",
);

static KEEP_HOMES: SetStatement = SetStatement::new(
    "INSERT INTO homes (msisdn, carrier, refused_by, source, observed_at)
     SELECT msisdn, carrier, refused_by, source, observed_at FROM {rows}
     ON CONFLICT (msisdn) DO UPDATE
     SET carrier = excluded.carrier, refused_by = excluded.refused_by, source = excluded.source,
         observed_at = excluded.observed_at
     WHERE excluded.observed_at >= homes.observed_at",
);

const FORGET_FACTS: &str = "
DELETE FROM facts WHERE (msisdn, carrier, name) IN (
    SELECT msisdn, carrier, name FROM facts WHERE observed_at < $1 ORDER BY observed_at, msisdn, carrier, name LIMIT $2
)";

const FORGET_HOMES: &str = "
DELETE FROM homes WHERE msisdn IN (
    SELECT msisdn FROM homes WHERE observed_at < $1 ORDER BY observed_at, msisdn LIMIT $2
)";
