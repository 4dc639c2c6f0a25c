//! What agencies and callers of the API sell, in sums that stay cheap however many charges there are.
//!
//! A commit adds what its charges change to the sums of the quarter of an hour in which they were asked for: a few rows for
//! a whole batch. A day is then a hundred rows, in any time zone of the world, and a restart reads them at once.

use std::collections::BTreeMap;

use super::{Opening, Settlement};
use crate::{
    charge::{Charge, State},
    clock::Timestamp,
    money::{Currency, Money},
};

/// Midnight is at the edge of a quarter of an hour in every time zone.
const QUARTER_MS: i64 = 15 * 60 * 1_000;

/// Who sells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seller {
    /// The agency whose vehicle it is.
    Agency(String),
    /// The caller of the API who asked for the charge.
    Caller(String),
}

/// What somebody sold in a quarter of an hour: taken, open, or in doubt. Refunds do not give it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sales {
    /// Who.
    pub seller: Seller,
    /// Charges that were received within the quarter of an hour that begins at this moment.
    pub quarter: Timestamp,
    /// How much.
    pub amount: Money,
}

/// What a batch adds to the sums, negative where a charge ended without money.
pub(super) type SalesChanges = BTreeMap<(Seller, Timestamp, Currency), i64>;

impl Seller {
    /// The stable code of the kind: `agency` or `caller`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Seller::Agency(_) => "agency",
            Seller::Caller(_) => "caller",
        }
    }

    /// The agency's id, or the caller's name.
    pub fn name(&self) -> &str {
        match self {
            Seller::Agency(name) | Seller::Caller(name) => name,
        }
    }

    /// The seller of this kind and name; `None` if there is no such kind.
    pub fn new(kind: &str, name: String) -> Option<Seller> {
        match kind {
            "agency" => Some(Seller::Agency(name)),
            "caller" => Some(Seller::Caller(name)),
            _ => None,
        }
    }

    /// Who sells this charge: its agency, and the caller who asked for it.
    pub fn of(charge: &Charge) -> impl Iterator<Item = Seller> {
        let caller = charge.order.channel.caller().map(|caller| Seller::Caller(caller.to_owned()));
        [Some(Seller::Agency(charge.order.agency.clone())), caller].into_iter().flatten()
    }
}

impl Sales {
    /// The quarter of an hour that `at` lies in, by its beginning.
    pub fn quarter_of(at: Timestamp) -> Timestamp {
        Timestamp::from_unix_ms(at.unix_ms().div_euclid(QUARTER_MS) * QUARTER_MS)
    }

    /// How what is sold changes when a charge moves from one state to another: 1, 0 or -1 times its amount. `None` stands
    /// for a charge that was not there.
    pub fn change(from: Option<State>, to: State) -> i64 {
        let counts = |state: State| i64::from(!state.is_not_taken());
        counts(to) - from.map_or(0, counts)
    }
}

/// Adds what an opening sells.
pub(super) fn add_opening(changes: &mut SalesChanges, opening: &Opening) {
    add(changes, &opening.charge, Sales::change(None, opening.charge.state));
}

/// Adds what a settlement changes.
pub(super) fn add_settlement(changes: &mut SalesChanges, settlement: &Settlement) {
    let from = settlement.journal.from.unwrap_or(settlement.charge.state);
    add(changes, &settlement.charge, Sales::change(Some(from), settlement.charge.state));
}

fn add(changes: &mut SalesChanges, charge: &Charge, times: i64) {
    let amount = charge.order.amount;
    if times == 0 || amount.minor == 0 {
        return;
    }
    let quarter = Sales::quarter_of(charge.order.received_at);
    for seller in Seller::of(charge) {
        let sum = changes.entry((seller, quarter, amount.currency)).or_default();
        *sum = sum.saturating_add(times.saturating_mul(amount.minor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::Reason;

    #[test]
    fn what_is_taken_open_or_in_doubt_is_sold_and_a_refund_gives_nothing_back() {
        let declined = State::Declined(Reason::DailyLimit);
        let rejected = State::Rejected(Reason::Barred);
        assert_eq!(Sales::change(None, State::Processing), 1);
        assert_eq!(Sales::change(None, declined), 0);
        for sold in [State::InDoubt, State::Charged, State::AwaitingOtp, State::Refunding, State::Refunded] {
            assert_eq!(Sales::change(Some(State::Processing), sold), 0);
            assert_eq!(Sales::change(Some(sold), rejected), -1);
        }
        assert_eq!(Sales::change(Some(rejected), rejected), 0);
    }

    #[test]
    fn a_quarter_of_an_hour_begins_where_midnight_can_be() {
        let quarter = |text: &str| Sales::quarter_of(text.parse().expect("a moment")).to_string();
        assert_eq!(quarter("2026-03-01T19:00:00Z"), "2026-03-01T19:00:00.000Z");
        assert_eq!(quarter("2026-03-01T18:59:59.999Z"), "2026-03-01T18:45:00.000Z");
        assert_eq!(quarter("1969-12-31T23:59:59.999Z"), "1969-12-31T23:45:00.000Z");
    }
}
