//! Who holds the slot of a number and a vehicle.

use super::world::{Setting, World, msisdn};
use crate::{
    charge::State,
    gateway::Purchased,
    simulator::{Fault, Subscriber},
};

const ANNA: &str = "+77051111111";

#[test]
fn m15_a_rejection_is_replayed_also_while_another_charge_holds_the_slot() {
    let world = World::new(Setting::default());
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(0)).expect("room");
    let refused = world.bought(ANNA, "1234", "before the top-up");
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(50_000)).expect("room");
    world.fault(ANNA, Fault::DelayResponse { ms: 300 });
    let newer = world.purchase(ANNA, "1234", 1, "after it").expect("a charge").charge().clone();
    assert_eq!(newer.state, State::Processing);
    let replayed = world.purchase(ANNA, "1234", 1, "before the top-up").expect("a replay");
    assert!(matches!(&replayed, Purchased::Replayed { charge, repeat: false } if *charge == refused), "{replayed:?}");
    let conflict = world.purchase(ANNA, "1234", 2, "after it");
    assert!(conflict.is_err(), "another body under a key that is processing: {conflict:?}");
}

#[test]
fn m15_identical_requests_at_once_are_one_charge_and_none_of_them_a_repeat_of_another() {
    let world = World::new(Setting::default());
    world.fault(ANNA, Fault::DelayResponse { ms: 300 });
    let answers = world.run(async {
        let mut answers = Vec::new();
        let mut running = tokio::task::JoinSet::new();
        let gateway = world.gateway().clone();
        for _ in 0..16 {
            let (gateway, request) = (gateway.clone(), world.request(ANNA, "1234", 1, "k"));
            running.spawn(async move { gateway.purchase(request).await });
        }
        while let Some(answer) = running.join_next().await {
            answers.push(answer.expect("no panic").expect("an answer"));
        }
        answers
    });
    let new = answers.iter().filter(|answer| matches!(answer, Purchased::New(_))).count();
    let replayed = answers.iter().filter(|answer| matches!(answer, Purchased::Replayed { repeat: false, .. })).count();
    assert_eq!((new, replayed), (1, 15), "{answers:?}");
}
