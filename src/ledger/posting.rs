use serde::{Deserialize, Serialize};

use super::Account;
use crate::{
    charge::{Attempt, Charge, Reference, Refund, RefundState, State},
    clock::Timestamp,
    money::Currency,
};

/// One line of the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The charge that moved.
    pub reference: Reference,
    /// The version of the charge that these entries lead to; with the reference and the account it names the line.
    pub version: u32,
    /// The account.
    pub account: Account,
    /// Minor units; a debit is positive, a credit negative. Never zero.
    pub minor: i64,
    /// The currency of the units.
    pub currency: Currency,
    /// When it was posted.
    pub posted_at: Timestamp,
}

/// The entries that lead from the charge as it was (`None`: it did not exist) to the charge as it is. They add up to zero.
pub fn entries(before: Option<&Charge>, after: &Charge) -> Vec<Entry> {
    let mut moved = before.map(position).unwrap_or_default();
    moved.iter_mut().for_each(|(_, minor)| *minor = -*minor);
    for (account, minor) in position(after) {
        add(&mut moved, account, minor);
    }
    moved.sort_by(|a, b| a.0.cmp(&b.0));
    let entry = |(account, minor)| Entry {
        reference: after.reference,
        version: after.version,
        account,
        minor,
        currency: after.order.amount.currency,
        posted_at: after.updated_at,
    };
    let entries: Vec<Entry> = moved.into_iter().filter(|(_, minor)| *minor != 0).map(entry).collect();
    assert_eq!(entries.iter().map(|entry| i128::from(entry.minor)).sum::<i128>(), 0, "entries must add up to zero");
    entries
}

/// What a charge stands for on each account, in minor units. It adds up to zero.
pub fn position(charge: &Charge) -> Vec<(Account, i64)> {
    let mut position = Vec::new();
    let amount = charge.order.amount.minor;
    if let Some(attempt) = charge.last_attempt() {
        match charge.state {
            // The fee is the carrier's once it is known that it took anything.
            State::InDoubt => {
                add(&mut position, Account::CarrierReceivable(attempt.carrier.as_str().into()), amount);
                add(&mut position, Account::InDoubtSuspense, -amount);
            }
            State::Charged | State::Refunding | State::RefundOwed | State::Refunded => {
                sale(&mut position, charge, attempt);
            }
            State::Processing | State::AwaitingOtp | State::Declined(_) | State::Rejected(_) => {}
        }
    }
    // Money taken for an attempt that had been decided as not happened was never revenue: it came and is owed.
    for refund in &charge.refunds {
        let Some(attempt) = refund.attempt.and_then(|number| charge.attempt(number)) else { continue };
        let minor = refund.amount.minor;
        match refund.state {
            RefundState::Done => taken(&mut position, attempt, minor, minor),
            state => {
                taken(&mut position, attempt, minor, 0);
                add(&mut position, not_by_the_carrier(state), -minor);
            }
        }
    }
    position.retain(|(_, minor)| *minor != 0);
    position
}

/// A fare that was earned, less what of it goes back.
fn sale(position: &mut Vec<(Account, i64)>, charge: &Charge, attempt: &Attempt) {
    let amount = charge.order.amount.minor;
    let agency = || charge.order.agency.clone();
    let vat_of = |minor| charge.terms.fare_vat.included_in(minor);
    add(position, Account::FareRevenue(agency()), vat_of(amount) - amount);
    add(position, Account::VatOutput(agency()), -vat_of(amount));

    let mut gone = 0;
    for (refund, vat) in sale_returns(charge) {
        let minor = refund.amount.minor;
        add(position, Account::Refunds(agency()), minor - vat);
        add(position, Account::VatOutput(agency()), vat);
        match refund.state {
            RefundState::Done => gone += minor,
            state => add(position, not_by_the_carrier(state), -minor),
        }
    }
    taken(position, attempt, amount, gone);
}

/// What of a fare goes back, each with the tax in it in minor units.
pub fn sale_returns(charge: &Charge) -> impl Iterator<Item = (&Refund, i64)> {
    let vat_of = |minor| charge.terms.fare_vat.included_in(minor);
    let mut left = charge.order.amount.minor;
    charge.refunds.iter().filter(|refund| refund.attempt.is_none()).map(move |refund| {
        // Of what is left, and not of each part: parts that are rounded one by one would not add up to the tax of the whole.
        let before = left;
        left -= refund.amount.minor;
        (refund, vat_of(before) - vat_of(left))
    })
}

/// The other side of a refund that the carrier has not made.
const fn not_by_the_carrier(state: RefundState) -> Account {
    match state {
        RefundState::PaidOut => Account::RefundsPaidOut,
        _ => Account::RefundsOwed,
    }
}

/// What the carrier of an attempt holds for us of what it took, and what it keeps.
fn taken(position: &mut Vec<(Account, i64)>, attempt: &Attempt, minor: i64, given_back: i64) {
    let carrier = || attempt.carrier.as_str().to_owned();
    let (fee, vat) = attempt.contract.fee.map_or((0, 0), |fee| fee.of(minor, given_back));
    add(position, Account::CarrierReceivable(carrier()), minor - given_back - fee - vat);
    add(position, Account::CarrierFee(carrier()), fee);
    add(position, Account::VatInput(carrier()), vat);
}

pub(super) fn add(position: &mut Vec<(Account, i64)>, account: Account, minor: i64) {
    match position.iter_mut().find(|(known, _)| *known == account) {
        Some((_, sum)) => *sum += minor,
        None => position.push((account, minor)),
    }
}
