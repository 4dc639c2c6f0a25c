//! Double-entry postings for every movement of money.
//!
//! The books follow from the charge: [`position`] says what one charge stands for on each account, and the entries of a
//! transition are the difference between the position after and the position before. So the entries of a charge always
//! add up to its position, every set of entries adds up to zero, and an audit can recompute the books from the charges.
//!
//! Debits are positive, credits negative, in minor units. Entries are appended and never changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    charge::{Charge, Reference, RefundState, State},
    clock::Timestamp,
    money::Currency,
};

/// An account of the chart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Account {
    /// What this carrier has taken from its subscribers for us and has not paid out, money in doubt included.
    CarrierReceivable(String),
    /// Fares earned for this agency.
    FareRevenue(String),
    /// The other side of money in doubt: not earned, not lost.
    InDoubtSuspense,
    /// Fares given back or promised back, out of what this agency had earned.
    Refunds(String),
    /// What passengers are still to get back.
    RefundsOwed,
    /// What was paid back to passengers by bank or in cash, because the carrier did not: the carrier still owes it to us.
    RefundsPaidOut,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::CarrierReceivable(carrier) => write!(f, "carrier_receivable:{carrier}"),
            Account::FareRevenue(agency) => write!(f, "fare_revenue:{agency}"),
            Account::InDoubtSuspense => f.write_str("in_doubt_suspense"),
            Account::Refunds(agency) => write!(f, "refunds:{agency}"),
            Account::RefundsOwed => f.write_str("refunds_owed"),
            Account::RefundsPaidOut => f.write_str("refunds_paid_out"),
        }
    }
}

impl From<Account> for String {
    fn from(account: Account) -> String {
        account.to_string()
    }
}

impl TryFrom<String> for Account {
    type Error = String;

    fn try_from(text: String) -> Result<Account, String> {
        let (kind, owner) = text.split_once(':').unwrap_or((&text, ""));
        match (kind, owner) {
            ("carrier_receivable", carrier) if !carrier.is_empty() => Ok(Account::CarrierReceivable(carrier.into())),
            ("fare_revenue", agency) if !agency.is_empty() => Ok(Account::FareRevenue(agency.into())),
            ("refunds", agency) if !agency.is_empty() => Ok(Account::Refunds(agency.into())),
            ("in_doubt_suspense", "") => Ok(Account::InDoubtSuspense),
            ("refunds_owed", "") => Ok(Account::RefundsOwed),
            ("refunds_paid_out", "") => Ok(Account::RefundsPaidOut),
            _ => Err(format!("{text:?} is not an account")),
        }
    }
}

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
    let agency = &charge.order.agency;
    let receivable = |number: Option<u16>| {
        let attempt = number.map_or(charge.last_attempt(), |number| charge.attempt(number));
        attempt.map(|attempt| Account::CarrierReceivable(attempt.carrier.as_str().into()))
    };

    if let Some(carrier) = receivable(None) {
        match charge.state {
            State::InDoubt => {
                add(&mut position, carrier, amount);
                add(&mut position, Account::InDoubtSuspense, -amount);
            }
            State::Charged | State::Refunding | State::RefundOwed | State::Refunded => {
                add(&mut position, carrier, amount);
                add(&mut position, Account::FareRevenue(agency.clone()), -amount);
            }
            State::Processing | State::AwaitingOtp | State::Declined(_) | State::Rejected(_) => {}
        }
    }
    for refund in &charge.refunds {
        let Some(carrier) = receivable(refund.attempt) else { continue };
        let minor = refund.amount.minor;
        // Money taken for an attempt that had been decided as not happened was never revenue: it came and is owed.
        if refund.attempt.is_some() {
            add(&mut position, carrier.clone(), minor);
        } else {
            add(&mut position, Account::Refunds(agency.clone()), minor);
        }
        match refund.state {
            RefundState::Done => add(&mut position, carrier, -minor),
            RefundState::PaidOut => add(&mut position, Account::RefundsPaidOut, -minor),
            _ => add(&mut position, Account::RefundsOwed, -minor),
        }
    }
    position.retain(|(_, minor)| *minor != 0);
    position
}

fn add(position: &mut Vec<(Account, i64)>, account: Account, minor: i64) {
    match position.iter_mut().find(|(known, _)| *known == account) {
        Some((_, sum)) => *sum += minor,
        None => position.push((account, minor)),
    }
}

#[cfg(test)]
mod tests;
