use std::time::Duration;

use super::*;

mod any;
mod deadline;
mod doubt;
mod finality;
mod refund_evidence;
mod refund_messages;
mod refunding;
mod reserving;
mod restoring;
mod second_step;
mod values;
mod waiting;

const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);
const FARE: Money = Money::kzt(8_000);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn reference(n: u8) -> Reference {
    Reference::new(T0, [n; 10])
}

fn carrier() -> CarrierName {
    "beeline".parse().expect("a name")
}

fn contract() -> Contract {
    Contract {
        in_flight_delay_ms: 30_000,
        queries: Some(QuerySchedule { first_after_ms: 10_000, interval_ms_max: 60_000 }),
        queries_by_carrier_id: false,
        queries_refunds: true,
        can_refund: false,
        refund_message: None,
        replays_keys: false,
        reservation_ms: None,
        fee: None,
    }
}

fn opened_with(late_success: LateSuccess) -> Charge {
    Charge::new(reference(1), samples::order(T0), Terms::new(at(60), late_success))
}

fn opened() -> Charge {
    opened_with(LateSuccess::Refund)
}

fn open_attempt() -> Event {
    Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: contract(), carrier_time: None }
}

fn two_steps() -> Contract {
    Contract { reservation_ms: Some(40_000), can_refund: true, ..contract() }
}

fn open_two_steps() -> Event {
    Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: two_steps(), carrier_time: None }
}

fn evidence(attempt: u16, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "e".into(), attempt, source: EvidenceSource::Response, finding })
}

fn accepted() -> Finding {
    Finding::Accepted { carrier_id: Some("a1".into()) }
}

fn charged() -> Finding {
    Finding::Charged { carrier_id: None, amount: None }
}

fn rejected(retry: Retry) -> Finding {
    Finding::Rejected { reason: Reason::InsufficientBalance, retry, detail: "0x450".into() }
}

fn doubtful(cause: Doubt) -> Finding {
    Finding::Doubtful { cause }
}

/// Applies events one after another, at the given seconds; every one of them must be legal.
fn run(charge: Charge, events: impl IntoIterator<Item = (u64, Event)>) -> (Charge, Vec<Effect>) {
    events.into_iter().fold((charge, Vec::new()), |(charge, mut effects), (second, event)| {
        let done = step(&charge, event.clone(), at(second)).unwrap_or_else(|e| panic!("{event:?}: {e}"));
        effects.extend(done.effects);
        (done.next, effects)
    })
}

fn sent() -> Charge {
    run(opened(), [(1, open_attempt())]).0
}

fn in_doubt() -> Charge {
    run(sent(), [(11, evidence(1, doubtful(Doubt::Timeout)))]).0
}

/// A charged one whose whole amount is being asked back since second 10.
fn asked_back(contract: Contract) -> Charge {
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract, carrier_time: None };
    let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
    run(opened(), [(1, open), (2, evidence(1, charged())), (10, ask)]).0
}

/// Evidence about that refund.
fn told(source: EvidenceSource, finding: Finding) -> Event {
    Event::RefundEvidence { refund: reference(10), id: "r".into(), source, finding }
}

/// The same as the answer to its request.
fn answered(finding: Finding) -> Event {
    told(EvidenceSource::Response, finding)
}

fn breaks(effects: &[Effect]) -> Vec<Break> {
    effects.iter().filter_map(|effect| if let Effect::RaiseBreak(b) = effect { Some(*b) } else { None }).collect()
}

#[test]
fn m01_an_attempt_is_opened_before_it_is_sent_and_only_one_at_a_time() {
    let (charge, effects) = run(opened(), [(1, open_attempt())]);
    assert_eq!(effects, [Effect::Send { attempt: 1 }]);
    assert_eq!(charge.attempts[0].state, AttemptState::Open);
    assert!(matches!(step(&charge, open_attempt(), at(2)), Err(Illegal::NotWaiting { .. })));
}

#[test]
fn m01_a_charge_without_an_attempt_that_runs_out_of_time_was_never_sent_and_is_declined() {
    let (charge, effects) = run(opened(), [(61, Event::Tick)]);
    assert_eq!(charge.state, State::Declined(Reason::CarrierUnavailable));
    assert_eq!(effects, [Effect::ReleaseSlot, Effect::Tell(Notice::NotTaken { reason: Reason::CarrierUnavailable })]);
    assert!(matches!(step(&charge, open_attempt(), at(62)), Err(Illegal::NotWaiting { .. })));
}

#[test]
fn m02_each_finding_moves_an_open_attempt_to_its_one_state() {
    let cases = [
        (Finding::NotSent, "not_sent", "processing"),
        (rejected(Retry::Never), "rejected", "rejected"),
        (rejected(Retry::SameCarrier), "rejected", "processing"),
        (accepted(), "accepted", "processing"),
        (Finding::OtpNeeded { carrier_id: None, validation: None }, "accepted", "awaiting_otp"),
        (charged(), "charged", "charged"),
        (doubtful(Doubt::Timeout), "in_doubt", "in_doubt"),
        (doubtful(Doubt::LinkLost), "in_doubt", "in_doubt"),
        (doubtful(Doubt::Duplicate), "in_doubt", "in_doubt"),
        (doubtful(Doubt::Restart), "in_doubt", "in_doubt"),
        (Finding::Nothing, "open", "processing"),
        (Finding::NotFound { complete: true, asked_at: None }, "open", "processing"),
    ];
    for (finding, attempt, state) in cases {
        let (charge, _) = run(sent(), [(2, evidence(1, finding.clone()))]);
        assert_eq!((charge.attempts[0].state.code(), charge.state.code()), (attempt, state), "{finding:?}");
    }
}
