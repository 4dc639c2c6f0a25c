//! What the check of the books has to know of months that are no longer here.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::{audit::Books, decode, row::SqlRow};
use crate::{
    charge::{Reference, State},
    clock::Timestamp,
    ledger::{Account, Audit, ChargeRecords, Entry, Flaw, RetiredTotals, Writer},
    money::Currency,
    store::StoreError,
};

/// The months that were retired, and what the charges say of them.
#[derive(Debug, Default)]
pub(in crate::store) struct Retired {
    months: u64,
    /// What the months say that was in them.
    said: RetiredTotals,
    charges_said: u64,
    /// Runs of blocks: by writer and first number, the last number.
    runs: BTreeMap<(Writer, u64), u64>,
    /// What was carried forward on each account, and what the charges' parts of it add up to.
    carried: BTreeMap<(Account, Currency), (i128, i128)>,
    /// Parts of charges that were found.
    charges: u64,
}

impl Retired {
    pub(in crate::store) async fn read(db: &mut impl Books) -> Result<Retired, StoreError> {
        let mut retired = Retired::default();
        for row in db.retirements().await? {
            let count = |column| decode::small::<u64>(&row, column, "retirements");
            retired.months += 1;
            retired.said.blocks += count(1)?;
            retired.said.entries += count(2)?;
            retired.said.lines += count(3)?;
            retired.charges_said += count(4)?;
        }
        retired.said.months = retired.months;
        for row in db.retired_blocks().await? {
            let number = |column| decode::small(&row, column, "retired_blocks");
            retired.runs.insert((Writer(decode::small(&row, 0, "retired_blocks")?), number(1)?), number(2)?);
        }
        for row in db.carried().await? {
            let key = (decode::word(&row, 0, "carried")?, decode::word(&row, 1, "carried")?);
            retired.carried.insert(key, (row.int(2)?.into(), 0));
        }
        Ok(retired)
    }

    /// Whether the entries of a block are no longer here.
    pub(in crate::store) fn has(&self, writer: Writer, number: u64) -> bool {
        self.runs.range((writer, 0)..=(writer, number)).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Gives each charge the versions and the sums that are no longer here, and says which charges have some.
    pub(in crate::store) async fn gather(
        &mut self,
        db: &mut impl Books,
        references: &[Reference],
        records: &mut BTreeMap<Reference, ChargeRecords>,
    ) -> Result<BTreeSet<Reference>, StoreError> {
        let mut found = BTreeSet::new();
        if self.months == 0 {
            return Ok(found);
        }
        for row in db.retired_of(references).await? {
            let part = Part::read(&row)?;
            self.charges += 1;
            let Some(of) = records.get_mut(&part.reference) else { continue };
            of.journal.extend(part.versions.iter().map(|version| (*version, part.state)));
            let version = part.versions.last().copied().unwrap_or(0);
            for (account, currency, minor) in part.sums {
                self.carried.entry((account.clone(), currency)).or_default().1 += i128::from(minor);
                let posted_at = Timestamp::MIN;
                of.lines.push(Entry { reference: part.reference, version, account, minor, currency, posted_at });
            }
            found.insert(part.reference);
        }
        for reference in &found {
            // The journal is told in the order of its versions; what is no longer here came in between.
            records.get_mut(reference).into_iter().for_each(|of| of.journal.sort_by_key(|(version, _)| *version));
        }
        Ok(found)
    }

    /// Whether what is said of the months agrees with the chain, and with the charges.
    pub(in crate::store) fn judge(self, audit: &mut Audit) {
        audit.retired_months(self.months);
        let found = audit.retired();
        let counts = [
            ("blocks", self.said.blocks, found.blocks),
            ("journal entries", self.said.entries, found.entries),
            ("ledger lines", self.said.lines, found.lines),
            ("charges", self.charges_said, self.charges),
        ];
        for (what, said, found) in counts.into_iter().filter(|(_, said, found)| said != found) {
            let what = format!("the retired months are said to have {said} {what}, and {found} are known");
            audit.found(Flaw::Retired { what });
        }
        for ((account, currency), (carried, charges)) in self.carried {
            if carried != charges {
                let what = format!(
                    "{account} has {carried} {currency} carried forward from retired months, and the charges account for {charges}"
                );
                audit.found(Flaw::Retired { what });
            }
        }
    }
}

/// What is no longer here of a charge, of one month.
struct Part {
    reference: Reference,
    versions: Vec<u32>,
    state: State,
    sums: Vec<(Account, Currency, i64)>,
}

impl Part {
    /// reference; versions, state, accounts, currencies and minors as JSON.
    fn read(row: &impl SqlRow) -> Result<Part, StoreError> {
        let accounts: Vec<Account> = json(row, 3)?;
        let (currencies, minors): (Vec<Currency>, Vec<i64>) = (json(row, 4)?, json(row, 5)?);
        let sums = accounts.into_iter().zip(currencies).zip(minors);
        Ok(Part {
            reference: decode::reference(row, 0)?,
            versions: json(row, 1)?,
            state: json(row, 2)?,
            sums: sums.map(|((account, currency), minor)| (account, currency, minor)).collect(),
        })
    }
}

fn json<T: DeserializeOwned>(row: &impl SqlRow, column: usize) -> Result<T, StoreError> {
    decode::body(row, column, "retired_charges")
}
