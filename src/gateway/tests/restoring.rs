//! The store is put back to an older moment: what was under way then is asked about and never sent again, what is lost is found where a
//! carrier can tell, and nothing that was given out is given out again.

use std::{thread, time::Duration};

use super::world::{Over, Setting, World, msisdn};
use crate::{
    charge::{AttemptState, Charge, Doubt, Event, Reference, State},
    gateway::{PurchaseError, Resolution, events::CursorError},
    process,
    simulator::{Fault, FaultRule, Operation},
    store::{EventPlace, RefusedBooks, StoreError, WatermarkFile},
};

const ANNA: &str = "+77051111111";
const BORIS: &str = "+77052222222";
const CLARA: &str = "+77053333333";

/// The pause before what was turned away is sent again: within it the store is copied.
fn setting(over: Over) -> Setting {
    let mut setting = Setting { over, sqlite: true, ..Setting::default() };
    setting.gateway.retry_pause_ms = 2_000;
    setting
}

/// A key of a caller whose clock is as fast as it may be: so soon after the restore no other tells for certain that it is new.
fn new_key(world: &World) -> String {
    Reference::new(world.gateway().now().plus(Duration::from_secs(120)), process::random()).to_string()
}

/// A charge that the carrier has turned away, and that waits to be sent again.
fn waiting(world: &World, over: Over) -> Reference {
    match over {
        Over::Smpp => world.fault(ANNA, Fault::Throttle),
        _ => {
            let throttled = Fault::HttpThrottle { retry_after_s: 1 };
            world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, throttled).on(Operation::Charge));
        }
    }
    let reference = world.purchase(ANNA, "1234", 1, "waits").expect("a charge").charge().reference;
    world.until("it waits", |world| {
        let charge = world.charge(reference);
        matches!(charge.last_attempt()?.state, AttemptState::Rejected(_)).then_some(())
    });
    reference
}

fn until_state(world: &World, reference: Reference, is: fn(State) -> bool) -> Charge {
    world.until("it has come there", |world| Some(world.charge(reference)).filter(|charge| is(charge.state)))
}

fn was_restored(charge: &Charge) -> bool {
    matches!(
        charge.last_attempt().map(|attempt| &attempt.state),
        Some(AttemptState::InDoubt { cause: Doubt::Restored })
    )
}

#[test]
fn m03_what_waited_and_was_sent_in_the_lost_time_is_found_at_the_carrier_and_not_sent_again() {
    let over = Over::Camara { two_step: false };
    let mut world = World::new(setting(over));
    let reference = waiting(&world, over);
    let copy = world.back_up();
    until_state(&world, reference, |state| state == State::Charged);
    assert_eq!(world.taken(ANNA), 8_000);
    world.kill();
    world.put_back(&copy);
    let declared = world.restored();
    assert_eq!((declared.charges, declared.unsent, declared.before), (1, 1, 0));
    world.start();
    let charge = until_state(&world, reference, |state| state == State::Charged);
    assert_eq!(charge.attempts.len(), 2);
    assert_eq!(charge.restored_in, Some(2));
    assert_eq!(world.simulator.ledger().entries().len(), 1, "it is sent once");
    world.audit();
}

#[test]
fn m05_what_waited_and_never_reached_the_carrier_ends_once_two_lists_lack_it() {
    let over = Over::Camara { two_step: false };
    let mut world = World::new(setting(over));
    let reference = waiting(&world, over);
    let copy = world.back_up();
    world.kill();
    world.put_back(&copy);
    world.restored();
    world.start();
    assert!(world.charge(reference).state.is_open());
    let charge = until_state(&world, reference, |state| !state.is_open());
    assert!(matches!(charge.state, State::Rejected(_)), "{charge:?}");
    assert!(charge.attempts[1].not_found_at.is_some(), "{charge:?}");
    assert_eq!(world.simulator.ledger().entries().len(), 0);
    world.audit();
}

#[test]
fn m03_where_the_carrier_cannot_be_asked_what_waited_stays_in_doubt_until_a_person_ends_it() {
    let mut world = World::new(setting(Over::Smpp));
    // A receipt that comes again after the restore would end the doubt.
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 9, Fault::NoReceipt));
    let reference = waiting(&world, Over::Smpp);
    let copy = world.back_up();
    until_state(&world, reference, |state| state == State::Charged);
    world.kill();
    world.put_back(&copy);
    world.restored();
    world.start();
    let submitted = world.simulator.stats().submits;
    thread::sleep(Duration::from_millis(2_500));
    let charge = world.charge(reference);
    assert!(was_restored(&charge), "{charge:?}");
    assert_eq!(world.simulator.stats().submits, submitted, "nothing was sent");
    let resolution = Resolution { charged: true, by: "aigul".into(), because: "the carrier's books".into() };
    world.run(world.gateway().resolve(reference, resolution)).expect("settled");
    assert_eq!((world.charge(reference).state, world.taken(ANNA)), (State::Charged, 8_000));
    world.audit();
}

#[test]
fn a_charge_under_way_is_in_doubt_by_another_attempt_that_may_have_followed() {
    let over = Over::Camara { two_step: false };
    let mut world = World::new(setting(over));
    // Nothing is done, and the answer is lost: in doubt when the store is copied.
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, Fault::HttpResetBefore).on(Operation::Charge));
    let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    until_state(&world, reference, |state| state == State::InDoubt);
    let copy = world.back_up();
    world.kill();
    world.put_back(&copy);
    let generation = world.begin_generation();
    assert_eq!(world.declare_in_doubt(generation).expect("declared").charges, 1);
    let again = world.declare_in_doubt(generation).expect("declared");
    assert_eq!((again.charges, again.before), (0, 1), "once in a generation");
    world.finish_generation(generation, crate::clock::Clock::System.now());
    world.start();
    let charge = until_state(&world, reference, |state| !state.is_open());
    assert!(matches!(charge.state, State::Rejected(_)), "{charge:?}");
    assert_eq!(charge.attempts.len(), 1);
    let journal = world.run(world.gateway().store().journal(reference)).expect("the store");
    let told = journal.iter().filter(|entry| matches!(entry.event, Some(Event::Restored { generation: 2, .. })));
    assert_eq!(told.count(), 1, "the journal tells of it");
    world.audit();
}

#[test]
fn a_purchase_of_the_lost_time_is_a_break_its_key_is_refused_and_nobody_pays_twice() {
    let over = Over::Camara { two_step: false };
    let mut world = World::new(setting(over));
    world.bought(ANNA, "1234", "before");
    let copy = world.back_up();
    let lost = world.bought(BORIS, "1235", "lost");
    assert_eq!(lost.state, State::Charged);
    world.kill();
    world.put_back(&copy);
    assert_eq!(world.restored().charges, 0);
    world.start();
    let refused = world.purchase(BORIS, "1235", 1, "lost");
    assert!(matches!(refused, Err(PurchaseError::Restored { .. })), "{refused:?}");
    assert!(world.purchase(ANNA, "1234", 1, "before").is_ok(), "what is known is replayed");
    let found = world.until("the carrier is read", |world| {
        let found = world.run(world.gateway().store().breaks(9)).expect("the store");
        Some(found).filter(|found| !found.is_empty())
    });
    assert_eq!(found[0].kind, "receipt_unowned");
    let piece = found[0].piece.clone().expect("a piece");
    assert!(piece.starts_with("lost:beeline:"), "{piece}");
    let parked = world.run(world.gateway().store().unowned(None, 9)).expect("the store");
    assert_eq!(parked[0].receipt.body["reference"], lost.reference.to_string());
    let generation = world.until("it is done", |world| {
        let carrier = world.gateway().carriers().next().expect("a carrier").name().clone();
        world.run(world.gateway().store().has_reread(&carrier, 2)).expect("the store").then_some(2)
    });
    assert_eq!(generation, 2);
    assert_eq!(world.taken(BORIS), 8_000);
    // Another start reads nothing again.
    world.kill();
    world.start();
    assert_eq!(world.run(world.gateway().store().breaks(9)).expect("the store").len(), 1);
    world.check_books();
}

#[test]
fn no_serial_place_or_block_of_the_lost_time_is_given_out_again() {
    let mut world = World::new(setting(Over::Smpp));
    world.bought(ANNA, "1234", "before");
    let copy = world.back_up();
    let kept_end = world.run(world.gateway().events_end()).expect("the store");
    let lost = world.bought(BORIS, "1234", "lost");
    let ticket = |world: &World, charge: &Charge| {
        world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("a ticket")
    };
    let lost_code = ticket(&world, &lost).short_code;
    let lost_cursor = world.run(world.gateway().events_end()).expect("the store");
    let lost_heads = world.run(world.gateway().store().heads()).expect("the store");
    world.kill();
    world.put_back(&copy);
    world.restored();
    world.start();
    let refused = world.run(world.gateway().check_cursor(lost_cursor)).expect("the store");
    let Err(CursorError::Lost(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.resume, kept_end);
    assert!(world.run(world.gateway().check_cursor(refused.resume)).expect("the store").is_ok());
    let key = new_key(&world);
    let next = world.bought(CLARA, "1234", &key);
    assert_eq!(next.state, State::Charged);
    assert_ne!(ticket(&world, &next).short_code, lost_code);
    let end = world.run(world.gateway().events_end()).expect("the store");
    assert!(end > EventPlace::all_of(lost_cursor.entry + 1_000_000), "{end}");
    let refused = world.run(world.gateway().check_cursor(lost_cursor)).expect("the store");
    assert!(matches!(refused, Err(CursorError::Lost(_))), "also once others have come: {refused:?}");
    let heads = world.run(world.gateway().store().heads()).expect("the store");
    for (writer, head) in &lost_heads {
        let known = world.run(world.gateway().store().has_block(*writer, head)).expect("the store");
        let is_used_again = heads.iter().any(|(other, end)| other == writer && end.number >= head.number);
        assert!(known || !is_used_again, "block {} of writer {writer}", head.number);
    }
    world.check_books();
    // Put back once more, to the same moment: it goes on beyond both.
    world.kill();
    world.put_back(&copy);
    world.restored();
    world.start();
    let key = new_key(&world);
    world.bought(CLARA, "1234", &key);
    assert!(world.run(world.gateway().events_end()).expect("the store") > end);
    world.check_books();
}

#[test]
fn books_of_an_older_moment_are_refused_until_somebody_says_that_they_were_put_back() {
    let mut world = World::new(setting(Over::Smpp));
    let noted = tempfile::tempdir().expect("a folder");
    let file = WatermarkFile::at(noted.path().join("mark"));
    world.bought(ANNA, "1234", "before");
    let copy = world.back_up();
    world.bought(BORIS, "1235", "lost");
    world.kill();
    assert_eq!(world.admit(&file).expect("the first time"), 1);
    assert_eq!(world.admit(&file).expect("the same books"), 1);
    world.put_back(&copy);
    let refused = world.admit(&file).expect_err("older books");
    let RefusedBooks::Behind { books, seen, .. } = &refused else { panic!("{refused}") };
    assert!(books < seen, "{refused}");
    let told = refused.to_string();
    assert!(
        told.contains(&books.expect("a moment").to_string()) && told.contains(&seen.expect("a moment").to_string())
    );
    assert!(world.admit(&file).is_err(), "to try again does not help");

    let generation = world.begin_generation();
    assert!(matches!(world.admit(&file), Err(RefusedBooks::Unfinished { number: 2, .. })));
    if let Err(error) = world.open_store() {
        assert!(matches!(error, StoreError::Unfinished { number: 2 }), "{error}");
    }
    assert_eq!(world.begin_generation(), generation, "begun once");
    world.declare_in_doubt(generation).expect("declared");
    world.finish_generation(generation, crate::clock::Clock::System.now());
    assert_eq!(world.admit(&file).expect("it is known that the rest is lost"), 2);
    world.start();
    world.kill();
    assert_eq!(world.admit(&file).expect("and they go on"), 2);
    std::fs::remove_file(file.path()).expect("removed");
    let refused = world.admit(&file).expect_err("another machine");
    assert!(matches!(refused, RefusedBooks::NoWatermark { .. }), "{refused}");
}

#[test]
fn books_that_have_come_further_are_those_that_were_served() {
    let mut world = World::new(setting(Over::Smpp));
    let noted = tempfile::tempdir().expect("a folder");
    let file = WatermarkFile::at(noted.path().join("mark"));
    world.bought(ANNA, "1234", "one");
    world.kill();
    world.admit(&file).expect("noted");
    world.start();
    world.bought(BORIS, "1235", "two");
    let copy = world.back_up();
    world.kill();
    // A copy with everything that was seen, and more: as a standby that has taken over.
    world.put_back(&copy);
    assert_eq!(world.admit(&file).expect("nothing is missing"), 1);
}
