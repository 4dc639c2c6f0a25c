//! Who holds the slot of a number and a vehicle, and what a second passenger's charge does to the first one's ticket.

use std::time::Duration;

use super::world::{Setting, World, msisdn};
use crate::{
    charge::{Charge, Extends, State},
    gateway::Purchased,
    simulator::{Fault, Subscriber},
};

const ANNA: &str = "+77051111111";

fn world() -> World {
    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 1;
    World::new(setting)
}

/// Anna's ticket, and a second passenger's charge that is in doubt for good.
fn ticket_and_doubtful_second_passenger(world: &World) -> (Charge, Charge) {
    let first = world.bought(ANNA, "1234", "one");
    assert_eq!(first.state, State::Charged);
    world.fault(ANNA, Fault::SystemError { charged: false });
    let second = world.purchase(ANNA, "1234", 2, "two").expect("a charge").charge().reference;
    let second =
        world.until("it is in doubt", |world| Some(world.charge(second)).filter(|c| c.state == State::InDoubt));
    assert_eq!(second.order.extends.as_ref().map(|extends| extends.reference), Some(first.reference));
    (first, second)
}

#[test]
fn m13_a_ticket_is_repeated_while_the_second_passengers_charge_is_processing() {
    let world = world();
    let (first, _) = ticket_and_doubtful_second_passenger(&world);
    let again = world.purchase(ANNA, "1234", 1, "again").expect("a repeat");
    assert!(matches!(&again, Purchased::Repeat(charge) if charge.reference == first.reference), "{again:?}");
}

#[test]
fn m13_a_ticket_is_repeated_after_the_second_passengers_charge_has_stayed_in_doubt() {
    let world = world();
    let (first, second) = ticket_and_doubtful_second_passenger(&world);
    std::thread::sleep(Duration::from_millis(1_200));
    let again = world.purchase(ANNA, "1234", 1, "again").expect("a repeat");
    assert!(matches!(&again, Purchased::Repeat(charge) if charge.reference == first.reference), "{again:?}");
    assert_eq!(world.taken(ANNA), 8_000);

    // The second passenger may be bought anew (M12); the first is not paid for twice.
    let newer = world.purchase(ANNA, "1234", 2, "anew").expect("a charge").charge().clone();
    assert_eq!(newer.order.passengers, 1);
    assert!(
        matches!(&newer.order.extends, Some(Extends { reference, passengers: 1, .. }) if *reference == first.reference)
    );
    world.until("it is charged", |world| (world.charge(newer.reference).state == State::Charged).then_some(()));
    assert_eq!(world.charge(second.reference).superseded_by, Some(newer.reference));
    assert_eq!(world.taken(ANNA), 16_000);
    let both = world.purchase(ANNA, "1234", 2, "both").expect("a repeat");
    assert!(matches!(&both, Purchased::Repeat(charge) if charge.reference == newer.reference), "{both:?}");
    world.settle_by_the_carriers_books();
    world.audit();
}

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

/// Gives all of it back: these contracts leave it owed.
fn give_back(world: &World, charge: &Charge) {
    let (given_back, _) =
        world.run(world.gateway().refund(charge.reference, None, "finance", "k")).expect("it is charged");
    assert_eq!(given_back.state, State::RefundOwed);
}

/// A purchase for so many in total that is charged.
fn charged(world: &World, passengers: u8, key: &str) -> Charge {
    let bought = world.purchase(ANNA, "1234", passengers, key).expect("a charge");
    assert!(matches!(bought, Purchased::New(_)), "{bought:?}");
    let reference = bought.charge().reference;
    world.until("it is charged", |world| Some(world.charge(reference)).filter(|c| c.state == State::Charged))
}

#[test]
fn m13_who_got_everything_back_buys_anew_though_an_addition_gave_the_slot_back_to_what_it_added_to() {
    let world = World::new(Setting::default());
    let first = world.bought(ANNA, "1234", "one");
    let second = charged(&world, 2, "two");
    assert_eq!(second.order.extends.as_ref().map(|extends| extends.reference), Some(first.reference));
    give_back(&world, &first);
    give_back(&world, &second);
    let anew = charged(&world, 1, "anew");
    assert_eq!((anew.order.passengers, anew.order.extends), (1, None));
    let again = world.purchase(ANNA, "1234", 1, "again").expect("a repeat");
    assert!(matches!(&again, Purchased::Repeat(charge) if charge.reference == anew.reference), "{again:?}");
    world.audit();
}

#[test]
fn m13_who_got_the_ticket_paid_back_hears_of_the_addition_that_is_under_way() {
    let world = World::new(Setting::default());
    let first = world.bought(ANNA, "1234", "one");
    world.fault(ANNA, Fault::DelayResponse { ms: 2_500 });
    let second = world.purchase(ANNA, "1234", 2, "two").expect("a charge").charge().reference;
    give_back(&world, &first);
    let again = world.purchase(ANNA, "1234", 1, "again").expect("a repeat");
    assert!(matches!(&again, Purchased::Repeat(charge) if charge.reference == second), "{again:?}");
    assert_eq!(again.charge().state, State::Processing);
    world.until("it is charged", |world| (world.charge(second).state == State::Charged).then_some(()));
    world.audit();
}

#[test]
fn m13_what_is_paid_further_back_still_counts_when_the_additions_went_back() {
    let world = World::new(Setting::default());
    let first = world.bought(ANNA, "1234", "one");
    let (second, third) = (charged(&world, 2, "two"), charged(&world, 3, "three"));
    assert_eq!(third.order.extends.as_ref().map(|extends| extends.reference), Some(second.reference));
    give_back(&world, &second);
    give_back(&world, &third);
    let again = world.purchase(ANNA, "1234", 1, "again").expect("a repeat");
    assert!(matches!(&again, Purchased::Repeat(charge) if charge.reference == first.reference), "{again:?}");
    let anew = charged(&world, 2, "two again");
    assert_eq!(
        (anew.order.passengers, anew.order.extends.map(|extends| extends.reference)),
        (1, Some(first.reference))
    );
    world.audit();
}
