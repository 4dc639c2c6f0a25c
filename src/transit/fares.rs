use std::collections::BTreeMap;

use jiff::civil::Date;
use thiserror::Error;

use super::Zone;
use crate::money::Money;

/// Why nobody can pay a fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoFare {
    /// The route has zones, and none was named.
    #[error("the fare depends on the zone, and none was named")]
    ZoneMissing,
    /// A zone was named, and the route has none.
    #[error("a zone was named, and the route has none")]
    ZoneUnexpected,
    /// The fare class never had a fare for this zone.
    #[error("there is no such zone")]
    UnknownZone,
    /// No fare is in force.
    #[error("no fare is in force")]
    NotInForce,
}

/// What one fare class costs: by zone (none, where there are no zones), and by the day from which on.
type Class = BTreeMap<Option<Zone>, BTreeMap<Date, Money>>;

/// Dated fares by city, fare class and zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Fares(BTreeMap<String, BTreeMap<String, Class>>);

impl Fares {
    /// The newest with `from` ≤ `date`.
    pub(super) fn get(&self, city: &str, fare_class: &str, zone: Option<Zone>, date: Date) -> Option<Money> {
        let (_, amount) = self.0.get(city)?.get(fare_class)?.get(&zone)?.range(..=date).next_back()?;
        Some(*amount)
    }

    /// Whether there is a fare for this zone, in force or not.
    pub(super) fn knows_zone(&self, city: &str, fare_class: &str, zone: Zone) -> bool {
        let class = self.0.get(city).and_then(|classes| classes.get(fare_class));
        class.is_some_and(|zones| zones.contains_key(&Some(zone)))
    }

    /// Adds a fare; whether there was none for this date.
    pub(super) fn add(&mut self, city: &str, fare_class: &str, zone: Option<Zone>, from: Date, amount: Money) -> bool {
        let class = self.0.entry(city.to_owned()).or_default().entry(fare_class.to_owned()).or_default();
        class.entry(zone).or_default().insert(from, amount).is_none()
    }

    /// All of them, by city, class, zone and date.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Date, Money)> {
        self.0.iter().flat_map(|(city, classes)| {
            classes.iter().flat_map(move |(class, zones)| {
                let dated = zones.values().flatten();
                dated.map(move |(from, amount)| (city.as_str(), class.as_str(), *from, *amount))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(day: i16) -> Date {
        jiff::civil::date(2024, 1, 1).saturating_add(jiff::Span::new().days(day))
    }

    fn any_zone() -> impl Strategy<Value = Option<Zone>> {
        prop::option::of((1..4_u8).prop_map(|number| Zone::try_from(number).expect("a zone")))
    }

    proptest! {
        #[test]
        fn a_fare_is_what_a_naive_scan_finds(
            added in prop::collection::vec(("[ab]", "[xy]", any_zone(), 0..30_i16, 1..9_i64), 0..20),
            (city, class, zone, day) in ("[abc]", "[xyz]", any_zone(), 0..31_i16),
        ) {
            let mut fares = Fares::default();
            let mut plain: Vec<(String, String, Option<Zone>, i16, i64)> = Vec::new();
            for (city, class, zone, day, minor) in added {
                let is_new = !plain
                    .iter()
                    .any(|known| (&known.0, &known.1, known.2, known.3) == (&city, &class, zone, day));
                if is_new {
                    prop_assert!(fares.add(&city, &class, zone, date(day), Money::kzt(minor)));
                    plain.push((city, class, zone, day, minor));
                }
            }
            let of_zone = || plain.iter().filter(|fare| (&fare.0, &fare.1, fare.2) == (&city, &class, zone));
            let newest = of_zone().filter(|fare| fare.3 <= day).max_by_key(|fare| fare.3);
            prop_assert_eq!(fares.get(&city, &class, zone, date(day)), newest.map(|fare| Money::kzt(fare.4)));
            if let Some(zone) = zone {
                prop_assert_eq!(fares.knows_zone(&city, &class, zone), of_zone().count() > 0);
            }
            prop_assert_eq!(fares.iter().count(), plain.len());
        }
    }
}
