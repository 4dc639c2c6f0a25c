//! A stop in good order: nothing new is sent, what is under way is awaited, and what stays unanswered survives.

use std::time::Duration;

use super::world::{Setting, World};
use crate::{
    charge::{AttemptState, State},
    gateway::PurchaseError,
    simulator::{ChargingMoment, DelayRange, Fault},
};

const ANNA: &str = "+77051111111";
const BORIS: &str = "+77052222222";
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_stop_waits_for_answers_under_way_takes_nothing_new_and_unbinds() {
    let mut setting = Setting::default();
    setting.simulator.response_delay_ms = DelayRange { min: 200, max: 200 };
    let world = World::new(setting);
    let reference = world.purchase(ANNA, "1234", 1, "k1").expect("a charge").charge().reference;
    world.until("the carrier has it", |world| (world.simulator.stats().submits == 1).then_some(()));
    let gateway = world.gateway().clone();
    let stopping = world.spawn(async move { gateway.stop(LIMIT).await });
    world.until("it is stopping", |world| world.gateway().is_stopping().then_some(()));
    let refused = world.purchase(BORIS, "1234", 1, "k2").expect_err("nothing new is taken");
    assert!(matches!(refused, PurchaseError::Stopping), "{refused}");
    world.run(stopping).expect("it ends");
    assert_eq!(world.charge(reference).state, State::Charged);
    world.until("nobody is bound", |world| world.simulator.links().is_empty().then_some(()));
    // The charged message. Its ticket waits in the store for the next start.
    assert_eq!(world.simulator.ledger().entries().len(), 1);
}

#[test]
fn what_is_unanswered_at_a_stop_is_in_doubt_and_survives_it() {
    for sqlite in [false, true] {
        let mut world = World::new(Setting { charged_at: ChargingMoment::Delivery, sqlite, ..Setting::default() });
        world.fault(ANNA, Fault::DropResponse);
        world.fault(ANNA, Fault::LateReceipt { ms: 2_500 });
        let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
        world.until("the carrier has it", |world| (world.simulator.stats().submits == 1).then_some(()));
        world.run(world.gateway().stop(LIMIT));
        world.kill();
        world.start();
        let found = world.charge(reference);
        assert_eq!(found.state, State::InDoubt);
        assert!(matches!(found.attempts[0].state, AttemptState::InDoubt { .. }), "{found:?}");
        world.until("its receipt settles it", |world| (world.charge(reference).state == State::Charged).then_some(()));
        world.audit();
    }
}

#[test]
fn what_waited_for_a_send_slot_at_a_stop_was_never_sent_and_goes_after_the_start() {
    let mut world = World::new(Setting { sqlite: true, ..Setting::default() });
    world.run(async {
        let carrier = world.gateway().carrier(super::world::CARRIER).expect("a carrier").clone();
        carrier.shut_down().await;
    });
    let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    assert!(world.charge(reference).attempts.is_empty());
    world.run(world.gateway().stop(LIMIT));
    assert!(world.charge(reference).attempts.is_empty());
    world.kill();
    world.start();
    world.until("it is charged", |world| (world.charge(reference).state == State::Charged).then_some(()));
    world.audit();
}
