//! The second step and the questions over HTTP: whatever goes wrong with them, nobody pays for what was given up, and no question
//! that goes wrong decides anything.

use std::time::Duration;

use super::{
    callbacks_refused::CARRIERS,
    http_faults::{faults, no_violation},
    world::{Over, Setting, World, msisdn},
};
use crate::{
    charge::State,
    clock::{Clock, ManualClock},
    simulator::{Fault, FaultRule, Operation},
};

fn requests(world: &World, operation: Operation) -> usize {
    let count = world.simulator.stats().http.requests_by_operation.get(&operation).copied().unwrap_or_default();
    usize::try_from(count).expect("few")
}

/// A purchase that goes well: a carrier that answers nobody would be left alone.
fn undisturbed(world: &World, n: usize) {
    let number = format!("+770561000{n:02}");
    assert_eq!(world.bought(&number, "1234", &number).state, State::Charged);
}

#[test]
fn whatever_goes_wrong_with_a_cancellation_nobody_pays_and_what_was_held_is_let_go() {
    for over in [Over::Camara { two_step: true }, Over::OneApi { two_step: true }, Over::Cis { two_step: true }] {
        let hand = ManualClock::new(Clock::System.now());
        let world = World::new(Setting { over, clock: Clock::Manual(hand.clone()), ..Setting::default() });
        let faults: Vec<Fault> = faults().into_iter().chain([Fault::HttpLost]).collect();
        let mut numbers = Vec::new();
        // The amount is held, and the answer that says so is lost.
        for (n, fault) in faults.iter().enumerate() {
            let number = format!("+770560000{n:02}");
            for lost in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
                world.set_fault(FaultRule::for_number(msisdn(&number), 1, lost).on(Operation::Reserve));
            }
            assert_eq!(world.bought(&number, "1234", &number).state, State::InDoubt);
            undisturbed(&world, n);
            world.set_fault(FaultRule::for_number(msisdn(&number), 1, *fault).on(Operation::Cancel));
            numbers.push(number);
        }
        if matches!(over, Over::OneApi { .. }) {
            let once = requests(&world, Operation::Reserve);
            // It can be asked by its own id only, so the same request goes out again, and is answered too late.
            for number in &numbers {
                let slow = Fault::HttpSlow { ms: 200 };
                world.set_fault(FaultRule::for_number(msisdn(number), 1, slow).on(Operation::Reserve));
            }
            world.until("all are sent again", |world| {
                hand.advance(Duration::from_millis(200));
                (requests(world, Operation::Reserve) >= once + numbers.len()).then_some(())
            });
        }
        // Nobody waits for a ticket any more.
        world.until("everything is decided", |world| {
            hand.advance(Duration::from_secs(61));
            std::thread::sleep(Duration::from_millis(50));
            world.run(world.gateway().store().open_charges(100)).expect("the store").is_empty().then_some(())
        });
        let not_taken = numbers.iter().filter(|number| world.taken(number) == 0).count();
        // Whose answer came before the deadline after all may have been charged.
        let all = if matches!(over, Over::OneApi { .. }) { numbers.len() / 2 } else { numbers.len() };
        assert!(not_taken >= all, "{over:?}: {not_taken} of {}", numbers.len());
        // One cancellation was answered as done and was not: that lasts as long as the reservation.
        let held = world.simulator.payments().iter().filter(|payment| payment.status.holds()).count();
        assert!(held <= 1, "{over:?}: {held}");
        no_violation(&world);
        world.audit();
    }
}

#[test]
fn m08_questions_that_go_wrong_decide_nothing() {
    for over in CARRIERS {
        let world = World::new(Setting { over, ..Setting::default() });
        let wrong = [
            Fault::HttpTimeOutBefore { ms: 500 },
            Fault::HttpResetBefore,
            Fault::HttpErrorBefore { status: 503 },
            Fault::HttpThrottle { retry_after_s: 0 },
            Fault::HttpRedirect,
            Fault::HttpForbidden,
            Fault::HttpTokenExpired,
            Fault::HttpDuplicate { charged: false },
            Fault::HttpNotOurSubscriber,
            Fault::HttpGarbage,
            Fault::HttpOversized { bytes: 1_000_000 },
            Fault::HttpWrongContentType,
            Fault::HttpTruncated,
        ];
        for fault in wrong {
            for operation in [Operation::Status, Operation::List] {
                world.set_fault(FaultRule::at_random(0.15, fault).on(operation));
            }
        }
        let mut numbers = Vec::new();
        for n in 0..16 {
            let number = format!("+770560000{n:02}");
            let lost = if n % 2 == 0 { Fault::HttpResetAfter } else { Fault::HttpResetBefore };
            world.set_fault(FaultRule::for_number(msisdn(&number), 1, lost).on(Operation::Charge));
            world.purchase(&number, "1234", 1, &number).expect("a charge");
            numbers.push(number);
        }
        std::thread::sleep(Duration::from_millis(700));
        world.simulator.clear_faults();
        world.until("everything is decided", |world| {
            world.run(world.gateway().store().open_charges(100)).expect("the store").is_empty().then_some(())
        });
        // What was taken is known to be; with so much lost the carrier may have been left alone for a while.
        let taken: Vec<&String> = numbers.iter().filter(|number| world.taken(number) > 0).collect();
        assert!(taken.len() >= 3, "{over:?}: {taken:?}");
        for number in taken {
            assert_eq!(world.charges(number)[0].state, State::Charged, "{over:?} {number}");
        }
        no_violation(&world);
        world.audit();
    }
}
