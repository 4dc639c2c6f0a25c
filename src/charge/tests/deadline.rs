//! In time a ticket; too late the money goes back (M10 to M12).

use super::*;

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
    let open =
        Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract: able, carrier_time: None };
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
fn case_40_a_clock_that_jumps_back_is_held_where_it_was() {
    let (charge, _) = run(sent(), [(50, evidence(1, accepted())), (3, evidence(1, charged()))]);
    assert_eq!((charge.charged_at, charge.updated_at), (Some(at(50)), at(50)));
}
