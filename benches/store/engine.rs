//! The store as the daemon uses it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use smsbusd::{
    clock::Timestamp,
    store::{GroupCommit, GroupCommitConfig, Outcome, Store, Write},
};

use crate::{
    Latencies, Measured, charges,
    place::{Kind, Place},
};

/// Charges that are filled in at once.
const FILL_BATCH: usize = 1_024;

/// So many callers, each of whom waits for its commit before it comes again.
pub(crate) async fn group_commit(kind: &Kind, folder: &Path, in_flight: usize, count: usize) -> Measured {
    let place = Place::fresh(kind, folder).await;
    let store = place.store().await;
    let group = GroupCommit::start(store.clone(), GroupCommitConfig::default());
    let charges: Arc<Vec<Mutex<Option<[Write; 2]>>>> =
        Arc::new(charges::make(count).into_iter().map(|writes| Mutex::new(Some(writes))).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (group, charges, next) = (group.clone(), charges.clone(), next.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while let Some(charge) = charges.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let writes = charge.lock().unwrap().take().unwrap();
                    for write in writes {
                        let asked = Instant::now();
                        must_be_written(&group.write(write).await.unwrap());
                        latencies.push(asked.elapsed());
                    }
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Latencies::new();
    for client in clients {
        client.await.unwrap().into_iter().for_each(|time| latencies.record(time));
    }
    let took = begun.elapsed();
    group.close().await;
    store.close().await;
    let rows = place.rows().await;
    place.drop().await;
    Measured { charges: count, took, latencies, rows }
}

/// Charges whose carrier has said nothing in time: as many as there are to be, in batches.
pub(crate) async fn fill(url: &str, count: usize) {
    let store = Store::open(url).await.unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let now = Timestamp::from_unix_seconds(i64::try_from(now).unwrap());
    // The last is of half a minute ago.
    let first_at = now.minus(Duration::from_millis(30_000 + count as u64 / 8));
    let make = move |from: usize| {
        let charges = (from..count.min(from + FILL_BATCH)).map(|n| charges::in_doubt(n as u64, first_at));
        charges.map(|[opening, doubt]| (opening, doubt)).unzip::<Write, Write, Vec<_>, Vec<_>>()
    };
    let mut batch = make(0);
    for from in (0..count).step_by(FILL_BATCH) {
        // The next ones are made while these are written.
        let next = tokio::task::spawn_blocking(move || make(from + FILL_BATCH));
        for writes in [batch.0, batch.1] {
            store.commit(&writes).await.unwrap().iter().for_each(must_be_written);
        }
        batch = next.await.unwrap();
    }
    store.close().await;
}

fn must_be_written(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Opened { .. } | Outcome::Settled { .. }), "{outcome:?}");
}
