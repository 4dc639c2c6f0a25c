//! What an agency and a caller of the API may sell in a day (M14).

use super::world::{Setting, World, msisdn};
use crate::{
    charge::{Channel, Charge, Reason, State},
    eligibility::{Basis, Decision},
    gateway::Enquiry,
    money::Money,
    simulator::{Fault, Subscriber},
};

const ANNA: &str = "+77051234567";
const BULAT: &str = "+77059876543";

fn limited(text: &str) -> Setting {
    Setting { rules: toml::from_str(text).expect("rules"), ..Setting::default() }
}

fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|n| format!("+7705300{n:04}")).collect()
}

fn states(charges: &[Charge], state: State) -> usize {
    charges.iter().filter(|charge| charge.state == state).count()
}

#[test]
fn m14_many_purchases_at_once_never_pass_the_limit_of_their_agency() {
    let world = World::new(limited("agencies.green.daily_minor = 80_000"));
    let numbers = numbers(40);
    let charges: Vec<Charge> = world.run(async {
        let buying = numbers.iter().map(|number| {
            let (gateway, request) = (world.gateway().clone(), world.request(number, "1234", 1, number));
            tokio::spawn(async move { gateway.purchase(request).await.expect("a charge").charge().clone() })
        });
        let mut charges = Vec::new();
        for one in buying.collect::<Vec<_>>() {
            charges.push(one.await.expect("no panic"));
        }
        charges
    });
    assert_eq!(states(&charges, State::Declined(Reason::AgencyDailyLimit)), 30, "{charges:#?}");
    world.until("all are decided", |world| {
        let open = world.run(world.gateway().store().open_charges(100)).expect("the store");
        open.is_empty().then_some(())
    });
    world.audit();
}

#[test]
fn m14_what_is_in_doubt_counts_as_sold_and_what_was_refused_does_not() {
    let world = World::new(limited("agencies.green.daily_minor = 16_000"));
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    assert_eq!(world.bought(ANNA, "1234", "doubtful").state, State::InDoubt);
    world.simulator.set_subscriber(msisdn(BULAT), Subscriber::with_balance(0)).expect("room");
    assert_eq!(world.bought(BULAT, "1234", "poor").state, State::Rejected(Reason::InsufficientBalance));
    assert_eq!(world.bought("+77053000001", "1234", "fits").state, State::Charged);
    let over = world.bought("+77053000002", "1234", "over");
    assert_eq!(over.state, State::Declined(Reason::AgencyDailyLimit));
}

#[test]
fn m14_what_was_sold_today_is_still_counted_after_the_process_was_killed() {
    let mut world = World::new(Setting { sqlite: true, ..limited("callers.ticket-service.daily_minor = 16_000") });
    for number in ["+77053000001", "+77053000002"] {
        assert_eq!(world.bought(number, "1234", number).state, State::Charged);
    }
    world.kill();
    world.start();
    let over = world.bought(ANNA, "1234", "over");
    assert_eq!(over.state, State::Declined(Reason::CallerDailyLimit));
}

#[test]
fn a_limit_of_one_caller_touches_neither_another_nor_a_passengers_own_message() {
    let world = World::new(limited("callers.ticket-service.daily_minor = 7_999"));
    assert_eq!(world.bought(ANNA, "1234", "mine").state, State::Declined(Reason::CallerDailyLimit));
    let mut other = world.request(BULAT, "1234", 1, "theirs");
    other.channel = Channel::Api { caller: "kiosk".into() };
    let charge = world.run(world.gateway().purchase(other)).expect("a charge").charge().clone();
    assert!(!charge.state.is_not_taken(), "{charge:?}");
    world.sms(ANNA, "1234");
    let by_sms = |world: &World| world.charges(ANNA).into_iter().find(|charge| charge.state == State::Charged);
    world.until("the message is charged", by_sms);
}

#[test]
fn eligibility_shows_what_the_agency_and_the_caller_have_sold() {
    let world = World::new(limited("agencies.green.daily_minor = 16_000\ncallers.ticket-service.daily_minor = 15_999"));
    assert_eq!(world.bought(BULAT, "1234", "before").state, State::Charged);
    let enquiry = |vehicle: Option<&str>| Enquiry {
        msisdn: msisdn(ANNA),
        vehicle: vehicle.map(|code| code.parse().expect("a code")),
        zone: None,
        caller: Some("ticket-service".into()),
    };
    let ask =
        |vehicle| world.run(world.gateway().eligibility(&enquiry(vehicle))).expect("the store").expect("a carrier");
    let in_vehicle = ask(Some("1235")).verdict;
    assert_eq!(in_vehicle.decision, Decision::Declined(Reason::CallerDailyLimit));
    let (sold, amount, limit) = (Money::kzt(8_000), Some(Money::kzt(8_000)), Money::kzt(16_000));
    let expected = Basis::Sales { by: "green".into(), sold, amount, limit };
    assert!(in_vehicle.findings.iter().any(|finding| finding.basis == expected), "{in_vehicle:#?}");
    assert_eq!(
        ask(None).verdict.decision,
        Decision::Allowed,
        "no fare is asked about, and the limit is not passed yet"
    );
    assert_eq!(ask(Some("77")).verdict.decision, Decision::Declined(Reason::UnknownVehicle));
}

#[test]
fn m12_a_second_tap_beside_the_first_is_a_repeat_and_is_not_declined_by_the_limit_that_the_first_used_up() {
    let world = World::new(limited("limits.daily_minor = 8_000"));
    for n in 0..20 {
        let number = format!("+7705300{n:04}");
        let taps: Vec<Charge> = world.run(async {
            let buying = ["first", "second"].map(|tap| {
                let (gateway, key) = (world.gateway().clone(), format!("{tap} of {n}"));
                let request = world.request(&number, "1234", 1, &key);
                tokio::spawn(async move { gateway.purchase(request).await.expect("a charge").charge().clone() })
            });
            let mut charges = Vec::new();
            for tap in buying {
                charges.push(tap.await.expect("no panic"));
            }
            charges
        });
        assert_eq!(taps[0].reference, taps[1].reference, "{taps:#?}");
        assert!(taps.iter().all(|charge| !matches!(charge.state, State::Declined(_))), "{taps:#?}");
    }
    world.until("all are decided", |world| {
        let open = world.run(world.gateway().store().open_charges(100)).expect("the store");
        open.is_empty().then_some(())
    });
    world.audit();
}
