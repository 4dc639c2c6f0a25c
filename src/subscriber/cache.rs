use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    eligibility::{Fact, FactName, Facts},
    msisdn::Msisdn,
};

/// What was said of subscribers lately, in bounded memory.
///
/// It holds one carrier's facts per number: all of them speak of the contract between the two, and a number that moves
/// to another carrier begins anew. When it is full, the number of which nothing was heard for longest goes.
#[derive(Debug)]
pub struct FactCache {
    settings: CacheSettings,
    held: Mutex<Held>,
}

/// How much is remembered, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// So many subscribers at most; one takes about 400 bytes. 0 remembers nothing.
    pub subscribers_max: usize,
    /// After so many seconds a fact is forgotten. A rule's `max_age_seconds` says for how long it is believed; what is
    /// kept longer only shows in the answer to why a number cannot pay. A fact that is not named is kept for 24 hours.
    pub ttl_seconds: BTreeMap<FactName, u64>,
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings { subscribers_max: 100_000, ttl_seconds: BTreeMap::new() }
    }
}

impl CacheSettings {
    const TTL_SECONDS: u64 = 24 * 60 * 60;

    /// For how long a fact is remembered.
    pub fn ttl(&self, name: FactName) -> Duration {
        Duration::from_secs(self.ttl_seconds.get(&name).copied().unwrap_or(CacheSettings::TTL_SECONDS))
    }
}

#[derive(Debug, Default)]
struct Held {
    subscribers: HashMap<Msisdn, Remembered>,
    /// The keys of `subscribers` by when something was last heard of them: exactly one entry for each.
    by_age: BTreeSet<(Timestamp, Msisdn)>,
}

#[derive(Debug)]
struct Remembered {
    carrier: Arc<str>,
    facts: Facts,
    heard_at: Timestamp,
}

impl FactCache {
    /// Empty.
    pub fn new(settings: CacheSettings) -> FactCache {
        FactCache { settings, held: Mutex::default() }
    }

    /// What is remembered of `msisdn` as a subscriber of `carrier`, without what is past its time at `now`.
    pub fn facts(&self, msisdn: Msisdn, carrier: &str, now: Timestamp) -> Facts {
        let held = self.lock();
        let Some(of_carrier) = held.subscribers.get(&msisdn).filter(|remembered| &*remembered.carrier == carrier)
        else {
            return Facts::new();
        };
        let mut facts = of_carrier.facts.clone();
        drop(held);
        for name in FactName::ALL {
            if facts.get(name).is_some_and(|fact| now.since(fact.observed_at) > self.settings.ttl(name)) {
                facts.remove(name);
            }
        }
        facts
    }

    /// Whether anything is remembered of `msisdn` as a subscriber of `carrier`, however old.
    pub fn knows(&self, msisdn: Msisdn, carrier: &str) -> bool {
        self.lock().subscribers.get(&msisdn).is_some_and(|remembered| &*remembered.carrier == carrier)
    }

    /// Remembers a fact; which of several statements is kept: see [`Facts::add`]. A statement of another carrier
    /// replaces what is remembered of the number, unless it is older.
    pub fn remember(&self, msisdn: Msisdn, carrier: &str, name: FactName, fact: Fact) {
        self.lock().remember(msisdn, carrier, name, fact, self.settings.subscribers_max);
    }

    /// Of how many subscribers something is remembered.
    pub fn len(&self) -> usize {
        self.lock().subscribers.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half-way; and were it so, a cache may be wrong about its age order, never about money.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remember(&mut self, msisdn: Msisdn, carrier: &str, name: FactName, fact: Fact, subscribers_max: usize) {
        let observed_at = fact.observed_at;
        let remembered = self.subscribers.entry(msisdn).or_insert_with(|| Remembered {
            carrier: carrier.into(),
            facts: Facts::new(),
            heard_at: observed_at,
        });
        if &*remembered.carrier != carrier {
            if observed_at < remembered.heard_at {
                return;
            }
            remembered.carrier = carrier.into();
            remembered.facts = Facts::new();
        }
        remembered.facts.add(name, fact);
        self.by_age.remove(&(remembered.heard_at, msisdn));
        remembered.heard_at = remembered.heard_at.max(observed_at);
        self.by_age.insert((remembered.heard_at, msisdn));
        while self.subscribers.len() > subscribers_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.subscribers.remove(&oldest);
        }
        debug_assert_eq!(self.subscribers.len(), self.by_age.len(), "one age for each subscriber");
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::eligibility::{FactSource, FactValue};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn msisdn(n: u64) -> Msisdn {
        Msisdn::from_e164(77_010_000_000 + n).expect("a number")
    }

    fn seen(seconds: i64) -> Fact {
        Fact { value: FactValue::True, source: FactSource::Camara("kcell".into()), observed_at: at(seconds) }
    }

    fn cache(subscribers_max: usize) -> FactCache {
        FactCache::new(CacheSettings { subscribers_max, ..CacheSettings::default() })
    }

    #[test]
    fn a_fact_is_forgotten_after_its_own_time() {
        let ttl_seconds = BTreeMap::from([(FactName::CreditDebt, 60)]);
        let cache = FactCache::new(CacheSettings { ttl_seconds, ..CacheSettings::default() });
        cache.remember(msisdn(1), "kcell", FactName::CreditDebt, seen(0));
        cache.remember(msisdn(1), "kcell", FactName::CorporateNumber, seen(0));
        let known = |seconds| {
            let facts = cache.facts(msisdn(1), "kcell", at(seconds));
            facts.iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(known(60), [FactName::CorporateNumber, FactName::CreditDebt]);
        assert_eq!(known(61), [FactName::CorporateNumber]);
        assert_eq!(known(86_401), []);
    }

    #[test]
    fn a_full_cache_forgets_the_number_heard_of_longest_ago() {
        let cache = cache(2);
        for (n, seconds) in [(1, 10), (2, 20), (1, 30), (3, 25)] {
            cache.remember(msisdn(n), "kcell", FactName::CreditDebt, seen(seconds));
        }
        let known = |n| !cache.facts(msisdn(n), "kcell", at(40)).is_empty();
        assert_eq!([known(1), known(2), known(3)], [true, false, true]);
    }

    #[test]
    fn a_number_that_moved_to_another_carrier_begins_anew() {
        let cache = cache(2);
        cache.remember(msisdn(1), "kcell", FactName::CreditDebt, seen(10));
        cache.remember(msisdn(1), "tele2", FactName::CorporateNumber, seen(20));
        cache.remember(msisdn(1), "kcell", FactName::CreditDebt, seen(15));
        assert!(cache.facts(msisdn(1), "kcell", at(20)).is_empty());
        assert_eq!(cache.facts(msisdn(1), "tele2", at(20)).iter().count(), 1);
    }

    #[test]
    fn a_cache_of_no_size_remembers_nothing() {
        let cache = cache(0);
        cache.remember(msisdn(1), "kcell", FactName::CreditDebt, seen(10));
        assert!(cache.is_empty());
    }

    proptest! {
        #[test]
        fn it_never_outgrows_its_bound_and_keeps_the_newest(
            said in prop::collection::vec((0..12_u64, select(vec!["kcell", "tele2"]), 0..100_i64), 0..60),
            subscribers_max in 1..8_usize,
        ) {
            let cache = cache(subscribers_max);
            for (n, carrier, seconds) in said {
                cache.remember(msisdn(n), carrier, FactName::CreditDebt, seen(seconds));
                prop_assert!(cache.len() <= subscribers_max);
            }
            cache.remember(msisdn(99), "kcell", FactName::CreditDebt, seen(100));
            prop_assert!(!cache.facts(msisdn(99), "kcell", at(100)).is_empty());
        }
    }
}
