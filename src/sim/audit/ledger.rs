//! What the accounts must stand at: counted anew from the carriers' own books, the charges, and the contracts of these worlds.
//!
//! The contracts and the arithmetic stand here once more, on purpose: nothing of `ledger` or `money` counts along.

use std::collections::BTreeMap;

use super::books::CarrierBooks;
use crate::{
    charge::{Charge, Refund, RefundState},
    simulator::LedgerEntry,
    store::Balance,
};

/// What a carrier keeps.
struct Fee {
    carrier: &'static str,
    /// Its share, in hundredths of a per cent.
    hundredths: i128,
    /// What it keeps of each payment besides, in tiyn.
    fixed: i128,
    /// Whether it gives its fee back with the money.
    returned: bool,
}

/// As `carriers::fees` has it.
const FEES: [Fee; 2] = [
    Fee { carrier: "beeline", hundredths: 475, fixed: 0, returned: false },
    Fee { carrier: "kcell", hundredths: 700, fixed: 13, returned: true },
];
/// As `world::vat` has it: in every fare, and on top of every fee. In hundredths of a per cent.
const VAT: i128 = 1_200;
const WHOLE: i128 = 10_000;

/// Minor units by account.
type Sums = BTreeMap<String, i128>;

/// Accounts that do not stand where they must.
pub(super) fn flaws(balances: &[Balance], books: &[CarrierBooks], charges: &[Charge]) -> Vec<String> {
    let mut stands = Sums::new();
    balances.iter().for_each(|balance| add(&mut stands, balance.account.to_string(), i128::from(balance.minor)));
    let mut must = Sums::new();
    books.iter().for_each(|books| add_carrier(&mut must, books));
    charges.iter().for_each(|charge| add_charge(&mut must, charge));
    let mut flaws = Vec::new();
    let sum: i128 = stands.values().sum();
    if sum != 0 {
        flaws.push(format!("our ledger adds up to {sum}: {stands:?}"));
    }
    for account in must.keys().chain(stands.keys().filter(|account| !must.contains_key(*account))) {
        let of = |sums: &Sums| sums.get(account).copied().unwrap_or(0);
        if of(&must) != of(&stands) {
            flaws.push(format!("{account} stands at {}, and must be at {}", of(&stands), of(&must)));
        }
    }
    flaws
}

/// What a carrier holds for us and what it keeps, by its own books: a fee for each payment.
fn add_carrier(sums: &mut Sums, books: &CarrierBooks) {
    for payment in &books.entries {
        let back = gone_back(books, payment);
        let taken = i128::from(payment.amount.minor);
        let (fee, tax) = fee(books.name, taken, back);
        add(sums, format!("carrier_receivable:{}", books.name), taken - back - fee - tax);
        add(sums, format!("carrier_fee:{}", books.name), fee);
        add(sums, format!("vat_input:{}", books.name), tax);
    }
}

fn gone_back(books: &CarrierBooks, payment: &LedgerEntry) -> i128 {
    let its = books.refunds.iter().filter(|refund| refund.payment_id == payment.message_id);
    its.map(|refund| i128::from(refund.amount.minor)).sum()
}

/// What an agency earned, and what passengers are still to get back.
fn add_charge(sums: &mut Sums, charge: &Charge) {
    let sum = |fits: fn(&Refund) -> bool| {
        let refunds = charge.refunds.iter().filter(|refund| fits(refund));
        refunds.map(|refund| i128::from(refund.amount.minor)).sum::<i128>()
    };
    add(sums, "refunds_paid_out".into(), -sum(|refund| refund.state == RefundState::PaidOut));
    add(sums, "refunds_owed".into(), -sum(|refund| !matches!(refund.state, RefundState::PaidOut | RefundState::Done)));
    // What was taken for an attempt that had been decided was never a sale.
    if charge.charged_at.is_none() {
        return;
    }
    let (agency, amount) = (&charge.order.agency, i128::from(charge.order.amount.minor));
    let left = amount - sum(|refund| refund.attempt.is_none());
    add(sums, format!("fare_revenue:{agency}"), tax_in(amount) - amount);
    add(sums, format!("vat_output:{agency}"), -tax_in(left));
    add(sums, format!("refunds:{agency}"), amount - left - (tax_in(amount) - tax_in(left)));
}

/// A carrier's fee and the tax on it, never more than what they are counted from.
fn fee(carrier: &str, taken: i128, back: i128) -> (i128, i128) {
    let Some(fee) = FEES.iter().find(|fee| fee.carrier == carrier) else { return (0, 0) };
    let base = if fee.returned { taken - back } else { taken };
    if base <= 0 {
        return (0, 0);
    }
    let kept = (share(base, fee.hundredths, WHOLE) + fee.fixed).min(base);
    (kept, share(kept, VAT, WHOLE).min(base - kept))
}

/// The tax that an amount includes.
fn tax_in(amount: i128) -> i128 {
    share(amount, VAT, WHOLE + VAT)
}

/// `amount * part / whole`, to the nearest; a half goes up. Nothing here is below zero.
fn share(amount: i128, part: i128, whole: i128) -> i128 {
    (2 * amount * part + whole) / (2 * whole)
}

fn add(sums: &mut Sums, account: String, minor: i128) {
    *sums.entry(account).or_default() += minor;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        charge::{LateSuccess, Reference, State, Terms, samples::order},
        clock::Timestamp,
        ledger::Account,
        money::Currency,
        simulator::Interface,
    };

    const AT: Timestamp = Timestamp::from_unix_seconds(1_772_418_600);

    fn books(carrier: &'static str) -> CarrierBooks {
        let order = order(AT);
        let payment = LedgerEntry {
            at: AT,
            msisdn: order.msisdn,
            amount: order.amount,
            interface: Some(Interface::Cis),
            message_id: "7".into(),
            user_message_reference: None,
            request_reference: None,
            reference: None,
            tariff: String::new(),
            text: String::new(),
            faults: Vec::new(),
        };
        CarrierBooks { name: carrier, entries: vec![payment], refunds: Vec::new() }
    }

    fn charge() -> Charge {
        let terms = Terms::new(AT, LateSuccess::Refund);
        let mut charge = Charge::new(Reference::new(AT, [1; 10]), order(AT), terms);
        (charge.state, charge.charged_at) = (State::Charged, Some(AT));
        charge
    }

    fn balances(lines: &[(&str, i64)]) -> Vec<Balance> {
        let balance = |(account, minor): &(&str, i64)| Balance {
            account: Account::try_from((*account).to_owned()).expect("an account"),
            currency: Currency::Kzt,
            minor: *minor,
        };
        lines.iter().map(balance).collect()
    }

    #[test]
    fn a_sale_at_a_carrier_that_keeps_a_fee_stands_as_a_calculator_says() {
        // 80 tenge: 7 % and 13 tiyn, 573, with 12 % on that, 69; and 12 % in the fare, 857.
        let lines = [
            ("carrier_receivable:kcell", 7_358),
            ("carrier_fee:kcell", 573),
            ("vat_input:kcell", 69),
            ("fare_revenue:green-bus", -7_143),
            ("vat_output:green-bus", -857),
        ];
        assert_eq!(flaws(&balances(&lines), &[books("kcell")], &[charge()]), Vec::<String>::new());
    }

    #[test]
    fn a_fee_that_was_not_kept_and_a_tax_that_was_taken_for_revenue_are_seen_though_all_adds_up() {
        let lines = [("carrier_receivable:kcell", 8_000), ("fare_revenue:green-bus", -8_000)];
        let flaws = flaws(&balances(&lines), &[books("kcell")], &[charge()]);
        assert_eq!(flaws.len(), 5, "{flaws:?}");
    }
}
