//! Refunds as requests of their own.

use super::*;
use crate::charge::{REFUND_TRIES_MAX, RefundState};

/// A charged one whose whole amount is being asked back at second 10.
fn refunding() -> (Charge, Vec<Effect>) {
    let able = Contract { can_refund: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: able };
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, charged()))]);
    run(charge, [(10, Event::RequestRefund { refund: reference(10), amount: FARE })])
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
    assert!(pauses.is_sorted() && pauses[3] > pauses[0], "{pauses:?}");
}

#[test]
fn m05_what_lacks_a_refund_counts_anew_once_it_was_sent_again() {
    let replays = Contract { can_refund: true, replays_keys: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays };
    let ask = Event::RequestRefund { refund: reference(10), amount: FARE };
    let lost = refund_evidence(doubtful(Doubt::Timeout));
    let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask), (11, lost)]);
    for expected in [Effect::QueryRefund { refund: reference(10) }, Effect::ResendRefund { refund: reference(10) }] {
        let due = charge.due_at().expect("a look");
        let done = step(&charge, Event::Tick, due).expect("a tick");
        assert_eq!(done.effects, [expected]);
        let absent = refund_evidence(Finding::NotFound { complete: true });
        // The second answer could prove that the first request did not arrive, and says nothing of the one under way.
        let done = step(&done.next, absent, due).expect("evidence");
        assert_eq!((state(&done.next), done.effects), (RefundState::InDoubt, vec![]));
        charge = done.next;
    }
}

#[test]
fn m04_a_refund_in_doubt_is_sent_again_in_the_same_bytes_only_where_keys_replay_and_only_for_an_hour() {
    let replays = Contract { can_refund: true, replays_keys: true, ..contract() };
    for (contract, may_resend) in [(replays, true), (Contract { replays_keys: false, ..replays }, false)] {
        let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract };
        let ask = Event::RequestRefund { refund: reference(10), amount: FARE };
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
    let absent = || refund_evidence(Finding::NotFound { complete: true });
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
        let (unchanged, effects) = hear(charge, Finding::NotFound { complete: false });
        assert_eq!((unchanged.refunds[0].not_found_at, effects), (None, vec![]));
        let (first, effects) = hear(unchanged, Finding::NotFound { complete: true });
        assert_eq!(effects, []);
        let (again, effects) = hear(first, Finding::NotFound { complete: true });
        assert_eq!(effects, [Effect::Refund { refund: reference(10) }]);
        names.push(again.refunds[0].wire_reference());
        charge = again;
    }
    names.dedup();
    assert_eq!(names.len(), usize::from(REFUND_TRIES_MAX));
    charge = hear(charge, doubtful(Doubt::Timeout)).0;
    charge = hear(charge, Finding::NotFound { complete: true }).0;
    charge = hear(charge, Finding::NotFound { complete: true }).0;
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
