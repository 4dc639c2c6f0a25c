//! CAMARA Carrier Billing Refund v0.3.

use super::*;

fn partial(amount: &str, reference: &str) -> Value {
    let amount: Value = serde_json::from_str(amount).expect("a number");
    json!({ "type": "partial", "reason": "no bus came", "amountTransaction": {
        "clientCorrelator": format!("c-{reference}"), "referenceCode": reference,
        "refundAmount": { "chargingInformation": { "amount": amount, "currency": "KZT", "description": "back" } } } })
}

fn total(reference: &str) -> Value {
    json!({ "type": "total", "amountTransaction": { "referenceCode": reference, "refundAmount": {} } })
}

async fn paid(camara: &Camara) -> String {
    id_of(&camara.pay(number(1), "80", "r").await)
}

#[tokio::test]
async fn parts_are_given_back_until_nothing_remains() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let id = paid(&camara).await;
    let path = format!("{REFUND}/{id}/refunds");
    let first = camara.post(&path, &partial("20.5", "b1")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let body = first.json();
    assert_eq!((&body["refundStatus"], &body["type"]), (&json!("succeeded"), &json!("partial")));
    assert_eq!((&body["reason"], &body["amountTransaction"]["referenceCode"]), (&json!("no bus came"), &json!("b1")));
    let remaining = camara.get(&format!("{path}/remaining-amount")).await;
    assert!(remaining.text.contains(r#""amount":59.50,"currency":"KZT""#), "{}", remaining.text);
    let one = camara.get(&format!("{path}/{}", body["refundId"].as_str().expect("an id"))).await;
    assert_eq!(one.json(), body);

    let too_much = camara.post(&path, &partial("59.51", "b2")).await.code();
    assert_eq!(too_much, (422, "CARRIER_BILLING_REFUND.UNAUTHORIZED_AMOUNT".into()));
    assert_eq!(camara.post(&path, &partial("1", "b1")).await.code(), (409, "ALREADY_EXISTS".into()));
    assert_eq!(camara.post(&path, &total("b3")).await.status, StatusCode::CREATED);
    let nothing_left = camara.post(&path, &total("b4")).await.code();
    assert_eq!(nothing_left, (403, "CARRIER_BILLING_REFUND.PAYMENT_NOT_ELIGIBLE_FOR_REFUND".into()));
    let listed = camara.get(&format!("{path}?order=asc&refundStatus=succeeded")).await;
    assert_eq!((listed.header("x-total-count"), listed.json().as_array().map(Vec::len)), ("2", Some(2)));

    let ledger = simulator.ledger();
    assert_eq!((ledger.total(), ledger.refunded()), (Money::kzt(8_000), Money::kzt(8_000)));
    assert_eq!(ledger.refunds()[0].request_reference, "b1");
    assert_eq!(simulator.payments()[0].refunded(), Money::kzt(8_000));
    assert_eq!(simulator.balance(number(1)), Money::kzt(20_000));
    assert_books_balance(&simulator, number(1), 20_000);
    assert_eq!(simulator.stats().http.violations, 0);
}

#[tokio::test]
async fn only_what_was_taken_is_given_back_and_only_where_that_is_allowed() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let reserved = id_of(&camara.prepare(number(2), "r2").await);
    let early = camara.post(&format!("{REFUND}/{reserved}/refunds"), &total("b1")).await.code();
    assert_eq!(early, (422, "CARRIER_BILLING_REFUND.INVALID_PAYMENT_STATUS".into()));
    let nowhere = camara.post(&format!("{REFUND}/4711/refunds"), &total("b2")).await.code();
    assert_eq!(nowhere, (404, "NOT_FOUND".into()));
    let id = paid(&camara).await;
    simulator.set_subscriber(number(1), Subscriber::with_balance(0).and(Condition::Unknown)).expect("room");
    let gone = camara.post(&format!("{REFUND}/{id}/refunds"), &total("b3")).await.code();
    assert_eq!(gone, (403, "CARRIER_BILLING_REFUND.REFUND_DENIED".into()));
    assert!(simulator.ledger().refunds().is_empty());

    let mut config = carrier();
    config.http.refunds = false;
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    let id = paid(&camara).await;
    let never = camara.post(&format!("{REFUND}/{id}/refunds"), &total("b")).await.code();
    assert_eq!(never, (403, "CARRIER_BILLING_REFUND.PAYMENT_NOT_ELIGIBLE_FOR_REFUND".into()));
}

#[tokio::test]
async fn a_refund_must_fit_its_payment() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let id = paid(&camara).await;
    let path = format!("{REFUND}/{id}/refunds");
    let mut taxed = partial("10", "b1");
    taxed["amountTransaction"]["refundAmount"]["chargingInformation"]["isTaxIncluded"] = json!(true);
    let code = camara.post(&path, &taxed).await.code();
    assert_eq!(code, (422, "CARRIER_BILLING_REFUND.TAXES_MANAGEMENT_MISMATCH".into()));
    let mut detailed = partial("10", "b2");
    detailed["amountTransaction"]["refundAmount"]["refundDetails"] =
        json!([{ "paymentItemId": "nothing", "amount": 10, "currency": "KZT", "description": "x" }]);
    let code = camara.post(&path, &detailed).await.code();
    assert_eq!(code, (422, "CARRIER_BILLING_REFUND.REFUND_DETAILS_MISMATCH".into()));
    let mut without = partial("10", "b3");
    without["amountTransaction"]["refundAmount"] = json!({});
    assert_eq!(camara.post(&path, &without).await.code(), (400, "INVALID_ARGUMENT".into()));
    assert!(simulator.ledger().refunds().is_empty());
}

#[tokio::test]
async fn a_refund_that_is_processed_later_counts_at_once_against_what_remains() {
    let simulator = start(carrier_with_camara(|camara| {
        camara.answers = Answers::Processing;
        camara.processing_ms = DelayRange::exactly(50);
    }))
    .await;
    let camara = Camara::of(&simulator).await;
    let id = paid(&camara).await;
    assert!(simulator.wait_until(LIMIT, |simulator| charges(simulator) == 1).await);
    let path = format!("{REFUND}/{id}/refunds");
    assert_eq!(camara.post(&path, &partial("30", "b1")).await.json()["refundStatus"], "processing");
    assert_eq!(camara.get(&format!("{path}/remaining-amount")).await.json()["amount"], 50);
    assert!(simulator.ledger().refunds().is_empty());
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.ledger().refunded() == Money::kzt(3_000)).await);
    assert_eq!(simulator.payments()[0].refunds[0].status, RefundStatus::Succeeded);
}
