use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Asking, AskingConfig};
use crate::{
    carrier::BreakerProfile,
    charge::CarrierName,
    eligibility::{Fact, FactName, FactSource, FactValue},
    msisdn::Msisdn,
};

/// How a source may be asked, whatever its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
        let timeout = Duration::from_millis(self.timeout_ms);
        AskingConfig { questions_max: self.questions_max, timeout, budget, breaker: self.breaker.into() }
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
    /// Closures stand in, for tests of everything around a source.
    #[cfg(test)]
    Probe(Vec<FactName>, Arc<dyn Fn(Msisdn) -> ProbeAnswer + Send + Sync>),
}

/// What a probe answers.
#[cfg(test)]
pub(crate) type ProbeAnswer = std::pin::Pin<Box<dyn Future<Output = Said> + Send>>;

/// What a source says of a number: its facts, *unknown* among them where it cannot say. Errors: what happened, for people.
pub(crate) type Said = Result<Vec<(FactName, FactValue)>, String>;
