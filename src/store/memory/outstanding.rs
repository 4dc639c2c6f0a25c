//! What is outstanding, from plain maps.

use std::collections::BTreeMap;

use super::{Memory, State};
use crate::{
    charge::{CarrierName, Charge, Reference, Refund, State as ChargeState},
    clock::Timestamp,
    money::Currency,
    store::{
        ListedRefund, Outstanding, OutstandingSum, RefundFilter, RefundStanding, StoreError, StoredBreak,
        UnownedReceipt, outstanding::UNOWNED,
    },
};

impl Memory {
    pub(in crate::store) async fn refunds(
        &self,
        filter: &RefundFilter,
        limit: u32,
    ) -> Result<Vec<ListedRefund>, StoreError> {
        let state = self.state();
        let mut found: Vec<(&Charge, &Refund)> =
            unsettled(&state).filter(|(charge, refund)| fits(charge, refund, filter)).collect();
        found.sort_by_key(|(_, refund)| refund.reference);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let listed = |(charge, refund): (&Charge, &Refund)| ListedRefund::new(charge.clone(), refund.reference);
        found.into_iter().take(limit).map(listed).collect()
    }

    pub(in crate::store) async fn outstanding(&self) -> Result<Vec<OutstandingSum>, StoreError> {
        let state = self.state();
        let mut sums = Sums::default();
        for charge in state.charges.values().filter(|charge| charge.state == ChargeState::InDoubt) {
            if let (Some(attempt), Some(since)) = (charge.last_attempt(), charge.in_doubt_since) {
                let amount = charge.order.amount;
                sums.add(Outstanding::ChargesInDoubt, &attempt.carrier, Some(amount.currency), since, amount.minor);
            }
        }
        for (charge, refund) in unsettled(&state) {
            let what = match RefundStanding::of(refund.state) {
                Some(RefundStanding::Requested) => Outstanding::RefundsRequested,
                Some(RefundStanding::InDoubt) => Outstanding::RefundsInDoubt,
                Some(RefundStanding::Owed) => Outstanding::RefundsOwed,
                None => continue,
            };
            let Some(carrier) = charge.carrier_of(refund) else { continue };
            sums.add(what, carrier, Some(refund.amount.currency), refund.opened_at, refund.amount.minor);
        }
        for parked in state.parked.values() {
            sums.add(Outstanding::Parked, &parked.carrier, None, parked.received_at, 0);
        }
        Ok(sums.0.into_values().collect())
    }

    pub(in crate::store) async fn unowned(
        &self,
        after: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<UnownedReceipt>, StoreError> {
        let state = self.state();
        let mut parked: Vec<_> = state
            .parked
            .values()
            .filter(|parked| after.is_none_or(|after| (parked.received_at, parked.id.as_str()) > after))
            .collect();
        parked.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        let unowned = |receipt: &crate::store::ParkedReceipt| UnownedReceipt {
            receipt: receipt.clone(),
            reported_at: state.reported.get(&receipt.id).copied(),
        };
        Ok(parked.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(unowned).collect())
    }
}

impl State {
    /// Once for each piece.
    pub(super) fn report_unowned(&mut self, id: &str, at: Timestamp) {
        if !self.parked.contains_key(id) || self.reported.contains_key(id) {
            return;
        }
        self.reported.insert(id.to_owned(), at);
        let (kind, piece) = (UNOWNED.to_owned(), Some(id.to_owned()));
        self.breaks.push(StoredBreak { reference: None, piece, kind, at, amount: None });
    }
}

/// By what, carrier and currency: the order in which SQLite answers.
#[derive(Default)]
struct Sums(BTreeMap<(Outstanding, CarrierName, Option<&'static str>), OutstandingSum>);

impl Sums {
    fn add(
        &mut self,
        what: Outstanding,
        carrier: &CarrierName,
        currency: Option<Currency>,
        since: Timestamp,
        minor: i64,
    ) {
        let sum = self.0.entry((what, carrier.clone(), currency.map(Currency::code))).or_insert(OutstandingSum {
            what,
            carrier: carrier.clone(),
            currency,
            count: 0,
            oldest_since: since,
            minor: 0,
        });
        sum.count += 1;
        sum.oldest_since = sum.oldest_since.min(since);
        sum.minor = sum.minor.saturating_add(minor);
    }
}

fn unsettled(state: &State) -> impl Iterator<Item = (&Charge, &Refund)> {
    let refunds = state.charges.values().flat_map(|charge| charge.refunds.iter().map(move |refund| (charge, refund)));
    refunds.filter(|(_, refund)| !refund.state.is_settled())
}

fn fits(charge: &Charge, refund: &Refund, filter: &RefundFilter) -> bool {
    let after = |after: &Reference| refund.reference > *after;
    filter.standing.is_none_or(|standing| RefundStanding::of(refund.state) == Some(standing))
        && filter.carrier.as_ref().is_none_or(|carrier| charge.carrier_of(refund) == Some(carrier))
        && filter.opened_by.is_none_or(|by| refund.opened_at <= by)
        && filter.after.as_ref().is_none_or(after)
}
