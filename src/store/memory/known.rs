//! What is known of subscribers, and what was sold.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Memory, State};
use crate::{
    charge::{CarrierName, Home, State as ChargeState},
    clock::Timestamp,
    eligibility::Facts,
    money::{Currency, Money},
    msisdn::Msisdn,
    store::{FORGOTTEN_MAX, Forgetting, KnownCounts, Sales, Seller, StoreError, StoredFact, sales::SalesChanges},
};

impl Memory {
    pub(in crate::store) async fn sales(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        Ok(sales(self.state().sales.iter().filter(|((_, quarter, _), _)| *quarter >= since)))
    }

    pub(in crate::store) async fn overdue_sales(
        &self,
        carrier: &CarrierName,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Vec<Sales>, StoreError> {
        let state = self.state();
        let mut sums = SalesChanges::new();
        for charge in state.charges.values() {
            let amount = charge.order.amount;
            if charge.state == ChargeState::InDoubt
                && charge.order.received_at >= since
                && charge.terms.ticket_deadline < doubt_since
                && charge.last_attempt().is_some_and(|attempt| attempt.carrier == *carrier)
            {
                let quarter = Sales::quarter_of(charge.order.received_at);
                for seller in Seller::of(charge) {
                    *sums.entry((seller, quarter, amount.currency)).or_default() += amount.minor;
                }
            }
        }
        Ok(sales(sums.iter()))
    }

    pub(in crate::store) async fn facts(&self, msisdn: Msisdn, carrier: &CarrierName) -> Result<Facts, StoreError> {
        let state = self.state();
        let of_this = |(number, of, _): &(Msisdn, CarrierName, _)| *number == msisdn && of == carrier;
        let facts = state.facts.iter().filter(|(key, _)| of_this(key));
        Ok(facts.map(|((_, _, name), fact)| (*name, fact.clone())).collect())
    }

    pub(in crate::store) async fn newest_facts(&self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        let state = self.state();
        let mut facts: Vec<StoredFact> = state
            .facts
            .iter()
            .map(|((msisdn, carrier, name), fact)| StoredFact {
                msisdn: *msisdn,
                carrier: carrier.clone(),
                name: *name,
                fact: fact.clone(),
            })
            .collect();
        let key = |stored: &StoredFact| (stored.fact.observed_at, stored.msisdn, stored.carrier.clone(), stored.name);
        facts.sort_by_key(|stored| Reverse(key(stored)));
        facts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(facts)
    }

    pub(in crate::store) async fn home(&self, msisdn: Msisdn) -> Result<Option<Home>, StoreError> {
        Ok(self.state().homes.get(&msisdn).cloned())
    }

    pub(in crate::store) async fn known_counts(&self) -> Result<KnownCounts, StoreError> {
        let state = self.state();
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        Ok(KnownCounts { facts: count(state.facts.len()), homes: count(state.homes.len()) })
    }
}

impl State {
    pub(super) fn keep_facts(&mut self, facts: &[StoredFact]) {
        for stored in facts {
            let key = (stored.msisdn, stored.carrier.clone(), stored.name);
            if self.facts.get(&key).is_none_or(|kept| stored.fact.observed_at >= kept.observed_at) {
                self.facts.insert(key, stored.fact.clone());
            }
        }
    }

    pub(super) fn keep_homes(&mut self, homes: &[Home]) {
        for home in homes {
            if self.homes.get(&home.msisdn).is_none_or(|kept| home.observed_at >= kept.observed_at) {
                self.homes.insert(home.msisdn, home.clone());
            }
        }
    }

    pub(super) fn forget(&mut self, forgetting: &Forgetting) {
        let Forgetting { facts_before, facts_oldest, homes_before, homes_oldest } = *forgetting;
        forget_oldest(&mut self.facts, |fact| fact.observed_at, facts_before, FORGOTTEN_MAX);
        forget_oldest(&mut self.facts, |fact| fact.observed_at, Timestamp::MAX, facts_oldest.min(FORGOTTEN_MAX));
        forget_oldest(&mut self.homes, |home| home.observed_at, homes_before, FORGOTTEN_MAX);
        forget_oldest(&mut self.homes, |home| home.observed_at, Timestamp::MAX, homes_oldest.min(FORGOTTEN_MAX));
    }
}

fn forget_oldest<K: Ord + Clone, V>(
    rows: &mut BTreeMap<K, V>,
    observed_at: impl Fn(&V) -> Timestamp,
    before: Timestamp,
    rows_max: u32,
) {
    let mut old: Vec<(Timestamp, K)> =
        rows.iter().map(|(key, row)| (observed_at(row), key.clone())).filter(|(at, _)| *at < before).collect();
    old.sort();
    for (_, key) in old.into_iter().take(usize::try_from(rows_max).unwrap_or(usize::MAX)) {
        rows.remove(&key);
    }
}

/// In the order of the table's key, without sums of nothing.
fn sales<'a>(sums: impl Iterator<Item = (&'a (Seller, Timestamp, Currency), &'a i64)>) -> Vec<Sales> {
    let sum = |((seller, quarter, currency), minor): (&(Seller, Timestamp, _), &i64)| Sales {
        seller: seller.clone(),
        quarter: *quarter,
        amount: Money::new(*minor, *currency),
    };
    let mut sales: Vec<Sales> = sums.filter(|(_, minor)| **minor != 0).map(sum).collect();
    sales.sort_by_cached_key(|sales| (sales.quarter, sales.seller.clone(), sales.amount.currency.code()));
    sales
}
