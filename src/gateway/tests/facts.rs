//! Facts asked of a carrier over real HTTP: CAMARA and a profile, on time, late, dead and wrong.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::world::{CARRIER, Setting, World, msisdn};
use crate::{
    carrier::{CamaraCarrier, CamaraSecrets, HttpCarrier, HttpProfile, HttpSecrets},
    charge::{CarrierName, Charge, Home, HomeSource, Reason, State},
    eligibility::{Basis, FactName, FactSource, FactValue},
    gateway::{Eligibility, Enquiry},
    money::Currency,
    simulator::{
        CamaraConfig, Condition, ContractType, FactsConfig, Fault, FaultRule, HttpConfig, Interface, Operation,
        Simulator, Subscriber, SubscriberFacts,
    },
    store::Store,
    subscriber::{
        AskingSettings, CamaraFactsSettings, FactsSettings, LookUp, LookUpKind, Silence, SimSwapBy, Source, SourceKind,
    },
};

const ANNA: &str = "+77051234567";
const BULAT: &str = "+77059876543";
const BUDGET: Duration = Duration::from_millis(1_500);

fn carrier() -> CarrierName {
    CARRIER.parse().expect("a name")
}

fn asking() -> AskingSettings {
    toml::from_str("timeout_ms = 10_000\nbreaker = { failures_max = 2, pause_ms = 60_000, pause_ms_max = 60_000 }")
        .expect("settings")
}

fn camara(simulator: &Simulator) -> Vec<Source> {
    let url = simulator.http_url(Interface::Camara).expect("it speaks CAMARA");
    let settings: CamaraFactsSettings = toml::from_str(&format!(
        r#"
        sim_swap_url = "{url}/sim-swap/v2"
        tenure_url = "{url}/kyc-tenure/v0.2"
        token = {{ url = "{url}/oauth2/token", client_id = "smsbus", client_secret_file = "secret" }}
        "#
    ))
    .expect("settings");
    assert_eq!(settings.problems(), [""; 0]);
    let secrets = CamaraSecrets { client_secret: Zeroizing::new("secret".into()), ..CamaraSecrets::default() };
    let profile = settings.profile().expect("something to ask");
    let adapter = CamaraCarrier::open(carrier(), Currency::Kzt, profile, &secrets).expect("a client");
    Source::camara("camara", &carrier(), &adapter, SimSwapBy::default(), &asking())
}

fn profile(simulator: &Simulator) -> HttpCarrier {
    let section = HttpProfile {
        profile: format!("{}/config/examples/profiles/facts.toml", env!("CARGO_MANIFEST_DIR")).into(),
        base_url: simulator.http_url(Interface::Facts),
        secret_files: [("token".to_owned(), "token".into())].into(),
        ..HttpProfile::default()
    };
    let profile = section.load().expect("the example profile");
    let secrets = HttpSecrets::new([("token", Zeroizing::new("secret".to_owned()))]);
    HttpCarrier::open(carrier(), section, profile, secrets, jiff::tz::TimeZone::UTC).expect("a client")
}

fn crm(simulator: &Simulator) -> Source {
    let kind = SourceKind::Profile(profile(simulator));
    Source { name: "crm".into(), carrier: carrier(), asking: asking(), kind }
}

pub(super) fn portability(simulator: &Simulator) -> LookUp {
    LookUp { name: "portability".into(), asking: asking(), kind: LookUpKind::Profile(profile(simulator)) }
}

fn everybody(simulator: &Simulator) -> (Vec<Source>, Option<LookUp>) {
    let mut sources = camara(simulator);
    sources.push(crm(simulator));
    (sources, None)
}

fn setting() -> Setting {
    let mut setting = Setting::default();
    setting.simulator.http = HttpConfig {
        camara: Some(CamaraConfig::default()),
        facts: Some(FactsConfig::default()),
        carrier: "Beeline".into(),
        ..HttpConfig::default()
    };
    let budget_ms = u64::try_from(BUDGET.as_millis()).expect("it fits");
    setting.facts = FactsSettings { budget_ms, ..FactsSettings::default() };
    setting.asked = everybody;
    setting
}

fn tell(world: &World, number: &str, facts: SubscriberFacts) {
    world.simulator.set_facts(msisdn(number), facts).expect("room");
}

fn asked(world: &World) -> u64 {
    world.simulator.stats().http.requests_by_operation.get(&Operation::Facts).copied().unwrap_or_default()
}

fn eligibility(world: &World, number: &str) -> Eligibility {
    let enquiry = Enquiry { msisdn: msisdn(number), vehicle: None, zone: None, caller: None };
    world.run(world.gateway().eligibility(&enquiry)).expect("the store").expect("a carrier")
}

fn fact(found: &Eligibility, wanted: FactName) -> (FactValue, Option<FactSource>) {
    let basis = found.verdict.findings.iter().find_map(|finding| match &finding.basis {
        Basis::Fact { name, counted_as, fact, .. } if *name == wanted => {
            Some((*counted_as, fact.as_ref().map(|fact| fact.source.clone())))
        }
        _ => None,
    });
    basis.expect("a rule over it")
}

#[test]
fn each_of_the_five_is_told_by_its_source_and_declines_before_anything_is_sent() {
    let world = World::new(setting());
    let known = [
        (
            SubscriberFacts { contract_type: Some(ContractType::Business), ..SubscriberFacts::NONE },
            Reason::CorporateNumber,
        ),
        (SubscriberFacts { debt_minor: Some(1), ..SubscriberFacts::NONE }, Reason::CreditDebt),
        (SubscriberFacts { topped_up: Some(false), ..SubscriberFacts::NONE }, Reason::NoTopUpSinceActivation),
        (
            SubscriberFacts { initial_balance_untouched: Some(true), ..SubscriberFacts::NONE },
            Reason::InitialBalanceUnused,
        ),
        (
            SubscriberFacts {
                sim_swapped_at: Some(world.gateway().now().minus(Duration::from_secs(3_600))),
                ..SubscriberFacts::NONE
            },
            Reason::RecentSimSwap,
        ),
    ];
    for (n, (facts, reason)) in known.into_iter().enumerate() {
        let number = format!("+7705000000{n}");
        tell(&world, &number, facts);
        assert_eq!(world.bought(&number, "1234", &number).state, State::Declined(reason));
    }
    assert_eq!(world.simulator.stats().submits, 0);
    assert_eq!(world.bought(ANNA, "1234", "fine").state, State::Charged);
    let stats = world.simulator.stats();
    assert_eq!((stats.submits, stats.http.violations), (1, 0), "{:?}", stats.http.violations_last);
    let found = eligibility(&world, ANNA);
    let sources = [
        (FactName::CorporateNumber, FactSource::Camara("camara.tenure".into())),
        (FactName::CreditDebt, FactSource::Profile("crm".into())),
        (FactName::RecentSimSwap, FactSource::Camara("camara.sim_swap".into())),
    ];
    for (name, source) in sources {
        // A profile may also tell of the contract; of two answers of one moment either is right.
        let (value, by) = fact(&found, name);
        assert_eq!(value, FactValue::False);
        assert!(name == FactName::CorporateNumber || by == Some(source), "{name}: {by:?}");
    }
    assert_eq!((found.silent, found.unsourced), (vec![], vec![]));
    world.audit();
}

#[test]
fn a_passenger_who_buys_by_sms_is_asked_about_too() {
    let world = World::new(setting());
    tell(&world, ANNA, SubscriberFacts { debt_minor: Some(50_000), ..SubscriberFacts::NONE });
    world.sms(ANNA, "1234");
    let declined = world.until_state(ANNA, "declined");
    assert_eq!(declined.state, State::Declined(Reason::CreditDebt));
    world.until_texts(ANNA, 1);
}

#[test]
fn a_repeat_asks_nobody_and_neither_does_what_is_known() {
    let world = World::new(setting());
    assert_eq!(world.bought(ANNA, "1234", "first").state, State::Charged);
    let before = asked(&world);
    assert!(before >= 3);
    assert_eq!(world.bought(ANNA, "1234", "again").state, State::Charged);
    assert_eq!(world.bought(ANNA, "1235", "another").state, State::Charged);
    assert_eq!(asked(&world), before);
}

#[test]
fn a_slow_source_costs_its_own_number_the_budget_and_others_nothing() {
    let world = World::new(setting());
    let slow = Fault::HttpSlow { ms: 8_000 };
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 9, slow).on(Operation::Facts));
    let (gateway, request) = (world.gateway().clone(), world.request(ANNA, "1234", 1, "slow"));
    let begun = Instant::now();
    let waiting = world.spawn(async move { gateway.purchase(request).await.expect("a charge").charge().clone() });
    assert_eq!(world.bought(BULAT, "1234", "quick").state, State::Charged);
    assert!(begun.elapsed() < BUDGET, "others wait for it: {:?}", begun.elapsed());
    let charge: Charge = world.run(waiting).expect("no panic");
    assert!((BUDGET..3 * BUDGET).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(!charge.state.is_not_taken(), "unknown allows: {charge:?}");
}

#[test]
fn unknown_declines_where_the_rules_say_so_and_nothing_is_sent() {
    let strict = r#"rules = [{ fact = "credit_debt", max_age_seconds = 60, when_unknown = "decline" }]"#;
    let world = World::new(Setting { rules: toml::from_str(strict).expect("rules"), ..setting() });
    world
        .set_fault(FaultRule::for_number(msisdn(ANNA), 1, Fault::HttpErrorBefore { status: 500 }).on(Operation::Facts));
    assert_eq!(world.bought(ANNA, "1234", "unknown").state, State::Declined(Reason::CreditDebt));
    assert_eq!(world.bought(ANNA, "1234", "known").state, State::Charged);
    world.audit();
}

#[test]
fn whatever_a_source_answers_wrongly_is_unknown_and_the_breaker_ends_it() {
    let only_crm: fn(&Simulator) -> (Vec<Source>, Option<LookUp>) = |simulator| (vec![crm(simulator)], None);
    let world = World::new(Setting { asked: only_crm, ..setting() });
    let faults = [
        Fault::HttpGarbage,
        Fault::HttpResetBefore,
        Fault::HttpResetAfter,
        Fault::HttpErrorAfter { status: 500 },
        Fault::HttpTruncated,
        Fault::HttpOversized { bytes: 50_000_000 },
        Fault::HttpRedirect,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        // A good answer in between keeps the breaker closed.
        eligibility(&world, &format!("+7705000010{n}"));
        let number = format!("+7705000000{n}");
        tell(&world, &number, SubscriberFacts { debt_minor: Some(1), ..SubscriberFacts::NONE });
        world.set_fault(FaultRule::for_number(msisdn(&number), 1, fault).on(Operation::Facts));
        let found = eligibility(&world, &number);
        assert_eq!(fact(&found, FactName::CreditDebt).0, FactValue::Unknown, "{fault:?}");
        assert!(matches!(found.silent[0].silence, Silence::Failed { .. }), "{fault:?}: {:?}", found.silent);
        assert_eq!(
            fact(&eligibility(&world, &number), FactName::CreditDebt).0,
            FactValue::True,
            "asked again: {fault:?}"
        );
    }
    world.set_fault(FaultRule::always(Fault::HttpResetBefore).on(Operation::Facts));
    for number in ["+77050000201", "+77050000202"] {
        eligibility(&world, number);
    }
    let (before, begun) = (asked(&world), Instant::now());
    let found = eligibility(&world, "+77050000203");
    assert_eq!(found.silent[0].silence, Silence::BreakerOpen);
    assert_eq!(asked(&world), before);
    assert!(begun.elapsed() < BUDGET);
}

#[test]
fn a_look_up_says_whose_number_it_is_and_who_is_not_configured_is_not_believed() {
    let only_look_up: fn(&Simulator) -> (Vec<Source>, Option<LookUp>) =
        |simulator| (Vec::new(), Some(portability(simulator)));
    let world = World::new(Setting { asked: only_look_up, ..setting() });
    // A prefix of nobody here; the look-up knows better.
    tell(&world, "+77011234567", SubscriberFacts { carrier: Some("Beeline".into()), ..SubscriberFacts::NONE });
    assert_eq!(world.bought("+77011234567", "1234", "moved").state, State::Charged);
    let found = eligibility(&world, "+77011234567");
    assert_eq!((found.route.carrier, found.route.source), (carrier(), HomeSource::LookUp));
    let before = asked(&world);
    assert_eq!(world.bought("+77011234567", "1235", "again").state, State::Charged);
    assert_eq!(asked(&world), before, "it is remembered");
    tell(&world, "+77012222222", SubscriberFacts { carrier: Some("Kcell".into()), ..SubscriberFacts::NONE });
    let elsewhere = world.purchase("+77012222222", "1234", 1, "elsewhere").expect_err("no such carrier here");
    assert_eq!(elsewhere.to_string(), Reason::NoRoute.code());
    world.set_fault(FaultRule::next(1, Fault::HttpResetBefore).on(Operation::Facts));
    assert_eq!(eligibility(&world, ANNA).route.source, HomeSource::Prefix, "the look-up failed");
}

#[test]
fn a_number_that_wrote_to_us_is_routed_by_its_message_also_after_a_restart() {
    let mut world = World::new(Setting { sqlite: true, ..Setting::default() });
    world.sms("+77011234567", "1234");
    world.until_state("+77011234567", "charged");
    let home = |world: &World| -> Option<Home> {
        let store: &Store = world.gateway().store();
        world.run(store.home(msisdn("+77011234567"))).expect("the store")
    };
    let kept = world.until("the home is kept", home);
    assert_eq!((kept.carrier, kept.source), (Some(carrier()), HomeSource::Message));
    world.kill();
    world.start();
    assert_eq!(world.bought("+77011234567", "1235", "by the app").state, State::Charged);
    let found = eligibility(&world, "+77011234567");
    assert_eq!(found.route.source, HomeSource::Message);
    assert_eq!(
        world.purchase("+77012222222", "1234", 1, "unheard").expect_err("a prefix of nobody").to_string(),
        "no_route"
    );
}

#[test]
fn facts_outlive_the_process_and_are_not_asked_again() {
    let strict = r#"rules = [{ fact = "corporate_number", max_age_seconds = 86_400, when_unknown = "allow" }]"#;
    let rules = toml::from_str(strict).expect("rules");
    let mut world = World::new(Setting { sqlite: true, rules, ..setting() });
    let business = Subscriber::with_balance(50_000).and(Condition::CorporateNumber);
    world.simulator.set_subscriber(msisdn(ANNA), business).expect("room");
    assert_eq!(world.bought(ANNA, "1234", "first").state, State::Declined(Reason::CorporateNumber));
    let kept = |world: &World| {
        let counts = world.run(world.gateway().store().known_counts()).expect("the store");
        (counts.facts > 0).then_some(())
    };
    world.until("the fact is kept", kept);
    let before = asked(&world);
    world.kill();
    world.start();
    assert_eq!(world.bought(ANNA, "1235", "second").state, State::Declined(Reason::CorporateNumber));
    assert_eq!(asked(&world), before);
}
