//! Rows of what is known of subscribers, and of what was sold.

use serde::Serialize;

use crate::{
    charge::{CarrierName, Home},
    eligibility::{FactName, FactSource, FactValue},
    passenger::Language,
    store::{StoredFact, sales::SalesChanges},
};

#[derive(Serialize)]
pub(in crate::store) struct LanguageRow {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) language: Language,
}

#[derive(Serialize)]
pub(in crate::store) struct FactRow<'a> {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) carrier: &'a str,
    pub(in crate::store) name: FactName,
    pub(in crate::store) value: FactValue,
    pub(in crate::store) source: &'a FactSource,
    pub(in crate::store) observed_at: i64,
}

impl<'a> FactRow<'a> {
    pub(in crate::store) fn new(stored: &'a StoredFact) -> FactRow<'a> {
        FactRow {
            msisdn: stored.msisdn.e164(),
            carrier: stored.carrier.as_str(),
            name: stored.name,
            value: stored.fact.value,
            source: &stored.fact.source,
            observed_at: stored.fact.observed_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct HomeRow<'a> {
    pub(in crate::store) msisdn: u64,
    pub(in crate::store) carrier: Option<&'a str>,
    pub(in crate::store) refused_by: Option<&'a str>,
    pub(in crate::store) source: &'static str,
    pub(in crate::store) observed_at: i64,
}

impl<'a> HomeRow<'a> {
    pub(in crate::store) fn new(home: &'a Home) -> HomeRow<'a> {
        HomeRow {
            msisdn: home.msisdn.e164(),
            carrier: home.carrier.as_ref().map(CarrierName::as_str),
            refused_by: home.refused_by.as_ref().map(CarrierName::as_str),
            source: home.source.code(),
            observed_at: home.observed_at.unix_ms(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::store) struct SalesRow<'a> {
    pub(in crate::store) kind: &'static str,
    pub(in crate::store) name: &'a str,
    pub(in crate::store) quarter: i64,
    pub(in crate::store) currency: &'static str,
    pub(in crate::store) minor: i64,
}

impl SalesRow<'_> {
    /// What changes at all.
    pub(in crate::store) fn all(changes: &SalesChanges) -> Vec<SalesRow<'_>> {
        let changed = changes.iter().filter(|(_, minor)| **minor != 0);
        changed
            .map(|((seller, quarter, currency), minor)| SalesRow {
                kind: seller.kind(),
                name: seller.name(),
                quarter: quarter.unix_ms(),
                currency: currency.code(),
                minor: *minor,
            })
            .collect()
    }
}
