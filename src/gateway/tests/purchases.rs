use std::time::{Duration, Instant};

use super::world::{Setting, World, msisdn};
use crate::{
    carrier::{CarrierSecrets, LinkSecrets},
    charge::{Charge, LateSuccess, Reason, State},
    gateway::{GatewayConfig, PurchaseError, Purchased},
    simulator::{ChargingMoment, Condition, DelayRange, Fault, FaultRule, Subscriber},
    ticket::{KeySet, Verdict, Verifier, qr},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

#[test]
fn an_sms_with_a_bus_code_ends_as_a_charged_balance_and_a_signed_ticket() {
    for (charged_at, sqlite) in [(ChargingMoment::Submission, false), (ChargingMoment::Delivery, true)] {
        let world = World::new(Setting { charged_at, sqlite, ..Setting::default() });
        world.sms(ANNA, "1234");
        let charge = world.until_state(ANNA, "charged");
        let texts = world.until_texts(ANNA, 1);
        assert_eq!(world.taken(ANNA), 8_000);

        let ticket = world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("a ticket");
        assert!(texts[0].contains(&ticket.short_code), "{texts:?} has no {}", ticket.short_code);
        assert!(texts[0].encode_utf16().count() <= 70, "{texts:?}");
        let now = world.gateway().now();
        let keys =
            KeySet { issued_at: now, expires_at: ticket.expires_at, keys: world.gateway().keyring().public_keys(now) };
        let verdict =
            Verifier::new(keys).verify_text(&qr::to_text(&ticket.cwt), now, Some("1234"), &Default::default());
        assert!(matches!(verdict, Verdict::Valid(contents) if contents.reference == charge.reference.uuid()));
        world.audit();
    }
}

#[test]
fn each_refusal_of_the_carrier_is_told_by_its_reason_and_takes_nothing() {
    let conditions = [
        (Condition::CorporateNumber, Reason::CorporateNumber),
        (Condition::CreditDebt, Reason::CreditDebt),
        (Condition::NoTopUpSinceActivation, Reason::NoTopUpSinceActivation),
        (Condition::InitialBalanceUnused, Reason::InitialBalanceUnused),
        (Condition::RecentSimSwap, Reason::RecentSimSwap),
        (Condition::Barred, Reason::Barred),
    ];
    let world = World::new(Setting::default());
    for (n, (condition, reason)) in conditions.into_iter().enumerate() {
        let number = format!("+7705000000{n}");
        world.simulator.set_subscriber(msisdn(&number), Subscriber::with_balance(50_000).and(condition)).expect("room");
        let charge = world.bought(&number, "1234", &number);
        assert_eq!(charge.state, State::Rejected(reason));
        assert_eq!(world.taken(&number), 0);
    }
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(7_999)).expect("room");
    assert_eq!(world.bought(ANNA, "1234", "poor").state, State::Rejected(Reason::InsufficientBalance));
    world.audit();
}

#[test]
fn what_a_carrier_refused_for_is_remembered_and_declined_the_next_time_without_asking() {
    let world = World::new(Setting::default());
    world
        .simulator
        .set_subscriber(msisdn(ANNA), Subscriber::with_balance(50_000).and(Condition::CreditDebt))
        .expect("room");
    assert_eq!(world.bought(ANNA, "1234", "first").state, State::Rejected(Reason::CreditDebt));
    assert_eq!(world.bought(ANNA, "1234", "second").state, State::Declined(Reason::CreditDebt));
    assert_eq!(world.simulator.stats().submits, 1);
}

#[test]
fn m13_the_same_number_in_the_same_vehicle_gets_its_ticket_again() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "1234");
    let first = world.until_texts(ANNA, 1);
    world.sms(ANNA, "1234");
    let both = world.until_texts(ANNA, 2);
    let ticket = world
        .run(world.gateway().store().ticket(world.charges(ANNA)[0].reference))
        .expect("the store")
        .expect("a ticket");
    assert!(both[1].contains(&ticket.short_code), "{first:?} {both:?}");
    assert_eq!(world.taken(ANNA), 8_000);

    let Ok(Purchased::Repeat(charge)) = world.purchase(ANNA, "1234", 1, "k") else { panic!("not a repeat") };
    let Ok(Purchased::Replayed { charge: again, repeat: true }) = world.purchase(ANNA, "1234", 1, "k") else {
        panic!("not kept")
    };
    assert_eq!(charge.reference, again.reference);
    world.audit();
}

#[test]
fn m13_two_passengers_after_one_charges_the_second_only_and_twice_nothing_more() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "1234");
    world.until_texts(ANNA, 1);
    world.sms(ANNA, "1234*2");
    world.until_texts(ANNA, 2);
    assert_eq!(world.taken(ANNA), 16_000);
    world.sms(ANNA, "1234*2");
    world.until_texts(ANNA, 4);
    assert_eq!(world.taken(ANNA), 16_000);
    assert_eq!(world.charges(ANNA).iter().map(|charge| charge.order.passengers).collect::<Vec<_>>(), [1, 1]);
    world.audit();
}

#[test]
fn m13_a_refused_second_passenger_leaves_the_first_ones_ticket_to_be_repeated() {
    let world = World::new(Setting::default());
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(8_000)).expect("room");
    world.sms(ANNA, "1234");
    world.until_texts(ANNA, 1);
    world.sms(ANNA, "1234*2");
    world.until_texts(ANNA, 2);
    world.sms(ANNA, "1234");
    let texts = world.until_texts(ANNA, 3);
    let ticket = world
        .run(world.gateway().store().ticket(world.charges(ANNA)[0].reference))
        .expect("the store")
        .expect("a ticket");
    assert!(texts[2].contains(&ticket.short_code), "{texts:?}");
    assert_eq!(world.taken(ANNA), 8_000);
    world.audit();
}

#[test]
fn m15_the_same_key_is_one_charge_and_with_another_body_a_conflict() {
    let world = World::new(Setting::default());
    let charge = world.bought(ANNA, "1234", "k");
    let Ok(Purchased::Replayed { charge: again, repeat: false }) = world.purchase(ANNA, "1234", 1, "k") else {
        panic!("not replayed")
    };
    assert_eq!(again, charge);
    assert!(
        matches!(world.purchase(ANNA, "1235", 2, "k"), Err(PurchaseError::KeyConflict(r)) if r == charge.reference)
    );
    world.audit();
}

#[test]
fn m15_a_rejection_is_replayed_for_ever_and_a_new_key_is_a_new_try() {
    let world = World::new(Setting::default());
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(0)).expect("room");
    let refused = world.bought(ANNA, "1234", "before the top-up");
    world.simulator.set_subscriber(msisdn(ANNA), Subscriber::with_balance(50_000)).expect("room");
    let replayed = world.purchase(ANNA, "1234", 1, "before the top-up").expect("a replay");
    assert_eq!(replayed.charge().state, refused.state);
    assert_eq!(world.bought(ANNA, "1234", "after it").state, State::Charged);
    world.audit();
}

#[test]
fn m12_while_in_doubt_the_same_purchase_is_processing_and_after_the_deadline_a_new_one_may_start() {
    let gateway =
        GatewayConfig { ticket_deadline_seconds: 2, late_success: LateSuccess::Ticket, ..Setting::default().gateway };
    let world = World::new(Setting { gateway, ..Setting::default() });
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::LateReceipt { ms: 4_000 });
    world.sms(ANNA, "1234");
    let doubtful = world.until_state(ANNA, "in_doubt");
    world.sms(ANNA, "1234");
    world.until_texts(ANNA, 1);
    assert_eq!(world.charges(ANNA).len(), 1);
    assert!(
        matches!(world.purchase(ANNA, "1234", 1, "k"), Ok(Purchased::Repeat(charge)) if charge.reference == doubtful.reference)
    );

    std::thread::sleep(std::time::Duration::from_millis(1_800));
    let newer = world.bought(ANNA, "1234", "k");
    assert_eq!(newer.state, State::Charged);
    assert_eq!(world.charge(doubtful.reference).superseded_by, Some(newer.reference));
    let late = world.until("the late receipt is refunded", |world| {
        Some(world.charge(doubtful.reference)).filter(|charge| charge.state == State::RefundOwed)
    });
    assert_eq!(late.refunded_amount(), late.order.amount);
    world.audit();
}

#[test]
fn m14_what_is_in_doubt_counts_as_spent() {
    let rules = toml::from_str("limits = { currency = \"KZT\", daily_minor = 16000 }").expect("rules");
    let world = World::new(Setting { rules, ..Setting::default() });
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    world.bought(ANNA, "1234", "doubtful");
    assert_eq!(world.bought(ANNA, "1235", "within").state, State::Charged);
    let third = world.purchase(ANNA, "1235", 2, "over").expect("a charge");
    assert_eq!(third.charge().state, State::Declined(Reason::DailyLimit));
}

#[test]
fn a_wrong_code_and_noise_cost_nothing_and_are_answered() {
    let world = World::new(Setting::default());
    for text in ["9999", "привет", "", "1234*0", "1234*99"] {
        let before = world.texts(BULAT).len();
        world.sms(BULAT, text);
        world.until_texts(BULAT, before + 1);
    }
    assert_eq!(world.charges(BULAT), []);
    assert_eq!(world.taken(BULAT), 0);
}

#[test]
fn the_passenger_chooses_the_language_and_asks_for_the_ticket_again() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "ENG");
    let english = world.until_texts(ANNA, 1);
    world.sms(ANNA, "БИЛЕТ");
    world.until_texts(ANNA, 2);
    world.sms(ANNA, "1234");
    world.until_texts(ANNA, 3);
    world.sms(ANNA, "БИЛЕТ");
    let texts = world.until_texts(ANNA, 4);
    assert!(texts.iter().all(|text| text.is_ascii()), "{english:?} {texts:?}");
    let ticket = world
        .run(world.gateway().store().ticket(world.charges(ANNA)[0].reference))
        .expect("the store")
        .expect("a ticket");
    assert!(texts[2].contains(&ticket.short_code) && texts[3].contains(&ticket.short_code), "{texts:?}");
}

#[test]
fn a_state_plate_finds_the_vehicle() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "123авс02");
    assert_eq!(world.until_state(ANNA, "charged").order.vehicle.as_str(), "1234");
}

#[test]
fn a_test_number_goes_the_whole_way_and_is_never_charged() {
    let world = World::new(Setting::default());
    let charge = world.bought("+77059999999", "1234", "test");
    assert_eq!((charge.state, charge.order.amount.minor), (State::Charged, 0));
    assert_eq!(world.simulator.stats().submits, 1);
    assert_eq!(world.taken("+77059999999"), 0);
    world.audit();
}

#[test]
fn a_throttled_charge_is_tried_again_and_charged_once() {
    let world = World::new(Setting::default());
    for fault in [Fault::Throttle, Fault::QueueFull, Fault::Throttle] {
        world.fault(ANNA, fault);
    }
    let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
    let charge =
        world.until("it is charged", |world| Some(world.charge(reference)).filter(|c| c.state == State::Charged));
    assert!(charge.attempts.len() > 1);
    world.audit();
}

#[test]
fn a_paused_carrier_declines_at_once_and_nothing_is_sent() {
    let world = World::new(Setting::default());
    let carrier = world.gateway().carrier("beeline").expect("a carrier").clone();
    carrier.set_paused(true);
    world.until("it is paused", |_| carrier.standing().paused.then_some(()));
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::Declined(Reason::CarrierUnavailable));
    carrier.set_paused(false);
    world.until("it is up", |_| carrier.standing().up.then_some(()));
    assert_eq!(world.bought(ANNA, "1234", "k2").state, State::Charged);
    assert_eq!(world.simulator.stats().submits, 1);
}

#[test]
fn who_would_be_served_too_late_at_the_new_rate_is_told_at_once() {
    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 6;
    let world = World::new(setting);
    let carrier = world.gateway().carrier("beeline").expect("a carrier").clone();
    let mut config = carrier.config().clone();
    config.smpp.as_mut().expect("an SMSC").tps = 1;
    let links = LinkSecrets::password("any");
    carrier.reload(&config, &CarrierSecrets { links, ..CarrierSecrets::default() }).expect("a profile");
    let numbers: Vec<String> = (0..12).map(|n| format!("+7705{n:07}")).collect();
    let began = Instant::now();
    for number in &numbers {
        world.purchase(number, "1234", 1, number).expect("a charge");
    }
    let declined = world.until("some are declined", |world| {
        let charges: Vec<_> = numbers.iter().flat_map(|number| world.charges(number)).collect();
        let declined = |charge: &Charge| charge.state == State::Declined(Reason::CarrierUnavailable);
        let declined: Vec<Charge> = charges.into_iter().filter(declined).collect();
        (declined.len() >= 4).then_some(declined)
    });
    assert!(began.elapsed() < Duration::from_secs(5), "before their deadline has passed");
    assert!(declined.iter().all(|charge| charge.attempts.is_empty()));
}

#[test]
fn what_an_answer_would_come_too_late_for_is_not_sent() {
    let mut setting = Setting { relayed: true, ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 1;
    setting.simulator.response_delay_ms = DelayRange { min: 250, max: 250 };
    let world = World::new(setting);
    assert_eq!(world.bought(ANNA, "1234", "how long it takes").state, State::Charged);
    let is_up = |world: &World, up| world.gateway().carriers().any(|carrier| carrier.standing().up == up).then_some(());
    world.cut_wire(true);
    world.until("nothing is bound", |world| is_up(world, false));
    let charge = world.purchase(BULAT, "1234", 1, "k").expect("a charge").charge().clone();
    // There is time left, but not enough for an answer.
    std::thread::sleep(Duration::from_millis(750));
    world.cut_wire(false);
    world.until("the link is up", |world| is_up(world, true));
    let charge =
        world.until("it has ended", |world| Some(world.charge(charge.reference)).filter(|c| !c.state.is_open()));
    assert_eq!((charge.state, charge.attempts), (State::Declined(Reason::CarrierUnavailable), Vec::new()));
}

#[test]
fn many_numbers_at_once_with_random_faults_end_with_equal_ledgers() {
    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 4;
    setting.simulator.faults = vec![
        FaultRule::at_random(0.05, Fault::DropResponse),
        FaultRule::at_random(0.05, Fault::ReceiptBeforeResponse),
        FaultRule::at_random(0.05, Fault::DuplicateReceipt),
        FaultRule::at_random(0.05, Fault::DuplicateResponse),
        FaultRule::at_random(0.05, Fault::Throttle),
        FaultRule::at_random(0.02, Fault::DropLinkAfterSubmit),
    ];
    let world = World::new(Setting { sqlite: true, ..setting });
    for n in 0..300 {
        let number = format!("+7705{n:07}");
        world.purchase(&number, "1234", 1, &number).expect("a charge");
    }
    // Requests that were in the socket when the carrier cut the link were never read, and no evidence of them will ever come.
    world.settle_by_the_carriers_books();
    world.audit();
}
