//! The small values of a charge: names, codes, and what is read off a state.

use super::*;
use crate::charge::{Channel, OwedBecause, RefundState};

/// What serde writes for a plain enum.
fn written(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).expect("a plain enum").as_str().expect("a text").to_owned()
}

#[test]
fn each_state_says_whether_money_may_still_move_and_why_none_did() {
    let no = Reason::CreditDebt;
    let cases = [
        (State::Processing, true, false, None),
        (State::AwaitingOtp, true, false, None),
        (State::Charged, false, false, None),
        (State::Declined(no), false, true, Some(no)),
        (State::Rejected(no), false, true, Some(no)),
        (State::InDoubt, true, false, None),
        (State::Refunding, false, false, None),
        (State::RefundOwed, false, false, None),
        (State::Refunded, false, false, None),
    ];
    for (state, is_open, is_not_taken, reason) in cases {
        assert_eq!(
            (state.is_open(), state.is_not_taken(), state.reason()),
            (is_open, is_not_taken, reason),
            "{state:?}"
        );
        let json = serde_json::to_value(state).expect("plain data");
        assert_eq!(json["state"], state.code());
    }
}

#[test]
fn the_codes_of_breaks_and_doubts_are_what_serde_writes() {
    let breaks = [
        Break::ChargedAfterRejection,
        Break::RejectedAfterCharge,
        Break::AnswerToUnsent,
        Break::AmountDiffers,
        Break::CarrierIdDiffers,
        Break::UnknownAttempt,
        Break::RefundedAfterRefusal,
        Break::RefundedTwice,
        Break::RefusedAfterRefund,
        Break::NoTicket,
    ];
    for found in breaks {
        assert_eq!(found.code(), written(found));
    }
    let doubts = [
        Doubt::Timeout,
        Doubt::LinkLost,
        Doubt::NackWithoutSequence,
        Doubt::UnclearAnswer,
        Doubt::Duplicate,
        Doubt::Restart,
    ];
    for doubt in doubts {
        assert_eq!((doubt.code(), doubt.to_string()), (written(doubt).as_str(), written(doubt)));
    }
}

#[test]
fn each_finding_has_a_code_for_logs_and_metrics() {
    let cases = [
        (Finding::NotSent, "not_sent"),
        (rejected(Retry::Never), "rejected"),
        (accepted(), "accepted"),
        (Finding::OtpNeeded { carrier_id: None, validation: None }, "otp_needed"),
        (Finding::Reserved { carrier_id: None }, "reserved"),
        (Finding::Cancelled, "cancelled"),
        (charged(), "charged"),
        (doubtful(Doubt::Timeout), "in_doubt"),
        (Finding::NotFound { complete: true, asked_at: None }, "not_found"),
        (Finding::Nothing, "nothing"),
    ];
    for (finding, code) in cases {
        assert_eq!(finding.code(), code);
    }
}

#[test]
fn m09_evidence_is_counted_by_its_id_and_what_has_none_is_not() {
    let of_refund = |id: &str| Event::RefundEvidence {
        refund: reference(10),
        id: id.into(),
        source: EvidenceSource::Response,
        finding: charged(),
    };
    assert_eq!(evidence(1, charged()).evidence_id(), Some("e"));
    assert_eq!(of_refund("r").evidence_id(), Some("r"));
    assert_eq!(of_refund("").evidence_id(), None, "as older versions wrote it");
    assert_eq!(Event::Tick.evidence_id(), None);
}

#[test]
fn a_reference_is_shown_as_the_uuid_that_it_reads_back_from() {
    let made = reference(7);
    assert_eq!(made.to_string(), made.uuid().to_string());
    assert_eq!(format!("{made:?}"), made.to_string());
    assert_eq!(made.to_string().parse(), Ok(made));
    assert_eq!(Reference::from_bytes(*made.as_bytes()), made);
}

#[test]
fn m14_a_derived_reference_is_the_same_each_time_and_another_for_each_purpose_and_number() {
    let made = reference(7);
    let derived = made.derive("refund of attempt", 1);
    assert_eq!(made.derive("refund of attempt", 1), derived);
    assert_eq!(derived.as_bytes()[..6], made.as_bytes()[..6], "it sorts beside the one that it comes from");
    let others = [
        made,
        made.derive("late refund", 1),
        made.derive("refund of attempt", 2),
        reference(8).derive("refund of attempt", 1),
    ];
    assert!(others.iter().all(|other| *other != derived));
}

#[test]
fn a_carrier_is_named_by_small_letters_digits_dashes_and_underscores_only() {
    for good in ["a", "z", "0", "9", "tele2", "tele2-altel", "kcell_activ", "-", "_", &"a".repeat(32)] {
        let name: CarrierName = good.parse().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((name.as_str(), name.to_string(), String::from(name.clone())), (good, good.into(), good.into()));
        assert_eq!(format!("{name:?}"), good);
    }
    for bad in ["", "Beeline", "bee line", "bee.line", "билайн", "a:b", &"a".repeat(33)] {
        assert!(bad.parse::<CarrierName>().is_err(), "{bad:?}");
        assert!(CarrierName::try_from(bad.to_owned()).is_err(), "{bad:?}");
    }
}

#[test]
fn who_asked_and_over_which_bind_follow_from_the_channel() {
    let caller = || String::from("app");
    let cases = [
        (Channel::Sms { carrier: carrier() }, Some(carrier()), None),
        (Channel::Api { caller: caller() }, None, Some("app")),
        (Channel::ApiForSms { caller: caller(), carrier: carrier() }, Some(carrier()), Some("app")),
    ];
    for (channel, sms_carrier, asked_by) in cases {
        assert_eq!((channel.sms_carrier(), channel.caller()), (sms_carrier.as_ref(), asked_by), "{channel:?}");
    }
}

#[test]
fn only_an_attempt_that_may_have_arrived_may_have_an_id_that_nobody_told_us() {
    let attempt = |events: Vec<(u64, Event)>| run(sent(), events).0.attempts[0].clone();
    let unknown = |events| attempt(events).may_have_unknown_id();
    let no = || evidence(1, rejected(Retry::Never));
    let lost = || evidence(1, doubtful(Doubt::Timeout));
    assert!(unknown(vec![]), "it is on its way");
    assert!(unknown(vec![(2, lost())]));
    assert!(unknown(vec![(2, evidence(1, charged()))]), "a receipt came, and no response");
    assert!(!unknown(vec![(2, evidence(1, accepted()))]), "the response named it");
    assert!(!unknown(vec![(2, evidence(1, Finding::NotSent))]));
    assert!(!unknown(vec![(2, no())]), "refused in its own response");
    assert!(unknown(vec![(2, lost()), (3, no())]), "refused after a doubt, perhaps in spite of having arrived");
    assert!(!unknown(vec![(2, evidence(1, accepted())), (61, Event::Tick), (62, no())]));
}

#[test]
fn each_state_of_an_attempt_has_the_code_that_is_stored() {
    let no = Rejection { reason: Reason::Barred, retry: Retry::Never, detail: String::new() };
    let states = [
        AttemptState::Open,
        AttemptState::NotSent,
        AttemptState::Rejected(no),
        AttemptState::Accepted,
        AttemptState::Charged,
        AttemptState::InDoubt { cause: Doubt::Timeout },
    ];
    for state in states {
        assert_eq!(serde_json::to_value(&state).expect("plain data")["attempt"], state.code());
    }
}

#[test]
fn a_refund_shows_outside_how_far_it_is_and_not_how_it_is_asked_for() {
    let cases = [
        (RefundState::Requested, "processing"),
        (RefundState::Waiting, "processing"),
        (RefundState::Accepted, "processing"),
        (RefundState::InDoubt, "in_doubt"),
        (RefundState::Owed, "owed"),
        (RefundState::Done, "done"),
        (RefundState::PaidOut, "paid_out"),
    ];
    for (state, code) in cases {
        assert_eq!((state.public_code(), state.code()), (code, written(state).as_str()));
        assert_eq!(state.is_settled(), matches!(code, "done" | "paid_out"), "{code}");
    }
    assert_eq!(RefundState::ALL, cases.map(|(state, _)| state));
}

#[test]
fn each_reason_for_which_money_is_owed_has_the_code_that_is_stored() {
    let reasons = [
        OwedBecause::NotRefundable,
        OwedBecause::Refused { reason: Reason::CarrierRefused, detail: "403".into() },
        OwedBecause::Lost,
        OwedBecause::Resolved { name: "aigul".into(), because: "the carrier's log".into() },
    ];
    for owed in reasons {
        assert_eq!(serde_json::to_value(&owed).expect("plain data")["why"], owed.code());
    }
}

#[test]
fn a_contract_reads_back_from_what_an_older_version_wrote() {
    let mut json = serde_json::to_value(contract()).expect("plain data");
    let object = json.as_object_mut().expect("an object");
    for new in ["queries_by_carrier_id", "queries_refunds", "replays_keys", "reservation_ms"] {
        object.remove(new).expect("a key");
    }
    let old: Contract = serde_json::from_value(json).expect("as it was");
    assert!(old.queries_refunds, "they were asked, and answered or not");
    assert!(!old.queries_by_carrier_id && !old.replays_keys && old.reservation_ms.is_none());
}

#[test]
fn a_refund_is_the_matter_of_the_carrier_that_took_the_money() {
    let other: CarrierName = "kcell".parse().expect("a name");
    let elsewhere = Event::OpenAttempt {
        carrier: other.clone(),
        wire_reference: "8".into(),
        contract: contract(),
        carrier_time: None,
    };
    let first_no = evidence(1, rejected(Retry::OtherCarrier));
    // Both carriers took it: the first one in spite of what it said.
    let (charge, _) =
        run(sent(), [(2, first_no), (3, elsewhere), (4, evidence(2, charged())), (5, evidence(1, charged()))]);
    let ask = Event::RequestRefund { refund: reference(10), amount: FARE, by: None };
    let (charge, _) = run(charge, [(6, ask)]);
    assert_eq!(charge.refunds.iter().map(|refund| refund.attempt).collect::<Vec<_>>(), [Some(1), None]);
    let carriers: Vec<_> = charge.refunds.iter().map(|refund| charge.carrier_of(refund)).collect();
    assert_eq!(carriers, [Some(&carrier()), Some(&other)]);
}

#[test]
fn the_subscribers_number_is_masked_wherever_a_carrier_says_no() {
    let order = samples::order(T0);
    let no = Finding::Rejected {
        reason: Reason::Barred,
        retry: Retry::Never,
        detail: format!("+{} is barred", order.msisdn.e164()),
    };
    let piece = || Evidence { id: "e".into(), attempt: 1, source: EvidenceSource::Response, finding: no.clone() };
    let (refund, id, source) = (reference(10), String::from("r"), EvidenceSource::Response);
    let events = [
        Event::Evidence(piece()),
        Event::EvidenceWithoutTicket(piece()),
        Event::RefundEvidence { refund, id, source, finding: no.clone() },
    ];
    for event in events {
        let (Event::Evidence(Evidence { finding, .. })
        | Event::EvidenceWithoutTicket(Evidence { finding, .. })
        | Event::RefundEvidence { finding, .. }) = event.masked(order.msisdn)
        else {
            panic!("another event");
        };
        let Finding::Rejected { detail, .. } = finding else { panic!("another finding") };
        assert_eq!(detail, format!("{} is barred", order.msisdn.masked()));
    }
}

#[test]
fn the_subscribers_number_is_masked_in_the_words_of_people() {
    let order = samples::order(T0);
    let because = format!("+{} said so on the phone", order.msisdn.e164());
    let source = EvidenceSource::Operator { name: "aizhan".into(), because: because.clone() };
    let finding = Finding::Charged { carrier_id: None, amount: None };
    let refund = reference(10);
    let words = |event: Event| match event.masked(order.msisdn) {
        Event::Evidence(Evidence { source: EvidenceSource::Operator { because, .. }, .. })
        | Event::RefundEvidence { source: EvidenceSource::Operator { because, .. }, .. }
        | Event::PayOut { because, .. } => because,
        other => panic!("{other:?}"),
    };
    let said = format!("{} said so on the phone", order.msisdn.masked());
    let evidence = Evidence { id: "e".into(), attempt: 1, source: source.clone(), finding: finding.clone() };
    assert_eq!(words(Event::Evidence(evidence)), said);
    assert_eq!(words(Event::RefundEvidence { refund, id: "r".into(), source, finding }), said);
    assert_eq!(words(Event::PayOut { refund, by: "aizhan".into(), because }), said);
}

#[test]
fn a_charge_reads_back_from_its_json() {
    let (charge, _) = run(in_doubt(), [(61, evidence(1, charged()))]);
    let json = serde_json::to_string(&charge).expect("plain data");
    assert_eq!(serde_json::from_str::<Charge>(&json).expect("its own writing"), charge);
}
