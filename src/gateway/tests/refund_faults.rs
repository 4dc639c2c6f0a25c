//! Refunds over HTTP: whatever goes wrong on the way, money goes back once, and no more than was taken.

use std::time::Duration;

use super::{
    callbacks_refused::CARRIERS,
    http_faults::{faults, no_violation},
    world::{Over, Setting, World, msisdn},
};
use crate::{
    charge::{Charge, Illegal, Reference, RefundState, State},
    clock::{Clock, ManualClock},
    gateway::{ApplyError, RefundError, Resolution},
    money::Money,
    simulator::{Fault, FaultRule, HttpConfig, Operation},
};

/// Longer than any pause between two looks at a refund.
const LONG: Duration = Duration::from_secs(3_700);

fn world(over: Over) -> (World, ManualClock) {
    let hand = ManualClock::new(Clock::System.now());
    (World::new(Setting { over, clock: Clock::Manual(hand.clone()), ..Setting::default() }), hand)
}

fn charged(world: &World, number: &str) -> Reference {
    let charge = world.bought(number, "1234", number);
    assert_eq!(charge.state, State::Charged, "{charge:?}");
    charge.reference
}

fn refund(world: &World, reference: Reference, minor: Option<i64>, key: &str) -> Result<Charge, RefundError> {
    let asked = world.gateway().refund(reference, minor.map(Money::kzt), "finance", key);
    world.run(asked).map(|(charge, _)| charge)
}

/// Lets time pass until nothing is left to do for any refund.
fn settled(world: &World, hand: &ManualClock, references: &[Reference]) {
    let undone = |world: &World, states: &[RefundState]| {
        let refunds = references.iter().flat_map(|reference| world.charge(*reference).refunds);
        refunds.filter(|refund| states.contains(&refund.state)).collect::<Vec<_>>()
    };
    // A request under way has its own time, and what is done late has it too.
    let answered = |world: &World| undone(world, &[RefundState::Requested]).is_empty().then_some(());
    world.until("each is answered", answered);
    std::thread::sleep(Duration::from_millis(500));
    let open = [RefundState::Requested, RefundState::Waiting, RefundState::Accepted, RefundState::InDoubt];
    // Several looks within the hour in which it may be sent again, and then such as only ask.
    for seconds in [100, 200, 400, 800, 1_600].into_iter().chain([3_700; 12]) {
        if undone(world, &open).is_empty() {
            return;
        }
        hand.advance(Duration::from_secs(seconds));
        std::thread::sleep(Duration::from_millis(100));
        world.until("each is answered", answered);
    }
    panic!("not settled: {:#?}", undone(world, &open));
}

#[test]
fn m14_whatever_goes_wrong_with_a_refund_the_books_agree_and_it_goes_back_once() {
    for over in CARRIERS {
        let (world, hand) = world(over);
        let mut references = Vec::new();
        for (n, fault) in faults().into_iter().enumerate() {
            let number = format!("+770560000{n:02}");
            let reference = charged(&world, &number);
            // A part and the rest, both on their way at once, and the same happens to both.
            world.set_fault(FaultRule::for_number(msisdn(&number), 2, fault).on(Operation::Refund));
            let first = refund(&world, reference, Some(3_000), "a part").expect("a refund");
            assert_eq!(first.state, State::Charged, "the rest is still paid for");
            let both = refund(&world, reference, None, "the rest").expect("a refund");
            assert!(both.refunded_amount() == both.order.amount && both.state != State::Charged, "{both:?}");
            let more = refund(&world, reference, Some(1), "more");
            let refused = matches!(
                more,
                Err(RefundError::Apply(ApplyError::Illegal(Illegal::NotCharged { .. } | Illegal::RefundAmount(_))))
            );
            assert!(refused, "{more:?}");
            references.push(reference);
        }
        settled(&world, &hand, &references);
        for (reference, fault) in references.iter().zip(faults()) {
            let charge = world.charge(*reference);
            assert_eq!(charge.state, State::Refunded, "{over:?} {fault:?}: {:#?}", charge.refunds);
            let back = world.simulator.ledger().refunded_of(charge.order.msisdn);
            assert_eq!(back, charge.order.amount, "{over:?} {fault:?}");
            let ticket = world.run(world.gateway().store().ticket(*reference)).expect("the store").expect("a ticket");
            assert!(ticket.revoked_at.is_some());
        }
        no_violation(&world);
        world.audit();
    }
}

#[test]
fn m15_the_same_key_is_the_same_refund_also_while_the_carrier_is_slow() {
    for over in CARRIERS {
        let (world, hand) = world(over);
        let number = "+77051111111";
        let reference = charged(&world, number);
        world.set_fault(FaultRule::for_number(msisdn(number), 1, Fault::HttpSlow { ms: 200 }).on(Operation::Refund));
        for _ in 0..5 {
            let charge = refund(&world, reference, Some(5_000), "k").expect("the same refund");
            assert_eq!(charge.refunds.len(), 1);
        }
        let other = refund(&world, reference, Some(4_000), "k");
        assert!(matches!(other, Err(RefundError::KeyConflict(amount)) if amount == Money::kzt(5_000)), "{other:?}");
        settled(&world, &hand, &[reference]);
        assert_eq!(world.simulator.ledger().refunded_of(msisdn(number)), Money::kzt(5_000));
        assert_eq!(world.charge(reference).state, State::Charged);
        world.audit();
    }
}

#[test]
fn m14_what_the_carrier_does_not_give_back_is_owed_and_not_asked_for_again() {
    for over in CARRIERS {
        let hand = ManualClock::new(Clock::System.now());
        let mut setting = Setting { over, clock: Clock::Manual(hand.clone()), ..Setting::default() };
        setting.simulator.http = HttpConfig { refunds: false, ..HttpConfig::default() };
        let world = World::new(setting);
        let number = "+77051111111";
        let reference = charged(&world, number);
        refund(&world, reference, None, "k").expect("a refund");
        world.until("it is owed", |world| (world.charge(reference).state == State::RefundOwed).then_some(()));
        let asked = || world.simulator.stats().http.requests_by_operation.get(&Operation::Refund).copied();
        let before = asked();
        hand.advance(LONG);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!((asked(), world.simulator.ledger().refunded().minor), (before, 0), "{over:?}");
        world.audit();
    }
}

#[test]
fn m14_a_payment_that_the_carrier_never_named_to_us_is_owed_and_not_waited_for() {
    // OneAPI and CAMARA give back by their own id; a person's word that it was charged has none.
    for over in &CARRIERS[..2] {
        let (world, hand) = world(*over);
        let number = "+77051111111";
        for fault in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
            world.set_fault(FaultRule::for_number(msisdn(number), 1, fault).on(Operation::Charge));
        }
        let charge = world.bought(number, "1234", number);
        assert_eq!(charge.state, State::InDoubt);
        let seen = Resolution { charged: true, by: "audit".into(), because: "the carrier's books".into() };
        let charge = world.run(world.gateway().resolve(charge.reference, seen)).expect("it was in doubt");
        assert_eq!(charge.state, State::Charged);
        refund(&world, charge.reference, None, "k").expect("a refund");
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(60));
            hand.advance(LONG);
        }
        world.until("it is owed", |world| (world.charge(charge.reference).state == State::RefundOwed).then_some(()));
        world.audit();
    }
}
