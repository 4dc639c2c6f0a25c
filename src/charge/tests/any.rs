//! Whatever happens, in whatever order.

use proptest::{prelude::*, sample::subsequence};

use super::*;

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
        any::<bool>().prop_map(|complete| Finding::NotFound { complete, asked_at: None }),
        Just(Finding::Nothing),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => prop_oneof![Just(open_attempt()), Just(open_two_steps())],
        1 => Just(Event::SubmitOtp),
        6 => (1..4_u16, any_finding()).prop_map(|(attempt, finding)| evidence(attempt, finding)),
        2 => Just(Event::Tick),
        1 => Just(Event::TickWithoutRepetition),
        1 => Just(Event::Supersede { by: reference(9) }),
        1 => (10..14_u8, 1..9_000_i64).prop_map(|(n, minor)| Event::RequestRefund { refund: reference(n), amount: Money::kzt(minor), by: None }),
        1 => (10..14_u8, any_finding()).prop_map(|(n, finding)| Event::RefundEvidence { refund: reference(n), id: String::new(), source: EvidenceSource::Response, finding }),
        1 => Just(Event::Decline { reason: Reason::CreditDebt }),
        1 => (2..5_u32, any::<bool>()).prop_map(|(generation, waited)| Event::Restored {
            generation,
            perhaps: waited.then(|| Box::new(PerhapsSent {
                carrier: carrier(),
                wire_reference: "8".into(),
                contract: contract(),
                carrier_ahead_ms: None,
            })),
        }),
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
