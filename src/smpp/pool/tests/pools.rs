//! Several links, several addresses, and TLS.

use super::*;
use crate::smpp::{
    pdu::{BindMode, QuerySm},
    session::{Closed, DoubtCause, QueryOutcome},
    wire::{accepted, deliver},
};

fn named(config: LinkConfig, name: &str, mode: BindMode) -> LinkConfig {
    let bind = Bind { mode, ..config.session.bind };
    LinkConfig { session: SessionConfig { name: name.into(), bind, ..config.session }, ..config }
}

/// The next connection, bound as it asks; with the command that it bound by.
async fn accept_any(smsc: &Smsc) -> (Peer, u32) {
    let (stream, _) = timeout(PATIENCE, smsc.listener.accept()).await.unwrap().unwrap();
    let mut peer = Peer { stream };
    let (bind, _) = peer.read().await;
    peer.write(&resp(bind.command_id, 0, bind.sequence, b"smsc\0")).await;
    (peer, bind.command_id)
}

async fn all_up(events: &mut mpsc::Receiver<PoolEvent>, links: usize) {
    for _ in 0..links {
        assert!(matches!(next(events).await, PoolEvent::Up { .. }));
    }
}

#[tokio::test]
async fn case_07_a_receipt_comes_on_another_bind_than_the_submission() {
    let smsc = Smsc::listen().await;
    let links =
        vec![named(smsc.config(), "out", BindMode::Transmitter), named(smsc.config(), "in", BindMode::Receiver)];
    let (pool, mut events) = Pool::open(PoolConfig::new(links, 1_000)).unwrap();
    let mut peers = vec![accept_any(&smsc).await, accept_any(&smsc).await];
    peers.sort_by_key(|(_, command)| *command);
    let (mut receiver, mut transmitter) = (peers.remove(0).0, peers.remove(0).0);
    all_up(&mut events, 2).await;

    let submission = slot(&pool).await.submit(message(), 1);
    let sequence = transmitter.read_submit().await;
    transmitter.write(&accepted(sequence, "a")).await;
    assert_eq!(outcome(submission).await, accepted_as("a"));
    receiver.write(&deliver(1, b"id:a stat:DELIVRD")).await;
    let PoolEvent::Deliver { responder, .. } = next(&mut events).await else { panic!("no receipt") };
    responder.answer(CommandStatus::OK);
    assert_eq!(receiver.read().await.0.command_id, command::DELIVER_SM | command::RESPONSE);
}

#[tokio::test]
async fn while_one_link_is_down_the_other_carries_on_and_only_its_own_messages_are_in_doubt() {
    let smsc = Smsc::listen().await;
    let patient = Reconnect { first: PATIENCE, longest: PATIENCE, already_bound: PATIENCE };
    let link = |name| named(LinkConfig { reconnect: patient, ..smsc.config() }, name, BindMode::Transceiver);
    let (pool, mut events) = Pool::open(PoolConfig::new(vec![link("a"), link("b")], 1_000)).unwrap();
    let (mut first, mut second) = (accept_any(&smsc).await.0, accept_any(&smsc).await.0);
    all_up(&mut events, 2).await;
    let submissions = [slot(&pool).await.submit(message(), 1), slot(&pool).await.submit(message(), 2)];
    let _on_first = first.read_submit().await;
    let on_second = second.read_submit().await;
    first.reset();
    assert!(matches!(next(&mut events).await, PoolEvent::Down { .. }));
    second.write(&accepted(on_second, "b")).await;
    let [one, two] = submissions;
    let mut outcomes = [outcome(one).await, outcome(two).await];
    outcomes.sort_by_key(|outcome| matches!(outcome, SubmitOutcome::InDoubt { .. }));
    assert_eq!(outcomes, [accepted_as("b"), SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost }]);
    for token in 3..10 {
        let submission = slot(&pool).await.submit(message(), token);
        let sequence = second.read_submit().await;
        second.write(&accepted(sequence, "c")).await;
        assert_eq!(outcome(submission).await, accepted_as("c"));
    }
    assert_eq!(pool.standing().links_open, 1);
}

#[tokio::test]
async fn after_a_failure_the_other_address_is_tried_in_turn() {
    let (shut, open_one) = (Smsc::listen().await, Smsc::listen().await);
    let endpoints = vec![shut.endpoint(), open_one.endpoint()];
    drop(shut);
    let (_pool, mut events) = open(LinkConfig { endpoints: endpoints.clone(), ..open_one.config() }).unwrap();
    let peer = open_one.accept_and_bind().await;
    let PoolEvent::Down { endpoint, why: DownWhy::Connect(_), .. } = next(&mut events).await else {
        panic!("not down")
    };
    assert_eq!(endpoint, endpoints[0]);
    assert!(matches!(next(&mut events).await, PoolEvent::Up { endpoint, .. } if endpoint == endpoints[1]));
    drop(peer);
    assert!(matches!(next(&mut events).await, PoolEvent::Down { endpoint, .. } if endpoint == endpoints[1]));
    assert!(matches!(next(&mut events).await, PoolEvent::Down { endpoint, .. } if endpoint == endpoints[0]));
    let _again = open_one.accept_and_bind().await;
}

#[tokio::test]
async fn other_credentials_are_used_from_the_next_bind_on() {
    let smsc = Smsc::listen().await;
    let (pool, mut events, mut peer) = up(&smsc, smsc.config()).await;
    let bind = Bind { system_id: "other".into(), ..smsc.config().session.bind };
    pool.set_bind("test", bind.clone()).unwrap();
    assert!(pool.set_bind("test", Bind { system_id: "far too long for it".into(), ..bind }).is_err());
    peer.write(&deliver(1, b"still bound")).await;
    assert!(matches!(next(&mut events).await, PoolEvent::Deliver { .. }));
    drop(peer);
    let (stream, _) = timeout(PATIENCE, smsc.listener.accept()).await.unwrap().unwrap();
    let (_, body) = Peer { stream }.read().await;
    assert!(body.starts_with(b"other\0"), "{body:?}");
}

#[tokio::test]
async fn a_congested_smsc_is_sent_less() {
    let smsc = Smsc::listen().await;
    let (pool, _events, mut peer) = up(&smsc, smsc.config()).await;
    let submission = slot(&pool).await.submit(message(), 1);
    let sequence = peer.read_submit().await;
    peer.write(&resp(command::SUBMIT_SM, 0, sequence, b"id\0\x04\x28\0\x01\x64")).await;
    assert_eq!(outcome(submission).await, accepted_as("id"));
    assert!(pool.standing().throttled);
}

#[tokio::test]
async fn an_smsc_of_an_older_version_than_the_contract_needs_is_left() {
    let smsc = Smsc::listen().await;
    let mut config = smsc.config();
    config.session.version_min = Some(0x50);
    let (_pool, mut events) = open(config).unwrap();
    let mut peer = smsc.accept().await;
    peer.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0\x02\x10\0\x01\x34")).await;
    let PoolEvent::Down { why, .. } = next(&mut events).await else { panic!("not down") };
    assert_eq!(why, DownWhy::Session(Closed::VersionTooOld { theirs: 0x34, needed: 0x50 }));
}

#[tokio::test]
async fn a_question_that_is_not_answered_keeps_no_message_from_being_the_trial() {
    let smsc = Smsc::listen().await;
    let mut link = smsc.config();
    link.session.response_timeout = Duration::from_secs(1);
    let pause = Duration::from_millis(50);
    let breaker = BreakerConfig { failures_max: 1, pause, pause_max: pause };
    let (pool, mut events) = Pool::open(PoolConfig { breaker, ..PoolConfig::new(vec![link], 1_000) }).unwrap();
    let mut peer = smsc.accept_and_bind().await;
    all_up(&mut events, 1).await;
    let unanswered = outcome(slot(&pool).await.submit(message(), 1)).await;
    assert_eq!(unanswered, SubmitOutcome::InDoubt { cause: DoubtCause::Timeout });
    peer.read_submit().await;
    let asking = {
        let (pool, query) = (pool.clone(), QuerySm { message_id: "a".into(), source: Address::short_code("2505") });
        tokio::spawn(async move { pool.query(query, soon()).await })
    };
    assert_eq!(peer.read().await.0.command_id, command::QUERY_SM);
    let trial = slot(&pool).await.submit(message(), 2);
    assert!(!asking.is_finished(), "the message went while the question waited");
    let sequence = peer.read_submit().await;
    peer.write(&accepted(sequence, "b")).await;
    assert_eq!(outcome(trial).await, accepted_as("b"));
    assert_eq!(pool.standing().breaker, BreakerState::Closed);
    assert_eq!(asking.await.unwrap(), QueryOutcome::Unanswered { cause: DoubtCause::Timeout });
}
