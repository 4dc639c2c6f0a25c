use crate::{
    charge::CarrierName,
    clock::Timestamp,
    eligibility::{Fact, FactName},
    msisdn::Msisdn,
};

/// So many rows at most are forgotten in one write: others wait for the writer.
pub const FORGOTTEN_MAX: u32 = 10_000;

/// What a source said of a subscriber, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFact {
    /// Of whom.
    pub msisdn: Msisdn,
    /// As a subscriber of which carrier.
    pub carrier: CarrierName,
    /// Which fact.
    pub name: FactName,
    /// What was said, by whom and when.
    pub fact: Fact,
}

/// What to forget of facts and homes: at most [`FORGOTTEN_MAX`] rows for each member, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgetting {
    /// Facts observed before this moment.
    pub facts_before: Timestamp,
    /// Then so many facts more.
    pub facts_oldest: u32,
    /// Homes observed before this moment.
    pub homes_before: Timestamp,
    /// Then so many homes more.
    pub homes_oldest: u32,
}

/// How much is kept of subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownCounts {
    /// Facts.
    pub facts: u64,
    /// Numbers whose home is kept.
    pub homes: u64,
}
