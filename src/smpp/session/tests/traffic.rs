//! Messages for us, odd PDUs, and bounds.

use std::time::Duration;

use super::*;
use crate::smpp::{
    framing::Framer,
    session::{Closed, Fault, Unwritten},
    status::CommandStatus,
    wire::{accepted, deliver, pdu},
};

const DELIVER_SM_RESP: u32 = command::DELIVER_SM | command::RESPONSE;

#[test]
fn a_message_is_answered_once_and_only_when_told() {
    let mut scene = Scene::bound();
    scene.write(&[deliver(40, b"a"), deliver(41, b"b")].concat());
    let events = scene.events();
    let [Event::Deliver { delivery: first, .. }, Event::Deliver { delivery: second, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(scene.read().is_empty());
    assert!(scene.session.respond(*second, CommandStatus::OK));
    assert!(!scene.session.respond(*second, CommandStatus::OK));
    assert!(scene.session.respond(*first, CommandStatus::PERMANENT_APP_ERROR));
    let answers = scene.read();
    assert_eq!(
        answers.iter().map(|a| (a.command_id, a.sequence, a.status.0)).collect::<Vec<_>>(),
        [(DELIVER_SM_RESP, 41, 0), (DELIVER_SM_RESP, 40, 0x65)]
    );
}

#[test]
fn a_data_sm_is_a_message_and_is_answered_as_data_sm() {
    let mut scene = Scene::bound();
    let body = b"\0\x01\x0177015554433\0\x03\x002505\0\x04\x00\x00\x04\x24\0\x02hi";
    scene.write(&pdu(command::DATA_SM, 0, 50, body));
    let events = scene.events();
    let [Event::Deliver { delivery, sm, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(sm.message().as_ref(), b"hi");
    assert!(sm.says_receipt());
    scene.session.respond(*delivery, CommandStatus::OK);
    assert_eq!(scene.read()[0].command_id, command::DATA_SM | command::RESPONSE);
}

#[test]
fn two_messages_with_one_number_are_each_answered() {
    let mut scene = Scene::bound();
    scene.write(&[deliver(40, b"a"), deliver(40, b"a")].concat());
    for event in scene.events() {
        let Event::Deliver { delivery, .. } = event else { panic!("{event:?}") };
        assert!(scene.session.respond(delivery, CommandStatus::OK));
    }
    assert_eq!(scene.read().len(), 2);
}

#[test]
fn case_20_an_unknown_command_is_nacked_and_the_session_stays_up() {
    let mut scene = Scene::bound();
    let requests = [0x0000_0ABC, command::SUBMIT_SM, command::BIND_TRANSCEIVER, 0];
    for (sequence, command_id) in (60..).zip(requests) {
        scene.write(&pdu(command_id, 0, sequence, b"whatever"));
        let nack = scene.read().remove(0);
        assert_eq!((nack.command_id, nack.sequence, nack.status.0), (command::GENERIC_NACK, sequence, 3));
        assert_eq!(scene.events(), [Event::Fault(Fault::UnknownCommand { command_id, sequence })]);
    }
    let sequence = scene.send(1);
    scene.write(&accepted(sequence, "a"));
    assert_eq!(scene.outcomes().len(), 1);
}

#[test]
fn case_21_a_nack_is_never_nacked() {
    let mut scene = Scene::bound();
    for sequence in [0, 1, 999, u32::MAX] {
        scene.write(&pdu(command::GENERIC_NACK, 3, sequence, b"with a body"));
    }
    assert!(scene.read().is_empty());
    assert!(scene.session.is_bound());
}

#[test]
fn requests_that_have_no_response_are_tolerated() {
    let mut scene = Scene::bound();
    scene.write(&pdu(command::ALERT_NOTIFICATION, 0, 1, b"\x01\x01777\0\x01\x01777\0"));
    scene.write(&pdu(command::OUTBIND, 0, 2, b"smsc\0secret\0"));
    assert_eq!(scene.events(), []);
    assert!(scene.read().is_empty());
}

#[test]
fn an_unreadable_message_is_refused_and_the_session_goes_on() {
    let mut scene = Scene::bound();
    scene.write(&pdu(command::DELIVER_SM, 0, 9, b"\0\x01"));
    let answer = scene.read().remove(0);
    assert_eq!((answer.command_id, answer.sequence, answer.status.0), (DELIVER_SM_RESP, 9, 2));
    assert!(matches!(scene.events().as_slice(), [Event::Fault(Fault::Unreadable(_)), ..]));
    scene.write(&deliver(10, b"fine"));
    assert!(matches!(scene.events().as_slice(), [Event::Deliver { sequence: 10, .. }]));
}

#[test]
fn case_36_more_messages_than_can_wait_are_put_off_and_none_is_lost() {
    let mut scene = Scene::bound_with(SessionConfig { unanswered_max: 3, ..config() });
    for sequence in 100..110 {
        scene.write(&deliver(sequence, b"x"));
    }
    let events = scene.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Deliver { .. })).count(), 3);
    let put_off = scene.read();
    assert_eq!(put_off.len(), 7);
    assert!(put_off.iter().all(|answer| answer.status == CommandStatus::TEMPORARY_APP_ERROR));
    let Event::Deliver { delivery, .. } = events[0] else { panic!("{events:?}") };
    scene.session.respond(delivery, CommandStatus::OK);
    scene.write(&deliver(110, b"again"));
    assert!(matches!(scene.events().as_slice(), [Event::Deliver { sequence: 110, .. }]));
}

#[test]
fn events_that_nobody_takes_stop_the_reading_and_nothing_is_lost() {
    let mut scene = Scene::bound_with(SessionConfig { events_max: 4, unanswered_max: 1_000, ..config() });
    let flood: Vec<u8> = (0..20_000u32).flat_map(|sequence| deliver(sequence, b"flood")).collect();
    let (mut offered, mut seen) = (0, 0u32);
    while seen < 20_000 {
        let room = scene.session.room();
        assert!(room <= Framer::CAPACITY);
        let chunk = &flood[offered..flood.len().min(offered + room)];
        offered += scene.session.receive(chunk, scene.now);
        let events = scene.events();
        assert!(events.len() <= 4);
        for event in events {
            let Event::Deliver { delivery, sequence, .. } = event else { panic!("{event:?}") };
            assert_eq!(sequence, seen);
            scene.session.respond(delivery, CommandStatus::OK);
            seen += 1;
        }
        scene.read();
        scene.session.proceed(scene.now);
    }
}

#[test]
fn case_33_a_slow_reader_bounds_what_we_buffer() {
    let hour = Duration::from_secs(3_600);
    let patience = SessionConfig { response_timeout: hour, enquire_after: hour, ..config() };
    let limits = SessionConfig { window: 100_000, outgoing_bytes_max: 4_096, ..patience };
    let mut scene = Scene::bound_with(limits);
    let submitted = (0..100_000).take_while(|token| scene.session.submit(message(), *token, scene.now).is_ok()).count();
    assert!(submitted > 10);
    assert_eq!(scene.session.submit(message(), 0, scene.now), Err(Unwritten::OutgoingFull));
    let flood: Vec<u8> = (0..2_000u32).flat_map(|sequence| pdu(command::ENQUIRE_LINK, 0, sequence, b"")).collect();
    let _taken = scene.session.receive(&flood, scene.now);
    assert!(scene.session.outgoing().len() <= 2 * 4_096 + 16);
    assert_eq!(scene.session.room(), 0);

    // One byte at a time is slow, and not stalled.
    for _ in 0..30 {
        scene.pass(Duration::from_secs(5));
        scene.session.written(1, scene.now);
    }
    assert!(!scene.session.is_closed());
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.session.closed(), Some(&Closed::WriteStalled(Duration::from_secs(10))));
    assert_eq!(scene.outcomes().len(), submitted, "each has its outcome");
}

#[test]
fn the_window_is_never_exceeded() {
    let mut scene = Scene::bound();
    let sequences: Vec<u32> = (0..4).map(|token| scene.send(token)).collect();
    assert_eq!(scene.session.submit(message(), 9, scene.now), Err(Unwritten::WindowFull));
    scene.write(&accepted(sequences[2], "x"));
    assert!(scene.session.submit(message(), 9, scene.now).is_ok());
}

#[test]
fn many_requests_leave_in_one_piece() {
    let mut scene = Scene::bound();
    let sequences: Vec<u32> = (0..4).map(|token| scene.submit(token)).collect();
    assert_eq!(scene.read().iter().map(|header| header.sequence).collect::<Vec<_>>(), sequences);
}

#[test]
fn what_cannot_be_encoded_is_refused_and_takes_no_place() {
    let mut scene = Scene::bound();
    let mut too_long = message();
    too_long.validity_period = "260301".into();
    let refused = scene.session.submit(too_long, 1, scene.now).unwrap_err();
    assert!(refused.to_string().contains("validity_period"), "{refused}");
    assert_eq!(scene.session.in_flight(), 0);
    assert!(scene.session.outgoing().is_empty());
}
