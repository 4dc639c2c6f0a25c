use std::time::Duration;

use super::fixture::*;
use crate::store::{
    EventPlace, FailedCounts, FailedDelivery, FailedFilter, GroupCommit, GroupCommitConfig, Opening, Replay,
    SettledEntry, Store, WebhookEnd, WebhookProgress, WebhookStanding, Write,
};

fn place(entry: u64, part: u8) -> EventPlace {
    EventPlace { entry, part }
}

fn failed(entry: u64, due: Option<u64>) -> FailedDelivery {
    FailedDelivery {
        place: place(entry, 0),
        event_type: "charge.charged".into(),
        reference: reference(1),
        failed_at: at(entry),
        tries: 1,
        due_at: due.map(at),
        why: "answered 500".into(),
    }
}

fn progress(name: &str, standing: WebhookStanding) -> WebhookProgress {
    WebhookProgress { name: name.into(), standing, failed: Vec::new(), removed: Vec::new() }
}

async fn moved(store: &Store, progress: WebhookProgress) {
    commit(store, Write::MoveWebhook(Box::new(progress))).await;
}

/// The journal once so many of its entries are settled. On a server, others' transactions may be under way for a moment.
async fn settled(store: &Store, entries: usize) -> Vec<SettledEntry> {
    for _ in 0..1_000 {
        let settled = store.settled_journal(0, 99).await.unwrap();
        if settled.len() >= entries {
            return settled;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{entries} entries are not settled after ten seconds");
}

pub(super) async fn the_settled_journal_is_all_journals_in_the_order_of_their_commits(store: Store) {
    assert_eq!((store.settled_end().await.unwrap(), store.settled_journal(0, 9).await.unwrap()), (0, vec![]));
    let first = run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let second = run(&store, charge_at(2, 2), [(3, open_attempt()), (4, accepted("e1", "id"))]).await;
    let first = advance(&store, first, [(5, paid("e1"))]).await;
    let settled = settled(&store, 6).await;
    assert_eq!(store.settled_end().await.unwrap(), settled.last().unwrap().place);
    let after = async |entry: usize| store.settled_after(settled[entry].place).await.unwrap();
    assert_eq!((store.settled_after(0).await.unwrap(), after(1).await, after(5).await), (6, 4, 0));
    assert!(settled.windows(2).all(|pair| pair[0].place < pair[1].place), "{settled:?}");
    let told: Vec<_> = settled.iter().map(|settled| (settled.entry.reference, settled.entry.version)).collect();
    let (one, two) = (first.reference, second.reference);
    assert_eq!(told, [(one, 1), (one, 2), (two, 1), (two, 2), (two, 3), (one, 3)]);
    for settled in &settled {
        let charge = if settled.entry.reference == one { &first } else { &second };
        assert_eq!(settled.order, charge.order);
        assert!(store.journal(charge.reference).await.unwrap().contains(&settled.entry));
    }
    let told = &settled[5].entry.told;
    assert_eq!(told.carrier.as_ref(), Some(&carrier()));
    assert_eq!(told.ticket.as_ref().map(|ticket| ticket.short_code.as_str()), Some("7K3M9QXA"));
    // In pages that meet.
    let page = async |after, limit| store.settled_journal(after, limit).await.unwrap();
    assert_eq!(page(settled[1].place, 3).await, settled[2..5]);
    assert_eq!(page(settled[5].place, 3).await, []);
    assert_eq!(page(u64::MAX, 3).await, []);
}

pub(super) async fn the_latest_moment_in_the_books_is_not_always_that_of_the_last_entry(store: Store) {
    assert_eq!(store.latest_moment().await.unwrap(), None);
    let charge = run(&store, charge_at(1, 0), [(9, open_attempt())]).await;
    assert_eq!(store.latest_moment().await.unwrap(), Some(charge.updated_at));
    run(&store, charge_at(2, 2), [(3, open_attempt())]).await;
    assert_eq!(store.latest_moment().await.unwrap(), Some(charge.updated_at));
}

pub(super) async fn no_character_of_an_order_holds_up_the_journal(store: Store) {
    let mut charge = charge_at(1, 0);
    charge.order.route = "9\u{0}2 \u{1f68c}".into();
    let charge = run(&store, charge, [(1, open_attempt())]).await;
    let settled = settled(&store, 2).await;
    assert!(settled.iter().all(|settled| settled.order == charge.order), "{settled:?}");
}

pub(super) async fn a_batch_settles_each_charge_in_its_order(store: Store) {
    let openings: Vec<Opening> = (1..=5).map(|n| opening(&charge_at(n, 0))).collect();
    store
        .commit(&openings.iter().map(|opening| Write::Open(Box::new(opening.clone()))).collect::<Vec<_>>())
        .await
        .unwrap();
    let batch: Vec<Write> = openings
        .iter()
        .map(|opening| Write::Settle(Box::new(settlement(&opening.charge, open_attempt(), 1))))
        .collect();
    store.commit(&batch).await.unwrap();
    let settled = settled(&store, 10).await;
    assert_eq!(settled.len(), 10);
    for opening in &openings {
        let of_this = settled.iter().filter(|settled| settled.entry.reference == opening.charge.reference);
        assert_eq!(of_this.map(|settled| settled.entry.version).collect::<Vec<_>>(), [1, 2]);
    }
}

pub(super) async fn those_who_follow_hear_of_commits_and_of_no_others(store: Store) {
    let group = GroupCommit::start(store, GroupCommitConfig::default());
    let mut news = group.journal_news();
    group.write(Write::Unpark { id: "r1".into() }).await.unwrap();
    assert!(!news.has_changed().unwrap(), "nothing for the journal");
    group.write(Write::Open(Box::new(opening(&charge_at(1, 0))))).await.unwrap();
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    group.write(Write::Settle(Box::new(settlement(&charge_at(1, 0), open_attempt(), 1)))).await.unwrap();
    assert!(news.has_changed().unwrap());
    group.close().await;
    news.mark_unchanged();
    assert!(news.changed().await.is_err(), "closed with the writer");
}

pub(super) async fn a_webhook_stands_where_it_was_left(store: Store) {
    assert_eq!(store.webhook("one").await.unwrap(), None);
    let standing = WebhookStanding { cursor: 7, ..WebhookStanding::default() };
    moved(&store, progress("one", standing.clone())).await;
    moved(&store, progress("two", WebhookStanding { cursor: 9, ..standing.clone() })).await;
    assert_eq!(store.webhook("one").await.unwrap().as_ref(), Some(&standing));
    for end in [WebhookEnd::Gone, WebhookEnd::GaveUp] {
        let standing = WebhookStanding {
            cursor: 8,
            failing_since: Some(at(3)),
            disabled: Some((end, at(4))),
            replay: Some(Replay { cursor: 2, until: 5 }),
        };
        moved(&store, progress("one", standing.clone())).await;
        assert_eq!(store.webhook("one").await.unwrap(), Some(standing));
    }
    moved(&store, progress("one", standing.clone())).await;
    assert_eq!(store.webhook("one").await.unwrap(), Some(standing));
    assert_eq!(store.webhook("two").await.unwrap().unwrap().cursor, 9);
}

pub(super) async fn failed_deliveries_are_kept_until_they_are_removed(store: Store) {
    let kept = [failed(4, Some(20)), failed(5, Some(10)), failed(6, None), failed(7, None), failed(8, Some(30))];
    let with = |failed: &[FailedDelivery], removed: &[EventPlace]| WebhookProgress {
        failed: failed.to_vec(),
        removed: removed.to_vec(),
        ..progress("one", WebhookStanding { cursor: 9, ..WebhookStanding::default() })
    };
    moved(&store, with(&kept, &[])).await;
    moved(&store, WebhookProgress { name: "two".into(), ..with(&kept[..1], &[]) }).await;
    let read = async |filter, limit| store.failed_deliveries("one", filter, limit).await.unwrap();
    let [fourth, fifth, sixth, seventh, eighth] = kept.clone();
    assert_eq!(read(FailedFilter::Due(at(20)), 9).await, [fifth.clone(), fourth.clone()]);
    assert_eq!(read(FailedFilter::Due(at(20)), 1).await, std::slice::from_ref(&fifth));
    assert_eq!(read(FailedFilter::Due(at(9)), 9).await, []);
    assert_eq!(read(FailedFilter::Waiting, 9).await, [fifth, fourth.clone(), eighth.clone()]);
    assert_eq!(read(FailedFilter::GivenUp, 9).await, [sixth.clone(), seventh.clone()]);
    assert_eq!(read(FailedFilter::GivenUp, 1).await, std::slice::from_ref(&sixth));
    assert_eq!(store.failed_counts("one").await.unwrap(), FailedCounts { waiting: 3, given_up: 2 });
    assert_eq!(store.failed_counts("nobody").await.unwrap(), FailedCounts::default());

    let again = FailedDelivery { tries: 2, due_at: None, why: "no answer: timeout".into(), ..eighth };
    moved(&store, with(std::slice::from_ref(&again), &[place(5, 0), place(6, 0), place(99, 0)])).await;
    assert_eq!(read(FailedFilter::Waiting, 9).await, [fourth]);
    assert_eq!(read(FailedFilter::GivenUp, 9).await, [seventh, again]);
    assert_eq!(store.failed_counts("two").await.unwrap(), FailedCounts { waiting: 1, given_up: 0 });
}
