//! Refunds that are messages of their own, as over SMPP: without keys, so never sent twice, and known by an id of their own.

use proptest::prelude::*;

use super::*;
use crate::charge::{OwedBecause, RefundMessage, RefundState};

const LAG_SECONDS: u64 = 600;

fn by_message() -> Contract {
    let message = RefundMessage { receipt_lag_ms: LAG_SECONDS * 1_000 };
    Contract { can_refund: true, refund_message: Some(message), ..contract() }
}

fn receipt(finding: Finding) -> Event {
    told(EvidenceSource::Receipt, finding)
}

fn taken(id: &str) -> Finding {
    Finding::Accepted { carrier_id: Some(id.into()) }
}

fn given_back(id: &str) -> Finding {
    Finding::Charged { carrier_id: Some(id.into()), amount: None }
}

fn resolved(finding: Finding) -> Event {
    let source = EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's books".into() };
    told(source, finding)
}

fn standing(charge: &Charge) -> (RefundState, Option<&str>) {
    (charge.refunds[0].state, charge.refunds[0].carrier_id.as_deref())
}

#[test]
fn m14_a_message_whose_receipt_does_not_come_in_time_is_in_doubt_and_asked_about_by_its_id() {
    let (mut charge, _) = run(asked_back(by_message()), [(11, answered(taken("m1")))]);
    assert_eq!(standing(&charge), (RefundState::Accepted, Some("m1")));
    let mut seconds = Vec::new();
    while charge.refunds[0].state == RefundState::Accepted {
        let due = charge.due_at().expect("a look");
        let done = step(&charge, Event::Tick, due).expect("a tick");
        assert_eq!(done.effects, [Effect::QueryRefund { refund: reference(10) }]);
        seconds.push(due.since(at(11)).as_secs());
        charge = done.next;
    }
    assert_eq!(seconds.last(), Some(&LAG_SECONDS), "{seconds:?}");
    assert_eq!((charge.state, charge.refunds[0].in_doubt_since), (State::Refunding, Some(at(11 + LAG_SECONDS))));
    // That it was taken is no news any more: the wait for its receipt is over.
    let (again, _) = run(charge, [(620, answered(taken("m1")))]);
    assert_eq!(again.due_at(), Some(at(11 + LAG_SECONDS)));
}

#[test]
fn without_queries_the_end_of_the_wait_is_the_only_look_at_a_message_that_was_taken() {
    let deaf = Contract { queries_refunds: false, ..by_message() };
    let (charge, _) = run(asked_back(deaf), [(11, answered(taken("m1")))]);
    assert_eq!(charge.due_at(), Some(at(11 + LAG_SECONDS)));
    let (charge, effects) = run(charge, [(11 + LAG_SECONDS, Event::Tick)]);
    assert_eq!((standing(&charge).0, charge.due_at(), effects), (RefundState::InDoubt, None, vec![]));
}

#[test]
fn a_message_whose_id_nobody_knows_is_not_asked_about() {
    let (charge, _) = run(asked_back(by_message()), [(11, answered(doubtful(Doubt::Timeout)))]);
    assert_eq!((standing(&charge), charge.due_at()), ((RefundState::InDoubt, None), None));
    // An intermediate receipt names it: now it can be.
    let (charge, _) = run(charge, [(12, receipt(taken("m1")))]);
    assert_eq!(standing(&charge), (RefundState::Accepted, Some("m1")));
    let done = step(&charge, Event::Tick, charge.due_at().expect("a question")).expect("a tick");
    assert_eq!(done.effects, [Effect::QueryRefund { refund: reference(10) }]);
}

#[test]
fn m04_a_message_that_a_receipt_has_named_is_not_sent_again_by_a_late_no() {
    let lost = [(11, answered(doubtful(Doubt::Timeout))), (12, receipt(taken("m1"))), (700, Event::Tick)];
    let (doubt, _) = run(asked_back(by_message()), lost);
    assert_eq!(standing(&doubt), (RefundState::InDoubt, Some("m1")));
    for no in [rejected(Retry::SameCarrier), Finding::NotSent] {
        let (charge, effects) = run(doubt.clone(), [(701, answered(no))]);
        assert_eq!((standing(&charge).0, effects), (RefundState::InDoubt, vec![]));
    }
}

#[test]
fn m09_a_message_keeps_the_first_id_that_it_was_told_by_and_another_is_a_break() {
    let (charge, effects) = run(asked_back(by_message()), [(11, answered(doubtful(Doubt::Timeout)))]);
    assert_eq!(breaks(&effects), []);
    let (charge, effects) = run(charge, [(12, receipt(taken("m1"))), (13, answered(taken("m2")))]);
    assert_eq!(
        (standing(&charge), breaks(&effects)),
        ((RefundState::Accepted, Some("m1")), vec![Break::CarrierIdDiffers])
    );
}

#[test]
fn m08_the_id_is_learned_however_the_refund_has_ended_and_what_contradicts_is_a_break() {
    let doubt = || run(asked_back(by_message()), [(11, answered(doubtful(Doubt::Timeout)))]).0;
    let (owed, _) = run(doubt(), [(12, resolved(rejected(Retry::Never))), (13, answered(taken("m1")))]);
    assert_eq!(standing(&owed), (RefundState::Owed, Some("m1")));
    let (done, effects) = run(owed.clone(), [(14, receipt(given_back("m1")))]);
    assert_eq!((done.state, breaks(&effects)), (State::Refunded, vec![Break::RefundedAfterRefusal]));

    let by = ("aigul".to_owned(), "by bank".to_owned());
    let pay = Event::PayOut { refund: reference(10), by: by.0, because: by.1 };
    let (paid, effects) = run(owed, [(14, pay), (15, receipt(given_back("m1")))]);
    assert_eq!((standing(&paid).0, breaks(&effects)), (RefundState::PaidOut, vec![Break::RefundedTwice]));

    // What a person has found done, the carrier says too.
    let (found, _) = run(doubt(), [(12, resolved(charged()))]);
    let (done, effects) = run(found, [(13, receipt(given_back("m1"))), (14, receipt(given_back("m1")))]);
    assert_eq!((standing(&done), breaks(&effects)), ((RefundState::Done, Some("m1")), vec![]));
    let (_, effects) = run(done, [(15, receipt(rejected(Retry::Never)))]);
    assert_eq!(breaks(&effects), [Break::RefusedAfterRefund]);
}

#[test]
fn what_was_refused_in_its_own_answer_has_no_id_to_be_learned() {
    let (owed, _) = run(asked_back(by_message()), [(11, answered(rejected(Retry::Never)))]);
    assert!(matches!(owed.refunds[0].owed, Some(OwedBecause::Refused { .. })));
    assert!(!owed.refunds[0].may_have_unknown_id());
    let waiting = run(asked_back(by_message()), [(11, answered(rejected(Retry::SameCarrier)))]).0;
    assert!(!waiting.refunds[0].may_have_unknown_id());
    assert!(asked_back(by_message()).refunds[0].may_have_unknown_id());
    assert!(!asked_back(contract()).refunds[0].may_have_unknown_id(), "nothing was ever sent");
}

#[test]
fn the_number_of_a_message_follows_from_its_refunds_name_and_is_never_zero() {
    let mut refund = asked_back(by_message()).refunds[0].clone();
    for (name, number) in [([0x0A; 16], 0x0A0A), ([0; 16], 1)] {
        refund.reference = Reference::from_bytes(name);
        assert_eq!(refund.user_message_reference(), number);
    }
}

#[test]
fn m09_words_that_do_not_contradict_end_the_same_in_every_order() {
    let lost = told(EvidenceSource::Link, doubtful(Doubt::Timeout));
    for answer in [taken("m1"), given_back("m1")] {
        let words = [lost.clone(), answered(answer), receipt(taken("m1")), receipt(given_back("m1"))];
        for order in (0..256_usize).map(|n| [n % 4, n / 4 % 4, n / 16 % 4, n / 64]) {
            if (0..4).any(|word| !order.contains(&word)) {
                continue;
            }
            let told = (11..).zip(order.map(|word| words[word].clone()));
            let (charge, effects) = run(asked_back(by_message()), told);
            assert_eq!(
                (standing(&charge), charge.state),
                ((RefundState::Done, Some("m1")), State::Refunded),
                "{order:?}"
            );
            assert_eq!((breaks(&effects), charge.due_at()), (vec![], None), "{order:?}");
        }
    }
}

fn any_word() -> impl Strategy<Value = Event> {
    let finding = prop_oneof![
        Just(taken("m1")),
        Just(given_back("m1")),
        Just(charged()),
        Just(rejected(Retry::Never)),
        Just(rejected(Retry::SameCarrier)),
        Just(doubtful(Doubt::Timeout)),
        Just(doubtful(Doubt::Duplicate)),
        Just(Finding::NotSent),
        Just(Finding::NotFound { complete: true, asked_at: None }),
        Just(Finding::Nothing),
    ];
    let source = prop_oneof![
        Just(EvidenceSource::Response),
        Just(EvidenceSource::Link),
        Just(EvidenceSource::Receipt),
        Just(EvidenceSource::Query),
    ];
    (source, finding).prop_map(|(source, finding)| told(source, finding))
}

proptest! {
    /// Only a request that did not happen, by its own answer, is made again.
    #[test]
    fn m04_a_refund_message_is_sent_again_only_where_its_own_answer_says_that_it_was_not_taken(
        words in prop::collection::vec(prop::option::of(any_word()), 0..24),
        queries: bool,
    ) {
        // A listing can lack what SMPP has no listing of; then the carrier is no such carrier.
        let is_listed = |word: &Event| matches!(word, Event::RefundEvidence { finding: Finding::NotFound { .. }, .. });
        let mut charge = asked_back(Contract { queries_refunds: queries, ..by_message() });
        let (mut sent, mut may_be_sent) = (1, 1);
        for word in words.into_iter().filter(|word| !word.as_ref().is_some_and(is_listed)) {
            let now = charge.due_at().unwrap_or(charge.updated_at.plus(Duration::from_secs(700)));
            let before = charge.refunds[0].state;
            let done = step(&charge, word.unwrap_or(Event::Tick), now).expect("evidence");
            charge = done.next;
            let is_waiting = charge.refunds[0].state == RefundState::Waiting && before != RefundState::Waiting;
            may_be_sent += i32::from(is_waiting);
            sent += i32::from(done.effects.contains(&Effect::Refund { refund: reference(10) }));
            let resend = Effect::ResendRefund { refund: reference(10) };
            prop_assert!(!done.effects.contains(&resend));
            prop_assert!(sent <= may_be_sent, "{:?}", charge);
            prop_assert!(charge.refunds[0].tries == 1);
        }
    }
}
