//! Whose evidence is it: receipts that look as if they were about a charge, and receipts that nobody waits for any more.

use std::time::Duration;

use super::world::{CARRIER, SHORT_NUMBER, Setting, World, msisdn};
use crate::{
    carrier::CarrierReceipt,
    charge::{Charge, Finding, Reason, Retry, State},
    clock::{Clock, ManualClock, Timestamp},
    gateway::{Resolution, receipts::Kept},
    simulator::{ChargingMoment, Fault, FaultRule, Traffic},
    store::{ParkedReceipt, Write},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn world() -> World {
    world_with(Clock::System)
}

fn world_with(clock: Clock) -> World {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, clock, ..Setting::default() };
    setting.simulator.echo_user_message_reference = false;
    World::new(setting)
}

const HOURS: Duration = Duration::from_secs(3 * 3_600);

/// A charge of which the carrier never took anything, and whose answer says neither yes nor no.
fn doubtful(world: &World, number: &str, vehicle: &str, key: &str) -> Charge {
    world.fault(number, Fault::SystemError { charged: false });
    let charge = world.bought(number, vehicle, key);
    assert_eq!(charge.state, State::InDoubt);
    charge
}

/// A receipt of the charge's own message.
fn receipt_of(charge: &Charge, carrier_id: &str, finding: Finding) -> CarrierReceipt {
    let zone = jiff::tz::TimeZone::get("Asia/Almaty").expect("a zone");
    let delivered = matches!(finding, Finding::Charged { .. });
    CarrierReceipt {
        carrier: CARRIER.parse().expect("a name"),
        carrier_id: Some(carrier_id.into()),
        msisdn: charge.order.msisdn,
        source: SHORT_NUMBER.into(),
        finding,
        delivered: Some(delivered),
        refund: Finding::Nothing,
        key: format!("{delivered}"),
        submitted_at: charge.last_attempt().map(|attempt| attempt.opened_at.zoned(&zone).datetime()),
        user_message_reference: None,
        words: String::new(),
    }
}

fn paid(carrier_id: &str) -> Finding {
    Finding::Charged { carrier_id: Some(carrier_id.into()), amount: None }
}

fn undelivered() -> Finding {
    Finding::Rejected { reason: Reason::NotDelivered, retry: Retry::Never, detail: "UNDELIV".into() }
}

/// As it is taken in, and what is parked weighed at once.
fn take(world: &World, receipt: CarrierReceipt) {
    let (gateway, carrier, msisdn) = (&world.gateway().0, receipt.carrier.clone(), receipt.msisdn);
    if world.run(gateway.weigh_or_park(receipt)).expect("kept") == Kept::Parked {
        world.run(gateway.settle_parked(&carrier, msisdn)).expect("the store");
    }
}

fn parked(world: &World) -> u64 {
    world.run(world.gateway().store().parked_count()).expect("the store")
}

fn breaks(world: &World) -> Vec<String> {
    let breaks = world.run(world.gateway().store().breaks(10)).expect("the store");
    breaks.into_iter().map(|found| found.kind).collect()
}

fn not_charged(by: &str) -> Resolution {
    Resolution { charged: false, by: by.into(), because: "not in the carrier's books".into() }
}

#[test]
fn the_receipt_of_a_text_proves_nothing_of_a_charge_in_doubt() {
    let world = world();
    let charge = doubtful(&world, ANNA, "1234", "k");
    let early = FaultRule::for_number(msisdn(ANNA), 9, Fault::ReceiptBeforeResponse).only(Traffic::Free);
    world.simulator.set_fault(early).expect("a rule");
    // Answered with a text: the charge is still processing.
    world.sms(ANNA, "1234");
    world.until_texts(ANNA, 1);
    world.until("the text's receipt is taken", |world| {
        (world.simulator.stats().receipts_acknowledged >= 1).then_some(())
    });
    world.until("nothing is parked", |world| (parked(world) == 0).then_some(()));
    assert_eq!(world.taken(ANNA), 0);
    assert_eq!(world.charge(charge.reference).state, State::InDoubt);
}

#[test]
fn a_receipt_that_waited_for_a_texts_id_settles_its_charge_once_the_text_has_one() {
    let world = world();
    let charge = doubtful(&world, ANNA, "1234", "k");
    let slow = FaultRule::for_number(msisdn(ANNA), 9, Fault::DelayResponse { ms: 300 }).only(Traffic::Free);
    world.simulator.set_fault(slow).expect("a rule");
    world.sms(ANNA, "1234");
    world.until("the text is on its way", |world| {
        let sent = world.run(world.gateway().store().messages_since(msisdn(ANNA), charge.order.received_at));
        (sent.expect("the store") > 0).then_some(())
    });
    take(&world, receipt_of(&charge, "777", paid("777")));
    assert_eq!(world.charge(charge.reference).state, State::InDoubt);
    world.until("the receipt counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
}

#[test]
fn m08_proof_of_payment_after_a_refusal_counts_also_where_the_response_was_lost() {
    let world = world();
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::InDoubt);
    take(&world, receipt_of(&charge, "777", undelivered()));
    take(&world, receipt_of(&charge, "777", paid("777")));
    let charge = world.charge(charge.reference);
    assert_eq!(charge.refunds.len(), 1, "{charge:?}");
    assert_eq!(charge.state, State::Rejected(Reason::NotDelivered));
    assert_eq!(breaks(&world), ["charged_after_rejection"]);
    world.audit();
}

#[test]
fn m08_proof_of_payment_after_a_persons_decision_is_owed() {
    let world = world();
    let charge = doubtful(&world, ANNA, "1234", "k");
    world.run(world.gateway().resolve(charge.reference, not_charged("aigul"))).expect("resolved");
    take(&world, receipt_of(&charge, "777", paid("777")));
    let charge = world.charge(charge.reference);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
    assert_eq!(charge.refunds.len(), 1, "{charge:?}");
    assert_eq!(breaks(&world), ["charged_after_rejection"]);
    assert_eq!(parked(&world), 0);
}

#[test]
fn m09_a_receipt_of_one_of_two_charges_is_not_the_others_because_a_person_has_decided_the_one() {
    let world = world();
    let one = doubtful(&world, ANNA, "1234", "one");
    let two = doubtful(&world, ANNA, "1235", "two");
    take(&world, receipt_of(&one, "777", paid("777")));
    assert_eq!(parked(&world), 1);
    world.run(world.gateway().resolve(one.reference, not_charged("aigul"))).expect("resolved");
    world.run(world.gateway().0.settle_parked(&CARRIER.parse().expect("a name"), msisdn(ANNA))).expect("the store");
    assert_eq!(world.charge(two.reference).state, State::InDoubt);
    assert_eq!(parked(&world), 1);
}

#[test]
fn m09_a_receipt_that_is_parked_is_known_when_it_comes_again_and_is_acknowledged_without_more_work() {
    let world = world();
    let one = doubtful(&world, ANNA, "1234", "one");
    doubtful(&world, ANNA, "1235", "two");
    let receipt = receipt_of(&one, "777", paid("777"));
    let taken = || world.run(world.gateway().0.weigh_or_park(receipt.clone())).expect("kept");
    assert_eq!([taken(), taken()], [Kept::Parked, Kept::Before]);
    assert_eq!(parked(&world), 1);
}

#[test]
fn the_receipt_of_another_phone_proves_nothing_whatever_its_id() {
    let world = world();
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    let id = world.until("the carrier has it", |world| world.charge(charge.reference).attempts[0].carrier_id.clone());
    take(&world, CarrierReceipt { msisdn: msisdn(BULAT), ..receipt_of(&charge, &id, paid(&id)) });
    assert_eq!(world.charge(charge.reference).state, State::Processing);
    assert_eq!(parked(&world), 1);
    take(&world, receipt_of(&charge, &id, paid(&id)));
    assert_eq!(world.charge(charge.reference).state, State::Charged);
}

#[test]
fn an_id_used_again_by_a_charge_whose_response_was_lost_is_not_swallowed_by_its_earlier_owner() {
    let world = world();
    world.fault(BULAT, Fault::NoReceipt);
    let earlier = world.purchase(BULAT, "1234", 1, "earlier").expect("a charge").charge().clone();
    let id = world.until("the carrier has it", |world| world.charge(earlier.reference).attempts[0].carrier_id.clone());
    let charge = doubtful(&world, ANNA, "1234", "k");
    take(&world, receipt_of(&charge, &id, paid(&id)));
    assert_eq!(world.charge(charge.reference).state, State::Charged);
    assert_eq!(world.charge(earlier.reference).state, State::Processing);
}

#[test]
fn case_14_a_receipt_settles_a_charge_that_was_accepted_without_an_id() {
    let world = world();
    world.fault(ANNA, Fault::EmptyMessageId);
    assert_eq!(world.bought(ANNA, "1234", "k").state, State::Charged);
    world.audit();
}

/// Parks `receipt` under the names of `named`.
fn park(world: &World, named: &CarrierReceipt, receipt: &CarrierReceipt, id: String, received_at: Timestamp) {
    let parked = ParkedReceipt {
        id,
        carrier: named.carrier.clone(),
        carrier_id: named.carrier_id.clone(),
        msisdn: Some(named.msisdn),
        body: serde_json::to_value(receipt).expect("JSON"),
        received_at,
    };
    world.run(world.gateway().0.writer.write(Write::Park(parked))).expect("parked");
}

#[test]
fn receipts_that_nobody_owns_do_not_hide_those_that_come_later() {
    let world = world();
    let charge = doubtful(&world, ANNA, "1234", "k");
    let long_ago = charge.order.received_at.minus(Duration::from_secs(86_400));
    for n in 0..40 {
        let mut nobodys = receipt_of(&charge, &format!("9{n}"), paid("9"));
        nobodys.submitted_at = None;
        park(&world, &nobodys, &nobodys, format!("old {n}"), long_ago);
    }
    take(&world, receipt_of(&charge, "777", paid("777")));
    assert_eq!(world.charge(charge.reference).state, State::Charged);
    assert_eq!(parked(&world), 40);
}

#[test]
fn a_receipt_from_before_the_attempt_is_not_about_it_whatever_id_the_carrier_uses_again() {
    let world = world();
    let long_ago = world.gateway().now().minus(Duration::from_secs(86_400));
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    let id = world.until("the carrier has it", |world| world.charge(charge.reference).attempts[0].carrier_id.clone());
    let old = CarrierReceipt { submitted_at: None, ..receipt_of(&charge, &id, paid(&id)) };
    // It was parked before this attempt learned the id, so the store did not know an owner.
    park(&world, &CarrierReceipt { carrier_id: None, ..old.clone() }, &old, "old".into(), long_ago);
    world.run(world.gateway().0.settle_parked(&old.carrier, msisdn(ANNA))).expect("the store");
    assert_eq!(world.charge(charge.reference).state, State::Processing);
}

#[test]
fn m09_a_text_that_was_written_while_the_clock_was_behind_may_be_what_a_receipt_is_about() {
    let right = Clock::System.now();
    let hand = ManualClock::new(right.minus(HOURS));
    let world = world_with(Clock::Manual(hand.clone()));
    let lost = FaultRule::for_number(msisdn(ANNA), 9, Fault::DropResponse).only(Traffic::Free);
    world.simulator.set_fault(lost).expect("a rule");
    let no_receipt = FaultRule::for_number(msisdn(ANNA), 9, Fault::NoReceipt).only(Traffic::Free);
    world.simulator.set_fault(no_receipt).expect("a rule");
    world.sms(ANNA, "?");
    world.until("the text's answer is missed", |world| {
        hand.advance(Duration::from_millis(100));
        let texts = world.run(world.gateway().store().messages_to(msisdn(ANNA), right.minus(2 * HOURS), 10));
        texts.expect("the store").iter().any(|text| text.tries > 0).then_some(())
    });
    hand.set(right);
    let charge = doubtful(&world, ANNA, "1234", "k");
    take(&world, receipt_of(&charge, "777", paid("777")));
    assert_eq!(world.charge(charge.reference).state, State::InDoubt);
    assert_eq!(parked(&world), 1);
}

#[test]
fn m08_a_receipt_that_comes_after_the_clock_went_back_is_its_attempts_all_the_same() {
    let hand = ManualClock::new(Clock::System.now());
    let world = world_with(Clock::Manual(hand.clone()));
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    let id = world.until("the carrier has it", |world| world.charge(charge.reference).attempts[0].carrier_id.clone());
    hand.set(world.gateway().now().minus(HOURS));
    take(&world, receipt_of(&charge, &id, paid(&id)));
    assert_eq!(world.charge(charge.reference).state, State::Charged);
    assert_eq!(parked(&world), 0);
}

#[test]
fn m08_a_receipt_that_was_parked_after_the_clock_went_back_finds_its_attempt() {
    let hand = ManualClock::new(Clock::System.now());
    let world = world_with(Clock::Manual(hand.clone()));
    let charge = doubtful(&world, ANNA, "1234", "k");
    hand.set(world.gateway().now().minus(HOURS));
    take(&world, receipt_of(&charge, "777", paid("777")));
    assert_eq!(world.charge(charge.reference).attempts[0].carrier_id.as_deref(), Some("777"));
    assert_eq!(world.charge(charge.reference).last_attempt().map(|attempt| attempt.state.code()), Some("charged"));
    assert_eq!(parked(&world), 0);
}
