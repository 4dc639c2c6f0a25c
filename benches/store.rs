//! How fast the store takes charges: group commit against commits one by one, and against the same rows written as raw set
//! statements by hand. One charge is two writes: the opening with its first attempt, then the settlement with its ticket.
//!
//! Compare only within one run: disks of this kind change their mind about the cost of an fdatasync.
#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and ratios are for reading")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that fails stops, and prints what it found")]

#[path = "store/charges.rs"]
mod charges;
#[path = "store/raw.rs"]
mod raw;

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use smsbusd::store::{GroupCommit, GroupCommitConfig, Outcome, Sqlite, SqliteConfig, Store, Write};

/// What one measurement found.
struct Measured {
    name: String,
    charges: usize,
    took: Duration,
    /// Of single writes, sorted.
    latencies: Vec<Duration>,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.charges as f64 / self.took.as_secs_f64()
    }

    fn latency(&self, percent: usize) -> String {
        let place = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or_else(|| "-".into(), |latency| format!("{:.2}", latency.as_secs_f64() * 1e3))
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("fdatasync of 4 KiB: {:.2} ms (median of 100)", fdatasync(folder.path()).as_secs_f64() * 1e3);

    let mut found = Vec::new();
    found.push(runtime.block_on(one_by_one(folder.path(), 500)));
    for (in_flight, count) in [(1, 500), (64, 3_000)] {
        found.push(runtime.block_on(group_commit(folder.path(), in_flight, count)));
    }
    // The two that are compared take turns, so that a change of the disk's mood hits both.
    let mut raw = Vec::new();
    let mut group = Vec::new();
    for _ in 0..3 {
        raw.push(runtime.block_on(raw::batches(folder.path(), 1_024, 8 * 1_024)));
        group.push(runtime.block_on(group_commit(folder.path(), 1_024, 8 * 1_024)));
    }
    found.push(median(group));
    found.push(median(raw));

    println!(
        "\n{:34} {:>10} {:>10} {:>9} {:>9}",
        "median of three where repeated", "charges/s", "writes/s", "p50 ms", "p99 ms"
    );
    for measured in &found {
        let (rate, p50, p99) = (measured.rate(), measured.latency(50), measured.latency(99));
        println!("{:34} {rate:>10.0} {:>10.0} {p50:>9} {p99:>9}", measured.name, rate * 2.0);
    }
    let [one_by_one, .., group, raw] = &found[..] else { unreachable!("five measurements") };
    println!("\ngroup commit at 1,024 in flight / one by one:   {:.2}", group.rate() / one_by_one.rate());
    println!("group commit at 1,024 in flight / raw batches:  {:.2}", group.rate() / raw.rate());
}

fn median(mut of: Vec<Measured>) -> Measured {
    of.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    of.swap_remove(of.len() / 2)
}

fn fdatasync(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("fdatasync")).unwrap();
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            file.write_all(&[0; 4_096]).unwrap();
            let begun = Instant::now();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

async fn open(folder: &Path) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = Store::Sqlite(Sqlite::open(SqliteConfig::new(folder.path().join("store.db"))).await.unwrap());
    (folder, store)
}

fn must_be_written(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Opened { .. } | Outcome::Settled { .. }), "{outcome:?}");
}

async fn one_by_one(folder: &Path, count: usize) -> Measured {
    let (_folder, store) = open(folder).await;
    let charges = charges::make(count);
    let mut latencies = Vec::with_capacity(count * 2);
    let begun = Instant::now();
    for writes in charges {
        for write in writes {
            let asked = Instant::now();
            store.commit(&[write]).await.unwrap().iter().for_each(must_be_written);
            latencies.push(asked.elapsed());
        }
    }
    let took = begun.elapsed();
    latencies.sort();
    Measured { name: "one by one".into(), charges: count, took, latencies }
}

async fn group_commit(folder: &Path, in_flight: usize, count: usize) -> Measured {
    let (_folder, store) = open(folder).await;
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
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.unwrap());
    }
    let took = begun.elapsed();
    group.close().await;
    store.close().await;
    latencies.sort();
    Measured { name: format!("group commit, {in_flight} in flight"), charges: count, took, latencies }
}
