use super::*;
use crate::charge::{Doubt, Reason, Retry};

#[tokio::test]
async fn one_step_takes_the_money_with_exact_decimals_and_our_reference() {
    let scene = Scene::new(
        r#"
        sink = "http://127.0.0.1:1/carriers/kcell/"
        callback_token_files = ["x"]
        tax_included = true
        merchant = { name = "SMSBUS", identifier = "sb-1", purchase_category_code = "transport", channel = "sms" }
        "#,
    )
    .await;
    let mut charge = scene.charge();
    charge.order.amount = Money::kzt(8_050);
    scene.server.says("POST /carrier-billing/v0.5/payments", 201, payment("succeeded", &[(":80,", ":80.50,")]));
    let evidence = scene.take(&charge).await;
    assert_eq!(evidence.finding, Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_050)) });
    assert_eq!((evidence.attempt, evidence.source), (1, EvidenceSource::Response));
    let [asked] = &scene.server.asked()[..] else { panic!("{:?}", scene.server.lines()) };
    assert_eq!(asked.line, "POST /carrier-billing/v0.5/payments");
    assert_eq!(asked.headers["authorization"], "Bearer t0ken");
    assert_eq!(asked.headers["x-correlator"], WIRE_REFERENCE);
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_eq!(
        asked.body,
        r#"{"amountTransaction":{"phoneNumber":"+77011234567","clientCorrelator":"11111111-1111-1111-1111-111111111111-1","paymentAmount":{"chargingInformation":{"amount":80.50,"currency":"KZT","description":"Bus 1234","isTaxIncluded":true},"chargingMetaData":{"merchantName":"SMSBUS","merchantIdentifier":"sb-1","purchaseCategoryCode":"transport","channel":"sms"}},"referenceCode":"11111111-1111-1111-1111-111111111111-1"},"sink":"http://127.0.0.1:1/carriers/kcell/payments/11111111-1111-1111-1111-111111111111-1","sinkCredential":{"credentialType":"ACCESSTOKEN","accessToken":"new","accessTokenExpiresUtc":"2026-03-08T07:30:00.000Z","accessTokenType":"bearer"}}"#
    );
}

#[tokio::test]
async fn what_need_not_be_said_is_not() {
    let scene = Scene::new("").await;
    scene.server.says("/payments", 201, payment("processing", &[]));
    let evidence = scene.take(&scene.charge()).await;
    assert_eq!(evidence.finding, Finding::Accepted { carrier_id: some_id() });
    assert_eq!(
        scene.server.asked()[0].body,
        r#"{"amountTransaction":{"phoneNumber":"+77011234567","clientCorrelator":"11111111-1111-1111-1111-111111111111-1","paymentAmount":{"chargingInformation":{"amount":80,"currency":"KZT","description":"Bus 1234"}},"referenceCode":"11111111-1111-1111-1111-111111111111-1"}}"#
    );
}

#[tokio::test]
async fn every_status_of_a_payment_is_read() {
    let scene = Scene::new("").await;
    for (status, expected) in [
        ("processing", Finding::Accepted { carrier_id: some_id() }),
        ("pending_validation", Finding::OtpNeeded { carrier_id: some_id(), validation: None }),
        ("reserved", Finding::Reserved { carrier_id: some_id() }),
        ("succeeded", Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) }),
        ("cancelled", Finding::Cancelled),
        ("refunded", Finding::Doubtful { cause: Doubt::UnclearAnswer }),
    ] {
        scene.server.says("/payments", 201, payment(status, &[]));
        assert_eq!(scene.take(&scene.charge()).await.finding, expected, "{status}");
    }
    scene.server.says("/payments", 201, payment("denied", &[]));
    assert_eq!(rejection(&scene.take(&scene.charge()).await.finding), (Reason::Barred, Retry::Never, "denied"));
}

#[tokio::test]
async fn an_answer_to_another_request_is_never_taken_for_ours() {
    let scene = Scene::new("").await;
    for replace in [
        [(":80,", ":79.99,")],
        [(":80,", ":80.001,")],
        [(":80,", ":\"eighty\",")],
        [("KZT", "USD")],
        [("+77011234567", "+77011234568")],
        [(WIRE_REFERENCE, "11111111-1111-1111-1111-111111111111-2")],
        [(PAYMENT_ID, "")],
    ] {
        scene.server.says("/payments", 201, payment("succeeded", &replace));
        let finding = scene.take(&scene.charge()).await.finding;
        assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer }, "{replace:?}");
    }
    // What it does not repeat does not differ.
    scene.server.says("/payments", 200, r#"{"paymentId":"p1","paymentStatus":"succeeded"}"#);
    let finding = scene.take(&scene.charge()).await.finding;
    assert_eq!(finding, Finding::Charged { carrier_id: Some("p1".into()), amount: None });
}

#[tokio::test]
async fn what_is_no_clear_answer_is_in_doubt() {
    let scene = Scene::new("breaker = { failures_max = 100 }").await;
    let ok = payment("succeeded", &[]);
    for (status, body) in [
        (201, "{}"),
        (201, ""),
        (201, "<html>"),
        (201, &ok[..100]),
        (204, ""),
        (302, ""),
        (308, ok.as_str()),
        (400, ""),
        (400, "{\"code\":\"\"}"),
        (400, "{\"code\":\"SOMETHING_NEW\",\"status\":400,\"message\":\"\"}"),
        (403, "<html>Forbidden by your friendly firewall</html>"),
        (404, "no such page"),
        (408, ""),
        (418, ok.as_str()),
        (500, "{\"code\":\"INVALID_ARGUMENT\",\"status\":500,\"message\":\"\"}"),
        (502, ""),
        (503, ""),
        (504, ok.as_str()),
    ] {
        scene.server.says("/payments", status, body);
        let finding = scene.take(&scene.charge()).await.finding;
        assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer }, "{status} {body}");
        // A 503 makes the gate wait; this test does not.
        if status == 503 {
            break;
        }
    }
}

#[tokio::test]
async fn a_request_that_is_lost_is_in_doubt_and_one_that_is_not_sent_is_not() {
    let scene = Scene::new("").await;
    scene.server.hangs_up("/payments");
    let evidence = scene.take(&scene.charge()).await;
    assert_eq!(evidence.finding, Finding::Doubtful { cause: Doubt::LinkLost });
    assert_eq!((evidence.source, evidence.id.as_str()), (EvidenceSource::Link, "link:1:reset"));

    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let carrier = open(&profile(&format!("http://{closed}"), ""));
    let charge = scene.charge();
    let evidence = carrier.charge(carrier.try_reserve().unwrap(), &charge, attempt(&charge)).await;
    assert_eq!((evidence.finding, evidence.id.as_str()), (Finding::NotSent, "link:1:token"));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let scene = Scene::new("").await;
    scene.server.says("/token", 500, "");
    assert_eq!(scene.take(&scene.charge()).await.finding, Finding::NotSent);
    assert_eq!(scene.server.lines(), ["POST /token"]);
}

#[tokio::test]
async fn a_401_that_stays_one_did_not_happen() {
    let scene = Scene::new("").await;
    scene.server.says("/payments", 401, error(401, "UNAUTHENTICATED", "Request not authenticated."));
    let finding = scene.take(&scene.charge()).await.finding;
    assert_eq!(rejection(&finding).1, Retry::SameCarrier);
}

#[tokio::test]
async fn a_test_number_is_charged_nothing_and_nobody_is_asked() {
    let scene = Scene::new("").await;
    let mut charge = scene.charge();
    charge.order.amount = Money::kzt(0);
    let evidence = scene.take(&charge).await;
    assert_eq!(evidence.finding, Finding::Charged { carrier_id: None, amount: Some(Money::kzt(0)) });
    assert!(scene.server.asked().is_empty());
    assert!(scene.carrier.has_tariff(Money::kzt(0)) && scene.carrier.has_tariff(Money::kzt(1)));
    assert!(!scene.carrier.has_tariff(Money::new(1, Currency::Usd)) && !scene.carrier.has_tariff(Money::kzt(-1)));
}

#[tokio::test]
async fn a_pause_and_a_breaker_hold_charges() {
    let scene = Scene::new("breaker = { failures_max = 1, pause_ms = 60000 }").await;
    scene.carrier.set_paused(true);
    assert!(scene.carrier.try_reserve().is_none());
    scene.carrier.set_paused(false);
    scene.server.says("/payments", 500, "");
    scene.take(&scene.charge()).await;
    assert!(scene.carrier.standing().breaker_open && scene.carrier.try_reserve().is_none());
}
