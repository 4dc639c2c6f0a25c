use std::time::Duration;

use proptest::{prelude::*, sample::subsequence};

use super::*;

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
    Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: contract() }
}

fn two_steps() -> Contract {
    Contract { reservation_ms: Some(40_000), can_refund: true, ..contract() }
}

fn open_two_steps() -> Event {
    Event::OpenAttempt { carrier: carrier(), wire_reference: "1".into(), contract: two_steps() }
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
        (Finding::NotFound { complete: true }, "open", "processing"),
    ];
    for (finding, attempt, state) in cases {
        let (charge, _) = run(sent(), [(2, evidence(1, finding.clone()))]);
        assert_eq!((charge.attempts[0].state.code(), charge.state.code()), (attempt, state), "{finding:?}");
    }
}

#[test]
fn m03_no_timer_and_no_number_of_queries_ends_a_doubt() {
    let ticks = (1..=2_000).map(|n| (n * 60, Event::Tick));
    let (charge, effects) = run(in_doubt(), ticks);
    assert_eq!(charge.state, State::InDoubt);
    assert!(effects.iter().all(|effect| *effect == Effect::Query { attempt: 1 }), "{effects:?}");
    assert_eq!(charge.in_doubt_since, Some(at(11)));
}

#[test]
fn m03_only_a_charge_in_doubt_can_be_resolved_by_a_person() {
    let resolve = |finding| {
        Event::Evidence(Evidence {
            id: "op".into(),
            attempt: 1,
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's log".into() },
            finding,
        })
    };
    assert_eq!(step(&sent(), resolve(charged()), at(20)), Err(Illegal::NotInDoubt { state: "processing" }));
    let (charge, _) = run(in_doubt(), [(20, resolve(charged()))]);
    assert_eq!(charge.state, State::Charged);
}

#[test]
fn m03_two_people_who_decide_one_doubt_at_once_are_not_both_right() {
    let resolve = |finding| {
        Event::Evidence(Evidence {
            id: "op".into(),
            attempt: 1,
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's log".into() },
            finding,
        })
    };
    let (charge, _) = run(in_doubt(), [(20, resolve(rejected(Retry::Never)))]);
    for finding in [charged(), rejected(Retry::Never), doubtful(Doubt::Timeout)] {
        assert!(matches!(step(&charge, resolve(finding), at(21)), Err(Illegal::NotInDoubt { .. })));
    }
}

#[test]
fn m08_a_persons_word_stands_against_the_carriers_later_one_and_opens_a_break() {
    let by_person = |finding| {
        Event::Evidence(Evidence {
            id: "op".into(),
            attempt: 1,
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the carrier's log".into() },
            finding,
        })
    };
    let (not_taken, _) = run(in_doubt(), [(20, by_person(rejected(Retry::Never)))]);
    let (owed, effects) = run(not_taken.clone(), [(30, evidence(1, charged()))]);
    assert_eq!((owed.state, breaks(&effects)), (not_taken.state, vec![Break::ChargedAfterRejection]));
    assert_eq!(owed.refunds[0].amount, FARE);
    let (taken, _) = run(in_doubt(), [(20, by_person(charged()))]);
    let (still, effects) = run(taken, [(30, evidence(1, rejected(Retry::Never)))]);
    assert_eq!((still.state, breaks(&effects)), (State::Charged, vec![Break::RejectedAfterCharge]));
}

#[test]
fn m03_what_nobody_can_be_asked_about_is_waited_for_and_makes_no_versions() {
    let silent = [Contract { queries: None, ..contract() }, Contract { queries_by_carrier_id: true, ..contract() }];
    for contract in silent {
        let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract };
        for first in [Finding::Accepted { carrier_id: None }, doubtful(Doubt::Timeout)] {
            let (charge, _) = run(opened(), [(1, open.clone()), (11, evidence(1, first)), (61, Event::Tick)]);
            assert_eq!((charge.state, charge.due_at()), (State::InDoubt, None));
            let (later, effects) = run(charge.clone(), (1..=500).map(|n| (61 + 60 * n, Event::Tick)));
            assert_eq!((later.version, effects), (charge.version, vec![]));
        }
        // With an id there is something to ask by.
        let (charge, _) = run(opened(), [(1, open), (11, evidence(1, accepted()))]);
        assert_eq!(charge.attempts[0].next_query_at.is_some(), contract.queries.is_some());
    }
    let by_id = Contract { queries_by_carrier_id: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: by_id };
    let lost = evidence(1, doubtful(Doubt::Timeout));
    let (charge, _) = run(opened(), [(1, open), (11, lost), (70, Event::Tick)]);
    let (learned, _) = run(charge, [(80, evidence(1, accepted()))]);
    assert_eq!(learned.due_at(), Some(at(90)), "the id has come, late: it is asked about");
}

#[test]
fn m04_a_doubt_is_queried_with_a_growing_bounded_interval() {
    let charge = in_doubt();
    assert_eq!(charge.due_at(), Some(at(21)));
    let (charge, effects) = run(charge, [(20, Event::Tick), (21, Event::Tick), (22, Event::Tick)]);
    assert_eq!(effects, [Effect::Query { attempt: 1 }]);
    assert_eq!(charge.due_at(), Some(at(41)));
    let (charge, _) = run(charge, [(41, Event::Tick), (81, Event::Tick)]);
    assert_eq!(charge.due_at(), Some(at(81 + 60)));
}

#[test]
fn m05_not_found_counts_only_when_complete_late_enough_and_twice() {
    let not_found = |complete| evidence(1, Finding::NotFound { complete });
    let (charge, _) =
        run(in_doubt(), [(20, not_found(true)), (45, not_found(false)), (50, not_found(true)), (60, not_found(true))]);
    assert_eq!(charge.state, State::InDoubt, "the second complete answer came too soon after the first that counts");
    let (charge, _) = run(charge, [(80, not_found(true))]);
    assert_eq!(charge.state, State::Rejected(Reason::CarrierUnavailable));
}

#[test]
fn m06_a_duplicate_answer_is_a_reason_to_ask_and_never_a_no() {
    let (charge, _) = run(sent(), [(2, evidence(1, doubtful(Doubt::Duplicate)))]);
    assert_eq!(charge.state, State::InDoubt);
    let (charge, effects) = run(in_doubt(), [(12, evidence(1, doubtful(Doubt::Duplicate))), (12, Event::Tick)]);
    assert_eq!((charge.state, effects), (State::InDoubt, vec![Effect::Query { attempt: 1 }]));
}

#[test]
fn m07_nothing_else_is_tried_while_in_doubt() {
    assert!(matches!(step(&in_doubt(), open_attempt(), at(12)), Err(Illegal::NotWaiting { state: "in_doubt" })));
}

#[test]
fn m08_a_no_after_proof_of_payment_opens_a_break_and_overwrites_nothing() {
    let (paid, _) = run(sent(), [(2, evidence(1, charged()))]);
    for finding in
        [rejected(Retry::Never), rejected(Retry::SameCarrier), Finding::NotSent, Finding::NotFound { complete: true }]
    {
        let (charge, effects) = run(paid.clone(), [(3, evidence(1, finding))]);
        assert_eq!((charge.state, &charge.attempts, &charge.refunds), (paid.state, &paid.attempts, &paid.refunds));
        assert_eq!(charge.version, paid.version + 1, "the break is to be recorded");
        assert_eq!(breaks(&effects), [Break::RejectedAfterCharge]);
    }
}

#[test]
fn m08_proof_of_payment_for_a_rejected_charge_leaves_its_state_and_owes_the_money_once() {
    let (refused, _) = run(sent(), [(2, evidence(1, rejected(Retry::Never)))]);
    let (charge, effects) = run(refused, [(3, evidence(1, charged())), (4, evidence(1, charged()))]);
    assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance));
    assert_eq!(charge.refunds.iter().map(|r| (r.amount, r.state)).collect::<Vec<_>>(), [(FARE, RefundState::Owed)]);
    assert!(breaks(&effects).contains(&Break::ChargedAfterRejection));
}

#[test]
fn m08_proof_of_payment_for_an_earlier_attempt_is_owed_beside_the_ticket_of_the_later_one() {
    let (charge, effects) = run(
        sent(),
        [
            (2, evidence(1, rejected(Retry::SameCarrier))),
            (3, open_attempt()),
            (4, evidence(2, charged())),
            (5, evidence(1, charged())),
        ],
    );
    assert_eq!(charge.state, State::Charged);
    assert_eq!(charge.refunds[0].attempt, Some(1));
    assert_eq!(charge.refunded_amount(), Money::kzt(0), "the ticket's own money is untouched");
    assert_eq!(effects.iter().filter(|e| **e == Effect::IssueTicket).count(), 1);
}

#[test]
fn m09_the_same_evidence_again_changes_nothing() {
    for finding in [accepted(), charged(), rejected(Retry::Never), doubtful(Doubt::Timeout), Finding::NotSent] {
        let (once, _) = run(sent(), [(2, evidence(1, finding.clone()))]);
        let (twice, effects) = run(once.clone(), [(3, evidence(1, finding.clone()))]);
        assert_eq!(once, twice, "{finding:?}");
        assert_eq!(effects, [], "{finding:?}");
    }
}

#[test]
fn m09_evidence_for_an_attempt_that_never_was_is_a_break() {
    let (charge, effects) = run(sent(), [(2, evidence(9, charged()))]);
    assert_eq!((charge.state, breaks(&effects)), (State::Processing, vec![Break::UnknownAttempt]));
}

#[test]
fn m10_a_charge_that_succeeds_asks_for_ticket_and_message_in_the_same_step() {
    let done = step(&sent(), evidence(1, charged()), at(2)).expect("legal");
    assert_eq!(done.effects, [Effect::IssueTicket, Effect::Tell(Notice::Ticket)]);
    assert_eq!(done.next.charged_at, Some(at(2)));
}

#[test]
fn m11_money_that_comes_after_the_deadline_goes_back_and_the_passenger_is_told() {
    let (charge, effects) = run(in_doubt(), [(61, evidence(1, charged()))]);
    assert_eq!(charge.state, State::RefundOwed);
    assert_eq!(charge.refunded_amount(), FARE);
    // This carrier gives nothing back.
    assert_eq!(effects, [Effect::ReleaseSlot, Effect::Tell(Notice::LateOwed)]);
}

#[test]
fn m11_money_on_the_deadline_itself_is_in_time() {
    let (charge, _) = run(in_doubt(), [(60, evidence(1, charged()))]);
    assert_eq!(charge.state, State::Charged);
}

#[test]
fn m11_late_money_buys_the_ticket_where_that_is_configured() {
    let (charge, effects) = run(opened_with(LateSuccess::Ticket), [(1, open_attempt()), (99, evidence(1, charged()))]);
    assert_eq!(charge.state, State::Charged);
    assert!(effects.ends_with(&[Effect::IssueTicket, Effect::Tell(Notice::LateTicket)]), "{effects:?}");
}

#[test]
fn m11_money_for_which_no_ticket_can_be_made_goes_back_and_does_not_stay_in_doubt() {
    let paid = Event::EvidenceWithoutTicket(Evidence {
        id: "e".into(),
        attempt: 1,
        source: EvidenceSource::Receipt,
        finding: charged(),
    });
    for late_success in [LateSuccess::Refund, LateSuccess::Ticket] {
        for second in [20, 99] {
            let (charge, effects) = run(opened_with(late_success), [(1, open_attempt()), (second, paid.clone())]);
            assert_eq!((charge.state, charge.refunded_amount()), (State::RefundOwed, FARE));
            assert!(!effects.contains(&Effect::IssueTicket) && effects.contains(&Effect::ReleaseSlot));
            assert!(effects.contains(&Effect::Tell(Notice::LateOwed)), "{effects:?}");
            // Where it would have gone back anyhow, the ticket is not the reason.
            let for_the_ticket = late_success == LateSuccess::Ticket || second == 20;
            assert_eq!(breaks(&effects) == [Break::NoTicket], for_the_ticket, "{effects:?}");
        }
    }
    let (refused, effects) = run(
        sent(),
        [(
            2,
            Event::EvidenceWithoutTicket(Evidence {
                id: "e".into(),
                attempt: 1,
                source: EvidenceSource::Response,
                finding: rejected(Retry::Never),
            }),
        )],
    );
    assert_eq!((refused.state, breaks(&effects)), (State::Rejected(Reason::InsufficientBalance), vec![]));
}

#[test]
fn m11_one_who_is_owed_what_came_late_is_told_so_once() {
    let able = Contract { can_refund: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: able };
    let (charge, effects) = run(opened(), [(1, open), (61, evidence(1, charged()))]);
    assert_eq!(charge.state, State::Refunding);
    assert!(effects.contains(&Effect::Tell(Notice::LateRefund)), "{effects:?}");
    let refused = Event::RefundEvidence {
        refund: charge.refunds[0].reference,
        id: "r".into(),
        source: EvidenceSource::Response,
        finding: rejected(Retry::Never),
    };
    let (owed, effects) = run(charge, [(62, refused.clone()), (63, refused)]);
    assert_eq!(owed.state, State::RefundOwed);
    assert_eq!(effects, [Effect::Tell(Notice::RefundOwed { amount: FARE, unasked: true })]);
}

#[test]
fn m11_what_was_accepted_and_has_no_receipt_by_the_deadline_is_in_doubt() {
    let (charge, _) = run(sent(), [(2, evidence(1, accepted())), (61, Event::Tick)]);
    assert_eq!((charge.state, charge.in_doubt_since), (State::InDoubt, Some(at(61))));
    let (charge, _) = run(charge, [(70, evidence(1, rejected(Retry::Never)))]);
    assert_eq!(charge.state, State::Rejected(Reason::InsufficientBalance));
}

#[test]
fn m12_a_superseded_charge_can_only_end_as_not_taken_or_refunded() {
    let supersede = Event::Supersede { by: reference(2) };
    assert_eq!(step(&in_doubt(), supersede.clone(), at(59)), Err(Illegal::NotPastDeadline));
    let doubt =
        run(opened_with(LateSuccess::Ticket), [(1, open_attempt()), (11, evidence(1, doubtful(Doubt::LinkLost)))]).0;
    let (charge, _) = run(doubt, [(61, supersede)]);
    let (paid, effects) = run(charge.clone(), [(62, evidence(1, charged()))]);
    assert_eq!(paid.state, State::RefundOwed);
    assert!(!effects.contains(&Effect::IssueTicket));
    let (refused, _) = run(charge, [(62, evidence(1, rejected(Retry::Never)))]);
    assert!(refused.state.is_not_taken());
}

#[test]
fn m14_refunds_never_exceed_what_was_taken() {
    let (paid, _) = run(sent(), [(2, evidence(1, charged()))]);
    let refund = |n, minor| Event::RequestRefund { refund: reference(n), amount: Money::kzt(minor) };
    let told = |minor, whole| Effect::Tell(Notice::Refund { amount: Money::kzt(minor), whole });
    let other = Event::RequestRefund { refund: reference(9), amount: Money::new(100, crate::money::Currency::Usd) };
    assert!(matches!(step(&paid, other, at(3)), Err(Illegal::Money(_))), "another currency");
    let (part, effects) = run(paid, [(3, refund(10, 3_000))]);
    assert_eq!((part.state, part.refunded_amount()), (State::Charged, Money::kzt(3_000)));
    assert_eq!(effects, [told(3_000, false)]);
    assert_eq!(step(&part, refund(11, 5_001), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    assert_eq!(step(&part, refund(11, 0), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    assert_eq!(step(&part, refund(11, -1), at(4)), Err(Illegal::RefundAmount(Money::kzt(5_000))));
    let (whole, effects) = run(part, [(4, refund(11, 5_000)), (5, refund(11, 5_000))]);
    assert_eq!(whole.state, State::RefundOwed);
    assert_eq!(effects, [Effect::RevokeTicket, Effect::ReleaseSlot, told(5_000, true)]);
    assert!(matches!(step(&whole, refund(12, 1), at(6)), Err(Illegal::NotCharged { .. })));
}

#[test]
fn m14_a_refund_has_a_doubt_of_its_own_that_only_evidence_ends() {
    let able = Contract { can_refund: true, ..contract() };
    let open = Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: able };
    let of = |finding| Event::RefundEvidence {
        refund: reference(10),
        id: String::new(),
        source: EvidenceSource::Response,
        finding,
    };
    let (charge, _) = run(
        opened(),
        [(1, open), (2, evidence(1, charged())), (3, Event::RequestRefund { refund: reference(10), amount: FARE })],
    );
    assert_eq!(charge.state, State::Refunding);
    let (charge, _) = run(charge, [(4, of(doubtful(Doubt::Timeout))), (900, Event::Tick)]);
    assert_eq!((charge.state, charge.refunds[0].state), (State::Refunding, RefundState::InDoubt));
    let (refused, _) = run(charge.clone(), [(5, of(rejected(Retry::Never)))]);
    assert_eq!(refused.state, State::RefundOwed);
    let (done, effects) = run(refused, [(6, of(charged()))]);
    assert_eq!((done.state, breaks(&effects)), (State::Refunded, vec![Break::RefundedAfterRefusal]));
    let (still_done, effects) = run(done.clone(), [(7, of(rejected(Retry::Never)))]);
    assert_eq!((still_done.state, breaks(&effects)), (done.state, vec![Break::RefusedAfterRefund]));
}

#[test]
fn a_definite_but_passing_no_waits_for_another_attempt_until_the_deadline_or_the_bound() {
    let (charge, effects) = run(sent(), [(2, evidence(1, rejected(Retry::SameCarrier)))]);
    assert!(charge.wants_attempt());
    assert_eq!(effects, [Effect::TryAgain]);
    let (late, _) = run(sent(), [(61, evidence(1, rejected(Retry::SameCarrier)))]);
    assert_eq!(late.state, State::Rejected(Reason::CarrierUnavailable));

    let mut charge = opened();
    for number in 1..=u16::try_from(ATTEMPTS_MAX).expect("small") {
        charge = run(charge, [(1, open_attempt()), (1, evidence(number, Finding::NotSent))]).0;
    }
    assert_eq!(charge.state, State::Declined(Reason::CarrierUnavailable), "not one byte of it was ever sent");
}

#[test]
fn a_receipt_before_its_response_ends_the_same_way() {
    let (first, _) = run(sent(), [(2, evidence(1, charged())), (3, evidence(1, accepted()))]);
    let (last, _) = run(sent(), [(2, evidence(1, accepted())), (3, evidence(1, charged()))]);
    assert_eq!((first.state, last.state), (State::Charged, State::Charged));
    assert_eq!(first.attempts[0].carrier_id, last.attempts[0].carrier_id);
}

#[test]
fn another_amount_or_another_id_is_a_break_beside_the_outcome() {
    let odd = Finding::Charged { carrier_id: Some("b2".into()), amount: Some(Money::kzt(7_000)) };
    let (charge, effects) = run(sent(), [(2, evidence(1, accepted())), (3, evidence(1, odd))]);
    assert_eq!(charge.state, State::Charged);
    assert_eq!(breaks(&effects), [Break::CarrierIdDiffers, Break::AmountDiffers]);
}

#[test]
fn case_40_a_clock_that_jumps_back_is_held_where_it_was() {
    let (charge, _) = run(sent(), [(50, evidence(1, accepted())), (3, evidence(1, charged()))]);
    assert_eq!((charge.charged_at, charge.updated_at), (Some(at(50)), at(50)));
}

#[test]
fn a_charge_reads_back_from_its_json() {
    let (charge, _) = run(in_doubt(), [(61, evidence(1, charged()))]);
    let json = serde_json::to_string(&charge).expect("plain data");
    assert_eq!(serde_json::from_str::<Charge>(&json).expect("its own writing"), charge);
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::NotSent),
        Just(rejected(Retry::Never)),
        Just(rejected(Retry::SameCarrier)),
        Just(rejected(Retry::OtherCarrier)),
        Just(accepted()),
        Just(Finding::OtpNeeded { carrier_id: Some("7".into()), validation: None }),
        Just(Finding::Reserved { carrier_id: Some("7".into()) }),
        Just(Finding::Cancelled),
        Just(Finding::Accepted { carrier_id: None }),
        Just(charged()),
        Just(doubtful(Doubt::Timeout)),
        Just(doubtful(Doubt::Duplicate)),
        any::<bool>().prop_map(|complete| Finding::NotFound { complete }),
        Just(Finding::Nothing),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => prop_oneof![Just(open_attempt()), Just(open_two_steps())],
        1 => Just(Event::SubmitOtp),
        6 => (1..4_u16, any_finding()).prop_map(|(attempt, finding)| evidence(attempt, finding)),
        2 => Just(Event::Tick),
        1 => Just(Event::Supersede { by: reference(9) }),
        1 => (10..14_u8, 1..9_000_i64).prop_map(|(n, minor)| Event::RequestRefund { refund: reference(n), amount: Money::kzt(minor) }),
        1 => (10..14_u8, any_finding()).prop_map(|(n, finding)| Event::RefundEvidence { refund: reference(n), id: String::new(), source: EvidenceSource::Response, finding }),
        1 => Just(Event::Decline { reason: Reason::CreditDebt }),
        1 => any_finding().prop_map(|finding| match evidence(1, finding) {
            Event::Evidence(evidence) => Event::EvidenceWithoutTicket(evidence),
            other => other,
        }),
        1 => (10..14_u8, any_finding()).prop_map(|(n, finding)| Event::RefundEvidence {
            refund: reference(n),
            id: String::new(),
            source: EvidenceSource::Operator { name: "aigul".into(), because: "the books".into() },
            finding,
        }),
        1 => (10..14_u8).prop_map(|n| Event::PayOut { refund: reference(n), by: "aigul".into(), because: "cash".into() }),
    ]
}

/// What the carrier has truly taken for this charge if each attempt proved as paid took the amount once.
fn proved_as_paid(history: &[Event], charge: &Charge) -> usize {
    charge
        .attempts
        .iter()
        .filter(|attempt| {
            history.iter().any(|event| {
                let (Event::Evidence(e) | Event::EvidenceWithoutTicket(e)) = event else { return false };
                e.attempt == attempt.number && matches!(e.finding, Finding::Charged { .. })
            })
        })
        .count()
}

mod refund_evidence;
mod refund_messages;
mod refunding;
mod reserving;
mod second_step;
mod values;
mod waiting;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The heart of it: whatever happens in whatever order, each proof of payment has a ticket or a refund, there is at
    /// most one ticket, and what is final stays.
    #[test]
    fn every_proof_of_payment_has_a_ticket_or_a_refund(events in prop::collection::vec((0..30_u64, any_event()), 1..40)) {
        let (mut charge, mut now, mut tickets, mut history) = (opened(), 0, 0, Vec::new());
        for (pause, event) in events {
            now += pause;
            let Ok(done) = step(&charge, event.clone(), at(now)) else { continue };
            // Evidence for an attempt that is not open yet proves nothing of the one that gets its number later.
            if let Event::Evidence(e) | Event::EvidenceWithoutTicket(e) = &event
                && charge.attempt(e.attempt).is_some()
            {
                history.push(event.clone());
            }
            for (before, after) in charge.refunds.iter().zip(&done.next.refunds) {
                prop_assert!(!before.state.is_settled() || before.state == after.state, "a settled refund was overwritten");
            }
            tickets += done.effects.iter().filter(|e| **e == Effect::IssueTicket).count();
            if charge.state.is_not_taken() { prop_assert_eq!(done.next.state, charge.state) }
            let nothing = done.next == charge && done.effects.is_empty();
            prop_assert_eq!(done.next.version == charge.version, nothing);
            charge = done.next;
        }
        prop_assert!(tickets <= 1);
        let owed = charge.refunds.iter().filter(|r| r.attempt.is_some()).count();
        let own = usize::from(charge.charged_at.is_some());
        prop_assert_eq!(proved_as_paid(&history, &charge), own + owed);
        if own == 1 {
            let refunded = charge.refunded_amount();
            prop_assert!(refunded.minor <= FARE.minor);
            prop_assert!(tickets == 1 || refunded == FARE, "money without a ticket or a refund: {:?}", charge);
        }
    }

    /// M9: evidence of one attempt that does not contradict itself ends the same in every order.
    #[test]
    fn m09_evidence_that_does_not_contradict_commutes(
        outcome in prop_oneof![Just(charged()), Just(rejected(Retry::Never))],
        others in subsequence(vec![accepted(), Finding::Accepted { carrier_id: None }, doubtful(Doubt::Timeout), doubtful(Doubt::LinkLost), Finding::Nothing], 0..=5),
        seed in any::<prop::sample::Index>(),
    ) {
        let mut all = others;
        all.push(outcome);
        let events = |list: &[Finding]| list.iter().map(|f| (5, evidence(1, f.clone()))).collect::<Vec<_>>();
        let (expected, effects) = run(sent(), events(&all));
        prop_assert_eq!(breaks(&effects), vec![]);
        let shift = seed.index(all.len());
        all.rotate_left(shift);
        let (rotated, _) = run(sent(), events(&all));
        all.reverse();
        let (reversed, _) = run(sent(), events(&all));
        for other in [rotated, reversed] {
            prop_assert_eq!(other.state, expected.state);
            prop_assert_eq!(other.attempts[0].state.code(), expected.attempts[0].state.code());
            prop_assert_eq!(&other.refunds, &expected.refunds);
        }
    }
}
