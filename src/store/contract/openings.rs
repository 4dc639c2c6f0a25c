use super::fixture::*;
use crate::{
    charge::{Event, Extends, Reason, State, step},
    clock::Timestamp,
    store::{KeyGuard, Opening, Outcome, Slot, SlotChange, SlotClaim, SpendingBound, Store, StoreError, Write},
};

pub(super) async fn what_was_opened_is_read_back_whole(store: Store) {
    let mut charge = charge_at(1, 0);
    charge.order.extends = Some(Extends { reference: reference(9), passengers: 1, held_until: at(9) });
    charge.order.city = "Алматы \"1\"\n\u{0}".into();
    let mut opening = opening_with_slot(&charge);
    opening.messages.push(sms(1, 1, 0));
    assert_eq!(open(&store, opening.clone()).await, Outcome::Opened { superseded: None });
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(charge.clone()));
    assert_eq!(store.journal(charge.reference).await.unwrap(), opening.journal);
    assert_eq!(store.key(&opening.guard).await.unwrap(), Some((charge.reference, true, false)));
    let held = Slot { reference: charge.reference, passengers: 1, held_until: at(DEADLINE + 1) };
    assert_eq!(store.slot(charge.order.msisdn, &charge.order.vehicle).await.unwrap(), Some(held));
    assert_eq!(store.message(opening.messages[0].id).await.unwrap().unwrap().message, opening.messages[0]);
}

pub(super) async fn m01_an_attempt_has_a_row_and_a_charge_without_one_was_never_sent(store: Store) {
    let (unsent, mut sent) = (charge_at(1, 0), charge_at(2, 0));
    sent = step(&sent, open_attempt(), at(0)).unwrap().next;
    open(&store, opening(&unsent)).await;
    open(&store, opening(&sent)).await;
    assert_eq!(store.charge(unsent.reference).await.unwrap().unwrap().attempts, []);
    assert_eq!(store.charge(sent.reference).await.unwrap().unwrap().attempts, sent.attempts);
}

pub(super) async fn m15_the_same_key_with_the_same_body_replays_and_writes_nothing(store: Store) {
    let (first, second) = (charge_at(1, 0), charge_at(2, 1));
    let guard = opening(&first).guard;
    open(&store, opening(&first)).await;
    let again = Opening { guard: guard.clone(), messages: vec![sms(2, 2, 1)], ..opening_with_slot(&second) };
    let expected = Outcome::KeyKnown { reference: first.reference, same_body: true, repeat: false };
    assert_eq!(open(&store, again).await, expected);
    assert_eq!(store.charge(second.reference).await.unwrap(), None);
    assert_eq!(store.journal(second.reference).await.unwrap(), []);
    assert_eq!(store.slot(second.order.msisdn, &second.order.vehicle).await.unwrap(), None);
    assert_eq!(store.message(sms(2, 2, 1).id).await.unwrap(), None);
}

pub(super) async fn m15_the_same_key_with_another_body_is_a_conflict(store: Store) {
    let charge = charge_at(1, 0);
    open(&store, opening(&charge)).await;
    let other_body = KeyGuard { body_sha256: [8; 32], ..opening(&charge).guard };
    let again = Opening { guard: other_body.clone(), ..opening(&charge_at(2, 1)) };
    let expected = Outcome::KeyKnown { reference: charge.reference, same_body: false, repeat: false };
    assert_eq!(open(&store, again).await, expected);
    assert_eq!(store.key(&other_body).await.unwrap(), Some((charge.reference, false, false)));
}

pub(super) async fn m15_the_same_key_of_another_caller_is_another_key(store: Store) {
    open(&store, opening(&charge_at(1, 0))).await;
    let other = KeyGuard { caller: "sms".into(), ..opening(&charge_at(1, 0)).guard };
    let outcome = open(&store, Opening { guard: other, ..opening(&charge_at(2, 1)) }).await;
    assert_eq!(outcome, Outcome::Opened { superseded: None });
}

pub(super) async fn m13_a_repeat_is_replayed_as_a_repeat(store: Store) {
    let charge = charge_at(1, 0);
    open(&store, opening(&charge)).await;
    let repeat = |reference| Write::RecordRepeat { guard: key("again"), reference, at: at(5), mo: None };
    assert_eq!(commit(&store, repeat(charge.reference)).await, Outcome::Done);
    let known = Outcome::KeyKnown { reference: charge.reference, same_body: true, repeat: true };
    assert_eq!(commit(&store, repeat(charge.reference)).await, known);
    let opened = open(&store, Opening { guard: key("again"), ..opening(&charge_at(2, 6)) }).await;
    assert_eq!(opened, known);
    assert_eq!(store.key(&key("again")).await.unwrap(), Some((charge.reference, true, true)));
}

pub(super) async fn a_repeat_of_a_charge_that_does_not_exist_is_refused(store: Store) {
    let repeat = Write::RecordRepeat { guard: key("again"), reference: reference(1), at: at(5), mo: None };
    assert!(matches!(store.commit(&[repeat]).await, Err(StoreError::Refused(_))));
    assert_eq!(store.key(&key("again")).await.unwrap(), None);
}

pub(super) async fn m12_a_held_slot_refuses_a_second_charge_and_leaves_no_key(store: Store) {
    let (first, second) = (charge_of(1, 1, 1, 0), charge_of(2, 1, 1, 10));
    open(&store, opening_with_slot(&first)).await;
    let held = store.slot(first.order.msisdn, &first.order.vehicle).await.unwrap().unwrap();
    assert_eq!(open(&store, opening_with_slot(&second)).await, Outcome::SlotHeld(held.clone()));
    assert_eq!(store.charge(second.reference).await.unwrap(), None);
    assert_eq!(store.key(&opening(&second).guard).await.unwrap(), None);
    assert_eq!(store.slot(first.order.msisdn, &first.order.vehicle).await.unwrap(), Some(held));
}

pub(super) async fn m12_a_slot_whose_time_is_over_is_taken_and_its_open_charge_is_superseded(store: Store) {
    let old = charge_of(1, 1, 1, 0);
    open(&store, opening_with_slot(&old)).await;
    let old = advance(&store, old, [(1, open_attempt()), (11, doubtful("e1"))]).await;
    let new = charge_of(2, 1, 1, DEADLINE + 5);
    let outcome = open(&store, opening_with_slot(&new)).await;
    assert_eq!(outcome, Outcome::Opened { superseded: Some(old.reference) });

    let event = Event::Supersede { by: new.reference };
    let expected = step(&old, event.clone(), new.order.received_at).unwrap().next;
    assert_eq!(store.charge(old.reference).await.unwrap(), Some(expected.clone()));
    assert_eq!(expected.superseded_by, Some(new.reference));
    let last = store.journal(old.reference).await.unwrap().pop().unwrap();
    assert_eq!((last.event, last.version, last.to), (Some(event), old.version + 1, State::InDoubt));
    let slot = store.slot(new.order.msisdn, &new.order.vehicle).await.unwrap().unwrap();
    assert_eq!(slot.reference, new.reference);
    assert_eq!(settle(&store, settlement(&old, paid("e2"), 80)).await, Outcome::Stale);
    let refunded = advance(&store, expected, [(80, paid("e2"))]).await;
    assert_eq!(refunded.state, State::RefundOwed, "it can only end as not taken or refunded");
    let slot = store.slot(new.order.msisdn, &new.order.vehicle).await.unwrap().unwrap();
    assert_eq!(slot.reference, new.reference, "the old charge has no slot to release any more");
}

pub(super) async fn m12_an_open_charge_before_its_deadline_keeps_a_slot_whose_time_is_over(store: Store) {
    let old = charge_of(1, 1, 1, 0);
    let short = SlotClaim { held_until: at(10), ..claim_for(&old) };
    open(&store, Opening { slot: Some(short), ..opening(&old) }).await;
    let outcome = open(&store, opening_with_slot(&charge_of(2, 1, 1, DEADLINE))).await;
    assert!(matches!(outcome, Outcome::SlotHeld(slot) if slot.reference == old.reference));
    let outcome = open(&store, opening_with_slot(&charge_of(3, 1, 1, DEADLINE + 1))).await;
    assert_eq!(outcome, Outcome::Opened { superseded: Some(old.reference) });
}

pub(super) async fn a_slot_whose_charge_has_ended_is_taken_and_nothing_is_superseded(store: Store) {
    let old = charge_of(1, 1, 1, 0);
    open(&store, opening_with_slot(&old)).await;
    let old = advance(&store, old, [(1, open_attempt()), (2, paid("e1"))]).await;
    let outcome = open(&store, opening_with_slot(&charge_of(2, 1, 1, DEADLINE + 1))).await;
    assert_eq!(outcome, Outcome::Opened { superseded: None });
    assert_eq!(store.charge(old.reference).await.unwrap(), Some(old));
}

pub(super) async fn m13_a_claim_that_replaces_the_holder_is_granted_and_given_back(store: Store) {
    let first = charge_of(1, 1, 1, 0);
    open(&store, opening_with_slot(&first)).await;
    let first = advance(&store, first, [(1, open_attempt()), (2, paid("e1"))]).await;
    let before = store.slot(first.order.msisdn, &first.order.vehicle).await.unwrap().unwrap();

    let second = charge_of(2, 1, 1, 10);
    let wish = SlotClaim { replaces: Some(reference(9)), passengers: 2, ..claim_for(&second) };
    let stranger = open(&store, Opening { slot: Some(wish.clone()), ..opening(&second) }).await;
    assert_eq!(stranger, Outcome::SlotHeld(before.clone()), "only the holder itself can be replaced");
    let wish = SlotClaim { replaces: Some(first.reference), ..wish };
    let outcome = open(&store, Opening { slot: Some(wish), ..opening(&second) }).await;
    assert_eq!(outcome, Outcome::Opened { superseded: None });
    let slot = store.slot(first.order.msisdn, &first.order.vehicle).await.unwrap().unwrap();
    assert_eq!((slot.reference, slot.passengers), (second.reference, 2));

    let decline = settlement(&second, Event::Decline { reason: Reason::DailyLimit }, 11);
    settle(&store, crate::store::Settlement { slot: SlotChange::Release(Some(before.clone())), ..decline }).await;
    assert_eq!(store.slot(first.order.msisdn, &first.order.vehicle).await.unwrap(), Some(before));
}

pub(super) async fn slots_of_other_vehicles_and_subscribers_are_free(store: Store) {
    for charge in [charge_of(1, 1, 1, 0), charge_of(2, 1, 2, 0), charge_of(3, 2, 1, 0)] {
        assert_eq!(open(&store, opening_with_slot(&charge)).await, Outcome::Opened { superseded: None });
    }
}

pub(super) async fn a_charge_without_a_claim_takes_no_slot(store: Store) {
    let charge = charge_of(1, 1, 1, 0);
    let declined = step(&charge, Event::Decline { reason: Reason::SaleLock }, at(0)).unwrap().next;
    open(&store, opening(&declined)).await;
    assert_eq!(store.slot(charge.order.msisdn, &charge.order.vehicle).await.unwrap(), None);
    let outcome = open(&store, opening_with_slot(&charge_of(2, 1, 1, 1))).await;
    assert_eq!(outcome, Outcome::Opened { superseded: None });
}

pub(super) async fn a_reference_exists_once(store: Store) {
    let charge = charge_at(1, 0);
    open(&store, opening(&charge)).await;
    let twin = Opening { guard: key("another"), ..opening(&charge) };
    assert!(matches!(store.commit(&[Write::Open(Box::new(twin))]).await, Err(StoreError::Refused(_))));
    assert_eq!(store.key(&key("another")).await.unwrap(), None);
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 1);
}

pub(super) async fn a_key_that_is_too_long_is_refused(store: Store) {
    let long = Opening { guard: key(&"k".repeat(256)), ..opening(&charge_at(1, 0)) };
    assert!(matches!(store.commit(&[Write::Open(Box::new(long))]).await, Err(StoreError::Refused(_))));
    let longest = Opening { guard: key(&"k".repeat(255)), ..opening(&charge_at(1, 0)) };
    assert_eq!(open(&store, longest).await, Outcome::Opened { superseded: None });
}

/// Not more than two fares, nor oftener than twice.
fn two_at_most(since: Timestamp) -> SpendingBound {
    SpendingBound { since, doubt_since: at(0), minor_max: 2 * FARE.minor, purchases_max: 2 }
}

pub(super) async fn m14_an_opening_over_a_bound_of_the_subscriber_writes_nothing(store: Store) {
    let bounded = |n: u8, second: u64, bound| Opening { bounds: vec![bound], ..opening(&charge_of(n, 1, n, second)) };
    for n in 1..=3 {
        let outcome = open(&store, bounded(n, n.into(), two_at_most(at(0)))).await;
        assert_eq!(outcome, Outcome::Opened { superseded: None }, "the two before it may be there");
    }
    let refused = bounded(4, 4, two_at_most(at(0)));
    assert_eq!(open(&store, refused.clone()).await, Outcome::OverBound);
    assert_eq!(store.charge(refused.charge.reference).await.unwrap(), None);
    assert_eq!(store.key(&refused.guard).await.unwrap(), None);
    let often = SpendingBound { minor_max: i64::MAX, ..two_at_most(at(0)) };
    assert_eq!(open(&store, bounded(4, 4, often)).await, Outcome::OverBound);
    let dear = SpendingBound { purchases_max: u32::MAX, ..two_at_most(at(0)) };
    assert_eq!(open(&store, bounded(4, 4, dear)).await, Outcome::OverBound);
    let other = Opening { bounds: vec![two_at_most(at(0))], ..opening(&charge_of(5, 2, 5, 4)) };
    assert_eq!(open(&store, other).await, Outcome::Opened { superseded: None }, "another subscriber");
    assert_eq!(open(&store, bounded(4, 4, two_at_most(at(2)))).await, Outcome::Opened { superseded: None });
}

pub(super) async fn m14_a_bound_outranks_a_held_slot_and_not_a_known_key(store: Store) {
    let first = charge_of(1, 1, 1, 1);
    open(&store, opening_with_slot(&first)).await;
    let nothing = SpendingBound { minor_max: 0, ..two_at_most(at(0)) };
    let again = Opening { bounds: vec![nothing], ..opening_with_slot(&charge_of(2, 1, 1, 2)) };
    assert_eq!(open(&store, again.clone()).await, Outcome::OverBound);
    let known = Opening { guard: opening(&first).guard, ..again };
    assert!(matches!(open(&store, known).await, Outcome::KeyKnown { .. }));
}
