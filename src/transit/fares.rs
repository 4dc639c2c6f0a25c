use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::money::Money;

/// Dated fares by city and fare class.
#[derive(Clone, Debug, Default)]
pub(super) struct Fares(BTreeMap<String, BTreeMap<String, BTreeMap<Date, Money>>>);

impl Fares {
    /// The newest with `from` ≤ `date`.
    pub(super) fn get(&self, city: &str, fare_class: &str, date: Date) -> Option<Money> {
        let (_, amount) = self.0.get(city)?.get(fare_class)?.range(..=date).next_back()?;
        Some(*amount)
    }

    /// Adds a fare; whether there was none for this date.
    pub(super) fn add(&mut self, city: &str, fare_class: &str, from: Date, amount: Money) -> bool {
        let classes = self.0.entry(city.to_owned()).or_default();
        classes.entry(fare_class.to_owned()).or_default().insert(from, amount).is_none()
    }

    /// All of them, by city, class and date.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Date, Money)> {
        self.0.iter().flat_map(|(city, classes)| {
            classes.iter().flat_map(move |(class, dated)| {
                dated.iter().map(move |(from, amount)| (city.as_str(), class.as_str(), *from, *amount))
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

    proptest! {
        #[test]
        fn a_fare_is_what_a_naive_scan_finds(
            added in prop::collection::vec(("[ab]", "[xy]", 0..30_i16, 1..9_i64), 0..20),
            (city, class, day) in ("[abc]", "[xyz]", 0..31_i16),
        ) {
            let mut fares = Fares::default();
            let mut plain: Vec<(String, String, i16, i64)> = Vec::new();
            for (city, class, day, minor) in added {
                let is_new = !plain.iter().any(|known| (&known.0, &known.1, known.2) == (&city, &class, day));
                if is_new {
                    prop_assert!(fares.add(&city, &class, date(day), Money::kzt(minor)));
                    plain.push((city, class, day, minor));
                }
            }
            let in_force = plain.iter().filter(|fare| fare.0 == city && fare.1 == class && fare.2 <= day);
            let newest = in_force.max_by_key(|fare| fare.2).map(|fare| Money::kzt(fare.3));
            prop_assert_eq!(fares.get(&city, &class, date(day)), newest);
            prop_assert_eq!(fares.iter().count(), plain.len());
        }
    }
}
