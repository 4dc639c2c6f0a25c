use super::fixture::*;
use crate::{
    charge::{Event, EvidenceSource, Finding, Reference, RefundState},
    money::{Currency, Money},
    store::{Outstanding, OutstandingSum, RefundFilter, RefundStanding, Store, StoredBreak, Write},
};

/// The only refund of charge `n`.
fn refund_of(n: u8) -> Reference {
    reference(n).derive("refund", 0)
}

fn ask(n: u8, minor: i64) -> Event {
    Event::RequestRefund { refund: refund_of(n), amount: Money::kzt(minor), by: None }
}

fn refund_evidence(n: u8, finding: Finding) -> Event {
    let source = EvidenceSource::Query;
    Event::RefundEvidence { refund: refund_of(n), id: format!("refund of {n}"), source, finding }
}

/// An attempt at a carrier that can be asked to give money back.
fn open_refundable() -> Event {
    match open_attempt() {
        Event::OpenAttempt { carrier, wire_reference, mut contract, carrier_time } => {
            contract.can_refund = true;
            Event::OpenAttempt { carrier, wire_reference, contract, carrier_time }
        }
        other => other,
    }
}

async fn listed(store: &Store, filter: &RefundFilter) -> Vec<(Reference, RefundState)> {
    let found = store.refunds(filter, 99).await.unwrap();
    found.iter().map(|listed| (listed.charge.reference, listed.refund.state)).collect()
}

pub(super) async fn m14_the_refund_list_has_every_refund_that_is_not_settled_parts_too(store: Store) {
    let paid_for = |n| [(1, open_attempt()), (2, paid("e1")), (3, ask(n, 8_000))];
    run(&store, charge_at(1, 0), paid_for(1)).await;
    run(&store, charge_at(2, 0), [(1, open_attempt()), (2, paid("e1")), (3, ask(2, 3_000))]).await;
    let charge = run(&store, charge_at(3, 0), paid_for(3)).await;
    let by = Event::PayOut { refund: refund_of(3), by: "aigul".into(), because: "in cash".into() };
    advance(&store, charge, [(4, by)]).await;
    let done = refund_evidence(4, Finding::Charged { carrier_id: None, amount: None });
    let asked = [(1, open_refundable()), (2, paid("e1")), (3, ask(4, 8_000)), (4, done)];
    run(&store, charge_at(4, 0), asked).await;
    run(&store, charge_at(5, 0), [(1, open_refundable()), (2, paid("e1")), (3, ask(5, 8_000))]).await;

    let all = listed(&store, &RefundFilter::default()).await;
    let owed = RefundState::Owed;
    assert_eq!(all, [(reference(1), owed), (reference(2), owed), (reference(5), RefundState::Requested)]);
    let first = store.refunds(&RefundFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!(Some(&first.charge), store.charge(reference(1)).await.unwrap().as_ref());
    assert_eq!((first.refund.reference, first.carrier()), (refund_of(1), Some(&carrier())));
}

pub(super) async fn m14_the_refund_list_is_paged_and_filtered_by_standing_age_and_carrier(store: Store) {
    for n in 1..=4 {
        let open = if n == 4 { open_refundable() } else { open_attempt() };
        run(&store, charge_at(n, 0), [(1, open), (2, paid("e1")), (10 * u64::from(n), ask(n, 8_000))]).await;
    }
    let list = async |filter: RefundFilter| -> Vec<Reference> {
        listed(&store, &filter).await.into_iter().map(|(reference, _)| reference).collect()
    };
    let all = RefundFilter::default();
    let owed = RefundFilter { standing: Some(RefundStanding::Owed), ..all.clone() };
    assert_eq!(list(owed.clone()).await, [1, 2, 3].map(reference));
    assert_eq!(list(RefundFilter { after: Some(refund_of(1)), ..owed.clone() }).await, [2, 3].map(reference));
    assert_eq!(list(RefundFilter { opened_by: Some(at(20)), ..owed.clone() }).await, [1, 2].map(reference));
    assert_eq!(list(RefundFilter { carrier: Some("kcell".parse().unwrap()), ..owed.clone() }).await, []);
    assert_eq!(list(RefundFilter { carrier: Some(carrier()), ..owed }).await, [1, 2, 3].map(reference));
    assert_eq!(list(RefundFilter { standing: Some(RefundStanding::Requested), ..all.clone() }).await, [reference(4)]);
    assert_eq!(list(RefundFilter { standing: Some(RefundStanding::InDoubt), ..all.clone() }).await, []);
    assert_eq!(store.refunds(&all, 2).await.unwrap().len(), 2);
}

pub(super) async fn m16_what_is_outstanding_is_counted_aged_and_summed_by_carrier(store: Store) {
    assert_eq!(store.outstanding().await.unwrap(), []);
    for n in 1..=2 {
        run(&store, charge_at(n, 0), [(1, open_attempt()), (10 + u64::from(n), doubtful("e1"))]).await;
    }
    run(&store, charge_at(3, 0), [(1, open_attempt()), (2, paid("e1")), (5, ask(3, 3_000))]).await;
    let lost = refund_evidence(4, Finding::Doubtful { cause: crate::charge::Doubt::Timeout });
    let asked = [(1, open_refundable()), (2, paid("e1")), (6, ask(4, 8_000)), (7, lost)];
    run(&store, charge_at(4, 0), asked).await;
    run(&store, charge_at(5, 0), [(1, open_refundable()), (2, paid("e1")), (4, ask(5, 2_000))]).await;
    commit(&store, Write::Park(receipt("r1", None, 9))).await;
    commit(&store, Write::Park(receipt("r2", Some("id9"), 8))).await;
    let sum = |what, count, since, minor| OutstandingSum {
        what,
        carrier: carrier(),
        currency: (what != Outstanding::Parked).then_some(Currency::Kzt),
        count,
        oldest_since: at(since),
        minor,
    };
    let expected = [
        sum(Outstanding::ChargesInDoubt, 2, 11, 16_000),
        sum(Outstanding::RefundsRequested, 1, 4, 2_000),
        sum(Outstanding::RefundsInDoubt, 1, 6, 8_000),
        sum(Outstanding::RefundsOwed, 1, 5, 3_000),
        sum(Outstanding::Parked, 2, 8, 0),
    ];
    assert_eq!(store.outstanding().await.unwrap(), expected);
}

pub(super) async fn what_nobody_owns_is_listed_by_age_and_reported_once(store: Store) {
    let (old, new) = (receipt("b", None, 3), receipt("a", Some("id1"), 5));
    let same_age = receipt("c", None, 3);
    for parked in [&new, &old, &same_age] {
        commit(&store, Write::Park(parked.clone())).await;
    }
    let names = |found: Vec<crate::store::UnownedReceipt>| -> Vec<(String, Option<crate::clock::Timestamp>)> {
        found.into_iter().map(|unowned| (unowned.receipt.id, unowned.reported_at)).collect()
    };
    let named = |id: &str| (id.to_owned(), None);
    assert_eq!(names(store.unowned(None, 9).await.unwrap()), ["b", "c", "a"].map(named));
    assert_eq!(names(store.unowned(None, 1).await.unwrap()), [named("b")]);
    assert_eq!(names(store.unowned(Some((at(3), "b")), 9).await.unwrap()), ["c", "a"].map(named));
    for second in [20, 30] {
        commit(&store, Write::ReportUnowned { id: "b".into(), at: at(second) }).await;
        commit(&store, Write::ReportUnowned { id: "gone".into(), at: at(second) }).await;
    }
    let piece = Some("b".to_owned());
    let kind = "receipt_unowned".to_owned();
    let expected = StoredBreak { reference: None, piece, kind, at: at(20), amount: None };
    assert_eq!(store.breaks(9).await.unwrap(), [expected]);
    assert_eq!(names(store.unowned(None, 1).await.unwrap()), [("b".to_owned(), Some(at(20)))]);
    commit(&store, Write::Unpark { id: "b".into() }).await;
    assert_eq!(names(store.unowned(None, 9).await.unwrap()), ["c", "a"].map(named));
}
