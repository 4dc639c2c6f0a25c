//! CloudEvents to the sink.

use super::*;

/// A payment with a sink and its token.
fn with_sink(reference: &str, listener: &Listener) -> Value {
    let mut body: Value = serde_json::from_str(&payment(number(1), "80", reference)).expect("JSON");
    body["sink"] = json!(listener.url);
    body["sinkCredential"] = json!({ "credentialType": "ACCESSTOKEN", "accessToken": "sink-token",
        "accessTokenType": "bearer", "accessTokenExpiresUtc": "2099-01-01T00:00:00Z" });
    body
}

fn quick_callbacks() -> SimulatorConfig {
    let mut config = carrier();
    config.http.callbacks.backoff_ms = 1;
    config
}

async fn struck(fault: Fault, config: SimulatorConfig) -> (Simulator, Camara, Listener) {
    let simulator = start(config).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, fault)).expect("a valid rule");
    (simulator.clone(), Camara::of(&simulator).await, Listener::start().await)
}

#[tokio::test]
async fn a_payment_is_told_as_a_cloud_event_with_the_token_of_the_sink() {
    let simulator = start(quick_callbacks()).await;
    let (camara, listener) = (Camara::of(&simulator).await, Listener::start().await);
    let url = format!("{}{BILLING}", camara.base);
    let request = camara.client.post(url).bearer_auth(&camara.token).header("x-correlator", "abc");
    let request = request.header("content-type", "application/json").body(with_sink("r", &listener).to_string());
    let answer = sent(request).await.expect("an answer");
    // A sink without TLS cannot be shown: the file wants https.
    assert_eq!((answer.status, answer.json().get("sink")), (StatusCode::CREATED, None));
    let event = listener.hears(1).await.remove(0);
    assert_eq!(event["type"], "org.camaraproject.carrier-billing.v0.payment-completed");
    assert_eq!((&event["specversion"], &event["datacontenttype"]), (&json!("1.0"), &json!("application/json")));
    assert_eq!(event["data"]["paymentId"], answer.json()["paymentId"]);
    assert_eq!(
        (&event["data"]["status"], &event["data"]["paymentDate"]),
        (&json!("succeeded"), &answer.json()["paymentDate"])
    );
    let (headers, _) = listener.heard().remove(0);
    assert_eq!(headers["authorization"], "Bearer sink-token");
    assert_eq!(
        (&headers["content-type"], &headers["x-correlator"]),
        (&"application/cloudevents+json".parse().expect("text"), &"abc".parse().expect("text"))
    );
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.callbacks_acknowledged == 1).await);
}

#[tokio::test]
async fn two_steps_and_refunds_are_told_too() {
    let simulator = start(quick_callbacks()).await;
    simulator.set_otp(number(1), Some("1234")).expect("room");
    let (camara, listener) = (Camara::of(&simulator).await, Listener::start().await);
    let answer = camara.post(&format!("{BILLING}/prepare"), &with_sink("r1", &listener)).await;
    listener.hears(1).await;
    let (id, authorization) = (id_of(&answer), answer.json()["validationInfo"]["authorizationId"].clone());
    let code = json!({ "authorizationId": authorization, "code": "1234" });
    camara.post(&format!("{BILLING}/{id}/validate"), &code).await;
    listener.hears(2).await;
    camara.second(&id, "confirm", number(1)).await;
    listener.hears(3).await;
    let mut refund = json!({ "type": "total", "amountTransaction": { "referenceCode": "b", "refundAmount": {} } });
    refund["sink"] = json!(listener.url);
    camara.post(&format!("{REFUND}/{id}/refunds"), &refund).await;
    listener.hears(4).await;
    let other = camara.post(&format!("{BILLING}/prepare"), &with_sink("r2", &listener)).await;
    listener.hears(5).await;
    camara.second(&id_of(&other), "cancel", number(1)).await;
    let kinds: Vec<String> = listener.hears(6).await.iter().map(|event| event["type"].to_string()).collect();
    let ends = [
        "payment-pending-validation",
        "payment-reserved",
        "payment-completed",
        "refund-completed",
        "payment-pending-validation",
        "payment-cancelled",
    ];
    for (kind, end) in kinds.iter().zip(ends) {
        assert!(kind.trim_matches('"').ends_with(end), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_denial_after_the_answer_is_told_with_its_reason() {
    let mut config = quick_callbacks();
    config.http.camara.as_mut().expect("there is CAMARA").answers = Answers::Processing;
    config.http.camara.as_mut().expect("there is CAMARA").processing_ms = DelayRange::exactly(5);
    let simulator = start(config).await;
    simulator.set_subscriber(number(1), Subscriber::with_balance(1).and(Condition::CreditDebt)).expect("room");
    let (camara, listener) = (Camara::of(&simulator).await, Listener::start().await);
    camara.post(BILLING, &with_sink("r", &listener)).await;
    let event = listener.hears(1).await.remove(0);
    assert_eq!(event["type"], "org.camaraproject.carrier-billing.v0.payment-denied");
    assert_eq!(
        (&event["data"]["status"], &event["data"]["denialReason"]),
        (&json!("failed"), &json!("unpaid trust payment"))
    );
}

#[tokio::test]
async fn a_callback_is_tried_again_until_it_is_acknowledged_or_given_up() {
    let simulator = start(quick_callbacks()).await;
    let (camara, listener) = (Camara::of(&simulator).await, Listener::start().await);
    *listener.answers.lock().expect("nobody panics") = vec![204, 500, 503];
    camara.post(BILLING, &with_sink("r1", &listener)).await;
    let events = listener.hears(3).await;
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.callbacks_acknowledged == 1).await);
    // 410 ends it at once.
    *listener.answers.lock().expect("nobody panics") = vec![410];
    camara.post(BILLING, &with_sink("r2", &listener)).await;
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.callbacks_given_up == 1).await);
    let stats = simulator.stats().http;
    assert_eq!((stats.callbacks, stats.callback_tries, stats.callbacks_pending), (2, 4, 0));
    assert_eq!(stats.callback_answers_by_status, [(204, 1), (410, 1), (500, 1), (503, 1)].into());
}

#[tokio::test]
async fn once_the_token_has_expired_the_client_hears_no_more() {
    let simulator = start(quick_callbacks()).await;
    let (camara, listener) = (Camara::of(&simulator).await, Listener::start().await);
    let mut body = with_sink("r", &listener);
    body["sinkCredential"]["accessTokenExpiresUtc"] = json!("2020-01-01T00:00:00Z");
    camara.post(BILLING, &body).await;
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.callbacks_given_up == 1).await);
    assert!(listener.heard().is_empty());
}

#[tokio::test]
async fn callbacks_can_be_sent_somewhere_else_than_the_sink_says() {
    let listener = Listener::start().await;
    let mut config = quick_callbacks();
    config.http.callbacks.origin = Some(listener.url.replace("/sink", ""));
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    let mut body = with_sink("r", &listener);
    body["sink"] = json!("https://gateway.example/carriers/x?y=1");
    let answer = camara.post(BILLING, &body).await;
    assert_eq!(answer.json()["sink"], "https://gateway.example/carriers/x?y=1");
    listener.hears(1).await;
}

#[tokio::test]
async fn a_callback_can_come_before_the_answer() {
    let (_simulator, camara, listener) = struck(Fault::HttpCallbackFirst, quick_callbacks()).await;
    let answer = camara.post(BILLING, &with_sink("r", &listener)).await;
    assert_eq!((answer.status, listener.heard().len()), (StatusCode::CREATED, 1));
}

#[tokio::test]
async fn a_callback_can_come_twice_with_one_id_or_never() {
    let (_simulator, camara, listener) = struck(Fault::HttpCallbackTwice, quick_callbacks()).await;
    camara.post(BILLING, &with_sink("r", &listener)).await;
    let events = listener.hears(2).await;
    assert_eq!(events[0], events[1]);

    let (simulator, camara, listener) = struck(Fault::HttpCallbackLost, quick_callbacks()).await;
    camara.post(BILLING, &with_sink("r", &listener)).await;
    let stats = simulator.stats().http;
    assert_eq!((stats.callbacks, stats.callbacks_given_up, charges(&simulator)), (1, 1, 1));
    assert!(listener.heard().is_empty());
}

#[tokio::test]
async fn a_callback_can_show_a_wrong_token_or_be_of_a_stranger() {
    let (simulator, camara, listener) = struck(Fault::HttpCallbackWrongToken, quick_callbacks()).await;
    *listener.answers.lock().expect("nobody panics") = vec![401];
    camara.post(BILLING, &with_sink("r", &listener)).await;
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.callbacks_given_up == 1).await);
    let heard = listener.heard();
    assert_eq!(heard.len(), 1);
    assert_ne!(heard[0].0["authorization"], "Bearer sink-token");

    let (_simulator, camara, listener) = struck(Fault::HttpCallbackUnknown, quick_callbacks()).await;
    let answer = camara.post(BILLING, &with_sink("r", &listener)).await;
    let events = listener.hears(2).await;
    assert_ne!(events[0]["data"]["paymentId"], answer.json()["paymentId"]);
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert_eq!(events[1]["data"]["paymentId"], answer.json()["paymentId"]);
}
