use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{charge::Fee, money::Percentage};

/// Rates that one section may list.
const RATES_MAX: usize = 1_000;

/// `[vat]`: the value-added tax, by the day from which on a rate is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VatConfig {
    /// The rates.
    pub rates: Vec<DatedVat>,
    /// Agencies whose fares include the tax, by their id in the catalogue.
    pub agencies: BTreeSet<String>,
}

/// A rate of the tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedVat {
    /// The first day on which it is in force.
    pub from: Date,
    /// The rate.
    pub percent: Percentage,
}

/// `[[carriers.NAME.fees]]`: what a carrier keeps of what it takes, from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedFee {
    /// The first day on which it is in force, in the carrier's time zone.
    pub from: Date,
    /// The carrier's share of the amount.
    pub percent: Percentage,
    /// What it keeps of each payment besides, in minor units.
    #[serde(default)]
    pub fixed_minor: i64,
    /// Whether it adds the value-added tax of the day to its fee.
    #[serde(default)]
    pub vat: bool,
    /// Whether it gives its fee back for what is refunded.
    #[serde(default)]
    pub returned: bool,
}

impl VatConfig {
    /// The rate in force on a day; nothing before the first.
    pub fn rate_on(&self, day: Date) -> Percentage {
        in_force(&self.rates, day, |rate| rate.from).map_or(Percentage::ZERO, |rate| rate.percent)
    }

    /// The tax that a fare of this agency includes on a day.
    pub fn of_fare(&self, agency: &str, day: Date) -> Percentage {
        if self.agencies.contains(agency) { self.rate_on(day) } else { Percentage::ZERO }
    }

    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = dated_problems("rates", &self.rates, |rate| rate.from);
        if self.rates.is_empty() && !self.agencies.is_empty() {
            problems.push("rates: agencies are named, and no rate".into());
        }
        problems
    }
}

impl DatedFee {
    /// The fee of the day; `None` before the first, where the carrier keeps nothing.
    pub fn on(fees: &[DatedFee], day: Date, vat: &VatConfig) -> Option<Fee> {
        let fee = in_force(fees, day, |fee| fee.from)?;
        let vat = if fee.vat { vat.rate_on(day) } else { Percentage::ZERO };
        Some(Fee { percent: fee.percent, fixed_minor: fee.fixed_minor, vat, returned: fee.returned })
    }

    /// What is wrong with the fees of one carrier, each with its key; empty if nothing is.
    pub fn problems(fees: &[DatedFee]) -> Vec<String> {
        let mut problems = dated_problems("fees", fees, |fee| fee.from);
        for (n, fee) in fees.iter().enumerate() {
            if !(0..=1_000_000).contains(&fee.fixed_minor) {
                problems.push(format!("fees[{n}].fixed_minor: {} is not between 0 and 1000000", fee.fixed_minor));
            }
        }
        problems
    }
}

/// The newest that has begun by then.
fn in_force<T>(dated: &[T], day: Date, from: impl Fn(&T) -> Date) -> Option<&T> {
    dated.iter().filter(|one| from(one) <= day).max_by_key(|one| from(one))
}

fn dated_problems<T>(key: &str, dated: &[T], from: impl Fn(&T) -> Date) -> Vec<String> {
    let mut problems = Vec::new();
    if dated.len() > RATES_MAX {
        problems.push(format!("{key}: {} are too many; at most {RATES_MAX}", dated.len()));
    }
    let mut days = BTreeSet::new();
    for (n, one) in dated.iter().enumerate() {
        if !days.insert(from(one)) {
            problems.push(format!("{key}[{n}].from: {} is there twice", from(one)));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().expect("a day")
    }

    fn vat() -> VatConfig {
        let rate = |from, percent: &str| DatedVat { from: day(from), percent: percent.parse().expect("a rate") };
        // Not in order: whoever writes a new rate puts it where they like.
        VatConfig {
            rates: vec![rate("2026-01-01", "16"), rate("2009-01-01", "12")],
            agencies: ["green-bus".into()].into(),
        }
    }

    #[test]
    fn a_rate_is_in_force_from_its_first_day_until_the_next_begins() {
        let rate = |on| vat().rate_on(day(on)).to_string();
        assert_eq!((rate("2008-12-31"), rate("2009-01-01")), ("0".into(), "12".into()));
        assert_eq!((rate("2025-12-31"), rate("2026-01-01")), ("12".into(), "16".into()));
    }

    #[test]
    fn only_the_agencies_that_are_named_owe_tax_on_their_fares() {
        assert_eq!(vat().of_fare("green-bus", day("2026-05-01")).to_string(), "16");
        assert!(vat().of_fare("small-bus", day("2026-05-01")).is_zero());
    }

    #[test]
    fn a_fee_has_the_tax_of_its_day() {
        let fee = |from, vat| DatedFee {
            from: day(from),
            percent: "5".parse().expect("a share"),
            fixed_minor: 10,
            vat,
            returned: true,
        };
        let fees = [fee("2025-01-01", false), fee("2025-06-01", true)];
        let on = |at| DatedFee::on(&fees, day(at), &vat());
        assert_eq!(on("2024-12-31"), None);
        assert!(on("2025-05-31").expect("a fee").vat.is_zero());
        let now = on("2026-02-01").expect("a fee");
        assert_eq!((now.vat.to_string(), now.fixed_minor, now.returned), ("16".into(), 10, true));
    }

    #[test]
    fn two_rates_of_one_day_agencies_without_a_rate_and_a_fee_below_nothing_are_refused() {
        let twice = VatConfig { rates: [vat().rates, vat().rates].concat(), ..vat() };
        assert_eq!(twice.problems().len(), 2, "{:?}", twice.problems());
        assert_eq!(VatConfig { rates: Vec::new(), ..vat() }.problems().len(), 1);
        assert_eq!(vat().problems(), Vec::<String>::new());
        let fee = DatedFee {
            from: day("2025-01-01"),
            percent: Percentage::ZERO,
            fixed_minor: -1,
            vat: false,
            returned: false,
        };
        let problems = DatedFee::problems(&[fee.clone(), fee]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("fees[1].from: 2025-01-01"), "{problems:?}");
    }
}
