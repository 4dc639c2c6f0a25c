//! The bind, and signs of life.

use std::time::Duration;

use super::*;
use crate::smpp::{
    pdu::{BindMode, DeliverSm},
    session::{Closed, DoubtCause, Fault, Unwritten},
    status::CommandStatus,
    wire::{accepted, deliver, pdu},
};

#[test]
fn case_18_a_bind_response_and_a_message_in_one_segment_and_byte_by_byte() {
    let bytes = [resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0\x02\x10\0\x01\x34"), deliver(5, b"1234")].concat();
    let check = |events: Vec<Event>| {
        let [Event::Bound(bind), Event::Deliver { sequence: 5, sm, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(bind.sc_interface_version, Some(0x34));
        assert_eq!(sm.message().as_ref(), b"1234");
    };
    let mut at_once = Scene::binding(config());
    at_once.write(&bytes);
    check(at_once.events());
    let mut one_by_one = Scene::binding(config());
    bytes.iter().for_each(|byte| one_by_one.write(&[*byte]));
    check(one_by_one.events());
}

#[test]
fn case_25_a_refused_bind_closes_the_session_with_the_status() {
    for refusal in [resp(command::BIND_TRANSCEIVER, 5, 1, b""), pdu(command::GENERIC_NACK, 5, 1, b"")] {
        let mut scene = Scene::binding(config());
        scene.write(&refusal);
        let status = CommandStatus::ALREADY_BOUND;
        let closed = Event::Closed(Closed::BindRefused(status));
        assert_eq!(scene.events(), [Event::BindRefused { status }, closed]);
        assert_eq!(scene.session.submit(message(), 1, scene.now), Err(Unwritten::NotBound));
    }
}

#[test]
fn case_26_a_bind_that_is_never_answered_ends_in_bounded_time() {
    let mut scene = Scene::binding(config());
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.events(), [Event::Closed(Closed::BindTimeout(Duration::from_secs(10)))]);
    assert_eq!(scene.session.deadline(), None);
}

#[test]
fn a_bind_response_with_the_wrong_number_or_mode_is_taken_and_named() {
    let mut scene = Scene::binding(config());
    scene.write(&resp(command::BIND_RECEIVER, 0, 77, b"smsc\0"));
    let events = scene.events();
    assert!(matches!(events.as_slice(), [Event::Fault(Fault::UnexpectedBindResponse { .. }), Event::Bound(_)]));
    scene.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0"));
    assert!(matches!(scene.events().as_slice(), [Event::Fault(Fault::UnexpectedBindResponse { .. })]));
    assert!(scene.session.is_bound());
}

#[test]
fn nothing_is_submitted_before_the_bind_or_on_a_receiver() {
    let mut scene = Scene::binding(config());
    assert_eq!(scene.session.submit(message(), 1, scene.now), Err(Unwritten::NotBound));
    let mut receiver = config();
    receiver.bind.mode = BindMode::Receiver;
    let mut session = Session::new(receiver, scene.now).unwrap();
    assert_eq!(session.submit(message(), 1, scene.now), Err(Unwritten::ReceiverOnly));
}

#[test]
fn case_27_a_half_open_connection_is_found_out_in_bounded_time() {
    let mut scene = Scene::bound();
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.read().first().map(|header| header.command_id), Some(command::ENQUIRE_LINK));
    scene.pass(Duration::from_secs(9));
    assert!(scene.session.is_bound());
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.events(), [Event::Closed(Closed::Dead(Duration::from_secs(40)))]);
}

#[test]
fn case_28_an_enquiry_that_is_ignored_ends_the_session_and_leaves_doubt() {
    let mut scene = Scene::bound_with(SessionConfig { response_timeout: Duration::from_secs(3_600), ..config() });
    scene.send(1);
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.read().len(), 1);
    scene.pass(Duration::from_secs(10));
    let lost = SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost };
    assert_eq!(scene.outcomes(), [(1, lost)]);
    assert_eq!(scene.session.closed(), Some(&Closed::Dead(Duration::from_secs(40))));
}

#[test]
fn case_28_an_enquiry_that_is_nacked_is_a_sign_of_life() {
    let mut scene = Scene::bound();
    for _ in 0..3 {
        scene.pass(Duration::from_secs(30));
        let enquiry = scene.read().remove(0);
        assert_eq!(enquiry.command_id, command::ENQUIRE_LINK);
        scene.write(&pdu(command::GENERIC_NACK, 3, enquiry.sequence, b""));
        assert_eq!(scene.events(), []);
    }
    assert!(scene.session.is_bound());
}

#[test]
fn case_28_an_enquiry_before_the_bind_response_is_answered() {
    let mut scene = Scene::binding(config());
    scene.write(&pdu(command::ENQUIRE_LINK, 0, 900, b""));
    let answer = scene.read().remove(0);
    assert_eq!((answer.command_id, answer.sequence), (command::ENQUIRE_LINK | command::RESPONSE, 900));
    assert_eq!(scene.events(), []);
    scene.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0"));
    assert!(scene.session.is_bound());
}

#[test]
fn case_29_any_inbound_byte_is_a_sign_of_life() {
    let mut scene = Scene::bound();
    let bulk = deliver(5, &[b'x'; 200]);
    scene.pass(Duration::from_secs(30));
    scene.read();
    for byte in &bulk[..100] {
        scene.pass(Duration::from_secs(9));
        scene.write(&[*byte]);
    }
    assert!(scene.session.is_bound(), "no enquire_link_resp, but bytes came in time");
    scene.pass(Duration::from_secs(30));
    scene.read();
    scene.pass(Duration::from_secs(10));
    assert!(matches!(scene.events().as_slice(), [Event::Closed(Closed::Dead(_))]));
}

#[test]
fn silence_proves_nothing_while_nobody_listens() {
    let mut scene = Scene::bound();
    scene.pass(Duration::from_secs(30));
    scene.read();
    for _ in 0..100 {
        scene.pass(Duration::from_secs(5));
        scene.session.not_listening(scene.now);
    }
    assert!(scene.session.is_bound());
    scene.pass(Duration::from_secs(10));
    assert!(scene.session.is_closed());
}

#[test]
fn an_answered_enquiry_is_no_fault_and_the_next_one_follows() {
    let mut scene = Scene::bound();
    for _ in 0..3 {
        scene.pass(Duration::from_secs(30));
        let enquiry = scene.read().remove(0);
        scene.write(&resp(command::ENQUIRE_LINK, 0, enquiry.sequence, b""));
    }
    let sequence = scene.send(1);
    scene.write(&accepted(sequence, "a"));
    assert_eq!(scene.outcomes(), [(1, response(0, Some("a")))]);
}

#[test]
fn a_message_before_the_bind_response_is_taken() {
    let mut scene = Scene::binding(config());
    scene.write(&deliver(3, b"early"));
    let is_early = |sm: &DeliverSm| sm.message().as_ref() == b"early";
    assert!(matches!(scene.events().as_slice(), [Event::Deliver { sm, .. }] if is_early(sm)));
}
