//! What kind of chaos.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Weather;
use crate::{
    msisdn::Msisdn,
    simulator::{config::DelayRange, handle::MoError, mo},
};

/// What kind of chaos. The same configuration is the same weather; what it strikes depends on what the client does then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChaosConfig {
    /// What the weather, and what passengers do, is drawn from.
    pub seed: u64,
    /// How long it lasts, the calm at its end included, in milliseconds.
    pub length_ms: u64,
    /// How long its end is without faults and without passengers, so that the client can settle; in milliseconds.
    pub calm_at_end_ms: u64,
    /// How long one spell of weather lasts.
    pub spell_ms: DelayRange,
    /// Which weathers there are. Each comes once before one comes again.
    pub weathers: Vec<Weather>,
    /// Leaves out every fault after which the client may never learn what came of a message, so that it can settle all.
    pub settling: bool,
    /// Who sends texts meanwhile; none for nobody.
    pub passengers: Option<Passengers>,
}

/// Passengers that send codes, send them again, and send other things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passengers {
    /// How many numbers.
    pub count: u32,
    /// How many texts a second, all together; a text that is sent again counts once.
    #[serde(default = "one")]
    pub per_second: u32,
    /// The first number, the others follow it; none for +77015550001.
    #[serde(default)]
    pub first: Option<Msisdn>,
    /// The short number that they write to.
    #[serde(default = "short_number")]
    pub to: String,
    /// The codes that they send.
    pub codes: Vec<String>,
}

/// Why there is no chaos.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChaosError {
    /// A value that cannot be.
    #[error("chaos: {key}: {problem}")]
    Value {
        /// The key at fault.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// One at a time.
    #[error("chaos is there already")]
    Already,
}

/// The longest chaos, in milliseconds: a week.
const LENGTH_MS_MAX: u64 = 7 * 86_400_000;
/// The shortest spell, in milliseconds.
const SPELL_MS_MIN: u64 = 10;
/// The most spells.
const SPELLS_MAX: u64 = 1_000_000;

impl ChaosConfig {
    /// Errors: the first value that cannot be, by its key.
    pub(super) fn validate(&self) -> Result<(), ChaosError> {
        if !(1..=LENGTH_MS_MAX).contains(&self.length_ms) || self.calm_at_end_ms >= self.length_ms {
            return Err(value("length_ms", "must be longer than calm_at_end_ms, and at most a week"));
        }
        let DelayRange { min, max } = self.spell_ms;
        if min < SPELL_MS_MIN || min > max || max > LENGTH_MS_MAX || self.length_ms / min > SPELLS_MAX {
            return Err(value("spell_ms", "a spell lasts 10 ms at least, and there are a million at most"));
        }
        if self.weathers.is_empty() {
            return Err(value("weathers", "name one at least; calm is one"));
        }
        self.passengers.as_ref().map_or(Ok(()), Passengers::validate)
    }
}

impl Passengers {
    /// So many passengers, one text a second, with these codes, to 2505.
    pub fn new(count: u32, codes: Vec<String>) -> Passengers {
        Passengers { count, per_second: one(), first: None, to: short_number(), codes }
    }

    /// The number of the passenger at this place, from 0.
    pub(super) fn number(&self, place: u32) -> Option<Msisdn> {
        let first = self.first.map_or(FIRST_E164, Msisdn::e164);
        Msisdn::from_e164(first.saturating_add(place.into())).ok()
    }

    fn validate(&self) -> Result<(), ChaosError> {
        if self.count == 0 || self.number(self.count - 1).is_none() {
            return Err(value("passengers.count", "must be at least 1, and the last number one of Kazakhstan"));
        }
        if !(1..=10_000).contains(&self.per_second) {
            return Err(value("passengers.per_second", "must be between 1 and 10000"));
        }
        if self.codes.is_empty() {
            return Err(value("passengers.codes", "passengers need a code to send"));
        }
        let good = |code: &String| mo::check(&self.to, code);
        self.codes.iter().try_for_each(good).map_err(|error: MoError| value("passengers.codes", error))
    }
}

impl Default for ChaosConfig {
    fn default() -> ChaosConfig {
        ChaosConfig {
            seed: 0,
            length_ms: 600_000,
            calm_at_end_ms: 60_000,
            spell_ms: DelayRange { min: 3_000, max: 12_000 },
            weathers: Weather::ALL.to_vec(),
            settling: false,
            passengers: None,
        }
    }
}

fn value(key: &'static str, problem: impl ToString) -> ChaosError {
    ChaosError::Value { key, problem: problem.to_string() }
}

fn one() -> u32 {
    1
}

/// The first number of passengers, if none is named.
const FIRST_E164: u64 = 77_015_550_001;

fn short_number() -> String {
    "2505".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        let good = ChaosConfig::default();
        assert_eq!(good.validate(), Ok(()));
        let passengers = Passengers::new(5, vec!["1234".into()]);
        for (config, key) in [
            (ChaosConfig { length_ms: 60_000, ..good.clone() }, "length_ms"),
            (ChaosConfig { length_ms: u64::MAX, ..good.clone() }, "length_ms"),
            (ChaosConfig { spell_ms: DelayRange { min: 5, max: 4 }, ..good.clone() }, "spell_ms"),
            (ChaosConfig { weathers: vec![], ..good.clone() }, "weathers"),
            (with(&good, Passengers { count: 0, ..passengers.clone() }), "count"),
            (with(&good, Passengers { per_second: 0, ..passengers.clone() }), "per_second"),
            (with(&good, Passengers { codes: vec![], ..passengers.clone() }), "codes"),
            (with(&good, Passengers { to: String::new(), ..passengers.clone() }), "codes"),
        ] {
            let error = config.validate().expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
        assert_eq!(with(&good, passengers).validate(), Ok(()));
    }

    fn with(config: &ChaosConfig, passengers: Passengers) -> ChaosConfig {
        ChaosConfig { passengers: Some(passengers), ..config.clone() }
    }
}
