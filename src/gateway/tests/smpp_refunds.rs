//! Refunds over SMPP: a message that the carrier cannot tell from its repetition, so it is sent once, and then it is found out
//! what came of it.

use std::{thread, time::Duration};

use super::world::{Setting, World, msisdn};
use crate::{
    charge::{Charge, EvidenceSource, OwedBecause, Reference, Refund, RefundState, State},
    clock::{Clock, ManualClock},
    gateway::{RefundOutcome, RefundResolution, Resolution},
    money::Money,
    simulator::{ChargingMoment, Fault, FaultRule, MessageIdForm, RefundsConfig, Traffic},
    store::StoredBreak,
};

const ANNA: &str = "+77051111111";
const QUERIES: &str = "query = { first_after_ms = 50, interval_ms_max = 100 }";

/// A contract with refunds: what proves them, and further lines of the profile.
pub(super) fn setting(proved_by: &str, more: &str) -> Setting {
    let tlvs = r#"{ tag = 0x1403, type = "c_octet_string", value = "{carrier_id}" }, { tag = 0x1404, type = "c_octet_string", value = "{minor}" }, { tag = 0x1402, type = "reference" }"#;
    let refund = format!(
        r#"refund = {{ proved_by = "{proved_by}", partial = true, receipt_lag_seconds = 600, tariffs = [{{ service_type = "RFND", tlvs = [{tlvs}] }}] }}"#
    );
    let mut setting = Setting { profile: format!("{refund}\n{more}"), ..Setting::default() };
    let at = if proved_by == "receipt" { ChargingMoment::Delivery } else { ChargingMoment::Submission };
    setting.simulator.refunds = Some(RefundsConfig { at, ..RefundsConfig::default() });
    setting
}

fn by_hand(mut setting: Setting) -> (World, ManualClock) {
    let hand = ManualClock::new(Clock::System.now());
    setting.clock = Clock::Manual(hand.clone());
    (World::new(setting), hand)
}

fn bought(world: &World) -> Reference {
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(charge.state, State::Charged, "{charge:?}");
    charge.reference
}

fn fault(world: &World, fault: Fault) {
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, fault).only(Traffic::Refunds));
}

fn ask(world: &World, reference: Reference, minor: Option<i64>, key: &str) -> Refund {
    let asked = world.gateway().refund(reference, minor.map(Money::kzt), "finance", key);
    world.run(asked).expect("a refund").1
}

fn until(world: &World, reference: Reference, refund: &Refund, state: RefundState) -> Charge {
    world.until(&format!("the refund is {}", state.code()), |world| {
        let charge = world.charge(reference);
        let stands = charge.refund(refund.reference).expect("it is there").state;
        (stands == state).then_some(charge)
    })
}

fn given_back(world: &World) -> i64 {
    world.simulator.ledger().refunded_of(msisdn(ANNA)).minor
}

fn breaks(world: &World) -> Vec<String> {
    let found: Vec<StoredBreak> = world.run(world.gateway().store().breaks(9)).expect("the store");
    found.into_iter().map(|found| found.kind).collect()
}

fn is_parked(world: &World) -> bool {
    world.run(world.gateway().store().parked_count()).expect("the store") > 0
}

fn sources(world: &World, reference: Reference) -> Vec<EvidenceSource> {
    let journal = world.run(world.gateway().store().journal(reference)).expect("the store");
    let source = |event| match event {
        crate::charge::Event::RefundEvidence { source, .. } => Some(source),
        _ => None,
    };
    journal.into_iter().filter_map(|entry| entry.event).filter_map(source).collect()
}

fn resolve(world: &World, reference: Reference, refund: &Refund, outcome: RefundOutcome) -> Charge {
    let resolution = RefundResolution { outcome, by: "aigul".into(), because: "the carrier's books".into() };
    world.run(world.gateway().resolve_refund(reference, refund.reference, resolution)).expect("it was in doubt")
}

#[test]
fn m14_money_goes_back_in_parts_and_whole_whatever_proves_it_and_revokes_the_ticket() {
    for (proved_by, sqlite, form) in [
        ("response", true, MessageIdForm::Decimal),
        ("receipt", false, MessageIdForm::Decimal),
        ("receipt", true, MessageIdForm::Uuid),
    ] {
        for charged_at in [ChargingMoment::Submission, ChargingMoment::Delivery] {
            let mut setting = Setting { sqlite, charged_at, ..setting(proved_by, "") };
            setting.simulator.message_id = form;
            let world = World::new(setting);
            let reference = bought(&world);
            let part = ask(&world, reference, Some(3_000), "a part");
            let charge = until(&world, reference, &part, RefundState::Done);
            assert_eq!((charge.state, given_back(&world)), (State::Charged, 3_000), "the rest is still paid for");
            let rest = ask(&world, reference, None, "the rest");
            let charge = until(&world, reference, &rest, RefundState::Done);
            assert_eq!((charge.state, given_back(&world)), (State::Refunded, 8_000));
            assert!(charge.refunds.iter().all(|refund| refund.carrier_id.is_some() && refund.tries == 1));
            let ticket = world.run(world.gateway().store().ticket(reference)).expect("the store").expect("a ticket");
            assert!(ticket.revoked_at.is_some());
            assert_eq!(breaks(&world), [""; 0]);
            world.until("nothing is parked", |world| (!is_parked(world)).then_some(()));
            world.audit();
        }
    }
}

#[test]
fn m14_without_a_refund_in_the_contract_it_is_owed_and_nothing_is_sent() {
    let world = World::new(Setting::default());
    let reference = bought(&world);
    let submits = world.simulator.stats().submits;
    let refund = ask(&world, reference, None, "r");
    assert_eq!((refund.state, refund.owed), (RefundState::Owed, Some(OwedBecause::NotRefundable)));
    thread::sleep(Duration::from_millis(100));
    assert_eq!((world.simulator.stats().submits, world.charge(reference).state), (submits, State::RefundOwed));
    world.audit();
}

#[test]
fn m14_what_the_carrier_refuses_is_owed_in_its_answer_or_in_its_receipt() {
    for (proved_by, words) in [("response", "0x463"), ("receipt", "err:073")] {
        let mut setting = setting(proved_by, "");
        // It gives nothing back in parts, whatever our profile says.
        setting.simulator.refunds.as_mut().expect("a contract").partial = false;
        let world = World::new(setting);
        let reference = bought(&world);
        let part = ask(&world, reference, Some(3_000), "a part");
        let charge = until(&world, reference, &part, RefundState::Owed);
        let owed = &charge.refunds[0].owed;
        assert!(matches!(owed, Some(OwedBecause::Refused { detail, .. }) if detail.contains(words)), "{owed:?}");
        let submits = world.simulator.stats().submits;
        thread::sleep(Duration::from_millis(100));
        assert_eq!((world.simulator.stats().submits, given_back(&world)), (submits, 0), "it is not asked again");
        assert_eq!(charge.state, State::Charged, "the rest is still paid for");
        world.audit();
    }
}

#[test]
fn m14_what_the_contract_or_the_charge_cannot_name_is_owed_and_the_words_say_why() {
    let mut setting = setting("response", "");
    setting.profile = setting.profile.replace("partial = true", "partial = false");
    let world = World::new(setting);
    let reference = bought(&world);
    let part = ask(&world, reference, Some(3_000), "r");
    let charge = until(&world, reference, &part, RefundState::Owed);
    let why = |charge: &Charge| format!("{:?}", charge.refunds[0].owed);
    assert!(why(&charge).contains("the contract has no refund of a part"), "{charge:?}");

    // Charged by a person's word: the carrier's id is not known.
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    let charge = world.bought(ANNA, "1235", "k2");
    assert_eq!(charge.state, State::InDoubt);
    let seen = Resolution { charged: true, by: "aigul".into(), because: "the carrier's books".into() };
    world.run(world.gateway().resolve(charge.reference, seen)).expect("it was in doubt");
    let whole = ask(&world, charge.reference, None, "r");
    let charge = until(&world, charge.reference, &whole, RefundState::Owed);
    assert!(why(&charge).contains("the message id of the charge is not known"), "{charge:?}");
    assert_eq!(given_back(&world), 0);
    world.audit();
}

#[test]
fn m09_a_receipt_settles_a_refund_whose_answer_was_lost() {
    for proved_by in ["response", "receipt"] {
        for lost in [Fault::DropResponse, Fault::DropLinkAfterSubmit] {
            let world = World::new(Setting { sqlite: lost == Fault::DropResponse, ..setting(proved_by, "") });
            let reference = bought(&world);
            fault(&world, lost);
            let refund = ask(&world, reference, None, "r");
            let charge = until(&world, reference, &refund, RefundState::Done);
            assert_eq!((charge.state, given_back(&world)), (State::Refunded, 8_000));
            assert!(charge.refunds[0].carrier_id.is_some(), "the receipt has told the id");
            assert_eq!(sources(&world, reference), [EvidenceSource::Link, EvidenceSource::Receipt]);
            world.until("nothing is parked", |world| (!is_parked(world)).then_some(()));
            assert_eq!(breaks(&world), [""; 0]);
            world.audit();
        }
    }
}

#[test]
fn m09_of_two_refunds_whose_answers_were_lost_each_has_its_own_receipt() {
    let world = World::new(setting("receipt", ""));
    let reference = bought(&world);
    world.set_fault(FaultRule::for_number(msisdn(ANNA), 2, Fault::DropResponse).only(Traffic::Refunds));
    let first = ask(&world, reference, Some(3_000), "first");
    let second = ask(&world, reference, Some(2_000), "second");
    for refund in [&first, &second] {
        until(&world, reference, refund, RefundState::Done);
    }
    assert_eq!((given_back(&world), world.charge(reference).state), (5_000, State::Charged));
    world.audit();
}

#[test]
fn m04_a_query_settles_a_refund_whose_answer_came_late_and_whose_receipt_never_came() {
    let world = World::new(setting("receipt", QUERIES));
    let reference = bought(&world);
    fault(&world, Fault::DelayResponse { ms: 700 });
    fault(&world, Fault::NoReceipt);
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::InDoubt);
    let charge = until(&world, reference, &refund, RefundState::Done);
    let expected = [EvidenceSource::Link, EvidenceSource::Response, EvidenceSource::Query];
    assert_eq!((charge.state, sources(&world, reference)), (State::Refunded, expected.to_vec()));
    assert_eq!(given_back(&world), 8_000);
    world.audit();
}

#[test]
fn case_12_a_late_answer_is_as_good_as_one_in_time() {
    let world = World::new(setting("response", ""));
    let reference = bought(&world);
    fault(&world, Fault::NoReceipt);
    fault(&world, Fault::DelayResponse { ms: 700 });
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::InDoubt);
    let charge = until(&world, reference, &refund, RefundState::Done);
    assert_eq!(sources(&world, reference), [EvidenceSource::Link, EvidenceSource::Response]);
    assert_eq!((charge.state, given_back(&world)), (State::Refunded, 8_000));
    world.audit();
}

#[test]
fn m03_a_refund_of_which_nothing_is_ever_heard_is_never_sent_again_and_a_person_settles_it() {
    for (lost, outcome, state) in [
        (Fault::DropResponse, RefundOutcome::Refunded, State::Refunded),
        (Fault::DropLinkBeforeCharge, RefundOutcome::NotRefunded, State::RefundOwed),
    ] {
        let (world, hand) = by_hand(Setting { sqlite: true, ..setting("receipt", QUERIES) });
        let reference = bought(&world);
        fault(&world, lost);
        fault(&world, Fault::NoReceipt);
        let refund = ask(&world, reference, None, "r");
        until(&world, reference, &refund, RefundState::InDoubt);
        let submits = world.simulator.stats().submits;
        for _ in 0..5 {
            hand.advance(Duration::from_secs(4_000));
            thread::sleep(Duration::from_millis(60));
        }
        let charge = world.charge(reference);
        assert_eq!((charge.refunds[0].state, charge.refunds[0].tries), (RefundState::InDoubt, 1));
        assert_eq!(world.simulator.stats().submits, submits, "M4: nobody could tell the second from the first");
        let charge = resolve(&world, reference, &refund, outcome);
        assert_eq!(charge.state, state);
        world.audit();
    }
}

#[test]
fn m02_a_refund_whose_receipt_does_not_come_within_the_carriers_lag_is_in_doubt() {
    let (world, hand) = by_hand(setting("receipt", ""));
    let reference = bought(&world);
    fault(&world, Fault::NoReceipt);
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::Accepted);
    hand.advance(Duration::from_secs(599));
    thread::sleep(Duration::from_millis(60));
    assert_eq!(world.charge(reference).refunds[0].state, RefundState::Accepted);
    hand.advance(Duration::from_secs(1));
    until(&world, reference, &refund, RefundState::InDoubt);
    resolve(&world, reference, &refund, RefundOutcome::Refunded);
    world.audit();
}

#[test]
fn case_01_a_receipt_before_its_answer_waits_for_it() {
    for (proved_by, sqlite) in [("response", false), ("receipt", true)] {
        let world = World::new(Setting { sqlite, ..setting(proved_by, "") });
        let reference = bought(&world);
        fault(&world, Fault::ReceiptBeforeResponse);
        let refund = ask(&world, reference, None, "r");
        let charge = until(&world, reference, &refund, RefundState::Done);
        assert_eq!((charge.state, given_back(&world)), (State::Refunded, 8_000));
        world.until("nothing is parked", |world| (!is_parked(world)).then_some(()));
        assert_eq!(breaks(&world), [""; 0]);
        world.audit();
    }
}

#[test]
fn case_02_the_same_receipt_twice_changes_nothing() {
    let world = World::new(setting("receipt", ""));
    let reference = bought(&world);
    fault(&world, Fault::DuplicateReceipt);
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::Done);
    world.until("both are acknowledged", |world| {
        let stats = world.simulator.stats();
        (stats.deliveries_pending == 0 && stats.messages_pending == 0).then_some(())
    });
    assert_eq!(sources(&world, reference), [EvidenceSource::Response, EvidenceSource::Receipt]);
    assert_eq!((breaks(&world), given_back(&world)), (vec![], 8_000));
    world.audit();
}

#[test]
fn case_03_receipts_of_a_refund_that_disagree_open_a_break() {
    let world = World::new(setting("receipt", ""));
    let reference = bought(&world);
    fault(&world, Fault::UndeliveredFirst);
    let refund = ask(&world, reference, None, "r");
    let charge = until(&world, reference, &refund, RefundState::Done);
    assert!(matches!(charge.refunds[0].owed, Some(OwedBecause::Refused { .. })), "it was owed in between");
    assert_eq!(breaks(&world), ["refunded_after_refusal"]);
    world.audit();
}

#[test]
fn m08_an_undelivered_text_after_the_proof_is_no_news_where_the_answer_is_the_proof() {
    let world = World::new(setting("response", ""));
    let reference = bought(&world);
    fault(&world, Fault::UndeliveredFirst);
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::Done);
    world.until("both are acknowledged", |world| (world.simulator.stats().deliveries_pending == 0).then_some(()));
    assert_eq!((breaks(&world), world.charge(reference).state), (vec![], State::Refunded));
    world.audit();
}

#[test]
fn case_35_a_throttled_refund_waits_and_goes_back_once() {
    let (world, hand) = by_hand(setting("receipt", ""));
    let reference = bought(&world);
    fault(&world, Fault::Throttle);
    let refund = ask(&world, reference, None, "r");
    until(&world, reference, &refund, RefundState::Waiting);
    assert_eq!(given_back(&world), 0);
    hand.advance(Duration::from_secs(31));
    let charge = until(&world, reference, &refund, RefundState::Done);
    assert_eq!((charge.refunds[0].tries, given_back(&world)), (1, 8_000));
    world.audit();
}

#[test]
fn m08_proof_of_payment_for_a_rejected_charge_goes_back_over_smpp_too() {
    let charged_at = ChargingMoment::Delivery;
    let world = World::new(Setting { charged_at, sqlite: true, ..setting("receipt", "") });
    world.fault(ANNA, Fault::UndeliveredFirst);
    let charge = world.bought(ANNA, "1234", "k");
    let charge = world.until("it went back", |world| {
        let charge = world.charge(charge.reference);
        charge.refunds.first().is_some_and(|refund| refund.state == RefundState::Done).then_some(charge)
    });
    assert!(charge.state.is_not_taken() && charge.refunds[0].attempt == Some(1), "{charge:?}");
    assert_eq!((world.taken(ANNA), given_back(&world)), (8_000, 8_000));
    world.audit();
}

#[test]
fn m14_two_refunds_at_once_and_more_than_is_left_never_exceed_what_was_taken() {
    let world = World::new(Setting { sqlite: true, ..setting("receipt", "") });
    let reference = bought(&world);
    let asked: Vec<_> = (0..6)
        .map(|n| {
            let gateway = world.gateway().clone();
            let key = format!("r{}", n / 2);
            world
                .spawn(async move { gateway.refund(reference, Some(Money::kzt(3_000)), "finance", &key).await.is_ok() })
        })
        .collect();
    let made = world.run(async {
        let mut made = 0;
        for one in asked {
            made += usize::from(one.await.expect("no panic"));
        }
        made
    });
    assert_eq!(made, 4, "two refunds, each under its key twice");
    world.until("both went back", |world| {
        let charge = world.charge(reference);
        charge.refunds.iter().all(|refund| refund.state == RefundState::Done).then_some(())
    });
    assert_eq!(given_back(&world), 6_000);
    world.audit();
}

#[cfg(feature = "failpoints")]
#[test]
fn m01_killed_between_the_commit_and_the_message_it_is_not_sent_after_all() {
    use super::kill_points::{hold, kill_and_start};
    for sqlite in [false, true] {
        let (mut world, hand) = by_hand(Setting { sqlite, ..setting("receipt", QUERIES) });
        let reference = bought(&world);
        let held = hold("gateway-before-refund");
        let refund = ask(&world, reference, None, "r");
        assert_eq!(refund.state, RefundState::Requested, "durable before anything is sent");
        thread::sleep(Duration::from_millis(150));
        kill_and_start(&mut world, held);
        let submits = world.simulator.stats().submits;
        assert_eq!(ask(&world, reference, None, "r").reference, refund.reference, "the caller asks again");
        hand.advance(Duration::from_secs(31));
        until(&world, reference, &refund, RefundState::InDoubt);
        for _ in 0..3 {
            hand.advance(Duration::from_secs(4_000));
            thread::sleep(Duration::from_millis(60));
        }
        assert_eq!((world.simulator.stats().submits, given_back(&world)), (submits, 0));
        let charge = resolve(&world, reference, &refund, RefundOutcome::NotRefunded);
        assert_eq!(charge.state, State::RefundOwed);
        world.audit();
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn m14_killed_before_the_answer_was_applied_the_receipt_finds_its_refund() {
    use super::kill_points::{hold, kill_and_start};
    for (proved_by, sqlite) in [("receipt", true), ("receipt", false), ("response", true)] {
        let (mut world, hand) = by_hand(Setting { sqlite, ..setting(proved_by, "") });
        let reference = bought(&world);
        let held = hold("gateway-after-refund");
        let refund = ask(&world, reference, None, "r");
        world.until("it went back", |world| (given_back(world) == 8_000).then_some(()));
        thread::sleep(Duration::from_millis(150));
        kill_and_start(&mut world, held);
        assert_eq!(world.charge(reference).refunds[0].state, RefundState::Requested);
        hand.advance(Duration::from_secs(31));
        let charge = until(&world, reference, &refund, RefundState::Done);
        assert_eq!((charge.state, given_back(&world)), (State::Refunded, 8_000));
        world.audit();
    }
}
