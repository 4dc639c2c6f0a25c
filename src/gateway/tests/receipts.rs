use super::world::{Setting, World, msisdn};
use crate::{
    charge::{Reason, State},
    simulator::{ChargingMoment, Condition, Fault, FaultRule, MessageIdForm, ReceiptForm, Subscriber, Traffic},
    store::StoredBreak,
};

const ANNA: &str = "+77051111111";

fn world(charged_at: ChargingMoment) -> World {
    World::new(Setting { charged_at, ..Setting::default() })
}

fn breaks(world: &World) -> Vec<String> {
    let breaks: Vec<StoredBreak> = world.run(world.gateway().store().breaks(10)).expect("the store");
    breaks.into_iter().map(|found| found.kind).collect()
}

#[test]
fn case_01_a_receipt_before_its_response_is_parked_and_counts_when_the_response_comes() {
    let world = world(ChargingMoment::Delivery);
    world.fault(ANNA, Fault::ReceiptBeforeResponse);
    world.fault(ANNA, Fault::DelayResponse { ms: 150 });
    assert_eq!(world.bought(ANNA, "1234", "k").state, State::Charged);
    world.until("nothing is parked", |world| {
        (world.run(world.gateway().store().parked_count()).expect("the store") == 0).then_some(())
    });
    world.audit();
}

#[test]
fn case_02_the_same_receipt_twice_counts_once() {
    let world = world(ChargingMoment::Delivery);
    world.fault(ANNA, Fault::DuplicateReceipt);
    let charge = world.bought(ANNA, "1234", "k");
    let receipts = |world: &World| world.simulator.stats().receipts_acknowledged;
    world.until("both are acknowledged", |world| (receipts(world) >= 2).then_some(()));
    assert_eq!(world.charge(charge.reference).version, charge.version);
    assert_eq!(breaks(&world), Vec::<String>::new());
    world.audit();
}

#[test]
fn case_03_receipts_that_disagree_end_with_a_break_and_never_with_money_without_a_ticket_or_a_refund() {
    let world = world(ChargingMoment::Delivery);
    world.fault(ANNA, Fault::EnrouteFirst);
    assert_eq!(world.bought(ANNA, "1234", "k").state, State::Charged);
    assert_eq!(breaks(&world), Vec::<String>::new());

    let unlucky = "+77052222222";
    world.fault(unlucky, Fault::UndeliveredFirst);
    let charge = world.bought(unlucky, "1234", "k2");
    let charge = world.until("the second receipt counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| !charge.refunds.is_empty())
    });
    assert_eq!(charge.state, State::Rejected(Reason::NotDelivered));
    assert_eq!(breaks(&world), ["charged_after_rejection"]);
    world.audit();
}

#[test]
fn case_05_ids_are_one_whatever_way_the_carrier_writes_them() {
    let forms = [
        (
            MessageIdForm::HexThenDecimal,
            "message_id = { response = \"hex\", receipt_text = \"decimal\", receipt_tlv = \"decimal\" }",
        ),
        (
            MessageIdForm::PaddedReceipt,
            "message_id = { response = \"decimal\", receipt_text = \"decimal\", receipt_tlv = \"decimal\" }",
        ),
        (MessageIdForm::Uuid, ""),
        (MessageIdForm::Hex, "message_id = { response = \"hex\", receipt_text = \"hex\", receipt_tlv = \"hex\" }"),
    ];
    for (form, profile) in forms {
        for receipt_form in [ReceiptForm::Text, ReceiptForm::Tlv, ReceiptForm::Both] {
            let mut setting =
                Setting { charged_at: ChargingMoment::Delivery, profile: profile.into(), ..Setting::default() };
            setting.simulator.message_id = form;
            setting.simulator.receipt_form = receipt_form;
            let world = World::new(setting);
            assert_eq!(world.bought(ANNA, "1234", "k").state, State::Charged, "{form:?} {receipt_form:?}");
            world.audit();
        }
    }
}

#[test]
fn case_12_a_late_response_settles_the_charge_and_there_is_no_second_one() {
    let world = world(ChargingMoment::Submission);
    world.fault(ANNA, Fault::DelayResponse { ms: 900 });
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::InDoubt);
    let settled = world.until("the late response counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
    assert_eq!(settled.attempts.len(), 1);
    world.audit();
}

#[test]
fn a_lost_response_is_settled_by_the_receipt_that_can_only_be_its_own() {
    for charged_at in [ChargingMoment::Submission, ChargingMoment::Delivery] {
        let world = world(charged_at);
        world.fault(ANNA, Fault::DropResponse);
        let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
        let settled = world.until("the receipt counts", |world| {
            Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
        });
        assert_eq!(settled.attempts.len(), 1);
        world.audit();
    }
}

#[test]
fn a_lost_response_without_our_number_in_the_receipt_is_matched_by_its_submit_date() {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.simulator.echo_user_message_reference = false;
    let world = World::new(setting);
    world.fault(ANNA, Fault::DropResponse);
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    world.until("the receipt counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
    world.audit();
}

#[test]
fn m09_a_receipt_that_fits_two_attempts_settles_neither() {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.simulator.echo_user_message_reference = false;
    let world = World::new(setting);
    let twice = FaultRule::for_number(msisdn(ANNA), 2, Fault::DropResponse).only(Traffic::Charged);
    world.simulator.set_fault(twice).expect("a rule");
    world.fault(ANNA, Fault::NoReceipt);
    let one = world.bought(ANNA, "1234", "one");
    let two = world.bought(ANNA, "1235", "two");
    world.until("the receipt is parked", |world| {
        (world.run(world.gateway().store().parked_count()).expect("the store") > 0).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(
        [world.charge(one.reference).state, world.charge(two.reference).state],
        [State::InDoubt, State::InDoubt]
    );
}

#[test]
fn m03_a_lost_response_without_any_receipt_stays_in_doubt_until_a_person_decides() {
    let world = world(ChargingMoment::Submission);
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::InDoubt);
    let resolution =
        crate::gateway::Resolution { charged: true, by: "aigul".into(), because: "the carrier's log".into() };
    let resolved = world.run(world.gateway().resolve(charge.reference, resolution)).expect("resolved");
    assert_eq!(resolved.state, State::Charged);
    world.audit();
}

#[test]
fn m04_an_overdue_receipt_is_asked_for_with_query_sm_where_the_id_is_known() {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.profile = "query = { first_after_ms = 300, interval_ms_max = 1000 }".into();
    let world = World::new(setting);
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    world.until("the query's answer counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
    world.audit();
}

#[test]
fn a_phone_that_is_switched_off_is_not_charged_at_night() {
    let mut setting = Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 2;
    let world = World::new(setting);
    let off = Subscriber::with_balance(50_000).and(Condition::PhoneOff);
    world.simulator.set_subscriber(msisdn(ANNA), off).expect("room");
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    let ended = world.until("it has ended", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state.is_not_taken())
    });
    assert_eq!(ended.state, State::Rejected(Reason::NotDelivered));
    world.audit();
}

#[test]
fn a_passenger_who_writes_a_receipt_proves_nothing() {
    let world = world(ChargingMoment::Delivery);
    world.sms(ANNA, "id:1 sub:001 dlvrd:001 submit date:2603011230 done date:2603011230 stat:DELIVRD err:000 text:");
    world.until_texts(ANNA, 1);
    assert_eq!(world.run(world.gateway().store().parked_count()).expect("the store"), 0);
}
