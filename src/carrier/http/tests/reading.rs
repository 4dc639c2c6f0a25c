use proptest::prelude::*;

use super::*;
use crate::{
    carrier::http::{PortabilityReading, SubscriberReading},
    charge::{CarrierName, Doubt, Finding, Reason, Retry},
    eligibility::{FactName, FactValue},
    money::Money,
};

fn charge(status: u16, body: &str) -> Finding {
    let profile = profile(JSON);
    read(&profile, Operation::Charge, status, &body.replace("REF", &wire(&profile))).finding
}

fn rejected(reason: Reason, retry: Retry) -> impl Fn(&Finding) -> bool {
    move |finding| matches!(finding, Finding::Rejected { reason: r, retry: t, .. } if *r == reason && *t == retry)
}

const UNCLEAR: Finding = Finding::Doubtful { cause: Doubt::UnclearAnswer };

#[test]
fn a_listed_result_with_our_reference_is_charged_with_id_and_amount() {
    let finding =
        charge(200, r#"{"status": "OK", "id": "REF", "paymentId": "p-1", "amount": 80.00, "currency": "KZT"}"#);
    assert_eq!(finding, Finding::Charged { carrier_id: Some("p-1".into()), amount: Some(Money::kzt(8_000)) });
    let finding = charge(201, r#"{"status": "OK", "id": "REF"}"#);
    assert_eq!(finding, Finding::Charged { carrier_id: None, amount: None });
}

#[test]
fn another_amount_is_told_and_a_strange_one_is_not_believed() {
    let amount = |text: &str| charge(200, &format!(r#"{{"status": "OK", "id": "REF", {text}}}"#));
    assert_eq!(amount(r#""amount": "90.50""#), Finding::Charged { carrier_id: None, amount: Some(Money::kzt(9_050)) });
    let euro = Money::new(8_000, crate::money::Currency::Eur);
    assert_eq!(amount(r#""amount": 80, "currency": "EUR""#), Finding::Charged { carrier_id: None, amount: Some(euro) });
    for strange in [
        r#""amount": -80"#,
        r#""amount": "eighty""#,
        r#""amount": 80.001"#,
        r#""currency": "XXX""#,
        r#""currency": "EUR""#,
    ] {
        assert_eq!(amount(strange), UNCLEAR, "{strange}");
    }
}

#[test]
fn an_answer_about_something_else_is_never_charged() {
    for body in [
        r#"{"status": "OK"}"#,
        r#"{"status": "OK", "id": "somebody-else"}"#,
        r#"{"status": "OK", "id": "REF", "msisdn": "+77017654321"}"#,
        r#"{"status": "OK", "id": "REF", "asked": "80.01"}"#,
        r#"{"status": "OK", "id": "REF", "id": "REF"}"#,
        r#"{"status": "OK", "status": "OK", "id": "REF"}"#,
        r#"{"status": {"OK": 1}, "id": "REF"}"#,
        r#"{"status": "ok", "id": "REF"}"#,
        r#"{"status": "OK", "id": "REF""#,
        r#"<html>OK</html>"#,
        "",
    ] {
        assert_eq!(charge(200, body), UNCLEAR, "{body}");
    }
    // A no about somebody else is no no.
    assert_eq!(charge(200, r#"{"error": {"code": "NO_MONEY"}, "id": "somebody-else"}"#), UNCLEAR);
    let good = r#"{"status": "OK", "id": "REF", "msisdn": "87011234567", "asked": 80}"#;
    assert!(matches!(charge(200, good), Finding::Charged { .. }));
}

#[test]
fn good_news_needs_a_status_of_success() {
    for status in [100, 302, 400, 404, 500, 503] {
        let finding = charge(status, r#"{"status": "OK", "id": "REF"}"#);
        assert!(!matches!(finding, Finding::Charged { .. }), "{status}: {finding:?}");
    }
}

#[test]
fn the_most_exact_row_counts() {
    let code = |status, code: &str| charge(status, &format!(r#"{{"error": {{"code": "{code}"}}}}"#));
    assert!(rejected(Reason::InsufficientBalance, Retry::Never)(&code(400, "NO_MONEY")));
    assert!(rejected(Reason::NotOurSubscriber, Retry::OtherCarrier)(&code(404, "NO_MONEY")));
    assert!(rejected(Reason::Barred, Retry::Never)(&code(403, "POLICY")));
    assert!(rejected(Reason::CarrierRefused, Retry::Never)(&code(200, "POLICY")));
    assert!(rejected(Reason::CarrierRefused, Retry::Never)(&code(400, "UNKNOWN")));
    assert!(rejected(Reason::Barred, Retry::Never)(&code(422, "UNKNOWN")));
    let debt = charge(403, r#"{"error": {"code": "POLICY", "sub": "debt", "text": "pay back"}}"#);
    assert!(rejected(Reason::CreditDebt, Retry::Never)(&debt));
    assert!(matches!(debt, Finding::Rejected { detail, .. } if detail == "POLICY debt: pay back"));
    assert_eq!(code(409, "X"), Finding::Doubtful { cause: Doubt::Duplicate });
}

#[test]
fn m02_what_no_row_lists_is_in_doubt() {
    for (status, body) in
        [(200, r#"{"status": "MAYBE", "id": "REF"}"#), (500, "{}"), (302, ""), (503, "busy"), (200, "{}")]
    {
        assert_eq!(charge(status, body), UNCLEAR, "{status} {body}");
    }
}

#[test]
fn a_body_that_cannot_be_read_says_no_only_where_the_row_holds_for_any() {
    assert!(rejected(Reason::CarrierUnavailable, Retry::SameCarrier)(&charge(429, "<html>slow down</html>")));
    assert_eq!(charge(400, "<html>bad request</html>"), UNCLEAR);
    assert_eq!(charge(409, ""), UNCLEAR);
    let long = format!("{{\"status\": \"OK\", \"x\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(charge(200, &long), UNCLEAR);
}

#[test]
fn m08_a_failed_question_says_nothing() {
    let profile = profile(JSON);
    let status = |status, body: &str| read(&profile, Operation::Status, status, body).finding;
    for (code, body) in
        [(500, "{}"), (429, "x"), (404, "<html>not found</html>"), (200, "{}"), (200, r#"{"status": "ODD"}"#)]
    {
        assert_eq!(status(code, body), Finding::Nothing, "{code} {body}");
    }
    assert_eq!(status(200, r#"{"status": "OK", "id": "another"}"#), Finding::Nothing);
    assert_eq!(status(404, "{}"), Finding::NotFound { complete: false, asked_at: None });
    assert!(matches!(status(200, r#"{"status": "FAILED"}"#), Finding::Rejected { .. }));
    let complete = super::profile(&JSON.replace("[status]\n", "[status]\nnot_found_is_complete = true\n"));
    assert_eq!(
        read(&complete, Operation::Status, 404, "{}").finding,
        Finding::NotFound { complete: true, asked_at: None }
    );
}

#[test]
fn a_refund_is_done_only_for_the_amount_that_was_asked_for() {
    let profile = profile(JSON);
    let refund = |body: &str| read(&profile, Operation::Refund, 200, body).finding;
    assert_eq!(
        refund(r#"{"status": "OK", "amount": 80}"#),
        Finding::Charged { carrier_id: None, amount: Some(Money::kzt(8_000)) }
    );
    assert_eq!(refund(r#"{"status": "OK", "amount": 8}"#), UNCLEAR);
    assert!(matches!(refund(r#"{"status": "NO"}"#), Finding::Rejected { retry: Retry::Never, .. }));
}

#[test]
fn cis_results_mean_what_its_table_says() {
    let profile = shipped("cis");
    let body = |result: &str| {
        format!(
            "<?xml version=\"1.0\"?><response><osmp_txn_id>{}</osmp_txn_id><prv_txn>77</prv_txn><sum>80.00</sum><result>{result}</result><comment>c</comment></response>",
            wire(&profile)
        )
    };
    let read = |operation, status, result| super::read(&profile, operation, status, &body(result)).finding;
    let id = || Some("77".to_owned());
    use Operation::*;
    assert_eq!(read(Charge, 200, "0"), Finding::Charged { carrier_id: id(), amount: Some(Money::kzt(8_000)) });
    assert_eq!(read(Charge, 200, "90"), Finding::Accepted { carrier_id: id() });
    assert!(rejected(Reason::CreditDebt, Retry::Never)(&read(Charge, 200, "221")));
    assert!(rejected(Reason::NotOurSubscriber, Retry::OtherCarrier)(&read(Charge, 200, "5")));
    assert_eq!(read(Charge, 200, "215"), Finding::Doubtful { cause: Doubt::Duplicate });
    assert_eq!(read(Charge, 200, "1"), UNCLEAR);
    assert_eq!(read(Charge, 500, "1"), UNCLEAR);
    assert_eq!(read(Charge, 200, "999"), UNCLEAR);
    assert!(rejected(Reason::CarrierUnavailable, Retry::SameCarrier)(&read(Charge, 429, "1")));
    assert_eq!(read(Reserve, 200, "0"), Finding::Reserved { carrier_id: id() });
    assert_eq!(read(Confirm, 200, "234"), Finding::Cancelled);
    assert_eq!(read(Cancel, 200, "0"), Finding::Cancelled);
    assert_eq!(read(Status, 200, "91"), Finding::Reserved { carrier_id: id() });
    assert_eq!(read(Status, 200, "210"), Finding::NotFound { complete: true, asked_at: None });
    assert_eq!(read(Status, 200, "13"), Finding::Nothing);
    assert!(rejected(Reason::InsufficientBalance, Retry::Never)(&read(Status, 200, "220")));
}

#[test]
fn oneapi_gives_two_ids_that_are_kept_as_one() {
    let profile = shipped("oneapi");
    let body = format!(
        r#"{{"amountTransaction": {{"endUserId": "tel:+77011234567", "referenceCode": "{}", "serverReferenceCode": "ABC-123", "resourceURL": "https://x/payment/v1/tel%3A%2B7/transactions/amount/4711", "transactionOperationStatus": "Charged", "paymentAmount": {{"totalAmountCharged": "80", "chargingInformation": {{"currency": "KZT"}}}}}}}}"#,
        wire(&profile)
    );
    let finding = read(&profile, Operation::Charge, 201, &body).finding;
    assert_eq!(finding, Finding::Charged { carrier_id: Some("ABC-123 4711".into()), amount: Some(Money::kzt(8_000)) });
    let refund = render(&profile, Operation::Refund);
    assert!(super::body(&refund).contains(r#""originalServerReferenceCode": "4711","#), "{}", super::body(&refund));
    assert!(render(&profile, Operation::Status).url.path().ends_with("/transactions/amount/4712"));
    let policy =
        r#"{"requestError": {"policyException": {"messageId": "POL0001", "text": "t", "variables": ["credit_debt"]}}}"#;
    assert!(rejected(Reason::CreditDebt, Retry::Never)(&read(&profile, Operation::Charge, 403, policy).finding));
}

fn subscriber(name: &str, status: u16, body: &str) -> SubscriberReading {
    let profile = shipped(name);
    let sample = sample(&profile, SampleValues::default());
    let status = StatusCode::from_u16(status).expect("a status");
    profile.read_subscriber(&sample.context(Operation::Subscriber), status, body.as_bytes())
}

#[test]
fn facts_are_read_from_their_places_and_what_is_unclear_is_unknown() {
    let body =
        |fields: &str| format!(r#"<response><result>0</result><account>77011234567</account>{fields}</response>"#);
    use FactName::*;
    let expected = |values: [FactValue; 4]| {
        let names = [CorporateNumber, CreditDebt, NoTopUpSinceActivation, InitialBalanceUnused];
        SubscriberReading::Facts(names.into_iter().zip(values).collect())
    };
    use FactValue::{False, True, Unknown};
    let all = "<contract_type>business</contract_type><debt>150.00</debt><topped_up>0</topped_up><initial_balance_untouched>1</initial_balance_untouched>";
    assert_eq!(subscriber("cis", 200, &body(all)), expected([True; 4]));
    let none = "<contract_type>Prepaid</contract_type><debt>0.00</debt><topped_up>1</topped_up><initial_balance_untouched>0</initial_balance_untouched>";
    assert_eq!(subscriber("cis", 200, &body(none)), expected([False; 4]));
    let odd = "<contract_type>gold</contract_type><debt>much</debt><topped_up>0</topped_up><topped_up>1</topped_up>";
    assert_eq!(subscriber("cis", 200, &body(odd)), expected([Unknown; 4]));
    let advance = "<debt>-5</debt>";
    assert_eq!(subscriber("cis", 200, &body(advance)), expected([Unknown, False, Unknown, Unknown]));
}

#[test]
fn an_answer_about_another_number_says_nothing_of_this_one() {
    let body = "<response><result>0</result><account>77017654321</account><debt>1</debt></response>";
    assert!(matches!(subscriber("cis", 200, body), SubscriberReading::Unclear(_)));
    assert_eq!(subscriber("cis", 200, "<response><result>5</result></response>"), SubscriberReading::NotOurSubscriber);
    assert!(matches!(subscriber("cis", 200, "<response><result>1</result></response>"), SubscriberReading::Unclear(_)));
    assert!(matches!(subscriber("cis", 500, "oops"), SubscriberReading::Unclear(_)));
}

#[test]
fn portability_names_one_of_our_carriers_or_says_who_else() {
    let profile = shipped("facts");
    let sample = sample(&profile, SampleValues::default());
    let read = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).expect("a status");
        profile.read_portability(&sample.context(Operation::Portability), status, body.as_bytes())
    };
    let kcell: CarrierName = "kcell".parse().expect("a name");
    assert_eq!(read(200, r#"{"msisdn": "+77011234567", "carrier": "Activ"}"#), PortabilityReading::Carrier(kcell));
    assert_eq!(
        read(200, r#"{"msisdn": "+77011234567", "carrier": "Other"}"#),
        PortabilityReading::Unlisted("Other".into())
    );
    assert_eq!(read(404, r#"{"error": "unknown_number"}"#), PortabilityReading::NotFound);
    assert!(matches!(read(200, r#"{"msisdn": "+77017654321", "carrier": "Kcell"}"#), PortabilityReading::Unclear(_)));
    assert!(matches!(read(200, r#"{"msisdn": "+77011234567"}"#), PortabilityReading::Unclear(_)));
    assert!(matches!(read(500, "{}"), PortabilityReading::Unclear(_)));
}

fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"status\"",
        "\"OK\"",
        "\"id\"",
        ":",
        ",",
        "\"REF\"",
        "null",
        "1e999",
        "<response>",
        "</response>",
        "<result>",
        "</result>",
        "0",
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "osmp_txn_id",
        "\\u0000",
        "\u{202e}",
        " ",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..40).prop_map(|words| words.concat()),
        "\\PC{0,200}",
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

proptest! {
    #[test]
    fn no_body_panics_and_none_is_good_news_without_our_reference(body in hostile(), status in 100_u16..600) {
        for (name, echo) in [("oneapi", true), ("cis", true), ("facts", false)] {
            let profile = shipped_once(name);
            for operation in profile.operations() {
                let reading = read(profile, operation, status, &body);
                let good = matches!(reading.finding, Finding::Charged { .. } | Finding::Accepted { .. } | Finding::Reserved { .. } | Finding::OtpNeeded { .. });
                prop_assert!(!(good && echo), "{name} {operation} {status} {body:?}: {:?}", reading.finding);
            }
        }
    }

    #[test]
    fn a_body_that_is_cut_anywhere_is_never_charged(cut in 0_usize..200) {
        let profile = shipped_once("cis");
        let whole = format!("<response><osmp_txn_id>{}</osmp_txn_id><prv_txn>77</prv_txn><sum>80.00</sum><result>0</result></response>", wire(profile));
        let part: String = whole.chars().take(cut.min(whole.len() - 1)).collect();
        let finding = read(profile, Operation::Charge, 200, &part).finding;
        prop_assert_eq!(finding, UNCLEAR);
    }
}

/// Loading takes longer than reading.
fn shipped_once(name: &'static str) -> &'static Profile {
    use std::sync::LazyLock;
    static ALL: LazyLock<[Profile; 3]> = LazyLock::new(|| ["oneapi", "cis", "facts"].map(shipped));
    match name {
        "oneapi" => &ALL[0],
        "cis" => &ALL[1],
        _ => &ALL[2],
    }
}
