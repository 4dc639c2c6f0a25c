use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{CacheSettings, KeeperConfig};
use crate::{carrier::RoutingSettings, eligibility::FactName};

/// What is remembered of subscribers, and who is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactsSettings {
    /// What a charge waits at most for all that is asked before it, in milliseconds. What nobody has said by then is unknown.
    pub budget_ms: u64,
    /// So many subscribers at most in memory; one takes about 400 bytes. 0 remembers nothing.
    pub subscribers_max: usize,
    /// So many facts at most in the store.
    pub stored_max: u64,
    /// After so many seconds a fact is forgotten. A rule's `max_age_seconds` says for how long it is believed; what is
    /// kept longer only shows in the answer to why a number cannot pay. A fact that is not named is kept for 24 hours.
    pub ttl_seconds: BTreeMap<FactName, u64>,
}

impl Default for FactsSettings {
    fn default() -> FactsSettings {
        let CacheSettings { subscribers_max, ttl_seconds } = CacheSettings::default();
        FactsSettings { budget_ms: 700, subscribers_max, stored_max: 1_000_000, ttl_seconds }
    }
}

impl FactsSettings {
    /// What is wrong, each with its key; empty if nothing is. A charge that must be over within `ticket_deadline` waits for a
    /// quarter of that at most.
    pub fn problems(&self, ticket_deadline: Duration) -> Vec<String> {
        let budget_max = u64::try_from(ticket_deadline.as_millis() / 4).unwrap_or(u64::MAX).max(10);
        let within = [
            ("budget_ms", self.budget_ms, 10..=budget_max),
            ("subscribers_max", u64::try_from(self.subscribers_max).unwrap_or(u64::MAX), 0..=10_000_000),
            ("stored_max", self.stored_max, 0..=100_000_000),
        ];
        let outside = within.into_iter().filter(|(_, value, range)| !range.contains(value));
        let mut problems: Vec<String> = outside
            .map(|(key, value, range)| format!("{key}: {value} is not between {} and {}", range.start(), range.end()))
            .collect();
        if self.budget_ms > budget_max {
            problems
                .push("budget_ms: a charge may wait for at most a quarter of gateway.ticket_deadline_seconds".into());
        }
        problems
    }

    /// [`FactsSettings::budget_ms`].
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms)
    }

    /// What memory holds.
    pub fn cache(&self) -> CacheSettings {
        CacheSettings { subscribers_max: self.subscribers_max, ttl_seconds: self.ttl_seconds.clone() }
    }

    /// What the store holds, with what it holds of numbers' carriers.
    pub fn keeper(&self, routing: &RoutingSettings) -> KeeperConfig {
        let cache = self.cache();
        let longest: BTreeSet<Duration> = FactName::ALL.into_iter().map(|name| cache.ttl(name)).collect();
        KeeperConfig {
            facts_max: self.stored_max,
            facts_for: longest.last().copied().unwrap_or_default(),
            homes_max: routing.stored_max,
            homes_for: Duration::from_secs(routing.forget_after_days.saturating_mul(86_400)),
        }
    }
}
