//! Which carrier a number belongs to. The bind on which a message arrived is the truth; then what was heard of the number before;
//! for the rest the prefix is a hint, because numbers have moved between carriers since 2016.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    charge::{CarrierName, Home, HomeSource},
    clock::Timestamp,
    msisdn::Msisdn,
};

/// A number that is heard from day by day is not written down more often.
const HEARD_AGAIN: Duration = Duration::from_secs(86_400);

/// Which carrier a number belongs to, as far as is known in memory. It asks nobody and waits for nothing; what it hears it
/// also returns, to be kept.
#[derive(Debug)]
pub struct Routing {
    prefixes: PrefixTable,
    settings: RoutingSettings,
    homes: Mutex<Homes>,
}

/// How much is remembered of numbers' carriers, and for how long it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingSettings {
    /// So many numbers at most in memory; one takes about 150 bytes. At least 1.
    pub numbers_max: usize,
    /// So many numbers at most in the store.
    pub stored_max: u64,
    /// What is older than so many seconds is looked up again before it is used, if there is a look-up. It is used all the same if
    /// that says nothing: it still knows more than a prefix.
    pub max_age_seconds: u64,
    /// After so many days without news a number is forgotten.
    pub forget_after_days: u64,
}

/// Where a charge of a number goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The carrier.
    pub carrier: CarrierName,
    /// How that is known.
    pub source: HomeSource,
    /// When it was so; `None` for a prefix.
    pub observed_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Homes {
    by_number: HashMap<Msisdn, Home>,
    /// The keys of `by_number` by when something was last heard of them: exactly one entry for each.
    by_age: BTreeSet<(Timestamp, Msisdn)>,
}

impl Default for RoutingSettings {
    fn default() -> RoutingSettings {
        RoutingSettings {
            numbers_max: 100_000,
            stored_max: 2_000_000,
            max_age_seconds: 30 * 86_400,
            forget_after_days: 365,
        }
    }
}

impl RoutingSettings {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let numbers_max = u64::try_from(self.numbers_max).unwrap_or(u64::MAX);
        let within = [
            ("numbers_max", numbers_max, 1..=10_000_000),
            ("stored_max", self.stored_max, 1..=100_000_000),
            ("max_age_seconds", self.max_age_seconds, 1..=365 * 86_400),
            ("forget_after_days", self.forget_after_days, 1..=3_650),
        ];
        let outside = within.into_iter().filter(|(_, value, range)| !range.contains(value));
        outside
            .map(|(key, value, range)| format!("{key}: {value} is not between {} and {}", range.start(), range.end()))
            .collect()
    }

    /// [`RoutingSettings::max_age_seconds`].
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_seconds)
    }
}

impl Routing {
    /// Nothing is remembered yet.
    pub fn new(prefixes: PrefixTable, settings: RoutingSettings) -> Routing {
        Routing { prefixes, settings, homes: Mutex::default() }
    }

    /// How much is remembered, and for how long.
    pub fn settings(&self) -> &RoutingSettings {
        &self.settings
    }

    /// Where a charge of this number goes: to the carrier that was heard of last, or by the prefix.
    pub fn route(&self, msisdn: Msisdn) -> Option<Route> {
        self.route_but(msisdn, None)
    }

    /// Where a charge of this number goes that `refused` has just turned away. `None` if nobody else is known.
    pub fn route_after(&self, msisdn: Msisdn, refused: &CarrierName) -> Option<Route> {
        self.route_but(msisdn, Some(refused))
    }

    /// What is remembered of the number.
    pub fn home(&self, msisdn: Msisdn) -> Option<Home> {
        self.lock().by_number.get(&msisdn).cloned()
    }

    /// Whether what is remembered of the number names its carrier and is young enough to be used without a look-up.
    pub fn is_fresh(&self, home: &Home, now: Timestamp) -> bool {
        home.carrier.is_some() && now.since(home.observed_at) <= self.settings.max_age()
    }

    /// A message from the number came in on this carrier's bind: the truth. Returns what is to be kept, if that is news.
    pub fn heard(&self, msisdn: Msisdn, carrier: &CarrierName, at: Timestamp) -> Option<Home> {
        let known = self.home(msisdn);
        let is_news = known.is_none_or(|home| {
            home.carrier.as_ref() != Some(carrier)
                || home.source != HomeSource::Message
                || at.since(home.observed_at) > HEARD_AGAIN
        });
        let source = HomeSource::Message;
        let home = Home { msisdn, carrier: Some(carrier.clone()), refused_by: None, source, observed_at: at };
        if is_news { self.remember(home) } else { None }
    }

    /// A portability look-up said that the number is this carrier's. Returns what is to be kept.
    pub fn looked_up(&self, msisdn: Msisdn, carrier: &CarrierName, at: Timestamp) -> Option<Home> {
        let refused_by = self.home(msisdn).and_then(|home| home.refused_by);
        let source = HomeSource::LookUp;
        self.remember(Home { msisdn, carrier: Some(carrier.clone()), refused_by, source, observed_at: at })
    }

    /// This carrier refused a charge because the number is definitely not its subscriber. Returns what is to be kept.
    ///
    /// What another carrier is known by stays. A refusal alone sends nobody away: the number may come back, and who asks
    /// again costs its carrier one more refusal.
    pub fn not_theirs(&self, msisdn: Msisdn, carrier: &CarrierName, at: Timestamp) -> Option<Home> {
        let elsewhere = self.home(msisdn).filter(|home| home.carrier.as_ref().is_some_and(|known| known != carrier));
        let refused_by = Some(carrier.clone());
        self.remember(match elsewhere {
            // Its own age is what counts: the refusal says nothing about whether the number is still there.
            Some(home) => Home { refused_by, ..home },
            None => Home { msisdn, carrier: None, refused_by, source: HomeSource::Refusal, observed_at: at },
        })
    }

    /// What the store has of a number; what was heard later stays.
    pub fn recall(&self, home: Home) {
        self.remember(home);
    }

    /// Of how many numbers something is remembered.
    pub fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn route_but(&self, msisdn: Msisdn, refused: Option<&CarrierName>) -> Option<Route> {
        let homes = self.lock();
        let known = homes.by_number.get(&msisdn);
        let heard = known.and_then(|home| {
            let carrier = home.carrier.clone()?;
            Some(Route { carrier, source: home.source, observed_at: Some(home.observed_at) })
        });
        let by_prefix = self.prefixes.carrier(msisdn).cloned();
        let by_prefix = by_prefix.map(|carrier| Route { carrier, source: HomeSource::Prefix, observed_at: None });
        let goes = |route: &Route| Some(&route.carrier) != refused;
        heard.filter(goes).or(by_prefix.filter(goes))
    }

    /// The later of two statements stays. Returns it if it is this one.
    fn remember(&self, home: Home) -> Option<Home> {
        let mut homes = self.lock();
        let (msisdn, observed_at) = (home.msisdn, home.observed_at);
        if let Some(known) = homes.by_number.get(&msisdn).map(|known| known.observed_at) {
            if known > observed_at {
                return None;
            }
            homes.by_age.remove(&(known, msisdn));
        }
        homes.by_number.insert(msisdn, home.clone());
        homes.by_age.insert((observed_at, msisdn));
        while homes.by_number.len() > self.settings.numbers_max
            && let Some((_, oldest)) = homes.by_age.pop_first()
        {
            homes.by_number.remove(&oldest);
        }
        debug_assert_eq!(homes.by_number.len(), homes.by_age.len(), "one age for each number");
        Some(home)
    }

    fn lock(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The prefix table: the three digits after +7 by which numbers were given out.
#[derive(Clone, Debug, Default)]
pub struct PrefixTable(HashMap<u16, CarrierName>);

impl PrefixTable {
    /// From the prefixes of each carrier. Errors: a prefix that two carriers claim, or one that is no mobile prefix.
    pub fn new<'a>(carriers: impl IntoIterator<Item = (&'a CarrierName, &'a [u16])>) -> Result<PrefixTable, String> {
        let mut table: HashMap<u16, CarrierName> = HashMap::new();
        for (carrier, prefixes) in carriers {
            for prefix in prefixes {
                if !(700..=799).contains(prefix) {
                    return Err(format!("carriers.{carrier}.prefixes: {prefix} is not between 700 and 799"));
                }
                if let Some(other) = table.insert(*prefix, carrier.clone())
                    && other != *carrier
                {
                    return Err(format!("carriers.{carrier}.prefixes: {prefix} is also claimed by {other}"));
                }
            }
        }
        Ok(PrefixTable(table))
    }

    /// The carrier that this number was first given out by.
    pub fn carrier(&self, msisdn: Msisdn) -> Option<&CarrierName> {
        self.0.get(&msisdn.prefix())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> CarrierName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_prefix_points_to_the_carrier_that_gave_it_out() {
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        let table = PrefixTable::new([(&kcell, &[701, 702][..]), (&tele2, &[747][..])]).expect("no overlap");
        let carrier = |number: &str| table.carrier(number.parse().expect("a number"));
        assert_eq!(carrier("+77011234567"), Some(&kcell));
        assert_eq!(carrier("+77471234567"), Some(&tele2));
        assert_eq!(carrier("+77051234567"), None);
    }

    fn routing(numbers_max: usize) -> Routing {
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        let table = PrefixTable::new([(&kcell, &[701][..]), (&tele2, &[747][..])]).expect("no overlap");
        Routing::new(table, RoutingSettings { numbers_max, ..RoutingSettings::default() })
    }

    fn number(n: u64) -> Msisdn {
        Msisdn::from_e164(77_010_000_000 + n).expect("a number")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    fn to(route: Option<Route>) -> Option<(String, HomeSource)> {
        route.map(|route| (route.carrier.to_string(), route.source))
    }

    #[test]
    fn the_bind_of_a_message_outranks_a_look_up_and_both_outrank_the_prefix() {
        let routing = routing(9);
        assert_eq!(to(routing.route(number(1))), Some(("kcell".into(), HomeSource::Prefix)));
        routing.looked_up(number(1), &name("beeline"), at(1));
        assert_eq!(to(routing.route(number(1))), Some(("beeline".into(), HomeSource::LookUp)));
        routing.heard(number(1), &name("tele2"), at(2));
        assert_eq!(to(routing.route(number(1))), Some(("tele2".into(), HomeSource::Message)));
        routing.looked_up(number(1), &name("beeline"), at(1));
        assert_eq!(to(routing.route(number(1))), Some(("tele2".into(), HomeSource::Message)), "that is older");
    }

    #[test]
    fn a_message_is_news_when_it_says_something_else_and_once_a_day() {
        let routing = routing(9);
        let heard = |carrier: &str, seconds| routing.heard(number(1), &name(carrier), at(seconds)).is_some();
        assert!(heard("kcell", 0));
        assert!(!heard("kcell", 86_400));
        assert!(heard("kcell", 86_401));
        assert!(heard("tele2", 86_402));
    }

    #[test]
    fn who_refused_a_number_is_not_asked_again_for_that_charge() {
        let routing = routing(9);
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        routing.looked_up(number(1), &tele2, at(0));
        let kept = routing.not_theirs(number(1), &tele2, at(1)).expect("news");
        assert_eq!((kept.carrier, kept.refused_by), (None, Some(tele2.clone())));
        let after = routing.route_after(number(1), &tele2);
        assert_eq!(to(after), Some(("kcell".into(), HomeSource::Prefix)), "it went back to where it came from");
        assert_eq!(routing.route_after(number(2), &kcell), None, "the prefix is all that is known of it");
        routing.not_theirs(number(2), &kcell, at(2));
        assert_eq!(to(routing.route(number(2))), Some(("kcell".into(), HomeSource::Prefix)), "it may come back");
    }

    #[test]
    fn a_refusal_does_not_make_another_carrier_forgotten_or_older_or_younger() {
        let routing = routing(9);
        routing.heard(number(1), &name("tele2"), at(5));
        routing.not_theirs(number(1), &name("kcell"), at(9));
        let home = routing.home(number(1)).expect("remembered");
        assert_eq!((home.carrier, home.refused_by), (Some(name("tele2")), Some(name("kcell"))));
        assert_eq!((home.source, home.observed_at), (HomeSource::Message, at(5)));
    }

    #[test]
    fn what_is_remembered_is_looked_up_again_once_it_is_old() {
        let routing = routing(9);
        routing.looked_up(number(1), &name("tele2"), at(0));
        let home = routing.home(number(1)).expect("remembered");
        let max_age = i64::try_from(routing.settings().max_age_seconds).expect("it fits");
        assert!(routing.is_fresh(&home, at(max_age)));
        assert!(!routing.is_fresh(&home, at(max_age + 1)));
        assert!(!routing.is_fresh(&Home { carrier: None, ..home }, at(0)), "that names nobody");
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        assert_eq!(RoutingSettings::default().problems(), [""; 0]);
        let unsound = RoutingSettings { numbers_max: 0, max_age_seconds: 0, ..RoutingSettings::default() };
        let problems = unsound.problems();
        assert!(problems[0].starts_with("numbers_max: 0") && problems[1].starts_with("max_age_seconds: 0"));
    }

    proptest! {
        #[test]
        fn it_never_outgrows_its_bound_and_keeps_the_newest(
            said in prop::collection::vec((0..12_u64, 0..3_u8, 0..100_i64), 0..80), numbers_max in 1..8_usize,
        ) {
            let routing = routing(numbers_max);
            for (n, how, seconds) in said {
                let carrier = name(["kcell", "tele2"][usize::from(how % 2)]);
                match how {
                    0 => routing.heard(number(n), &carrier, at(seconds)),
                    1 => routing.looked_up(number(n), &carrier, at(seconds)),
                    _ => routing.not_theirs(number(n), &carrier, at(seconds)),
                };
                prop_assert!(routing.len() <= numbers_max);
            }
            routing.heard(number(99), &name("tele2"), at(100));
            prop_assert_eq!(to(routing.route(number(99))), Some(("tele2".into(), HomeSource::Message)));
        }

        /// Whatever was heard in whatever order, a charge never goes back to who has just refused it.
        #[test]
        fn m07_nobody_is_asked_again_who_refused(
            said in prop::collection::vec((any::<bool>(), 0..3_u8, 0..100_i64), 0..20), refuses in any::<bool>(),
        ) {
            let routing = routing(9);
            let carrier = |first| name(if first { "kcell" } else { "tele2" });
            for (first, how, seconds) in said {
                match how {
                    0 => routing.heard(number(1), &carrier(first), at(seconds)),
                    1 => routing.looked_up(number(1), &carrier(first), at(seconds)),
                    _ => routing.not_theirs(number(1), &carrier(first), at(seconds)),
                };
            }
            let refused = carrier(refuses);
            routing.not_theirs(number(1), &refused, at(200));
            prop_assert!(routing.route_after(number(1), &refused).is_none_or(|route| route.carrier != refused));
        }
    }

    #[test]
    fn two_carriers_cannot_claim_one_prefix() {
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        let error = PrefixTable::new([(&kcell, &[701][..]), (&tele2, &[701][..])]).expect_err("an overlap");
        assert_eq!(error, "carriers.tele2.prefixes: 701 is also claimed by kcell");
        assert!(PrefixTable::new([(&kcell, &[601][..])]).is_err());
    }
}
