//! Carriers over HTTP: whatever goes wrong on the way, the carrier's books are ours, and nobody pays twice.

use super::world::{Over, Setting, World, msisdn};
use crate::{
    charge::{Reason, State},
    simulator::{Fault, FaultRule, Operation},
};

const CARRIERS: [Over; 6] = [
    Over::Camara { two_step: false },
    Over::Camara { two_step: true },
    Over::OneApi { two_step: false },
    Over::OneApi { two_step: true },
    Over::Cis { two_step: false },
    Over::Cis { two_step: true },
];

/// Whatever can happen to a request for money.
pub(super) fn faults() -> Vec<Fault> {
    vec![
        Fault::HttpTimeOutBefore { ms: 600 },
        Fault::HttpTimeOutAfter { ms: 600 },
        Fault::HttpResetBefore,
        Fault::HttpResetAfter,
        Fault::HttpErrorBefore { status: 503 },
        Fault::HttpErrorAfter { status: 500 },
        Fault::HttpThrottle { retry_after_s: 0 },
        Fault::HttpRedirect,
        Fault::HttpForbidden,
        Fault::HttpTokenExpired,
        Fault::HttpDuplicate { charged: false },
        Fault::HttpDuplicate { charged: true },
        Fault::HttpLate { ms: 700 },
        Fault::HttpSlow { ms: 100 },
        Fault::HttpGarbage,
        Fault::HttpOversized { bytes: 1_000_000 },
        Fault::HttpWrongContentType,
        Fault::HttpTruncated,
        Fault::HttpCallbackFirst,
        Fault::HttpCallbackTwice,
        Fault::HttpCallbackLost,
        Fault::HttpCallbackWrongToken,
        Fault::HttpCallbackUnknown,
    ]
}

fn world(over: Over) -> World {
    World::new(Setting { over, ..Setting::default() })
}

/// No request broke the interface's specification.
pub(super) fn no_violation(world: &World) {
    let http = world.simulator.stats().http;
    assert_eq!(http.violations, 0, "{:?}", http.violations_last);
}

#[test]
fn a_fare_is_taken_over_every_http_interface() {
    for over in CARRIERS {
        let world = world(over);
        for (number, passengers) in [("+77051111111", 1), ("+77052222222", 3)] {
            let reference = world.purchase(number, "1234", passengers, number).expect("a charge").charge().reference;
            let charge = world.run(world.gateway().wait(reference, super::world::PATIENCE)).expect("the store");
            let charge = charge.expect("the charge").charge;
            assert_eq!(charge.state, State::Charged, "{over:?} {charge:?}");
            let attempt = charge.last_attempt().expect("one");
            assert!(attempt.carrier_id.is_some());
            let is_camara = matches!(over, Over::Camara { .. });
            assert_eq!(
                attempt.carrier_time.is_some(),
                is_camara,
                "what is looked for in lists needs the carrier's time"
            );
        }
        no_violation(&world);
        world.audit();
    }
}

#[test]
fn whatever_goes_wrong_with_the_request_for_money_the_books_agree_and_nobody_pays_twice() {
    for over in CARRIERS {
        let world = world(over);
        let operation = match over {
            Over::Camara { two_step } | Over::OneApi { two_step } | Over::Cis { two_step } if two_step => {
                Operation::Reserve
            }
            _ => Operation::Charge,
        };
        struck(&world, operation);
    }
}

/// It is asked every tenth of a second, and takes a quarter of one for each answer.
#[test]
fn a_carrier_that_answers_slowly_is_not_asked_the_same_again_meanwhile() {
    let world = world(Over::Camara { two_step: false });
    let (number, slow) = ("+77056000001", std::time::Duration::from_millis(250));
    let lost = Fault::HttpTimeOutBefore { ms: 600 };
    world.set_fault(FaultRule::for_number(msisdn(number), 1, lost).on(Operation::Charge));
    world.set_fault(FaultRule::always(Fault::HttpSlow { ms: 250 }).on(Operation::List));
    let began = std::time::Instant::now();
    let reference = world.purchase(number, "1234", 1, "one").expect("a charge").charge().reference;
    while world.charge(reference).state.is_open() {
        assert!(began.elapsed() < super::world::PATIENCE, "{:?}", world.charge(reference));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let lists = world.simulator.stats().http.requests_by_operation[&Operation::List];
    let in_turn = began.elapsed().as_millis() / slow.as_millis() + 1;
    assert!(lists >= 2 && u128::from(lists) <= in_turn, "{lists} lists where {in_turn} fit");
    world.audit();
}

#[test]
fn whatever_goes_wrong_with_the_confirmation_the_books_agree_and_nobody_pays_twice() {
    for over in CARRIERS {
        if matches!(
            over,
            Over::Camara { two_step: true } | Over::OneApi { two_step: true } | Over::Cis { two_step: true }
        ) {
            let world = world(over);
            struck(&world, Operation::Confirm);
            struck(&world, Operation::Confirm);
        }
    }
}

/// One purchase for each fault; then everything is decided, and the audit holds.
fn struck(world: &World, operation: Operation) {
    let mut numbers = Vec::new();
    let before = world.simulator.stats().http.requests;
    for (n, fault) in faults().into_iter().enumerate() {
        let number = format!("+77056{before:04}{n:02}");
        world.set_fault(FaultRule::for_number(msisdn(&number), 1, fault).on(operation));
        world.purchase(&number, "1234", 1, &number).expect("a charge");
        numbers.push((number, fault));
    }
    for (number, fault) in numbers {
        let reference = world.charges(&number).pop().expect("a charge").reference;
        let decided = std::time::Instant::now() + super::world::PATIENCE;
        while world.charge(reference).state.is_open() {
            let journal = || world.run(world.gateway().store().journal(reference));
            let in_time = std::time::Instant::now() < decided;
            assert!(
                in_time,
                "undecided after {fault:?} at {operation:?}: {:?}\n{:#?}",
                world.charge(reference),
                journal()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    no_violation(world);
    world.audit();
}

#[test]
fn what_the_carrier_refuses_over_http_is_rejected_with_its_reason() {
    for over in CARRIERS {
        let world = world(over);
        let poor = crate::simulator::Subscriber::with_balance(100);
        world.simulator.set_subscriber(msisdn("+77053333333"), poor).expect("room");
        let charge = world.bought("+77053333333", "1234", "k");
        assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance), "{over:?}");
        world.audit();
    }
}
