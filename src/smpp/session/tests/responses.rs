//! Which response belongs to which request, and what is left in doubt.

use std::time::Duration;

use super::*;
use crate::smpp::{
    pdu::QuerySm,
    session::{Answer, DoubtCause, Fault, QueryOutcome, Unwritten},
    status::CommandStatus,
    wire::{accepted, pdu},
};

const TIMEOUT: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::Timeout };
const WRONG: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::WrongResponse };

#[test]
fn case_11_responses_out_of_order_find_their_requests() {
    let mut scene = Scene::bound();
    let sequences = [10, 11, 12].map(|token| scene.send(token));
    for (sequence, id) in [(sequences[2], "c"), (sequences[0], "a"), (sequences[1], "b")] {
        scene.write(&accepted(sequence, id));
    }
    let outcomes = scene.outcomes();
    assert_eq!(outcomes, [(12, response(0, Some("c"))), (10, response(0, Some("a"))), (11, response(0, Some("b")))]);
}

#[test]
fn case_12_a_time_out_is_doubt_and_the_late_response_comes_once() {
    let mut scene = Scene::bound();
    let sequence = scene.send(7);
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.outcomes(), [(7, TIMEOUT)]);
    assert_eq!(scene.session.in_flight(), 0, "the place in the window is free again");

    scene.write(&accepted(sequence, "late"));
    let answer = Answer::Response { status: CommandStatus::OK, message_id: Some("late".into()) };
    assert_eq!(scene.events(), [Event::Late { token: 7, answer }]);

    scene.write(&accepted(sequence, "late"));
    assert!(matches!(scene.events().as_slice(), [Event::Fault(Fault::StaleResponse { .. })]));
}

#[test]
fn a_late_nack_is_an_answer_too() {
    let mut scene = Scene::bound();
    let sequence = scene.send(7);
    scene.pass(Duration::from_secs(10));
    scene.events();
    scene.write(&pdu(command::GENERIC_NACK, 8, sequence, b""));
    let answer = Answer::Nack { status: CommandStatus::SYSTEM_ERROR };
    assert_eq!(scene.events(), [Event::Late { token: 7, answer }]);
}

#[test]
fn the_memory_of_late_ones_is_bounded_and_forgets_the_oldest_first() {
    let mut scene = Scene::bound_with(SessionConfig { late_max: 2, ..config() });
    let sequences = [1, 2, 3].map(|token| scene.send(token));
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.outcomes().len(), 3);
    for sequence in sequences {
        scene.write(&accepted(sequence, "x"));
    }
    let events = scene.events();
    assert!(matches!(&events[0], Event::Fault(Fault::StaleResponse { message_id: Some(id), .. }) if id == "x"));
    assert!(matches!(events[1..], [Event::Late { token: 2, .. }, Event::Late { token: 3, .. }]));
}

#[test]
fn case_13_a_response_to_a_number_never_used_changes_nothing() {
    let mut scene = Scene::bound();
    let sequence = scene.send(1);
    for unknown in [sequence + 1, 0, u32::MAX] {
        scene.write(&accepted(unknown, "x"));
        assert!(matches!(scene.events().as_slice(), [Event::Fault(Fault::UnknownSequence { .. })]));
    }
    scene.write(&accepted(sequence, "mine"));
    assert_eq!(scene.outcomes(), [(1, response(0, Some("mine")))]);
}

#[test]
fn a_response_to_a_request_of_which_no_byte_is_written_is_not_believed() {
    let mut scene = Scene::bound();
    let sequence = scene.submit(1);
    scene.write(&accepted(sequence, "ghost"));
    scene.write(&pdu(command::GENERIC_NACK, 8, sequence, b""));
    let events = scene.events();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| matches!(event, Event::Fault(Fault::UnknownSequence { .. }))));
    scene.read();
    scene.write(&accepted(sequence, "real"));
    assert_eq!(scene.outcomes(), [(1, response(0, Some("real")))]);
}

#[test]
fn case_14_ok_without_a_message_id_is_a_response_without_one() {
    for body in [b"".as_slice(), b"\0"] {
        let mut scene = Scene::bound();
        let sequence = scene.send(1);
        scene.write(&resp(command::SUBMIT_SM, 0, sequence, body));
        assert_eq!(scene.outcomes(), [(1, response(0, None))]);
    }
}

#[test]
fn case_15_an_error_response_may_have_a_body_or_none() {
    for body in [b"".as_slice(), b"\0", b"\0\0\0"] {
        let mut scene = Scene::bound();
        let sequence = scene.send(1);
        scene.write(&resp(command::SUBMIT_SM, 0x58, sequence, body));
        assert_eq!(scene.outcomes(), [(1, response(0x58, None))]);
    }
}

#[test]
fn case_16_a_response_of_the_wrong_type_is_doubt_and_the_right_one_may_still_come() {
    let wrong = [
        resp(command::QUERY_SM, 0, 2, b"id\0\0\x02\0"),
        resp(command::ENQUIRE_LINK, 0, 2, b""),
        resp(command::UNBIND, 0, 2, b""),
        resp(command::BIND_TRANSCEIVER, 0, 2, b"smsc\0"),
        resp(command::DELIVER_SM, 0, 2, b"\0"),
        resp(0x0ABC, 0, 2, b""),
    ];
    for wrong in wrong {
        let mut scene = Scene::bound();
        assert_eq!(scene.send(1), 2);
        scene.write(&wrong);
        let events = scene.events();
        assert!(events.iter().any(|event| matches!(event, Event::Fault(Fault::WrongResponse { sequence: 2, .. }))));
        assert!(events.contains(&Event::Outcome { token: 1, sequence: 2, outcome: WRONG }), "{events:?}");
        assert!(scene.session.is_bound(), "the session lives");
        assert!(scene.read().is_empty(), "and a response is never answered");
        scene.write(&accepted(2, "right"));
        assert!(matches!(scene.events().as_slice(), [Event::Late { token: 1, .. }]));
    }
}

#[test]
fn case_17_the_same_response_twice_counts_once() {
    let mut scene = Scene::bound();
    let sequence = scene.send(1);
    scene.write(&[accepted(sequence, "a"), accepted(sequence, "b")].concat());
    let events = scene.events();
    assert!(matches!(&events[0], Event::Outcome { token: 1, .. }));
    assert!(matches!(&events[1], Event::Fault(Fault::StaleResponse { message_id: Some(id), .. }) if id == "b"));
    assert_eq!(events.len(), 2);
}

#[test]
fn a_nack_with_our_number_means_that_it_did_not_happen() {
    let mut scene = Scene::bound();
    let sequence = scene.send(1);
    scene.write(&pdu(command::GENERIC_NACK, 2, sequence, b""));
    assert_eq!(scene.outcomes(), [(1, SubmitOutcome::Nack { status: CommandStatus(2) })]);
    assert!(scene.read().is_empty());
}

#[test]
fn a_nack_with_number_zero_puts_all_that_is_written_in_doubt() {
    let mut scene = Scene::bound();
    let sequences = [scene.send(1), scene.send(2)];
    scene.submit(3);
    scene.write(&pdu(command::GENERIC_NACK, 2, 0, b""));
    let doubt = SubmitOutcome::InDoubt { cause: DoubtCause::NackZero };
    assert_eq!(scene.outcomes(), [(1, doubt.clone()), (2, doubt)]);
    assert_eq!(scene.session.in_flight(), 1, "what is not written cannot be meant");
    scene.write(&accepted(sequences[1], "b"));
    assert!(matches!(scene.events().as_slice(), [Event::Late { token: 2, .. }]));
}

#[test]
fn a_query_is_answered_refused_or_left_unanswered() {
    let mut scene = Scene::bound();
    let query = |scene: &mut Scene| {
        let query = QuerySm { message_id: "id".into(), source: Address::short_code("2505") };
        let sequence = scene.session.query(query, 9, scene.now + Duration::from_secs(3), scene.now).unwrap();
        scene.read();
        sequence
    };
    let answers = [(0, b"id\0\0\x02\0".as_slice()), (0x67, b""), (0, b"id\0\0")];
    let outcomes = answers.map(|(status, body)| {
        let sequence = query(&mut scene);
        scene.write(&resp(command::QUERY_SM, status, sequence, body));
        let queried = |event| match event {
            Event::Queried { token: 9, outcome, .. } => Some(outcome),
            _ => None,
        };
        scene.events().into_iter().find_map(queried).unwrap()
    });
    assert!(matches!(&outcomes[0], QueryOutcome::State(state) if state.message_state == 2));
    assert_eq!(outcomes[1], QueryOutcome::Refused { status: CommandStatus(0x67) });
    assert_eq!(outcomes[2], QueryOutcome::Unanswered { cause: DoubtCause::UnreadableResponse });

    let sequence = query(&mut scene);
    scene.pass(Duration::from_secs(3));
    let timeout = QueryOutcome::Unanswered { cause: DoubtCause::Timeout };
    assert_eq!(scene.events(), [Event::Queried { token: 9, sequence, outcome: timeout }]);
}

#[test]
fn what_waits_to_be_written_until_its_time_is_out_is_taken_back() {
    let mut scene = Scene::bound_with(SessionConfig { dead_after: Duration::from_secs(60), ..config() });
    scene.submit(1);
    scene.submit(2);
    let first = scene.session.outgoing().len() / 2;
    scene.session.written(1, scene.now);
    scene.pass(Duration::from_secs(10));
    let timeout = SubmitOutcome::NotWritten { why: Unwritten::Timeout };
    assert_eq!(scene.outcomes(), [(1, TIMEOUT), (2, timeout)]);
    assert_eq!(scene.session.outgoing().len(), first - 1, "what is begun must be written to its end");
}

#[test]
fn case_34_a_number_in_flight_or_in_doubt_is_skipped_when_the_sequence_wraps() {
    let mut scene = Scene::bound();
    let old = scene.send(1);
    let doubtful = scene.send(2);
    assert_eq!((old, doubtful), (2, 3));
    scene.write(&pdu(command::GENERIC_NACK, 1, doubtful, b""));
    let late = scene.send(3);
    scene.pass(Duration::from_secs(9));
    scene.write(&resp(command::QUERY_SM, 0, late, b"id\0\0\x02\0"));
    scene.events();

    scene.session.in_flight.set_last_sequence(0x7FFF_FFFE);
    assert_eq!(scene.send(4), 0x7FFF_FFFF);
    assert_eq!(scene.send(5), 1);
    assert_eq!(scene.send(6), 3, "2 is in flight");
    scene.write(&accepted(3, "six"));
    assert_eq!(scene.outcomes(), [(6, response(0, Some("six")))]);
    assert_eq!(scene.send(7), 5, "4 is in doubt, and its late answer must find it");
    scene.write(&accepted(late, "three"));
    assert!(matches!(scene.events().as_slice(), [Event::Late { token: 3, .. }]));
    scene.write(&accepted(old, "one"));
    assert_eq!(scene.outcomes(), [(1, response(0, Some("one")))]);
}
