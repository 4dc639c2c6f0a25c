use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::time;
use tracing::warn;

use super::{
    Asking, FactCache, FactsSettings, Keeper, LookUp, NumberLists, Silence, Source, SourceKind, Waiting,
    look_up::AskedLookUp,
};
use crate::{
    charge::{CarrierName, Home, Reason},
    clock::Timestamp,
    eligibility::{Fact, FactName, FactRule, FactSource, FactValue, Facts},
    msisdn::Msisdn,
    process,
    store::{Store, StoredFact},
};

/// Facts that are read from the store at the start; others are read when they are asked for.
const RECALLED_MAX: u32 = 50_000;

/// What is known of subscribers, and who can be asked. Shared by all tasks.
#[derive(Debug)]
pub struct Subscribers {
    lists: ArcSwap<NumberLists>,
    known: Arc<Known>,
    store: Option<Store>,
    sources: Vec<Asked>,
    look_up: Option<AskedLookUp>,
    budget: Duration,
}

/// What was said: remembered in memory, and kept behind the charges.
#[derive(Debug)]
struct Known {
    cache: FactCache,
    keeper: Option<Keeper>,
}

/// A source with what watches over it.
#[derive(Debug)]
struct Asked {
    name: Arc<str>,
    carrier: CarrierName,
    facts: Vec<FactName>,
    kind: SourceKind,
    patience: Duration,
    asking: Asking<Facts>,
}

/// What is known of a number once those who could know were asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The facts.
    pub facts: Facts,
    /// Who was asked and said nothing.
    pub silent: Vec<Silent>,
}

/// A source that said nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Its name.
    pub source: Arc<str>,
    /// Which facts were wanted of it.
    pub facts: Vec<FactName>,
    /// Why it said nothing.
    pub silence: Silence,
}

impl Subscribers {
    /// With these lists, and what `cache` holds. Nobody can be asked, and nothing is kept.
    pub fn new(lists: NumberLists, cache: FactCache) -> Subscribers {
        let known = Arc::new(Known { cache, keeper: None });
        let (lists, sources) = (ArcSwap::from_pointee(lists), Vec::new());
        Subscribers { lists, known, store: None, sources, look_up: None, budget: Duration::ZERO }
    }

    /// With these lists and sources; what they say is kept in the store. Needs a tokio runtime.
    pub fn open(
        lists: NumberLists,
        settings: &FactsSettings,
        (sources, look_up): (Vec<Source>, Option<LookUp>),
        (store, keeper): (Store, Keeper),
    ) -> Subscribers {
        let budget = settings.budget();
        let asked = |source: Source| Asked {
            asking: Asking::new(source.name.clone(), source.asking.config(budget)),
            facts: source.kind.facts(),
            patience: Duration::from_millis(source.asking.timeout_ms),
            name: source.name,
            carrier: source.carrier,
            kind: source.kind,
        };
        let known = Arc::new(Known { cache: FactCache::new(settings.cache()), keeper: Some(keeper) });
        let sources = sources.into_iter().map(asked).collect();
        let (lists, store) = (ArcSwap::from_pointee(lists), Some(store));
        let look_up = look_up.map(|look_up| AskedLookUp::new(look_up, budget));
        Subscribers { lists, known, store, sources, look_up, budget }
    }

    /// Reads back what was said last before the process started. What cannot be read is asked again.
    pub async fn recall(&self) {
        let Some(store) = &self.store else { return };
        match store.newest_facts(RECALLED_MAX).await {
            // The oldest first: a full memory forgets those.
            Ok(facts) => facts.into_iter().rev().for_each(|stored| {
                self.known.cache.remember(stored.msisdn, stored.carrier.as_str(), stored.name, stored.fact);
            }),
            Err(error) => warn!(%error, "what was known of subscribers cannot be read"),
        }
    }

    /// Everything that is known of `msisdn` as a subscriber of `carrier` without asking anybody; returns at once. Which of
    /// several statements is believed: see [`Facts::add`].
    pub fn facts(&self, msisdn: Msisdn, carrier: &str, now: Timestamp) -> Facts {
        let mut facts = self.known.cache.facts(msisdn, carrier, now);
        for (name, fact) in self.lists.load().facts(msisdn, carrier) {
            facts.add(name, fact);
        }
        facts
    }

    /// By when whoever is asked from now on must have answered.
    pub fn until(&self) -> Instant {
        process::now() + self.budget
    }

    /// The facts that `rules` ask for, that are not known well enough, and that somebody could be asked for.
    pub fn lacking(&self, msisdn: Msisdn, carrier: &CarrierName, rules: &[FactRule], now: Timestamp) -> Vec<FactName> {
        if self.sources_of(carrier).next().is_none() {
            return Vec::new();
        }
        self.lacking_of(&self.facts(msisdn, carrier.as_str(), now), carrier, rules, now)
    }

    /// Whether somebody can be asked for this fact about subscribers of `carrier`.
    pub fn has_source(&self, carrier: &CarrierName, name: FactName) -> bool {
        self.sources_of(carrier).any(|source| source.facts.contains(&name))
    }

    /// What is known of `msisdn` once everybody was asked who may know what `rules` ask for and is not known well enough: all
    /// side by side, and nobody after `until`. An answer that comes later still serves the next to ask.
    pub async fn gather(
        &self,
        msisdn: Msisdn,
        carrier: &CarrierName,
        rules: &[FactRule],
        (now, until): (Timestamp, Instant),
    ) -> Gathered {
        let mut lacking = self.lacking(msisdn, carrier, rules, now);
        if lacking.is_empty() {
            return Gathered { facts: self.facts(msisdn, carrier.as_str(), now), silent: Vec::new() };
        }
        if self.read_back(msisdn, carrier, until).await {
            lacking = self.lacking(msisdn, carrier, rules, now);
        }
        let wanted = |source: &Asked| -> Vec<FactName> {
            source.facts.iter().copied().filter(|name| lacking.contains(name)).collect()
        };
        let asked: Vec<_> = self
            .sources_of(carrier)
            .map(|source| (source, wanted(source)))
            .filter(|(_, wanted)| !wanted.is_empty())
            .map(|(source, wanted)| (source, wanted, self.ask(source, msisdn, now)))
            .collect();
        let mut gathered = Gathered::default();
        for (source, wanted, waiting) in asked {
            let said = match waiting {
                Ok(waiting) => waiting.answer(until).await,
                Err(silence) => Err(silence),
            };
            let mut silent = |facts: Vec<FactName>, silence| {
                gathered.silent.push(Silent { source: source.name.clone(), facts, silence });
            };
            match said {
                Ok(facts) => {
                    let is_known = |name| facts.get(name).is_some_and(|fact| fact.value != FactValue::Unknown);
                    let unsaid: Vec<FactName> = wanted.into_iter().filter(|name| !is_known(*name)).collect();
                    if !unsaid.is_empty() {
                        silent(unsaid, Silence::CannotSay);
                    }
                    facts.iter().for_each(|(name, fact)| gathered.facts.add(name, fact.clone()));
                }
                Err(silence) => silent(wanted, silence),
            }
        }
        // What else has been heard meanwhile; and memory may be too small to hold the answers.
        for (name, fact) in self.facts(msisdn, carrier.as_str(), now).iter() {
            gathered.facts.add(name, fact.clone());
        }
        gathered
    }

    /// Whose subscriber the number is, by a portability look-up that answers before `until`; `None` in it if that does not know.
    /// `None` if there is no look-up.
    pub async fn look_up(&self, msisdn: Msisdn, until: Instant) -> Option<Result<Option<CarrierName>, Silence>> {
        match &self.look_up {
            Some(look_up) => Some(look_up.ask(msisdn, until).await),
            None => None,
        }
    }

    /// Whether somebody can be asked whose subscriber a number is.
    pub fn looks_up(&self) -> bool {
        self.look_up.is_some()
    }

    /// The name of the deny list that holds `msisdn`, if one does.
    pub fn denied_by(&self, msisdn: Msisdn, carrier: &str) -> Option<Arc<str>> {
        self.lists.load().denied_by(msisdn, carrier)
    }

    /// Remembers what a source said, and keeps it.
    pub fn remember(&self, msisdn: Msisdn, carrier: &CarrierName, name: FactName, fact: Fact) {
        self.known.remember(msisdn, carrier, name, fact);
    }

    /// Remembers what a carrier's rejection at `at` tells of the subscriber. Whether it told of one of the five
    /// conditions.
    pub fn remember_rejection(&self, msisdn: Msisdn, carrier: &CarrierName, reason: Reason, at: Timestamp) -> bool {
        let Some(name) = FactName::from_reason(reason) else { return false };
        let source = FactSource::CarrierRejection(carrier.as_str().into());
        self.remember(msisdn, carrier, name, Fact { value: FactValue::True, source, observed_at: at });
        true
    }

    /// Keeps which carrier a number belongs to.
    pub fn keep_home(&self, home: Home) {
        self.known.keeper.iter().for_each(|keeper| keeper.keep_home(home.clone()));
    }

    /// Puts `lists` in place of the present ones, all at once. Calls that have begun end with the old ones.
    pub fn replace_lists(&self, lists: NumberLists) {
        self.lists.store(Arc::new(lists));
    }

    /// The lists in force.
    pub fn lists(&self) -> Arc<NumberLists> {
        self.lists.load_full()
    }

    fn sources_of(&self, carrier: &CarrierName) -> impl Iterator<Item = &Asked> {
        self.sources.iter().filter(move |source| source.carrier == *carrier)
    }

    fn lacking_of(&self, facts: &Facts, carrier: &CarrierName, rules: &[FactRule], now: Timestamp) -> Vec<FactName> {
        let worth = |rule: &FactRule| facts.get(rule.fact).map_or(FactValue::Unknown, |fact| rule.worth(fact, now));
        let unknown = rules.iter().filter(|rule| worth(rule) == FactValue::Unknown).map(|rule| rule.fact);
        unknown.filter(|name| self.has_source(carrier, *name)).collect()
    }

    /// Reads from the store what memory does not have of a number. Whether there was anything.
    async fn read_back(&self, msisdn: Msisdn, carrier: &CarrierName, until: Instant) -> bool {
        let Some(store) = self.store.as_ref().filter(|_| !self.known.cache.knows(msisdn, carrier.as_str())) else {
            return false;
        };
        match time::timeout_at(until.into(), store.facts(msisdn, carrier)).await {
            Ok(Ok(facts)) => {
                for (name, fact) in facts.iter() {
                    self.known.cache.remember(msisdn, carrier.as_str(), name, fact.clone());
                }
                !facts.is_empty()
            }
            Ok(Err(error)) => {
                warn!(%error, "what is known of a subscriber cannot be read");
                false
            }
            Err(_) => false,
        }
    }

    /// Begins to ask. The answer is remembered whether anybody still waits for it or not.
    fn ask(&self, source: &Asked, msisdn: Msisdn, now: Timestamp) -> Result<Waiting<Facts>, Silence> {
        source.asking.begin(msisdn, || {
            let (kind, known) = (source.kind.clone(), self.known.clone());
            let patience = source.patience;
            let (carrier, named) = (source.carrier.clone(), source.kind.fact_source(source.name.clone()));
            async move {
                let mut facts = Facts::new();
                for (name, value) in kind.ask(msisdn, now, patience).await? {
                    // It was so when it was asked, or later.
                    let fact = Fact { value, source: named.clone(), observed_at: now };
                    if value != FactValue::Unknown {
                        known.remember(msisdn, &carrier, name, fact.clone());
                    }
                    facts.add(name, fact);
                }
                Ok(facts)
            }
        })
    }
}

impl Known {
    fn remember(&self, msisdn: Msisdn, carrier: &CarrierName, name: FactName, fact: Fact) {
        self.cache.remember(msisdn, carrier.as_str(), name, fact.clone());
        if let Some(keeper) = &self.keeper {
            keeper.keep_fact(StoredFact { msisdn, carrier: carrier.clone(), name, fact });
        }
    }
}

#[cfg(test)]
#[path = "subscribers/tests.rs"]
mod tests;
