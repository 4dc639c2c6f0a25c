//! The process dies around what is asked of a carrier over HTTP. After recovery its books are ours, and nobody paid twice.

use std::{thread, time::Duration};

use super::{
    http_faults::no_violation,
    kill_points::{hold, kill_and_start},
    world::{CARRIER, Credential, Over, Setting, Told, World, msisdn, raw},
};
use crate::{
    charge::{Asked, Charge, Reference, RefundState, State},
    clock::{Clock, ManualClock},
    money::Money,
    simulator::{Fault, FaultRule, Operation},
};

const ANNA: &str = "+77051111111";
/// Each carrier, and each kind of store.
const TWO_STEPS: [(Over, bool); 3] = [
    (Over::Camara { two_step: true }, true),
    (Over::OneApi { two_step: true }, false),
    (Over::Cis { two_step: true }, true),
];
const ONE_STEP: [(Over, bool); 3] = [
    (Over::Camara { two_step: false }, false),
    (Over::OneApi { two_step: false }, true),
    (Over::Cis { two_step: false }, false),
];

fn by_hand(over: Over, sqlite: bool) -> (World, ManualClock) {
    let hand = ManualClock::new(Clock::System.now());
    (World::new(Setting { over, sqlite, clock: Clock::Manual(hand.clone()), ..Setting::default() }), hand)
}

/// Time enough for a task to come to the point at which it is held.
fn reached() {
    thread::sleep(Duration::from_millis(150));
}

fn until(world: &World, hand: &ManualClock, step: Duration, reference: Reference, done: fn(&Charge) -> bool) -> Charge {
    world.until("it has ended", |world| {
        hand.advance(step);
        thread::sleep(Duration::from_millis(20));
        Some(world.charge(reference)).filter(done)
    })
}

#[test]
fn killed_before_or_after_the_confirmation_it_is_taken_once_and_has_its_ticket() {
    for point in ["gateway-before-second-step", "gateway-after-second-step"] {
        for (over, sqlite) in TWO_STEPS {
            let mut world = World::new(Setting { over, sqlite, ..Setting::default() });
            let held = hold(point);
            let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
            world.until("the confirmation is durable", |world| {
                let charge = world.charge(reference);
                charge.last_attempt().is_some_and(|attempt| attempt.asked == Asked::Confirm).then_some(())
            });
            reached();
            assert_eq!(world.taken(ANNA), if point.contains("after") { 8_000 } else { 0 }, "{point} {over:?}");
            kill_and_start(&mut world, held);
            let charge = world.until("it is charged", |world| {
                Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
            });
            assert_eq!((charge.attempts.len(), world.taken(ANNA)), (1, 8_000), "{point} {over:?}");
            no_violation(&world);
            world.audit();
        }
    }
}

#[test]
fn killed_before_or_after_the_cancellation_nobody_pays_and_what_was_held_is_let_go() {
    for point in ["gateway-before-second-step", "gateway-after-second-step"] {
        for (over, sqlite) in [TWO_STEPS[0], TWO_STEPS[2]] {
            let (mut world, hand) = by_hand(over, !sqlite);
            for lost in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
                world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, lost).on(Operation::Reserve));
            }
            let charge = world.bought(ANNA, "1234", "k");
            assert_eq!(charge.state, State::InDoubt);
            let held = hold(point);
            hand.advance(Duration::from_secs(61));
            world.until("the cancellation is durable", |world| {
                let charge = world.charge(charge.reference);
                charge.last_attempt().is_some_and(|attempt| attempt.asked == Asked::Cancel).then_some(())
            });
            reached();
            kill_and_start(&mut world, held);
            let minute = Duration::from_secs(61);
            let ended = until(&world, &hand, minute, charge.reference, |charge| !charge.state.is_open());
            assert!(ended.state.is_not_taken(), "{point} {over:?}: {ended:?}");
            assert!(world.simulator.payments().iter().all(|payment| !payment.status.holds()), "{point} {over:?}");
            assert_eq!(world.taken(ANNA), 0);
            world.audit();
        }
    }
}

#[test]
fn m14_killed_before_or_after_a_refund_was_asked_for_it_goes_back_once() {
    for point in ["gateway-before-refund", "gateway-after-refund"] {
        for (over, sqlite) in ONE_STEP {
            let (mut world, hand) = by_hand(over, sqlite);
            let charge = world.bought(ANNA, "1234", "k");
            assert_eq!(charge.state, State::Charged);
            let held = hold(point);
            let asked = world.gateway().refund(charge.reference, Some(Money::kzt(3_000)), "finance", "r");
            world.run(asked).expect("a refund");
            reached();
            let back = world.simulator.ledger().refunded().minor;
            assert_eq!(back, if point.contains("after") { 3_000 } else { 0 }, "{point} {over:?}");
            kill_and_start(&mut world, held);
            // The caller asks again: it is the same refund.
            let again = world.gateway().refund(charge.reference, Some(Money::kzt(3_000)), "finance", "r");
            assert_eq!(world.run(again).expect("the same refund").0.refunds.len(), 1);
            let step = Duration::from_secs(150);
            let done =
                until(&world, &hand, step, charge.reference, |charge| charge.refunds[0].state == RefundState::Done);
            assert_eq!((done.state, done.refunds.len()), (State::Charged, 1), "{point} {over:?}");
            assert_eq!(world.simulator.ledger().refunded_of(msisdn(ANNA)), Money::kzt(3_000), "{point} {over:?}");
            no_violation(&world);
            world.audit();
        }
    }
}

#[test]
fn killed_before_or_after_a_callback_was_applied_the_carrier_calls_again_and_it_counts_once() {
    for point in ["gateway-before-callback", "gateway-after-callback"] {
        // The third kind of callback only asks: nothing is applied from it.
        for (over, sqlite) in
            [ONE_STEP[1], (Over::Cis { two_step: false }, false), (Over::Cis { two_step: false }, true)]
        {
            let (mut world, hand) = by_hand(over, sqlite);
            for lost in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
                world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, lost).on(Operation::Charge));
            }
            let charge = world.bought(ANNA, "1234", "k");
            assert_eq!(charge.state, State::InDoubt);
            let wire_reference = &charge.last_attempt().expect("one").wire_reference;
            let carrier_id = world.simulator.payments_for(wire_reference)[0].id.clone();
            let told = Told { carrier_id, ..Told::charged(&charge) }.as_sent(over, Credential::Right);
            let held = hold(point);
            let (address, bytes) = (world.callbacks_address(), told.bytes(CARRIER));
            let calling = thread::spawn(move || raw(address, &bytes));
            reached();
            let state = world.charge(charge.reference).state;
            let expected = if point.contains("after") { State::Charged } else { State::InDoubt };
            assert_eq!(state, expected, "{point} {over:?}");
            kill_and_start(&mut world, held);
            let answer = calling.join().expect("no panic");
            assert!(answer.is_none_or(|status| status >= 300), "it was not told that it was heard: {answer:?}");
            for _ in 0..2 {
                assert!((200..300).contains(&world.call_back(&told)), "{point} {over:?}");
            }
            let charge =
                until(&world, &hand, Duration::ZERO, charge.reference, |charge| charge.state == State::Charged);
            assert_eq!((charge.attempts.len(), world.taken(ANNA)), (1, 8_000), "{point} {over:?}");
            world.audit();
        }
    }
}

#[test]
fn killed_before_or_after_an_answer_was_applied_it_is_taken_once() {
    for (point, carriers) in [
        ("gateway-before-send", &ONE_STEP[..]),
        ("gateway-before-settle", &ONE_STEP[..2]),
        ("gateway-after-settle", &ONE_STEP[1..2]),
    ] {
        for &(over, sqlite) in carriers {
            let mut world = World::new(Setting { over, sqlite, ..Setting::default() });
            let held = hold(point);
            let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
            reached();
            kill_and_start(&mut world, held);
            let charge = world
                .until("it is decided", |world| Some(world.charge(reference)).filter(|charge| !charge.state.is_open()));
            // What was never sent is sent again only where the carrier replays keys.
            let sent = point != "gateway-before-send" || !matches!(over, Over::Camara { .. });
            let expected = if sent { 8_000 } else { 0 };
            assert_eq!(world.taken(ANNA), expected, "{point} {over:?} {charge:?}");
            no_violation(&world);
            world.audit();
        }
    }
}
