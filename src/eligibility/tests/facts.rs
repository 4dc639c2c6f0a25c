//! Facts as a collection.

use super::*;

#[test]
fn facts_are_told_in_the_order_of_the_documentation_and_each_once() {
    let (swap, debt) = (seen(FactValue::False, 5), seen(FactValue::True, 30));
    let facts = Facts::from_iter([
        (FactName::RecentSimSwap, swap.clone()),
        (FactName::CreditDebt, debt.clone()),
        (FactName::CreditDebt, seen(FactValue::False, 60)),
    ]);
    let expected = [(FactName::CreditDebt, &debt), (FactName::RecentSimSwap, &swap)];
    assert_eq!(facts.iter().collect::<Vec<_>>(), expected);
    let json = serde_json::to_value(&facts).expect("plain data");
    assert_eq!(json, serde_json::json!({ "credit_debt": debt, "recent_sim_swap": swap }));
}

#[test]
fn a_fact_that_is_forgotten_is_as_if_it_had_never_been_said() {
    let mut facts = Facts::new();
    assert!(facts.is_empty());
    facts.add(FactName::CreditDebt, seen(FactValue::True, 30));
    assert!(!facts.is_empty());
    facts.remove(FactName::CorporateNumber);
    assert!(facts.get(FactName::CreditDebt).is_some(), "another one was forgotten");
    facts.remove(FactName::CreditDebt);
    assert_eq!(facts, Facts::new());
    assert!(facts.is_empty());
}
