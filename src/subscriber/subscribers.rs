use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{FactCache, NumberLists};
use crate::{
    charge::Reason,
    clock::Timestamp,
    eligibility::{Fact, FactName, FactSource, FactValue, Facts},
    msisdn::Msisdn,
};

/// What is known of subscribers: number lists and remembered facts. Shared by all tasks; every call returns at once.
#[derive(Debug)]
pub struct Subscribers {
    lists: ArcSwap<NumberLists>,
    cache: FactCache,
}

impl Subscribers {
    /// With these lists, and what `cache` holds.
    pub fn new(lists: NumberLists, cache: FactCache) -> Subscribers {
        Subscribers { lists: ArcSwap::from_pointee(lists), cache }
    }

    /// Everything that is known of `msisdn` as a subscriber of `carrier`. Which of several statements is believed:
    /// see [`Facts::add`].
    pub fn facts(&self, msisdn: Msisdn, carrier: &str, now: Timestamp) -> Facts {
        let mut facts = self.cache.facts(msisdn, carrier, now);
        for (name, fact) in self.lists.load().facts(msisdn, carrier) {
            facts.add(name, fact);
        }
        facts
    }

    /// The name of the deny list that holds `msisdn`, if one does.
    pub fn denied_by(&self, msisdn: Msisdn, carrier: &str) -> Option<Arc<str>> {
        self.lists.load().denied_by(msisdn, carrier)
    }

    /// Remembers what a source said.
    pub fn remember(&self, msisdn: Msisdn, carrier: &str, name: FactName, fact: Fact) {
        self.cache.remember(msisdn, carrier, name, fact);
    }

    /// Remembers what a carrier's rejection at `at` tells of the subscriber. Whether it told of one of the five
    /// conditions.
    pub fn remember_rejection(&self, msisdn: Msisdn, carrier: &str, reason: Reason, at: Timestamp) -> bool {
        let Some(name) = FactName::from_reason(reason) else { return false };
        let source = FactSource::CarrierRejection(carrier.into());
        self.remember(msisdn, carrier, name, Fact { value: FactValue::True, source, observed_at: at });
        true
    }

    /// Puts `lists` in place of the present ones, all at once. Calls that have begun end with the old ones.
    pub fn replace_lists(&self, lists: NumberLists) {
        self.lists.store(Arc::new(lists));
    }

    /// The lists in force.
    pub fn lists(&self) -> Arc<NumberLists> {
        self.lists.load_full()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::subscriber::{Asserts, CacheSettings, NumberList, NumberListSettings};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn msisdn(text: &str) -> Msisdn {
        text.parse().expect("a number")
    }

    fn lists(asserts: Asserts, carrier: Option<&str>, text: &str) -> NumberLists {
        let settings = NumberListSettings {
            name: "listed".into(),
            asserts,
            file: "x.csv".into(),
            carrier: carrier.map(Into::into),
        };
        NumberList::read(&settings, text.as_bytes(), NOW, 10).map(|list| NumberLists::from(vec![list])).expect("a list")
    }

    fn subscribers(lists: NumberLists) -> Subscribers {
        Subscribers::new(lists, FactCache::new(CacheSettings::default()))
    }

    #[test]
    fn a_rejection_with_one_of_the_five_reasons_is_remembered_with_its_time() {
        let subscribers = subscribers(NumberLists::default());
        let number = msisdn("+77011234567");
        let at = NOW.minus(Duration::from_secs(60));
        assert!(subscribers.remember_rejection(number, "kcell", Reason::CreditDebt, at));
        assert!(!subscribers.remember_rejection(number, "kcell", Reason::InsufficientBalance, at));
        let facts = subscribers.facts(number, "kcell", NOW);
        let source = FactSource::CarrierRejection("kcell".into());
        let expected = Fact { value: FactValue::True, source, observed_at: at };
        assert_eq!(facts.iter().collect::<Vec<_>>(), [(FactName::CreditDebt, &expected)]);
        assert!(subscribers.facts(number, "beeline", NOW).is_empty());
    }

    #[test]
    fn a_listed_true_beats_a_remembered_false_until_the_list_is_replaced() {
        let number = msisdn("+77011234567");
        let subscribers = subscribers(lists(Asserts::Fact(FactName::CorporateNumber), None, "77011234567"));
        let source = FactSource::Camara("kcell".into());
        let seen = Fact { value: FactValue::False, source, observed_at: NOW };
        subscribers.remember(number, "kcell", FactName::CorporateNumber, seen.clone());
        let value = |subscribers: &Subscribers| {
            subscribers.facts(number, "kcell", NOW).get(FactName::CorporateNumber).map(|fact| fact.value)
        };
        assert_eq!(value(&subscribers), Some(FactValue::True));
        subscribers.replace_lists(NumberLists::default());
        assert_eq!(value(&subscribers), Some(FactValue::False));
    }

    #[test]
    fn a_list_may_hold_for_one_carrier_only_since_numbers_move() {
        let number = msisdn("+77011234567");
        let corporate = subscribers(lists(Asserts::Fact(FactName::CorporateNumber), Some("kcell"), "77011234567"));
        assert!(!corporate.facts(number, "kcell", NOW).is_empty());
        assert!(corporate.facts(number, "tele2", NOW).is_empty());
        let denied = subscribers(lists(Asserts::Denied, Some("kcell"), "77011234567"));
        assert_eq!(denied.denied_by(number, "kcell").as_deref(), Some("listed"));
        assert_eq!(denied.denied_by(number, "tele2"), None);
        assert!(denied.facts(number, "kcell", NOW).is_empty());
    }
}
