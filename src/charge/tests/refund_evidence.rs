//! What a piece of evidence does to a refund, by the state in which it stands.

use super::*;
use crate::charge::RefundState;

fn able() -> Contract {
    Contract { can_refund: true, ..contract() }
}

fn absent() -> Event {
    told(EvidenceSource::Query, Finding::NotFound { complete: true, asked_at: None })
}

/// In doubt since second 11.
fn lost(contract: Contract) -> Charge {
    run(asked_back(contract), [(11, answered(doubtful(Doubt::Timeout)))]).0
}

/// In doubt, and sent once more in the same bytes.
fn sent_again() -> Charge {
    let mut charge = lost(Contract { replays_keys: true, ..able() });
    for _ in 0..4 {
        let done = step(&charge, Event::Tick, charge.due_at().expect("a look")).expect("a tick");
        charge = done.next;
        if done.effects == [Effect::ResendRefund { refund: reference(10) }] {
            return charge;
        }
    }
    panic!("it was never sent again: {charge:?}");
}

/// The first request was lost, by two listings; the second is on its way since second 71.
fn asked_twice() -> Charge {
    let (charge, effects) = run(lost(able()), [(41, absent()), (71, absent())]);
    assert_eq!(effects, [Effect::Refund { refund: reference(10) }]);
    assert_eq!(charge.refunds[0].tries, 2);
    charge
}

fn state(charge: &Charge) -> RefundState {
    charge.refunds[0].state
}

fn assert_unmoved(charge: &Charge, event: Event) {
    let done = step(charge, event.clone(), charge.updated_at.plus(Duration::from_secs(1))).expect("evidence");
    assert_eq!((&done.next, done.effects.as_slice()), (charge, [].as_slice()), "{event:?}");
}

#[test]
fn m09_what_went_back_has_gone_back_and_another_word_of_it_changes_nothing() {
    let (done, _) = run(asked_back(able()), [(11, answered(charged()))]);
    let other_id = Finding::Charged { carrier_id: Some("r9".into()), amount: None };
    let taken = Finding::Accepted { carrier_id: Some("r9".into()) };
    for finding in [
        other_id,
        taken,
        doubtful(Doubt::Timeout),
        Finding::NotFound { complete: true, asked_at: None },
        Finding::Nothing,
    ] {
        assert_unmoved(&done, answered(finding));
    }
}

#[test]
fn m14_only_the_answer_to_the_request_can_say_that_it_was_not_made() {
    for finding in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        for source in [EvidenceSource::Query, EvidenceSource::Receipt, EvidenceSource::Callback] {
            assert_unmoved(&lost(able()), told(source, finding.clone()));
        }
        let (waiting, _) = run(lost(able()), [(12, answered(finding))]);
        assert_eq!(state(&waiting), RefundState::Waiting);
    }
}

#[test]
fn m14_what_is_said_of_one_of_two_sendings_of_a_refund_says_nothing_of_the_other() {
    for finding in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        assert_unmoved(&sent_again(), answered(finding));
    }
}

#[test]
fn m14_a_refund_that_the_carrier_took_in_is_not_asked_for_again_because_it_was_turned_away() {
    let (taken, _) = run(asked_back(able()), [(11, answered(accepted()))]);
    for finding in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        assert_unmoved(&taken, answered(finding));
    }
}

#[test]
fn m14_a_refund_that_waits_is_not_put_off_by_hearing_again_that_it_was_not_sent() {
    let (waiting, _) = run(asked_back(able()), [(11, answered(Finding::NotSent))]);
    for finding in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        assert_unmoved(&waiting, answered(finding));
    }
}

#[test]
fn m14_a_refund_that_was_refused_is_owed_where_it_was_asked_for_once() {
    for charge in [asked_back(able()), lost(able())] {
        for no in [rejected(Retry::Never), rejected(Retry::OtherCarrier), Finding::Cancelled] {
            let (refused, _) = run(charge.clone(), [(12, answered(no))]);
            let stands = (refused.state, state(&refused), refused.due_at());
            assert_eq!(stands, (State::RefundOwed, RefundState::Owed, None));
        }
    }
}

#[test]
fn m14_a_refund_that_was_asked_for_twice_is_owed_only_when_the_refund_itself_is_denied() {
    let on_its_way = asked_twice();
    let (lost_too, _) = run(on_its_way.clone(), [(72, answered(doubtful(Doubt::LinkLost)))]);
    for charge in [on_its_way, lost_too] {
        for source in [EvidenceSource::Response, EvidenceSource::Link] {
            let (unclear, effects) = run(charge.clone(), [(80, told(source, rejected(Retry::Never)))]);
            assert_eq!((state(&unclear), effects), (RefundState::InDoubt, vec![]));
        }
        let (denied, _) = run(charge, [(80, told(EvidenceSource::Query, rejected(Retry::Never)))]);
        assert_eq!((denied.state, state(&denied)), (State::RefundOwed, RefundState::Owed));
    }
}

#[test]
fn m05_a_refund_is_proved_absent_by_two_listings_as_far_apart_as_it_may_travel_and_not_a_millisecond_less() {
    let hear = |charge: &Charge, second, early_ms| {
        let now = at(second).minus(Duration::from_millis(early_ms));
        step(charge, absent(), now).expect("evidence")
    };
    // In doubt since second 11, and 30 seconds may a request travel.
    let in_doubt = lost(able());
    assert_eq!(hear(&in_doubt, 41, 1).next.refunds[0].not_found_at, None);
    let once = hear(&in_doubt, 41, 0).next;
    assert_eq!(once.refunds[0].not_found_at, Some(at(41)));
    assert_eq!(hear(&once, 71, 1).effects, []);
    assert_eq!(hear(&once, 71, 0).effects, [Effect::Refund { refund: reference(10) }]);
}

#[test]
fn m05_the_absence_of_a_refund_is_of_the_moment_at_which_the_carrier_was_asked() {
    let hear = |charge: &Charge, asked: u64, now: u64| {
        let finding = Finding::NotFound { complete: true, asked_at: Some(at(asked)) };
        step(charge, told(EvidenceSource::Query, finding), at(now)).expect("evidence")
    };
    let in_doubt = lost(able());
    assert_eq!(hear(&in_doubt, 40, 500).next.refunds[0].not_found_at, None);
    let once = hear(&in_doubt, 41, 500).next;
    assert_eq!(once.refunds[0].not_found_at, Some(at(500)));
    assert_eq!(hear(&once, 71, 501).effects, [], "that may be the same list");
    assert_eq!(hear(&once, 529, 900).effects, []);
    assert_eq!(hear(&once, 530, 900).effects, [Effect::Refund { refund: reference(10) }]);
    assert_eq!(hear(&in_doubt, 500, 40).next.refunds[0].not_found_at, None, "nobody asks in the future");
}

#[test]
fn m05_two_listings_of_one_moment_are_one() {
    let quick = Contract { in_flight_delay_ms: 0, ..able() };
    let (twice, effects) = run(lost(quick), [(12, absent()), (12, absent())]);
    assert_eq!((state(&twice), effects), (RefundState::InDoubt, vec![]));
    let (_, effects) = run(twice, [(13, absent())]);
    assert_eq!(effects, [Effect::Refund { refund: reference(10) }]);
}

#[test]
fn m05_absence_of_a_refund_counts_from_the_answer_to_its_last_sending() {
    let (once_absent, _) = run(lost(able()), [(41, absent())]);
    assert_unmoved(&once_absent, answered(doubtful(Doubt::LinkLost)));
    let repeat = told(EvidenceSource::Repeat, doubtful(Doubt::LinkLost));
    let (charge, _) = run(once_absent, [(50, repeat)]);
    assert_eq!((charge.refunds[0].in_doubt_since, charge.refunds[0].not_found_at), (Some(at(50)), None));
}

#[test]
fn m04_a_key_is_taken_to_be_known_for_less_than_an_hour() {
    let (charge, effects) = run(lost(Contract { replays_keys: true, ..able() }), [(100, Event::Tick)]);
    assert_eq!(effects, [Effect::QueryRefund { refund: reference(10) }]);
    // The carrier heard the key at second 10.
    let hour = at(10 + 3_600);
    let looked = |now| step(&charge, Event::Tick, now).expect("a tick").effects;
    assert_eq!(looked(hour.minus(Duration::from_millis(1))), [Effect::ResendRefund { refund: reference(10) }]);
    assert_eq!(looked(hour), [Effect::QueryRefund { refund: reference(10) }]);
}

#[test]
fn m14_the_first_reason_for_which_money_is_owed_stands() {
    let other_no = Finding::Rejected { reason: Reason::Barred, retry: Retry::OtherCarrier, detail: "later".into() };
    let (refused, _) = run(asked_back(able()), [(12, answered(rejected(Retry::Never)))]);
    for owed in [refused, asked_back(contract())] {
        assert_eq!(state(&owed), RefundState::Owed);
        for finding in [other_no.clone(), Finding::Cancelled, Finding::NotSent, accepted(), doubtful(Doubt::Timeout)] {
            assert_unmoved(&owed, answered(finding));
        }
    }
}
