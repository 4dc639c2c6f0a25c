use std::time::Duration;

use super::{posting::add, *};
use crate::{
    charge::{
        Charge, Contract, Doubt, Event, Evidence, EvidenceSource, Fee, Finding, LateSuccess, Reason, Reference, Retry,
        Terms, samples, step,
    },
    clock::Timestamp,
    money::Money,
};

const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);

fn charge() -> Charge {
    let terms = Terms::new(T0.plus(Duration::from_secs(60)), LateSuccess::Refund);
    Charge::new(Reference::new(T0, [1; 10]), samples::order(T0), terms)
}

fn open() -> Event {
    open_with(None)
}

fn open_with(fee: Option<Fee>) -> Event {
    let contract = Contract {
        in_flight_delay_ms: 0,
        queries: None,
        can_refund: true,
        refund_message: None,
        replays_keys: false,
        reservation_ms: None,
        queries_by_carrier_id: false,
        queries_refunds: true,
        fee,
    };
    Event::OpenAttempt {
        carrier: "beeline".parse().expect("a name"),
        wire_reference: "1".into(),
        contract,
        carrier_time: None,
    }
}

fn finding(attempt: u16, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: "e".into(), attempt, source: EvidenceSource::Response, finding })
}

fn paid() -> Finding {
    Finding::Charged { carrier_id: None, amount: None }
}

/// Runs the events and returns all entries, after checking that they add up to the charge's position.
fn books(events: Vec<(u64, Event)>) -> Vec<(String, i64)> {
    books_of(charge(), events)
}

fn books_of(mut charge: Charge, events: Vec<(u64, Event)>) -> Vec<(String, i64)> {
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
    let refund = Event::RequestRefund { refund: Reference::new(T0, [9; 10]), amount: Money::kzt(3_000), by: None };
    let expected = [
        line("carrier_receivable:beeline", 8_000),
        line("fare_revenue:green-bus", -8_000),
        line("refunds:green-bus", 3_000),
        line("refunds_owed", -3_000),
    ];
    assert_eq!(books(vec![(1, open()), (2, finding(1, paid())), (3, refund)]), expected);
}

fn fee(returned: bool) -> Option<Fee> {
    Some(Fee { percent: "5".parse().unwrap(), fixed_minor: 0, vat: "12".parse().unwrap(), returned })
}

fn taxed() -> Charge {
    let mut charge = charge();
    charge.terms.fare_vat = "16".parse().unwrap();
    charge
}

fn refund(number: u8, minor: i64) -> [Event; 2] {
    let refund = Reference::new(T0, [number; 10]);
    let source = EvidenceSource::Response;
    [
        Event::RequestRefund { refund, amount: Money::kzt(minor), by: None },
        Event::RefundEvidence { refund, id: String::new(), source, finding: paid() },
    ]
}

#[test]
fn a_fare_is_revenue_without_its_tax_and_the_carrier_owes_it_without_its_fee() {
    let expected = [
        line("carrier_receivable:beeline", 7_552),
        line("carrier_fee:beeline", 400),
        line("vat_input:beeline", 48),
        line("fare_revenue:green-bus", -6_897),
        line("vat_output:green-bus", -1_103),
    ];
    assert_eq!(books_of(taxed(), vec![(1, open_with(fee(false))), (2, finding(1, paid()))]), expected);
}

#[test]
fn a_doubt_is_whole_until_it_is_known_that_the_carrier_took_anything() {
    let doubt = finding(1, Finding::Doubtful { cause: Doubt::Timeout });
    let expected = [line("carrier_receivable:beeline", 8_000), line("in_doubt_suspense", -8_000)];
    assert_eq!(books_of(taxed(), vec![(1, open_with(fee(false))), (2, doubt)]), expected);
}

#[test]
fn what_went_back_leaves_the_carrier_its_fee_only_where_the_contract_says_so() {
    let [ask, done] = refund(9, 8_000);
    let events =
        |returned| vec![(1, open_with(fee(returned))), (2, finding(1, paid())), (3, ask.clone()), (4, done.clone())];
    let nothing_earned = [line("fare_revenue:green-bus", -6_897), line("refunds:green-bus", 6_897)];
    assert_eq!(books_of(taxed(), events(true)), nothing_earned);
    let [revenue, refunds] = nothing_earned;
    let fee_lost =
        [line("carrier_receivable:beeline", -448), line("carrier_fee:beeline", 400), line("vat_input:beeline", 48)];
    assert_eq!(books_of(taxed(), events(false)), [&fee_lost[..], &[revenue, refunds]].concat());
}

#[test]
fn a_part_that_goes_back_takes_its_own_tax_with_it() {
    let [ask, done] = refund(9, 3_000);
    let expected = [
        line("carrier_receivable:beeline", 5_000),
        line("fare_revenue:green-bus", -6_897),
        line("vat_output:green-bus", -690),
        line("refunds:green-bus", 2_587),
    ];
    assert_eq!(books_of(taxed(), vec![(1, open()), (2, finding(1, paid())), (3, ask), (4, done)]), expected);
}

#[test]
fn the_tax_on_the_parts_that_go_back_is_the_tax_on_the_whole() {
    let mut events = vec![(1, open()), (2, finding(1, paid()))];
    for (number, minor) in [(1, 1_111), (2, 2_222), (3, 4_667)] {
        events.extend(refund(number, minor).map(|event| (u64::from(number) + 2, event)));
    }
    let books = books_of(taxed(), events);
    assert_eq!(books, [line("fare_revenue:green-bus", -6_897), line("refunds:green-bus", 6_897)]);
}

#[test]
fn accounts_read_back_from_their_names() {
    let owned = ["carrier_receivable", "carrier_fee", "vat_input", "fare_revenue", "vat_output", "refunds"];
    let names = owned.map(|kind| format!("{kind}:kcell")).into_iter();
    for name in names.chain(["in_doubt_suspense".into(), "refunds_owed".into(), "refunds_paid_out".into()]) {
        assert_eq!(Account::try_from(name.clone()).map(String::from), Ok(name));
    }
    for name in ["refunds", "refunds:", "till:1", "refunds_owed:kcell", "in_doubt_suspense:1", ""] {
        assert!(Account::try_from(name.to_string()).is_err(), "{name:?}");
    }
}

#[test]
fn only_what_stands_on_a_carriers_statement_names_the_carrier() {
    let of = |name: &str| Account::try_from(name.to_string()).unwrap().carrier().map(str::to_owned);
    for name in ["carrier_receivable:kcell", "carrier_fee:kcell", "vat_input:kcell"] {
        assert_eq!(of(name), Some("kcell".into()), "{name}");
    }
    for name in ["fare_revenue:kcell", "vat_output:kcell", "refunds:kcell", "in_doubt_suspense", "refunds_owed"] {
        assert_eq!(of(name), None, "{name}");
    }
}

#[test]
fn m14_what_was_paid_out_is_owed_to_nobody_and_the_carrier_still_owes_it_to_us() {
    let refund = Reference::new(T0, [9; 10]);
    let ask = Event::RequestRefund { refund, amount: Money::kzt(8_000), by: None };
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

mod auditing;
mod bounds;
