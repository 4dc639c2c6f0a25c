//! Receipts in the forms of the field: whatever they look like, the charge ends as they mean, or stays undecided.

use super::world::{Setting, World, msisdn};
use crate::{
    charge::{Charge, Reason, Reference, State},
    simulator::{ChargingMoment, Fault, FaultRule, ReceiptForm, Subscriber},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn world_with(profile: &str) -> World {
    let profile = profile.into();
    World::new(Setting { charged_at: ChargingMoment::Delivery, profile, ..Setting::default() })
}

fn world() -> World {
    world_with("")
}

fn bought_with(world: &World, number: &str, fault: Fault) -> Reference {
    world.fault(number, fault);
    world.purchase(number, "1234", 1, number).expect("a charge").charge().reference
}

fn until_charged(world: &World, reference: Reference, fault: Fault) -> Charge {
    world.until(&format!("the receipt counts with {fault:?}"), |world| {
        Some(world.charge(reference)).filter(|charge| charge.state == State::Charged)
    })
}

/// A receipt with any of these faults charges, once, and is nobody's contradiction.
fn each_charges(world: &World, faults: &[Fault]) {
    for (n, fault) in faults.iter().enumerate() {
        let reference = bought_with(world, &format!("+7705{n:07}"), *fault);
        assert_eq!(until_charged(world, reference, *fault).attempts.len(), 1);
    }
    assert_eq!(world.run(world.gateway().store().breaks(10)).expect("the store"), []);
    assert_eq!(world.run(world.gateway().store().parked_count()).expect("the store"), 0);
    world.audit();
}

/// The carrier has acknowledged receipts, and the charge is as undecided as before.
fn stays_undecided(world: &World, reference: Reference) {
    world.until("the receipt is taken", |world| (world.simulator.stats().receipts_acknowledged > 0).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(world.charge(reference).state, State::Processing);
}

#[test]
fn case_08_a_receipt_charges_wherever_its_fields_are() {
    let forms = [ReceiptForm::Text, ReceiptForm::Tlv, ReceiptForm::Both, ReceiptForm::Payload];
    each_charges(&world(), &forms.map(|form| Fault::ReceiptAs { form }));
}

#[test]
fn case_08_a_receipt_whose_text_contradicts_its_tlvs_decides_nothing() {
    let world = world();
    let reference = bought_with(&world, ANNA, Fault::ReceiptDisagrees);
    stays_undecided(&world, reference);

    // The same for one that was refused, and whose text says the contrary.
    world.simulator.set_subscriber(msisdn(BULAT), Subscriber::with_balance(0)).expect("room");
    let reference = bought_with(&world, BULAT, Fault::ReceiptDisagrees);
    world.until("both are taken", |world| (world.simulator.stats().receipts_acknowledged == 2).then_some(()));
    stays_undecided(&world, reference);
}

#[test]
fn case_09_a_receipt_charges_whatever_order_case_and_fields_its_text_has() {
    let faults = [
        Fault::ReceiptReordered,
        Fault::ReceiptLowerCase,
        Fault::ReceiptFieldsMissing,
        Fault::ReceiptAlphanumericErr,
        Fault::UnknownStatFirst,
    ];
    each_charges(&world(), &faults);
}

#[test]
fn case_09_a_refusal_with_an_err_that_nobody_knows_is_a_refusal() {
    let world = world();
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(0)).expect("room");
    let reference = bought_with(&world, ANNA, Fault::ReceiptAlphanumericErr);
    let charge = world.run(world.gateway().wait(reference, std::time::Duration::from_secs(5))).expect("the store");
    assert_eq!(charge.map(|awaited| awaited.charge.state), Some(State::Rejected(Reason::NotDelivered)));
    world.audit();
}

#[test]
fn case_10_a_receipt_without_esm_class_charges_by_its_tlvs_or_where_words_alone_are_believed() {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.simulator.receipt_form = ReceiptForm::Both;
    each_charges(&World::new(setting), &[Fault::ReceiptWithoutEsmClass]);
    each_charges(&world_with("receipts_by_text_alone = true"), &[Fault::ReceiptWithoutEsmClass]);

    let careful = world();
    let reference = bought_with(&careful, ANNA, Fault::ReceiptWithoutEsmClass);
    stays_undecided(&careful, reference);
}

#[test]
fn case_10_a_purchase_with_the_esm_class_of_a_receipt_is_a_purchase() {
    let world = world();
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, Fault::MoAsReceipt));
    world.sms(ANNA, "1234");
    world.until_state(ANNA, "charged");
    world.audit();
}

#[test]
fn case_22_a_receipt_without_its_nul_or_with_odd_or_trailing_octets_charges() {
    each_charges(&world(), &[Fault::ReceiptWithoutNul, Fault::ReceiptOddTlvs, Fault::ReceiptTrailingOctets]);
}

#[test]
fn case_23_a_receipt_whose_length_reaches_past_its_end_counts_once_with_the_good_one_behind_it() {
    let world = world();
    each_charges(&world, &[Fault::PastEndFirst]);
    world.until("both are acknowledged", |world| (world.simulator.stats().receipts_acknowledged == 2).then_some(()));
}

#[test]
fn case_24_a_receipt_with_its_text_twice_counts_once() {
    each_charges(&world(), &[Fault::ReceiptTextAndPayload]);
}
