//! What is in doubt stays there until evidence ends it (M3 to M7).

use super::*;

#[test]
fn m03_no_timer_and_no_number_of_queries_ends_a_doubt() {
    let ticks = (1..=2_000).map(|n| (n * 60, Event::Tick));
    let (charge, effects) = run(in_doubt(), ticks);
    assert_eq!(charge.state, State::InDoubt);
    assert!(effects.iter().all(|effect| *effect == Effect::Query { attempt: 1 }), "{effects:?}");
    assert_eq!(charge.in_doubt_since, Some(at(11)));
}

#[test]
fn m03_only_a_charge_in_doubt_can_be_resolved_by_a_person() {
    let resolve = |finding| {
        Event::Evidence(Evidence {
            id: "op".into(),
            attempt: 1,
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's log".into() },
            finding,
        })
    };
    assert_eq!(step(&sent(), resolve(charged()), at(20)), Err(Illegal::NotInDoubt { state: "processing" }));
    let (charge, _) = run(in_doubt(), [(20, resolve(charged()))]);
    assert_eq!(charge.state, State::Charged);
}

#[test]
fn m03_two_people_who_decide_one_doubt_at_once_are_not_both_right() {
    let resolve = |finding| {
        Event::Evidence(Evidence {
            id: "op".into(),
            attempt: 1,
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's log".into() },
            finding,
        })
    };
    let (charge, _) = run(in_doubt(), [(20, resolve(rejected(Retry::Never)))]);
    for finding in [charged(), rejected(Retry::Never), doubtful(Doubt::Timeout)] {
        assert!(matches!(step(&charge, resolve(finding), at(21)), Err(Illegal::NotInDoubt { .. })));
    }
}

#[test]
fn m03_what_nobody_can_be_asked_about_is_waited_for_and_makes_no_versions() {
    let silent = [Contract { queries: None, ..contract() }, Contract { queries_by_carrier_id: true, ..contract() }];
    for contract in silent {
        let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract, carrier_time: None };
        for first in [Finding::Accepted { carrier_id: None }, doubtful(Doubt::Timeout)] {
            let (charge, _) = run(opened(), [(1, open.clone()), (11, evidence(1, first)), (61, Event::Tick)]);
            assert_eq!((charge.state, charge.due_at()), (State::InDoubt, None));
            let (later, effects) = run(charge.clone(), (1..=500).map(|n| (61 + 60 * n, Event::Tick)));
            assert_eq!((later.version, effects), (charge.version, vec![]));
        }
        // With an id there is something to ask by.
        let (charge, _) = run(opened(), [(1, open), (11, evidence(1, accepted()))]);
        assert_eq!(charge.attempts[0].next_query_at.is_some(), contract.queries.is_some());
    }
    let by_id = Contract { queries_by_carrier_id: true, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: by_id, carrier_time: None };
    let lost = evidence(1, doubtful(Doubt::Timeout));
    let (charge, _) = run(opened(), [(1, open), (11, lost), (70, Event::Tick)]);
    let (learned, _) = run(charge, [(80, evidence(1, accepted()))]);
    assert_eq!(learned.due_at(), Some(at(90)), "the id has come, late: it is asked about");
}

#[test]
fn m04_a_doubt_is_queried_with_a_growing_bounded_interval() {
    let charge = in_doubt();
    assert_eq!(charge.due_at(), Some(at(21)));
    let (charge, effects) = run(charge, [(20, Event::Tick), (21, Event::Tick), (22, Event::Tick)]);
    assert_eq!(effects, [Effect::Query { attempt: 1 }]);
    assert_eq!(charge.due_at(), Some(at(41)));
    let (charge, _) = run(charge, [(41, Event::Tick), (81, Event::Tick)]);
    assert_eq!(charge.due_at(), Some(at(81 + 60)));
}

#[test]
fn m05_not_found_counts_only_when_complete_late_enough_and_twice() {
    let not_found = |complete| evidence(1, Finding::NotFound { complete, asked_at: None });
    let (charge, _) =
        run(in_doubt(), [(20, not_found(true)), (45, not_found(false)), (50, not_found(true)), (60, not_found(true))]);
    assert_eq!(charge.state, State::InDoubt, "the second complete answer came too soon after the first that counts");
    let (charge, _) = run(charge, [(80, not_found(true))]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
}

#[test]
fn m06_a_duplicate_answer_is_a_reason_to_ask_and_never_a_no() {
    let (charge, _) = run(sent(), [(2, evidence(1, doubtful(Doubt::Duplicate)))]);
    assert_eq!(charge.state, State::InDoubt);
    let (charge, effects) = run(in_doubt(), [(12, evidence(1, doubtful(Doubt::Duplicate))), (12, Event::Tick)]);
    assert_eq!((charge.state, effects), (State::InDoubt, vec![Effect::Query { attempt: 1 }]));
}

#[test]
fn m07_nothing_else_is_tried_while_in_doubt() {
    assert!(matches!(step(&in_doubt(), open_attempt(), at(12)), Err(Illegal::NotWaiting { state: "in_doubt" })));
}
