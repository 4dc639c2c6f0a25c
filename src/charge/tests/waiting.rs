//! A charge that waits: to be sent, for an answer, for proof that nothing happened.

use super::*;

fn told(source: EvidenceSource, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "w".into(), attempt: 1, source, finding })
}

fn absent() -> Event {
    told(EvidenceSource::Query, Finding::NotFound { complete: true, asked_at: None })
}

const UNAVAILABLE: Reason = Reason::CarrierUnavailable;

#[test]
fn our_rules_say_no_only_before_anything_is_sent() {
    let decline = || Event::Decline { reason: Reason::CreditDebt };
    let (charge, effects) = run(opened(), [(1, decline())]);
    assert_eq!(charge.state, State::Declined(Reason::CreditDebt));
    assert_eq!(effects, [Effect::ReleaseSlot, Effect::Tell(Notice::NotTaken { reason: Reason::CreditDebt })]);
    let (turned_away, _) = run(sent(), [(2, evidence(1, rejected(Retry::SameCarrier)))]);
    assert!(turned_away.wants_attempt());
    for charge in [charge, sent(), turned_away] {
        let state = charge.state.code();
        assert_eq!(step(&charge, decline(), at(3)), Err(Illegal::NotWaiting { state }));
    }
}

#[test]
fn what_cannot_be_sent_in_time_is_given_up_and_what_was_sent_is_not() {
    let (charge, effects) = run(opened(), [(1, Event::GiveUp)]);
    assert_eq!(charge.state, State::Declined(UNAVAILABLE));
    assert_eq!(effects, [Effect::ReleaseSlot, Effect::Tell(Notice::NotTaken { reason: UNAVAILABLE })]);
    let (turned_away, _) = run(sent(), [(2, evidence(1, rejected(Retry::SameCarrier))), (3, Event::GiveUp)]);
    assert_eq!(turned_away.state, State::Rejected(UNAVAILABLE));
    for charge in [sent(), in_doubt(), turned_away] {
        let state = charge.state.code();
        assert_eq!(step(&charge, Event::GiveUp, at(12)), Err(Illegal::NotWaiting { state }));
    }
}

#[test]
fn m01_nothing_is_sent_after_the_deadline_and_never_more_often_than_is_allowed() {
    assert!(step(&opened(), open_attempt(), at(60)).is_ok());
    assert_eq!(step(&opened(), open_attempt(), at(61)), Err(Illegal::DeadlinePassed));
    // As a version that allowed more may have left it.
    let (mut charge, _) = run(sent(), [(2, evidence(1, rejected(Retry::SameCarrier)))]);
    let attempt = charge.attempts[0].clone();
    charge.attempts.resize(ATTEMPTS_MAX - 1, attempt.clone());
    assert!(step(&charge, open_attempt(), at(3)).is_ok());
    charge.attempts.push(attempt);
    assert_eq!(step(&charge, open_attempt(), at(3)), Err(Illegal::TooManyAttempts));
}

#[test]
fn a_charge_that_is_waiting_to_be_sent_is_looked_at_on_its_deadline() {
    assert_eq!(opened().due_at(), Some(at(60)));
    let (turned_away, _) = run(sent(), [(2, evidence(1, rejected(Retry::SameCarrier)))]);
    assert_eq!(turned_away.due_at(), Some(at(60)));
    let (ended, _) = run(turned_away, [(61, Event::Tick)]);
    assert_eq!((ended.state, ended.due_at()), (State::Rejected(UNAVAILABLE), None));
    let (unsent, _) = run(sent(), [(2, evidence(1, Finding::NotSent)), (61, Event::Tick)]);
    assert_eq!(unsent.state, State::Declined(UNAVAILABLE), "not one byte of it was ever sent");
}

#[test]
fn a_password_that_expired_ends_a_charge_that_was_not_held_yet() {
    let expired = || Finding::Rejected { reason: Reason::OtpExpired, retry: Retry::Never, detail: "expired".into() };
    let asked = || {
        run(
            opened(),
            [(1, open_two_steps()), (2, evidence(1, Finding::OtpNeeded { carrier_id: None, validation: None }))],
        )
        .0
    };
    assert_eq!(run(asked(), [(3, evidence(1, expired()))]).0.state, State::Rejected(Reason::OtpExpired));
    // Said of the payment itself, and not in answer to our last request, it holds after the second step too.
    let (confirming, _) = run(asked(), [(3, evidence(1, Finding::Reserved { carrier_id: None }))]);
    let (ended, _) = run(confirming, [(4, told(EvidenceSource::Query, expired()))]);
    assert_eq!(ended.state, State::Rejected(Reason::OtpExpired));
}

#[test]
fn m03_a_cancellation_past_the_deadline_has_a_minute_for_its_answer() {
    let asked = Finding::OtpNeeded { carrier_id: Some("7".into()), validation: None };
    let (charge, effects) = run(opened(), [(1, open_two_steps()), (2, evidence(1, asked)), (61, Event::Tick)]);
    assert_eq!(effects.last(), Some(&Effect::Cancel { attempt: 1 }));
    assert_eq!(charge.due_at(), Some(at(121)));
    let (waiting, effects) = run(charge.clone(), [(62, Event::Tick), (120, Event::Tick)]);
    assert_eq!((&waiting, effects), (&charge, vec![]));
    let (lost, effects) = run(waiting, [(121, Event::Tick)]);
    assert_eq!(lost.attempts[0].state, AttemptState::InDoubt { cause: Doubt::Timeout });
    assert_eq!((lost.attempts[0].in_doubt_since, effects), (Some(at(121)), vec![]));
    assert_eq!(lost.due_at(), Some(at(131)), "then it is asked about");
}

#[test]
fn m05_an_attempt_is_proved_absent_by_two_listings_as_far_apart_as_it_may_travel_and_not_a_millisecond_less() {
    let hear = |charge: &Charge, second, early_ms| {
        let now = at(second).minus(Duration::from_millis(early_ms));
        step(charge, absent(), now).expect("evidence").next
    };
    // In doubt since second 11, and 30 seconds may a request travel.
    assert_eq!(hear(&in_doubt(), 41, 1).attempts[0].not_found_at, None);
    let once = hear(&in_doubt(), 41, 0);
    assert_eq!(once.attempts[0].not_found_at, Some(at(41)));
    assert_eq!(hear(&once, 71, 1).state, State::InDoubt);
    assert_eq!(hear(&once, 71, 0).state, State::Rejected(UNAVAILABLE));
}

/// What waits for its turn at the carrier, or behind a long list, is answered long after it was asked.
#[test]
fn m05_an_absence_is_of_the_moment_at_which_the_carrier_was_asked() {
    let hear = |charge: &Charge, asked: u64, now: u64| {
        let finding = Finding::NotFound { complete: true, asked_at: Some(at(asked)) };
        step(charge, evidence(1, finding), at(now)).expect("evidence").next
    };
    assert_eq!(hear(&in_doubt(), 40, 500).attempts[0].not_found_at, None, "it may have been on its way then");
    // The first may have been read as late as it was heard.
    let once = hear(&in_doubt(), 41, 500);
    assert_eq!(once.attempts[0].not_found_at, Some(at(500)));
    assert_eq!(hear(&once, 71, 501).state, State::InDoubt, "that may be the same list");
    assert_eq!(hear(&once, 529, 900).state, State::InDoubt);
    assert_eq!(hear(&once, 530, 900).state, State::Rejected(UNAVAILABLE));
    assert_eq!(hear(&in_doubt(), 500, 40).attempts[0].not_found_at, None, "nobody asks in the future");
}

#[test]
fn m05_two_listings_of_one_moment_are_one_answer() {
    let quick = Contract { in_flight_delay_ms: 0, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: quick, carrier_time: None };
    let lost = evidence(1, doubtful(Doubt::Timeout));
    let (twice, _) = run(opened(), [(1, open), (2, lost), (3, absent()), (3, absent())]);
    assert_eq!(twice.state, State::InDoubt);
    assert_eq!(run(twice, [(4, absent())]).0.state, State::Rejected(UNAVAILABLE));
}

#[test]
fn m07_another_carrier_is_not_looked_for_once_the_bound_of_attempts_is_met() {
    let last = u16::try_from(ATTEMPTS_MAX).expect("small");
    let mut charge = opened();
    for number in 1..last {
        charge = run(charge, [(1, open_attempt()), (1, evidence(number, Finding::NotSent))]).0;
    }
    let (charge, effects) = run(charge, [(1, open_attempt()), (2, evidence(last, rejected(Retry::OtherCarrier)))]);
    assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance));
    assert!(!effects.contains(&Effect::Reroute), "{effects:?}");
}

#[test]
fn m07_where_no_other_carrier_was_found_the_first_ones_word_is_the_reason() {
    let elsewhere = || evidence(1, rejected(Retry::OtherCarrier));
    for end in [(3, Event::GiveUp), (61, Event::Tick)] {
        let (charge, _) = run(sent(), [(2, elsewhere()), end]);
        assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance));
    }
}

#[test]
fn m06_that_we_asked_before_brings_no_question_forward_where_there_is_none() {
    let silent = Contract { queries: None, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: silent, carrier_time: None };
    let duplicate = evidence(1, doubtful(Doubt::Duplicate));
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, doubtful(Doubt::Timeout))), (3, duplicate)]);
    assert_eq!((charge.state, charge.due_at()), (State::InDoubt, None));
}

#[test]
fn m03_what_has_no_answer_at_all_by_the_deadline_is_in_doubt() {
    assert_eq!(sent().due_at(), Some(at(60)));
    let (waiting, _) = run(sent(), [(60, Event::Tick)]);
    assert_eq!(waiting.state, State::Processing);
    let (charge, effects) = run(waiting, [(61, Event::Tick)]);
    assert_eq!((charge.state, charge.in_doubt_since, effects), (State::InDoubt, Some(at(61)), vec![]));
    assert_eq!(charge.attempts[0].state, AttemptState::InDoubt { cause: Doubt::Timeout });
    assert_eq!(charge.due_at(), Some(at(71)));
}
