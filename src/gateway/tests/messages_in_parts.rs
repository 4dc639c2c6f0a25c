//! Long messages from passengers, part by part as an SMSC hands them over.

use std::time::Duration;

use super::{
    relay::Delivery,
    world::{Setting, World, msisdn},
};
use crate::{
    charge::State,
    clock::{Clock, ManualClock},
    store::OPEN_PARTS_MAX,
};

const ANNA: &str = "+77051111111";
const OK: u32 = 0;

type Part = fn(u8, u8, &str) -> Delivery;

/// The forms in which a part says that it is one.
const FORMS: [Part; 3] = [
    |total, number, text| Delivery::part(200, total, number, text),
    |total, number, text| Delivery::wide_part(51_200, total, number, text),
    |total, number, text| Delivery::sar_part(51_200, total, number, text),
];

fn world(mo_parts_seconds: u64, sqlite: bool) -> World {
    let mut setting = Setting { relayed: true, sqlite, ..Setting::default() };
    setting.gateway.mo_parts_seconds = mo_parts_seconds;
    World::new(setting)
}

fn open_parts(world: &World) -> usize {
    world.run(world.gateway().store().open_parts(msisdn(ANNA))).expect("the store").len()
}

#[test]
fn case_39_parts_out_of_order_and_twice_make_one_message_and_one_charge() {
    for (n, form) in FORMS.iter().enumerate() {
        let world = world(60, n == 0);
        for (number, text) in [(2, "34*"), (2, "34*"), (3, "2"), (1, "12")] {
            assert_eq!(world.deliver(ANNA, &form(3, number, text)), OK, "form {n}, part {number}");
        }
        let charge = world.until_state(ANNA, "charged");
        assert_eq!((charge.order.vehicle.to_string().as_str(), charge.order.passengers), ("1234", 2));
        for number in [1, 3] {
            assert_eq!(world.deliver(ANNA, &form(3, number, if number == 1 { "12" } else { "2" })), OK);
        }
        world.until_texts(ANNA, 1);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!((world.charges(ANNA).len(), world.texts(ANNA).len(), open_parts(&world)), (1, 1, 0), "form {n}");
        world.audit();
    }
}

#[test]
fn case_39_a_message_of_which_a_part_is_missing_is_answered_once_and_charges_nothing() {
    for sqlite in [false, true] {
        let world = world(1, sqlite);
        assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 1, "1234")), OK);
        assert!(world.until_texts(ANNA, 1)[0].contains("не полностью"));
        // What comes of it now starts nothing, again and again.
        for (number, text) in [(2, "*2"), (1, "1234"), (2, "*2")] {
            assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, number, text)), OK);
        }
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!((open_parts(&world), world.charges(ANNA).len(), world.texts(ANNA).len()), (0, 0, 1));
        // Sent again by the passenger, it has the next number.
        for (number, text) in [(1, "1234"), (2, "*2")] {
            assert_eq!(world.deliver(ANNA, &Delivery::part(8, 2, number, text)), OK);
        }
        assert_eq!(world.until_state(ANNA, "charged").order.passengers, 2);
        world.audit();
    }
}

#[test]
fn a_part_alone_is_no_command_whatever_it_says() {
    let world = world(60, false);
    assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 1, "1234")), OK);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((world.charges(ANNA).len(), world.texts(ANNA).len(), open_parts(&world)), (0, 0, 1));
    // The only part of a message is the message.
    assert_eq!(world.deliver(ANNA, &Delivery::part(8, 1, 1, "1235")), OK);
    assert_eq!(world.until_state(ANNA, "charged").order.vehicle.to_string(), "1235");
}

#[test]
fn a_message_of_more_than_ten_parts_is_answered_once_as_unreadable() {
    let world = world(60, false);
    for number in 1..=11 {
        assert_eq!(world.deliver(ANNA, &Delivery::part(7, 11, number, "1234")), OK);
    }
    world.until_texts(ANNA, 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((world.charges(ANNA).len(), world.texts(ANNA).len(), open_parts(&world)), (0, 1, 0));
}

#[test]
fn a_number_that_opens_message_after_message_takes_a_bounded_place_and_harms_no_other() {
    // The ten answers take parts too; two of them under one number of eight bits would be one on a phone.
    let setting = Setting { relayed: true, profile: "long_messages = \"payload\"".into(), ..Setting::default() };
    let world = World::new(setting);
    for reference in 0..30 {
        assert_eq!(world.deliver(ANNA, &Delivery::part(reference, 2, 1, "1234")), OK);
    }
    assert_eq!(open_parts(&world), OPEN_PARTS_MAX);
    let other = "+77052222222";
    for (number, text) in [(1, "12"), (2, "34")] {
        assert_eq!(world.deliver(other, &Delivery::part(7, 2, number, text)), OK);
    }
    assert_eq!(world.until_state(other, "charged").state, State::Charged);
    assert_eq!(world.charges(ANNA).len(), 0);
    // Each message beyond the bound is answered as unreadable.
    assert_eq!(world.until_texts(ANNA, 10).len(), 10);
}

#[test]
fn parts_that_came_further_apart_than_a_message_may_take_charge_nothing() {
    let hand = ManualClock::new(Clock::System.now());
    let mut setting = Setting { relayed: true, clock: Clock::Manual(hand.clone()), ..Setting::default() };
    // The sweep does not come between them.
    (setting.gateway.sweep_interval_ms, setting.gateway.mo_outage_seconds) = (60_000, 600);
    setting.gateway.mo_parts_seconds = 60;
    let world = World::new(setting);
    assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 1, "12")), OK);
    hand.advance(Duration::from_secs(61));
    assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 2, "34")), OK);
    assert!(world.until_texts(ANNA, 1)[0].contains("не полностью"));
    assert_eq!((open_parts(&world), world.charges(ANNA)), (0, Vec::new()));
}
