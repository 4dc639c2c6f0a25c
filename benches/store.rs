//! How fast the store takes charges: group commit against the same rows written by hand, one by one and in batches. One charge is two
//! writes: the opening with its first attempt, then the settlement with its ticket.
//!
//! `cargo bench --bench store` measures SQLite; `scripts/postgres cargo bench --bench store` measures PostgreSQL, too. With `--fill URL`
//! it measures nothing, and fills a store with charges in doubt.
//!
//! Compare only within one run: disks of this kind change their mind about the cost of an fdatasync.
#![allow(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "rates and ratios are for reading")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that fails stops, and prints what it found")]

#[path = "store/by_hand.rs"]
mod by_hand;
#[path = "store/charges.rs"]
mod charges;
#[path = "store/engine.rs"]
mod engine;
#[path = "load/latencies.rs"]
mod latencies;
#[path = "store/place.rs"]
mod place;
#[path = "store/raw.rs"]
mod raw;
#[path = "store/rows.rs"]
mod rows;
#[path = "store/statements.rs"]
mod statements;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Parser;
use latencies::Latencies;
use place::Kind;
use serde_json::{Map, Value, json};

/// Those who write by hand, one by one.
const CLIENTS: usize = 32;
const BATCH: usize = 1_024;
/// The two that are compared take turns, so that a change of the disk's mood hits both.
const TURNS: usize = 3;

#[derive(Parser)]
struct Plan {
    /// Which stores: sqlite, postgres or both. By default both, if SMSBUSD_TEST_POSTGRES names a server.
    #[arg(long)]
    store: Option<String>,
    /// Where to write what was found, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Small numbers: whether it works.
    #[arg(long, alias = "test")]
    quick: bool,
    /// Fills the store of this address with charges in doubt, and measures nothing.
    #[arg(long)]
    fill: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one measurement found.
struct Measured {
    charges: usize,
    took: Duration,
    /// Of single writes, or of single transactions by hand.
    latencies: Latencies,
    /// What is in the store now.
    rows: Vec<i64>,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.charges as f64 / self.took.as_secs_f64()
    }

    /// `samples`: the rates of all turns.
    fn to_json(&self, samples: &[f64]) -> Value {
        json!({
            "charges": self.charges,
            "seconds": self.took.as_secs_f64(),
            "per_second": self.rate(),
            "samples": samples,
            "latency_ms": self.latencies.to_json(),
        })
    }
}

fn main() {
    let plan = Plan::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(url) = &plan.fill {
        return runtime.block_on(engine::fill(url, plan.count));
    }
    let server = std::env::var("SMSBUSD_TEST_POSTGRES").ok();
    let chosen = plan.store.as_deref().unwrap_or(if server.is_some() { "both" } else { "sqlite" });
    let kinds: Vec<Kind> = match (chosen, server) {
        ("sqlite", _) => vec![Kind::Sqlite],
        ("postgres", Some(server)) => vec![Kind::Postgres { server }],
        ("both", Some(server)) => vec![Kind::Sqlite, Kind::Postgres { server }],
        (other, _) => {
            panic!("--store {other}: sqlite, or with SMSBUSD_TEST_POSTGRES postgres or both (see scripts/postgres)")
        }
    };
    let folder = tempfile::tempdir().unwrap();
    println!("fdatasync of 4 KiB: {:.2} ms (median of 100)", fdatasync(folder.path()).as_secs_f64() * 1e3);
    println!(
        "\n{:9} {:34} {:>10} {:>10} {:>9} {:>9}",
        "", "median of three where repeated", "charges/s", "writes/s", "p50 ms", "p99 ms"
    );
    let mut stores = Map::new();
    for kind in &kinds {
        stores.insert(kind.name().into(), runtime.block_on(measure(kind, folder.path(), plan.quick)));
    }
    if let Some(file) = &plan.json {
        fs::write(file, json!({ "batch": BATCH, "clients_one_by_one": CLIENTS, "stores": stores }).to_string())
            .unwrap();
    }
}

async fn measure(kind: &Kind, folder: &Path, quick: bool) -> Value {
    let (few, some, many) = if quick { (20, 128, BATCH) } else { (500, 4_000, 16 * BATCH) };
    let mut found = Map::new();
    let mut written: HashMap<usize, Vec<i64>> = HashMap::new();
    let mut keep = |key: &str, name: String, turns: Vec<Measured>| {
        for turn in &turns {
            let rows = written.entry(turn.charges).or_insert_with(|| turn.rows.clone());
            assert_eq!(&turn.rows, rows, "{name} has not written the rows that another way has");
        }
        let samples: Vec<f64> = turns.iter().map(Measured::rate).collect();
        let middle = median(turns);
        print_row(kind, &name, &middle);
        found.insert(key.into(), middle.to_json(&samples));
        middle.rate()
    };
    let one_by_one = by_hand::one_by_one(kind, folder, CLIENTS, some).await;
    let one_by_one = keep("one_by_one", format!("by hand, one by one, {CLIENTS} clients"), vec![one_by_one]);
    for (key, in_flight, count) in [("engine_1", 1, few), ("engine_64", 64, some)] {
        let measured = engine::group_commit(kind, folder, in_flight, count).await;
        keep(key, format!("group commit, {in_flight} in flight"), vec![measured]);
    }
    let (mut raw, mut group) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        raw.push(by_hand::batches(kind, folder, BATCH, many).await);
        group.push(engine::group_commit(kind, folder, BATCH, many).await);
    }
    let group = keep("engine_1024", format!("group commit, {BATCH} in flight"), group);
    let raw = keep("raw_batches", format!("by hand, sets of {BATCH}"), raw);
    println!("{:9} group commit at {BATCH} in flight / one by one by hand:  {:.2}", "", group / one_by_one);
    println!("{:9} group commit at {BATCH} in flight / sets by hand:        {:.2}", "", group / raw);
    Value::Object(found)
}

fn print_row(kind: &Kind, name: &str, measured: &Measured) {
    let ms = |per_mille| measured.latencies.per_mille(per_mille).as_secs_f64() * 1e3;
    let (rate, p50, p99) = (measured.rate(), ms(500), ms(990));
    println!("{:9} {name:34} {rate:>10.0} {:>10.0} {p50:>9.2} {p99:>9.2}", kind.name(), rate * 2.0);
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
