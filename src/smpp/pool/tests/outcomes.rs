//! Places, outcomes, messages, and events that nobody takes.

use super::*;
use crate::smpp::{
    pdu::QuerySm,
    session::{Answer, DoubtCause, QueryOutcome, Unwritten},
    wire::{accepted, deliver},
};

#[tokio::test]
async fn a_slot_is_taken_until_the_outcome_is_known() {
    let smsc = Smsc::listen().await;
    let (link, _events, mut peer) = up(&smsc, smsc.config()).await;
    let mut submissions = Vec::new();
    for token in 0..4 {
        submissions.push(slot(&link).await.submit(message(), token));
    }
    assert!(link.try_reserve().is_none());
    let mut sequences = Vec::new();
    for _ in 0..4 {
        sequences.push(peer.read_submit().await);
    }
    peer.write(&accepted(sequences[3], "d")).await;
    assert_eq!(outcome(submissions.remove(3)).await, accepted_as("d"));
    let free = slot(&link).await;
    assert!(link.try_reserve().is_none());
    drop(free);
    assert!(link.try_reserve().is_some());
}

#[tokio::test]
async fn a_throttled_message_does_not_hold_the_others() {
    let smsc = Smsc::listen().await;
    let (link, _events, mut peer) = up(&smsc, smsc.config()).await;
    let throttled = slot(&link).await.submit(message(), 1);
    let other = slot(&link).await.submit(message(), 2);
    let (first, second) = (peer.read_submit().await, peer.read_submit().await);
    peer.write(&[resp(command::SUBMIT_SM, 0x58, first, b""), accepted(second, "b")].concat()).await;
    let refused = SubmitOutcome::Response { status: CommandStatus::THROTTLED, message_id: None };
    assert_eq!(outcome(throttled).await, refused);
    assert_eq!(outcome(other).await, accepted_as("b"));
}

#[tokio::test]
async fn a_dropped_submission_comes_as_an_orphan_before_and_after_its_response() {
    let smsc = Smsc::listen().await;
    let (link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    drop(slot(&link).await.submit(message(), 1));
    let sequence = peer.read_submit().await;
    peer.write(&accepted(sequence, "a")).await;
    let event = next(&mut events).await;
    assert!(matches!(&event, PoolEvent::Orphan { token: 1, outcome } if *outcome == accepted_as("a")), "{event:?}");

    let submission = slot(&link).await.submit(message(), 2);
    let sequence = peer.read_submit().await;
    peer.write(&accepted(sequence, "b")).await;
    // All four places are free again only once the outcome has been given.
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(slot(&link).await);
    }
    drop(submission);
    let event = next(&mut events).await;
    assert!(matches!(&event, PoolEvent::Orphan { token: 2, outcome } if *outcome == accepted_as("b")), "{event:?}");
}

#[tokio::test]
async fn case_12_a_late_response_comes_as_an_event() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.response_timeout = Duration::from_millis(50);
    let (link, mut events, mut peer) = up(&smsc, config).await;
    let submission = slot(&link).await.submit(message(), 7);
    let sequence = peer.read_submit().await;
    assert_eq!(outcome(submission).await, SubmitOutcome::InDoubt { cause: DoubtCause::Timeout });
    peer.write(&accepted(sequence, "late")).await;
    let event = next(&mut events).await;
    let is_late = |answer: &Answer| matches!(answer, Answer::Response { message_id: Some(id), .. } if id == "late");
    assert!(matches!(&event, PoolEvent::Late { token: 7, answer } if is_late(answer)), "{event:?}");
}

#[tokio::test]
async fn a_query_is_answered_or_left_unanswered_at_its_deadline() {
    let smsc = Smsc::listen().await;
    let (link, _events, mut peer) = up(&smsc, smsc.config()).await;
    let query = QuerySm { message_id: "id".into(), source: Address::short_code("2505") };
    let (answer, ()) = tokio::join!(link.query(query.clone(), soon()), async {
        let (header, body) = peer.read().await;
        assert_eq!((header.command_id, &body[..3]), (command::QUERY_SM, b"id\0".as_slice()));
        peer.write(&resp(command::QUERY_SM, 0, header.sequence, b"id\0\0\x05\x07")).await;
    });
    assert!(matches!(answer, QueryOutcome::State(state) if (state.message_state, state.error_code) == (5, 7)));
    let answer = link.query(query, Instant::now() + Duration::from_millis(50)).await;
    assert_eq!(answer, QueryOutcome::Unanswered { cause: DoubtCause::Timeout });
}

#[tokio::test]
async fn a_message_is_answered_as_told_and_put_off_if_nobody_does() {
    let smsc = Smsc::listen().await;
    let (_link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    peer.write(&[deliver(70, b"1234"), deliver(71, b"5678")].concat()).await;
    let PoolEvent::Deliver { sm, responder } = next(&mut events).await else { panic!("no message") };
    assert_eq!(sm.message().as_ref(), b"1234");
    responder.answer(CommandStatus::OK);
    let (answer, _) = peer.read().await;
    assert_eq!((answer.command_id, answer.sequence, answer.status.0), (0x8000_0005, 70, 0));
    drop(next(&mut events).await);
    let (answer, _) = peer.read().await;
    assert_eq!((answer.sequence, answer.status), (71, CommandStatus::TEMPORARY_APP_ERROR));
}

#[tokio::test]
async fn case_36_a_slow_owner_stops_the_reading_while_timers_go_on_and_no_message_is_lost() {
    const MESSAGES: u32 = 30_000;
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.response_timeout = Duration::from_millis(100);
    config.session.unanswered_max = 1_000_000;
    config.session.events_max = 16;
    let (link, mut events, peer) = up(&smsc, config).await;
    let (mut from_link, mut to_link) = peer.stream.into_split();
    let reserved = slot(&link).await;
    let flood = tokio::spawn(async move {
        for sequence in 0..MESSAGES {
            to_link.write_all(&deliver(sequence, &[b'x'; 200])).await.unwrap();
        }
        to_link
    });
    let drain = tokio::spawn(async move { tokio::io::copy(&mut from_link, &mut tokio::io::sink()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(link.try_reserve().is_none(), "no places are given while events pile up");
    let submission = reserved.submit(message(), 1);
    assert_eq!(outcome(submission).await, SubmitOutcome::InDoubt { cause: DoubtCause::Timeout });
    assert!(!flood.is_finished(), "the peer is held back by its own socket");

    for _ in 0..MESSAGES {
        let PoolEvent::Deliver { responder, .. } = next(&mut events).await else { panic!("not a message") };
        responder.answer(CommandStatus::OK);
    }
    drop(flood.await.unwrap());
    assert!(matches!(next(&mut events).await, PoolEvent::Down { .. }), "only now is the end of the stream seen");
    drop(link);
    drain.abort();
}

#[tokio::test]
async fn a_paused_link_gives_no_places_and_keeps_its_bind() {
    let smsc = Smsc::listen().await;
    let (link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    let before = slot(&link).await;
    link.pause();
    assert!(link.standing().paused && !link.standing().sends());
    assert!(link.try_reserve().is_none());
    peer.write(&deliver(1, b"still")).await;
    assert!(matches!(next(&mut events).await, PoolEvent::Deliver { .. }));
    let submission = before.submit(message(), 1);
    let answer = peer.read().await;
    let sequence = if answer.0.command_id == command::SUBMIT_SM { answer.0.sequence } else { peer.read_submit().await };
    peer.write(&accepted(sequence, "a")).await;
    assert_eq!(outcome(submission).await, accepted_as("a"), "a place given is good");
    link.resume();
    assert!(link.reserve(Lane::Normal, soon()).await.is_ok());
}

#[tokio::test]
async fn unbinding_drains_and_then_everything_says_ended() {
    let smsc = Smsc::listen().await;
    let (link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    let submission = slot(&link).await.submit(message(), 1);
    let kept = slot(&link).await;
    let sequence = peer.read_submit().await;
    let ending = tokio::spawn({
        let link = link.clone();
        async move { link.unbind().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.write(&accepted(sequence, "drained")).await;
    let (unbind, _) = peer.read().await;
    assert_eq!(unbind.command_id, command::UNBIND);
    peer.write(&resp(command::UNBIND, 0, unbind.sequence, b"")).await;
    timeout(PATIENCE, ending).await.unwrap().unwrap();
    assert_eq!(outcome(submission).await, accepted_as("drained"));
    assert!(link.links().all(|(_, state)| *state.borrow() == LinkState::Ended));
    assert_eq!(link.reserve(Lane::Priority, soon()).await.unwrap_err(), ReserveError::Ended);
    let not_bound = SubmitOutcome::NotWritten { why: Unwritten::NotBound };
    assert_eq!(outcome(kept.submit(message(), 2)).await, not_bound);
    assert!(timeout(PATIENCE, events.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_that_is_not_wanted_drains_and_rests_until_it_is_wanted_again() {
    let smsc = Smsc::listen().await;
    let (link, _events, mut peer) = up(&smsc, smsc.config()).await;
    let submission = slot(&link).await.submit(message(), 1);
    let sequence = peer.read_submit().await;
    link.set_wanted(|_| false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.write(&accepted(sequence, "drained")).await;
    let (unbind, _) = peer.read().await;
    assert_eq!(unbind.command_id, command::UNBIND);
    peer.write(&resp(command::UNBIND, 0, unbind.sequence, b"")).await;
    assert_eq!(outcome(submission).await, accepted_as("drained"));
    let (_, mut state) = link.links().next().unwrap();
    timeout(PATIENCE, state.wait_for(|state| *state == LinkState::Resting)).await.unwrap().unwrap();
    assert!(link.try_reserve().is_none(), "nothing goes out over it");
    link.set_wanted(|_| true);
    let _peer = smsc.accept_and_bind().await;
    timeout(PATIENCE, state.wait_for(|state| *state == LinkState::Up)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_link_without_handles_unbinds() {
    let smsc = Smsc::listen().await;
    let (link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    drop(link);
    assert_eq!(peer.read().await.0.command_id, command::UNBIND);
    drop(peer);
    assert!(timeout(PATIENCE, events.recv()).await.unwrap().is_none());
}
