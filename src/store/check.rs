//! What must hold for a write by itself, whatever is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{JournalEntry, KeyGuard, Settlement, StoreError, StoredFact, Write};
use crate::charge::{Charge, Reference};

/// A key has at most this many bytes.
const KEY_BYTES_MAX: usize = 255;

impl Write {
    /// Errors: [`StoreError::Refused`] if the write contradicts itself: entries that do not add up to zero, parts that
    /// speak of different charges, a version that goes back, a key that is too long, a part that is made of parts, a fact or a home twice.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self {
            Write::Open(opening) => {
                check_key(&opening.guard)?;
                check_journal(&opening.charge, &opening.journal)
            }
            Write::Settle(settlement) => settlement.check(),
            Write::RecordRepeat { guard, .. } => check_key(guard),
            Write::JoinParts(joined) if joined.message.part.is_some() || joined.parts.is_empty() => {
                Err(StoreError::Refused(format!("message {}: it is no message made of parts", joined.message.id)))
            }
            Write::KeepFacts(facts) => {
                let mut seen = BTreeSet::new();
                let is_new = |fact: &StoredFact| seen.insert((fact.msisdn, fact.carrier.clone(), fact.name));
                refuse_twice(facts.iter().all(is_new), "a fact")
            }
            Write::KeepHomes(homes) => {
                let mut seen = BTreeSet::new();
                refuse_twice(homes.iter().all(|home| seen.insert(home.msisdn)), "a number's home")
            }
            _ => Ok(()),
        }
    }
}

fn refuse_twice(once: bool, what: &str) -> Result<(), StoreError> {
    if once { Ok(()) } else { Err(StoreError::Refused(format!("{what} is in one write twice"))) }
}

impl Settlement {
    fn check(&self) -> Result<(), StoreError> {
        let charge = &self.charge;
        if charge.version < self.from_version {
            return refuse(charge.reference, "its version goes back");
        }
        check_journal(charge, std::slice::from_ref(&self.journal))?;
        if self.ticket.as_ref().is_some_and(|ticket| ticket.reference != charge.reference) {
            return refuse(charge.reference, "its ticket names another charge");
        }
        let mut sums = BTreeMap::new();
        for entry in &self.entries {
            if entry.reference != charge.reference || entry.version != charge.version {
                return refuse(charge.reference, "a ledger entry names another charge or version");
            }
            *sums.entry(entry.currency).or_insert(0_i128) += i128::from(entry.minor);
        }
        // The row of the charge guards its lines: each version is reached once.
        if !self.entries.is_empty() && charge.version == self.from_version {
            return refuse(charge.reference, "it has ledger entries, and leads to no new version");
        }
        if sums.values().any(|sum| *sum != 0) {
            return refuse(charge.reference, "its ledger entries do not add up to zero");
        }
        Ok(())
    }
}

fn check_key(guard: &KeyGuard) -> Result<(), StoreError> {
    if guard.key.len() > KEY_BYTES_MAX {
        return Err(StoreError::Refused(format!("a key has {} bytes; {KEY_BYTES_MAX} are the most", guard.key.len())));
    }
    Ok(())
}

fn check_journal(charge: &Charge, journal: &[JournalEntry]) -> Result<(), StoreError> {
    match journal.iter().all(|entry| entry.reference == charge.reference && entry.version <= charge.version) {
        true => Ok(()),
        false => refuse(charge.reference, "its journal names another charge or a later version"),
    }
}

fn refuse(reference: Reference, why: &str) -> Result<(), StoreError> {
    Err(StoreError::Refused(format!("charge {reference}: {why}")))
}
