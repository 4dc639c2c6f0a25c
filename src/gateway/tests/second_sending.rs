//! M4: the same request again, where the carrier replays keys. That the second sending is turned away at the door says nothing of
//! the first.

use std::time::Duration;

use super::{
    http_faults::no_violation,
    world::{Over, Setting, World, msisdn},
};
use crate::{
    charge::State,
    clock::{Clock, ManualClock},
    simulator::{Fault, FaultRule, Operation},
};

fn sent(world: &World, operation: Operation) -> usize {
    let count = world.simulator.stats().http.requests_by_operation.get(&operation).copied().unwrap_or_default();
    usize::try_from(count).expect("few")
}

#[test]
fn m04_a_second_sending_that_is_turned_away_leaves_the_doubt_until_there_is_evidence() {
    for over in [
        Over::OneApi { two_step: false },
        Over::OneApi { two_step: true },
        Over::Cis { two_step: false },
        Over::Cis { two_step: true },
    ] {
        let two_step = matches!(over, Over::OneApi { two_step: true } | Over::Cis { two_step: true });
        let taking = if two_step { Operation::Reserve } else { Operation::Charge };
        let hand = ManualClock::new(Clock::System.now());
        let world = World::new(Setting { over, clock: Clock::Manual(hand.clone()), ..Setting::default() });
        let firsts = [Fault::HttpResetAfter, Fault::HttpErrorAfter { status: 500 }, Fault::HttpResetBefore];
        let seconds = [Fault::HttpThrottle { retry_after_s: 0 }, Fault::HttpTokenExpired, Fault::HttpForbidden];
        let mut numbers = Vec::new();
        for (n, first) in firsts.into_iter().enumerate() {
            for (m, second) in seconds.into_iter().enumerate() {
                let number = format!("+770560{n:02}{m:02}0");
                for fault in [first, Fault::HttpCallbackLost] {
                    world.set_fault(FaultRule::for_number(msisdn(&number), 1, fault).on(taking));
                }
                assert_eq!(world.bought(&number, "1234", &number).state, State::InDoubt, "{over:?} {first:?}");
                world.set_fault(FaultRule::for_number(msisdn(&number), 1, second).on(taking));
                // What it is asked meanwhile it does not answer.
                let silent = FaultRule::for_number(msisdn(&number), 1, Fault::HttpErrorBefore { status: 503 });
                world.set_fault(silent.on(Operation::Status));
                numbers.push((number, first, second));
            }
        }
        let once = sent(&world, taking);
        world.until("all are sent a second time", |world| {
            hand.advance(Duration::from_millis(60));
            std::thread::sleep(Duration::from_millis(40));
            for (number, first, second) in &numbers {
                let charge = world.charges(number).pop().expect("a charge");
                assert!(!charge.state.is_not_taken(), "{over:?} {first:?}, then {second:?}: {charge:?}");
            }
            (sent(world, taking) >= once + numbers.len()).then_some(())
        });
        world.until("everything is decided", |world| {
            hand.advance(Duration::from_millis(200));
            std::thread::sleep(Duration::from_millis(20));
            world.run(world.gateway().store().open_charges(100)).expect("the store").is_empty().then_some(())
        });
        for (number, first, second) in &numbers {
            let charge = world.charges(number).pop().expect("a charge");
            let taken = (charge.state, world.taken(number), charge.attempts.len());
            assert_eq!(taken, (State::Charged, 8_000, 1), "{over:?} {first:?}, then {second:?}");
        }
        no_violation(&world);
        world.audit();
    }
}

/// By the wall clock hardly any time has passed.
#[test]
fn m04_what_was_sent_before_the_clock_was_set_back_is_asked_about_and_not_sent_again() {
    let hand = ManualClock::new(Clock::System.now());
    let clock = Clock::Manual(hand.clone());
    let world = World::new(Setting { over: Over::Cis { two_step: false }, clock, ..Setting::default() });
    let number = "+77056000000";
    for fault in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
        world.set_fault(FaultRule::for_number(msisdn(number), 1, fault).on(Operation::Charge));
    }
    // After the first of these it would be sent again.
    let silent = FaultRule::for_number(msisdn(number), 3, Fault::HttpErrorBefore { status: 503 });
    world.set_fault(silent.on(Operation::Status));
    let charge = world.bought(number, "1234", "k");
    hand.set(charge.updated_at.minus(Duration::from_secs(7_200)));
    assert!(world.gateway().now() < charge.updated_at);
    hand.advance(Duration::from_secs(7_200));
    world.until("it is decided", |world| {
        hand.advance(Duration::from_millis(60));
        std::thread::sleep(Duration::from_millis(10));
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
    assert_eq!((sent(&world, Operation::Charge), world.taken(number)), (1, 8_000));
    world.audit();
}
