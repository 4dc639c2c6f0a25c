//! What will become of each write of a batch, asked of the database before anything is written. Others may write meanwhile:
//! what is written then says what it was judged by, and a commit that is not so any more begins again.

use sqlx::postgres::PgConnection;

use super::set::SetStatement;
use crate::store::{
    Outcome, StoreError, Write,
    sql::{
        decode::{small, vehicle_text},
        guards::Guards,
        verdicts::Verdicts,
    },
};

/// Asks for each kind of guard once, whatever the number of writes. Only leases are written here already, each by a
/// statement of its own: they are rare.
pub(super) async fn judge(db: &mut PgConnection, batch: &[Write]) -> Result<Verdicts, StoreError> {
    let guards = Guards::of(batch);
    let mut verdicts = Verdicts::unless_something_objects(batch);
    verdicts.judge_settlements(OBJECTIONS.select(db, &guards.settlements).await?)?;
    verdicts.judge_keys(KNOWN_KEYS.select(db, &guards.keys).await?, batch)?;
    verdicts.collect_needless(NEEDLESS_ANSWERS.select(db, &guards.answers).await?, batch)?;
    verdicts.judge_bounds(OVER_BOUNDS.select(db, &guards.bounds).await?)?;
    verdicts.judge_claims(HELD_SLOTS.select(db, &guards.claims).await?, batch)?;
    verdicts.judge_parts(PARTS_BESIDE.select(db, &guards.parts).await?, batch)?;
    verdicts.judge_mos(KNOWN_MOS.select(db, &guards.mos).await?)?;
    verdicts.judge_receipts(OWNERS.select(db, &guards.receipts).await?)?;
    verdicts.collect_parked(PARKED.select(db, &guards.learned).await?)?;
    lease(db, batch, &mut verdicts).await?;
    Ok(verdicts)
}

async fn lease(db: &mut PgConnection, batch: &[Write], verdicts: &mut Verdicts) -> Result<(), StoreError> {
    for (write, outcome) in batch.iter().zip(&mut verdicts.outcomes) {
        if let (Write::LeaseSerials { vehicle, day, count }, Outcome::Leased { first }) = (write, outcome) {
            let query = sqlx::query(LEASE).bind(vehicle_text(vehicle)).bind(day).bind(i64::from(*count));
            *first = small(&query.fetch_one(&mut *db).await?, 0, "serials")?;
        }
    }
    Ok(())
}

static OBJECTIONS: SetStatement = SetStatement::new(
    "SELECT new.i, known.id IS NOT NULL
     FROM {rows}
     LEFT JOIN charges ON charges.reference = new.reference
     LEFT JOIN evidence AS known ON known.reference = new.reference AND known.id = new.evidence
     WHERE known.id IS NOT NULL OR charges.version IS DISTINCT FROM new.from_version",
);

static KNOWN_KEYS: SetStatement = SetStatement::new(
    "SELECT new.i, keys.reference, keys.body_sha256, keys.repeat
     FROM {rows} JOIN keys ON keys.caller = new.caller AND keys.key = new.key",
);

static OVER_BOUNDS: SetStatement = SetStatement::new(
    "SELECT new.i
     FROM {rows}
     WHERE (SELECT coalesce(sum(amount_minor), 0) > new.minor_max OR count(*) > new.purchases_max
            FROM charges
            WHERE charges.msisdn = new.msisdn AND received_at >= new.since AND state NOT IN ('declined', 'rejected')
              AND (state <> 'in_doubt' OR ticket_deadline >= new.doubt_since))",
);

static HELD_SLOTS: SetStatement = SetStatement::new(
    "SELECT new.i, slots.reference, slots.passengers, slots.held_until, holder.body
     FROM {rows}
     JOIN slots ON slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle
     LEFT JOIN charges AS holder ON holder.reference = slots.reference
                                AND holder.state IN ('processing', 'awaiting_otp', 'in_doubt')",
);

static KNOWN_MOS: SetStatement = SetStatement::new(
    "SELECT new.i, kept.mo
     FROM {rows}
     JOIN mo_fingerprints AS kept ON kept.fingerprint = new.fingerprint
                                 AND kept.received_at > new.same_since AND kept.received_at < new.same_until",
);

static PARTS_BESIDE: SetStatement = SetStatement::new(
    "SELECT new.i, kept.answered_at, kept.id, kept.carrier, kept.msisdn, kept.destination, kept.text, kept.fingerprint,
            kept.received_at, kept.same_since, kept.kind, kept.kept_at,
            kept.part_reference, kept.part_wide, kept.part_total, kept.part_number
     FROM {rows}
     JOIN mos AS kept ON kept.msisdn = new.msisdn AND kept.part_number IS NOT NULL
                     AND coalesce(kept.answered_at, 9223372036854775807) > new.same_since
     ORDER BY kept.received_at, kept.id",
);

static OWNERS: SetStatement = SetStatement::new(
    "SELECT new.i, known.reference, known.attempt, known.refund
     FROM {rows} JOIN carrier_ids AS known ON known.carrier = new.carrier AND known.id = new.id",
);

static PARKED: SetStatement = SetStatement::new(
    "SELECT new.i, parked.id, parked.carrier, parked.carrier_id, parked.msisdn, parked.received_at, parked.body
     FROM {rows} JOIN parked ON parked.carrier = new.carrier AND parked.carrier_id = new.id
     ORDER BY parked.received_at, parked.id",
);

static NEEDLESS_ANSWERS: SetStatement = SetStatement::new(
    "SELECT new.i
     FROM {rows} LEFT JOIN mos ON mos.id = new.mo
     WHERE mos.id IS NULL OR mos.answered_at IS NOT NULL",
);

/// What a generation leaves out is [`SERIALS_LEFT_OUT`](crate::store::generation::SERIALS_LEFT_OUT).
const LEASE: &str = "
INSERT INTO serials (vehicle, day, next)
VALUES ($1, $2, $3 + (SELECT 4096 * count(*) FROM generations WHERE serials_through >= $2))
ON CONFLICT (vehicle, day) DO UPDATE SET next = serials.next + $3
RETURNING next - $3";
