//! The books were put back to an older moment: what was under way is in doubt, and is not sent again.

use super::*;

fn restored(perhaps: bool) -> Event {
    let perhaps = perhaps.then(|| {
        Box::new(PerhapsSent {
            carrier: carrier(),
            wire_reference: "8".into(),
            contract: contract(),
            carrier_ahead_ms: Some(1_500),
        })
    });
    Event::Restored { generation: 2, perhaps }
}

#[test]
fn m03_what_waited_may_have_been_sent_and_is_in_doubt_since_its_deadline_at_the_latest() {
    let (charge, effects) = run(opened(), [(3_600, restored(true))]);
    assert_eq!((charge.state, effects), (State::InDoubt, vec![]));
    let attempt = &charge.attempts[0];
    assert!(attempt.was_lost_sight_of());
    assert_eq!((attempt.number, attempt.opened_at, attempt.in_doubt_since), (1, at(0), Some(at(60))));
    assert_eq!(attempt.carrier_time, Some(at(0).plus(Duration::from_millis(1_500))));
    assert_eq!(attempt.next_query_at, Some(at(3_610)));
    assert!(!charge.wants_attempt());
    assert!(step(&charge, open_attempt(), at(3_601)).is_err());
}

#[test]
fn it_is_said_once_in_a_generation() {
    let (charge, _) = run(opened(), [(10, restored(true))]);
    assert_eq!(step(&charge, restored(true), at(20)).expect("no news").next, charge);
    let again = Event::Restored { generation: 3, perhaps: None };
    let later = step(&charge, again, at(30)).expect("another restore").next;
    assert_eq!((later.restored_in, later.attempts.len()), (Some(3), 1));
}

#[test]
fn what_is_decided_stays_so() {
    for finding in [charged(), rejected(Retry::Never)] {
        let (charge, _) = run(sent(), [(5, evidence(1, finding))]);
        assert_eq!(step(&charge, restored(false), at(10)).expect("nothing to doubt").next, charge);
    }
}

#[test]
fn a_no_that_invites_another_try_ends_nothing_because_others_may_have_followed() {
    let (charge, _) = run(sent(), [(5, restored(false))]);
    for retry in [Retry::SameCarrier, Retry::OtherCarrier] {
        let (still, effects) = run(charge.clone(), [(6, evidence(1, rejected(retry)))]);
        assert_eq!((still.state, effects), (State::InDoubt, vec![]), "{retry:?}");
    }
    let (ended, _) = run(charge, [(6, evidence(1, rejected(Retry::Never)))]);
    assert!(matches!(ended.state, State::Rejected(_)));
}

#[test]
fn m05_absence_counts_from_the_last_moment_at_which_it_can_have_been_sent() {
    let (charge, _) = run(opened(), [(3_600, restored(true))]);
    let lacking = || evidence(1, Finding::NotFound { complete: true, asked_at: None });
    let (charge, _) = run(charge, [(3_601, lacking())]);
    assert_eq!(charge.attempts[0].not_found_at, Some(at(3_601)));
    let (charge, _) = run(charge, [(3_602, lacking())]);
    assert_eq!(charge.state, State::InDoubt, "two lists lie the delay apart");
    let (charge, _) = run(charge, [(3_631, lacking())]);
    assert!(matches!(charge.state, State::Rejected(_)), "{charge:?}");
}

#[test]
fn m04_it_is_never_sent_again_also_where_the_carrier_replays_keys() {
    let contract = Contract { replays_keys: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract, carrier_time: None };
    let ticks = (0..20).map(|n| (6 + n, Event::Tick));
    let (_, effects) = run(opened(), [(1, open), (5, restored(false))].into_iter().chain(ticks));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Resend { .. })), "{effects:?}");
}

#[test]
fn m14_a_refund_under_way_is_in_doubt_and_what_is_owed_is_owed() {
    let contract = Contract { can_refund: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract, carrier_time: None };
    let refund = Event::RequestRefund { refund: reference(20), amount: FARE, by: None };
    let not_sent = Event::RefundEvidence {
        refund: reference(20),
        id: "r".into(),
        source: EvidenceSource::Link,
        finding: Finding::NotSent,
    };
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, charged())), (3, refund), (4, not_sent)]);
    assert_eq!(charge.refunds[0].state, RefundState::Waiting);
    let (charge, effects) = run(charge, [(100, restored(false))]);
    assert_eq!((charge.refunds[0].state, effects), (RefundState::InDoubt, vec![]));
    let (_, effects) = run(charge, [(200, Event::Tick)]);
    assert_eq!(effects, [Effect::QueryRefund { refund: reference(20) }]);

    let (owed, _) = run(sent(), [(100, evidence(1, charged()))]);
    assert_eq!(owed.refunds[0].state, RefundState::Owed);
    assert_eq!(step(&owed, restored(false), at(200)).expect("nothing to doubt").next, owed);
}
