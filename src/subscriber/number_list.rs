use std::{cmp::Reverse, collections::BinaryHeap, io::BufRead, path::PathBuf, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{NumberListError, number_list_file};
use crate::{
    charge::Reason,
    clock::Timestamp,
    eligibility::{Fact, FactName, FactSource, FactValue},
    msisdn::Msisdn,
};

/// A list of numbers and ranges of which the operator knows one thing. Held as sorted ranges: 12 bytes each.
///
/// Where entries overlap, the narrowest decides, so that a single number can be taken out of a range; of two equally
/// narrow ones, `true` does. The order of the lines does not matter.
#[derive(Clone, Debug)]
pub struct NumberList {
    name: Arc<str>,
    asserts: Asserts,
    carrier: Option<String>,
    observed_at: Timestamp,
    spans: Vec<Span>,
}

/// A list in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NumberListSettings {
    /// Its name, as facts show it.
    pub name: String,
    /// What it says of the numbers in it.
    pub asserts: Asserts,
    /// The CSV file.
    pub file: PathBuf,
    /// The carrier that it holds for; all of them if absent. What a carrier says of its own numbers should name it:
    /// numbers move between carriers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
}

/// What a list says. Written as the reason's code: one of the five conditions, or `denied_number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asserts {
    /// A condition.
    Fact(FactName),
    /// That the number may not pay, whatever else is known: a deny list.
    Denied,
}

/// Numbers from `from` to `to`, both included, as [`key`] counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) value: bool,
}

impl NumberList {
    /// Reads a list from CSV, whole or not at all. `settings.file` only names it in errors.
    ///
    /// One entry a line: a number, or `from,to`, or `from,to,value` with `true` (the default) or `false`. A first line
    /// of column names (`from` or `msisdn`, `to`, `value`) may say another order. `#` begins a comment line. UTF-8,
    /// with or without BOM; lines end in LF or CRLF.
    ///
    /// Errors: a line that is none of this, with its place; more than `lines_max` lines; what `text` fails with.
    pub fn read(
        settings: &NumberListSettings,
        text: impl BufRead,
        observed_at: Timestamp,
        lines_max: usize,
    ) -> Result<NumberList, NumberListError> {
        let (spans, _) = number_list_file::read_spans(&settings.file, text, lines_max)?;
        Ok(NumberList::new(settings, spans, observed_at))
    }

    pub(super) fn new(settings: &NumberListSettings, spans: Vec<Span>, observed_at: Timestamp) -> NumberList {
        NumberList {
            name: settings.name.as_str().into(),
            asserts: settings.asserts,
            carrier: settings.carrier.clone(),
            observed_at,
            spans: without_overlaps(spans),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it says.
    pub fn asserts(&self) -> Asserts {
        self.asserts
    }

    /// When its file was last written.
    pub fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    /// What it says of `msisdn` as a subscriber of `carrier`; `None` if it says nothing.
    pub fn value(&self, msisdn: Msisdn, carrier: &str) -> Option<bool> {
        if self.carrier.as_deref().is_some_and(|own| own != carrier) {
            return None;
        }
        let key = key(msisdn);
        let first = self.spans.partition_point(|span| span.to < key);
        self.spans.get(first).filter(|span| span.from <= key).map(|span| span.value)
    }

    /// The fact that it states of `msisdn`, unless it is a deny list or says nothing.
    pub fn fact(&self, msisdn: Msisdn, carrier: &str) -> Option<(FactName, Fact)> {
        let Asserts::Fact(name) = self.asserts else { return None };
        let value = if self.value(msisdn, carrier)? { FactValue::True } else { FactValue::False };
        Some((name, Fact { value, source: FactSource::NumberList(self.name.clone()), observed_at: self.observed_at }))
    }
}

/// The last nine digits: all that differs between two mobile numbers of Kazakhstan, and it fits 32 bits.
pub(super) fn key(msisdn: Msisdn) -> u32 {
    u32::try_from(msisdn.e164() % 1_000_000_000).expect("nine digits fit")
}

/// The same statements as sorted spans that do not touch one another unless they differ.
fn without_overlaps(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| span.from);
    let mut coming = spans.into_iter().peekable();
    // The spans that have begun: the narrowest on top, `true` before `false`.
    let mut begun: BinaryHeap<(Reverse<u32>, bool, u32)> = BinaryHeap::new();
    let mut apart: Vec<Span> = Vec::new();
    let mut at = 0;
    loop {
        while let Some(span) = coming.next_if(|span| span.from <= at) {
            begun.push((Reverse(span.to - span.from), span.value, span.to));
        }
        while begun.peek().is_some_and(|&(_, _, to)| to < at) {
            begun.pop();
        }
        match (begun.peek(), coming.peek()) {
            (Some(&(_, value, to)), next) => {
                let to = next.map_or(to, |next| to.min(next.from - 1));
                match apart.last_mut() {
                    Some(last) if last.value == value && last.to + 1 == at => last.to = to,
                    _ => apart.push(Span { from: at, to, value }),
                }
                at = to + 1;
            }
            (None, Some(next)) => at = next.from,
            (None, None) => break,
        }
    }
    apart.shrink_to_fit();
    apart
}

impl Asserts {
    const fn reason(self) -> Reason {
        match self {
            Asserts::Fact(name) => name.reason(),
            Asserts::Denied => Reason::DeniedNumber,
        }
    }
}

impl Serialize for Asserts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reason().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Asserts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asserts, D::Error> {
        let reason = Reason::deserialize(deserializer)?;
        match FactName::from_reason(reason) {
            Some(name) => Ok(Asserts::Fact(name)),
            None if reason == Reason::DeniedNumber => Ok(Asserts::Denied),
            None => Err(de::Error::custom(format_args!(
                "a number list cannot assert {reason}: only one of the five conditions or denied_number"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0..60_u32, 0..12_u32, any::<bool>());
        prop::collection::vec(span.prop_map(|(from, width, value)| Span { from, to: from + width, value }), 0..20)
    }

    proptest! {
        #[test]
        fn the_narrowest_entry_decides_as_a_naive_scan_finds_it(spans in any_spans()) {
            let apart = without_overlaps(spans.clone());
            for key in 0..80 {
                let holding = spans.iter().filter(|span| (span.from..=span.to).contains(&key));
                let narrowest = holding.max_by_key(|span| (Reverse(span.to - span.from), span.value));
                let found = apart.iter().find(|span| (span.from..=span.to).contains(&key));
                prop_assert_eq!(found.map(|span| span.value), narrowest.map(|span| span.value), "{}", key);
            }
            for pair in apart.windows(2) {
                let differs = pair[0].value != pair[1].value;
                prop_assert!(pair[0].to + u32::from(!differs) < pair[1].from, "{:?}", pair);
            }
        }
    }

    #[test]
    fn a_list_asserts_a_condition_or_a_denial_and_nothing_else() {
        let read = serde_json::from_str::<Asserts>;
        assert_eq!(read("\"credit_debt\"").expect("a condition"), Asserts::Fact(FactName::CreditDebt));
        assert_eq!(read("\"denied_number\"").expect("a denial"), Asserts::Denied);
        let refused = read("\"daily_limit\"").expect_err("no list says so").to_string();
        assert!(refused.contains("cannot assert daily_limit"), "{refused}");
    }
}
