//! Generations, on both stores.

use std::time::{Duration, Instant};

use super::*;
use crate::{
    clock::Timestamp,
    store::{
        Outcome, Store, Write,
        contract::{
            fixture::{at, charge_at, open_attempt, opening, paid, run, vehicle},
            new_schema,
        },
    },
};

/// Seconds of a day.
const DAY: u64 = 86_400;

async fn sell(store: &Store, n: u8, second: u64) {
    run(store, charge_at(n, second), [(second + 1, open_attempt()), (second + 2, paid("p"))]).await;
}

async fn lease(store: &Store) -> u32 {
    let lease = Write::LeaseSerials { vehicle: vehicle(1), day: "2026-03-01".into(), count: 32 };
    let Outcome::Leased { first } = store.commit(&[lease]).await.unwrap()[0] else { panic!("leased") };
    first
}

async fn restore(url: &str, second: u64) -> Generation {
    let mut custody = Custody::take(url).await.unwrap();
    let (by, because) = ("aigul".to_owned(), "a test \u{0} with any character".to_owned());
    let restore = Restore { at: at(second), lost_until: at(second), after: 0, by, because };
    let begun = custody.begin(&restore).await.unwrap();
    assert_eq!(custody.begin(&restore).await.unwrap(), begun, "begun once");
    custody.finish(begun.number, at(second)).await.unwrap();
    let kept = custody.standing("").await.unwrap().generations;
    let done = Generation { done_at: Some(at(second)), ..begun };
    assert_eq!(kept.last(), Some(&done));
    custody.close().await.unwrap();
    done
}

/// The days of two generations are closed, and the check of the books follows both.
async fn days_serials_and_places_over_generations(url: &str) {
    let store = Store::open(url).await.unwrap();
    sell(&store, 1, 0).await;
    assert_eq!(lease(&store).await, 0);
    store.close().await;
    let second = restore(url, DAY / 2).await;
    assert_eq!((second.number, second.restored_to), (2, Some(at(2))));

    let store = Store::open(url).await.unwrap();
    assert_eq!(lease(&store).await, 32 + 4_096);
    let other = Write::LeaseSerials { vehicle: vehicle(2), day: "2026-03-01".into(), count: 32 };
    assert_eq!(store.commit(&[other]).await.unwrap(), [Outcome::Leased { first: 4_096 }], "a day that may be lost");
    let other = Write::LeaseSerials { vehicle: vehicle(2), day: "2026-04-01".into(), count: 32 };
    assert_eq!(store.commit(&[other]).await.unwrap(), [Outcome::Leased { first: 0 }], "a day that cannot be");
    for (n, second) in [(2, DAY), (3, 2 * DAY), (4, 3 * DAY)] {
        sell(&store, n, second).await;
    }
    // Three of each charge. On a server, transactions of others may hold up what is settled.
    let started = Instant::now();
    while store.settled_after(second.books_end).await.unwrap() < 9 && started.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.settled_after(second.books_end).await.unwrap(), 9, "entries are counted, and not places");
    assert!(store.settled_journal(second.books_end, 9).await.unwrap()[0].place >= second.places_from);
    let heads = store.heads().await.unwrap();
    assert_eq!(heads.len(), 2);
    assert!(heads[1].0.0 > second.writers_after && heads[1].1.number >= 6, "{heads:?}");
    store.close().await;

    let noted = Store::daily_roots(url, 9).await.unwrap();
    assert!(noted.len() >= 3, "{noted:?}");
    let audited = Store::audit(url, &noted).await.unwrap();
    assert_eq!(audited.flaws, []);
    assert_eq!((audited.charges, audited.heads.len()), (4, 2));
    let third = restore(url, 4 * DAY).await;
    assert!(third.places_from > second.places_from + 1_000_000 && third.writers_after > second.writers_after);
}

async fn what_is_done_is_never_changed(url: &str, change: impl AsyncFn(&'static str) -> bool) {
    Store::open(url).await.unwrap().close().await;
    restore(url, 5).await;
    for statement in [
        "UPDATE generations SET done_at = NULL",
        "UPDATE generations SET lost_until = 0",
        "UPDATE generations SET done_at = 7",
        "DELETE FROM generations",
    ] {
        assert!(!change(statement).await, "{statement}");
    }
}

#[tokio::test]
async fn what_is_in_memory_is_never_put_back() {
    let mut custody = Custody::visit("memory:").await.unwrap();
    assert_eq!(custody.admit("smsbusd", None, Timestamp::from_unix_seconds(1)).await.unwrap().generation, 1);
}

mod on_sqlite {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    use super::*;

    #[tokio::test]
    async fn days_serials_and_places_go_on_over_generations() {
        let folder = tempfile::tempdir().unwrap();
        days_serials_and_places_over_generations(&format!("sqlite://{}/a.db", folder.path().display())).await;
    }

    #[tokio::test]
    async fn a_generation_is_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        what_is_done_is_never_changed(&format!("sqlite://{}", file.display()), async |statement| {
            let mut db = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
            sqlx::query(statement).execute(&mut db).await.is_ok()
        })
        .await;
    }
}

mod on_postgres {
    use sqlx::{ConnectOptions, postgres::PgConnectOptions};

    use super::*;

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn days_serials_and_places_go_on_over_generations() {
        days_serials_and_places_over_generations(&new_schema("over_generations").await).await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_generation_is_never_changed() {
        let url = new_schema("never_changed").await;
        what_is_done_is_never_changed(&url, async |statement| {
            let mut db = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
            sqlx::query(statement).execute(&mut db).await.is_ok()
        })
        .await;
    }

    #[tokio::test]
    #[ignore = "needs a server: scripts/postgres"]
    async fn a_daemon_that_was_connected_before_the_restore_writes_nothing_after_it() {
        let url = new_schema("zombie").await;
        let store = Store::open(&url).await.unwrap();
        sell(&store, 1, 0).await;
        // As a daemon whose server was put back under it: its connections are gone, and it does not know why.
        let mut db = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        let restore = Restore { at: at(9), lost_until: at(9), after: 0, by: "a".into(), because: "b".into() };
        Generations::begin_generation(&mut db, &restore).await.unwrap();
        let late = store.commit(&[Write::Open(Box::new(opening(&charge_at(2, 5))))]).await;
        assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    }
}
