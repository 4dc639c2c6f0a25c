//! What is known of subscribers, and what was sold.

use std::time::Duration;

use super::fixture::*;
use crate::{
    charge::{Channel, Charge, Event, Home, HomeSource, Reason},
    clock::Timestamp,
    eligibility::{Fact, FactName, FactSource, FactValue},
    money::Money,
    store::{Forgetting, KnownCounts, Outcome, Sales, Seller, Store, StoredFact, Write},
};

pub(in crate::store) fn stored_fact(n: u8, name: FactName, value: FactValue, second: u64) -> StoredFact {
    let fact = Fact { value, source: FactSource::Camara("kcell-facts".into()), observed_at: at(second) };
    StoredFact { msisdn: msisdn(n), carrier: carrier(), name, fact }
}

pub(in crate::store) fn home(n: u8, carrier: Option<&str>, source: HomeSource, second: u64) -> Home {
    let name = |name: &str| name.parse().unwrap();
    Home { msisdn: msisdn(n), carrier: carrier.map(name), refused_by: None, source, observed_at: at(second) }
}

async fn keep(store: &Store, facts: &[StoredFact]) {
    assert_eq!(commit(store, Write::KeepFacts(facts.to_vec())).await, Outcome::Done);
}

pub(super) async fn of_two_statements_about_a_fact_the_one_observed_later_stays(store: Store) {
    use FactValue::{False, True};
    let debt = |value, second| stored_fact(1, FactName::CreditDebt, value, second);
    keep(&store, &[debt(True, 10), stored_fact(1, FactName::RecentSimSwap, False, 12)]).await;
    keep(&store, &[debt(False, 9)]).await;
    let value = async || store.facts(msisdn(1), &carrier()).await.unwrap().get(FactName::CreditDebt).cloned();
    assert_eq!(value().await, Some(debt(True, 10).fact));
    keep(&store, &[debt(False, 11)]).await;
    assert_eq!(value().await, Some(debt(False, 11).fact));
    assert_eq!(store.facts(msisdn(1), &carrier()).await.unwrap().iter().count(), 2);
    assert!(store.facts(msisdn(1), &"kcell".parse().unwrap()).await.unwrap().is_empty(), "of another contract");
    assert!(store.facts(msisdn(2), &carrier()).await.unwrap().is_empty());
    let newest: Vec<_> = store.newest_facts(1).await.unwrap();
    assert_eq!(newest, [stored_fact(1, FactName::RecentSimSwap, False, 12)]);
    let twice = vec![debt(True, 20), debt(False, 21)];
    assert!(store.commit(&[Write::KeepFacts(twice)]).await.is_err());
}

pub(super) async fn of_two_statements_about_a_home_the_one_observed_later_stays(store: Store) {
    let keep = async |home: Home| assert_eq!(commit(&store, Write::KeepHomes(vec![home])).await, Outcome::Done);
    assert_eq!(store.home(msisdn(1)).await.unwrap(), None);
    let moved = home(1, Some("kcell"), HomeSource::Message, 10);
    keep(moved.clone()).await;
    keep(home(1, Some("beeline"), HomeSource::LookUp, 9)).await;
    assert_eq!(store.home(msisdn(1)).await.unwrap(), Some(moved));
    let refused = Home { refused_by: Some(carrier()), ..home(1, None, HomeSource::Refusal, 11) };
    keep(refused.clone()).await;
    assert_eq!(store.home(msisdn(1)).await.unwrap(), Some(refused.clone()));
    assert!(store.commit(&[Write::KeepHomes(vec![refused.clone(), refused])]).await.is_err());
}

pub(super) async fn what_is_known_is_forgotten_by_age_and_by_number_the_oldest_first(store: Store) {
    let fact = |n: u8| stored_fact(n, FactName::CreditDebt, FactValue::True, n.into());
    keep(&store, &(1..=6).map(fact).collect::<Vec<_>>()).await;
    let homes = (1..=4).map(|n| home(n, Some("kcell"), HomeSource::LookUp, n.into()));
    commit(&store, Write::KeepHomes(homes.collect())).await;
    assert_eq!(store.known_counts().await.unwrap(), KnownCounts { facts: 6, homes: 4 });
    let forgetting = Forgetting { facts_before: at(3), facts_oldest: 1, homes_before: Timestamp::MIN, homes_oldest: 3 };
    assert_eq!(commit(&store, Write::Forget(forgetting)).await, Outcome::Done);
    assert_eq!(store.known_counts().await.unwrap(), KnownCounts { facts: 3, homes: 1 });
    let left: Vec<_> = store.newest_facts(9).await.unwrap();
    assert_eq!(left, [6, 5, 4].map(fact));
    assert!(store.home(msisdn(4)).await.unwrap().is_some());
}

async fn sold(store: &Store, seller: Seller) -> i64 {
    let sales = store.sales(Sales::quarter_of(at(0))).await.unwrap();
    sales.iter().filter(|sales| sales.seller == seller).map(|sales| sales.amount.minor).sum()
}

pub(super) async fn m14_what_is_sold_is_what_is_taken_open_or_in_doubt(store: Store) {
    let agency = || Seller::Agency("green-bus".into());
    let caller = || Seller::Caller("ticket-service".into());
    let by_sms = |n: u8| {
        let mut charge = charge_at(n, 0);
        charge.order.channel = Channel::Sms { carrier: carrier() };
        charge
    };
    run(&store, charge_at(1, 0), []).await;
    let doubt = run(&store, charge_at(2, 0), [(1, open_attempt()), (11, doubtful("e1"))]).await;
    run(&store, by_sms(3), [(1, open_attempt()), (2, paid("e1"))]).await;
    let refund = Event::RequestRefund { refund: reference(9), amount: FARE, by: None };
    run(&store, charge_at(4, 0), [(1, open_attempt()), (2, paid("e1")), (3, refund)]).await;
    run(&store, charge_at(5, 0), [(1, Event::Decline { reason: Reason::DailyLimit })]).await;
    run(&store, charge_at(6, 0), [(1, open_attempt()), (2, turned_down("e1"))]).await;
    assert_eq!((sold(&store, agency()).await, sold(&store, caller()).await), (4 * FARE.minor, 3 * FARE.minor));
    advance(&store, doubt, [(20, turned_down("e2"))]).await;
    assert_eq!((sold(&store, agency()).await, sold(&store, caller()).await), (3 * FARE.minor, 2 * FARE.minor));
    let later = Sales::quarter_of(at(0)).plus(Duration::from_millis(1));
    assert_eq!(store.sales(later).await.unwrap(), []);
}

pub(super) async fn m14_what_is_sold_is_summed_by_the_quarter_in_which_it_was_asked_for(store: Store) {
    for (n, second) in [(1, 0), (2, 1), (3, 1_800)] {
        run(&store, charge_at(n, second), []).await;
    }
    let sums = |sales: Vec<Sales>| -> Vec<_> {
        let agency = |sales: &Sales| matches!(&sales.seller, Seller::Agency(name) if name == "green-bus");
        sales.into_iter().filter(agency).map(|sales| (sales.quarter, sales.amount)).collect()
    };
    let (first, second) = (Sales::quarter_of(at(0)), Sales::quarter_of(at(1_800)));
    let expected = [(first, Money::kzt(2 * FARE.minor)), (second, FARE)];
    assert_eq!(sums(store.sales(first).await.unwrap()), expected);
    assert_eq!(sums(store.sales(second).await.unwrap()), expected[1..]);
}

pub(super) async fn m14_a_doubt_past_its_deadline_and_lag_is_told_apart(store: Store) {
    let doubt = |n, second: u64| {
        run(&store, charge_at(n, second), [(second + 1, open_attempt()), (second + 11, doubtful("e1"))])
    };
    let _: [Charge; 2] = [doubt(1, 0).await, doubt(2, 30).await];
    run(&store, charge_at(3, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let overdue = async |at_carrier: &str, since, doubt_since| {
        let carrier = at_carrier.parse().unwrap();
        store.overdue_sales(&carrier, at(since), at(doubt_since)).await.unwrap()
    };
    assert_eq!(overdue("beeline", 0, DEADLINE).await, [], "its deadline is the last moment at which it counts");
    let of = |seller| Sales { seller, quarter: Sales::quarter_of(at(0)), amount: FARE };
    let both = [of(Seller::Agency("green-bus".into())), of(Seller::Caller("ticket-service".into()))];
    assert_eq!(overdue("beeline", 0, DEADLINE + 1).await, both);
    assert_eq!(overdue("beeline", 1, DEADLINE + 1).await, [], "received before the day began");
    assert_eq!(overdue("kcell", 0, DEADLINE + 1).await, []);
}
