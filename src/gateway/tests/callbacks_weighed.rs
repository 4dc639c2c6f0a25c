//! Callbacks that prove to be the carrier's, and say what is not so: again, of somebody else, in contradiction, too much.

use super::{
    callbacks_refused::{ANNA, CARRIERS, counted, in_doubt, nothing_came_of_it},
    world::{Credential, OTHER_CARRIER, Outcome, Over, PATIENCE, Setting, Told, World, msisdn, raw},
};
use crate::{
    charge::{Charge, Reason, Reference, RefundState, State},
    clock::{Clock, ManualClock},
    simulator::{Fault, FaultRule, Operation, Subscriber},
};

const BULAT: &str = "+77052222222";

fn world(over: Over) -> World {
    World::new(Setting { over, ..Setting::default() })
}

fn parked(world: &World) -> u64 {
    world.run(world.gateway().store().parked_count()).expect("the store")
}

fn charged(world: &World, number: &str) -> Charge {
    let charge = world.bought(number, "1234", number);
    assert_eq!(charge.state, State::Charged);
    charge
}

/// The carrier's id as a callback names it.
fn id_of(charge: &Charge) -> String {
    let id = charge.last_attempt().and_then(|attempt| attempt.carrier_id.as_deref()).expect("an id");
    id.rsplit(' ').next().expect("a part").to_owned()
}

#[test]
fn a_claim_of_success_for_another_amount_takes_no_money_and_makes_no_ticket() {
    for over in CARRIERS {
        let world = world(over);
        let charge = in_doubt(&world);
        for amount in ["8.00", "800.00", "79.99", "0.00", "-80.00", "80.00.00", "80,00 EUR", "1e999"] {
            let told = Told { amount: amount.into(), ..Told::charged(&charge) };
            let status = world.call_back(&told.as_sent(over, Credential::Right));
            assert!((200..300).contains(&status) || status == 400, "{over:?} {amount}: {status}");
        }
        // The answers to what was asked then say nothing.
        std::thread::sleep(std::time::Duration::from_millis(100));
        nothing_came_of_it(&world, charge.reference);
        // Once the carrier answers, what it says is what counts.
        world.simulator.clear_faults();
        world.until("it is decided", |world| (!world.charge(charge.reference).state.is_open()).then_some(()));
        world.audit();
    }
}

#[test]
fn a_claim_of_success_for_another_charge_or_for_none_says_nothing_of_this_one() {
    for over in CARRIERS {
        let world = world(over);
        let bulats = charged(&world, BULAT);
        let charge = in_doubt(&world);
        let wire_reference = bulats.last_attempt().expect("one").wire_reference.clone();
        let of_another = Told { wire_reference, ..Told::charged(&charge) };
        let nobodys = Reference::new(world.gateway().now(), [7; 10]);
        let ending = Told::charged(&charge).wire_reference.rsplit('-').next().expect("a number").to_owned();
        let of_nobody = Told { wire_reference: format!("{nobodys}-{ending}"), ..of_another.clone() };
        for told in [of_another, of_nobody] {
            let status = world.call_back(&told.as_sent(over, Credential::Right));
            assert!((200..300).contains(&status), "{over:?}: {status}");
        }
        nothing_came_of_it(&world, charge.reference);
        let after = world.charge(bulats.reference);
        assert_eq!((after.state, after.refunds.len(), world.taken(BULAT)), (State::Charged, 0, 8_000));
    }
}

#[test]
fn a_carrier_says_nothing_of_a_charge_that_is_at_another() {
    let over = CARRIERS[2];
    let world = World::new(Setting { over, second: Some(over), ..Setting::default() });
    let charge = in_doubt(&world);
    for outcome in [Outcome::Charged, Outcome::NotTaken] {
        // With every right at its own address, and our reference.
        let sent = Told { outcome, ..Told::charged(&charge) }.as_sent(over, Credential::Right);
        assert_eq!(raw(world.callbacks_address(), &sent.bytes(OTHER_CARRIER)), Some(200));
        nothing_came_of_it(&world, charge.reference);
    }
}

#[test]
fn m09_a_callback_that_comes_again_and_again_changes_nothing() {
    for over in CARRIERS {
        let world = world(over);
        let charge = charged(&world, ANNA);
        let told = Told { carrier_id: id_of(&charge), ..Told::charged(&charge) };
        for n in 0..20 {
            // The same; and the same under another name.
            let event = if n % 2 == 0 { "event-1".to_owned() } else { format!("event-{n}") };
            let sent = Told { event, ..told.clone() }.as_sent(over, Credential::Right);
            assert!((200..300).contains(&world.call_back(&sent)), "{over:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        let after = world.charge(charge.reference);
        assert_eq!((after.state, after.version, after.refunds.len()), (State::Charged, charge.version, 0), "{over:?}");
        assert_eq!((world.taken(ANNA), parked(&world), world.texts(ANNA).len() <= 1), (8_000, 0, true));
        world.audit();
    }
}

#[test]
fn a_refund_that_nobody_asked_for_gives_nothing_back() {
    // The form of the third has no word for refunds: what it repeats is the reference, and that is the refund's own.
    for over in &CARRIERS[..2] {
        let world = world(*over);
        let charge = charged(&world, ANNA);
        let told = Told { outcome: Outcome::Refunded, carrier_id: id_of(&charge), ..Told::charged(&charge) };
        assert!((200..300).contains(&world.call_back(&told.as_sent(*over, Credential::Right))));
        std::thread::sleep(std::time::Duration::from_millis(50));
        let after = world.charge(charge.reference);
        assert_eq!((after.state, after.refunded_amount().minor), (State::Charged, 0));
        let ticket = world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("a ticket");
        assert_eq!(ticket.revoked_at, None);
        world.audit();
    }
}

#[test]
fn m08_a_callback_that_contradicts_what_is_final_overwrites_nothing() {
    for over in CARRIERS {
        let world = world(over);
        let charge = charged(&world, ANNA);
        let denial = Told { outcome: Outcome::NotTaken, carrier_id: id_of(&charge), ..Told::charged(&charge) };
        assert!((200..300).contains(&world.call_back(&denial.as_sent(over, Credential::Right))));
        let after = world.charge(charge.reference);
        assert_eq!((after.state, after.refunds.len()), (State::Charged, 0), "{over:?}");
        assert!(after.version > charge.version, "the contradiction is on record");
        world.audit();

        world.simulator.set_subscriber(msisdn(BULAT), Subscriber::with_balance(100)).expect("room");
        let poor = world.bought(BULAT, "1234", BULAT);
        assert_eq!(poor.state, State::Rejected(Reason::InsufficientBalance));
        let told = Told::charged(&poor);
        assert!((200..300).contains(&world.call_back(&told.as_sent(over, Credential::Right))), "{over:?}");
        let store = world.gateway().store();
        assert_eq!(world.run(store.ticket(poor.reference)).expect("the store"), None);
        assert_eq!(world.charge(poor.reference).state, State::Rejected(Reason::InsufficientBalance));
        if !matches!(over, Over::Camara { .. }) {
            // At its word it was taken after all: owed, and the carrier gives back only what it has.
            world.until("it is on the refund list", |world| {
                let refunds = world.charge(poor.reference).refunds;
                (refunds.len() == 1 && refunds[0].state == RefundState::Owed).then_some(())
            });
        }
        assert_eq!((world.taken(BULAT), world.simulator.ledger().refunded_of(msisdn(BULAT)).minor), (0, 0));
    }
}

#[test]
fn a_callback_about_a_payment_that_is_not_known_yet_waits_for_it() {
    for over in CARRIERS {
        let hand = ManualClock::new(Clock::System.now());
        let world = World::new(Setting { over, clock: Clock::Manual(hand.clone()), ..Setting::default() });
        // Taken, and the answer with the id is lost.
        for fault in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
            world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, fault).on(Operation::Charge));
        }
        let charge = world.bought(ANNA, "1234", "k");
        assert_eq!(charge.state, State::InDoubt);
        let wire_reference = &charge.last_attempt().expect("one").wire_reference;
        let told = Told {
            carrier_id: world.simulator.payments_for(wire_reference)[0].id.clone(),
            wire_reference: String::new(),
            ..Told::charged(&charge)
        };
        let mut sent = told.as_sent(over, Credential::Right);
        if matches!(over, Over::Camara { .. }) {
            sent.path = "events".into();
        }
        for _ in 0..3 {
            assert!((200..300).contains(&world.call_back(&sent)), "{over:?}");
        }
        assert_eq!(parked(&world), 1, "{over:?}");
        assert_eq!(world.charge(charge.reference).state, State::InDoubt);
        world.until("it has found its owner", |world| {
            hand.advance(std::time::Duration::from_millis(100));
            (world.charge(charge.reference).state == State::Charged && parked(world) == 0).then_some(())
        });
        world.audit();
    }
}

#[test]
fn what_waits_for_payments_that_nobody_has_is_bounded_and_the_carrier_calls_again() {
    for over in CARRIERS {
        let mut setting = Setting { over, ..Setting::default() };
        setting.gateway.parked_max = 3;
        let before = counted("no_room");
        let world = World::new(setting);
        let charge = charged(&world, ANNA);
        let mut answers = Vec::new();
        for n in 0..6 {
            let carrier_id = format!("stranger-{n}");
            let told =
                Told { event: carrier_id.clone(), carrier_id, wire_reference: String::new(), ..Told::charged(&charge) };
            let mut sent = told.as_sent(over, Credential::Right);
            if matches!(over, Over::Camara { .. }) {
                sent.path = "events".into();
            }
            answers.push(world.call_back(&sent));
        }
        assert!(answers[..3].iter().all(|status| (200..300).contains(status)), "{over:?} {answers:?}");
        assert_eq!((&answers[3..], parked(&world)), (&[503, 503, 503][..], 3), "{over:?}");
        assert!(counted("no_room") >= before + 3);
        // What has an owner needs no room.
        let told = Told { carrier_id: id_of(&charge), ..Told::charged(&charge) };
        assert!((200..300).contains(&world.call_back(&told.as_sent(over, Credential::Right))));
        let again =
            world.run(world.gateway().wait(charge.reference, PATIENCE)).expect("the store").expect("the charge").charge;
        assert_eq!(again.state, State::Charged);
    }
}
