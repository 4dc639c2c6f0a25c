use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::AskingConfig;
use crate::{
    carrier::BreakerProfile,
    charge::CarrierName,
    eligibility::{FactName, FactSource, FactValue},
    msisdn::Msisdn,
    pace::BreakerConfig,
};

/// How a source may be asked, whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskingSettings {
    /// Questions under way at once.
    pub questions_max: usize,
    /// After so long a question is given up, in milliseconds. What comes later than a charge waits still serves the next one.
    pub timeout_ms: u64,
    /// When it is left alone for a while. An answer that comes too late counts as a failure.
    pub breaker: BreakerProfile,
}

impl Default for AskingSettings {
    fn default() -> AskingSettings {
        AskingSettings { questions_max: 32, timeout_ms: 2_000, breaker: BreakerProfile::default() }
    }
}

impl AskingSettings {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let questions_max = u64::try_from(self.questions_max).unwrap_or(u64::MAX);
        let within = [("questions_max", questions_max, 1..=10_000), ("timeout_ms", self.timeout_ms, 10..=60_000)];
        let outside = within.into_iter().filter(|(_, value, range)| !range.contains(value));
        outside
            .map(|(key, value, range)| format!("{key}: {value} is not between {} and {}", range.start(), range.end()))
            .collect()
    }

    pub(super) fn config(&self, budget: Duration) -> AskingConfig {
        let BreakerProfile { failures_max, pause_ms, pause_ms_max } = self.breaker;
        let (pause, pause_max) = (Duration::from_millis(pause_ms), Duration::from_millis(pause_ms_max));
        AskingConfig {
            questions_max: self.questions_max,
            timeout: Duration::from_millis(self.timeout_ms),
            budget,
            breaker: BreakerConfig { failures_max, pause, pause_max },
        }
    }
}

/// Somebody who can be asked about a carrier's subscribers.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the configuration, in metrics and in facts.
    pub name: Arc<str>,
    /// Whose subscribers it knows.
    pub carrier: CarrierName,
    /// How it may be asked.
    pub asking: AskingSettings,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is.
#[derive(Clone)]
pub enum SourceKind {
    /// A closure stands in, for tests of what is around a source.
    #[cfg(test)]
    Probe(Vec<FactName>, Arc<dyn Fn(Msisdn) -> ProbeAnswer + Send + Sync>),
}

/// What a probe answers.
#[cfg(test)]
pub(crate) type ProbeAnswer = std::pin::Pin<Box<dyn Future<Output = Said> + Send>>;

/// What a source says of a number: its facts, *unknown* among them where it cannot say. Errors: what happened, for people.
pub(crate) type Said = Result<Vec<(FactName, FactValue)>, String>;

impl SourceKind {
    /// The facts that it can be asked for.
    pub fn facts(&self) -> Vec<FactName> {
        match *self {
            #[cfg(test)]
            SourceKind::Probe(ref facts, _) => facts.clone(),
        }
    }

    /// Asks about a number. Takes as long as it takes: who asks sets the limit.
    pub(super) async fn ask(&self, msisdn: Msisdn) -> Said {
        match *self {
            #[cfg(test)]
            SourceKind::Probe(_, ref probe) => probe(msisdn).await,
        }
    }

    /// How a fact names it.
    pub(super) fn fact_source(&self, name: Arc<str>) -> FactSource {
        match *self {
            #[cfg(test)]
            SourceKind::Probe(..) => FactSource::Profile(name),
        }
    }
}

impl fmt::Debug for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            #[cfg(test)]
            SourceKind::Probe(..) => f.write_str("Probe"),
        }
    }
}
