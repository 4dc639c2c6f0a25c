//! Links that go down, and what becomes of what they carried.

use super::*;
use crate::smpp::{
    session::{Closed, DoubtCause, Unwritten},
    wire::{accepted, pdu},
};

const LOST: SubmitOutcome = SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost };

async fn down(events: &mut mpsc::Receiver<PoolEvent>) -> (DownWhy, Duration) {
    match next(events).await {
        PoolEvent::Down { why, retry_in, .. } => (why, retry_in),
        other => panic!("not down: {other:?}"),
    }
}

#[tokio::test]
async fn case_25_refused_then_already_bound_then_accepted() {
    let smsc = Smsc::listen().await;
    let (_link, mut events) = open(smsc.config()).unwrap();
    smsc.accept().await.write(&resp(command::BIND_TRANSCEIVER, 0x0D, 1, b"")).await;
    let (why, retry_in) = down(&mut events).await;
    assert_eq!(why, DownWhy::Session(Closed::BindRefused(CommandStatus(0x0D))));
    assert!(retry_in <= Duration::from_millis(20));

    smsc.accept().await.write(&resp(command::BIND_TRANSCEIVER, 0x05, 1, b"")).await;
    let (why, retry_in) = down(&mut events).await;
    assert_eq!(why, DownWhy::Session(Closed::BindRefused(CommandStatus::ALREADY_BOUND)));
    assert_eq!(retry_in, Duration::from_millis(400));
    let refused_at = Instant::now();
    let _peer = smsc.accept_and_bind().await;
    assert!(refused_at.elapsed() >= Duration::from_millis(350), "the SMSC's timer is waited out");
    assert!(matches!(next(&mut events).await, PoolEvent::Up { .. }));
}

#[tokio::test]
async fn case_26_a_bind_that_is_never_answered_is_given_up_and_tried_again() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.bind_timeout = Duration::from_millis(50);
    let (_link, mut events) = open(config).unwrap();
    let _silent = smsc.accept().await;
    assert_eq!(down(&mut events).await.0, DownWhy::Session(Closed::BindTimeout(Duration::from_millis(50))));
    let _again = smsc.accept().await;
}

#[tokio::test]
async fn case_27_a_peer_that_says_nothing_any_more_is_given_up() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.enquire_after = Duration::from_millis(50);
    config.session.dead_after = Duration::from_millis(50);
    let (link, mut events, mut peer) = up(&smsc, config).await;
    let submission = slot(&link).await.submit(message(), 1);
    peer.read_submit().await;
    assert_eq!(peer.read().await.0.command_id, command::ENQUIRE_LINK);
    assert_eq!(outcome(submission).await, LOST);
    assert!(matches!(down(&mut events).await.0, DownWhy::Session(Closed::Dead(_))));
}

#[tokio::test]
async fn case_31_a_reset_after_the_write_is_doubt_and_while_down_nothing_is_written() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.reconnect = Reconnect { first: PATIENCE, longest: PATIENCE, already_bound: PATIENCE };
    let (link, mut events, mut peer) = up(&smsc, config).await;
    let submission = slot(&link).await.submit(message(), 1);
    let kept = slot(&link).await;
    peer.read_submit().await;
    peer.reset();
    assert_eq!(outcome(submission).await, LOST);
    let (why, _) = down(&mut events).await;
    assert!(matches!(why, DownWhy::Session(Closed::LinkLost(_))), "{why}");
    assert!(link.try_reserve().is_none());
    let not_bound = SubmitOutcome::NotWritten { why: Unwritten::NotBound };
    assert_eq!(outcome(kept.submit(message(), 2)).await, not_bound);
    timeout(PATIENCE, link.unbind()).await.expect("a wait is cut short");
}

#[tokio::test]
async fn a_slot_from_before_a_reconnect_uses_the_new_session() {
    let smsc = Smsc::listen().await;
    let (link, mut events, peer) = up(&smsc, smsc.config()).await;
    let kept = slot(&link).await;
    drop(peer);
    down(&mut events).await;
    let mut peer = smsc.accept_and_bind().await;
    assert!(matches!(next(&mut events).await, PoolEvent::Up { .. }));
    let submission = kept.submit(message(), 1);
    let sequence = peer.read_submit().await;
    peer.write(&accepted(sequence, "new")).await;
    assert_eq!(outcome(submission).await, accepted_as("new"));
}

#[tokio::test]
async fn a_reservation_waits_for_the_link_to_come_up() {
    let smsc = Smsc::listen().await;
    let (link, _events) = open(smsc.config()).unwrap();
    let reserved = link.reserve(Lane::Normal, Instant::now() + Duration::from_millis(20)).await;
    assert_eq!(reserved.unwrap_err(), ReserveError::Deadline);
    let (reserved, _peer) = tokio::join!(link.reserve(Lane::Normal, soon()), smsc.accept_and_bind());
    assert!(reserved.is_ok());
}

#[tokio::test]
async fn what_the_peer_said_before_it_closed_counts() {
    let smsc = Smsc::listen().await;
    let (link, _events, mut peer) = up(&smsc, smsc.config()).await;
    let submission = slot(&link).await.submit(message(), 1);
    let sequence = peer.read_submit().await;
    peer.write(&accepted(sequence, "last words")).await;
    drop(peer);
    assert_eq!(outcome(submission).await, accepted_as("last words"));
}

#[tokio::test]
async fn case_30_an_unbind_of_the_peer_is_answered_and_followed_by_a_reconnect() {
    let smsc = Smsc::listen().await;
    let (link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    let submission = slot(&link).await.submit(message(), 1);
    peer.read_submit().await;
    peer.write(&pdu(command::UNBIND, 0, 90, b"")).await;
    let (answer, _) = peer.read().await;
    assert_eq!((answer.command_id, answer.sequence), (command::UNBIND | command::RESPONSE, 90));
    assert_eq!(outcome(submission).await, SubmitOutcome::InDoubt { cause: DoubtCause::Unbind });
    assert_eq!(down(&mut events).await.0, DownWhy::Session(Closed::UnboundByPeer));
    smsc.accept_and_bind().await;
}

#[tokio::test]
async fn case_19_a_stream_that_cannot_be_followed_is_left() {
    let smsc = Smsc::listen().await;
    let (_link, mut events, mut peer) = up(&smsc, smsc.config()).await;
    peer.write(&[0xFF; 16]).await;
    let (why, _) = down(&mut events).await;
    assert!(why.to_string().contains("4294967295"), "{why}");
}

#[tokio::test]
async fn case_33_a_peer_that_never_reads_is_left_and_the_unwritten_did_not_happen() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.window = 1_000;
    config.session.dead_after = Duration::from_millis(200);
    config.session.response_timeout = PATIENCE;
    let (link, mut events, _peer) = up(&smsc, config).await;
    let mut submissions = Vec::new();
    while let Ok(slot) = link.reserve(Lane::Normal, Instant::now() + Duration::from_millis(100)).await {
        let large = message().with_message_payload(vec![b'x'; 60_000]);
        submissions.push(slot.submit(large, u64::try_from(submissions.len()).unwrap()));
        tokio::task::yield_now().await;
        assert!(submissions.len() < 1_000, "memory is bounded by the outgoing limit, not by the window");
    }
    assert_eq!(down(&mut events).await.0, DownWhy::Session(Closed::WriteStalled(Duration::from_millis(200))));
    let mut unwritten = 0;
    for submission in submissions {
        match outcome(submission).await {
            SubmitOutcome::NotWritten { .. } => unwritten += 1,
            other => assert_eq!(other, LOST),
        }
    }
    assert!(unwritten > 0);
}
