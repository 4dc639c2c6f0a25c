//! CAMARA Carrier Billing v0.5.

use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};

#[tokio::test]
async fn a_payment_in_one_step_is_taken_once_and_shown() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let answer = camara.pay(number(1), "80.50", &REFERENCE.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["paymentStatus"], "succeeded");
    assert_eq!(body["amountTransaction"]["phoneNumber"], number(1).to_string());
    assert_eq!(body["amountTransaction"]["referenceCode"], REFERENCE.to_string());
    // The very digits, not a float.
    assert!(answer.text.contains(r#""amount":80.50,"#), "{}", answer.text);
    assert!(body["paymentDate"].is_string() && body["paymentCreationDate"].is_string());

    let again = camara.get(&format!("{BILLING}/{}", id_of(&answer))).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, body));
    let ledger = simulator.ledger();
    let entry = &ledger.entries()[0];
    assert_eq!((entry.amount, entry.interface), (Money::kzt(8_050), Some(Interface::Camara)));
    assert_eq!((entry.reference, &entry.message_id), (Some(REFERENCE), &id_of(&answer)));
    assert_eq!(entry.text, "bus 1234");
    assert_eq!(ledger.entries_for_request(&REFERENCE.to_string()).count(), 1);
    assert_eq!(simulator.payments_for(&REFERENCE.to_string())[0].status, PaymentStatus::Succeeded);
    assert_books_balance(&simulator, number(1), 20_000);
    assert_eq!(simulator.stats().http.violations, 0);
}

#[tokio::test]
async fn attempts_of_one_charge_count_as_one_reference() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    camara.pay(number(1), "80", &format!("{REFERENCE}-1")).await;
    camara.pay(number(1), "80", &format!("{}.2", REFERENCE.simple())).await;
    assert_eq!(simulator.ledger().charged_twice(), [(REFERENCE, 2)].into());
}

#[tokio::test]
async fn who_may_not_pay_is_refused_and_nothing_is_kept() {
    let simulator = start(carrier()).await;
    let refusals = [
        (Condition::CorporateNumber, 403, "CARRIER_BILLING.PAYMENT_DENIED", "corporate number"),
        (Condition::CreditDebt, 403, "CARRIER_BILLING.PAYMENT_DENIED", "unpaid trust payment"),
        (Condition::NoTopUpSinceActivation, 403, "CARRIER_BILLING.PAYMENT_DENIED", "no top-up since activation"),
        (Condition::InitialBalanceUnused, 403, "CARRIER_BILLING.PAYMENT_DENIED", "initial balance unused"),
        (Condition::RecentSimSwap, 403, "CARRIER_BILLING.PAYMENT_DENIED", "SIM replaced recently"),
        (Condition::Barred, 422, "SERVICE_NOT_APPLICABLE", ""),
        (Condition::Unknown, 404, "IDENTIFIER_NOT_FOUND", ""),
    ];
    let camara = Camara::of(&simulator).await;
    for (condition, status, code, why) in refusals {
        let subscriber = Subscriber::with_balance(20_000).and(condition);
        simulator.set_subscriber(number(1), subscriber).expect("room");
        let answer = camara.pay(number(1), "80", "r").await;
        assert_eq!(answer.code(), (status, code.into()));
        assert!(answer.text.contains(why), "{}", answer.text);
    }
    simulator.set_subscriber(number(1), Subscriber::with_balance(7_999)).expect("room");
    let answer = camara.pay(number(1), "80", "r").await;
    assert_eq!(answer.code().1, "CARRIER_BILLING.PAYMENT_DENIED");
    assert!(answer.text.contains("insufficient balance"), "{}", answer.text);
    simulator.set_own_account_empty(true);
    assert_eq!(camara.pay(number(2), "80", "r").await.code().1, "CARRIER_BILLING.PAYMENT_DENIED");
    simulator.set_own_account_empty(false);
    assert_eq!(camara.pay(number(2), "80", "r").await.status, StatusCode::CREATED);
    assert_eq!((simulator.payments().len(), charges(&simulator)), (1, 1));
}

#[tokio::test]
async fn amounts_have_bounds() {
    let mut config = carrier();
    config.http.amount_min_minor = 1_000;
    config.http.amount_max_minor = Some(9_000);
    config.http.subscriber_total_max_minor = Some(12_000);
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    let unauthorized = (422, "CARRIER_BILLING.UNAUTHORIZED_AMOUNT".to_owned());
    assert_eq!(camara.pay(number(1), "9.99", "r1").await.code(), unauthorized);
    assert_eq!(camara.pay(number(1), "90.01", "r2").await.code(), unauthorized);
    assert_eq!(camara.pay(number(1), "1e300", "r3").await.code(), unauthorized);
    assert_eq!(camara.pay(number(1), "8.0e1", "r4").await.status, StatusCode::CREATED);
    let passed = camara.pay(number(1), "80", "r5").await.code();
    assert_eq!(passed, (422, "CARRIER_BILLING.USER_AMOUNT_THRESHOLD_OVERPASSED".into()));
    assert_eq!(simulator.ledger().total(), Money::kzt(8_000));
}

#[tokio::test]
async fn a_correlator_used_before_is_refused_as_configured_and_never_replayed() {
    for (duplicate, refused) in
        [(DuplicateAs::Conflict, (409, "ALREADY_EXISTS")), (DuplicateAs::InvalidArgument, (400, "INVALID_ARGUMENT"))]
    {
        let simulator = start(carrier_with_camara(|camara| camara.duplicate = duplicate)).await;
        let camara = Camara::of(&simulator).await;
        // A payment that was refused leaves its correlator free.
        assert_eq!(camara.pay(number(1), "900", "r").await.status, StatusCode::FORBIDDEN);
        assert_eq!(camara.pay(number(1), "80", "r").await.status, StatusCode::CREATED);
        assert_eq!(camara.pay(number(1), "80", "r").await.code(), (refused.0, refused.1.to_owned()));
        assert_eq!(camara.prepare(number(1), "r").await.code(), (refused.0, refused.1.to_owned()));
        let stats = simulator.stats().http;
        assert_eq!((charges(&simulator), stats.duplicates, stats.replays, stats.violations), (1, 2, 0, 0));
    }
}

#[tokio::test]
async fn in_two_steps_the_amount_is_held_and_then_taken() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let answer = camara.prepare(number(1), "r").await;
    assert_eq!((answer.status, &answer.json()["paymentStatus"]), (StatusCode::CREATED, &json!("reserved")));
    assert_eq!((charges(&simulator), simulator.balance(number(1))), (0, Money::kzt(12_000)));
    let id = id_of(&answer);
    assert_eq!(camara.second(&id, "confirm", number(2)).await.code(), (404, "IDENTIFIER_NOT_FOUND".into()));
    let confirmed = camara.second(&id, "confirm", number(1)).await;
    assert_eq!((confirmed.status, confirmed.text.as_str()), (StatusCode::ACCEPTED, ""));
    let again = camara.second(&id, "confirm", number(1)).await;
    assert_eq!(again.code(), (409, "CARRIER_BILLING.PAYMENT_CONFIRMED".into()));
    let late = camara.second(&id, "cancel", number(1)).await;
    assert_eq!(late.code(), (409, "CARRIER_BILLING.PAYMENT_CONFIRMED".into()));
    assert_eq!(camara.get(&format!("{BILLING}/{id}")).await.json()["paymentStatus"], "succeeded");
    assert_eq!(charges(&simulator), 1);
    assert_books_balance(&simulator, number(1), 20_000);
}

#[tokio::test]
async fn what_is_cancelled_is_let_go() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let id = id_of(&camara.prepare(number(1), "r").await);
    assert_eq!(camara.second(&id, "cancel", number(1)).await.status, StatusCode::ACCEPTED);
    for step in ["cancel", "confirm"] {
        let code = camara.second(&id, step, number(1)).await.code();
        assert_eq!(code, (409, "CARRIER_BILLING.PAYMENT_CANCELLED".into()));
    }
    assert_eq!((charges(&simulator), simulator.balance(number(1))), (0, Money::kzt(20_000)));
}

#[tokio::test]
async fn a_reservation_expires_in_silence_and_is_then_what_is_configured() {
    for (expired, shown, confirm) in [
        (ExpiredAs::Cancelled, Some("cancelled"), (409, "CARRIER_BILLING.PAYMENT_CANCELLED")),
        (ExpiredAs::Denied, Some("denied"), (403, "CARRIER_BILLING.PAYMENT_DENIED")),
        (ExpiredAs::Gone, None, (404, "NOT_FOUND")),
    ] {
        let hand = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let mut config = carrier_with_camara(|camara| camara.expired = expired);
        config.http.reservation_ms = 60_000;
        let simulator = Simulator::start_with_clock(config, Clock::Manual(hand.clone())).await.expect("it starts");
        let camara = Camara::of(&simulator).await;
        let id = id_of(&camara.prepare(number(1), "r").await);
        hand.advance(Duration::from_millis(59_999));
        assert_eq!(simulator.balance(number(1)), Money::kzt(12_000));
        hand.advance(Duration::from_millis(1));
        assert_eq!(simulator.balance(number(1)), Money::kzt(20_000));
        assert_eq!(simulator.payments()[0].status, PaymentStatus::Expired);
        let status = camara.get(&format!("{BILLING}/{id}")).await;
        match shown {
            Some(shown) => assert_eq!(status.json()["paymentStatus"], shown),
            None => assert_eq!(status.code(), (404, "NOT_FOUND".into())),
        }
        let listed = camara.get(BILLING).await;
        assert_eq!(listed.header("x-total-count"), if shown.is_some() { "1" } else { "0" });
        let code = camara.second(&id, "confirm", number(1)).await.code();
        assert_eq!(code, (confirm.0, confirm.1.to_owned()));
        assert_eq!((charges(&simulator), simulator.stats().http.reservations_expired), (0, 1));
    }
}

#[tokio::test]
async fn a_number_with_a_code_must_be_validated_first() {
    let simulator = start(carrier()).await;
    simulator.set_otp(number(1), Some("352673")).expect("room");
    let camara = Camara::of(&simulator).await;
    let answer = camara.prepare(number(1), "r").await;
    let body = answer.json();
    assert_eq!(
        (&body["paymentStatus"], &body["validationInfo"]["action"]),
        (&json!("pending_validation"), &json!("validate"))
    );
    let (id, authorization) = (id_of(&answer), body["validationInfo"]["authorizationId"].clone());
    let confirm = camara.second(&id, "confirm", number(1)).await;
    assert_eq!(confirm.code(), (403, "CARRIER_BILLING.PAYMENT_DENIED".into()));

    let path = format!("{BILLING}/{id}/validate");
    let with = |authorization: &Value, code: &str| json!({ "authorizationId": authorization, "code": code });
    let stranger = camara.post(&path, &with(&json!("x"), "352673")).await.code();
    assert_eq!(stranger, (400, "CARRIER_BILLING.INVALID_AUTHORIZATION_ID".into()));
    let wrong = camara.post(&path, &with(&authorization, "000000")).await.code();
    assert_eq!(wrong, (400, "CARRIER_BILLING.INVALID_CODE".into()));
    assert_eq!(camara.post(&path, &with(&authorization, "352673")).await.status, StatusCode::NO_CONTENT);
    let again = camara.post(&path, &with(&authorization, "352673")).await.code();
    assert_eq!(again, (409, "ALREADY_EXISTS".into()));
    assert_eq!(camara.second(&id, "confirm", number(1)).await.status, StatusCode::ACCEPTED);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn after_too_many_wrong_codes_the_payment_is_denied_and_let_go() {
    let simulator = start(carrier_with_camara(|camara| camara.otp_tries_max = 2)).await;
    simulator.set_otp(number(1), Some("352673")).expect("room");
    let camara = Camara::of(&simulator).await;
    let answer = camara.prepare(number(1), "r").await;
    let authorization = answer.json()["validationInfo"]["authorizationId"].clone();
    let path = format!("{BILLING}/{}/validate", id_of(&answer));
    let mut codes = Vec::new();
    for code in ["1", "2", "352673"] {
        codes.push(camara.post(&path, &json!({ "authorizationId": authorization, "code": code })).await.code().1);
    }
    let failed = "CARRIER_BILLING.VALIDATION_FAILED";
    assert_eq!(codes, ["CARRIER_BILLING.INVALID_CODE", failed, failed]);
    assert_eq!(simulator.payments()[0].status, PaymentStatus::Denied);
    assert_eq!((charges(&simulator), simulator.balance(number(1))), (0, Money::kzt(20_000)));
}

#[tokio::test]
async fn a_payment_can_be_settled_after_its_answer() {
    let simulator = start(carrier_with_camara(|camara| {
        camara.answers = Answers::Processing;
        camara.processing_ms = DelayRange::exactly(40);
    }))
    .await;
    let camara = Camara::of(&simulator).await;
    let good = camara.pay(number(1), "80", "good").await;
    let poor = camara.pay(number(1), "900", "poor").await;
    let held = camara.prepare(number(1), "held").await;
    for answer in [&good, &poor, &held] {
        assert_eq!((answer.status, &answer.json()["paymentStatus"]), (StatusCode::CREATED, &json!("processing")));
    }
    assert_eq!(charges(&simulator), 0);
    let settled = |simulator: &Simulator| simulator.payments().iter().all(|p| p.status != PaymentStatus::Processing);
    assert!(simulator.wait_until(LIMIT, settled).await);
    let status = |reference: &str| simulator.payments_for(reference)[0].status;
    assert_eq!((status("good"), status("poor")), (PaymentStatus::Succeeded, PaymentStatus::Denied));
    assert_eq!(status("held"), PaymentStatus::Reserved);
    // A confirm takes its time as well.
    let id = id_of(&held);
    assert_eq!(camara.second(&id, "confirm", number(1)).await.status, StatusCode::ACCEPTED);
    assert_eq!(camara.get(&format!("{BILLING}/{id}")).await.json()["paymentStatus"], "reserved");
    assert!(simulator.wait_until(LIMIT, |simulator| charges(simulator) == 2).await);
    assert_books_balance(&simulator, number(1), 20_000);
}

#[tokio::test]
async fn lists_have_pages_an_order_and_filters() {
    let hand = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
    let simulator = Simulator::start_with_clock(carrier(), Clock::Manual(hand.clone())).await.expect("it starts");
    let camara = Camara::of(&simulator).await;
    for n in 0..5 {
        let answer = camara.pay(number(n), "80", &format!("r{n}")).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        hand.advance(Duration::from_secs(60));
    }
    let id = id_of(&camara.prepare(number(5), "r5").await);
    camara.second(&id, "cancel", number(5)).await;
    let references = |answer: &Answer| -> Vec<String> {
        let body = answer.json();
        let items = body.as_array().expect("a list");
        items.iter().map(|item| item["amountTransaction"]["referenceCode"].as_str().unwrap_or("").to_owned()).collect()
    };
    let all = camara.get(BILLING).await;
    assert_eq!(references(&all), ["r5", "r4", "r3", "r2", "r1", "r0"]);
    assert_eq!((all.header("x-total-count"), all.header("content-last-key")), ("6", "6"));
    let page = camara.get(&format!("{BILLING}?order=asc&page=2&perPage=4")).await;
    assert_eq!(references(&page), ["r4", "r5"]);
    assert_eq!((page.header("x-total-count"), page.header("content-last-key")), ("6", "6"));
    let beyond = camara.get(&format!("{BILLING}?page=9")).await;
    assert_eq!((references(&beyond).len(), beyond.header("content-last-key")), (0, "0"));
    let some = camara.get(&format!("{BILLING}?paymentStatus=cancelled&paymentStatus=denied")).await;
    assert_eq!(references(&some), ["r5"]);
    // 1800000000 is 2027-01-15T08:00:00Z; the bounds are included, in any zone.
    let window = "paymentCreationDate.gte=2027-01-15T08:01:00Z&paymentCreationDate.lte=2027-01-15T13:03:00%2B05:00";
    assert_eq!(references(&camara.get(&format!("{BILLING}?{window}")).await), ["r3", "r2", "r1"]);
    let nobody = camara.get(&format!("{BILLING}?merchantIdentifier=else")).await;
    assert_eq!(nobody.header("x-total-count"), "0");
    assert_eq!(simulator.stats().http.violations, 0);
}

#[tokio::test]
async fn lists_refuse_what_they_cannot_give() {
    let simulator = start(carrier_with_camara(|camara| camara.list_max = Some(1))).await;
    let camara = Camara::of(&simulator).await;
    camara.pay(number(1), "80", "r1").await;
    camara.pay(number(2), "80", "r2").await;
    for (query, code) in [
        ("", "CARRIER_BILLING.TOO_MANY_MATCHING_RECORDS"),
        ("?page=0", "OUT_OF_RANGE"),
        ("?perPage=101", "OUT_OF_RANGE"),
        ("?perPage=-1", "OUT_OF_RANGE"),
        ("?perPage=ten", "INVALID_ARGUMENT"),
        ("?order=up", "INVALID_ARGUMENT"),
        ("?paymentStatus=paid", "INVALID_ARGUMENT"),
        ("?referenceCode=r1", "INVALID_ARGUMENT"),
        ("?paymentCreationDate.gte=2026-01-01", "INVALID_ARGUMENT"),
        (
            "?paymentCreationDate.gte=2026-01-02T00:00:00Z&paymentCreationDate.lte=2026-01-01T00:00:00Z",
            "CARRIER_BILLING.INVALID_DATE_RANGE",
        ),
        ("?paymentCreationDate.gte=9000-01-01T00:00:00Z", "CARRIER_BILLING.INVALID_DATE_RANGE"),
    ] {
        assert_eq!(camara.get(&format!("{BILLING}{query}")).await.code(), (400, code.to_owned()), "{query}");
    }
}
