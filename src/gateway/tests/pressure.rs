//! Messages from passengers while they cannot be kept, and after that.

use std::time::Duration;

use super::{
    relay::Delivery,
    world::{Setting, World, msisdn},
};
use crate::simulator::{Fault, FaultRule, MoOutcome, MoReport, Redelivery};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("+7705{n:07}")).collect()
}

fn all_acknowledged(reports: &[MoReport]) {
    assert!(reports.iter().all(|report| report.outcome == MoOutcome::Acknowledged), "{reports:?}");
}

/// Each number has paid once, and has its ticket.
fn each_has_paid_once(world: &World, numbers: &[String]) {
    for number in numbers {
        let charge = world.until_state(number, "charged");
        assert_eq!((world.taken(number), world.until_texts(number, 1).len()), (charge.order.amount.minor, 1));
    }
    world.audit();
}

/// Backlog that tests can wait for: an outage of a second, and two seconds of backlog after it.
fn outage_setting() -> Setting {
    let mut setting = Setting { relayed: true, ..Setting::default() };
    setting.gateway.mo_outage_seconds = 1;
    setting.gateway.mo_backlog_seconds = 2;
    // As configured in the field: the same text soon after is the same message.
    setting.gateway.mo_repeat_seconds = 30;
    // What was put off comes again soon, and as often as it takes.
    setting.simulator.redelivery = Redelivery { backoff_max_ms: 200, mo_tries_max: 1_000, ..Redelivery::default() };
    setting
}

/// It is durable that messages could be taken.
fn until_watched(world: &World) {
    let watched = |world: &World| world.run(world.gateway().store().mos_watched()).expect("the store");
    world.until("it is durable that messages could be taken", |world| (!watched(world).is_empty()).then_some(()));
}

const OUTAGE: Duration = Duration::from_millis(1_500);

/// Anna's purchase was kept waiting and is not charged; Bulat's question is answered. Then Anna sends the same again.
fn is_told_to_send_again_and_can(world: &World) {
    let told = world.until_texts(ANNA, 1);
    assert!(told[0].contains("Деньги не списаны") && told[0].contains("1234"), "{told:?}");
    assert_eq!(world.charges(ANNA), []);
    assert!(world.until_texts(BULAT, 1)[0].contains("1234*2"), "help comes as usual");
    std::thread::sleep(Duration::from_secs(2));
    world.sms(ANNA, "1234");
    world.until_state(ANNA, "charged");
    assert_eq!(world.until_texts(ANNA, 2).len(), 2);
    world.audit();
}

#[test]
fn case_36_messages_that_pour_in_while_the_store_is_down_are_put_off_and_none_is_lost() {
    let world = World::new(Setting::default());
    let numbers = numbers(120);
    world.break_store(true);
    let sent = world.send_later(numbers.iter().map(|number| (number.as_str(), "1234")));
    world.until("each was put off at least once", |world| (world.simulator.stats().redeliveries >= 240).then_some(()));
    assert_eq!(world.simulator.stats().mos_acknowledged, 0);
    world.break_store(false);
    all_acknowledged(&world.reports(sent));
    each_has_paid_once(&world, &numbers);
}

#[test]
fn case_36_while_another_process_holds_the_database_acknowledgements_are_withheld_and_none_is_lost() {
    let mut setting = Setting { sqlite: true, ..Setting::default() };
    // What is withheld is sent again, while the first delivery still waits for its commit.
    setting.simulator.redelivery.acknowledge_within_ms = 500;
    setting.simulator.redelivery.mo_tries_max = 1_000;
    setting.gateway.mo_repeat_seconds = 30;
    let world = World::new(setting);
    let numbers = numbers(60);
    let lock = world.lock_database();
    let sent = world.send_later(numbers.iter().map(|number| (number.as_str(), "1234")));
    // Longer than the store waits for a lock: first it is slow, then it fails.
    std::thread::sleep(Duration::from_millis(6_500));
    assert_eq!(world.simulator.stats().mos_acknowledged, 0);
    assert!(world.simulator.stats().redeliveries >= 60);
    world.unlock_database(lock);
    all_acknowledged(&world.reports(sent));
    each_has_paid_once(&world, &numbers);
}

#[test]
fn case_37_a_message_delivered_again_after_its_response_was_lost_makes_no_second_ticket() {
    for fault in [Fault::RedeliverMo, Fault::MoResponseLost] {
        let mut setting = Setting::default();
        setting.gateway.mo_repeat_seconds = 30;
        setting.simulator.redelivery.acknowledge_within_ms = 300;
        let world = World::new(setting);
        world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, fault));
        let reports = world.reports(world.send_later([(ANNA, "1234*2")]));
        assert!(reports[0].tries >= 2, "{reports:?}");
        world.until_state(ANNA, "charged");
        world.until_texts(ANNA, 1);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!((world.charges(ANNA).len(), world.texts(ANNA).len()), (1, 1), "{fault:?}");
        world.audit();
    }
}

#[test]
fn what_waited_while_the_process_did_not_run_is_not_charged_and_can_be_sent_again() {
    let mut world = World::new(outage_setting());
    until_watched(&world);
    world.kill();
    let sent = world.send_later([(ANNA, "1234"), (BULAT, "?")]);
    std::thread::sleep(OUTAGE);
    world.start();
    all_acknowledged(&world.reports(sent));
    is_told_to_send_again_and_can(&world);
}

#[test]
fn what_waited_is_not_charged_either_if_the_process_starts_twice_before_it_comes() {
    let mut world = World::new(outage_setting());
    until_watched(&world);
    world.kill();
    std::thread::sleep(OUTAGE);
    world.start();
    // The sweep has seen the link.
    std::thread::sleep(Duration::from_millis(200));
    world.kill();
    let sent = world.send_later([(ANNA, "1234"), (BULAT, "?")]);
    world.start();
    all_acknowledged(&world.reports(sent));
    is_told_to_send_again_and_can(&world);
}

#[test]
fn what_waited_while_nothing_was_bound_is_not_charged_and_can_be_sent_again() {
    let world = World::new(outage_setting());
    until_watched(&world);
    world.cut_wire(true);
    world.until("nothing is bound", |world| {
        (!world.gateway().carriers().any(|carrier| carrier.standing().up)).then_some(())
    });
    let sent = world.send_later([(ANNA, "1234"), (BULAT, "?")]);
    std::thread::sleep(OUTAGE);
    world.cut_wire(false);
    all_acknowledged(&world.reports(sent));
    is_told_to_send_again_and_can(&world);
}

#[test]
fn what_was_put_off_while_the_store_failed_is_not_charged_and_can_be_sent_again() {
    let world = World::new(outage_setting());
    until_watched(&world);
    world.break_store(true);
    let sent = world.send_later([(ANNA, "1234"), (BULAT, "?")]);
    std::thread::sleep(OUTAGE);
    world.break_store(false);
    all_acknowledged(&world.reports(sent));
    is_told_to_send_again_and_can(&world);
}

#[test]
fn after_a_short_outage_everything_is_as_usual() {
    let mut setting = outage_setting();
    setting.gateway.mo_outage_seconds = 60;
    let mut world = World::new(setting);
    until_watched(&world);
    world.kill();
    let sent = world.send_later([(ANNA, "1234")]);
    std::thread::sleep(Duration::from_millis(300));
    world.start();
    all_acknowledged(&world.reports(sent));
    world.until_state(ANNA, "charged");
}

#[test]
fn a_message_put_off_for_longer_than_its_ticket_could_wait_is_not_charged_and_can_be_sent_again() {
    let mut setting = outage_setting();
    setting.gateway.mo_outage_seconds = 600;
    setting.gateway.ticket_deadline_seconds = 1;
    let world = World::new(setting);
    world.break_store(true);
    let sent = world.send_later([(ANNA, "1234"), (BULAT, "?")]);
    std::thread::sleep(OUTAGE);
    world.break_store(false);
    all_acknowledged(&world.reports(sent));
    is_told_to_send_again_and_can(&world);
}

#[test]
fn a_message_whose_first_part_waited_is_not_charged() {
    let world = World::new(outage_setting());
    until_watched(&world);
    let is_up = |world: &World, up| world.gateway().carriers().any(|carrier| carrier.standing().up == up).then_some(());
    world.cut_wire(true);
    world.until("nothing is bound", |world| is_up(world, false));
    std::thread::sleep(OUTAGE);
    world.cut_wire(false);
    world.until("the link is up", |world| is_up(world, true));
    assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 1, "12")), 0);
    // The other comes when the backlog is through.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(world.deliver(ANNA, &Delivery::part(7, 2, 2, "34")), 0);
    let told = world.until_texts(ANNA, 1);
    assert!(told[0].contains("Деньги не списаны"), "{told:?}");
    assert_eq!(world.charges(ANNA), []);
}

#[cfg(feature = "failpoints")]
mod killed {
    use super::{
        super::kill_points::{hold, kill_and_start},
        *,
    };

    fn kept(world: &World) -> usize {
        world.run(world.gateway().store().unanswered_mos(9)).expect("the store").len()
    }

    #[test]
    fn case_38_killed_between_persisting_and_acknowledging_the_message_is_answered_once() {
        for sqlite in [false, true] {
            let mut setting = Setting { sqlite, ..Setting::default() };
            setting.gateway.mo_repeat_seconds = 30;
            let mut world = World::new(setting);
            let held = hold("gateway-after-mo-kept");
            let sent = world.send_later([(ANNA, "1234")]);
            world.until("it is kept", |world| (kept(world) == 1).then_some(()));
            assert_eq!(world.simulator.stats().mos_acknowledged, 0);
            kill_and_start(&mut world, held);
            let reports = world.reports(sent);
            all_acknowledged(&reports);
            assert!(reports[0].tries >= 2, "{reports:?}");
            each_has_paid_once(&world, &[ANNA.into()]);
            assert_eq!(kept(&world), 0);
        }
    }

    #[test]
    fn killed_between_joining_and_answering_the_message_is_answered_once() {
        for sqlite in [false, true] {
            let mut world = World::new(Setting { relayed: true, sqlite, ..Setting::default() });
            let held = hold("gateway-after-join");
            for (number, text) in [(1, "12"), (2, "34")] {
                world.deliver_later(ANNA, Delivery::part(7, 2, number, text));
            }
            world.until("it is joined", |world| (kept(world) == 1).then_some(()));
            kill_and_start(&mut world, held);
            each_has_paid_once(&world, &[ANNA.into()]);
        }
    }

    #[test]
    fn killed_between_keeping_the_last_part_and_joining_the_message_is_answered_once() {
        for sqlite in [false, true] {
            let mut world = World::new(Setting { relayed: true, sqlite, ..Setting::default() });
            let held = hold("gateway-before-join");
            for (number, text) in [(2, "34"), (1, "12")] {
                world.deliver_later(ANNA, Delivery::part(7, 2, number, text));
            }
            let parts = |world: &World| world.run(world.gateway().store().open_parts(msisdn(ANNA))).expect("parts");
            world.until("both are kept", |world| (parts(world).len() == 2).then_some(()));
            assert_eq!(kept(&world), 0);
            kill_and_start(&mut world, held);
            each_has_paid_once(&world, &[ANNA.into()]);
            assert_eq!(parts(&world), []);
        }
    }
}
