//! What becomes of a charge whose response is odd: what is sure counts, everything else is doubt, and nothing is sent twice.

use std::time::Duration;

use super::world::{Setting, World, msisdn};
use crate::{
    charge::{AttemptState, Charge, Doubt, Reason, State},
    simulator::{ChargingMoment, Fault, FaultRule, LedgerEntry},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn world() -> World {
    World::new(Setting::default())
}

fn number(n: usize) -> String {
    format!("+7705{n:07}")
}

/// A charge whose message meets `fault`, and of which no receipt ever comes: the response is all there is.
fn by_response_alone(world: &World, number: &str, fault: Fault) -> Charge {
    world.fault(number, fault);
    world.fault(number, Fault::NoReceipt);
    world.bought(number, "1234", number)
}

/// The only entry that the carrier has of a charge.
fn entry(world: &World, charge: &Charge) -> LedgerEntry {
    let ledger = world.simulator.ledger();
    let entries: Vec<&LedgerEntry> = ledger.entries_for(charge.reference.uuid()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

/// Charged in one attempt, under the id that the carrier has in its own books.
fn is_charged_under_its_own_id(world: &World, charge: &Charge) {
    let [attempt] = charge.attempts.as_slice() else { panic!("{charge:?}") };
    assert_eq!((charge.state, &attempt.state), (State::Charged, &AttemptState::Charged));
    assert_eq!(attempt.carrier_id.as_deref(), Some(entry(world, charge).message_id.as_str()));
}

/// In doubt for this reason, after one attempt.
fn is_in_doubt(charge: &Charge, cause: Doubt) {
    assert_eq!(charge.state, State::InDoubt);
    assert_eq!(charge.attempts.iter().map(|a| a.state.clone()).collect::<Vec<_>>(), [AttemptState::InDoubt { cause }]);
}

/// The charge of `number`, in doubt by its response, is settled by the receipt that follows, without a second attempt.
fn is_settled_by_its_receipt(world: &World, number: &str, fault: Fault) {
    world.fault(number, fault);
    let reference = world.purchase(number, "1234", 1, number).expect("a charge").charge().reference;
    let charge = world.until(&format!("the receipt counts after {fault:?}"), |world| {
        Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
    });
    is_charged_under_its_own_id(world, &charge);
}

#[test]
fn case_11_responses_out_of_order_settle_each_its_own_charge() {
    let world = world();
    for n in [0, 2, 4, 6] {
        world.fault(&number(n), Fault::OutOfOrder);
    }
    let buy = |n| {
        world.fault(&number(n), Fault::NoReceipt);
        world.purchase(&number(n), "1234", 1, &number(n)).expect("a charge").charge().reference
    };
    let references: Vec<_> = (0..8).map(buy).collect();
    for reference in references {
        let charge = world.until("it is charged", |world| {
            Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
        });
        is_charged_under_its_own_id(&world, &charge);
    }
    world.audit();
}

#[test]
fn case_13_a_response_to_a_number_never_used_settles_nobodys_charge() {
    let world = world();
    let charge = by_response_alone(&world, ANNA, Fault::UnknownSequenceFirst);
    is_charged_under_its_own_id(&world, &charge);
    world.audit();
}

#[test]
fn case_14_ok_without_an_id_counts_as_ok() {
    for fault in [Fault::EmptyMessageId, Fault::MissingMessageId] {
        let at_submission = world();
        let charge = by_response_alone(&at_submission, ANNA, fault);
        assert_eq!((charge.state, &charge.attempts[0].carrier_id), (State::Charged, &None));
        at_submission.audit();

        let at_delivery = World::new(Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() });
        is_settled_by_its_receipt(&at_delivery, ANNA, fault);
        at_delivery.audit();
    }
}

#[test]
fn case_15_a_refusal_counts_with_a_body_and_without() {
    let world = world();
    let refusals = [(0x450, Reason::InsufficientBalance), (0x0B, Reason::CarrierRefused)];
    for (n, (status, reason)) in refusals.into_iter().enumerate() {
        for (m, body) in [false, true].into_iter().enumerate() {
            let number = number(10 * n + m);
            let charge = by_response_alone(&world, &number, Fault::Refuse { status, body });
            assert_eq!((charge.state, charge.attempts.len()), (State::Rejected(reason), 1), "0x{status:X} {body}");
            assert_eq!(world.taken(&number), 0);
        }
    }
    world.audit();
}

#[test]
fn case_15_an_error_that_nobody_knows_is_doubt() {
    let world = world();
    for (n, body) in [false, true].into_iter().enumerate() {
        is_in_doubt(
            &by_response_alone(&world, &number(n), Fault::Refuse { status: 0x4FF, body }),
            Doubt::UnclearAnswer,
        );
    }
    assert_eq!(world.simulator.stats().submits, 2);
}

#[test]
fn case_16_a_response_of_the_wrong_type_is_doubt_until_the_receipt() {
    let world = world();
    is_in_doubt(&by_response_alone(&world, ANNA, Fault::WrongResponseType), Doubt::UnclearAnswer);
    is_settled_by_its_receipt(&world, BULAT, Fault::WrongResponseType);
    assert_eq!((world.simulator.stats().submits, world.simulator.stats().binds), (2, 1), "nothing is sent again");
}

#[test]
fn case_17_the_same_response_twice_charges_once() {
    let world = world();
    world.fault(ANNA, Fault::DuplicateResponse);
    world.fault(ANNA, Fault::NoReceipt);
    world.sms(ANNA, "1234");
    let charge = world.until_state(ANNA, "charged");
    is_charged_under_its_own_id(&world, &charge);
    world.until_texts(ANNA, 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((world.charge(charge.reference).version, world.texts(ANNA).len()), (charge.version, 1));
    world.audit();
}

#[test]
fn case_18_a_response_byte_by_byte_or_among_others_in_one_segment_is_one() {
    let world = world();
    for (n, fault) in [Fault::Slow, Fault::OneSegment { ms: 50 }].into_iter().enumerate() {
        is_charged_under_its_own_id(&world, &by_response_alone(&world, &number(n), fault));
    }
    assert_eq!(world.simulator.stats().binds, 1);
    world.audit();
}

#[test]
fn case_19_a_length_that_cannot_be_leaves_doubt_and_a_new_bind_brings_the_receipt() {
    for command_length in [0, 15, 1 << 31] {
        let world = world();
        let fault = Fault::BadLength { command_length };
        is_in_doubt(&by_response_alone(&world, ANNA, fault), Doubt::LinkLost);
        world.until("it is bound again", |world| (world.simulator.stats().binds == 2).then_some(()));
        is_settled_by_its_receipt(&world, BULAT, fault);
    }
}

#[test]
fn case_20_an_unknown_command_is_nacked_and_the_response_behind_it_counts() {
    let world = world();
    is_charged_under_its_own_id(&world, &by_response_alone(&world, ANNA, Fault::GarbagePdu));
    world.until("it is nacked", |world| (world.simulator.stats().nacks == 1).then_some(()));
    assert_eq!(world.simulator.stats().binds, 1);
    world.audit();
}

#[test]
fn case_21_a_nacked_charge_did_not_happen_and_is_sent_again_and_no_nack_is_answered() {
    let world = world();
    world.fault(ANNA, Fault::Nack);
    let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    let charge = world.until("the second attempt counts", |world| {
        Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
    });
    assert!(matches!(charge.attempts[0].state, AttemptState::Rejected(_)), "{charge:?}");
    assert_eq!((charge.attempts.len(), world.taken(ANNA)), (2, charge.order.amount.minor));
    world.audit();

    is_in_doubt(&by_response_alone(&world, BULAT, Fault::NackSequenceZero), Doubt::NackWithoutSequence);
    is_settled_by_its_receipt(&world, &number(1), Fault::NackSequenceZero);
    assert_eq!(world.simulator.stats().nacks, 0);
}

#[test]
fn case_22_a_response_without_its_nul_or_with_odd_or_trailing_octets_counts() {
    let world = world();
    let faults = [Fault::ResponseWithoutNul, Fault::ResponseOddTlvs, Fault::ResponseTrailingOctets];
    for (n, fault) in faults.into_iter().enumerate() {
        is_charged_under_its_own_id(&world, &by_response_alone(&world, &number(n), fault));
    }
    world.audit();
}

#[test]
fn case_35_a_storm_of_throttling_delays_charges_and_takes_each_once() {
    let world = world();
    for fault in [Fault::Throttle, Fault::QueueFull] {
        let storm = FaultRule::at_random(0.5, fault).lasting(Duration::from_millis(300));
        world.set_fault(storm);
    }
    let buy = |n| world.purchase(&number(n), "1234", 1, &number(n)).expect("a charge").charge().reference;
    let references: Vec<_> = (0..60).map(buy).collect();
    let attempts: usize = references
        .into_iter()
        .map(|reference| {
            let charge = world.until("it is charged", |world| {
                Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
            });
            charge.attempts.len()
        })
        .sum();
    assert!(attempts > 60, "some were throttled");
    world.audit();
}

#[test]
fn case_35_one_charge_that_is_throttled_again_and_again_holds_no_other() {
    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 2;
    let world = World::new(setting);
    let always = FaultRule::for_number(msisdn(ANNA), 1_000, Fault::Throttle);
    world.set_fault(always);
    let throttled = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    for n in 0..20 {
        assert_eq!(world.bought(&number(n), "1234", &number(n)).state, State::Charged);
    }
    assert_eq!(world.charge(throttled).state, State::Processing);
    let ended = world
        .until("its time is out", |world| Some(world.charge(throttled)).filter(|charge| charge.state.is_not_taken()));
    assert_eq!((ended.state, world.taken(ANNA)), (State::Rejected(Reason::CarrierUnavailable), 0));
    world.audit();
}
