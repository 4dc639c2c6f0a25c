//! Refunds as requests of their own.

use super::*;
use crate::charge::{OwedBecause, REFUND_TRIES_MAX, RefundState};

/// A charged one whose whole amount is being asked back at second 10.
fn refunding() -> (Charge, Vec<Effect>) {
    let able = Contract { can_refund: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: able, carrier_time: None };
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, charged()))]);
    run(charge, [(10, Event::RequestRefund { refund: reference(10), amount: FARE, by: None })])
}

fn refund_evidence(finding: Finding) -> Event {
    Event::RefundEvidence { refund: reference(10), id: String::new(), source: EvidenceSource::Response, finding }
}

fn state(charge: &Charge) -> RefundState {
    charge.refunds[0].state
}

#[test]
fn m14_a_refund_is_durable_before_it_is_sent_and_revokes_the_ticket_in_the_same_step() {
    let (charge, effects) = refunding();
    assert_eq!((charge.state, state(&charge)), (State::Refunding, RefundState::Requested));
    assert!(effects.contains(&Effect::RevokeTicket) && effects.contains(&Effect::Refund { refund: reference(10) }));
    let (charge, _) = run(charge, [(11, refund_evidence(charged()))]);
    assert_eq!((charge.state, charge.due_at()), (State::Refunded, None));
}

#[test]
fn m14_a_refund_that_was_not_sent_is_sent_later_with_the_same_name() {
    for not_made in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        let (charge, _) = refunding();
        let name = charge.refunds[0].wire_reference();
        let (charge, effects) = run(charge, [(11, refund_evidence(not_made))]);
        assert_eq!((state(&charge), effects), (RefundState::Waiting, vec![]));
        let done = step(&charge, Event::Tick, charge.due_at().expect("a next try")).expect("a tick");
        assert_eq!(done.effects, [Effect::Refund { refund: reference(10) }]);
        assert_eq!(done.next.refunds[0].wire_reference(), name);
    }
}

#[test]
fn m14_a_refund_of_which_nothing_is_heard_is_in_doubt_and_asked_about() {
    let (mut charge, _) = refunding();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let due = charge.due_at().expect("a question");
        pauses.push(due.since(charge.updated_at).as_secs());
        let done = step(&charge, Event::Tick, due).expect("a tick");
        assert_eq!(done.effects, [Effect::QueryRefund { refund: reference(10) }]);
        charge = done.next;
        assert_eq!((charge.state, state(&charge)), (State::Refunding, RefundState::InDoubt));
    }
    assert_eq!(pauses, [30, 10, 20, 40], "its answer has its time, and then the questions have theirs");
}

#[test]
fn m05_what_lacks_a_refund_counts_anew_once_it_was_sent_again() {
    let replays = Contract { can_refund: true, replays_keys: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
    let lost = refund_evidence(doubtful(Doubt::Timeout));
    let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask), (11, lost)]);
    for expected in [Effect::QueryRefund { refund: reference(10) }, Effect::ResendRefund { refund: reference(10) }] {
        let due = charge.due_at().expect("a look");
        let done = step(&charge, Event::Tick, due).expect("a tick");
        assert_eq!(done.effects, [expected]);
        let absent = refund_evidence(Finding::NotFound { complete: true, asked_at: None });
        // The second answer could prove that the first request did not arrive, and says nothing of the one under way.
        let done = step(&done.next, absent, due).expect("evidence");
        assert_eq!((state(&done.next), done.effects), (RefundState::InDoubt, vec![]));
        charge = done.next;
    }
}

#[test]
fn m04_a_refund_that_may_be_older_than_it_seems_is_asked_about_at_each_turn() {
    let replays = Contract { can_refund: true, replays_keys: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
    let lost = refund_evidence(doubtful(Doubt::Timeout));
    let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask), (11, lost)]);
    for _ in 0..6 {
        let due = charge.due_at().expect("a look");
        let done = step(&charge, Event::TickWithoutRepetition, due).expect("a tick");
        assert_eq!(done.effects, [Effect::QueryRefund { refund: reference(10) }]);
        charge = done.next;
        assert_eq!((charge.refunds[0].in_doubt_since, charge.refunds[0].sent_again), (Some(at(11)), false));
    }
}

#[test]
fn m04_a_refund_in_doubt_is_sent_again_in_the_same_bytes_only_where_keys_replay_and_only_for_an_hour() {
    let replays = Contract { can_refund: true, replays_keys: true, ..contract() };
    for (contract, may_resend) in [(replays, true), (Contract { replays_keys: false, ..replays }, false)] {
        let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract, carrier_time: None };
        let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
        let lost = refund_evidence(doubtful(Doubt::Timeout));
        let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask), (11, lost)]);
        let name = charge.refunds[0].wire_reference();
        let mut resent = Vec::new();
        for _ in 0..12 {
            let due = charge.due_at().expect("a look");
            let done = step(&charge, Event::Tick, due).expect("a tick");
            match done.effects.as_slice() {
                [Effect::ResendRefund { .. }] => resent.push(due.since(at(10)).as_secs()),
                effects => assert_eq!(effects, [Effect::QueryRefund { refund: reference(10) }]),
            }
            charge = done.next;
            assert_eq!(charge.refunds[0].named_at, Some(at(10)));
            assert_eq!((state(&charge), charge.refunds[0].wire_reference()), (RefundState::InDoubt, name.clone()));
        }
        assert_eq!(!resent.is_empty(), may_resend);
        assert!(resent.iter().all(|second| *second < 3_600), "{resent:?}");
    }
}

#[test]
fn m14_that_a_repeated_request_for_a_refund_is_turned_away_says_nothing_of_the_first() {
    let (charge, _) = refunding();
    let (charge, _) = run(charge, [(11, refund_evidence(doubtful(Doubt::Timeout)))]);
    let repeat = |finding| {
        let source = EvidenceSource::Repeat;
        Event::RefundEvidence { refund: reference(10), id: "r".into(), source, finding }
    };
    for says_nothing in [Finding::NotSent, rejected(Retry::Never), rejected(Retry::SameCarrier)] {
        assert_eq!(state(&run(charge.clone(), [(12, repeat(says_nothing))]).0), RefundState::InDoubt);
    }
    assert_eq!(run(charge, [(12, repeat(charged()))]).0.state, State::Refunded);
}

#[test]
fn m14_a_no_to_a_later_request_for_a_refund_leaves_open_what_came_of_the_first() {
    let (charge, _) = refunding();
    let absent = || refund_evidence(Finding::NotFound { complete: true, asked_at: None });
    let lost = [(11, refund_evidence(doubtful(Doubt::Timeout))), (50, absent()), (90, absent())];
    let (charge, effects) = run(charge, lost);
    assert_eq!(effects, [Effect::Refund { refund: reference(10) }]);
    let (charge, _) = run(charge, [(91, refund_evidence(rejected(Retry::Never)))]);
    assert_eq!(state(&charge), RefundState::InDoubt);
    let queried = |finding| {
        let source = EvidenceSource::Query;
        Event::RefundEvidence { refund: reference(10), id: "q".into(), source, finding }
    };
    assert_eq!(run(charge.clone(), [(95, queried(charged()))]).0.state, State::Refunded);
    assert_eq!(run(charge, [(95, queried(rejected(Retry::Never)))]).0.state, State::RefundOwed);
}

#[test]
fn m14_that_a_refund_was_not_sent_is_believed_late_too_unless_it_was_sent_again() {
    let (charge, _) = run(refunding().0, [(600, Event::Tick)]);
    assert_eq!(state(&charge), RefundState::InDoubt);
    assert_eq!(state(&run(charge, [(601, refund_evidence(Finding::NotSent))]).0), RefundState::Waiting);
}

#[test]
fn m14_a_refund_that_is_proved_absent_is_asked_for_again_under_another_name_and_owed_in_the_end() {
    let (mut charge, _) = refunding();
    let mut names = vec![charge.refunds[0].wire_reference()];
    let mut second = 20;
    let mut hear = |charge: Charge, finding| {
        second += 1_000;
        run(charge, [(second, refund_evidence(finding))])
    };
    for _ in 1..REFUND_TRIES_MAX {
        charge = hear(charge, doubtful(Doubt::Timeout)).0;
        let (unchanged, effects) = hear(charge, Finding::NotFound { complete: false, asked_at: None });
        assert_eq!((unchanged.refunds[0].not_found_at, effects), (None, vec![]));
        let (first, effects) = hear(unchanged, Finding::NotFound { complete: true, asked_at: None });
        assert_eq!(effects, []);
        let (again, effects) = hear(first, Finding::NotFound { complete: true, asked_at: None });
        assert_eq!(effects, [Effect::Refund { refund: reference(10) }]);
        names.push(again.refunds[0].wire_reference());
        charge = again;
    }
    names.dedup();
    assert_eq!(names.len(), usize::from(REFUND_TRIES_MAX));
    charge = hear(charge, doubtful(Doubt::Timeout)).0;
    charge = hear(charge, Finding::NotFound { complete: true, asked_at: None }).0;
    charge = hear(charge, Finding::NotFound { complete: true, asked_at: None }).0;
    assert_eq!((charge.state, state(&charge)), (State::RefundOwed, RefundState::Owed));
}

#[test]
fn m14_a_refund_that_the_carrier_took_is_asked_about_until_it_is_done_or_refused() {
    let (charge, _) = refunding();
    let taken = Finding::Accepted { carrier_id: Some("r7".into()) };
    let (charge, _) = run(charge, [(11, refund_evidence(taken))]);
    assert_eq!((state(&charge), charge.refunds[0].carrier_id.as_deref()), (RefundState::Accepted, Some("r7")));
    let due = charge.due_at().expect("a question");
    assert_eq!(
        step(&charge, Event::Tick, due).expect("a tick").effects,
        [Effect::QueryRefund { refund: reference(10) }]
    );
    let (refused, _) = run(charge.clone(), [(12, refund_evidence(rejected(Retry::Never)))]);
    assert_eq!((refused.state, refused.due_at()), (State::RefundOwed, None));
    let (done, _) = run(charge, [(12, refund_evidence(charged()))]);
    assert_eq!(done.state, State::Refunded);
}

#[test]
fn a_refund_reads_back_from_what_an_older_version_wrote() {
    let (charge, _) = refunding();
    let mut json = serde_json::to_value(&charge.refunds[0]).expect("plain data");
    let object = json.as_object_mut().expect("an object");
    for new in ["tries", "carrier_id", "in_doubt_since", "not_found_at", "pauses", "next_at"] {
        object.remove(new).expect("a key");
    }
    let old: crate::charge::Refund = serde_json::from_value(json).expect("as it was");
    assert_eq!((old.tries, old.next_at), (0, None));
}

fn by_person(finding: Finding) -> Event {
    let source = EvidenceSource::Operator { name: "aigul".into(), because: "the bank's list".into() };
    Event::RefundEvidence { refund: reference(10), id: "op".into(), source, finding }
}

fn pay_out() -> Event {
    Event::PayOut { refund: reference(10), by: "aigul".into(), because: "in cash".into() }
}

fn refund_in_doubt() -> Charge {
    run(refunding().0, [(11, refund_evidence(doubtful(Doubt::Timeout)))]).0
}

fn owed() -> Charge {
    run(refunding().0, [(11, refund_evidence(rejected(Retry::Never)))]).0
}

#[test]
fn m14_a_lost_refund_is_asked_about_as_soon_as_the_carriers_schedule_says() {
    let charge = refund_in_doubt();
    assert_eq!(charge.due_at(), Some(at(21)), "ten seconds, as a charge");
    let done = step(&charge, Event::Tick, at(21)).expect("a tick");
    assert_eq!((done.effects, done.next.due_at()), (vec![Effect::QueryRefund { refund: reference(10) }], Some(at(41))));
}

#[test]
fn m03_a_refund_that_nobody_can_be_asked_about_is_waited_for_and_makes_no_versions() {
    for replays_keys in [false, true] {
        let deaf = Contract { can_refund: true, queries_refunds: false, replays_keys, ..contract() };
        let open =
            Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: deaf, carrier_time: None };
        let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
        let lost = refund_evidence(doubtful(Doubt::Timeout));
        let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask), (11, lost)]);
        let mut looks = 0;
        while let Some(due) = charge.due_at() {
            let done = step(&charge, Event::Tick, due).expect("a tick");
            assert!(done.effects.iter().all(|effect| *effect == Effect::ResendRefund { refund: reference(10) }));
            charge = done.next;
            looks += 1;
            assert!(looks < 20, "{charge:?}");
        }
        assert_eq!((looks > 0, state(&charge)), (replays_keys, RefundState::InDoubt));
        let (same, effects) = run(charge.clone(), [(1_000_000, Event::Tick)]);
        assert_eq!((same.version, effects), (charge.version, vec![]));
        assert_eq!(run(charge, [(1_000_001, by_person(charged()))]).0.state, State::Refunded);
    }
}

#[test]
fn m03_a_refund_in_doubt_is_settled_by_a_person_once() {
    let (done, effects) = run(refund_in_doubt(), [(20, by_person(charged()))]);
    assert_eq!((done.state, state(&done), done.due_at(), effects), (State::Refunded, RefundState::Done, None, vec![]));
    let (not_made, effects) = run(refund_in_doubt(), [(20, by_person(rejected(Retry::Never)))]);
    assert_eq!((not_made.state, state(&not_made)), (State::RefundOwed, RefundState::Owed));
    assert_eq!(effects, [Effect::Tell(Notice::RefundOwed { amount: FARE, unasked: false })]);
    let because = OwedBecause::Resolved { name: "aigul".into(), because: "the bank's list".into() };
    assert_eq!(not_made.refunds[0].owed, Some(because));
    for (charge, refused) in [
        (done.clone(), vec![charged(), rejected(Retry::Never)]),
        (not_made, vec![rejected(Retry::Never)]),
        (refunding().0, vec![charged(), rejected(Retry::Never)]),
        (refund_in_doubt(), vec![doubtful(Doubt::Timeout), Finding::Nothing, accepted()]),
    ] {
        for finding in refused {
            let told = step(&charge, by_person(finding.clone()), at(30));
            assert!(matches!(told, Err(Illegal::RefundNotInDoubt { .. })), "{finding:?}: {told:?}");
        }
    }
    let nobodys = Event::RefundEvidence {
        refund: reference(11),
        id: "op".into(),
        source: EvidenceSource::Query,
        finding: charged(),
    };
    assert_eq!(step(&done, nobodys, at(30)), Err(Illegal::UnknownRefund(reference(11))));
}

#[test]
fn m14_only_what_is_owed_is_paid_out_and_only_once() {
    for charge in [refunding().0, refund_in_doubt()] {
        let told = step(&charge, pay_out(), at(20));
        assert!(matches!(told, Err(Illegal::RefundNotOwed { .. })), "the carrier may still give it back: {told:?}");
    }
    let (paid, effects) = run(owed(), [(20, pay_out())]);
    assert_eq!((paid.state, state(&paid), effects), (State::Refunded, RefundState::PaidOut, vec![]));
    assert_eq!(step(&paid, pay_out(), at(21)), Err(Illegal::RefundNotOwed { state: "paid_out" }));
    for word in [by_person(charged()), by_person(rejected(Retry::Never))] {
        assert!(matches!(step(&paid, word, at(21)), Err(Illegal::RefundNotInDoubt { state: "paid_out" })));
    }
    // A person may also learn that the carrier did it after all.
    assert_eq!(run(owed(), [(20, by_person(charged()))]).0.state, State::Refunded);
}

#[test]
fn m08_what_the_carrier_says_against_a_settled_refund_is_a_break_and_overwrites_nothing() {
    let (paid, _) = run(owed(), [(20, pay_out())]);
    let (still, effects) = run(paid.clone(), [(30, refund_evidence(charged()))]);
    assert_eq!((state(&still), breaks(&effects)), (RefundState::PaidOut, vec![Break::RefundedTwice]));
    let (still, effects) = run(paid, [(30, refund_evidence(rejected(Retry::Never)))]);
    assert_eq!((state(&still), effects), (RefundState::PaidOut, vec![]));
    let (done, _) = run(refund_in_doubt(), [(20, by_person(charged()))]);
    for no in [rejected(Retry::Never), Finding::NotSent, Finding::Cancelled] {
        let (still, effects) = run(done.clone(), [(30, refund_evidence(no))]);
        assert_eq!((state(&still), breaks(&effects)), (RefundState::Done, vec![Break::RefusedAfterRefund]));
    }
    let (not_made, _) = run(refund_in_doubt(), [(20, by_person(rejected(Retry::Never)))]);
    let (made, effects) = run(not_made, [(30, refund_evidence(charged()))]);
    assert_eq!((made.state, breaks(&effects)), (State::Refunded, vec![Break::RefundedAfterRefusal]));
}

#[test]
fn m14_what_is_owed_says_why() {
    let why = |charge: &Charge| charge.refunds[0].owed.clone();
    let refused = OwedBecause::Refused { reason: Reason::InsufficientBalance, detail: "0x450".into() };
    assert_eq!(why(&owed()), Some(refused));
    let (unable, _) = run(sent(), [(2, evidence(1, charged()))]);
    let (unable, effects) = run(unable, [(3, Event::RequestRefund { refund: reference(10), amount: FARE, by: None })]);
    assert_eq!(why(&unable), Some(OwedBecause::NotRefundable));
    assert!(effects.contains(&Effect::Tell(Notice::Refund { amount: FARE, whole: true })), "{effects:?}");
    assert_eq!(why(&refunding().0), None);
}

#[test]
fn m08_another_amount_than_was_asked_back_is_a_break_beside_the_outcome() {
    let other = Finding::Charged { carrier_id: None, amount: Some(Money::kzt(7_999)) };
    let (done, effects) = run(refunding().0, [(11, refund_evidence(other))]);
    assert_eq!((done.state, breaks(&effects)), (State::Refunded, vec![Break::AmountDiffers]));
    let same = Finding::Charged { carrier_id: None, amount: Some(FARE) };
    let (_, effects) = run(refunding().0, [(11, refund_evidence(same))]);
    assert_eq!(breaks(&effects), []);
}

#[test]
fn m13_who_got_everything_back_may_buy_again_at_once() {
    let (_, effects) = refunding();
    assert!(effects.contains(&Effect::ReleaseSlot));
    let able = Contract { can_refund: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: able, carrier_time: None };
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, charged()))]);
    let part = Event::RequestRefund { refund: reference(10), amount: Money::kzt(FARE.minor - 1), by: None };
    let (_, effects) = run(charge, [(10, part)]);
    assert!(!effects.contains(&Effect::ReleaseSlot), "who has a ticket has the slot");
}

#[test]
fn m09_a_refund_that_the_carrier_made_twice_is_a_break() {
    let named = |id: &str| refund_evidence(Finding::Charged { carrier_id: Some(id.into()), amount: None });
    let (charge, _) = refunding();
    let (charge, _) = run(charge, [(11, named("r1"))]);
    let (charge, effects) = run(charge, [(12, named("r1"))]);
    assert_eq!(effects, [], "the same one again");
    let (charge, effects) = run(charge, [(13, named("r2"))]);
    assert_eq!((charge.state, effects), (State::Refunded, vec![Effect::RaiseBreak(Break::RefundedTwice)]));
}

#[test]
fn what_was_free_and_came_too_late_leaves_nothing_to_give_back() {
    let mut free = opened();
    free.order.amount = Money::kzt(0);
    let able = Contract { can_refund: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: able, carrier_time: None };
    let (charge, effects) =
        run(free, [(1, open), (61, evidence(1, Finding::Charged { carrier_id: None, amount: None }))]);
    assert_eq!((charge.state, charge.refunds.len()), (State::Refunded, 0));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Refund { .. } | Effect::IssueTicket)));
}

#[test]
fn m14_refunds_never_exceed_what_was_taken() {
    let (paid, _) = run(sent(), [(2, evidence(1, charged()))]);
    let refund = |n, minor| Event::RequestRefund { refund: reference(n), amount: Money::kzt(minor), by: None };
    let told = |minor, whole| Effect::Tell(Notice::Refund { amount: Money::kzt(minor), whole });
    let other =
        Event::RequestRefund { refund: reference(9), amount: Money::new(100, crate::money::Currency::Usd), by: None };
    assert!(matches!(step(&paid, other, at(3)), Err(Illegal::Money(_))), "another currency");
    let (part, effects) = run(paid, [(3, refund(10, 3_000))]);
    assert_eq!((part.state, part.refunded_amount()), (State::Charged, Money::kzt(3_000)));
    assert_eq!(effects, [told(3_000, false)]);
    assert_eq!(step(&part, refund(11, 5_001), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    assert_eq!(step(&part, refund(11, 0), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    assert_eq!(step(&part, refund(11, -1), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    let (whole, effects) = run(part, [(4, refund(11, 5_000)), (5, refund(11, 5_000))]);
    assert_eq!(whole.state, State::RefundOwed);
    let named = |n| whole.refund(reference(n)).map(|refund| refund.amount);
    assert_eq!([10, 11, 12].map(named), [Some(Money::kzt(3_000)), Some(Money::kzt(5_000)), None]);
    assert_eq!(effects, [Effect::RevokeTicket, Effect::ReleaseSlot, told(5_000, true)]);
    assert!(matches!(step(&whole, refund(12, 1), at(6)), Err(Illegal::NotCharged { .. })));
}

#[test]
fn m14_a_refund_has_a_doubt_of_its_own_that_only_evidence_ends() {
    let able = Contract { can_refund: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: able, carrier_time: None };
    let of = |finding| Event::RefundEvidence {
        refund: reference(10),
        id: String::new(),
        source: EvidenceSource::Response,
        finding,
    };
    let (charge, _) = run(
        opened(),
        [
            (1, open),
            (2, evidence(1, charged())),
            (3, Event::RequestRefund { refund: reference(10), amount: FARE, by: None }),
        ],
    );
    assert_eq!(charge.state, State::Refunding);
    let (charge, _) = run(charge, [(4, of(doubtful(Doubt::Timeout))), (900, Event::Tick)]);
    assert_eq!((charge.state, charge.refunds[0].state), (State::Refunding, RefundState::InDoubt));
    let (refused, _) = run(charge.clone(), [(5, of(rejected(Retry::Never)))]);
    assert_eq!(refused.state, State::RefundOwed);
    let (done, effects) = run(refused, [(6, of(charged()))]);
    assert_eq!((done.state, breaks(&effects)), (State::Refunded, vec![Break::RefundedAfterRefusal]));
    let (still_done, effects) = run(done.clone(), [(7, of(rejected(Retry::Never)))]);
    assert_eq!((still_done.state, breaks(&effects)), (done.state, vec![Break::RefusedAfterRefund]));
}
