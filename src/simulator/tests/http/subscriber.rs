//! CAMARA SIM Swap v2.1 and Tenure v0.2.

use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};

const CHECK: &str = "/sim-swap/v2/check";
const DATE: &str = "/sim-swap/v2/retrieve-date";
const TENURE: &str = "/kyc-tenure/v0.2/check-tenure";

async fn at(seconds: i64) -> (Simulator, Camara) {
    let clock = Clock::Manual(ManualClock::new(Timestamp::from_unix_seconds(seconds)));
    let simulator = Simulator::start_with_clock(carrier(), clock).await.expect("it starts");
    let camara = Camara::of(&simulator).await;
    (simulator, camara)
}

#[tokio::test]
async fn a_sim_swap_is_told_within_the_hours_that_are_asked_for() {
    let (simulator, camara) = at(1_800_000_000).await;
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let swapped_at = now.minus(Duration::from_secs(30 * 3_600));
    let facts = SubscriberFacts { sim_swapped_at: Some(swapped_at), ..SubscriberFacts::default() };
    simulator.set_facts(number(1), facts).expect("room");
    let recent = Subscriber::with_balance(1).and(Condition::RecentSimSwap);
    simulator.set_subscriber(number(2), recent).expect("room");
    for (n, hours, swapped) in
        [(1, Some(24), false), (1, Some(30), true), (1, None, true), (2, Some(24), true), (3, Some(2_400), false)]
    {
        let mut body = json!({ "phoneNumber": number(n).to_string() });
        if let Some(hours) = hours {
            body["maxAge"] = json!(hours);
        }
        let answer = camara.post(CHECK, &body).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "swapped": swapped })), "{body}");
    }
    let date = camara.post(DATE, &json!({ "phoneNumber": number(1).to_string() })).await.json();
    assert_eq!(date, json!({ "latestSimChange": swapped_at }));
    let never = camara.post(DATE, &json!({ "phoneNumber": number(3).to_string() })).await.json();
    assert_eq!(never, json!({ "latestSimChange": null, "monitoredPeriod": 120 }));
    // Only the fact is set: the charge goes through.
    assert_eq!(camara.pay(number(1), "80", "r").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn tenure_tells_the_kind_of_contract() {
    let (simulator, camara) = at(1_800_000_000).await;
    let since: Timestamp = "2026-05-01T00:00:00Z".parse().expect("a moment");
    let facts = SubscriberFacts {
        subscriber_since: Some(since),
        contract_type: Some(ContractType::Contract),
        ..SubscriberFacts::default()
    };
    simulator.set_facts(number(1), facts).expect("room");
    let corporate = Subscriber::with_balance(1).and(Condition::CorporateNumber);
    simulator.set_subscriber(number(2), corporate).expect("room");
    for (n, date, kept, contract) in [
        (1, "2026-05-01", true, "PAYM"),
        (1, "2026-04-30", false, "PAYM"),
        (2, "2020-01-01", true, "Business"),
        (3, "2020-01-01", true, "PAYG"),
    ] {
        let body = json!({ "phoneNumber": number(n).to_string(), "tenureDate": date });
        let told = json!({ "tenureDateCheck": kept, "contractType": contract });
        assert_eq!(camara.post(TENURE, &body).await.json(), told, "{body}");
    }
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let (simulator, camara) = at(1_800_000_000).await;
    let unknown = Subscriber::with_balance(1).and(Condition::Unknown);
    simulator.set_subscriber(number(4), unknown).expect("room");
    let (one, four) = (number(1).to_string(), number(4).to_string());
    for (path, body, status, code) in [
        (CHECK, json!({ "maxAge": 24 }), 422, "MISSING_IDENTIFIER"),
        (CHECK, json!({ "phoneNumber": one, "maxAge": 0 }), 400, "OUT_OF_RANGE"),
        (CHECK, json!({ "phoneNumber": one, "maxAge": 2_401 }), 400, "OUT_OF_RANGE"),
        (CHECK, json!({ "phoneNumber": one, "maxAge": "24" }), 400, "INVALID_ARGUMENT"),
        (CHECK, json!({ "phoneNumber": "77010000001" }), 400, "INVALID_ARGUMENT"),
        (CHECK, json!({ "phoneNumber": four }), 404, "IDENTIFIER_NOT_FOUND"),
        (CHECK, json!({ "phoneNumber": "+34671999000" }), 404, "IDENTIFIER_NOT_FOUND"),
        (DATE, json!({ "phoneNumber": one, "maxAge": 24 }), 400, "INVALID_ARGUMENT"),
        (DATE, json!({}), 422, "MISSING_IDENTIFIER"),
        (TENURE, json!({ "phoneNumber": one }), 400, "INVALID_ARGUMENT"),
        (TENURE, json!({ "phoneNumber": one, "tenureDate": "01.05.2026" }), 400, "INVALID_ARGUMENT"),
        (TENURE, json!({ "phoneNumber": one, "tenureDate": "2999-01-01" }), 400, "OUT_OF_RANGE"),
        (TENURE, json!({ "phoneNumber": four, "tenureDate": "2026-01-01" }), 404, "IDENTIFIER_NOT_FOUND"),
    ] {
        assert_eq!(camara.post(path, &body).await.code(), (status, code.to_owned()), "{path} {body}");
    }
}
