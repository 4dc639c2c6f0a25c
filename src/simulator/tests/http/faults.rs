//! Every fault of HTTP, and what the ledger says afterwards.

use std::time::{Duration, Instant};

use super::*;

async fn struck_by(fault: Fault) -> (Simulator, Camara) {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, fault)).expect("a valid rule");
    (simulator, camara)
}

async fn try_pay(camara: &Camara, reference: &str) -> reqwest::Result<Answer> {
    camara.try_call(Method::POST, BILLING, Some(&payment(number(1), "80", reference))).await
}

#[tokio::test]
async fn a_connection_can_be_reset_or_silent_before_and_after_the_charge() {
    for (fault, charged) in [
        (Fault::HttpResetBefore, 0),
        (Fault::HttpResetAfter, 1),
        (Fault::HttpTimeOutBefore { ms: 60 }, 0),
        (Fault::HttpTimeOutAfter { ms: 60 }, 1),
    ] {
        let (simulator, camara) = struck_by(fault).await;
        let began = Instant::now();
        try_pay(&camara, "r").await.expect_err("the connection is reset");
        assert!(fault.ms_of_test().is_none_or(|ms| began.elapsed() >= Duration::from_millis(ms)), "{fault:?}");
        assert_eq!(charges(&simulator), charged, "{fault:?}");
        assert_eq!(fault.prevents_charge(), charged == 0, "{fault:?}");
        // It was for once: the next one is answered.
        assert_eq!(camara.pay(number(1), "80", "r2").await.status, StatusCode::CREATED);
        let ledger = simulator.ledger();
        let struck: Vec<usize> = ledger.entries().iter().map(|entry| entry.faults.len()).collect();
        assert_eq!(struck, if charged == 1 { vec![1, 0] } else { vec![0] });
        assert_eq!(simulator.stats().faults, 1);
    }
}

trait MsOfTest {
    fn ms_of_test(self) -> Option<u64>;
}

impl MsOfTest for Fault {
    fn ms_of_test(self) -> Option<u64> {
        match self {
            Fault::HttpTimeOutBefore { ms } | Fault::HttpTimeOutAfter { ms } => Some(ms),
            _ => None,
        }
    }
}

#[tokio::test]
async fn an_answer_can_be_an_error_or_a_refusal_before_and_after_the_charge() {
    for (fault, status, code, charged) in [
        (Fault::HttpErrorBefore { status: 500 }, 500, "INTERNAL", 0),
        (Fault::HttpErrorAfter { status: 503 }, 503, "UNAVAILABLE", 1),
        (Fault::HttpErrorAfter { status: 504 }, 504, "TIMEOUT", 1),
        (Fault::HttpThrottle { retry_after_s: 7 }, 429, "TOO_MANY_REQUESTS", 0),
        (Fault::HttpNotOurSubscriber, 404, "IDENTIFIER_NOT_FOUND", 0),
        (Fault::HttpDuplicate { charged: false }, 409, "ALREADY_EXISTS", 0),
        (Fault::HttpDuplicate { charged: true }, 409, "ALREADY_EXISTS", 1),
    ] {
        let (simulator, camara) = struck_by(fault).await;
        let answer = try_pay(&camara, "r").await.expect("an answer");
        assert_eq!(answer.code(), (status, code.to_owned()), "{fault:?}");
        assert_eq!(answer.header("retry-after"), if status == 429 { "7" } else { "" });
        assert_eq!((charges(&simulator), fault.prevents_charge()), (charged, charged == 0), "{fault:?}");
        assert_eq!(simulator.stats().http.violations, 0);
    }
}

#[tokio::test]
async fn a_token_can_expire_under_the_hands() {
    let (simulator, camara) = struck_by(Fault::HttpTokenExpired).await;
    assert_eq!(try_pay(&camara, "r").await.expect("an answer").code(), (401, "UNAUTHENTICATED".into()));
    assert_eq!(try_pay(&camara, "r").await.expect("an answer").code(), (401, "UNAUTHENTICATED".into()));
    let camara = Camara::of(&simulator).await;
    assert_eq!(try_pay(&camara, "r").await.expect("an answer").status, StatusCode::CREATED);
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn a_redirect_leads_to_itself_and_nothing_is_done() {
    let (simulator, camara) = struck_by(Fault::HttpRedirect).await;
    let answer = try_pay(&camara, "r").await.expect("an answer");
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, BILLING));
    assert_eq!(charges(&simulator), 0);
}

#[tokio::test]
async fn an_answer_can_be_spoilt_although_the_charge_is_taken() {
    let (simulator, camara) = struck_by(Fault::HttpGarbage).await;
    let answer = try_pay(&camara, "r").await.expect("an answer");
    assert_eq!((answer.status, serde_json::from_str::<Value>(&answer.text).is_err()), (StatusCode::CREATED, true));
    assert_eq!(charges(&simulator), 1);

    let (simulator, camara) = struck_by(Fault::HttpOversized { bytes: 3_000_000 }).await;
    let answer = try_pay(&camara, "r").await.expect("an answer");
    assert_eq!((answer.text.len(), charges(&simulator)), (3_000_000, 1));

    let (simulator, camara) = struck_by(Fault::HttpWrongContentType).await;
    let answer = try_pay(&camara, "r").await.expect("an answer");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!((answer.json()["paymentStatus"].as_str(), charges(&simulator)), (Some("succeeded"), 1));

    let (simulator, camara) = struck_by(Fault::HttpTruncated).await;
    try_pay(&camara, "r").await.expect_err("the body breaks off");
    assert_eq!(charges(&simulator), 1);
}

#[tokio::test]
async fn slow_is_done_at_once_and_late_is_done_even_for_who_has_gone() {
    let (simulator, camara) = struck_by(Fault::HttpSlow { ms: 80 }).await;
    let (paid, at_once) = tokio::join!(try_pay(&camara, "r"), async {
        simulator.wait_until(Duration::from_millis(70), |simulator| charges(simulator) == 1).await
    });
    assert_eq!((paid.expect("an answer").status, at_once), (StatusCode::CREATED, true));

    let (simulator, camara) = struck_by(Fault::HttpLate { ms: 80 }).await;
    let gone = tokio::time::timeout(Duration::from_millis(20), try_pay(&camara, "r")).await;
    assert!(gone.is_err());
    assert_eq!(camara.get(BILLING).await.header("x-total-count"), "0");
    assert!(simulator.wait_until(LIMIT, |simulator| charges(simulator) == 1).await);
    assert_eq!(camara.get(BILLING).await.header("x-total-count"), "1");
}

#[tokio::test]
async fn a_confirm_or_a_cancel_can_be_answered_and_lost() {
    for (step, after) in [("confirm", Operation::Confirm), ("cancel", Operation::Cancel)] {
        let simulator = start(carrier()).await;
        let camara = Camara::of(&simulator).await;
        // It strikes neither the reservation nor anything else.
        simulator.set_fault(FaultRule::for_number(number(1), 1, Fault::HttpLost)).expect("a valid rule");
        let id = id_of(&camara.prepare(number(1), "r").await);
        assert_eq!(camara.second(&id, step, number(1)).await.status, StatusCode::ACCEPTED);
        assert_eq!((charges(&simulator), simulator.payments()[0].status), (0, PaymentStatus::Reserved));
        assert_eq!(simulator.balance(number(1)), Money::kzt(12_000));
        assert_eq!(camara.second(&id, step, number(1)).await.status, StatusCode::ACCEPTED);
        assert_eq!(charges(&simulator), usize::from(after == Operation::Confirm));
        assert_books_balance(&simulator, number(1), 20_000);
    }
}

#[tokio::test]
async fn a_rule_strikes_the_operation_that_it_names() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let broken = Fault::HttpErrorBefore { status: 500 };
    for operation in [Operation::Confirm, Operation::Refund, Operation::Status, Operation::Facts, Operation::Token] {
        simulator.set_fault(FaultRule::next(1, broken).on(operation)).expect("a valid rule");
    }
    let id = id_of(&camara.prepare(number(1), "r").await);
    let path = format!("{BILLING}/{id}");
    assert_eq!(camara.get(&path).await.status, 500);
    assert_eq!(camara.get(&path).await.status, 200);
    assert_eq!(camara.second(&id, "confirm", number(1)).await.status, 500);
    assert_eq!(camara.second(&id, "confirm", number(1)).await.status, 202);
    let refund = json!({ "type": "total", "amountTransaction": { "referenceCode": "b", "refundAmount": {} } });
    assert_eq!(camara.post(&format!("{REFUND}/{id}/refunds"), &refund).await.status, 500);
    assert_eq!(camara.post(&format!("{REFUND}/{id}/refunds"), &refund).await.status, 201);
    let who = json!({ "phoneNumber": number(1).to_string() });
    assert_eq!(camara.post("/sim-swap/v2/check", &who).await.status, 500);
    let form = "grant_type=client_credentials&client_id=smsbus&client_secret=secret";
    let url = format!("{}/oauth2/token", camara.base);
    let request = client().post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(sent(request).await.expect("an answer").status, 500);
    assert!(simulator.faults().is_empty());
    assert_eq!(simulator.stats().http.requests_by_operation[&Operation::Confirm], 2);
}

#[tokio::test]
async fn other_interfaces_are_struck_in_their_own_words() {
    let simulator = start(carrier()).await;
    let url = format!(
        "{}/payment/v1/tel%3A%2B77010000001/transactions/amount",
        simulator.http_url(Interface::Oneapi).expect("there")
    );
    let charge = async |correlator: &str| {
        let body = format!(
            "endUserId=tel%3A%2B77010000001&transactionOperationStatus=Charged&description=x&currency=KZT&amount=10\
             &referenceCode=r&clientCorrelator={correlator}"
        );
        let request = client().post(&url).basic_auth("smsbus", Some("secret"));
        sent(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    let strike = |fault| simulator.set_fault(FaultRule::next(1, fault)).expect("a valid rule");
    strike(Fault::HttpThrottle { retry_after_s: 3 });
    let throttled = charge("a").await.expect("an answer");
    assert_eq!((throttled.status.as_u16(), throttled.header("retry-after")), (429, "3"));
    strike(Fault::HttpDuplicate { charged: false });
    assert_eq!(charge("a").await.expect("an answer").status, 409);
    // Done and not answered; the same key then gives the stored answer, and nothing is taken twice.
    strike(Fault::HttpResetAfter);
    charge("a").await.expect_err("reset");
    assert_eq!(charge("a").await.expect("an answer").status, 201);
    assert_eq!((charges(&simulator), simulator.stats().http.replays), (1, 1));
}
