//! Edges of the two steps.

use super::*;

fn told(source: EvidenceSource, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "s".into(), attempt: 1, source, finding })
}

fn queried(finding: Finding) -> Event {
    told(EvidenceSource::Query, finding)
}

fn otp_needed() -> Finding {
    Finding::OtpNeeded { carrier_id: Some("7".into()), validation: None }
}

fn prepared() -> Charge {
    run(opened(), [(1, open_two_steps())]).0
}

#[test]
fn m11_nobody_is_asked_for_a_password_once_it_is_too_late() {
    let (charge, _) = run(prepared(), [(5, evidence(1, doubtful(Doubt::Timeout)))]);
    let (_, effects) = run(charge, [(61, queried(otp_needed()))]);
    assert_eq!(effects, [Effect::Cancel { attempt: 1 }]);
}

#[test]
fn m03_a_cancellation_before_the_deadline_that_was_lost_is_asked_for_again_too() {
    // The reservation ends at second 42 by our own timer, and the passenger waits until second 60.
    let given_up = [(2, evidence(1, otp_needed())), (43, Event::Tick), (44, evidence(1, doubtful(Doubt::Timeout)))];
    let (charge, _) = run(prepared(), given_up);
    let (charge, effects) = run(charge, [(46, queried(otp_needed()))]);
    assert_eq!(effects, [Effect::Cancel { attempt: 1 }]);
    assert_eq!(charge.state, State::Processing);
}

/// The seconds from `now` to the first question, once the carrier has taken the last request and says no more.
fn first_question(charge: &Charge, now: u64) -> u64 {
    let (taken, _) = run(charge.clone(), [(now, evidence(1, accepted_as_before()))]);
    taken.due_at().expect("a question").since(at(now)).as_secs()
}

fn accepted_as_before() -> Finding {
    Finding::Accepted { carrier_id: None }
}

#[test]
fn each_request_of_the_second_step_is_asked_about_soon_however_long_the_one_before_took() {
    let reserved = || queried(Finding::Reserved { carrier_id: Some("7".into()) });
    let lost = |second| (second, evidence(1, doubtful(Doubt::Timeout)));
    // Held, confirmed, lost, asked about twice, and still held: it is confirmed anew.
    let (charge, _) = run(prepared(), [(2, reserved()), lost(3), (13, Event::Tick), (33, Event::Tick)]);
    assert_eq!(charge.attempts[0].queries, 2);
    let (confirmed, effects) = run(charge.clone(), [(34, reserved())]);
    assert_eq!(effects, [Effect::Confirm { attempt: 1 }]);
    assert_eq!(first_question(&confirmed, 35), 10);
    // Or it is too late, and it is given up.
    let (cancelled, effects) = run(charge, [(61, reserved())]);
    assert_eq!(effects, [Effect::Cancel { attempt: 1 }]);
    assert_eq!(first_question(&cancelled, 62), 10);
}
