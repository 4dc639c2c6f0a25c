//! Many worlds, each on a thread of its own, and the proof that a seed is one world.

use std::{
    env, fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{audit, complaints::Listening, people, promises::Promised, staff, weather, world::World};

/// Seeds where nothing else is asked for.
const SEEDS: u64 = 200;
/// The last lines of a journal that a failure shows.
const LINES_SHOWN: usize = 60;
/// Failures that are looked for before the rest is left alone.
const FAILURES_MAX: usize = 10;
/// People are done so long after things stopped going wrong.
const PEOPLE_WITHIN: Duration = Duration::from_secs(1_800);

/// What came of a seed.
struct Life {
    seed: u64,
    journal: Vec<String>,
    violations: Vec<String>,
}

/// Lives the world of this seed to its end.
fn live(seed: u64) -> Life {
    let listening = Listening::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let (journal, mut violations) = runtime.block_on(async {
        let world = World::new(seed);
        world.note(format_args!("{:?}", world.plan));
        tokio::spawn(world.clone().supervise());
        weather::begin(&world);
        let promised = Promised::default();
        tokio::spawn(staff::refund(world.clone(), promised.clone()));
        let mut people = people::begin(&world, &promised);
        sleep(world.plan.lasts).await;
        world.mend();
        let gone = timeout(PEOPLE_WITHIN, async { while people.join_next().await.is_some() {} }).await;
        if gone.is_err() {
            world.violated("somebody waits for ever".into());
        }
        audit::rest(&world).await;
        audit::audit(&world, &promised.take()).await;
        world.kill();
        world.close()
    });
    drop(runtime);
    violations.extend(listening.end());
    Life { seed, journal, violations }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.journal.len().saturating_sub(LINES_SHOWN);
        writeln!(f, "seed {}: the last lines of its journal of {}", self.seed, self.journal.len())?;
        if let Some(plan) = self.journal.first().filter(|_| skipped > 0) {
            writeln!(f, "{plan}\n…")?;
        }
        for line in self.journal.iter().skip(skipped) {
            writeln!(f, "{line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "seed {}: {violation}", self.seed)?;
        }
        write!(f, "replay: SIM_SEED={} cargo nextest run --lib --no-capture -E 'test(sim::)'", self.seed)
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

/// The lives that failed, the first few of them, and how many were lived.
fn live_all(seeds: std::ops::Range<u64>) -> (Vec<Life>, u64) {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let full = || failed.lock().unwrap_or_else(PoisonError::into_inner).len() >= FAILURES_MAX;
                    if seed >= seeds.end || full() {
                        return;
                    }
                    let life = live(seed);
                    if !life.violations.is_empty() {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(life);
                    }
                }
            });
        }
    });
    let lived = next.into_inner().min(seeds.end).saturating_sub(seeds.start);
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|life| life.seed);
    (failed, lived)
}

/// `SIM_SEED=1234` lives that world and shows its whole journal; `SIM_SEEDS=20000` lives so many, from `SIM_FROM` or 0 on.
#[test]
fn no_world_breaks_a_money_rule() {
    if let Some(seed) = number("SIM_SEED") {
        let life = live(seed);
        life.journal.iter().for_each(|line| println!("{line}"));
        assert!(life.violations.is_empty(), "{life}");
        return;
    }
    let from = number("SIM_FROM").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let (failed, lived) = live_all(from..from.saturating_add(seeds));
    let seconds = begun.elapsed().as_millis().max(1);
    println!("{lived} worlds in {seconds} ms");
    if let Some(first) = failed.first() {
        for life in &failed {
            println!("seed {}: {}", life.seed, life.violations.first().map_or("", String::as_str));
        }
        panic!("{first}");
    }
}

#[test]
fn a_seed_is_one_world_commit_for_commit() {
    for seed in 0..12 {
        let (first, second) = (live(seed), live(seed));
        let differs = first.journal.iter().zip(&second.journal).position(|(one, other)| one != other);
        if let Some(at) = differs.or((first.journal.len() != second.journal.len()).then_some(0)) {
            let around =
                |life: &Arc<[String]>| life.iter().skip(at.saturating_sub(3)).take(8).cloned().collect::<Vec<_>>();
            let (one, other): (Arc<[String]>, Arc<[String]>) = (first.journal.into(), second.journal.into());
            panic!("seed {seed} is two worlds from line {at}:\n{:#?}\n{:#?}", around(&one), around(&other));
        }
    }
}
