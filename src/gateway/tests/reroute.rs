//! Numbers that moved between two carriers: a definite "not my subscriber" sends the charge on once, and the next one goes straight.

use std::{thread, time::Duration};

use super::{
    facts::portability,
    world::{CARRIER, OTHER_CARRIER, Over, PATIENCE, Setting, World, msisdn},
};
use crate::{
    carrier::Urgency,
    charge::{AttemptState, Charge, Reason, State},
    gateway::Enquiry,
    simulator::{
        CamaraConfig, Condition, FactsConfig, Fault, FaultRule, HttpConfig, Operation, Simulator, Subscriber,
        SubscriberFacts,
    },
    subscriber::{LookUp, Source},
};

const ANNA: &str = "+77051111111";

fn looked_up(simulator: &Simulator) -> (Vec<Source>, Option<LookUp>) {
    (Vec::new(), Some(portability(simulator)))
}

/// Two carriers over HTTP. By its prefix the number is the first one's; it has moved to the other.
fn world(asked: bool) -> World {
    let mut setting = Setting {
        over: Over::Camara { two_step: false },
        second: Some(Over::Cis { two_step: false }),
        ..Setting::default()
    };
    setting.simulator.http = HttpConfig {
        camara: Some(CamaraConfig::default()),
        facts: Some(FactsConfig::default()),
        carrier: "Beeline".into(),
        ..HttpConfig::default()
    };
    if asked {
        setting.asked = looked_up;
    }
    let world = World::new(setting);
    let moved = FaultRule { msisdn: Some(msisdn(ANNA)), ..FaultRule::always(Fault::HttpNotOurSubscriber) };
    world.set_fault(moved.on(Operation::Charge));
    let facts = SubscriberFacts { carrier: Some("Kcell".into()), ..SubscriberFacts::NONE };
    world.simulator.set_facts(msisdn(ANNA), facts).expect("room");
    world
}

fn other(world: &World) -> &Simulator {
    world.other.as_ref().expect("two carriers")
}

fn charges_asked_for(simulator: &Simulator) -> u64 {
    simulator.stats().http.requests_by_operation.get(&Operation::Charge).copied().unwrap_or_default()
}

fn paid(world: &World) -> (i64, i64) {
    (world.taken(ANNA), other(world).ledger().total_of(msisdn(ANNA)).minor)
}

fn carriers_of(charge: &Charge) -> Vec<&str> {
    charge.attempts.iter().map(|attempt| attempt.carrier.as_str()).collect()
}

/// The first question of the look-up goes unanswered, so that the prefix has to do.
fn silence_the_look_up(world: &World) {
    let silent = FaultRule::for_number(msisdn(ANNA), 1, Fault::HttpErrorBefore { status: 503 });
    world.set_fault(silent.on(Operation::Facts));
}

#[test]
fn a_number_that_moved_is_sent_on_once_and_the_next_purchase_goes_straight() {
    let mut world = world(true);
    silence_the_look_up(&world);
    let charge = world.bought(ANNA, "1234", "first");
    assert_eq!(charge.state, State::Charged, "{charge:?}");
    assert_eq!(carriers_of(&charge), [CARRIER, OTHER_CARRIER]);
    assert!(matches!(&charge.attempts[0].state, AttemptState::Rejected(no) if no.reason == Reason::NotOurSubscriber));
    assert_eq!(paid(&world), (0, 8_000));
    // By what was learnt, also after a restart.
    for (vehicle, restart) in [("1235", false), ("3000", true)] {
        if restart {
            world.kill();
            world.start();
        }
        let before = charges_asked_for(&world.simulator);
        let mut request = world.request(ANNA, vehicle, 1, vehicle);
        request.zone = (vehicle == "3000").then(|| "1".parse().expect("a zone"));
        let bought = world.run(world.gateway().purchase(request)).expect("a charge").charge().reference;
        let charge = world.run(world.gateway().wait(bought, PATIENCE)).expect("the store").expect("the charge").charge;
        assert_eq!((charge.state, carriers_of(&charge)), (State::Charged, vec![OTHER_CARRIER]));
        assert_eq!(charges_asked_for(&world.simulator), before, "the first one is not asked again");
    }
    assert_eq!(paid(&world), (0, 3 * 8_000));
    let enquiry = Enquiry { msisdn: msisdn(ANNA), vehicle: None, zone: None, caller: None };
    let found = world.run(world.gateway().eligibility(&enquiry)).expect("the store").expect("a carrier");
    assert_eq!(found.route.carrier.as_str(), OTHER_CARRIER);
}

#[test]
fn a_passenger_who_wrote_from_a_number_that_moved_gets_the_ticket_by_text() {
    let world = world(true);
    world.sms(ANNA, "1234");
    let charge = world.until_state(ANNA, "charged");
    assert_eq!((carriers_of(&charge), paid(&world)), (vec![CARRIER, OTHER_CARRIER], (0, 8_000)));
    let texts =
        || [world.texts(ANNA), other(&world).inbox(msisdn(ANNA)).into_iter().map(|sms| sms.text).collect()].concat();
    world.until("the ticket is there", |_| (!texts().is_empty()).then_some(()));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(texts().len(), 1, "{:?}", texts());
}

#[test]
fn two_carriers_that_each_name_the_other_end_the_charge_and_nobody_pays() {
    let world = world(true);
    silence_the_look_up(&world);
    let stranger = Subscriber { conditions: [Condition::Unknown].into(), ..Subscriber::with_balance(100_000) };
    other(&world).set_subscriber(msisdn(ANNA), stranger).expect("room");
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!((charge.state, charge.attempts.len()), (State::Rejected(Reason::NotOurSubscriber), 2), "{charge:?}");
    assert_eq!(paid(&world), (0, 0));
    assert_eq!((charges_asked_for(&world.simulator), charges_asked_for(other(&world))), (1, 1));
}

#[test]
fn a_number_that_nobody_knows_to_be_elsewhere_is_not_sent_on() {
    let world = world(false);
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!((charge.state, charge.attempts.len()), (State::Rejected(Reason::NotOurSubscriber), 1), "{charge:?}");
    assert_eq!((charges_asked_for(other(&world)), paid(&world)), (0, (0, 0)));
}

#[test]
fn m07_in_doubt_nothing_is_sent_to_the_other_carrier() {
    let doubts = [
        Fault::HttpTimeOutBefore { ms: 600 },
        Fault::HttpResetBefore,
        Fault::HttpErrorBefore { status: 503 },
        Fault::HttpRedirect,
        Fault::HttpForbidden,
    ];
    // Each waits for two answers that it is not there: all of them at once.
    thread::scope(|scope| {
        for lost in doubts {
            scope.spawn(move || {
                let world = world(true);
                world.simulator.clear_faults();
                silence_the_look_up(&world);
                world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, lost).on(Operation::Charge));
                let charge = world.bought(ANNA, "1234", "k");
                assert_eq!(charge.state, State::InDoubt, "{lost:?}");
                let ended = world.until("the carrier says that it has none", |world| {
                    Some(world.charge(charge.reference)).filter(|charge| !charge.state.is_open())
                });
                assert!(ended.state.is_not_taken() && ended.attempts.len() == 1, "{lost:?} {ended:?}");
                assert_eq!((charges_asked_for(other(&world)), paid(&world)), (0, (0, 0)), "{lost:?}");
            });
        }
    });
}

#[test]
fn a_carrier_that_is_paused_takes_nothing_that_was_sent_on_and_the_charge_ends_in_time() {
    let world = {
        let world = world(true);
        silence_the_look_up(&world);
        world
    };
    let kcell = world.gateway().carrier(OTHER_CARRIER).expect("a carrier").clone();
    kcell.set_paused(true);
    let purchase = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    world.until("it is sent on", |world| {
        let charge = world.charge(purchase);
        matches!(charge.last_attempt().map(|attempt| &attempt.state), Some(AttemptState::Rejected(_))).then_some(())
    });
    assert!(world.run(kcell.reserve(Duration::from_millis(10), Urgency::Normal)).is_err());
    assert_eq!((world.charge(purchase).state, charges_asked_for(other(&world))), (State::Processing, 0));
    kcell.set_paused(false);
    let charge = world.run(world.gateway().wait(purchase, PATIENCE)).expect("the store").expect("the charge").charge;
    assert_eq!((charge.state, paid(&world)), (State::Charged, (0, 8_000)));
}
