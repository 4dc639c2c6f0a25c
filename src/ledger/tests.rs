use std::time::Duration;

use super::*;
use crate::{
    charge::{
        Contract, Doubt, Event, Evidence, EvidenceSource, Finding, LateSuccess, Reason, Retry, Terms, samples, step,
    },
    money::Money,
};

const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);

fn charge() -> Charge {
    let terms = Terms { ticket_deadline: T0.plus(Duration::from_secs(60)), late_success: LateSuccess::Refund };
    Charge::new(Reference::new(T0, [1; 10]), samples::order(T0), terms)
}

fn open() -> Event {
    let contract = Contract {
        in_flight_delay_ms: 0,
        queries: None,
        queries_by_carrier_id: false,
        queries_refunds: true,
        can_refund: true,
        replays_keys: false,
        reservation_ms: None,
    };
    Event::OpenAttempt { carrier: "beeline".parse().expect("a name"), wire_reference: "1".into(), contract }
}

fn finding(attempt: u16, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "e".into(), attempt, source: EvidenceSource::Response, finding })
}

fn paid() -> Finding {
    Finding::Charged { carrier_id: None, amount: None }
}

/// Runs the events and returns all entries, after checking that they add up to the charge's position.
fn books(events: Vec<(u64, Event)>) -> Vec<(String, i64)> {
    let mut charge = charge();
    let mut sums = entries(None, &charge);
    for (second, event) in events {
        let next = step(&charge, event, T0.plus(Duration::from_secs(second))).expect("a legal event").next;
        sums.extend(entries(Some(&charge), &next));
        charge = next;
    }
    let mut balances: Vec<(Account, i64)> = Vec::new();
    for entry in sums {
        add(&mut balances, entry.account, entry.minor);
    }
    balances.retain(|(_, minor)| *minor != 0);
    balances.sort();
    let mut expected = position(&charge);
    expected.sort();
    assert_eq!(balances, expected, "the entries lead to the position");
    assert_eq!(balances.iter().map(|(_, minor)| minor).sum::<i64>(), 0);
    balances.into_iter().map(|(account, minor)| (account.to_string(), minor)).collect()
}

fn line(account: &str, minor: i64) -> (String, i64) {
    (account.into(), minor)
}

#[test]
fn a_charge_is_receivable_from_the_carrier_and_revenue_of_the_agency() {
    let expected = [line("carrier_receivable:beeline", 8_000), line("fare_revenue:green-bus", -8_000)];
    assert_eq!(books(vec![(1, open()), (2, finding(1, paid()))]), expected);
}

#[test]
fn a_doubt_stands_in_suspense_until_it_ends() {
    let doubt = || finding(1, Finding::Doubtful { cause: Doubt::Timeout });
    let expected = [line("carrier_receivable:beeline", 8_000), line("in_doubt_suspense", -8_000)];
    assert_eq!(books(vec![(1, open()), (2, doubt())]), expected);
    let no = Finding::Rejected { reason: Reason::Barred, retry: Retry::Never, detail: String::new() };
    assert_eq!(books(vec![(1, open()), (2, doubt()), (3, finding(1, no))]), []);
    let expected = [line("carrier_receivable:beeline", 8_000), line("fare_revenue:green-bus", -8_000)];
    assert_eq!(books(vec![(1, open()), (2, doubt()), (3, finding(1, paid()))]), expected);
}

#[test]
fn what_is_declined_or_rejected_leaves_no_entry() {
    assert_eq!(books(vec![(1, Event::Decline { reason: Reason::CreditDebt })]), []);
    let no = Finding::Rejected { reason: Reason::Barred, retry: Retry::Never, detail: String::new() };
    assert_eq!(books(vec![(1, open()), (2, finding(1, no))]), []);
}

#[test]
fn late_money_is_owed_and_leaves_the_books_when_it_went_back() {
    let refund = charge().reference.derive("late refund", 0);
    let late = vec![(1, open()), (61, finding(1, paid()))];
    let back =
        (62, Event::RefundEvidence { refund, id: String::new(), source: EvidenceSource::Response, finding: paid() });
    assert_eq!(
        books(late.clone()),
        [
            line("carrier_receivable:beeline", 8_000),
            line("fare_revenue:green-bus", -8_000),
            line("refunds:green-bus", 8_000),
            line("refunds_owed", -8_000)
        ]
    );
    let expected = [line("fare_revenue:green-bus", -8_000), line("refunds:green-bus", 8_000)];
    assert_eq!(books([late, vec![back]].concat()), expected);
}

#[test]
fn money_taken_after_a_rejection_is_owed_and_was_never_revenue() {
    let no = Finding::Rejected { reason: Reason::Barred, retry: Retry::Never, detail: String::new() };
    let expected = [line("carrier_receivable:beeline", 8_000), line("refunds_owed", -8_000)];
    assert_eq!(books(vec![(1, open()), (2, finding(1, no)), (3, finding(1, paid()))]), expected);
}

#[test]
fn a_partial_refund_keeps_the_rest_as_revenue() {
    let refund = Event::RequestRefund { refund: Reference::new(T0, [9; 10]), amount: Money::kzt(3_000) };
    let expected = [
        line("carrier_receivable:beeline", 8_000),
        line("fare_revenue:green-bus", -8_000),
        line("refunds:green-bus", 3_000),
        line("refunds_owed", -3_000),
    ];
    assert_eq!(books(vec![(1, open()), (2, finding(1, paid())), (3, refund)]), expected);
}

#[test]
fn accounts_read_back_from_their_names() {
    for name in [
        "carrier_receivable:kcell",
        "fare_revenue:a",
        "refunds:a",
        "in_doubt_suspense",
        "refunds_owed",
        "refunds_paid_out",
    ] {
        assert_eq!(Account::try_from(name.to_string()).map(String::from), Ok(name.into()));
    }
    assert!(Account::try_from("refunds".to_string()).is_err());
    assert!(Account::try_from("till:1".to_string()).is_err());
}

#[test]
fn m14_what_was_paid_out_is_owed_to_nobody_and_the_carrier_still_owes_it_to_us() {
    let refund = Reference::new(T0, [9; 10]);
    let ask = Event::RequestRefund { refund, amount: Money::kzt(8_000) };
    let no = Finding::Rejected { reason: Reason::CarrierRefused, retry: Retry::Never, detail: String::new() };
    let refused = Event::RefundEvidence { refund, id: String::new(), source: EvidenceSource::Response, finding: no };
    let paid_out = Event::PayOut { refund, by: "aigul".into(), because: "in cash".into() };
    let expected = [
        line("carrier_receivable:beeline", 8_000),
        line("fare_revenue:green-bus", -8_000),
        line("refunds:green-bus", 8_000),
        line("refunds_paid_out", -8_000),
    ];
    assert_eq!(books(vec![(1, open()), (2, finding(1, paid())), (3, ask), (4, refused), (5, paid_out)]), expected);
}
