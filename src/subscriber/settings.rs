use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{AskingSettings, CacheSettings, KeeperConfig, SimSwapBy};
use crate::{
    carrier::{CamaraProfile, HttpProfile, RoutingSettings, TlsConfig, camara::TokenProfile, web::WebAddress},
    charge::CarrierName,
    eligibility::FactName,
};

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
    /// How a source may be asked that says nothing else.
    pub asking: AskingSettings,
    /// After so many seconds a fact is forgotten. A rule's `max_age_seconds` says for how long it is believed; what is
    /// kept longer only shows in the answer to why a number cannot pay. A fact that is not named is kept for 24 hours.
    pub ttl_seconds: BTreeMap<FactName, u64>,
    /// Who can be asked, by a name for it, besides the carriers that charge over an interface that also answers questions.
    pub sources: BTreeMap<String, FactSourceSettings>,
    /// Who can be asked which carrier a number belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUpSettings>,
}

/// `[facts.sources.NAME]`: somebody who can be asked about a carrier's subscribers. Without an interface of its own it stands for
/// the carrier's own, to ask it in another way.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FactSourceSettings {
    /// Whose subscribers it knows.
    pub carrier: CarrierName,
    /// How it may be asked, where that differs from `facts.asking`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<AskingSettings>,
    /// Which operation of CAMARA SIM Swap is asked.
    #[serde(default)]
    pub sim_swap: SimSwapBy,
    /// CAMARA SIM Swap and Tenure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camara: Option<CamaraFactsSettings>,
    /// A profile with a `subscriber` request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProfile>,
}

/// `[facts.look_up]`: somebody who can be asked which carrier a number belongs to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LookUpSettings {
    /// How it may be asked, where that differs from `facts.asking`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<AskingSettings>,
    /// A profile with a `portability` request.
    pub http: HttpProfile,
}

/// CAMARA interfaces that only answer questions, in the words of `[carriers.NAME.camara]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CamaraFactsSettings {
    /// SIM Swap: `https://api.example.kz/sim-swap/v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sim_swap_url: Option<WebAddress>,
    /// Tenure: `https://api.example.kz/kyc-tenure/v0.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenure_url: Option<WebAddress>,
    /// Where access tokens come from.
    pub token: TokenProfile,
    /// TLS to all of these; with what the system trusts if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Whether `http://` is allowed beyond this machine: only where the way is protected otherwise.
    #[serde(default)]
    pub plain_http: bool,
}

impl Default for FactsSettings {
    fn default() -> FactsSettings {
        let CacheSettings { subscribers_max, ttl_seconds } = CacheSettings::default();
        FactsSettings {
            budget_ms: 700,
            subscribers_max,
            stored_max: 1_000_000,
            asking: AskingSettings::default(),
            ttl_seconds,
            sources: BTreeMap::new(),
            look_up: None,
        }
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
        let asking = |key: String, asking: &AskingSettings| -> Vec<String> {
            asking.problems().into_iter().map(|problem| format!("{key}asking.{problem}")).collect()
        };
        problems.extend(asking(String::new(), &self.asking));
        for (name, source) in &self.sources {
            problems.extend(source.asking.iter().flat_map(|own| asking(format!("sources.{name}."), own)));
            if source.camara.is_some() && source.http.is_some() {
                problems.push(format!("sources.{name}: it has camara and http; make two sources of it"));
            }
            if let Some(camara) = &source.camara {
                let found = camara.problems();
                problems.extend(found.into_iter().map(|problem| format!("sources.{name}.camara.{problem}")));
            }
        }
        let look_up = self.look_up.iter().flat_map(|look_up| &look_up.asking);
        problems.extend(look_up.flat_map(|own| asking("look_up.".into(), own)));
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

impl CamaraFactsSettings {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        match self.profile() {
            Some(profile) => profile.problems(),
            None => vec!["sim_swap_url: name it, or tenure_url".into()],
        }
    }

    /// The profile of a carrier that is never charged; `None` if there is nothing to ask.
    pub fn profile(&self) -> Option<CamaraProfile> {
        let mut written = toml::Table::try_from(self).ok()?;
        // No payment is ever made there.
        let asked = written.get("sim_swap_url").or(written.get("tenure_url"))?.clone();
        written.insert("billing_url".into(), asked);
        written.try_into().ok()
    }
}
