use std::time::Duration;

use super::world::{Setting, World};
use crate::{
    charge::{AttemptState, Doubt, State},
    clock::{Clock, ManualClock},
    simulator::{ChargingMoment, Fault, FaultRule},
};

const ANNA: &str = "+77051111111";

#[test]
fn case_38_killed_between_the_write_and_the_response_the_charge_is_in_doubt_and_its_receipt_settles_it() {
    for sqlite in [false, true] {
        let mut world = World::new(Setting { charged_at: ChargingMoment::Delivery, sqlite, ..Setting::default() });
        world.fault(ANNA, Fault::DropResponse);
        world.fault(ANNA, Fault::LateReceipt { ms: 600 });
        let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
        world.until("the carrier has it", |world| (world.simulator.stats().submits == 1).then_some(()));
        world.kill();
        world.start();
        let found = world.charge(charge.reference);
        assert_eq!(found.attempts[0].state, AttemptState::InDoubt { cause: Doubt::Restart });
        world.until("the receipt counts", |world| {
            Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
        });
        world.audit();
    }
}

#[test]
fn m01_killed_before_a_send_slot_was_free_the_charge_was_never_sent_and_is_sent_after_the_restart() {
    let mut world = World::new(Setting::default());
    world.simulator.drop_links();
    let reference = loop {
        // The link may come back faster than the purchase gets there; then the number is spent and another one tries.
        let number = format!("+7705{:07}", rand::random_range(0..10_000_000));
        world.simulator.drop_links();
        let purchase = world.purchase(&number, "1234", 1, &number).expect("a charge");
        if purchase.charge().attempts.is_empty() {
            break purchase.charge().reference;
        }
    };
    world.kill();
    world.start();
    world.until("it is charged", |world| Some(world.charge(reference)).filter(|charge| charge.state == State::Charged));
    world.until("everything is decided", |world| {
        let open = world.run(world.gateway().store().open_charges(10)).expect("the store");
        for charge in &open {
            assert!(charge.last_attempt().is_some(), "{charge:?}");
        }
        Some(())
    });
    assert_eq!(world.simulator.ledger().entries_for(reference.uuid()).count(), 1);
}

#[test]
fn case_40_a_clock_that_jumps_back_lets_no_charge_wait_longer_to_be_sent() {
    let hand = ManualClock::new(Clock::System.now());
    let mut setting = Setting { clock: Clock::Manual(hand.clone()), ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 1;
    let world = World::new(setting);
    let carrier = world.gateway().carrier(super::world::CARRIER).expect("a carrier").clone();
    world.set_fault(FaultRule::always(Fault::RefuseBind { status: 0x0D }));
    world.simulator.drop_links();
    world.until("the link is down", |_| (!carrier.standing().up).then_some(()));
    let buy = |n| {
        let number = format!("+7705{n:07}");
        world.purchase(&number, "1234", 1, &number).expect("a charge").charge().reference
    };
    // It jumps while some of them wait, and before others begin to.
    let references: Vec<_> = (0..5).map(buy).collect();
    hand.set(world.gateway().now().minus(Duration::from_secs(3_600)));
    std::thread::sleep(Duration::from_millis(1_300));
    world.simulator.clear_faults();
    world.until("it is up", |_| carrier.standing().up.then_some(()));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.simulator.stats().submits, 0);
    hand.advance(Duration::from_secs(2 * 3_600));
    for reference in references {
        let ended = world
            .until("it has ended", |world| Some(world.charge(reference)).filter(|charge| charge.state.is_not_taken()));
        assert_eq!(ended.attempts, []);
    }
}

#[test]
fn case_40_a_clock_that_jumps_ahead_ends_no_doubt_and_sends_nothing_again() {
    let hand = ManualClock::new(Clock::System.now());
    let world = World::new(Setting { clock: Clock::Manual(hand.clone()), ..Setting::default() });
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::LateReceipt { ms: 900 });
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::InDoubt);
    hand.advance(Duration::from_secs(30 * 86_400));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.charge(charge.reference).state, State::InDoubt);
    let charge = world.until("the receipt counts, and the money goes back", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::RefundOwed)
    });
    assert_eq!((charge.attempts.len(), charge.refunded_amount()), (1, charge.order.amount));
    world.audit();
}

#[test]
fn killed_before_the_ticket_was_sent_the_passenger_gets_it_after_the_restart() {
    let mut setting = Setting { sqlite: true, ..Setting::default() };
    setting.profile = "".into();
    let mut world = World::new(setting);
    world
        .simulator
        .set_fault(
            FaultRule::for_number(super::world::msisdn(ANNA), 1, Fault::DropLinkBeforeCharge)
                .only(crate::simulator::Traffic::Free),
        )
        .expect("a rule");
    world.sms(ANNA, "1234");
    world.until_state(ANNA, "charged");
    world.kill();
    assert!(world.texts(ANNA).len() <= 1);
    world.start();
    world.until_texts(ANNA, 1);
    world.audit();
}

#[test]
fn killed_again_and_again_under_load_the_ledgers_end_equal() {
    let mut setting = Setting { sqlite: true, charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.simulator.delivery_delay_ms = crate::simulator::DelayRange { min: 0, max: 200 };
    setting.simulator.response_delay_ms = crate::simulator::DelayRange { min: 0, max: 60 };
    setting.gateway.ticket_deadline_seconds = 5;
    let mut world = World::new(setting);
    for round in 0..6 {
        for n in 0..40 {
            let number = format!("+7705{round}{n:06}");
            let request = world.request(&number, "1234", 1, &number);
            let gateway = world.gateway().clone();
            world.spawn(async move {
                let _killed = gateway.purchase(request).await;
            });
        }
        std::thread::sleep(Duration::from_millis(20 + 25 * round));
        world.kill();
        world.start();
    }
    // What was killed between the commit and the write never reached the carrier, and no evidence of it will ever come.
    world.settle_by_the_carriers_books();
    world.audit();
}
