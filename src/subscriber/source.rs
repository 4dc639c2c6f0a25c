use std::{fmt, sync::Arc, time::Duration};

use jiff::{ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::AskingConfig;
use crate::{
    carrier::{
        BreakerProfile, HttpCarrier,
        camara::{CamaraCarrier, ContractType, FactError, SimSwapDate},
        http::SubscriberReading,
    },
    charge::CarrierName,
    clock::Timestamp,
    eligibility::{FactName, FactSource, FactValue},
    msisdn::Msisdn,
    pace::BreakerConfig,
};

/// A SIM that was replaced within so many hours is a recent swap.
const SIM_SWAP_HOURS: u16 = 24;

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
        let within = [
            ("questions_max", questions_max, 1..=10_000),
            ("timeout_ms", self.timeout_ms, 10..=60_000),
            ("breaker.failures_max", self.breaker.failures_max.into(), 1..=1_000_000),
            ("breaker.pause_ms", self.breaker.pause_ms, 1..=3_600_000),
            ("breaker.pause_ms_max", self.breaker.pause_ms_max, self.breaker.pause_ms..=86_400_000),
        ];
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
    /// CAMARA SIM Swap: `recent_sim_swap`.
    SimSwap(CamaraCarrier, SimSwapBy),
    /// CAMARA Tenure: `corporate_number`, of which the contract's type tells.
    Tenure(CamaraCarrier),
    /// The `subscriber` request of an HTTP profile: what that reads.
    Profile(HttpCarrier),
    /// A closure stands in, for tests of what is around a source.
    #[cfg(test)]
    Probe(Vec<FactName>, Arc<dyn Fn(Msisdn) -> ProbeAnswer + Send + Sync>),
}

/// Which operation of SIM Swap is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SimSwapBy {
    /// `/check` with a `maxAge` of 24 hours.
    #[default]
    Check,
    /// `/retrieve-date`, for carriers that have no other.
    RetrieveDate,
}

/// What a probe answers.
#[cfg(test)]
pub(crate) type ProbeAnswer = std::pin::Pin<Box<dyn Future<Output = Said> + Send>>;

/// What a source says of a number: its facts, *unknown* among them where it cannot say. Errors: what happened, for people.
pub(crate) type Said = Result<Vec<(FactName, FactValue)>, String>;

impl Source {
    /// What can be asked of a carrier's CAMARA interfaces: a source for each that its profile names, `NAME.sim_swap` and
    /// `NAME.tenure`.
    pub fn camara(
        name: &str,
        carrier: &CarrierName,
        adapter: &CamaraCarrier,
        by: SimSwapBy,
        asking: &AskingSettings,
    ) -> Vec<Source> {
        let source = |interface: &str, kind| Source {
            name: format!("{name}.{interface}").into(),
            carrier: carrier.clone(),
            asking: asking.clone(),
            kind,
        };
        let profile = adapter.profile();
        let sim_swap = profile.sim_swap_url.as_ref();
        let sim_swap = sim_swap.map(|_| source("sim_swap", SourceKind::SimSwap(adapter.clone(), by)));
        let tenure = profile.tenure_url.as_ref().map(|_| source("tenure", SourceKind::Tenure(adapter.clone())));
        [sim_swap, tenure].into_iter().flatten().collect()
    }
}

impl SourceKind {
    /// The facts that it can be asked for.
    pub fn facts(&self) -> Vec<FactName> {
        match self {
            SourceKind::SimSwap(..) => vec![FactName::RecentSimSwap],
            SourceKind::Tenure(_) => vec![FactName::CorporateNumber],
            SourceKind::Profile(http) => http.profile().facts(),
            #[cfg(test)]
            SourceKind::Probe(facts, _) => facts.clone(),
        }
    }

    /// Asks about a number. Takes as long as it takes: who asks sets the limit, and says here for how long he waits.
    pub(super) async fn ask(&self, msisdn: Msisdn, now: Timestamp, patience: Duration) -> Said {
        match self {
            SourceKind::SimSwap(camara, SimSwapBy::Check) => {
                let swapped = camara.sim_swap(msisdn, SIM_SWAP_HOURS).await;
                said(FactName::RecentSimSwap, swapped.map(|swapped| Some(swapped).into()))
            }
            SourceKind::SimSwap(camara, SimSwapBy::RetrieveDate) => {
                let date = camara.sim_swap_date(msisdn).await;
                said(FactName::RecentSimSwap, date.map(|date| was_swapped(date, now).into()))
            }
            SourceKind::Tenure(camara) => {
                // The question must name a date that is not to come; the contract's type does not depend on it.
                let yesterday = now.date_in(&TimeZone::UTC).saturating_sub(1.day());
                let contract = camara.tenure(msisdn, yesterday).await;
                let is_corporate = |contract: ContractType| contract == ContractType::Business;
                said(FactName::CorporateNumber, contract.map(|contract| contract.map(is_corporate).into()))
            }
            SourceKind::Profile(http) => match http.subscriber(msisdn, patience).await {
                SubscriberReading::Facts(facts) => Ok(facts),
                // Not to know a number is an answer.
                SubscriberReading::NotOurSubscriber | SubscriberReading::NotFound => Ok(Vec::new()),
                SubscriberReading::Unclear(why) => Err(why),
            },
            #[cfg(test)]
            SourceKind::Probe(_, probe) => probe(msisdn).await,
        }
    }

    /// How a fact names it.
    pub(super) fn fact_source(&self, name: Arc<str>) -> FactSource {
        match self {
            SourceKind::SimSwap(..) | SourceKind::Tenure(_) => FactSource::Camara(name),
            SourceKind::Profile(_) => FactSource::Profile(name),
            #[cfg(test)]
            SourceKind::Probe(..) => FactSource::Profile(name),
        }
    }
}

/// Not to know a number is an answer; not to answer is none.
fn said(name: FactName, answer: Result<FactValue, FactError>) -> Said {
    match answer {
        Ok(value) => Ok(vec![(name, value)]),
        Err(FactError::NotTheirs | FactError::NotApplicable) => Ok(vec![(name, FactValue::Unknown)]),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the last swap is recent at `now`; `None` if the answer does not say. A carrier that tells no date and not how far back it
/// would know one has said nothing.
fn was_swapped(date: SimSwapDate, now: Timestamp) -> Option<bool> {
    match date {
        SimSwapDate { latest: Some(latest), .. } => {
            Some(now.since(latest) <= Duration::from_secs(u64::from(SIM_SWAP_HOURS) * 3_600))
        }
        SimSwapDate { latest: None, monitored_days: Some(1..) } => Some(false),
        SimSwapDate { latest: None, monitored_days: Some(0) | None } => None,
    }
}

impl fmt::Debug for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SourceKind::SimSwap(..) => "SimSwap",
            SourceKind::Tenure(_) => "Tenure",
            SourceKind::Profile(_) => "Profile",
            #[cfg(test)]
            SourceKind::Probe(..) => "Probe",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_recent_for_24_hours_and_no_date_says_no_only_if_one_would_be_known() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let ago = |seconds| Some(now.minus(Duration::from_secs(seconds)));
        let swapped = |latest, monitored_days| was_swapped(SimSwapDate { latest, monitored_days }, now);
        assert_eq!(swapped(ago(86_400), None), Some(true));
        assert_eq!(swapped(ago(86_401), None), Some(false));
        assert_eq!(swapped(Some(now.plus(Duration::from_secs(60))), None), Some(true), "their clock is ahead");
        assert_eq!(swapped(None, Some(120)), Some(false));
        assert_eq!(swapped(None, Some(0)), None);
        assert_eq!(swapped(None, None), None);
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        assert_eq!(AskingSettings::default().problems(), [""; 0]);
        let breaker = BreakerProfile { failures_max: 0, ..BreakerProfile::default() };
        let unsound = AskingSettings { questions_max: 0, timeout_ms: 5, breaker };
        let keys: Vec<String> =
            unsound.problems().iter().map(|problem| problem.split(':').next().unwrap_or_default().into()).collect();
        assert_eq!(keys, ["questions_max", "timeout_ms", "breaker.failures_max"]);
    }
}
