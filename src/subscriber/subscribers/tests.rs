use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    carrier::{BreakerProfile, RoutingSettings},
    clock::Clock,
    eligibility::{Rules, WhenUnknown},
    store::{GroupCommit, GroupCommitConfig, Memory},
    subscriber::{AskingSettings, Asserts, CacheSettings, LookUpKind, NumberList, NumberListSettings},
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn msisdn(text: &str) -> Msisdn {
    text.parse().expect("a number")
}

fn lists(asserts: Asserts, carrier: Option<&str>, text: &str) -> NumberLists {
    let settings =
        NumberListSettings { name: "listed".into(), asserts, file: "x.csv".into(), carrier: carrier.map(Into::into) };
    NumberList::read(&settings, text.as_bytes(), NOW, 10).map(|list| NumberLists::from(vec![list])).expect("a list")
}

fn kcell() -> CarrierName {
    "kcell".parse().expect("a name")
}

fn subscribers(lists: NumberLists) -> Subscribers {
    Subscribers::new(lists, FactCache::new(CacheSettings::default()))
}

#[test]
fn a_rejection_with_one_of_the_five_reasons_is_remembered_with_its_time() {
    let subscribers = subscribers(NumberLists::default());
    let number = msisdn("+77011234567");
    let at = NOW.minus(Duration::from_secs(60));
    assert!(subscribers.remember_rejection(number, &kcell(), Reason::CreditDebt, at));
    assert!(!subscribers.remember_rejection(number, &kcell(), Reason::InsufficientBalance, at));
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
    subscribers.remember(number, &kcell(), FactName::CorporateNumber, seen.clone());
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

const BUDGET: Duration = Duration::from_millis(150);

fn number() -> Msisdn {
    msisdn("+77011234567")
}

fn answers(facts: &[(FactName, FactValue)]) -> Result<Vec<(FactName, FactValue)>, String> {
    Ok(facts.to_vec())
}

/// A source of `facts` that answers what `said` gives, after `delay`, and counts its questions.
fn source(
    name: &str,
    facts: &[FactName],
    delay: Duration,
    said: Result<Vec<(FactName, FactValue)>, String>,
) -> (Source, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let probe = move |_| -> crate::subscriber::source::ProbeAnswer {
        let said = said.clone();
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            time::sleep(delay).await;
            said
        })
    };
    let breaker = BreakerProfile { failures_max: 3, pause_ms: 60_000, pause_ms_max: 60_000 };
    let asking = AskingSettings { timeout_ms: 5_000, breaker, ..AskingSettings::default() };
    let kind = SourceKind::Probe(facts.to_vec(), Arc::new(probe));
    (Source { name: name.into(), carrier: kcell(), asking, kind }, asked)
}

fn open(store: &Store, sources: Vec<Source>, settings: FactsSettings) -> Subscribers {
    let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
    let keeper = settings.keeper(&RoutingSettings::default());
    let keeper = Keeper::start(store.clone(), writer, Clock::System, keeper);
    Subscribers::open(NumberLists::default(), &settings, (sources, None), (store.clone(), keeper))
}

fn settings() -> FactsSettings {
    FactsSettings { budget_ms: u64::try_from(BUDGET.as_millis()).expect("it fits"), ..FactsSettings::default() }
}

fn memory() -> Store {
    Store::Memory(Memory::default())
}

async fn gather(subscribers: &Subscribers, now: Timestamp) -> Gathered {
    let rules = Rules::default();
    subscribers.gather(number(), &kcell(), rules.facts("kcell"), (now, subscribers.until())).await
}

fn value(gathered: &Gathered, name: FactName) -> Option<FactValue> {
    gathered.facts.get(name).map(|fact| fact.value)
}

async fn until<T>(mut reached: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = reached().await {
                return found;
            }
            time::sleep(Duration::from_millis(2)).await;
        }
    };
    time::timeout(Duration::from_secs(20), looking).await.expect("reached in time")
}

#[tokio::test]
async fn sources_are_asked_side_by_side_and_only_for_what_is_not_known() {
    use FactName::{CorporateNumber, CreditDebt, RecentSimSwap};
    let delay = Duration::from_millis(60);
    let (one, ones) = source("crm", &[CreditDebt], delay, answers(&[(CreditDebt, FactValue::True)]));
    let (two, twos) = source("camara", &[RecentSimSwap], delay, answers(&[(RecentSimSwap, FactValue::False)]));
    let subscribers = open(&memory(), vec![one, two], settings());
    let begun = Instant::now();
    let gathered = gather(&subscribers, NOW).await;
    assert!(begun.elapsed() < 2 * delay, "one after the other");
    assert_eq!(
        (value(&gathered, CreditDebt), value(&gathered, RecentSimSwap)),
        (Some(FactValue::True), Some(FactValue::False))
    );
    let debt = gathered.facts.get(CreditDebt).expect("a fact");
    assert_eq!((debt.source.to_string(), debt.observed_at), ("profile:crm".into(), NOW));
    assert_eq!((gathered.silent.clone(), value(&gathered, CorporateNumber)), (vec![], None));
    // Two minutes later the debt is too old by the default rules, the SIM swap is not.
    let later = NOW.plus(Duration::from_secs(121));
    gather(&subscribers, later).await;
    assert_eq!((ones.load(Ordering::SeqCst), twos.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_slow_source_costs_the_budget_and_gives_unknown_and_its_answer_serves_the_next() {
    use FactName::{CreditDebt, RecentSimSwap};
    let (slow, asked) = source("slow", &[CreditDebt], 2 * BUDGET, answers(&[(CreditDebt, FactValue::True)]));
    let (quick, _) = source("quick", &[RecentSimSwap], Duration::ZERO, answers(&[(RecentSimSwap, FactValue::True)]));
    let subscribers = open(&memory(), vec![slow, quick], settings());
    let begun = Instant::now();
    let gathered = gather(&subscribers, NOW).await;
    assert!((BUDGET..2 * BUDGET).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!((value(&gathered, CreditDebt), value(&gathered, RecentSimSwap)), (None, Some(FactValue::True)));
    let silent = Silent { source: "slow".into(), facts: vec![CreditDebt], silence: Silence::TimedOut };
    assert_eq!(gathered.silent, [silent]);
    until(async || subscribers.facts(number(), "kcell", NOW).get(CreditDebt).cloned()).await;
    assert_eq!(value(&gather(&subscribers, NOW).await, CreditDebt), Some(FactValue::True));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_dead_source_soon_costs_nothing() {
    let (dead, asked) = source("dead", &[FactName::CreditDebt], Duration::ZERO, Err("connection refused".into()));
    let subscribers = open(&memory(), vec![dead], settings());
    for _ in 0..3 {
        let failed = Silence::Failed { detail: "connection refused".into() };
        assert_eq!(gather(&subscribers, NOW).await.silent[0].silence, failed);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(gather(&subscribers, NOW).await.silent[0].silence, Silence::BreakerOpen);
    }
    assert!(begun.elapsed() < BUDGET);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_source_that_cannot_say_is_named_and_nothing_is_remembered_of_that() {
    let unknown = answers(&[(FactName::CreditDebt, FactValue::Unknown)]);
    let (source, _) = source("crm", &[FactName::CreditDebt, FactName::InitialBalanceUnused], Duration::ZERO, unknown);
    let subscribers = open(&memory(), vec![source], settings());
    let gathered = gather(&subscribers, NOW).await;
    let facts = vec![FactName::CreditDebt, FactName::InitialBalanceUnused];
    assert_eq!(gathered.silent, [Silent { source: "crm".into(), facts, silence: Silence::CannotSay }]);
    assert!(subscribers.facts(number(), "kcell", NOW).is_empty());
}

#[tokio::test]
async fn many_charges_of_one_number_ask_once() {
    let said = answers(&[(FactName::CreditDebt, FactValue::False)]);
    let (source, asked) = source("crm", &[FactName::CreditDebt], Duration::from_millis(30), said);
    let subscribers = Arc::new(open(&memory(), vec![source], settings()));
    let gathering: Vec<_> = (0..40)
        .map(|_| {
            let subscribers = subscribers.clone();
            tokio::spawn(async move { value(&gather(&subscribers, NOW).await, FactName::CreditDebt) })
        })
        .collect();
    for one in gathering {
        assert_eq!(one.await.expect("no panic"), Some(FactValue::False));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_source_said_survives_a_restart_and_is_not_asked_again() {
    let store = memory();
    let said = answers(&[(FactName::CorporateNumber, FactValue::True)]);
    let (first, _) = source("camara", &[FactName::CorporateNumber], Duration::ZERO, said.clone());
    let before = open(&store, vec![first], settings());
    gather(&before, NOW).await;
    let rejected_at = NOW.minus(Duration::from_secs(5));
    before.remember_rejection(number(), &kcell(), Reason::CreditDebt, rejected_at);
    until(async || (store.known_counts().await.expect("the store").facts == 2).then_some(())).await;
    drop(before);
    let (again, asked) = source("camara", &[FactName::CorporateNumber], Duration::ZERO, said);
    let after = open(&store, vec![again], settings());
    assert!(after.facts(number(), "kcell", NOW).is_empty());
    let gathered = gather(&after, NOW.plus(Duration::from_secs(60))).await;
    assert_eq!(value(&gathered, FactName::CorporateNumber), Some(FactValue::True));
    assert_eq!(value(&gathered, FactName::CreditDebt), Some(FactValue::True), "what carriers refused for, too");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let recalled = open(&store, Vec::new(), settings());
    recalled.recall().await;
    assert_eq!(recalled.facts(number(), "kcell", NOW).iter().count(), 2, "without a source, from the start");
}

#[tokio::test]
async fn a_memory_of_no_size_still_gives_what_was_just_said() {
    let said = answers(&[(FactName::CreditDebt, FactValue::True)]);
    let (source, _) = source("crm", &[FactName::CreditDebt], Duration::ZERO, said);
    let subscribers = open(&memory(), vec![source], FactsSettings { subscribers_max: 0, ..settings() });
    assert_eq!(value(&gather(&subscribers, NOW).await, FactName::CreditDebt), Some(FactValue::True));
}

#[tokio::test]
async fn nobody_is_asked_about_another_carriers_subscriber_or_for_a_fact_without_a_rule() {
    let said = answers(&[(FactName::CreditDebt, FactValue::True)]);
    let (source, asked) = source("crm", &[FactName::CreditDebt], Duration::ZERO, said);
    let subscribers = open(&memory(), vec![source], settings());
    let rules = Rules::default();
    let beeline = "beeline".parse().expect("a name");
    let until = subscribers.until();
    let gathered = subscribers.gather(number(), &beeline, rules.facts("beeline"), (NOW, until)).await;
    assert_eq!(gathered, Gathered::default());
    let only = [FactRule { fact: FactName::RecentSimSwap, max_age_seconds: 60, when_unknown: WhenUnknown::Allow }];
    assert_eq!(subscribers.gather(number(), &kcell(), &only, (NOW, until)).await, Gathered::default());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(
        subscribers.has_source(&kcell(), FactName::CreditDebt)
            && !subscribers.has_source(&beeline, FactName::CreditDebt)
    );
}

#[tokio::test]
async fn the_store_is_kept_within_its_bounds() {
    let store = memory();
    let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
    let hour = Duration::from_secs(3_600);
    let config = crate::subscriber::KeeperConfig { facts_max: 10, facts_for: hour, homes_max: 1, homes_for: hour };
    let now = Timestamp::from_unix_seconds(1_900_000_000);
    let fact = |n: u64, at: Timestamp| StoredFact {
        msisdn: Msisdn::from_e164(77_010_000_000 + n).expect("a number"),
        carrier: kcell(),
        name: FactName::CreditDebt,
        fact: Fact { value: FactValue::True, source: FactSource::Profile("crm".into()), observed_at: at },
    };
    let old = (0..5).map(|n| fact(n, now.minus(2 * hour)));
    let young = (5..20).map(|n| fact(n, now.minus(Duration::from_secs(60 - n))));
    writer.write(crate::store::Write::KeepFacts(old.chain(young).collect())).await.expect("written");
    let clock = Clock::Manual(crate::clock::ManualClock::new(now));
    let _keeper = Keeper::start(store.clone(), writer, clock, config);
    until(async || (store.known_counts().await.expect("the store").facts <= 10).then_some(())).await;
    let left = store.newest_facts(99).await.expect("the store");
    assert!(left.iter().all(|stored| stored.fact.observed_at >= now.minus(hour)), "{left:?}");
}

#[tokio::test]
async fn a_look_up_is_asked_within_the_time_that_is_left_and_once_at_a_time() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let probe = move |_| -> crate::subscriber::look_up::ProbeAnswer {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            time::sleep(Duration::from_millis(40)).await;
            Ok(Some(kcell()))
        })
    };
    let kind = LookUpKind::Probe(Arc::new(probe));
    let look_up = LookUp { name: "portability".into(), asking: AskingSettings::default(), kind };
    let store = memory();
    let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
    let keeper = Keeper::start(store.clone(), writer, Clock::System, settings().keeper(&RoutingSettings::default()));
    let subscribers = Subscribers::open(NumberLists::default(), &settings(), (vec![], Some(look_up)), (store, keeper));
    let early = subscribers.look_up(number(), Instant::now() + Duration::from_millis(5)).await;
    assert_eq!(early, Some(Err(Silence::TimedOut)));
    assert_eq!(subscribers.look_up(number(), subscribers.until()).await, Some(Ok(Some(kcell()))));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
