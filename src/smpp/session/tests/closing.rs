//! How sessions end, and what becomes of what was in flight.

use std::time::Duration;

use super::*;
use crate::smpp::{
    session::{Closed, DoubtCause, Unwritten},
    status::CommandStatus,
    wire::{accepted, deliver, pdu},
};

const LOST: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost };
const UNBOUND: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::Unbind };

fn not_written(why: Unwritten) -> SubmitOutcome {
    SubmitOutcome::NotWritten { why }
}

#[test]
fn case_19_an_impossible_length_ends_the_session_and_names_the_length() {
    for length in [0u32, 15, 2 << 30] {
        let mut scene = Scene::bound();
        scene.send(1);
        scene.write(&[length.to_be_bytes().as_slice(), &[0; 12]].concat());
        let events = scene.events();
        assert!(matches!(&events[0], Event::Outcome { token: 1, outcome, .. } if *outcome == LOST));
        assert!(matches!(&events[1], Event::Closed(Closed::Framing(error)) if error.command_length == length));
        let nack = scene.read().remove(0);
        assert_eq!((nack.command_id, nack.status.0, nack.sequence), (command::GENERIC_NACK, 2, 0));
    }
}

#[test]
fn case_30_an_unbind_in_the_window_is_answered_and_the_unanswered_is_in_doubt() {
    let mut scene = Scene::bound();
    let (first, _second) = (scene.send(1), scene.send(2));
    scene.submit(3);
    scene.write(&pdu(command::UNBIND, 0, 70, b""));
    assert_eq!(scene.outcomes(), [(3, not_written(Unwritten::Unbind))], "it is taken back");
    let answer = scene.read();
    assert_eq!(answer.len(), 1, "and never written");
    assert_eq!((answer[0].command_id, answer[0].sequence), (command::UNBIND | command::RESPONSE, 70));
    assert_eq!(scene.session.submit(message(), 4, scene.now), Err(Unwritten::NotBound));

    scene.write(&accepted(first, "drained"));
    assert_eq!(scene.outcomes(), [(1, response(0, Some("drained")))]);
    scene.pass(Duration::from_secs(1));
    let events = scene.events();
    assert!(matches!(&events[0], Event::Outcome { token: 2, outcome, .. } if *outcome == UNBOUND));
    assert_eq!(events[1], Event::Closed(Closed::UnboundByPeer));
}

#[test]
fn case_30_the_peer_may_close_right_after_its_unbind() {
    let mut scene = Scene::bound();
    scene.send(1);
    scene.write(&pdu(command::UNBIND, 0, 70, b""));
    scene.session.link_lost("end of stream", scene.now);
    let events = scene.events();
    assert!(matches!(&events[0], Event::Outcome { token: 1, outcome, .. } if *outcome == UNBOUND));
    assert_eq!(events[1], Event::Closed(Closed::UnboundByPeer));
}

#[test]
fn case_31_a_reset_leaves_the_written_in_doubt_and_the_rest_not_written() {
    let mut scene = Scene::bound();
    scene.send(1);
    scene.submit(2);
    scene.submit(3);
    scene.session.written(1, scene.now);
    scene.session.link_lost("connection reset", scene.now);
    let outcomes = scene.outcomes();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.contains(&(1, LOST)));
    assert!(outcomes.contains(&(2, LOST)), "one byte may be enough");
    assert!(outcomes.contains(&(3, not_written(Unwritten::LinkLost))));
    assert!(scene.session.outgoing().is_empty());
}

#[test]
fn what_came_before_the_end_of_the_connection_counts() {
    let mut scene = Scene::bound_with(SessionConfig { events_max: 1, ..config() });
    let sequences = [1, 2, 3].map(|token| scene.send(token));
    let bytes: Vec<u8> = sequences.iter().flat_map(|sequence| accepted(*sequence, "x")).collect();
    scene.write(&bytes);
    scene.session.link_lost("end of stream", scene.now);
    let outcomes = scene.outcomes();
    assert_eq!(outcomes, [1, 2, 3].map(|token| (token, response(0, Some("x")))));
}

#[test]
fn case_32_an_over_long_field_answered_by_unbind_leaves_doubt() {
    let mut scene = Scene::bound();
    scene.send(1);
    scene.write(&pdu(command::UNBIND, 0, 1, b""));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.outcomes(), [(1, UNBOUND)]);
    assert!(scene.session.is_closed());
}

#[test]
fn our_unbind_drains_the_window_first() {
    let mut scene = Scene::bound();
    let sequence = scene.send(1);
    scene.write(&deliver(9, b"mo"));
    let Some(Event::Deliver { delivery, .. }) = scene.session.poll_event() else { panic!("no message") };
    scene.session.unbind(scene.now);
    assert!(scene.read().is_empty(), "a request and a message are unanswered");
    assert_eq!(scene.session.submit(message(), 2, scene.now), Err(Unwritten::NotBound));
    scene.write(&accepted(sequence, "a"));
    assert!(scene.read().is_empty(), "a message is unanswered");
    scene.session.respond(delivery, CommandStatus::OK);
    let last = scene.read();
    assert_eq!(last.last().map(|header| header.command_id), Some(command::UNBIND));
    scene.write(&resp(command::UNBIND, 0, last[1].sequence, b""));
    let events = scene.events();
    assert_eq!(events.last(), Some(&Event::Closed(Closed::UnboundByUs)));
    assert!(matches!(&events[0], Event::Outcome { token: 1, .. }));
}

#[test]
fn our_unbind_ends_in_bounded_time_whatever_the_peer_does() {
    let mut scene = Scene::bound_with(SessionConfig { unbind_timeout: Duration::from_secs(2), ..config() });
    scene.send(1);
    scene.submit(2);
    scene.session.unbind(scene.now);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.read().last().map(|header| header.command_id), Some(command::UNBIND));
    assert_eq!(scene.outcomes(), [(2, not_written(Unwritten::Unbind))]);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.outcomes(), [(1, UNBOUND)]);
    assert_eq!(scene.session.closed(), Some(&Closed::UnboundByUs));
}

#[test]
fn a_message_after_our_unbind_is_put_off() {
    let mut scene = Scene::bound();
    scene.session.unbind(scene.now);
    scene.read();
    scene.write(&deliver(5, b"too late"));
    assert_eq!(scene.read()[0].status, CommandStatus::TEMPORARY_APP_ERROR);
}

#[test]
fn nothing_counts_after_the_end() {
    let mut scene = Scene::bound();
    let sequence = scene.send(1);
    scene.session.link_lost("reset", scene.now);
    scene.events();
    scene.write(&accepted(sequence, "a"));
    scene.session.tick(scene.now + Duration::from_secs(100));
    scene.session.unbind(scene.now);
    scene.session.link_lost("again", scene.now);
    assert_eq!(scene.events(), []);
}
