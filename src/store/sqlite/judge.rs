//! What will become of each write of a batch, asked of the database before anything is written. The transaction holds the
//! write lock and the writes touch different things, so each answer is still true when the rows are written.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sqlx::{
    Row,
    sqlite::{SqliteConnection, SqliteRow},
};

use super::{
    decode::{body, incoming, maybe_moment, owner, parked_receipt, reference, slot, small},
    tables::Hex,
    writer::select_set,
};
use crate::{
    charge::{CarrierName, Charge, Reference},
    store::{
        IncomingSms, JournalEntry, KeyGuard, Opening, Outcome, Settlement, StoreError, Told, Write,
        parts::{self, KeptPart},
        slot::{Claimed, claim, supersede},
    },
    transit::VehicleCode,
};

/// What the database said to a batch.
pub(super) struct Verdicts {
    /// The answer to each write, in order.
    pub(super) outcomes: Vec<Outcome>,
    /// The charges that give way to newer ones.
    pub(super) superseded: Vec<Superseded>,
    /// The places in the batch of answers to messages that need none: nothing is written for them.
    pub(super) needless_answers: HashSet<usize>,
}

/// A charge that gives way to a newer one.
pub(super) struct Superseded {
    pub(super) from_version: u32,
    pub(super) charge: Charge,
    pub(super) entry: JournalEntry,
}

/// Asks for each kind of guard once, whatever the number of writes. Only leases are written here already, each by a
/// statement of its own: they are rare.
pub(super) async fn judge(db: &mut SqliteConnection, batch: &[Write]) -> Result<Verdicts, StoreError> {
    let mut guards = Guards::default();
    for (i, write) in batch.iter().enumerate() {
        guards.add(i, write);
    }
    let outcomes = batch.iter().map(if_nothing_objects).collect();
    let mut verdicts = Verdicts { outcomes, superseded: Vec::new(), needless_answers: HashSet::new() };
    verdicts.judge_settlements(select_set(db, OBJECTIONS, &guards.settlements).await?)?;
    verdicts.judge_keys(select_set(db, KNOWN_KEYS, &guards.keys).await?, batch)?;
    verdicts.collect_needless(select_set(db, NEEDLESS_ANSWERS, &guards.answers).await?, batch)?;
    verdicts.judge_claims(select_set(db, HELD_SLOTS, &guards.claims).await?, batch)?;
    verdicts.judge_parts(select_set(db, PARTS_BESIDE, &guards.parts).await?, batch)?;
    verdicts.judge_mos(select_set(db, KNOWN_MOS, &guards.mos).await?)?;
    verdicts.judge_receipts(select_set(db, OWNERS, &guards.receipts).await?)?;
    verdicts.collect_parked(select_set(db, PARKED, &guards.learned).await?)?;
    verdicts.lease(db, batch).await?;
    Ok(verdicts)
}

/// The answer to a write that meets no objection.
fn if_nothing_objects(write: &Write) -> Outcome {
    match write {
        Write::Open(_) => Outcome::Opened { superseded: None },
        Write::Settle(_) => Outcome::Settled { parked: Vec::new() },
        Write::KeepMo(IncomingSms { part: None, .. }) | Write::JoinParts(_) => Outcome::MoKept,
        Write::KeepMo(_) => Outcome::PartKept { parts: Vec::new() },
        Write::Park(_) => Outcome::Parked,
        Write::MoveMessage(_) => Outcome::MessageMoved { parked: Vec::new() },
        Write::LeaseSerials { .. } => Outcome::Leased { first: 0 },
        Write::RecordRepeat { .. }
        | Write::AnswerMo(_)
        | Write::HandOverMo { .. }
        | Write::WatchMos { .. }
        | Write::Unpark { .. }
        | Write::ReportUnowned { .. }
        | Write::SetLanguage { .. }
        | Write::KeepFacts(_)
        | Write::KeepHomes(_)
        | Write::Forget(_)
        | Write::MoveWebhook(_) => Outcome::Done,
    }
}

/// What is asked, with the place of the write in its batch.
#[derive(Default)]
struct Guards<'a> {
    settlements: Vec<SettlementGuard<'a>>,
    keys: Vec<KeyQuestion<'a>>,
    claims: Vec<ClaimGuard<'a>>,
    mos: Vec<MoGuard<'a>>,
    parts: Vec<PartGuard>,
    receipts: Vec<IdQuestion<'a>>,
    learned: Vec<IdQuestion<'a>>,
    answers: Vec<AnswerGuard>,
}

#[derive(Serialize)]
struct SettlementGuard<'a> {
    i: usize,
    reference: Reference,
    from_version: u32,
    evidence: Option<&'a str>,
}

#[derive(Serialize)]
struct KeyQuestion<'a> {
    i: usize,
    caller: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct ClaimGuard<'a> {
    i: usize,
    msisdn: u64,
    vehicle: &'a VehicleCode,
}

#[derive(Serialize)]
struct MoGuard<'a> {
    i: usize,
    fingerprint: Hex<'a>,
    same_since: i64,
    same_until: i64,
}

#[derive(Serialize)]
struct PartGuard {
    i: usize,
    msisdn: u64,
    same_since: i64,
}

#[derive(Serialize)]
struct IdQuestion<'a> {
    i: usize,
    carrier: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct AnswerGuard {
    i: usize,
    mo: Reference,
}

impl<'a> Guards<'a> {
    fn add(&mut self, i: usize, write: &'a Write) {
        match write {
            Write::Open(opening) => self.add_opening(i, opening),
            Write::Settle(settlement) => self.add_settlement(i, settlement),
            Write::RecordRepeat { guard, mo, .. } => {
                self.add_key(i, guard);
                self.answers.extend(mo.iter().map(|answer| AnswerGuard { i, mo: answer.mo }));
            }
            Write::KeepMo(sms @ IncomingSms { fingerprint, same_since, part, msisdn, .. }) => {
                let (fingerprint, same_since) = (Hex(fingerprint), same_since.unix_ms());
                self.mos.push(MoGuard { i, fingerprint, same_since, same_until: sms.same_until().unix_ms() });
                self.parts.extend(part.map(|_| PartGuard { i, msisdn: msisdn.e164(), same_since }));
            }
            Write::JoinParts(joined) => self.answers.extend(joined.parts.iter().map(|mo| AnswerGuard { i, mo: *mo })),
            Write::AnswerMo(answer) => self.answers.push(AnswerGuard { i, mo: answer.mo }),
            Write::HandOverMo { mo, .. } => self.answers.push(AnswerGuard { i, mo: *mo }),
            Write::Park(receipt) => {
                let carrier = &receipt.carrier;
                self.receipts.extend(receipt.carrier_id.iter().map(|id| IdQuestion::new(i, carrier, id)));
            }
            Write::MoveMessage(progress) => {
                let learned = progress.carrier_id.iter();
                self.learned.extend(learned.map(|(carrier, id)| IdQuestion::new(i, carrier, id)));
            }
            Write::WatchMos { .. }
            | Write::Unpark { .. }
            | Write::ReportUnowned { .. }
            | Write::LeaseSerials { .. }
            | Write::SetLanguage { .. }
            | Write::KeepFacts(_)
            | Write::KeepHomes(_)
            | Write::Forget(_)
            | Write::MoveWebhook(_) => {}
        }
    }

    fn add_opening(&mut self, i: usize, opening: &'a Opening) {
        let order = &opening.charge.order;
        self.add_key(i, &opening.guard);
        self.answers.extend(opening.mo.map(|mo| AnswerGuard { i, mo }));
        if opening.slot.is_some() {
            self.claims.push(ClaimGuard { i, msisdn: order.msisdn.e164(), vehicle: &order.vehicle });
        }
    }

    fn add_settlement(&mut self, i: usize, settlement: &'a Settlement) {
        self.settlements.push(SettlementGuard {
            i,
            reference: settlement.charge.reference,
            from_version: settlement.from_version,
            evidence: settlement.journal.evidence_id(),
        });
        self.learned.extend(settlement.carrier_id.iter().map(|new| IdQuestion::new(i, &new.carrier, &new.id)));
    }

    fn add_key(&mut self, i: usize, guard: &'a KeyGuard) {
        self.keys.push(KeyQuestion { i, caller: &guard.caller, key: &guard.key });
    }
}

impl<'a> IdQuestion<'a> {
    fn new(i: usize, carrier: &'a CarrierName, id: &'a str) -> IdQuestion<'a> {
        IdQuestion { i, carrier: carrier.as_str(), id }
    }
}

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

const LEASE: &str = "
INSERT INTO serials (vehicle, day, next) VALUES (?1, ?2, ?3)
ON CONFLICT (vehicle, day) DO UPDATE SET next = next + excluded.next
RETURNING next - ?3";

impl Verdicts {
    fn judge_settlements(&mut self, objections: Vec<SqliteRow>) -> Result<(), StoreError> {
        for row in objections {
            let known: bool = row.try_get(1)?;
            *self.at(&row)? = if known { Outcome::EvidenceKnown } else { Outcome::Stale };
        }
        Ok(())
    }

    fn judge_keys(&mut self, known: Vec<SqliteRow>, batch: &[Write]) -> Result<(), StoreError> {
        for row in known {
            let body_sha256: &[u8] = row.try_get(2)?;
            let same_body = match batch.get(place(&row)?) {
                Some(Write::Open(opening)) => opening.guard.body_sha256 == body_sha256,
                Some(Write::RecordRepeat { guard, .. }) => guard.body_sha256 == body_sha256,
                _ => return Err(outside_the_batch()),
            };
            let reference = reference(&row, 1)?;
            *self.at(&row)? = Outcome::KeyKnown { reference, same_body, repeat: row.try_get(3)? };
        }
        Ok(())
    }

    fn judge_claims(&mut self, held: Vec<SqliteRow>, batch: &[Write]) -> Result<(), StoreError> {
        for row in held {
            let Some(Write::Open(opening)) = batch.get(place(&row)?) else { return Err(outside_the_batch()) };
            let (Some(wish), Outcome::Opened { .. }) = (&opening.slot, &*self.at(&row)?) else { continue };
            let held = slot(&row, 1)?;
            let holder: Option<Charge> = match row.try_get::<Option<&str>, _>(4)? {
                Some(_) => Some(body(&row, 4, "charges")?),
                None => None,
            };
            match (claim(wish, &opening.charge, &held, holder.as_ref()), holder) {
                (Claimed::Held, _) => *self.at(&row)? = Outcome::SlotHeld(held),
                (Claimed::Granted { superseded: Some(next) }, Some(old)) => {
                    *self.at(&row)? = Outcome::Opened { superseded: Some(next.reference) };
                    self.superseded.push(Superseded::new(&old, *next, opening.charge.reference));
                }
                (Claimed::Granted { .. }, _) => {}
            }
        }
        Ok(())
    }

    /// Before the fingerprints are looked at: what they know outranks this.
    fn judge_parts(&mut self, beside: Vec<SqliteRow>, batch: &[Write]) -> Result<(), StoreError> {
        let mut kept: HashMap<usize, Vec<KeptPart>> = HashMap::new();
        for row in beside {
            let part = KeptPart { message: incoming(&row, 2)?, closed_at: maybe_moment(&row, 1)? };
            kept.entry(place(&row)?).or_default().push(part);
        }
        for (i, (write, outcome)) in batch.iter().zip(&mut self.outcomes).enumerate() {
            if let Write::KeepMo(message) = write
                && let Some(part) = message.part
            {
                *outcome = parts::judge(message, part, kept.remove(&i).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn judge_mos(&mut self, known: Vec<SqliteRow>) -> Result<(), StoreError> {
        for row in known {
            *self.at(&row)? = Outcome::MoKnown { id: reference(&row, 1)? };
        }
        Ok(())
    }

    fn judge_receipts(&mut self, owned: Vec<SqliteRow>) -> Result<(), StoreError> {
        for row in owned {
            *self.at(&row)? = Outcome::Owned(owner(&row, 1)?);
        }
        Ok(())
    }

    fn collect_parked(&mut self, rows: Vec<SqliteRow>) -> Result<(), StoreError> {
        for row in rows {
            if let Outcome::Settled { parked } | Outcome::MessageMoved { parked } = self.at(&row)? {
                parked.push(parked_receipt(&row, 1)?);
            }
        }
        Ok(())
    }

    /// Before the slots are looked at: who has no message to answer wants none. After the keys: what they know outranks this.
    fn collect_needless(&mut self, rows: Vec<SqliteRow>, batch: &[Write]) -> Result<(), StoreError> {
        for row in rows {
            match batch.get(place(&row)?) {
                Some(Write::AnswerMo(answer)) => *self.at(&row)? = Outcome::MoKnown { id: answer.mo },
                Some(Write::HandOverMo { mo, .. }) => *self.at(&row)? = Outcome::MoKnown { id: *mo },
                Some(Write::Open(opening)) => {
                    if let (Some(id), outcome @ Outcome::Opened { .. }) = (opening.mo, self.at(&row)?) {
                        *outcome = Outcome::MoKnown { id };
                    }
                }
                Some(Write::JoinParts(joined)) => *self.at(&row)? = Outcome::MoKnown { id: joined.message.id },
                _ => {}
            }
            self.needless_answers.insert(place(&row)?);
        }
        Ok(())
    }

    async fn lease(&mut self, db: &mut SqliteConnection, batch: &[Write]) -> Result<(), StoreError> {
        for (write, outcome) in batch.iter().zip(&mut self.outcomes) {
            if let (Write::LeaseSerials { vehicle, day, count }, Outcome::Leased { first }) = (write, outcome) {
                let vehicle = super::reads::vehicle_text(vehicle);
                let row = sqlx::query(LEASE).bind(vehicle).bind(day).bind(count).fetch_one(&mut *db).await?;
                *first = small(&row, 0, "serials")?;
            }
        }
        Ok(())
    }

    /// The answer to the write that a row speaks of.
    fn at(&mut self, row: &SqliteRow) -> Result<&mut Outcome, StoreError> {
        self.outcomes.get_mut(place(row)?).ok_or_else(outside_the_batch)
    }
}

impl Superseded {
    fn new(old: &Charge, charge: Charge, by: Reference) -> Superseded {
        let entry = JournalEntry {
            reference: old.reference,
            version: charge.version,
            at: charge.updated_at,
            event: Some(supersede(by)),
            from: Some(old.state),
            to: charge.state,
            verbatim: None,
            told: Told::default(),
        };
        Superseded { from_version: old.version, charge, entry }
    }
}

/// The first column of every answer: the place of the write in its batch.
fn place(row: &SqliteRow) -> Result<usize, StoreError> {
    usize::try_from(row.try_get::<i64, _>(0)?).map_err(|_| outside_the_batch())
}

fn outside_the_batch() -> StoreError {
    StoreError::Refused("the database spoke of a write that it was not asked about".into())
}

#[cfg(test)]
pub(super) const ALL: &[&str] =
    &[OBJECTIONS, KNOWN_KEYS, HELD_SLOTS, KNOWN_MOS, PARTS_BESIDE, OWNERS, PARKED, NEEDLESS_ANSWERS];
