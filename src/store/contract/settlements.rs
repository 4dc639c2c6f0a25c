use super::fixture::*;
use crate::{
    charge::{Break, Event, EvidenceSource, Finding, State},
    ledger::Account,
    money::{Currency, Money},
    store::{
        Outcome, Owner, Settlement, Slot, SlotChange, Store, StoreError, StoredBreak, StoredTicket, TicketFilter, Write,
    },
};

pub(super) async fn m10_the_charge_its_postings_its_ticket_and_its_messages_commit_together(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let message = crate::store::OutgoingSms { reference: Some(charge.reference), ticket: true, ..sms(1, 1, 2) };
    let settlement = Settlement { messages: vec![message.clone()], ..settlement(&charge, paid("e1"), 2) };
    assert_eq!(settle(&store, settlement.clone()).await, Outcome::Settled { parked: Vec::new() });
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(settlement.charge));
    assert_eq!(store.ticket(charge.reference).await.unwrap(), settlement.ticket);
    assert_eq!(store.messages_of(charge.reference).await.unwrap()[0].message, message);
    assert_eq!(store.journal(charge.reference).await.unwrap().last(), Some(&settlement.journal));
    let sums: Vec<(String, i64)> =
        store.balances().await.unwrap().into_iter().map(|sum| (sum.account.to_string(), sum.minor)).collect();
    assert_eq!(sums, [("carrier_receivable:beeline".into(), 8_000), ("fare_revenue:green-bus".into(), -8_000)]);
}

pub(super) async fn m10_nothing_of_a_refused_settlement_is_to_be_seen(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let message = sms(1, 1, 2);
    let answered = crate::store::Opening { messages: vec![message.clone()], ..opening(&charge_at(2, 0)) };
    open(&store, answered).await;
    // The message exists already, and it is among the last things that are written.
    let found = vec![Break::AmountDiffers];
    let bad = Settlement { messages: vec![message], breaks: found, ..settlement(&charge, accepted("e1", "id1"), 2) };
    assert!(matches!(store.commit(&[Write::Settle(Box::new(bad.clone()))]).await, Err(StoreError::Refused(_))));
    assert_eq!(store.charge(charge.reference).await.unwrap().as_ref(), Some(&charge));
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 2);
    assert_eq!(store.ticket(charge.reference).await.unwrap(), None);
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), None);
    assert_eq!(store.balances().await.unwrap(), []);
    assert_eq!(store.breaks(9).await.unwrap(), []);
    let mended = Settlement { messages: Vec::new(), ..bad };
    assert_eq!(settle(&store, mended).await, Outcome::Settled { parked: Vec::new() }, "its evidence was not counted");
}

pub(super) async fn a_settlement_from_an_older_version_is_stale_and_writes_nothing(store: Store) {
    let old = charge_at(1, 0);
    let charge = run(&store, old.clone(), [(1, open_attempt())]).await;
    let late = Settlement { messages: vec![sms(1, 1, 3)], ..settlement(&old, Event::Tick, DEADLINE + 1) };
    assert_eq!(settle(&store, late).await, Outcome::Stale);
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(charge.clone()));
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 2);
    assert_eq!(store.message(sms(1, 1, 3).id).await.unwrap(), None);
}

pub(super) async fn a_settlement_of_an_unknown_charge_is_stale(store: Store) {
    let settlement = settlement(&charge_at(1, 0), open_attempt(), 1);
    assert_eq!(settle(&store, settlement).await, Outcome::Stale);
    assert_eq!(store.journal(reference(1)).await.unwrap(), []);
}

pub(super) async fn m09_the_same_evidence_is_counted_once(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let again = settlement(&charge, evidence("e1", Finding::Charged { carrier_id: None, amount: None }), 3);
    assert_eq!(settle(&store, again).await, Outcome::EvidenceKnown);
    let unknown_attempt = settlement(&charge_at(1, 0), accepted("e1", "id1"), 3);
    assert_eq!(
        settle(&store, unknown_attempt).await,
        Outcome::EvidenceKnown,
        "known evidence outranks a stale version"
    );
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(charge.clone()));
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 3);
    let other_charge = run(&store, charge_at(2, 0), [(1, open_attempt()), (2, accepted("e1", "id2"))]).await;
    assert_eq!(other_charge.version, 3, "an id names a piece within its charge");
}

pub(super) async fn m09_evidence_that_changes_nothing_is_counted_too(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let contradiction = settlement(&charge, turned_down("e2"), 3);
    assert_eq!((contradiction.charge.version, contradiction.charge.state), (charge.version + 1, charge.state));
    assert_eq!(settle(&store, contradiction.clone()).await, Outcome::Settled { parked: Vec::new() });
    assert_eq!(settle(&store, contradiction).await, Outcome::EvidenceKnown);
    assert_eq!(store.breaks(9).await.unwrap().len(), 1);
    assert_eq!(store.journal(charge.reference).await.unwrap().len(), 4);
}

pub(super) async fn what_a_carrier_said_is_kept_beside_the_evidence_word_for_word(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let words = "id:1 stat:DELIVRD text:Билет «1234»\n\u{0}\"\\";
    let told = with_words(settlement(&charge, paid("e2"), 3), words);
    let kept = told.verbatim.clone().expect("words");
    settle(&store, told).await;
    assert_eq!(store.words(charge.reference).await.unwrap(), [("e2".to_owned(), kept.clone())]);
    assert_eq!(store.words(reference(2)).await.unwrap(), []);
    let journal = store.journal(charge.reference).await.unwrap();
    assert_eq!(journal.last().and_then(|entry| entry.verbatim.clone()), Some(kept.digest()));
}

pub(super) async fn entries_that_do_not_add_up_are_refused(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let mut bad = settlement(&charge, paid("e1"), 2);
    bad.entries[0].minor += 1;
    assert!(matches!(store.commit(&[Write::Settle(Box::new(bad.clone()))]).await, Err(StoreError::Refused(_))));
    bad.entries[0].minor -= 1;
    bad.entries[0].currency = Currency::Usd;
    assert!(matches!(store.commit(&[Write::Settle(Box::new(bad))]).await, Err(StoreError::Refused(_))));
    assert_eq!(store.balances().await.unwrap(), []);
}

pub(super) async fn parts_that_speak_of_another_charge_are_refused(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let good = settlement(&charge, paid("e1"), 2);
    let mut bad = vec![good.clone(); 4];
    bad[0].journal.reference = reference(2);
    bad[1].entries.iter_mut().for_each(|entry| entry.reference = reference(2));
    bad[2].ticket.as_mut().unwrap().reference = reference(2);
    bad[3].charge.version = 1;
    for settlement in bad {
        let result = store.commit(&[Write::Settle(Box::new(settlement))]).await;
        assert!(matches!(result, Err(StoreError::Refused(_))));
    }
    assert!(matches!(settle(&store, good).await, Outcome::Settled { .. }));
}

pub(super) async fn a_slot_is_held_on_released_or_left_to_its_new_holder(store: Store) {
    let charge = charge_of(1, 1, 1, 0);
    open(&store, opening_with_slot(&charge)).await;
    let slot = || store.slot(charge.order.msisdn, &charge.order.vehicle);
    let hold = Settlement { slot: SlotChange::HoldUntil(at(900)), ..settlement(&charge, open_attempt(), 1) };
    settle(&store, hold.clone()).await;
    let held = Slot { reference: charge.reference, passengers: 1, held_until: at(900) };
    assert_eq!(slot().await.unwrap(), Some(held.clone()));
    settle(&store, Settlement { slot: SlotChange::Keep, ..settlement(&hold.charge, accepted("e1", "id1"), 2) }).await;
    assert_eq!(slot().await.unwrap(), Some(held));

    let newer = charge_of(2, 1, 1, 1_000);
    let outcome = open(&store, opening_with_slot(&newer)).await;
    assert_eq!(outcome, Outcome::Opened { superseded: Some(charge.reference) });
    let old = store.charge(charge.reference).await.unwrap().unwrap();
    let release = settlement(&old, turned_down("e2"), 1_001);
    assert_eq!(release.slot, SlotChange::Release(None));
    settle(&store, release).await;
    assert_eq!(slot().await.unwrap().unwrap().reference, newer.reference);
    let release = settlement(&newer, Event::Decline { reason: crate::charge::Reason::SaleLock }, 1_002);
    settle(&store, release).await;
    assert_eq!(slot().await.unwrap(), None);
}

pub(super) async fn m14_a_revoked_ticket_is_past_and_stays_revoked(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let refund = Event::RequestRefund { refund: reference(8), amount: FARE, by: None };
    let settlement = settlement(&charge, refund, 10);
    assert!(settlement.revoke_ticket);
    settle(&store, settlement.clone()).await;
    assert_eq!(store.ticket(charge.reference).await.unwrap().unwrap().revoked_at, Some(at(10)));
    let tickets = async |filter| store.tickets(charge.order.msisdn, filter, at(11), 9).await.unwrap().len();
    assert_eq!((tickets(TicketFilter::Active).await, tickets(TicketFilter::Past).await), (0, 1));
    let finding = Finding::Charged { carrier_id: None, amount: None };
    let done = super::fixture::settlement(
        &settlement.charge,
        Event::RefundEvidence { refund: reference(8), id: String::new(), source: EvidenceSource::Response, finding },
        20,
    );
    settle(&store, Settlement { revoke_ticket: true, ..done }).await;
    assert_eq!(store.ticket(charge.reference).await.unwrap().unwrap().revoked_at, Some(at(10)));
}

pub(super) async fn an_extended_ticket_takes_the_place_of_the_first(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let extended = StoredTicket { expires_at: at(9_999), cwt: vec![1; 200], ..ticket(&charge, 30) };
    let again = Settlement { ticket: Some(extended.clone()), ..settlement(&charge, Event::Tick, 30) };
    settle(&store, again).await;
    assert_eq!(store.ticket(charge.reference).await.unwrap(), Some(extended));
}

pub(super) async fn a_break_is_kept_with_the_amount(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let wrong = Finding::Charged { carrier_id: None, amount: Some(Money::kzt(9_000)) };
    let charge = advance(&store, charge, [(2, evidence("e1", wrong)), (3, turned_down("e2"))]).await;
    let expected = |kind: Break, second| StoredBreak {
        reference: Some(charge.reference),
        piece: None,
        kind: kind.code().into(),
        at: at(second),
        amount: Some(FARE),
    };
    let newest_first = [expected(Break::RejectedAfterCharge, 3), expected(Break::AmountDiffers, 2)];
    assert_eq!(store.breaks(9).await.unwrap(), newest_first);
    assert_eq!(store.breaks(1).await.unwrap(), newest_first[..1]);
}

pub(super) async fn balances_add_up_to_zero(store: Store) {
    run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    run(&store, charge_at(2, 0), [(1, open_attempt()), (11, doubtful("e1"))]).await;
    run(&store, charge_at(3, 0), [(1, open_attempt()), (11, doubtful("e1")), (90, paid("e2"))]).await;
    run(&store, charge_at(4, 0), [(1, open_attempt()), (2, turned_down("e1"))]).await;
    let balances = store.balances().await.unwrap();
    assert_eq!(balances.iter().map(|sum| sum.minor).sum::<i64>(), 0);
    let suspense = balances.iter().find(|sum| sum.account == Account::InDoubtSuspense).unwrap();
    assert_eq!((suspense.minor, suspense.currency), (-8_000, Currency::Kzt));
}

pub(super) async fn m09_a_receipt_parked_before_its_response_is_returned_when_the_id_is_learned(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let (late, early) = (receipt("r2", Some("id1"), 4), receipt("r1", Some("id1"), 3));
    for parked in [&late, &early, &receipt("r3", Some("id2"), 3), &receipt("r4", None, 3)] {
        assert_eq!(commit(&store, Write::Park(parked.clone())).await, Outcome::Parked);
    }
    let outcome = settle(&store, settlement(&charge, accepted("e1", "id1"), 5)).await;
    assert_eq!(outcome, Outcome::Settled { parked: vec![early, late] });
    assert_eq!(store.parked_count().await.unwrap(), 4, "they stay until they are unparked");
}

pub(super) async fn m09_a_receipt_after_its_response_is_owned_and_not_parked(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let owner = Owner::Attempt { reference: charge.reference, attempt: 1 };
    assert_eq!(commit(&store, Write::Park(receipt("r1", Some("id1"), 3))).await, Outcome::Owned(owner.clone()));
    assert_eq!(store.parked_count().await.unwrap(), 0);
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), Some(owner));
    assert_eq!(store.owner(&"kcell".parse().unwrap(), "id1").await.unwrap(), None);
}

pub(super) async fn m09_an_id_used_again_belongs_to_the_newest(store: Store) {
    run(&store, charge_at(1, 0), [(1, open_attempt()), (2, accepted("e1", "id1"))]).await;
    let newer = run(&store, charge_at(2, 9), [(10, open_attempt()), (11, accepted("e1", "id1"))]).await;
    let owner = Owner::Attempt { reference: newer.reference, attempt: 1 };
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), Some(owner));
    assert_eq!(newer.state, State::Processing);
}

pub(super) async fn m14_the_id_of_a_refunds_message_names_the_refund_and_finds_what_was_parked_for_it(store: Store) {
    let ask = Event::RequestRefund { refund: reference(9), amount: Money::kzt(3_000), by: None };
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt()), (2, paid("e1")), (3, ask)]).await;
    let early = receipt("r1", Some("id1"), 4);
    assert_eq!(commit(&store, Write::Park(early.clone())).await, Outcome::Parked);
    let finding = Finding::Charged { carrier_id: Some("id1".into()), amount: None };
    let (source, id) = (EvidenceSource::Response, "refund:e2".to_owned());
    let event = Event::RefundEvidence { refund: reference(9), id, source, finding };
    let settled = settle(&store, settlement(&charge, event.clone(), 5)).await;
    assert_eq!(settled, Outcome::Settled { parked: vec![early] });
    let owner = Owner::Refund { reference: charge.reference, refund: reference(9) };
    assert_eq!(commit(&store, Write::Park(receipt("r2", Some("id1"), 6))).await, Outcome::Owned(owner.clone()));
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), Some(owner));
    let known = store.charge(charge.reference).await.unwrap().unwrap();
    assert_eq!(settle(&store, settlement(&charge, event, 7)).await, Outcome::EvidenceKnown);
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(known));

    // Used again, it is the newest one's, of whatever kind.
    let newer = run(&store, charge_at(2, 9), [(10, open_attempt()), (11, accepted("e1", "id1"))]).await;
    let owner = Owner::Attempt { reference: newer.reference, attempt: 1 };
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), Some(owner));
}
