use std::time::Duration;

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    charge::Reason,
    clock::Timestamp,
    money::{Currency, Money},
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const FARE: Money = Money::kzt(8_000);

fn seen(value: FactValue, age_seconds: u64) -> Fact {
    let source = FactSource::CarrierRejection("beeline".into());
    Fact { value, source, observed_at: NOW.minus(Duration::from_secs(age_seconds)) }
}

fn listed(value: FactValue, age_seconds: u64) -> Fact {
    Fact { source: FactSource::NumberList("corporate".into()), ..seen(value, age_seconds) }
}

fn rule(fact: FactName, max_age_seconds: u64, when_unknown: WhenUnknown) -> FactRule {
    FactRule { fact, max_age_seconds, when_unknown }
}

fn rules(list: &[FactRule]) -> Rules {
    Rules::new(list.to_vec(), Limits::default()).expect("sound rules")
}

fn limited(limits: Limits) -> Rules {
    Rules::new(Vec::new(), limits).expect("sound limits")
}

fn application(facts: &Facts) -> Application<'_> {
    Application {
        carrier: "beeline",
        facts,
        denied_by: None,
        purchase: Purchase::Fare { sale_locked: false, amount: Ok(FARE) },
        spending: Spending { today: Money::kzt(0), this_month: Money::kzt(0), purchases_in_window: 0 },
        sales: Sales::default(),
    }
}

fn decide(rules: &Rules, application: &Application<'_>) -> Decision {
    judge(rules, application, NOW).decision
}

#[test]
fn a_fact_counts_up_to_its_greatest_age_and_not_a_millisecond_longer() {
    let rules = rules(&[rule(FactName::CreditDebt, 120, WhenUnknown::Allow)]);
    let facts = Facts::from_iter([(FactName::CreditDebt, seen(FactValue::True, 120))]);
    assert_eq!(judge(&rules, &application(&facts), NOW).decision, Decision::Declined(Reason::CreditDebt));
    let later = NOW.plus(Duration::from_millis(1));
    assert_eq!(judge(&rules, &application(&facts), later).decision, Decision::Allowed);
}

#[test]
fn what_unknown_means_is_the_operators_choice() {
    let never_said = Facts::new();
    let not_known = Facts::from_iter([(FactName::CreditDebt, seen(FactValue::Unknown, 0))]);
    let too_old = Facts::from_iter([(FactName::CreditDebt, seen(FactValue::False, 121))]);
    for facts in [never_said, not_known, too_old] {
        let lenient = rules(&[rule(FactName::CreditDebt, 120, WhenUnknown::Allow)]);
        assert_eq!(decide(&lenient, &application(&facts)), Decision::Allowed);
        let strict = rules(&[rule(FactName::CreditDebt, 120, WhenUnknown::Decline)]);
        assert_eq!(decide(&strict, &application(&facts)), Decision::Declined(Reason::CreditDebt));
    }
}

#[test]
fn a_number_list_does_not_age() {
    let rules = rules(&[rule(FactName::CorporateNumber, 60, WhenUnknown::Allow)]);
    let facts = Facts::from_iter([(FactName::CorporateNumber, listed(FactValue::True, 365 * 86_400))]);
    assert_eq!(decide(&rules, &application(&facts)), Decision::Declined(Reason::CorporateNumber));
}

#[test]
fn a_sim_swap_is_over_after_24_hours_whoever_said_it() {
    let day = 86_400;
    let rules = rules(&[rule(FactName::RecentSimSwap, day, WhenUnknown::Allow)]);
    for told in [seen, listed] {
        let recent = Facts::from_iter([(FactName::RecentSimSwap, told(FactValue::True, day))]);
        assert_eq!(decide(&rules, &application(&recent)), Decision::Declined(Reason::RecentSimSwap));
        let over = Facts::from_iter([(FactName::RecentSimSwap, told(FactValue::True, day + 1))]);
        assert_eq!(decide(&rules, &application(&over)), Decision::Allowed);
    }
}

#[test]
fn an_old_list_of_sim_swaps_does_not_hide_a_fresh_answer() {
    let facts = Facts::from_iter([
        (FactName::RecentSimSwap, listed(FactValue::True, 3 * 86_400)),
        (FactName::RecentSimSwap, seen(FactValue::True, 60)),
    ]);
    assert_eq!(decide(&Rules::default(), &application(&facts)), Decision::Declined(Reason::RecentSimSwap));
}

#[test]
fn what_stands_beats_what_was_observed_and_true_beats_false() {
    let believed = |statements: &[Fact]| {
        let facts: Facts = statements.iter().map(|fact| (FactName::CorporateNumber, fact.clone())).collect();
        facts.get(FactName::CorporateNumber).cloned()
    };
    let (yes, no) = (listed(FactValue::True, 1_000), listed(FactValue::False, 500));
    assert_eq!(believed(&[yes.clone(), seen(FactValue::False, 1)]), Some(yes.clone()));
    assert_eq!(believed(&[no.clone(), seen(FactValue::True, 1)]), Some(no.clone()));
    assert_eq!(believed(&[no, yes.clone()]), Some(yes));
}

#[test]
fn the_newest_observation_wins_but_not_to_know_takes_nothing_away() {
    let facts = Facts::from_iter([
        (FactName::CreditDebt, seen(FactValue::False, 90)),
        (FactName::CreditDebt, seen(FactValue::True, 50)),
        (FactName::CreditDebt, seen(FactValue::Unknown, 1)),
    ]);
    assert_eq!(facts.get(FactName::CreditDebt), Some(&seen(FactValue::True, 50)));
}

#[test]
fn a_carrier_may_have_an_order_and_limits_of_its_own() {
    let rules: Rules = toml::from_str(
        r#"
        [carriers.tele2]
        rules = [{ fact = "credit_debt", max_age_seconds = 60, when_unknown = "decline" }]
        [carriers.kcell]
        limits = { daily_minor = 7_999 }
        "#,
    )
    .expect("sound rules");
    let facts = Facts::new();
    let at = |carrier| decide(&rules, &Application { carrier, ..application(&facts) });
    assert_eq!(at("beeline"), Decision::Allowed);
    assert_eq!(at("tele2"), Decision::Declined(Reason::CreditDebt));
    assert_eq!(at("kcell"), Decision::Declined(Reason::DailyLimit));
    assert_eq!(rules.facts("kcell").len(), 5);
    assert_eq!(rules.carriers().collect::<Vec<_>>(), ["kcell", "tele2"]);
}

#[test]
fn a_limit_may_be_reached_but_not_passed() {
    let daily = limited(Limits { daily_minor: Some(20_000), ..Limits::default() });
    let monthly = limited(Limits { monthly_minor: Some(20_000), ..Limits::default() });
    let facts = Facts::new();
    let spent = |minor| Application {
        spending: Spending { today: Money::kzt(minor), this_month: Money::kzt(minor), purchases_in_window: 0 },
        ..application(&facts)
    };
    for (rules, reason) in [(daily, Reason::DailyLimit), (monthly, Reason::MonthlyLimit)] {
        assert_eq!(decide(&rules, &spent(12_000)), Decision::Allowed);
        assert_eq!(decide(&rules, &spent(12_001)), Decision::Declined(reason));
    }
}

#[test]
fn a_limit_that_cannot_be_checked_lets_nothing_through() {
    let rules = limited(Limits { daily_minor: Some(i64::MAX), ..Limits::default() });
    let facts = Facts::new();
    for today in [Money::kzt(i64::MAX), Money::new(0, Currency::Usd)] {
        let spending = Spending { today, ..application(&facts).spending };
        let verdict = decide(&rules, &Application { spending, ..application(&facts) });
        assert_eq!(verdict, Decision::Declined(Reason::DailyLimit));
    }
}

#[test]
fn velocity_allows_so_many_purchases_and_declines_the_next() {
    let velocity = Some(Velocity { purchases_max: 3, window_seconds: 600 });
    let rules = limited(Limits { velocity, ..Limits::default() });
    let facts = Facts::new();
    let after = |purchases_in_window| {
        let spending = Spending { purchases_in_window, ..application(&facts).spending };
        decide(&rules, &Application { spending, ..application(&facts) })
    };
    assert_eq!(after(2), Decision::Allowed);
    assert_eq!(after(3), Decision::Declined(Reason::Velocity));
    assert_eq!(rules.limits("beeline").velocity.map(|velocity| velocity.window()), Some(Duration::from_secs(600)));
}

#[test]
fn m14_what_an_agency_or_a_caller_sells_in_a_day_may_reach_its_limit_but_not_pass_it() {
    let written = "agencies.green.daily_minor = 20_000\ncallers.app = { currency = \"KZT\", daily_minor = 30_000 }";
    let rules: Rules = toml::from_str(written).expect("sound rules");
    let facts = Facts::new();
    let sold = |by, minor| Some(Sold { by, today: Money::kzt(minor) });
    let after = |agency, caller| {
        let sales = Sales { agency, caller };
        judge(&rules, &Application { sales, ..application(&facts) }, NOW)
    };
    assert_eq!(after(sold("green", 12_000), sold("app", 22_000)).decision, Decision::Allowed);
    let over = after(sold("green", 12_001), sold("app", 22_001));
    assert_eq!(over.decision, Decision::Declined(Reason::AgencyDailyLimit));
    let declining = over.findings.iter().filter(|finding| finding.outcome == Outcome::Declines);
    let rules_named: Vec<Reason> = declining.map(|finding| finding.rule).collect();
    assert_eq!(rules_named, [Reason::AgencyDailyLimit, Reason::CallerDailyLimit]);
    let (sold_before, limit) = (Money::kzt(12_001), Money::kzt(20_000));
    let basis = Basis::Sales { by: "green".into(), sold: sold_before, amount: Some(FARE), limit };
    assert!(over.findings.iter().any(|finding| finding.basis == basis));
    assert_eq!(after(sold("other", i64::MAX), sold("other", i64::MAX)).decision, Decision::Allowed);
    let other_currency = Some(Sold { by: "green", today: Money::new(0, Currency::Usd) });
    assert_eq!(after(other_currency, None).decision, Decision::Declined(Reason::AgencyDailyLimit));
}

#[test]
fn what_stops_everybody_comes_before_what_stops_the_subscriber() {
    let facts = Facts::from_iter([(FactName::CreditDebt, seen(FactValue::True, 0))]);
    let buy = |purchase| {
        decide(&Rules::default(), &Application { purchase, denied_by: Some("stolen"), ..application(&facts) })
    };
    let fare = |sale_locked, amount| Purchase::Fare { sale_locked, amount };
    assert_eq!(buy(Purchase::UnknownVehicle), Decision::Declined(Reason::UnknownVehicle));
    assert_eq!(buy(fare(true, Err(Reason::FareNotFound))), Decision::Declined(Reason::SaleLock));
    assert_eq!(buy(fare(false, Err(Reason::ZoneMissing))), Decision::Declined(Reason::ZoneMissing));
    assert_eq!(buy(fare(false, Ok(FARE))), Decision::Declined(Reason::DeniedNumber));
    assert_eq!(buy(Purchase::Enquiry), Decision::Declined(Reason::DeniedNumber));
}

#[test]
fn every_rule_is_reported_even_after_one_has_declined() {
    let facts = Facts::from_iter([(FactName::CorporateNumber, listed(FactValue::True, 7))]);
    let limits = Limits {
        daily_minor: Some(1),
        monthly_minor: Some(1),
        velocity: Some(Velocity { purchases_max: 1, window_seconds: 60 }),
        ..Limits::default()
    };
    let rules = Rules::new(Rules::default().facts("").to_vec(), limits).expect("sound");
    let verdict = judge(&rules, &application(&facts), NOW);
    assert_eq!(verdict.decision, Decision::Declined(Reason::CorporateNumber));
    let declining = verdict.findings.iter().filter(|finding| finding.outcome == Outcome::Declines);
    assert_eq!(
        declining.map(|finding| finding.rule).collect::<Vec<_>>(),
        [Reason::CorporateNumber, Reason::DailyLimit, Reason::MonthlyLimit]
    );
    assert_eq!(verdict.findings.len(), 12);
    let expected = Basis::Fact {
        name: FactName::CorporateNumber,
        fact: Some(listed(FactValue::True, 7)),
        age_seconds: Some(7),
        counted_as: FactValue::True,
        max_age_seconds: 86_400,
        when_unknown: WhenUnknown::Allow,
    };
    assert!(verdict.findings.iter().any(|finding| finding.basis == expected));
}

#[test]
fn a_verdict_reads_well_as_json() {
    let facts = Facts::from_iter([(FactName::CreditDebt, seen(FactValue::True, 30))]);
    let rules = rules(&[rule(FactName::CreditDebt, 120, WhenUnknown::Allow)]);
    let verdict = judge(&rules, &Application { purchase: Purchase::Enquiry, ..application(&facts) }, NOW);
    insta::assert_json_snapshot!(verdict, @r#"
    {
      "decision": "declined",
      "reason": "credit_debt",
      "findings": [
        {
          "rule": "denied_number",
          "outcome": "allows",
          "basis": {
            "kind": "deny_list",
            "list": null
          }
        },
        {
          "rule": "credit_debt",
          "outcome": "declines",
          "basis": {
            "kind": "fact",
            "name": "credit_debt",
            "fact": {
              "value": "true",
              "source": "carrier_rejection:beeline",
              "observed_at": "2027-01-15T07:59:30.000Z"
            },
            "age_seconds": 30,
            "counted_as": "true",
            "max_age_seconds": 120,
            "when_unknown": "allow"
          }
        }
      ]
    }
    "#);
}

#[test]
fn rules_are_read_from_toml_and_default_to_the_five() {
    assert_eq!(toml::from_str::<Rules>("").expect("nothing is required"), Rules::default());
    let written = r#"
        rules = [{ fact = "credit_debt", max_age_seconds = 60, when_unknown = "decline" }]
        [limits]
        daily_minor = 500_000
        velocity = { purchases_max = 5, window_seconds = 600 }
        [carriers.beeline.limits]
        daily_minor = 200_000
    "#;
    let rules: Rules = toml::from_str(written).expect("sound rules");
    assert_eq!(rules.facts("beeline"), [rule(FactName::CreditDebt, 60, WhenUnknown::Decline)]);
    assert_eq!(rules.limits("beeline").daily_minor, Some(200_000));
    assert_eq!(rules.limits("beeline").velocity, None);
    assert_eq!(rules.limits("kcell").daily_minor, Some(500_000));
}

#[test]
fn unsound_rules_are_refused_with_their_place() {
    let refused = |written: &str| toml::from_str::<Rules>(written).expect_err("unsound").to_string();
    let swap = r#"rules = [{ fact = "recent_sim_swap", max_age_seconds = 86_401, when_unknown = "allow" }]"#;
    assert!(refused(swap).contains("recent_sim_swap is over after 86400 seconds"), "{}", refused(swap));
    let debt = r#"{ fact = "credit_debt", max_age_seconds = 1, when_unknown = "allow" }"#;
    let twice = format!("[carriers.tele2]\nrules = [{debt}, {debt}]");
    assert!(refused(&twice).contains("carriers.tele2.rules: credit_debt has two rules"), "{}", refused(&twice));
    assert!(refused("limits.daily_minor = 0").contains("limits.daily_minor must be more than 0"));
    assert!(refused("agencies.green.daily_minor = 0").contains("agencies.green.daily_minor must be more than 0"));
    assert!(refused("callers.app.daily_minor = -1").contains("callers.app.daily_minor must be more than 0"));
    assert!(refused("callers.app = {}").contains("daily_minor"));
    assert!(refused("limit.daily_minor = 1").contains("unknown field `limit`"));
    assert!(refused(r#"rules = [{ fact = "rich" }]"#).contains("unknown variant `rich`"));
}

#[test]
fn fact_names_are_the_reasons_codes() {
    for name in FactName::ALL {
        assert_eq!(FactName::from_reason(name.reason()), Some(name));
        assert_eq!(serde_json::to_value(name).expect("a plain enum"), name.code());
    }
    assert_eq!(FactName::from_reason(Reason::InsufficientBalance), None);
}

fn any_source() -> impl Strategy<Value = FactSource> {
    let build = select(vec![
        FactSource::Camara as fn(_) -> _,
        FactSource::CarrierRejection,
        FactSource::NumberList,
        FactSource::Operator,
        FactSource::Profile,
    ]);
    (build, "[a-z:]{0,6}").prop_map(|(build, name)| build(name.into()))
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let value = select(vec![FactValue::True, FactValue::False, FactValue::Unknown]);
    (value, any_source(), 0..200_000_u64).prop_map(|(value, source, age)| Fact {
        value,
        source,
        observed_at: NOW.minus(Duration::from_secs(age)),
    })
}

fn any_statements() -> impl Strategy<Value = Vec<(FactName, Fact)>> {
    prop::collection::vec((select(FactName::ALL.to_vec()), any_fact()), 0..12)
}

fn any_rules() -> impl Strategy<Value = Vec<FactRule>> {
    let policy = select(vec![WhenUnknown::Allow, WhenUnknown::Decline]);
    let five = prop::collection::vec((0..=86_400_u64, policy), FactName::ALL.len());
    (Just(FactName::ALL.to_vec()).prop_shuffle(), five).prop_map(|(names, settings)| {
        names.into_iter().zip(settings).map(|(name, (age, policy))| rule(name, age, policy)).collect()
    })
}

proptest! {
    #[test]
    fn the_first_rule_that_declines_alone_is_the_reason(list in any_rules(), statements in any_statements()) {
        let facts = Facts::from_iter(statements);
        let by = |list: &[FactRule]| decide(&rules(list), &application(&facts));
        let alone = |rule: &&FactRule| by(std::slice::from_ref(rule)) != Decision::Allowed;
        let first = list.iter().find(alone).map_or(Decision::Allowed, |rule| Decision::Declined(rule.fact.reason()));
        prop_assert_eq!(by(&list), first);
    }

    #[test]
    fn a_true_more_never_turns_a_decline_into_an_allow(
        list in any_rules(), statements in any_statements(), name in select(FactName::ALL.to_vec()), more in any_fact(),
    ) {
        let mut facts = Facts::from_iter(statements);
        let before = decide(&rules(&list), &application(&facts));
        facts.add(name, Fact { value: FactValue::True, ..more });
        let after = decide(&rules(&list), &application(&facts));
        prop_assert!(before == Decision::Allowed || after != Decision::Allowed, "{before:?} became {after:?}");
    }

    #[test]
    fn the_order_in_which_facts_come_does_not_matter(
        (one, other) in any_statements().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(Facts::from_iter(one), Facts::from_iter(other));
    }

    #[test]
    fn a_limit_declines_exactly_over_it(spent in 0..50_000_i64, amount in 1..50_000_i64, limit in 1..100_000_i64) {
        let rules = limited(Limits { daily_minor: Some(limit), ..Limits::default() });
        let facts = Facts::new();
        let spending = Spending { today: Money::kzt(spent), ..application(&facts).spending };
        let purchase = Purchase::Fare { sale_locked: false, amount: Ok(Money::kzt(amount)) };
        let decision = decide(&rules, &Application { purchase, spending, ..application(&facts) });
        prop_assert_eq!(decision == Decision::Allowed, spent + amount <= limit);
    }

    #[test]
    fn a_fact_reads_back_from_what_is_stored(fact in any_fact()) {
        let stored = serde_json::to_string(&fact).expect("a plain struct");
        prop_assert_eq!(serde_json::from_str::<Fact>(&stored).expect("what was written"), fact);
    }

    #[test]
    fn no_text_panics_as_a_source(text in ".{0,40}") {
        let _ = text.parse::<FactSource>();
    }
}

mod facts;
mod limits;
