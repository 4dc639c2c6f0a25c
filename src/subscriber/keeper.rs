use std::{collections::BTreeMap, time::Duration};

use metrics::counter;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use crate::{
    charge::{CarrierName, Home},
    clock::Clock,
    eligibility::FactName,
    msisdn::Msisdn,
    process,
    store::{Forgetting, GroupCommit, Store, StoreError, StoredFact, Write},
};

/// What may wait to be written; what comes when so much waits is lost, and asked again one day.
const WAITING_MAX: usize = 4_096;
/// Rows in one write.
const ROWS_MAX: usize = 512;
/// How often old rows are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How much is kept of subscribers in the store, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperConfig {
    /// So many facts at most, but for what came since the store was last tidied.
    pub facts_max: u64,
    /// Facts go after so long.
    pub facts_for: Duration,
    /// So many homes at most, but for what came since the store was last tidied.
    pub homes_max: u64,
    /// Homes go after so long.
    pub homes_for: Duration,
}

/// Keeps what is heard of subscribers, behind the charges: whoever hands something in goes on at once. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Keeper(mpsc::Sender<Known>);

/// What is heard of a subscriber.
#[derive(Debug)]
enum Known {
    Fact(StoredFact),
    Home(Home),
}

impl Keeper {
    /// Starts the task that writes. It ends when the last clone is gone, or the store is closed.
    pub fn start(store: Store, writer: GroupCommit, clock: Clock, config: KeeperConfig) -> Keeper {
        let (queue, known) = mpsc::channel(WAITING_MAX);
        process::spawn(Work { store, writer, clock, config }.run(known));
        Keeper(queue)
    }

    /// Keeps a fact. Not durable on return; lost if too much waits.
    pub fn keep_fact(&self, fact: StoredFact) {
        self.keep(Known::Fact(fact), "fact");
    }

    /// Keeps which carrier a number belongs to. Not durable on return; lost if too much waits.
    pub fn keep_home(&self, home: Home) {
        self.keep(Known::Home(home), "home");
    }

    fn keep(&self, known: Known, kind: &'static str) {
        if self.0.try_send(known).is_err() {
            counter!("known_not_kept_total", "kind" => kind).increment(1);
        }
    }
}

struct Work {
    store: Store,
    writer: GroupCommit,
    clock: Clock,
    config: KeeperConfig,
}

impl Work {
    async fn run(self, mut known: mpsc::Receiver<Known>) {
        let mut tidy = interval(TIDY_EVERY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rows = Vec::with_capacity(ROWS_MAX);
        loop {
            let done = tokio::select! {
                biased;
                count = known.recv_many(&mut rows, ROWS_MAX) => match count {
                    0 => return,
                    _ => self.write(rows.drain(..)).await,
                },
                _ = tidy.tick() => self.tidy().await,
            };
            match done {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => warn!(%error, "what is known of subscribers cannot be kept now"),
            }
        }
    }

    /// Of several statements about the same thing the last one is written; the store keeps what was observed later.
    async fn write(&self, known: impl Iterator<Item = Known>) -> Result<(), StoreError> {
        let mut facts: BTreeMap<(Msisdn, CarrierName, FactName), StoredFact> = BTreeMap::new();
        let mut homes: BTreeMap<Msisdn, Home> = BTreeMap::new();
        for one in known {
            match one {
                Known::Fact(fact) => {
                    let key = (fact.msisdn, fact.carrier.clone(), fact.name);
                    if facts.get(&key).is_none_or(|held| fact.fact.observed_at >= held.fact.observed_at) {
                        facts.insert(key, fact);
                    }
                }
                Known::Home(home) => {
                    if homes.get(&home.msisdn).is_none_or(|held| home.observed_at >= held.observed_at) {
                        homes.insert(home.msisdn, home);
                    }
                }
            }
        }
        let (facts, homes): (Vec<_>, Vec<_>) = (facts.into_values().collect(), homes.into_values().collect());
        let lost = |kind, rows: usize| counter!("known_not_kept_total", "kind" => kind).increment(rows as u64);
        let (fact_rows, home_rows) = (facts.len(), homes.len());
        if fact_rows > 0 {
            self.writer.write(Write::KeepFacts(facts)).await.inspect_err(|_| lost("fact", fact_rows))?;
        }
        if home_rows > 0 {
            self.writer.write(Write::KeepHomes(homes)).await.inspect_err(|_| lost("home", home_rows))?;
        }
        Ok(())
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        let (now, KeeperConfig { facts_max, facts_for, homes_max, homes_for }) = (self.clock.now(), self.config);
        let counts = self.store.known_counts().await?;
        let excess = |count: u64, max: u64| u32::try_from(count.saturating_sub(max)).unwrap_or(u32::MAX);
        let forgetting = Forgetting {
            facts_before: now.minus(facts_for),
            facts_oldest: excess(counts.facts, facts_max),
            homes_before: now.minus(homes_for),
            homes_oldest: excess(counts.homes, homes_max),
        };
        if counts.facts + counts.homes > 0 {
            self.writer.write(Write::Forget(forgetting)).await?;
        }
        Ok(())
    }
}
