//! What is final stays, and what contradicts it is neither lost nor silent (M8, M9).

use super::*;

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
fn m08_a_no_after_proof_of_payment_opens_a_break_and_overwrites_nothing() {
    let (paid, _) = run(sent(), [(2, evidence(1, charged()))]);
    for finding in [
        rejected(Retry::Never),
        rejected(Retry::SameCarrier),
        Finding::NotSent,
        Finding::NotFound { complete: true, asked_at: None },
    ] {
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
fn m08_the_same_amount_in_another_currency_is_another_amount() {
    let asked = sent().order.amount;
    let odd = Finding::Charged { carrier_id: None, amount: Some(Money::new(asked.minor, crate::money::Currency::Eur)) };
    let (charge, effects) = run(sent(), [(2, evidence(1, odd))]);
    assert_eq!(charge.state, State::Charged);
    assert_eq!(breaks(&effects), [Break::AmountDiffers]);
}
