use std::{future::Future, pin::pin, task::Poll};

use super::fixture::*;
use crate::{
    charge::{Charge, Event},
    store::{GroupCommit, GroupCommitConfig, Opening, Outcome, Store, StoreError, Write},
};

const CONFIG: GroupCommitConfig = GroupCommitConfig { queue_max: 8, batch_max: 5 };

fn open_write(opening: Opening) -> Write {
    Write::Open(Box::new(opening))
}

fn settle_write(charge: &Charge, event: Event, second: u64) -> Write {
    Write::Settle(Box::new(settlement(charge, event, second)))
}

/// Writes all at once, each from a task of its own, and returns the answers in the order of the writes.
async fn at_once(group: &GroupCommit, writes: Vec<Write>) -> Vec<Result<Outcome, StoreError>> {
    let tasks: Vec<_> = writes
        .into_iter()
        .map(|write| {
            let group = group.clone();
            tokio::spawn(async move { group.write(write).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub(super) async fn each_write_of_a_batch_gets_its_own_answer(store: Store) {
    let kept = run(&store, charge_of(1, 1, 1, 0), [(1, open_attempt())]).await;
    open(&store, opening_with_slot(&charge_of(2, 2, 2, 0))).await;
    commit(&store, Write::Park(receipt("r1", Some("id1"), 3))).await;
    let known_key = Opening { guard: opening(&kept).guard, ..opening(&charge_of(3, 3, 3, 9)) };
    let batch = [
        open_write(known_key),
        open_write(opening_with_slot(&charge_of(4, 4, 4, 9))),
        settle_write(&kept, accepted("e1", "id1"), 9),
        open_write(opening_with_slot(&charge_of(5, 2, 2, 9))),
        Write::Park(receipt("r2", Some("id2"), 9)),
        settle_write(&charge_of(6, 6, 6, 0), open_attempt(), 9),
        Write::LeaseSerials { vehicle: vehicle(1), day: "2026-03-01".into(), count: 5 },
        Write::KeepMo(mo(7, "1234", 9)),
    ];
    let outcomes = store.commit(&batch).await.unwrap();
    assert_eq!(outcomes[0], Outcome::KeyKnown { reference: kept.reference, same_body: true, repeat: false });
    assert_eq!(outcomes[1], Outcome::Opened { superseded: None });
    assert_eq!(outcomes[2], Outcome::Settled { parked: vec![receipt("r1", Some("id1"), 3)] });
    assert!(matches!(&outcomes[3], Outcome::SlotHeld(slot) if slot.reference == reference(2)));
    assert_eq!(outcomes[4..6], [Outcome::Parked, Outcome::Stale]);
    assert_eq!(outcomes[6..], [Outcome::Leased { first: 0 }, Outcome::MoKept]);
    for (n, exists) in [(3, false), (4, true), (5, false), (6, false)] {
        assert_eq!(store.charge(reference(n)).await.unwrap().is_some(), exists, "charge {n}");
    }
}

pub(super) async fn two_writes_of_one_charge_cannot_share_a_batch(store: Store) {
    let charge = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let batch = [settle_write(&charge, accepted("e1", "id1"), 2), settle_write(&charge, paid("e2"), 2)];
    assert!(matches!(store.commit(&batch).await, Err(StoreError::Refused(_))));
    assert_eq!(store.charge(charge.reference).await.unwrap(), Some(charge));
}

pub(super) async fn a_charge_settles_in_one_batch_after_the_other(store: Store) {
    let charges = [charge_at(1, 0), charge_at(2, 0), charge_at(3, 0)];
    let openings: Vec<Write> = charges.iter().map(|charge| open_write(opening(charge))).collect();
    store.commit(&openings).await.unwrap();
    let mut kept = charges.to_vec();
    for (second, event) in [(1, open_attempt()), (2, accepted("e1", "same for all")), (3, paid("e2"))] {
        for charge in &mut kept {
            let next = settlement(charge, event.clone(), second);
            assert!(matches!(settle(&store, next.clone()).await, Outcome::Settled { .. }));
            *charge = next.charge;
        }
    }
    for charge in kept {
        assert_eq!(store.charge(charge.reference).await.unwrap(), Some(charge));
    }
}

pub(super) async fn a_batch_with_one_refused_write_leaves_no_trace(store: Store) {
    open(&store, opening(&charge_at(1, 0))).await;
    let twin = Opening { guard: key("another"), ..opening(&charge_at(1, 0)) };
    let batch = [open_write(opening(&charge_at(2, 0))), open_write(twin), Write::Park(receipt("r1", None, 0))];
    assert!(matches!(store.commit(&batch).await, Err(StoreError::Refused(_))));
    assert_eq!(store.charge(reference(2)).await.unwrap(), None);
    assert_eq!(store.parked_count().await.unwrap(), 0);
    store.commit(&batch[..1]).await.unwrap();
    assert!(store.charge(reference(2)).await.unwrap().is_some());
}

pub(super) async fn an_empty_batch_is_nothing(store: Store) {
    assert_eq!(store.commit(&[]).await.unwrap(), []);
}

pub(super) async fn group_commit_answers_everybody(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    let writes = (1..=40).map(|n| open_write(opening_with_slot(&charge_at(n, 0)))).collect();
    let answers = at_once(&group, writes).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Outcome::Opened { superseded: None }))), "{answers:?}");
    for n in 1..=40 {
        assert!(store.charge(reference(n)).await.unwrap().is_some());
    }
}

pub(super) async fn group_commit_lets_one_bad_write_fail_alone(store: Store) {
    open(&store, opening(&charge_at(3, 0))).await;
    let group = GroupCommit::start(store.clone(), GroupCommitConfig { queue_max: 64, batch_max: 64 });
    let bad = Opening { guard: key("another"), ..opening(&charge_at(3, 0)) };
    let mut writes: Vec<Write> = (4..=20).map(|n| open_write(opening(&charge_at(n, 0)))).collect();
    writes.insert(5, open_write(bad));
    let answers = at_once(&group, writes).await;
    for (i, answer) in answers.iter().enumerate() {
        match answer {
            Err(StoreError::Refused(_)) => assert_eq!(i, 5),
            other => assert!(matches!(other, Ok(Outcome::Opened { .. })), "{other:?}"),
        }
    }
    assert!(answers[5].is_err());
}

pub(super) async fn group_commit_keeps_the_order_of_writes_of_one_charge(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    let charge = charge_at(1, 0);
    let sent = settlement(&charge, open_attempt(), 1).charge;
    let accepted_by_carrier = settlement(&sent, accepted("e1", "id1"), 2).charge;
    let writes = vec![
        open_write(opening(&charge)),
        settle_write(&charge, open_attempt(), 1),
        settle_write(&sent, accepted("e1", "id1"), 2),
        Write::Park(receipt("r1", Some("id1"), 2)),
        settle_write(&accepted_by_carrier, paid("e2"), 3),
        settle_write(&accepted_by_carrier, paid("e2"), 3),
    ];
    let answers: Vec<Outcome> = at_once(&group, writes).await.into_iter().map(Result::unwrap).collect();
    assert!(matches!(answers[..3], [Outcome::Opened { .. }, Outcome::Settled { .. }, Outcome::Settled { .. }]));
    assert!(matches!(answers[3..], [Outcome::Owned(_), Outcome::Settled { .. }, Outcome::EvidenceKnown]));
}

pub(super) async fn group_commit_opens_one_of_many_with_the_same_key(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    let opening = |n| Opening { guard: key("the same"), ..opening(&charge_at(n, 0)) };
    let answers = at_once(&group, (1..=12).map(|n| open_write(opening(n))).collect()).await;
    let opened = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Opened { .. }))).count();
    let known = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::KeyKnown { same_body: true, .. }))).count();
    assert_eq!((opened, known), (1, 11));
}

pub(super) async fn group_commit_gives_a_slot_to_one_of_many(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    let answers =
        at_once(&group, (1..=12).map(|n| open_write(opening_with_slot(&charge_of(n, 1, 1, 0)))).collect()).await;
    let opened = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Opened { .. }))).count();
    let held = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::SlotHeld(_)))).count();
    assert_eq!((opened, held), (1, 11));
}

pub(super) async fn group_commit_writes_what_its_caller_no_longer_waits_for(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    {
        let mut write = pin!(group.write(open_write(opening(&charge_at(1, 0)))));
        std::future::poll_fn(|context| {
            assert!(write.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    group.close().await;
    assert!(store.charge(reference(1)).await.unwrap().is_some());
}

pub(super) async fn group_commit_drains_when_it_closes(store: Store) {
    let group = GroupCommit::start(store.clone(), GroupCommitConfig { queue_max: 64, batch_max: 3 });
    let writes: Vec<_> = (1..=20).map(|n| open_write(opening(&charge_at(n, 0)))).collect();
    let mut waiting: Vec<_> = writes.into_iter().map(|write| Box::pin(group.write(write))).collect();
    std::future::poll_fn(|context| {
        waiting.iter_mut().for_each(|write| assert!(write.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    group.close().await;
    for write in waiting {
        assert_eq!(write.await.unwrap(), Outcome::Opened { superseded: None });
    }
    let late = group.write(open_write(opening(&charge_at(21, 0)))).await;
    assert!(matches!(late, Err(StoreError::Closed)));
}

pub(super) async fn a_closed_store_writes_nothing(store: Store) {
    let group = GroupCommit::start(store.clone(), CONFIG);
    store.close().await;
    let answers = at_once(&group, (1..=3).map(|n| open_write(opening(&charge_at(n, 0)))).collect()).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Closed))));
}
