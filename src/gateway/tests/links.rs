//! What becomes of charges when links do not come about, or end under them.

use std::time::Duration;

use super::world::{CARRIER, Setting, World};
use crate::{
    charge::{AttemptState, Charge, Doubt, Reason, Reference, State},
    simulator::{DelayRange, Fault, FaultRule},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

const LOST: AttemptState = AttemptState::InDoubt { cause: Doubt::LinkLost };

fn number(n: usize) -> String {
    format!("+7705{n:07}")
}

fn buy(world: &World, number: &str) -> Reference {
    world.purchase(number, "1234", 1, number).expect("a charge").charge().reference
}

fn until_charged(world: &World, reference: Reference) -> Charge {
    world.until("it is charged", |world| Some(world.charge(reference)).filter(|c| c.state == State::Charged))
}

fn states(charge: &Charge) -> Vec<AttemptState> {
    charge.attempts.iter().map(|attempt| attempt.state.clone()).collect()
}

/// The carrier hangs up, and `fault` strikes every bind from then on.
fn keep_down(world: &World, fault: Fault) {
    world.set_fault(FaultRule::always(fault));
    world.simulator.drop_links();
    let carrier = world.gateway().carrier(CARRIER).expect("a carrier");
    world.until("the link is down", |_| (!carrier.standing().up).then_some(()));
}

#[test]
fn case_25_a_charge_waits_while_binds_are_refused_and_is_sent_once() {
    let world = World::new(Setting::default());
    keep_down(&world, Fault::RefuseBind { status: 0x0D });
    let reference = buy(&world, ANNA);
    world.until("it was refused again", |world| (world.simulator.stats().binds_refused >= 2).then_some(()));
    assert_eq!(world.charge(reference).attempts, [], "nothing is sent, so nothing is in doubt");
    world.simulator.clear_faults();
    assert_eq!(until_charged(&world, reference).attempts.len(), 1);
    world.audit();
}

#[test]
fn case_25_already_bound_waits_out_the_smscs_timer_and_then_the_charge_is_sent() {
    let world = World::new(Setting { profile: "already_bound_wait_ms = 700".into(), ..Setting::default() });
    world.set_fault(FaultRule::next(1, Fault::StaleBind { ms: 500 }));
    world.simulator.drop_links();
    world.until("it was refused", |world| (world.simulator.stats().binds_refused == 1).then_some(()));
    let reference = buy(&world, ANNA);
    assert_eq!(until_charged(&world, reference).attempts.len(), 1);
    assert_eq!(world.simulator.stats().binds_refused, 1, "it asks once, and not again before the timer");
    world.audit();
}

#[test]
fn case_26_a_charge_that_no_bind_came_about_for_was_never_sent() {
    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 1;
    let world = World::new(setting);
    keep_down(&world, Fault::IgnoreBind);
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!((charge.state, charge.attempts.len()), (State::Declined(Reason::CarrierUnavailable), 0));
    world.audit();
}

#[test]
fn case_27_a_charge_on_a_link_that_falls_silent_is_in_doubt_until_its_receipt_comes_on_the_next() {
    let world = World::new(Setting::default());
    world.fault(ANNA, Fault::GoSilent { ms: 1_500 });
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(states(&charge), [AttemptState::InDoubt { cause: Doubt::Timeout }]);
    assert_eq!(until_charged(&world, charge.reference).attempts.len(), 1);
    assert_eq!(world.simulator.stats().binds, 2);
    world.audit();
}

#[test]
fn case_28_enquiries_that_are_nacked_or_come_before_the_bind_response_cost_no_charge_its_link() {
    let world = World::new(Setting { profile: "enquire_after_ms = 100".into(), ..Setting::default() });
    for fault in [Fault::EnquireLinkBeforeBindResponse, Fault::NackEnquireLink] {
        world.set_fault(FaultRule::always(fault));
    }
    world.simulator.drop_links();
    world.until("it was asked again and again", |world| (world.simulator.stats().enquire_links >= 3).then_some(()));
    assert_eq!(world.bought(ANNA, "1234", "k").state, State::Charged);
    let stats = world.simulator.stats();
    assert_eq!((stats.binds, stats.enquire_links_answered), (2, 1));
    world.audit();
}

#[test]
fn case_30_an_unbind_in_the_window_leaves_its_charges_in_doubt_until_their_receipts() {
    let mut setting = Setting::default();
    // So that others are in flight when it comes.
    setting.simulator.response_delay_ms = DelayRange::exactly(150);
    let world = World::new(setting);
    let others: Vec<Reference> = (0..5).map(|n| buy(&world, &number(n))).collect();
    world.until("they are in flight", |world| (world.simulator.stats().submits == 5).then_some(()));
    world.fault(ANNA, Fault::UnbindMidWindow);
    world.fault(ANNA, Fault::LateReceipt { ms: 1_500 });
    let charge = world.bought(ANNA, "1234", "k");
    assert!(matches!(states(&charge)[..], [AttemptState::InDoubt { .. }]), "{charge:?}");
    for reference in others.into_iter().chain([charge.reference]) {
        assert_eq!(until_charged(&world, reference).attempts.len(), 1, "nothing was sent twice");
    }
    world.audit();
}

#[test]
fn case_31_a_reset_after_the_write_is_doubt_until_the_receipt_or_a_person_says_what_came_of_it() {
    let world = World::new(Setting::default());
    world.fault(ANNA, Fault::DropLinkAfterSubmit);
    world.fault(ANNA, Fault::LateReceipt { ms: 500 });
    let charge = world.bought(ANNA, "1234", "k");
    assert_eq!(states(&charge), [LOST]);
    assert_eq!(until_charged(&world, charge.reference).attempts.len(), 1);
    world.audit();

    let mut setting = Setting::default();
    setting.gateway.ticket_deadline_seconds = 1;
    let world = World::new(setting);
    world.fault(BULAT, Fault::DropLinkBeforeCharge);
    let charge = world.bought(BULAT, "1234", "k");
    assert_eq!(states(&charge), [LOST]);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(world.charge(charge.reference).state, State::InDoubt, "no time ends it");
    world.settle_by_the_carriers_books();
    assert_eq!((world.charge(charge.reference).state.is_not_taken(), world.taken(BULAT)), (true, 0));
    world.audit();
}

#[test]
fn case_32_a_charge_answered_by_unbind_is_in_doubt_and_not_sent_again() {
    let mut setting = Setting { relayed: true, ..Setting::default() };
    setting.gateway.ticket_deadline_seconds = 4;
    let world = World::new(setting);
    world.answer_next_submission_by_unbind();
    let charge = world.bought(ANNA, "1234", "k");
    assert!(matches!(states(&charge)[..], [AttemptState::InDoubt { .. }]), "{charge:?}");
    assert_eq!(world.bought(BULAT, "1234", "k2").state, State::Charged, "the link is bound again");
    assert_eq!(world.simulator.stats().submits, 1, "only the other's");
    world.settle_by_the_carriers_books();
    assert_eq!((world.charge(charge.reference).state.is_not_taken(), world.taken(ANNA)), (true, 0));
    world.audit();
}

#[test]
fn case_33_charges_that_a_slow_reader_leaves_lying_are_in_doubt_and_settled_when_it_reads_on() {
    let world = World::new(Setting::default());
    world.fault(ANNA, Fault::StopReading { ms: 1_200 });
    let mut references = vec![buy(&world, ANNA)];
    world.until("it has stopped", |world| (world.simulator.stats().submits == 1).then_some(()));
    let waiting = world.bought(BULAT, "1234", "k");
    assert_eq!(states(&waiting), [AttemptState::InDoubt { cause: Doubt::Timeout }]);
    references.push(waiting.reference);
    references.extend((0..20).map(|n| buy(&world, &number(n))));
    for reference in references {
        assert_eq!(until_charged(&world, reference).attempts.len(), 1);
    }
    assert_eq!(world.simulator.stats().binds, 1);
    world.audit();
}
