use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use thiserror::Error;

use crate::{charge::Reason, clock::Timestamp};

/// Something known of a subscriber: a value, who said so, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What was said.
    pub value: FactValue,
    /// Who said it.
    pub source: FactSource,
    /// When it was true. For a number list, when its file was last written.
    pub observed_at: Timestamp,
}

/// The value of a fact. `Unknown` is an answer too: the source was asked and could not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactValue {
    /// Nothing is known.
    Unknown,
    /// The condition does not hold.
    False,
    /// The condition holds: a rule over it declines.
    True,
}

impl From<Option<bool>> for FactValue {
    fn from(value: Option<bool>) -> FactValue {
        match value {
            Some(true) => FactValue::True,
            Some(false) => FactValue::False,
            None => FactValue::Unknown,
        }
    }
}

/// The five conditions under which a phone balance must not pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactName {
    /// The number belongs to a company.
    CorporateNumber,
    /// A trust payment (the carrier's credit) is not paid back.
    CreditDebt,
    /// Nothing was topped up since the number was activated. Once false, it stays false.
    NoTopUpSinceActivation,
    /// The balance that came with the number has not been used. Once false, it stays false.
    InitialBalanceUnused,
    /// The SIM was replaced within the 24 hours before the observation.
    RecentSimSwap,
}

impl FactName {
    /// All of them, in the order of the documentation.
    pub const ALL: [FactName; 5] = [
        FactName::CorporateNumber,
        FactName::CreditDebt,
        FactName::NoTopUpSinceActivation,
        FactName::InitialBalanceUnused,
        FactName::RecentSimSwap,
    ];

    /// The reason that a rule over this fact declines with, and that a carrier rejects with.
    pub const fn reason(self) -> Reason {
        match self {
            FactName::CorporateNumber => Reason::CorporateNumber,
            FactName::CreditDebt => Reason::CreditDebt,
            FactName::NoTopUpSinceActivation => Reason::NoTopUpSinceActivation,
            FactName::InitialBalanceUnused => Reason::InitialBalanceUnused,
            FactName::RecentSimSwap => Reason::RecentSimSwap,
        }
    }

    /// The fact that a rejection with `reason` tells of, if it tells of one.
    pub fn from_reason(reason: Reason) -> Option<FactName> {
        FactName::ALL.into_iter().find(|name| name.reason() == reason)
    }

    /// The stable code, the same as its reason's: `credit_debt`.
    pub const fn code(self) -> &'static str {
        self.reason().code()
    }

    /// How long after its observation a `true` can be true at all, whoever said it; `None` where time alone ends
    /// nothing.
    ///
    /// `recent_sim_swap` speaks of the 24 hours before the observation. 24 hours after it, that swap is no longer
    /// recent for certain, and whether there was another since is unknown.
    pub const fn lifetime(self) -> Option<Duration> {
        match self {
            FactName::RecentSimSwap => Some(Duration::from_secs(24 * 60 * 60)),
            _ => None,
        }
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Who said it. Shown, stored and serialised as `kind:name`, for example `number_list:corporate`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FactSource {
    /// The source of this name answered a CAMARA request (SIM Swap, Tenure).
    Camara(Arc<str>),
    /// The carrier of this name rejected a charge with the condition's reason.
    CarrierRejection(Arc<str>),
    /// The number list of this name holds the number.
    NumberList(Arc<str>),
    /// The operator of this name decided it by hand.
    Operator(Arc<str>),
    /// The subscriber-profile request of this name was answered.
    Profile(Arc<str>),
}

/// A text that is no [`FactSource`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "not a source of facts: expected camara:NAME, carrier_rejection:NAME, number_list:NAME, operator:NAME or profile:NAME"
)]
pub struct FactSourceError;

impl FactSource {
    /// Whether what it says holds until it is withdrawn, rather than being an observation that ages.
    ///
    /// A list is in force as long as it is configured, and an operator's word until it is taken back. Were they to age,
    /// a company's numbers would begin to pay because nobody touched the file for a month.
    pub const fn is_standing(&self) -> bool {
        matches!(self, FactSource::NumberList(_) | FactSource::Operator(_))
    }

    const fn parts(&self) -> (&'static str, &Arc<str>) {
        match self {
            FactSource::Camara(name) => ("camara", name),
            FactSource::CarrierRejection(name) => ("carrier_rejection", name),
            FactSource::NumberList(name) => ("number_list", name),
            FactSource::Operator(name) => ("operator", name),
            FactSource::Profile(name) => ("profile", name),
        }
    }
}

impl fmt::Display for FactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind}:{name}")
    }
}

impl FromStr for FactSource {
    type Err = FactSourceError;

    fn from_str(text: &str) -> Result<FactSource, FactSourceError> {
        let (kind, name) = text.split_once(':').ok_or(FactSourceError)?;
        let build = match kind {
            "camara" => FactSource::Camara,
            "carrier_rejection" => FactSource::CarrierRejection,
            "number_list" => FactSource::NumberList,
            "operator" => FactSource::Operator,
            "profile" => FactSource::Profile,
            _ => return Err(FactSourceError),
        };
        Ok(build(name.into()))
    }
}

impl Serialize for FactSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FactSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FactSource, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Fact {
    /// Orders two statements about the fact `name`: the greater one is believed.
    fn weight(&self, other: &Fact, name: FactName) -> Ordering {
        let rank = |fact: &Fact| {
            // A standing statement about what ends by itself would hide a fresher one after its end.
            let stands = fact.source.is_standing() && name.lifetime().is_none();
            match fact.value {
                FactValue::True if stands => 3,
                FactValue::False if stands => 2,
                FactValue::True | FactValue::False => 1,
                FactValue::Unknown => 0,
            }
        };
        let key = |fact| (rank(fact), fact.observed_at, fact.value);
        key(self).cmp(&key(other)).then_with(|| self.source.cmp(&other.source))
    }
}

/// What is known of one subscriber: at most one fact of each name. What is absent was never said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts([Option<Fact>; FactName::ALL.len()]);

impl Facts {
    /// Nothing known.
    pub const fn new() -> Facts {
        Facts([const { None }; FactName::ALL.len()])
    }

    /// The fact of this name.
    pub fn get(&self, name: FactName) -> Option<&Fact> {
        self.0[name as usize].as_ref()
    }

    /// Adds a statement and keeps the one to be believed. The order of the calls does not matter.
    ///
    /// What stands (a number list, an operator) beats what was observed, and of what stands, `true` beats `false`: who
    /// is listed must not pay, and who is listed as `false` was exempted on purpose; the carrier still has the last
    /// word. A recent SIM swap ends by itself, so there nothing stands. A definite value beats *unknown*, even a newer
    /// one: not to know takes no knowledge away, and age does that anyway. Then the newest observation wins; at the
    /// same moment `true`, the careful answer, does.
    pub fn add(&mut self, name: FactName, fact: Fact) {
        let held = &mut self.0[name as usize];
        if held.as_ref().is_none_or(|held| fact.weight(held, name).is_gt()) {
            *held = Some(fact);
        }
    }

    /// Forgets the fact of this name.
    pub fn remove(&mut self, name: FactName) {
        self.0[name as usize] = None;
    }

    /// The facts there are, in the order of [`FactName::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (FactName, &Fact)> {
        FactName::ALL.into_iter().filter_map(|name| Some((name, self.get(name)?)))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl FromIterator<(FactName, Fact)> for Facts {
    fn from_iter<I: IntoIterator<Item = (FactName, Fact)>>(statements: I) -> Facts {
        let mut facts = Facts::new();
        for (name, fact) in statements {
            facts.add(name, fact);
        }
        facts
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, fact) in self.iter() {
            map.serialize_entry(&name, fact)?;
        }
        map.end()
    }
}
