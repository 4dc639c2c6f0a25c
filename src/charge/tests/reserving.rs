//! Two steps, one-time passwords, sending again, and the other carrier.

use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::charge::{Asked, EvidenceSource, Validation};

fn reserved() -> Finding {
    Finding::Reserved { carrier_id: Some("7".into()) }
}

fn otp_needed() -> Finding {
    Finding::OtpNeeded { carrier_id: Some("7".into()), validation: None }
}

fn queried(finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "q".into(), attempt: 1, source: EvidenceSource::Query, finding })
}

/// Prepared, and on its way.
fn prepared() -> Charge {
    run(opened(), [(1, open_two_steps())]).0
}

fn confirming() -> Charge {
    run(prepared(), [(2, evidence(1, reserved()))]).0
}

fn last(charge: &Charge) -> &Attempt {
    charge.last_attempt().expect("an attempt")
}

fn asks(effects: &[Effect]) -> Vec<&Effect> {
    effects
        .iter()
        .filter(|e| matches!(e, Effect::Confirm { .. } | Effect::Cancel { .. } | Effect::Resend { .. }))
        .collect()
}

#[test]
fn m01_what_is_reserved_is_confirmed_once_and_that_is_durable_before_it_is_sent() {
    let (charge, effects) = run(prepared(), [(2, evidence(1, reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
    assert_eq!((last(&charge).asked, &last(&charge).state), (Asked::Confirm, &AttemptState::Open));
    // The same said again while the confirmation is on its way.
    let (charge, effects) = run(charge, [(3, queried(reserved()))]);
    assert_eq!(asks(&effects), [] as [&Effect; 0]);
    let (charge, effects) = run(charge, [(4, evidence(1, charged()))]);
    assert_eq!(charge.state, State::Charged);
    assert!(effects.contains(&Effect::IssueTicket));
}

#[test]
fn m03_a_lost_confirmation_is_in_doubt_and_asked_about_before_it_is_made_again() {
    let (charge, effects) = run(confirming(), [(5, evidence(1, doubtful(Doubt::Timeout)))]);
    assert_eq!((charge.state, asks(&effects)), (State::InDoubt, vec![]));
    let due = charge.due_at().expect("a question");
    let done = step(&charge, Event::Tick, due).expect("a tick");
    assert_eq!(done.effects, [Effect::Query { attempt: 1 }]);
    let (charge, effects) = run(done.next, [(20, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
    assert_eq!(charge.state, State::Processing);
}

#[test]
fn m11_what_is_still_reserved_after_the_deadline_is_cancelled_and_never_confirmed() {
    let (charge, _) = run(confirming(), [(5, evidence(1, doubtful(Doubt::Timeout)))]);
    let (charge, effects) = run(charge, [(61, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
    assert_eq!((charge.state, last(&charge).asked), (State::InDoubt, Asked::Cancel));
    let (charge, effects) = run(charge, [(62, queried(Finding::Cancelled))]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
    assert!(effects.contains(&Effect::ReleaseSlot));
}

#[test]
fn m03_a_lost_cancellation_is_itself_in_doubt_and_asked_for_again() {
    let late = run(prepared(), [(2, evidence(1, otp_needed())), (61, Event::Tick)]).0;
    assert_eq!((last(&late).asked, late.state), (Asked::Cancel, State::InDoubt));
    let (charge, _) = run(late, [(62, evidence(1, doubtful(Doubt::LinkLost)))]);
    assert_eq!(last(&charge).state, AttemptState::InDoubt { cause: Doubt::LinkLost });
    let (charge, effects) = run(charge, [(70, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
    // It had been confirmed by somebody after all.
    let (charge, _) = run(charge, [(80, queried(charged()))]);
    assert_eq!(charge.state, State::Refunding);
}

#[test]
fn m03_what_still_awaits_a_password_after_a_cancellation_in_doubt_is_cancelled_again() {
    let (charge, _) = run(prepared(), [(2, evidence(1, otp_needed()))]);
    let late = charge.terms.ticket_deadline.plus(Duration::from_secs(1));
    let Step { next: charge, effects } = step(&charge, Event::Tick, late).expect("a tick");
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
    let (charge, effects) = run(charge, [(62, evidence(1, doubtful(Doubt::UnclearAnswer)))]);
    assert_eq!((charge.state, asks(&effects)), (State::InDoubt, vec![]));
    let (charge, effects) = run(charge, [(64, queried(otp_needed()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
    // Said before that request arrived.
    let (charge, effects) = run(charge, [(65, queried(otp_needed()))]);
    assert_eq!(asks(&effects), [] as [&Effect; 0]);
    let (charge, _) = run(charge, [(66, evidence(1, Finding::Cancelled))]);
    assert_eq!(charge.state, State::Rejected(Reason::OtpExpired));
}

#[test]
fn a_refused_cancellation_decides_nothing_about_the_money() {
    let late = run(prepared(), [(2, evidence(1, otp_needed())), (61, Event::Tick)]).0;
    let (charge, _) = run(late, [(62, evidence(1, rejected(Retry::Never)))]);
    assert_eq!(charge.state, State::InDoubt);
    assert!(charge.due_at().is_some());
}

#[test]
fn a_confirmation_that_was_not_sent_leaves_the_reservation_and_is_looked_after() {
    for not_made in [Finding::NotSent, rejected(Retry::SameCarrier)] {
        let (charge, effects) = run(confirming(), [(3, evidence(1, not_made))]);
        assert_eq!((charge.state, &last(&charge).state), (State::Processing, &AttemptState::Accepted));
        assert!(!effects.contains(&Effect::TryAgain));
        let due = charge.due_at().expect("a question");
        assert!(due < charge.terms.ticket_deadline);
        let done = step(&charge, Event::Tick, due).expect("a tick");
        assert_eq!(done.effects, [Effect::Query { attempt: 1 }]);
        let (_, effects) = run(done.next, [(20, queried(reserved()))]);
        assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
    }
}

#[test]
fn a_confirmation_that_was_taken_is_waited_for_and_cancelled_only_when_it_is_too_late() {
    let (charge, _) = run(confirming(), [(3, evidence(1, accepted()))]);
    assert!(charge.due_at().is_some_and(|due| due < at(14)), "{charge:?}");
    let (charge, effects) = run(charge, [(8, queried(reserved()))]);
    assert_eq!((charge.state, asks(&effects)), (State::Processing, vec![]));
    let (_, effects) = run(charge, [(61, Event::Tick), (62, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
}

#[test]
fn a_carrier_that_has_forgotten_a_confirmation_is_given_it_again() {
    let quick =
        Contract { queries: Some(QuerySchedule { first_after_ms: 1_000, interval_ms_max: 1_000 }), ..two_steps() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: quick, carrier_time: None };
    let (mut charge, _) = run(opened(), [(1, open), (2, evidence(1, reserved())), (3, evidence(1, accepted()))]);
    for second in [5, 7] {
        let (next, effects) = run(charge, [(second, Event::Tick), (second, queried(reserved()))]);
        assert_eq!(asks(&effects), [] as [&Effect; 0]);
        charge = next;
    }
    let (_, effects) = run(charge, [(9, Event::Tick), (9, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
}

#[test]
fn a_cancellation_that_cannot_be_sent_is_not_tried_at_every_look() {
    let late = run(prepared(), [(2, evidence(1, otp_needed())), (61, Event::Tick)]).0;
    let (charge, _) = run(late, [(62, evidence(1, Finding::NotSent))]);
    assert!(charge.due_at().is_some_and(|due| due > at(62)));
    let (charge, effects) = run(charge, [(63, Event::Tick)]);
    assert_eq!(asks(&effects), [] as [&Effect; 0]);
    let (_, effects) = run(charge, [(80, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
}

proptest! {
    /// M9 in two steps: what does not contradict the outcome ends the same in every order.
    #[test]
    fn m09_evidence_of_a_reservation_commutes(
        outcome in prop_oneof![Just(charged()), Just(Finding::Cancelled), Just(rejected(Retry::Never))],
        others in subsequence(vec![otp_needed(), reserved(), Finding::Accepted { carrier_id: None }, doubtful(Doubt::Timeout)], 0..=4),
        shift in 0..5_usize,
    ) {
        let mut all = others;
        all.push(outcome);
        let run_all = |list: &[Finding]| run(prepared(), list.iter().map(|f| (5, evidence(1, f.clone())))).0;
        let expected = run_all(&all);
        let length = all.len();
        all.rotate_left(shift % length);
        let rotated = run_all(&all);
        prop_assert_eq!(rotated.state.code(), expected.state.code());
        prop_assert_eq!(rotated.attempts[0].state.code(), expected.attempts[0].state.code());
    }
}

#[test]
fn a_confirmation_that_is_refused_for_good_ends_the_charge() {
    let (charge, _) = run(confirming(), [(3, evidence(1, rejected(Retry::Never)))]);
    assert!(matches!(charge.state, State::Rejected(_)), "{charge:?}");
}

#[test]
fn m03_a_no_to_a_second_confirmation_leaves_open_what_came_of_the_first() {
    let lost = [(3, evidence(1, doubtful(Doubt::Timeout))), (15, queried(reserved()))];
    let (charge, effects) = run(confirming(), lost);
    assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
    // That one is not sent, and a third one is.
    let (charge, effects) = run(charge, [(16, evidence(1, Finding::NotSent)), (30, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Confirm { attempt: 1 }]);
    let (charge, _) = run(charge, [(31, evidence(1, rejected(Retry::Never)))]);
    assert_eq!(
        (charge.state, &last(&charge).state),
        (State::InDoubt, &AttemptState::InDoubt { cause: Doubt::UnclearAnswer })
    );
    let due = charge.due_at().expect("a question");
    assert_eq!(step(&charge, Event::Tick, due).expect("a tick").effects, [Effect::Query { attempt: 1 }]);
    // The first was at work all the time; or the payment itself is denied.
    assert_eq!(run(charge.clone(), [(50, queried(charged()))]).0.state, State::Charged);
    assert!(matches!(run(charge, [(50, queried(rejected(Retry::Never)))]).0.state, State::Rejected(_)));
}

#[test]
fn m05_what_a_carrier_took_in_and_has_no_more_did_not_happen() {
    let absent = || queried(Finding::NotFound { complete: true, asked_at: None });
    // Given up, and forgotten with its reservation.
    let given_up = [(2, evidence(1, otp_needed())), (61, Event::Tick), (62, evidence(1, accepted()))];
    let (charge, _) = run(prepared(), given_up);
    let (charge, _) = run(charge, [(80, absent()), (93, absent())]);
    assert_eq!(charge.state, State::InDoubt, "too soon after the request");
    let (charge, _) = run(charge, [(124, absent())]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
    // Taken in, and never heard of again; until the deadline it may just be late.
    let (charge, _) = run(sent(), [(2, evidence(1, accepted())), (40, absent()), (59, absent())]);
    assert_eq!(charge.state, State::Processing);
    let (charge, _) = run(charge, [(61, Event::Tick), (92, absent()), (123, absent())]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
    // What was confirmed may have left the list as done.
    let (charge, _) =
        run(confirming(), [(3, evidence(1, accepted())), (61, Event::Tick), (92, absent()), (200, absent())]);
    assert_eq!(charge.state, State::InDoubt);
}

#[test]
fn a_carrier_that_keeps_what_it_was_told_to_give_up_is_told_so_ever_more_rarely() {
    let (mut charge, _) = run(prepared(), [(2, evidence(1, otp_needed())), (61, Event::Tick)]);
    let mut pauses = Vec::new();
    let mut now = at(62);
    for _ in 0..4 {
        charge = step(&charge, evidence(1, accepted()), now).expect("evidence").next;
        let due = charge.due_at().expect("a question");
        pauses.push(due.since(now).as_secs());
        let asked = step(&charge, Event::Tick, due).expect("a tick").next;
        charge = step(&asked, queried(reserved()), due).expect("evidence").next;
        assert_eq!((last(&charge).asked, &last(&charge).state), (Asked::Cancel, &AttemptState::Open));
        now = due;
    }
    assert!(pauses.is_sorted() && pauses[3] > pauses[0], "{pauses:?}");
}

#[test]
fn a_password_that_was_judged_too_late_says_nothing_of_the_second_step() {
    let no = Finding::Rejected { reason: Reason::OtpExpired, retry: Retry::Never, detail: "no more".into() };
    let (charge, _) = run(confirming(), [(3, evidence(1, no))]);
    assert_eq!((charge.state, &last(&charge).state), (State::Processing, &AttemptState::Open));
}

#[test]
fn m09_a_callback_of_another_amount_is_a_break_and_no_proof() {
    let other = Finding::Charged { carrier_id: None, amount: Some(Money::kzt(1)) };
    let told =
        Event::Evidence(Evidence { id: "c".into(), attempt: 1, source: EvidenceSource::Callback, finding: other });
    let (charge, effects) = run(sent(), [(2, told)]);
    assert_eq!((charge.state, effects), (State::Processing, vec![Effect::RaiseBreak(Break::AmountDiffers)]));
}

#[test]
fn how_the_subscriber_is_to_agree_is_kept_and_a_page_takes_no_password() {
    let told = |validation: &Validation| Finding::OtpNeeded { carrier_id: None, validation: Some(validation.clone()) };
    let password = Validation::Password { authorization_id: "a-1".into() };
    let (charge, _) = run(prepared(), [(2, evidence(1, told(&password))), (3, evidence(1, otp_needed()))]);
    assert_eq!(last(&charge).validation, Some(password));
    let page = Validation::Page { url: "https://carrier.example/agree".into() };
    let (charge, _) = run(prepared(), [(2, evidence(1, told(&page)))]);
    assert_eq!(charge.state, State::AwaitingOtp);
    assert_eq!(step(&charge, Event::SubmitOtp, at(3)), Err(Illegal::AgreedOnPage));
}

#[test]
fn a_reservation_is_given_up_by_our_own_timer_before_the_deadline_too() {
    let (charge, _) = run(prepared(), [(2, evidence(1, otp_needed()))]);
    assert_eq!(charge.due_at().map(|at| at.min(charge.terms.ticket_deadline)), charge.due_at());
    let (charge, effects) = run(charge, [(43, Event::Tick)]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
    let (charge, _) = run(charge, [(44, queried(Finding::Cancelled))]);
    assert_eq!(charge.state, State::Rejected(Reason::OtpExpired));
}

#[test]
fn a_password_is_passed_on_only_while_it_is_asked_for() {
    let (charge, _) = run(prepared(), [(2, evidence(1, otp_needed()))]);
    assert_eq!(charge.state, State::AwaitingOtp);
    let (charge, effects) = run(charge, [(3, Event::SubmitOtp)]);
    assert_eq!(effects, [Effect::Validate { attempt: 1 }]);
    // A wrong one: it is asked for again.
    let (charge, _) = run(charge, [(4, evidence(1, otp_needed()))]);
    assert_eq!(charge.state, State::AwaitingOtp);
    let (charge, effects) = run(charge, [(5, evidence(1, reserved()))]);
    assert_eq!((charge.state, asks(&effects)), (State::Processing, vec![&Effect::Confirm { attempt: 1 }]));
    assert_eq!(step(&charge, Event::SubmitOtp, at(6)), Err(Illegal::NoOtpWanted { state: "processing" }));
    // What was said of the password before does not undo the second step.
    let (charge, _) = run(charge, [(7, evidence(1, otp_needed()))]);
    assert_eq!(charge.state, State::Processing);
}

#[test]
fn m12_a_superseded_charge_gives_its_reservation_up() {
    let (charge, _) =
        run(prepared(), [(2, evidence(1, doubtful(Doubt::Timeout))), (61, Event::Supersede { by: reference(9) })]);
    let (_, effects) = run(charge, [(62, queried(reserved()))]);
    assert_eq!(asks(&effects), [&Effect::Cancel { attempt: 1 }]);
}

#[test]
fn a_carrier_that_holds_where_the_contract_says_it_takes_is_waited_for() {
    let (charge, effects) = run(sent(), [(2, evidence(1, reserved()))]);
    assert_eq!((charge.state, asks(&effects)), (State::Processing, vec![]));
    assert_eq!(last(&charge).state, AttemptState::Accepted);
}

#[test]
fn m05_what_lacks_an_attempt_counts_anew_once_it_was_sent_again() {
    let replays = Contract { replays_keys: true, ..contract() };
    let delay = replays.in_flight_delay_ms / 1_000;
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let absent = || evidence(1, Finding::NotFound { complete: true, asked_at: None });
    let lost = evidence(1, doubtful(Doubt::Timeout));
    let (charge, _) = run(opened(), [(1, open), (2, lost), (12, Event::Tick), (2 + delay, absent())]);
    assert_eq!(last(&charge).not_found_at, Some(at(2 + delay)));
    let resent = 3 + delay;
    let (charge, effects) = run(charge, [(resent, Event::Tick)]);
    assert_eq!(effects, [Effect::Resend { attempt: 1 }]);
    // Twice absent, and far enough apart; but since then it is under way once more.
    let (charge, _) = run(charge, [(2 + 2 * delay, absent())]);
    assert_eq!(charge.state, State::InDoubt);
    let (charge, _) = run(charge, [(resent + delay, absent()), (resent + 2 * delay, absent())]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
}

#[test]
fn m04_what_may_be_older_than_it_seems_is_asked_about_and_loses_no_proof_of_absence() {
    let replays = Contract { replays_keys: true, ..contract() };
    let delay = replays.in_flight_delay_ms / 1_000;
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let absent = || evidence(1, Finding::NotFound { complete: true, asked_at: None });
    let lost = evidence(1, doubtful(Doubt::Timeout));
    let (charge, _) = run(opened(), [(1, open), (2, lost), (12, Event::Tick), (2 + delay, absent())]);
    let (charge, effects) = run(charge, [(3 + delay, Event::TickWithoutRepetition)]);
    assert_eq!(effects, [Effect::Query { attempt: 1 }]);
    let (charge, _) = run(charge, [(2 + 2 * delay, absent())]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
}

#[test]
fn m04_the_same_attempt_is_sent_again_only_where_keys_replay_and_only_in_time() {
    let replays = Contract { replays_keys: true, queries: None, ..contract() };
    let open =
        |contract| Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract, carrier_time: None };
    let doubt = |contract| run(opened(), [(1, open(contract)), (2, evidence(1, doubtful(Doubt::Timeout)))]).0;
    let due = |charge: &Charge| charge.due_at().expect("something to do");
    let charge = doubt(replays);
    let done = step(&charge, Event::Tick, due(&charge)).expect("a tick");
    assert_eq!(done.effects, [Effect::Resend { attempt: 1 }]);
    assert_eq!(done.next.attempts.len(), 1);
    // Too late: it might take the money then.
    let late = step(&charge, Event::Tick, at(61)).expect("a tick");
    assert_eq!((late.effects, late.next.due_at()), (vec![], None));
    // Where it can be asked, it is asked first.
    let charge = doubt(Contract { replays_keys: true, ..contract() });
    let done = step(&charge, Event::Tick, due(&charge)).expect("a tick");
    assert_eq!(done.effects, [Effect::Query { attempt: 1 }]);
    let done = step(&done.next, Event::Tick, due(&done.next)).expect("a tick");
    assert_eq!(done.effects, [Effect::Resend { attempt: 1 }]);
    // By an id that never came it cannot be asked about.
    let charge = doubt(Contract { replays_keys: true, queries_by_carrier_id: true, ..contract() });
    let done = step(&charge, Event::Tick, due(&charge)).expect("a tick");
    assert_eq!(done.effects, [Effect::Resend { attempt: 1 }]);
    let no_replay = doubt(Contract { queries: None, ..contract() });
    assert_eq!(no_replay.due_at(), None);
}

#[test]
fn m05_absence_is_counted_from_the_last_time_that_it_was_sent() {
    let quick = QuerySchedule { first_after_ms: 40_000, interval_ms_max: 40_000 };
    let replays = Contract { replays_keys: true, queries: Some(quick), in_flight_delay_ms: 30_000, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let long = Terms::new(at(1_000), LateSuccess::Refund);
    let charge = Charge::new(reference(1), samples::order(T0), long);
    let absent = || queried(Finding::NotFound { complete: true, asked_at: None });
    let doubt = [(1, open), (2, evidence(1, doubtful(Doubt::Timeout))), (42, Event::Tick), (43, absent())];
    let (charge, effects) = run(run(charge, doubt).0, [(82, Event::Tick)]);
    assert_eq!(effects, [Effect::Resend { attempt: 1 }]);
    // Two listings lack it, but the second sending may still be on its way.
    let (charge, _) = run(charge, [(83, absent()), (111, absent())]);
    assert_eq!(charge.state, State::InDoubt);
    let (charge, _) = run(charge, [(113, absent()), (144, absent())]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
}

#[test]
fn m04_the_answer_to_a_repeat_counts_as_the_first_one_but_not_that_it_was_turned_away() {
    let replays = Contract { replays_keys: true, queries: None, ..contract() };
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: replays, carrier_time: None };
    let (charge, _) = run(opened(), [(1, open), (2, evidence(1, doubtful(Doubt::Timeout)))]);
    let repeat =
        |finding| Event::Evidence(Evidence { id: "r".into(), attempt: 1, source: EvidenceSource::Repeat, finding });
    let refused = |reason| Finding::Rejected { reason, retry: Retry::Never, detail: "no".into() };
    let of_us = [Reason::CarrierAccount, Reason::CarrierRefused, Reason::CarrierUnavailable].map(refused);
    for says_nothing in [Finding::NotSent, rejected(Retry::SameCarrier)].into_iter().chain(of_us) {
        let done = step(&charge, repeat(says_nothing.clone()), at(5)).expect("evidence");
        assert_eq!((&done.next, done.effects.len()), (&charge, 0), "{says_nothing:?}");
    }
    assert_eq!(run(charge.clone(), [(5, repeat(charged()))]).0.state, State::Charged);
    let (charge, _) = run(charge, [(5, repeat(refused(Reason::InsufficientBalance)))]);
    assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance));
}

#[test]
fn m07_another_carrier_is_asked_once_after_a_definite_not_my_subscriber() {
    let elsewhere = || evidence(1, rejected(Retry::OtherCarrier));
    let (charge, effects) = run(sent(), [(2, elsewhere())]);
    assert_eq!(effects, [Effect::Reroute]);
    assert!(charge.wants_attempt());
    let (charge, effects) = run(charge, [(3, open_attempt()), (4, evidence(2, rejected(Retry::OtherCarrier)))]);
    assert!(matches!(charge.state, State::Rejected(_)), "{charge:?}");
    assert!(!effects.contains(&Effect::Reroute));
    let (charge, effects) = run(sent(), [(61, elsewhere())]);
    assert!(matches!(charge.state, State::Rejected(_)) && !effects.contains(&Effect::Reroute));
}
