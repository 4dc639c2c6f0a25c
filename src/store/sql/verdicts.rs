//! What will become of each write of a batch, by what the database said to its guards.

use std::collections::{HashMap, HashSet};

use super::{
    decode::{body, incoming, maybe_moment, owner, parked_receipt, reference, slot},
    row::SqlRow,
};
use crate::{
    charge::{Charge, Reference},
    store::{
        IncomingSms, JournalEntry, Outcome, Slot, StoreError, Told, Write,
        parts::{self, KeptPart},
        slot::{Claimed, claim, supersede},
    },
};

/// What the database said to a batch.
pub(in crate::store) struct Verdicts {
    /// The answer to each write, in order.
    pub(in crate::store) outcomes: Vec<Outcome>,
    /// The charges that give way to newer ones.
    pub(in crate::store) superseded: Vec<Superseded>,
    /// The slots that are claimed, as they were found, by the place of the claim in the batch.
    pub(in crate::store) holders: HashMap<usize, Slot>,
    /// The places in the batch of answers to messages that need none: nothing is written for them.
    pub(in crate::store) needless_answers: HashSet<usize>,
}

/// A charge that gives way to a newer one.
pub(in crate::store) struct Superseded {
    pub(in crate::store) from_version: u32,
    pub(in crate::store) charge: Charge,
    pub(in crate::store) entry: JournalEntry,
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

impl Verdicts {
    /// What becomes of the batch if nothing objects.
    pub(in crate::store) fn unless_something_objects(batch: &[Write]) -> Verdicts {
        let outcomes = batch.iter().map(if_nothing_objects).collect();
        Verdicts { outcomes, superseded: Vec::new(), holders: HashMap::new(), needless_answers: HashSet::new() }
    }

    pub(in crate::store) fn judge_settlements(&mut self, objections: Vec<impl SqlRow>) -> Result<(), StoreError> {
        for row in objections {
            let known = row.flag(1)?;
            *self.at(&row)? = if known { Outcome::EvidenceKnown } else { Outcome::Stale };
        }
        Ok(())
    }

    pub(in crate::store) fn judge_keys(&mut self, known: Vec<impl SqlRow>, batch: &[Write]) -> Result<(), StoreError> {
        for row in known {
            let body_sha256 = row.bytes(2)?;
            let same_body = match batch.get(place(&row)?) {
                Some(Write::Open(opening)) => opening.guard.body_sha256 == body_sha256,
                Some(Write::RecordRepeat { guard, .. }) => guard.body_sha256 == body_sha256,
                _ => return Err(outside_the_batch()),
            };
            let reference = reference(&row, 1)?;
            *self.at(&row)? = Outcome::KeyKnown { reference, same_body, repeat: row.flag(3)? };
        }
        Ok(())
    }

    /// Before the slots are looked at: a charge that is not opened supersedes nothing. After the keys and the messages: what they know outranks this.
    pub(in crate::store) fn judge_bounds(&mut self, over: Vec<impl SqlRow>) -> Result<(), StoreError> {
        for row in over {
            let outcome = self.at(&row)?;
            if matches!(outcome, Outcome::Opened { .. }) {
                *outcome = Outcome::OverBound;
            }
        }
        Ok(())
    }

    pub(in crate::store) fn judge_claims(&mut self, held: Vec<impl SqlRow>, batch: &[Write]) -> Result<(), StoreError> {
        for row in held {
            let Some(Write::Open(opening)) = batch.get(place(&row)?) else { return Err(outside_the_batch()) };
            let (Some(wish), Outcome::Opened { .. }) = (&opening.slot, &*self.at(&row)?) else { continue };
            let held = slot(&row, 1)?;
            self.holders.insert(place(&row)?, held.clone());
            let holder: Option<Charge> = match row.maybe_text(4)? {
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
    pub(in crate::store) fn judge_parts(
        &mut self,
        beside: Vec<impl SqlRow>,
        batch: &[Write],
    ) -> Result<(), StoreError> {
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

    pub(in crate::store) fn judge_mos(&mut self, known: Vec<impl SqlRow>) -> Result<(), StoreError> {
        for row in known {
            *self.at(&row)? = Outcome::MoKnown { id: reference(&row, 1)? };
        }
        Ok(())
    }

    pub(in crate::store) fn judge_receipts(&mut self, owned: Vec<impl SqlRow>) -> Result<(), StoreError> {
        for row in owned {
            *self.at(&row)? = Outcome::Owned(owner(&row, 1)?);
        }
        Ok(())
    }

    pub(in crate::store) fn collect_parked(&mut self, rows: Vec<impl SqlRow>) -> Result<(), StoreError> {
        for row in rows {
            if let Outcome::Settled { parked } | Outcome::MessageMoved { parked } = self.at(&row)? {
                parked.push(parked_receipt(&row, 1)?);
            }
        }
        Ok(())
    }

    /// Before the slots are looked at: who has no message to answer wants none. After the keys: what they know outranks this.
    pub(in crate::store) fn collect_needless(
        &mut self,
        rows: Vec<impl SqlRow>,
        batch: &[Write],
    ) -> Result<(), StoreError> {
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

    /// The answer to the write that a row speaks of.
    fn at(&mut self, row: &impl SqlRow) -> Result<&mut Outcome, StoreError> {
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
fn place(row: &impl SqlRow) -> Result<usize, StoreError> {
    usize::try_from(row.int(0)?).map_err(|_| outside_the_batch())
}

fn outside_the_batch() -> StoreError {
    StoreError::Refused("the database spoke of a write that it was not asked about".into())
}
