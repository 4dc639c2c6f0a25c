//! The shipped profiles against the simulated carrier, which shares no code with them: every fault, and the two ledgers at the end.

use std::{collections::VecDeque, time::Duration};

use jiff::tz::TimeZone;

use super::*;
use crate::{
    carrier::{
        Urgency,
        http::{HttpCarrier, HttpProfile, PortabilityReading, SubscriberReading},
        web::WebSlot,
    },
    charge::{
        Asked, AttemptState, Charge, Effect, Event, Evidence, EvidenceSource, Finding, LateSuccess, Reason, Reference,
        State, Terms, samples::order, step,
    },
    clock::Timestamp,
    eligibility::{FactName, FactValue},
    money::Money,
    simulator::{
        Condition, Fault, FaultRule, HttpConfig, Interface, Operation as Asks, Simulator, SimulatorConfig, Subscriber,
        SubscriberFacts,
    },
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

async fn simulator() -> Simulator {
    let config = SimulatorConfig { http: HttpConfig::all(), ..SimulatorConfig::default() };
    Simulator::start(config).await.expect("a simulator")
}

/// A shipped profile that is pointed at the simulator, with time-outs that a test can wait for.
fn carrier(simulator: &Simulator, name: &str, two_step: bool) -> HttpCarrier {
    let file = format!("{}/config/examples/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("a profile").replace("timeout_ms = 10_000", "timeout_ms = 400");
    let text = text.replace("connect_timeout_ms = 3_000", "connect_timeout_ms = 300");
    let text = if two_step { text.replace("two_step = false", "two_step = true") } else { text };
    let interface = match name {
        "oneapi" => Interface::Oneapi,
        "cis" => Interface::Cis,
        _ => Interface::Facts,
    };
    let base = |interface| simulator.http_url(interface).expect("the interface is there");
    let base_url = if name == "oneapi" { format!("{}/payment/v1", base(interface)) } else { base(interface) };
    let names: Vec<&str> =
        ["sign", "password", "callback", "token"].into_iter().filter(|n| text.contains(&format!("\"{n}\""))).collect();
    let mut section = HttpProfile { profile: name.into(), base_url: Some(base_url), ..HttpProfile::default() };
    if name == "cis" {
        section.base_urls.insert(Operation::Subscriber, base(Interface::Facts));
    }
    let profile = Profile::parse(name, &text, &section.overrides()).unwrap_or_else(|error| panic!("{error}"));
    section.secret_files = profile.secrets().map(|name| (name.to_owned(), name.into())).collect();
    let secrets = HttpSecrets::new(names.into_iter().map(|name| (name, Zeroizing::new("secret".to_owned()))));
    let zone = TimeZone::get("Asia/Almaty").expect("a zone");
    let name = "kcell".parse().expect("a name");
    HttpCarrier::open(name, section, profile, secrets, zone).unwrap_or_else(|error| panic!("{error}"))
}

fn new_charge(number: u8) -> Charge {
    let terms = Terms::new(NOW.plus(Duration::from_secs(60)), LateSuccess::Ticket);
    let order = crate::charge::Order {
        msisdn: format!("+770100000{number:02}").parse().expect("a number"),
        city: "Алматы \"1\" <&>".into(),
        ..order(NOW)
    };
    Charge::new(Reference::new(NOW, [number; 10]), order, terms)
}

async fn slot(carrier: &HttpCarrier) -> WebSlot {
    carrier.reserve(Duration::from_secs(10), Urgency::Normal).await.expect("a slot")
}

/// Plays the engine's part until the charge is settled or nothing is due: evidence goes through `step`, and what it asks for is done. Time
/// jumps to whatever is due next.
async fn driven(carrier: &HttpCarrier, charge: Charge) -> Charge {
    let (mut charge, mut now) = (charge, NOW);
    let mut due: VecDeque<Effect> = VecDeque::from([Effect::TryAgain]);
    for round in 0..200 {
        let Some(effect) = due.pop_front() else {
            let Some(at) = charge.due_at() else { return charge };
            now = now.max(at).plus(Duration::from_millis(1));
            let stepped = step(&charge, Event::Tick, now).expect("a tick");
            charge = stepped.next;
            due.extend(stepped.effects);
            continue;
        };
        let Some(event) = event_of(carrier, &charge, effect, round, now).await else { continue };
        match step(&charge, event, now) {
            Ok(stepped) => {
                charge = stepped.next;
                due.extend(stepped.effects);
            }
            Err(error) => panic!("{error}: {charge:?}"),
        }
    }
    panic!("it does not end: {charge:?}");
}

async fn event_of(carrier: &HttpCarrier, charge: &Charge, effect: Effect, round: u32, now: Timestamp) -> Option<Event> {
    let attempt = charge.last_attempt();
    let heard = |finding: Finding| {
        let source = match finding {
            Finding::NotSent | Finding::Doubtful { .. } => EvidenceSource::Link,
            _ => EvidenceSource::Response,
        };
        let attempt = charge.attempts.len().try_into().expect("a number");
        Event::Evidence(Evidence { id: format!("test:{round}"), attempt, source, finding })
    };
    Some(match effect {
        Effect::TryAgain => Event::OpenAttempt {
            carrier: carrier.name().clone(),
            wire_reference: carrier
                .wire_reference(charge.reference, u16::try_from(charge.attempts.len() + 1).expect("few")),
            contract: carrier.contract(),
            carrier_time: None,
        },
        Effect::Send { .. } | Effect::Resend { .. } => {
            Event::Evidence(carrier.charge(slot(carrier).await, charge, attempt?).await)
        }
        Effect::Confirm { .. } => heard(carrier.confirm(slot(carrier).await, charge, attempt?).await),
        Effect::Cancel { .. } => heard(carrier.cancel(slot(carrier).await, charge, attempt?).await),
        Effect::Query { .. } => match carrier.query(charge, attempt?).await {
            Some(Finding::Nothing) => return None,
            Some(finding) => {
                let Event::Evidence(evidence) = heard(finding) else { return None };
                Event::Evidence(Evidence { source: EvidenceSource::Query, ..evidence })
            }
            // It can be asked by an id only that no answer told; its stored answer tells.
            None if asks_again(charge, now) => {
                Event::Evidence(carrier.charge(slot(carrier).await, charge, attempt?).await)
            }
            None => return None,
        },
        _ => return None,
    })
}

fn asks_again(charge: &Charge, now: Timestamp) -> bool {
    charge.last_attempt().is_some_and(|attempt| {
        attempt.contract.replays_keys
            && attempt.asked == Asked::Take
            && matches!(attempt.state, AttemptState::InDoubt { .. })
            && now <= charge.terms.ticket_deadline
    })
}

/// What the carrier took for this charge, by its own ledger, in tiyn.
fn taken(simulator: &Simulator, charge: &Charge) -> Vec<i64> {
    simulator.ledger().entries_for(charge.reference.uuid()).map(|entry| entry.amount.minor).collect()
}

fn no_violations(simulator: &Simulator) {
    let stats = simulator.stats().http;
    assert_eq!(stats.violations, 0, "{:?}", stats.violations_last);
    assert!(simulator.ledger().charged_twice().is_empty());
}

/// Faults of one request that the adapter can find out about.
fn faults() -> Vec<Fault> {
    vec![
        Fault::HttpTimeOutBefore { ms: 600 },
        Fault::HttpResetBefore,
        Fault::HttpErrorBefore { status: 503 },
        Fault::HttpThrottle { retry_after_s: 1 },
        Fault::HttpRedirect,
        Fault::HttpTokenExpired,
        Fault::HttpTimeOutAfter { ms: 600 },
        Fault::HttpResetAfter,
        Fault::HttpErrorAfter { status: 500 },
        Fault::HttpSlow { ms: 100 },
        Fault::HttpDuplicate { charged: true },
        Fault::HttpDuplicate { charged: false },
        Fault::HttpGarbage,
        Fault::HttpOversized { bytes: 200_000 },
        Fault::HttpWrongContentType,
        Fault::HttpTruncated,
    ]
}

async fn audited(name: &str, two_step: bool, asks: Asks) {
    let simulator = simulator().await;
    let carrier = carrier(&simulator, name, two_step);
    for (n, fault) in faults().into_iter().enumerate() {
        simulator.clear_faults();
        simulator.set_fault(FaultRule::next(1, fault).on(asks)).expect("a fault");
        let charge = driven(&carrier, new_charge(u8::try_from(n).expect("few"))).await;
        let taken = taken(&simulator, &charge);
        match charge.state {
            State::Charged => assert_eq!(taken, [8_000], "{name} {fault:?}"),
            State::Rejected(_) | State::Declined(_) => assert!(taken.is_empty(), "{name} {fault:?}: {charge:?}"),
            other => panic!("{name} {fault:?}: {other:?} {charge:?}"),
        }
    }
    no_violations(&simulator);
}

#[tokio::test]
async fn oneapi_in_one_step_survives_every_fault_with_equal_ledgers() {
    audited("oneapi", false, Asks::Charge).await;
}

#[tokio::test]
async fn cis_in_one_step_survives_every_fault_with_equal_ledgers() {
    audited("cis", false, Asks::Charge).await;
}

#[tokio::test]
async fn oneapi_in_two_steps_survives_every_fault_of_the_second_with_equal_ledgers() {
    audited("oneapi", true, Asks::Confirm).await;
}

#[tokio::test]
async fn cis_in_two_steps_survives_every_fault_of_either_with_equal_ledgers() {
    audited("cis", true, Asks::Reserve).await;
    audited("cis", true, Asks::Confirm).await;
}

#[tokio::test]
async fn questions_that_go_wrong_change_nothing() {
    let simulator = simulator().await;
    let carrier = carrier(&simulator, "cis", false);
    for (n, fault) in faults().into_iter().enumerate() {
        simulator.clear_faults();
        simulator.set_fault(FaultRule::next(1, Fault::HttpResetAfter).on(Asks::Charge)).expect("a fault");
        simulator.set_fault(FaultRule::next(1, fault).on(Asks::Status)).expect("a fault");
        let charge = driven(&carrier, new_charge(u8::try_from(n).expect("few"))).await;
        assert_eq!((charge.state, taken(&simulator, &charge)), (State::Charged, vec![8_000]), "{fault:?}");
    }
    no_violations(&simulator);
}

#[tokio::test]
async fn the_carriers_own_rules_come_back_as_our_reasons() {
    let simulator = simulator().await;
    let conditions = [
        (Condition::CorporateNumber, Reason::CorporateNumber),
        (Condition::CreditDebt, Reason::CreditDebt),
        (Condition::NoTopUpSinceActivation, Reason::NoTopUpSinceActivation),
        (Condition::InitialBalanceUnused, Reason::InitialBalanceUnused),
        (Condition::RecentSimSwap, Reason::RecentSimSwap),
        (Condition::Unknown, Reason::NotOurSubscriber),
    ];
    for name in ["oneapi", "cis"] {
        let carrier = carrier(&simulator, name, false);
        for (n, (condition, reason)) in conditions.into_iter().enumerate() {
            let charge = new_charge(u8::try_from(n).expect("few"));
            let subscriber = Subscriber::with_balance(20_000);
            let subscriber = Subscriber { conditions: [condition].into(), ..subscriber };
            simulator.set_subscriber(charge.order.msisdn, subscriber).expect("room");
            let charge = driven(&carrier, charge).await;
            let AttemptState::Rejected(rejection) = &charge.attempts[0].state else { panic!("{name}: {charge:?}") };
            assert_eq!(rejection.reason, reason, "{name}");
        }
        let poor = new_charge(50);
        simulator.set_subscriber(poor.order.msisdn, Subscriber::with_balance(100)).expect("room");
        assert_eq!(driven(&carrier, poor).await.state, State::Rejected(Reason::InsufficientBalance), "{name}");
    }
    no_violations(&simulator);
}

#[tokio::test]
async fn money_goes_back_once_in_parts_and_in_all_whatever_is_lost() {
    let simulator = simulator().await;
    for (name, number) in [("oneapi", 1), ("cis", 2)] {
        let carrier = carrier(&simulator, name, false);
        let charge = driven(&carrier, new_charge(number)).await;
        let ask = |charge: &Charge, purpose: &str, minor: i64| {
            let refund = charge.reference.derive(purpose, 0);
            let event = Event::RequestRefund { refund, amount: Money::kzt(minor), by: None };
            (step(charge, event, NOW).expect("a refund").next, refund)
        };
        let (charge, part) = ask(&charge, "part", 3_000);
        let refund = charge.refunds.iter().find(|refund| refund.reference == part).expect("a refund");
        let finding = carrier.refund(slot(&carrier).await, &charge, refund).await;
        assert!(matches!(finding, Finding::Charged { .. }), "{name}: {finding:?}");
        let event = Event::RefundEvidence { refund: part, id: "1".into(), source: EvidenceSource::Response, finding };
        let charge = step(&charge, event, NOW).expect("evidence").next;
        let (charge, rest) = ask(&charge, "rest", 5_000);
        let refund = charge.refunds.iter().find(|refund| refund.reference == rest).expect("a refund");
        simulator.set_fault(FaultRule::next(1, Fault::HttpResetAfter).on(Asks::Refund)).expect("a fault");
        let lost = carrier.refund(slot(&carrier).await, &charge, refund).await;
        assert!(matches!(lost, Finding::Doubtful { .. }), "{name}: {lost:?}");
        if name == "cis" {
            let found = carrier.query_refund(&charge, refund).await;
            assert!(matches!(found, Some(Finding::Charged { .. })), "{found:?}");
        } else {
            // By its id only, which was lost.
            assert_eq!(carrier.query_refund(&charge, refund).await, None);
        }
        assert_eq!(simulator.ledger().refunded_of(charge.order.msisdn), Money::kzt(8_000), "{name}");
    }
    no_violations(&simulator);
}

#[tokio::test]
async fn what_is_known_of_a_number_is_read_from_both_forms_of_the_profile() {
    let simulator = simulator().await;
    let msisdn = new_charge(7).order.msisdn;
    let facts = SubscriberFacts {
        debt_minor: Some(1),
        topped_up: Some(false),
        carrier: Some("Tele2".into()),
        ..SubscriberFacts::NONE
    };
    simulator.set_facts(msisdn, facts).expect("room");
    let patience = Duration::from_secs(1);
    for name in ["cis", "facts"] {
        let carrier = carrier(&simulator, name, false);
        let expected = vec![
            (FactName::CorporateNumber, FactValue::False),
            (FactName::CreditDebt, FactValue::True),
            (FactName::NoTopUpSinceActivation, FactValue::True),
            (FactName::InitialBalanceUnused, FactValue::False),
        ];
        assert_eq!(carrier.subscriber(msisdn, patience).await, SubscriberReading::Facts(expected), "{name}");
        let stranger = new_charge(8).order.msisdn;
        let unknown = Subscriber { conditions: [Condition::Unknown].into(), ..Subscriber::with_balance(0) };
        simulator.set_subscriber(stranger, unknown).expect("room");
        assert_eq!(carrier.subscriber(stranger, patience).await, SubscriberReading::NotOurSubscriber, "{name}");
        for fault in [
            Fault::HttpGarbage,
            Fault::HttpTruncated,
            Fault::HttpErrorBefore { status: 500 },
            Fault::HttpTimeOutBefore { ms: 3_000 },
        ] {
            simulator.set_fault(FaultRule::next(1, fault).on(Asks::Facts)).expect("a fault");
            let reading = carrier.subscriber(msisdn, patience).await;
            assert!(matches!(reading, SubscriberReading::Unclear(_)), "{name} {fault:?}: {reading:?}");
        }
    }
    let facts = carrier(&simulator, "facts", false);
    let tele2 = PortabilityReading::Carrier("tele2".parse().expect("a name"));
    assert_eq!(facts.portability(msisdn, patience).await, tele2);
    no_violations(&simulator);
}
