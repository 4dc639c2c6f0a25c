use serde::{Deserialize, Serialize};

use super::CarrierName;
use crate::{clock::Timestamp, msisdn::Msisdn};

/// What was heard of which carrier a number belongs to. Numbers move between carriers, so it has an age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The number.
    pub msisdn: Msisdn,
    /// The carrier whose subscriber it is; `None` if all that is known is whose it is not.
    pub carrier: Option<CarrierName>,
    /// The carrier that said last that the number is not its subscriber, since when nobody said otherwise.
    pub refused_by: Option<CarrierName>,
    /// How that is known.
    pub source: HomeSource,
    /// When it was so.
    pub observed_at: Timestamp,
}

/// How it is known which carrier a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeSource {
    /// A message from the passenger came in on this carrier's bind: the truth at that moment.
    Message,
    /// A portability look-up said so.
    LookUp,
    /// A carrier refused a charge: the number is not its subscriber.
    Refusal,
    /// The prefix by which the number was given out: a hint.
    Prefix,
}

impl HomeSource {
    /// The stable code, as in the API, the store and the metrics.
    pub const fn code(self) -> &'static str {
        match self {
            HomeSource::Message => "message",
            HomeSource::LookUp => "look_up",
            HomeSource::Refusal => "refusal",
            HomeSource::Prefix => "prefix",
        }
    }

    /// The source with this code.
    pub fn from_code(code: &str) -> Option<HomeSource> {
        [HomeSource::Message, HomeSource::LookUp, HomeSource::Refusal, HomeSource::Prefix]
            .into_iter()
            .find(|source| source.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_what_serde_writes_and_reads_back() {
        for source in [HomeSource::Message, HomeSource::LookUp, HomeSource::Refusal, HomeSource::Prefix] {
            assert_eq!(serde_json::to_value(source).expect("a plain enum"), source.code());
            assert_eq!(HomeSource::from_code(source.code()), Some(source));
        }
        assert_eq!(HomeSource::from_code("guess"), None);
    }
}
