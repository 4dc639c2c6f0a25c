//! What agencies and callers of the API have sold, for their limits (M14): exact sums in memory, which the store keeps too.
//!
//! A purchase claims its amount before it is judged and gives it back if nothing comes of it, so that many purchases at
//! once cannot pass a limit together. What is in doubt past its deadline and the carrier's lag counts no more; that is
//! looked up now and then, and until then it counts, which errs on the careful side.
//!
//! What other daemons sell is read every second. So a limit can be passed by what they sell within a second, and by no more: to
//! hold it exactly, they would have to commit one after another.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    charge::{Charge, State},
    clock::Timestamp,
    money::{Currency, Money},
    process,
    store::{Sales, Seller},
};

/// No day of any time zone began longer ago.
const DAYS_KEPT: Duration = Duration::from_secs(2 * 86_400);

/// What is overdue counts for this much longer.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);

/// What others sold is known for so long.
const OTHERS_KNOWN_FOR: Duration = Duration::from_secs(1);

/// What was sold in each quarter of an hour, in minor units.
type Quarters = BTreeMap<(Timestamp, Currency), i64>;

/// What everybody sold within the last two days.
#[derive(Debug, Default)]
pub(super) struct SalesBook(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    sold: HashMap<Seller, Quarters>,
    /// What was sold through other daemons, and when that was read, by the clock that nobody sets.
    others: HashMap<Seller, Quarters>,
    others_read_at: Option<Instant>,
    /// When it was last looked up what is overdue.
    looked_up_at: Option<Timestamp>,
    /// Of that, what is in doubt for so long that it counts no more.
    overdue: HashMap<Seller, Quarters>,
}

/// A charge's part of the sums. Dropped, it is given back; [`SalesClaim::keep`] leaves it there.
#[derive(Debug)]
pub(super) struct SalesClaim {
    book: Arc<SalesBook>,
    sellers: Vec<Seller>,
    quarter: Timestamp,
    amount: Money,
    /// Sold today before this charge, by each of the sellers.
    before: Vec<Money>,
}

impl SalesBook {
    /// From when on sums are needed at `now`.
    pub(super) fn since(now: Timestamp) -> Timestamp {
        Sales::quarter_of(now.minus(DAYS_KEPT))
    }

    /// With what the store has of us, and of the others.
    pub(super) fn new(sales: Vec<Sales>, of_others: Vec<Sales>) -> SalesBook {
        let book = SalesBook::default();
        for Sales { seller, quarter, amount } in sales {
            book.lock().add(&seller, quarter, amount.currency, amount.minor);
        }
        book.set_others(of_others);
        book
    }

    /// Whether it is time to read what others sold.
    pub(super) fn others_are_due(&self) -> bool {
        self.lock().others_read_at.is_none_or(|at| process::now().duration_since(at) >= OTHERS_KNOWN_FOR)
    }

    /// Puts what others sold in place of what was known of it.
    pub(super) fn set_others(&self, sales: Vec<Sales>) {
        let mut others: HashMap<Seller, Quarters> = HashMap::new();
        for Sales { seller, quarter, amount } in sales {
            others.entry(seller).or_default().insert((quarter, amount.currency), amount.minor);
        }
        let mut held = self.lock();
        let sum = |of: &HashMap<Seller, Quarters>, seller: &Seller| {
            of.get(seller)
                .into_iter()
                .flat_map(|quarters| quarters.values())
                .fold(0_i64, |sum, minor| sum.saturating_add(*minor))
        };
        // They may have ended what was overdue: it must not be taken off twice.
        let fell: Vec<Seller> =
            held.others.keys().filter(|seller| sum(&others, seller) < sum(&held.others, seller)).cloned().collect();
        fell.iter().chain(others.keys().filter(|seller| sum(&others, seller) < 0)).for_each(|seller| {
            held.overdue.remove(seller);
        });
        held.others = others;
        held.others_read_at = Some(process::now());
    }

    /// Counts `charge` as sold and says what its sellers sold between `day_start` and then, in the charge's currency.
    pub(super) fn claim(self: &Arc<Self>, charge: &Charge, day_start: Timestamp) -> SalesClaim {
        let (quarter, amount) = (Sales::quarter_of(charge.order.received_at), charge.order.amount);
        let sellers: Vec<Seller> = Seller::of(charge).collect();
        let mut held = self.lock();
        let before = sellers.iter().map(|seller| held.today(seller, day_start, amount.currency)).collect();
        sellers.iter().for_each(|seller| held.add(seller, quarter, amount.currency, amount.minor));
        drop(held);
        SalesClaim { book: self.clone(), sellers, quarter, amount, before }
    }

    /// What this seller sold since `day_start`.
    pub(super) fn today(&self, seller: &Seller, day_start: Timestamp, currency: Currency) -> Money {
        self.lock().today(seller, day_start, currency)
    }

    /// A charge moved from one state to another.
    pub(super) fn moved(&self, from: State, charge: &Charge) {
        let change = Sales::change(Some(from), charge.state);
        if change == 0 && from != State::InDoubt {
            return;
        }
        let (quarter, amount) = (Sales::quarter_of(charge.order.received_at), charge.order.amount);
        let mut held = self.lock();
        for seller in Seller::of(charge) {
            held.add(&seller, quarter, amount.currency, change.saturating_mul(amount.minor));
            // Whether it was among the overdue is not known here: count all of them until they are looked up again.
            if from == State::InDoubt {
                held.overdue.remove(&seller);
            }
        }
    }

    /// Whether it is time to look up what is overdue.
    pub(super) fn look_up_is_due(&self, now: Timestamp) -> bool {
        self.lock().looked_up_at.is_none_or(|at| now < at || now.since(at) >= LOOK_UP_EVERY)
    }

    /// Puts what was looked up in place of what was known to be overdue, and forgets days that are over.
    pub(super) fn set_overdue(&self, overdue: Vec<Sales>, now: Timestamp) {
        let mut held = self.lock();
        held.looked_up_at = Some(now);
        held.overdue.clear();
        for Sales { seller, quarter, amount } in overdue {
            *held.overdue.entry(seller).or_default().entry((quarter, amount.currency)).or_default() += amount.minor;
        }
        let since = SalesBook::since(now);
        held.sold.retain(|_, quarters| {
            quarters.retain(|(quarter, _), _| *quarter >= since);
            !quarters.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, seller: &Seller, quarter: Timestamp, currency: Currency, minor: i64) {
        if minor == 0 {
            return;
        }
        let quarters = match self.sold.get_mut(seller) {
            Some(quarters) => quarters,
            None => self.sold.entry(seller.clone()).or_default(),
        };
        let sum = quarters.entry((quarter, currency)).or_default();
        *sum = sum.saturating_add(minor);
    }

    fn today(&self, seller: &Seller, day_start: Timestamp, currency: Currency) -> Money {
        let sum = |of: &HashMap<Seller, Quarters>| {
            let quarters = of.get(seller).into_iter().flatten();
            let today = quarters.filter(|((quarter, of), _)| *quarter >= day_start && *of == currency);
            today.fold(0_i64, |sum, (_, minor)| sum.saturating_add(*minor))
        };
        let sold = sum(&self.sold).saturating_add(sum(&self.others));
        Money::new(sold.saturating_sub(sum(&self.overdue)), currency)
    }
}

impl SalesClaim {
    /// What the agency sold today before this charge.
    pub(super) fn agency(&self) -> Option<(&str, Money)> {
        self.of(|seller| matches!(seller, Seller::Agency(_)))
    }

    /// What the caller sold today before this charge; `None` for a passenger's own message.
    pub(super) fn caller(&self) -> Option<(&str, Money)> {
        self.of(|seller| matches!(seller, Seller::Caller(_)))
    }

    fn of(&self, is_it: impl Fn(&Seller) -> bool) -> Option<(&str, Money)> {
        let (seller, before) = self.sellers.iter().zip(&self.before).find(|(seller, _)| is_it(seller))?;
        Some((seller.name(), *before))
    }

    /// The charge is committed: its part stays until [`SalesBook::moved`] takes it away.
    pub(super) fn keep(mut self) {
        self.sellers.clear();
    }
}

impl Drop for SalesClaim {
    fn drop(&mut self) {
        if self.sellers.is_empty() {
            return;
        }
        let mut held = self.book.lock();
        for seller in &self.sellers {
            held.add(seller, self.quarter, self.amount.currency, self.amount.minor.saturating_neg());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::charge::{Channel, LateSuccess, Reason, Reference, Terms, samples};

    const DAY_START: Timestamp = Timestamp::from_unix_seconds(1_772_305_200);

    fn charge(state: State, agency: &str) -> Charge {
        let mut order = samples::order(DAY_START.plus(Duration::from_secs(3_600)));
        order.agency = agency.into();
        order.channel = Channel::Api { caller: "app".into() };
        let terms = Terms::new(order.received_at, LateSuccess::Refund);
        Charge { state, ..Charge::new(Reference::from_bytes([7; 16]), order, terms) }
    }

    fn sold(book: &SalesBook, seller: Seller) -> i64 {
        book.today(&seller, DAY_START, Currency::Kzt).minor
    }

    #[test]
    fn m14_a_claim_counts_at_once_and_is_given_back_unless_it_is_kept() {
        let book = Arc::new(SalesBook::default());
        let one = charge(State::Processing, "green");
        let fare = one.order.amount;
        let first = book.claim(&one, DAY_START);
        assert_eq!(first.agency(), Some(("green", Money::zero(fare.currency))));
        let second = book.claim(&one, DAY_START);
        assert_eq!((second.agency(), second.caller()), (Some(("green", fare)), Some(("app", fare))));
        drop(first);
        second.keep();
        assert_eq!(sold(&book, Seller::Agency("green".into())), fare.minor);
        book.moved(State::Processing, &charge(State::Rejected(Reason::Barred), "green"));
        assert_eq!(sold(&book, Seller::Agency("green".into())), 0);
        assert_eq!(sold(&book, Seller::Caller("app".into())), 0);
    }

    #[test]
    fn m14_what_is_overdue_counts_no_more_and_counts_again_once_something_is_decided() {
        let book = Arc::new(SalesBook::default());
        let doubtful = charge(State::InDoubt, "green");
        let (quarter, amount) = (Sales::quarter_of(doubtful.order.received_at), doubtful.order.amount);
        book.claim(&doubtful, DAY_START).keep();
        book.claim(&doubtful, DAY_START).keep();
        let overdue = Sales { seller: Seller::Agency("green".into()), quarter, amount };
        book.set_overdue(vec![overdue], doubtful.order.received_at);
        assert_eq!(sold(&book, Seller::Agency("green".into())), amount.minor);
        book.moved(State::InDoubt, &charge(State::Charged, "green"));
        assert_eq!(sold(&book, Seller::Agency("green".into())), 2 * amount.minor);
    }

    #[test]
    fn m14_what_others_sold_counts_beside_our_own_and_is_replaced_by_what_is_read_next() {
        let one = charge(State::Processing, "green");
        let (quarter, fare) = (Sales::quarter_of(one.order.received_at), one.order.amount);
        let green = Seller::Agency("green".into());
        let of = |minor| vec![Sales { seller: green.clone(), quarter, amount: Money::new(minor, fare.currency) }];
        let book = Arc::new(SalesBook::new(of(100), of(10)));
        assert_eq!(sold(&book, green.clone()), 110);
        assert!(!book.others_are_due());
        let claim = book.claim(&one, DAY_START);
        assert_eq!(claim.agency(), Some(("green", Money::new(110, fare.currency))));
        // They gave money back for what we had sold.
        book.set_others(of(-5));
        assert_eq!(sold(&book, green), 95 + fare.minor);
        drop(claim);
    }

    #[test]
    fn days_that_are_over_are_forgotten_and_yesterday_is_not_today() {
        let book = Arc::new(SalesBook::default());
        let one = charge(State::Charged, "green");
        book.claim(&one, DAY_START).keep();
        let tomorrow = DAY_START.plus(Duration::from_secs(86_400));
        assert_eq!(book.today(&Seller::Agency("green".into()), tomorrow, Currency::Kzt).minor, 0);
        book.set_overdue(Vec::new(), tomorrow.plus(2 * DAYS_KEPT));
        assert!(book.lock().sold.is_empty());
    }

    proptest! {
        /// However claims and outcomes interleave, the sum is that of what is held, taken, open or in doubt.
        #[test]
        fn m14_the_sum_is_that_of_the_charges(fates in prop::collection::vec((0..4_u8, 1..9_i64), 0..40)) {
            let book = Arc::new(SalesBook::default());
            let mut expected = 0;
            let mut claims = Vec::new();
            for (fate, minor) in fates {
                let mut one = charge(State::Processing, "green");
                one.order.amount = Money::kzt(minor);
                let claim = book.claim(&one, DAY_START);
                prop_assert_eq!(claim.agency().map(|(_, before)| before.minor), Some(expected));
                match fate {
                    0 => drop(claim),
                    1 => { claims.push(claim); expected += minor; }
                    2 => { claim.keep(); expected += minor; }
                    _ => {
                        claim.keep();
                        one.state = State::Rejected(Reason::Barred);
                        book.moved(State::Processing, &one);
                    }
                }
                prop_assert_eq!(sold(&book, Seller::Agency("green".into())), expected);
            }
        }
    }
}
