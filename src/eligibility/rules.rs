use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Fact, FactName, FactValue};
use crate::{clock::Timestamp, money::Currency};

/// What an operator decides about who may pay. Read from configuration and checked then: a value of this type is sound.
///
/// ```toml
/// [[eligibility.rules]]
/// fact = "corporate_number"
/// max_age_seconds = 2_592_000
/// when_unknown = "allow"
///
/// [eligibility.limits]
/// daily_minor = 500_000
///
/// [eligibility.carriers.beeline.limits]   # replaces the limits above, for this carrier
/// daily_minor = 200_000
///
/// [eligibility.agencies.green-bus]        # what one agency may sell
/// daily_minor = 100_000_000
///
/// [eligibility.callers.ticket-service]    # what one caller of the API may sell
/// daily_minor = 300_000_000
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written")]
pub struct Rules {
    rules: Vec<FactRule>,
    limits: Limits,
    carriers: BTreeMap<String, CarrierRules>,
    agencies: BTreeMap<String, SalesLimit>,
    callers: BTreeMap<String, SalesLimit>,
}

/// One condition, in its place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FactRule {
    /// The fact that is asked; the rule declines when it is true.
    pub fact: FactName,
    /// How old an observation may be, in seconds, both ends included. An older one counts as unknown. What stands (a
    /// number list, an operator's word) does not age; see [`FactName::lifetime`] for what ends all the same.
    pub max_age_seconds: u64,
    /// What it means when nothing is known, or nothing recent enough.
    pub when_unknown: WhenUnknown,
}

/// What *unknown* means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnknown {
    /// The purchase may go on; the carrier has the last word at charge time.
    Allow,
    /// The purchase is declined with the fact's reason.
    Decline,
}

/// How much, and how often, one subscriber may buy. What is absent is not limited.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The currency of both amounts.
    pub currency: Currency,
    /// The most for one day in the carrier's time zone, in minor units (tiyn).
    pub daily_minor: Option<i64>,
    /// The most for one month in the carrier's time zone, in minor units (tiyn).
    pub monthly_minor: Option<i64>,
    /// The most purchases within a window that ends now.
    pub velocity: Option<Velocity>,
}

/// At most so many purchases within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    /// So many may be made within the window; the next one is declined.
    pub purchases_max: u32,
    /// The length of the window, in seconds.
    pub window_seconds: u64,
}

/// How much an agency, or a caller of the API, may sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SalesLimit {
    /// The currency of the amount.
    #[serde(default = "kzt")]
    pub currency: Currency,
    /// The most for one day in the carrier's time zone, in minor units (tiyn).
    pub daily_minor: i64,
}

/// What one carrier does differently. What is present replaces the general setting whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct CarrierRules {
    rules: Option<Vec<FactRule>>,
    limits: Option<Limits>,
}

/// [`Rules`] as written, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename = "eligibility")]
struct Written {
    rules: Vec<FactRule>,
    limits: Limits,
    carriers: BTreeMap<String, CarrierRules>,
    agencies: BTreeMap<String, SalesLimit>,
    callers: BTreeMap<String, SalesLimit>,
}

/// Why rules are refused. `section` is the key under `eligibility`: empty for the general one, or `carriers.NAME.`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RulesError {
    /// Two rules over one fact: the second could never say anything.
    #[error("{section}rules: {fact} has two rules")]
    Repeated {
        /// Where.
        section: String,
        /// The fact.
        fact: FactName,
    },
    /// Older than the fact can be true.
    #[error("{section}rules: {fact} is over after {lifetime_seconds} seconds; max_age_seconds may not be more")]
    OlderThanItsLifetime {
        /// Where.
        section: String,
        /// The fact.
        fact: FactName,
        /// Its lifetime.
        lifetime_seconds: u64,
    },
    /// Zero or less: to switch sales off is not what a limit is for.
    #[error("{section}{key} must be more than 0")]
    NotPositive {
        /// Where.
        section: String,
        /// The key.
        key: &'static str,
    },
}

impl Rules {
    /// Rules that hold for every carrier. Errors: see [`RulesError`].
    pub fn new(rules: Vec<FactRule>, limits: Limits) -> Result<Rules, RulesError> {
        Rules { rules, limits, ..Rules::without_any() }.checked()
    }

    /// No condition and no limit.
    fn without_any() -> Rules {
        let (carriers, agencies, callers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Rules { rules: Vec::new(), limits: Limits::default(), carriers, agencies, callers }
    }

    /// The conditions for this carrier's subscribers, in the order in which they are judged.
    pub fn facts(&self, carrier: &str) -> &[FactRule] {
        self.carriers.get(carrier).and_then(|own| own.rules.as_deref()).unwrap_or(&self.rules)
    }

    /// The limits for this carrier's subscribers.
    pub fn limits(&self, carrier: &str) -> &Limits {
        self.carriers.get(carrier).and_then(|own| own.limits.as_ref()).unwrap_or(&self.limits)
    }

    /// The carriers that have rules of their own, to be checked against those that are configured.
    pub fn carriers(&self) -> impl Iterator<Item = &str> {
        self.carriers.keys().map(String::as_str)
    }

    /// How much this agency may sell; `None` if it is not limited.
    pub fn agency(&self, agency: &str) -> Option<&SalesLimit> {
        self.agencies.get(agency)
    }

    /// How much this caller may sell; `None` if it is not limited.
    pub fn caller(&self, caller: &str) -> Option<&SalesLimit> {
        self.callers.get(caller)
    }

    /// The agencies that are limited, to be checked against those that there are.
    pub fn agencies(&self) -> impl Iterator<Item = &str> {
        self.agencies.keys().map(String::as_str)
    }

    /// The callers that are limited, to be checked against those that there are.
    pub fn callers(&self) -> impl Iterator<Item = &str> {
        self.callers.keys().map(String::as_str)
    }

    fn checked(self) -> Result<Rules, RulesError> {
        check_facts("", &self.rules)?;
        check_limits("", &self.limits)?;
        for (carrier, own) in &self.carriers {
            let section = format!("carriers.{carrier}.");
            check_facts(&section, own.rules.as_deref().unwrap_or_default())?;
            own.limits.as_ref().map_or(Ok(()), |limits| check_limits(&section, limits))?;
        }
        for (kind, limits) in [("agencies", &self.agencies), ("callers", &self.callers)] {
            if let Some((name, _)) = limits.iter().find(|(_, limit)| limit.daily_minor <= 0) {
                return Err(RulesError::NotPositive { section: format!("{kind}.{name}."), key: "daily_minor" });
            }
        }
        Ok(self)
    }
}

impl FactRule {
    /// What `fact` is worth at `now`: its value, or *unknown* if it is too old. A moment still to come has no age.
    pub fn worth(&self, fact: &Fact, now: Timestamp) -> FactValue {
        let observed = Duration::from_secs(self.max_age_seconds);
        let age_max = if fact.source.is_standing() { self.fact.lifetime() } else { Some(observed) };
        let too_old = age_max.is_some_and(|age_max| now.since(fact.observed_at) > age_max);
        if too_old { FactValue::Unknown } else { fact.value }
    }
}

impl Velocity {
    /// The length of the window.
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_seconds)
    }
}

/// All five conditions, and no limits. A `true` from a carrier is believed for a short while only: a passenger who is
/// told to top up does so and tries again at once, and the carrier has the last word anyway. Unknown allows.
impl Default for Rules {
    fn default() -> Rules {
        let rule = |(fact, max_age_seconds)| FactRule { fact, max_age_seconds, when_unknown: WhenUnknown::Allow };
        let rules = [
            (FactName::CorporateNumber, 24 * 60 * 60),
            (FactName::CreditDebt, 2 * 60),
            (FactName::NoTopUpSinceActivation, 2 * 60),
            (FactName::InitialBalanceUnused, 2 * 60),
            (FactName::RecentSimSwap, 15 * 60),
        ];
        Rules { rules: rules.map(rule).into(), ..Rules::without_any() }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { currency: Currency::Kzt, daily_minor: None, monthly_minor: None, velocity: None }
    }
}

impl Default for Written {
    fn default() -> Written {
        let Rules { rules, limits, carriers, agencies, callers } = Rules::default();
        Written { rules, limits, carriers, agencies, callers }
    }
}

impl TryFrom<Written> for Rules {
    type Error = RulesError;

    fn try_from(Written { rules, limits, carriers, agencies, callers }: Written) -> Result<Rules, RulesError> {
        Rules { rules, limits, carriers, agencies, callers }.checked()
    }
}

const fn kzt() -> Currency {
    Currency::Kzt
}

fn check_facts(section: &str, rules: &[FactRule]) -> Result<(), RulesError> {
    let mut seen = BTreeSet::new();
    for rule in rules {
        let fact = rule.fact;
        if !seen.insert(fact) {
            return Err(RulesError::Repeated { section: section.to_owned(), fact });
        }
        if let Some(lifetime_seconds) = fact.lifetime().map(|lifetime| lifetime.as_secs())
            && rule.max_age_seconds > lifetime_seconds
        {
            return Err(RulesError::OlderThanItsLifetime { section: section.to_owned(), fact, lifetime_seconds });
        }
    }
    Ok(())
}

fn check_limits(section: &str, limits: &Limits) -> Result<(), RulesError> {
    let positive = [
        ("limits.daily_minor", limits.daily_minor.is_none_or(|most| most > 0)),
        ("limits.monthly_minor", limits.monthly_minor.is_none_or(|most| most > 0)),
        ("limits.velocity.purchases_max", limits.velocity.is_none_or(|velocity| velocity.purchases_max > 0)),
        ("limits.velocity.window_seconds", limits.velocity.is_none_or(|velocity| velocity.window_seconds > 0)),
    ];
    match positive.into_iter().find(|(_, is_positive)| !is_positive) {
        Some((key, _)) => Err(RulesError::NotPositive { section: section.to_owned(), key }),
        None => Ok(()),
    }
}
