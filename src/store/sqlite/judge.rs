//! What will become of each write of a batch, asked of the database before anything is written. The transaction holds the
//! write lock and the writes touch different things, so each answer is still true when the rows are written.

use sqlx::sqlite::SqliteConnection;

use super::{
    chain::end_in,
    script::{Parameters, Script},
};
use crate::{
    ledger::{Head, Writer},
    store::{
        Outcome, StoreError, Write,
        sql::{
            decode::{small, vehicle_text},
            guards::Guards,
            verdicts::Verdicts,
        },
    },
};

/// Begins a transaction, and asks for each kind of guard once, whatever the number of writes. Gives back the end of the chain, too.
/// Only leases are written here already, each by a statement of its own: they are rare.
pub(super) async fn begin_and_judge(
    db: &mut SqliteConnection,
    batch: &[Write],
) -> Result<(Verdicts, (Writer, Head)), StoreError> {
    let guards = Guards::of(batch);
    let parameters = Parameters::default()
        .rows(&guards.settlements)
        .rows(&guards.keys)
        .rows(&guards.answers)
        .rows(&guards.bounds)
        .rows(&guards.claims)
        .rows(&guards.parts)
        .rows(&guards.mos)
        .rows(&guards.receipts)
        .rows(&guards.learned);
    let mut answers = JUDGE.run(db, parameters).await?.into_iter().map(|done| done.rows);
    let mut next = || answers.next().unwrap_or_default();
    let mut verdicts = Verdicts::unless_something_objects(batch);
    // The transaction itself.
    next();
    verdicts.judge_settlements(next())?;
    verdicts.judge_keys(next(), batch)?;
    verdicts.collect_needless(next(), batch)?;
    verdicts.judge_bounds(next())?;
    verdicts.judge_claims(next(), batch)?;
    verdicts.judge_parts(next(), batch)?;
    verdicts.judge_mos(next())?;
    verdicts.judge_receipts(next())?;
    verdicts.collect_parked(next())?;
    let end = next()
        .first()
        .map(end_in)
        .transpose()?
        .ok_or_else(|| StoreError::Refused("the database does not say where its chain ends".into()))?;
    lease(db, batch, &mut verdicts).await?;
    Ok((verdicts, end))
}

async fn lease(db: &mut SqliteConnection, batch: &[Write], verdicts: &mut Verdicts) -> Result<(), StoreError> {
    for (write, outcome) in batch.iter().zip(&mut verdicts.outcomes) {
        if let (Write::LeaseSerials { vehicle, day, count }, Outcome::Leased { first }) = (write, outcome) {
            let row = sqlx::query(LEASE).bind(vehicle_text(vehicle)).bind(day).bind(count).fetch_one(&mut *db).await?;
            *first = small(&row, 0, "serials")?;
        }
    }
    Ok(())
}

/// In the order in which their answers are weighed. IMMEDIATE takes the write lock at once: what is judged stays true until the commit.
static JUDGE: Script = Script::new(&[
    "BEGIN IMMEDIATE",
    OBJECTIONS,
    KNOWN_KEYS,
    NEEDLESS_ANSWERS,
    OVER_BOUNDS,
    HELD_SLOTS,
    PARTS_BESIDE,
    KNOWN_MOS,
    OWNERS,
    PARKED,
    END,
]);

const OBJECTIONS: &str = "
SELECT asked.value->>'i', known.id IS NOT NULL
FROM jsonb_each(?1) AS asked
LEFT JOIN charges ON charges.reference = unhex(asked.value->>'reference', '-')
LEFT JOIN evidence AS known ON known.reference = unhex(asked.value->>'reference', '-')
                           AND known.id = asked.value->>'evidence'
WHERE known.id IS NOT NULL OR charges.version IS NOT asked.value->>'from_version'";

const KNOWN_KEYS: &str = "
SELECT asked.value->>'i', keys.reference, keys.body_sha256, keys.repeat
FROM jsonb_each(?1) AS asked
CROSS JOIN keys ON keys.caller = asked.value->>'caller' AND keys.key = asked.value->>'key'";

const OVER_BOUNDS: &str = "
SELECT asked.value->>'i'
FROM jsonb_each(?1) AS asked
WHERE (SELECT coalesce(sum(amount_minor), 0) > asked.value->>'minor_max' OR count(*) > asked.value->>'purchases_max'
       FROM charges
       WHERE msisdn = asked.value->>'msisdn' AND received_at >= asked.value->>'since' AND state NOT IN ('declined', 'rejected')
         AND (state <> 'in_doubt' OR ticket_deadline >= asked.value->>'doubt_since'))";

const HELD_SLOTS: &str = "
SELECT asked.value->>'i', slots.reference, slots.passengers, slots.held_until, holder.body
FROM jsonb_each(?1) AS asked
CROSS JOIN slots ON slots.msisdn = asked.value->>'msisdn' AND slots.vehicle = asked.value->>'vehicle'
LEFT JOIN charges AS holder ON holder.reference = slots.reference
                           AND holder.state IN ('processing', 'awaiting_otp', 'in_doubt')";

const KNOWN_MOS: &str = "
SELECT asked.value->>'i', kept.mo
FROM jsonb_each(?1) AS asked
CROSS JOIN mo_fingerprints AS kept ON kept.fingerprint = unhex(asked.value->>'fingerprint')
                                  AND kept.received_at > asked.value->>'same_since'
                                  AND kept.received_at < asked.value->>'same_until'";

const PARTS_BESIDE: &str = "
SELECT asked.value->>'i', kept.answered_at, kept.id, kept.carrier, kept.msisdn, kept.destination, kept.text,
       kept.fingerprint, kept.received_at, kept.same_since, kept.kind, coalesce(kept.kept_at, kept.received_at),
       kept.part_reference, kept.part_wide, kept.part_total, kept.part_number
FROM jsonb_each(?1) AS asked
CROSS JOIN mos AS kept INDEXED BY mos_parts
    ON kept.msisdn = asked.value->>'msisdn' AND kept.part_number IS NOT NULL
   AND coalesce(kept.answered_at, 9223372036854775807) > asked.value->>'same_since'
ORDER BY kept.received_at, kept.id";

const OWNERS: &str = "
SELECT asked.value->>'i', known.reference, known.attempt, known.refund
FROM jsonb_each(?1) AS asked
CROSS JOIN carrier_ids AS known ON known.carrier = asked.value->>'carrier' AND known.id = asked.value->>'id'";

const PARKED: &str = "
SELECT asked.value->>'i', parked.id, parked.carrier, parked.carrier_id, parked.msisdn, parked.received_at, parked.body
FROM jsonb_each(?1) AS asked
CROSS JOIN parked ON parked.carrier = asked.value->>'carrier' AND parked.carrier_id = asked.value->>'id'
ORDER BY parked.received_at, parked.id";

const NEEDLESS_ANSWERS: &str = "
SELECT asked.value->>'i'
FROM jsonb_each(?1) AS asked
LEFT JOIN mos ON mos.id = unhex(asked.value->>'mo', '-')
WHERE mos.id IS NULL OR mos.answered_at IS NOT NULL";

/// The writer of the generation, and the end of its chain.
pub(super) const END: &str = "
SELECT now.writer, number, at, hash
FROM (SELECT coalesce((SELECT writers_after + 1 FROM generations WHERE number = (SELECT max(number) FROM generations)), 1) AS writer) AS now
LEFT JOIN chain ON chain.writer = now.writer
ORDER BY number DESC LIMIT 1";

/// What a generation leaves out is [`SERIALS_LEFT_OUT`](crate::store::generation::SERIALS_LEFT_OUT).
const LEASE: &str = "
INSERT INTO serials (vehicle, day, next)
VALUES (?1, ?2, ?3 + (SELECT 4096 * count(*) FROM generations WHERE serials_through >= ?2))
ON CONFLICT (vehicle, day) DO UPDATE SET next = next + ?3
RETURNING next - ?3";

#[cfg(test)]
pub(super) const ALL: &[&str] =
    &[OBJECTIONS, KNOWN_KEYS, HELD_SLOTS, KNOWN_MOS, PARTS_BESIDE, OWNERS, PARKED, NEEDLESS_ANSWERS, END];
