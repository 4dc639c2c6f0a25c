//! What breaks the files is refused, and counted with its reason.

use super::*;

#[tokio::test]
async fn a_body_that_is_not_of_the_schema_is_a_violation() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let good = payment(number(1), "80", "r");
    for (from, to, told) in [
        (r#""amount":80"#, r#""amount":"80""#, "amount"),
        (r#""amount":80"#, r#""amount":0"#, "below"),
        (r#""amount":80"#, r#""amount":-80"#, "amount"),
        (r#""amount":80"#, r#""amount":80.001"#, "finer"),
        (r#""referenceCode":"r","#, "", "referenceCode"),
        (r#""referenceCode":"r""#, r#""referenceCode":7"#, "string"),
        (r#""clientCorrelator":"c-r""#, r#""clientCorrelator":null"#, "null"),
        (r#""currency":"KZT""#, r#""currency":"KZT","tariff":"X""#, "tariff"),
        ("+7701", "+0701", "phoneNumber"),
        (r#""phoneNumber""#, r#""msisdn""#, "msisdn"),
        (r#""amountTransaction":"#, r#""transaction":"#, "transaction"),
        ("}", "", "EOF"),
    ] {
        let body = good.replacen(from, to, 1);
        assert_ne!(body, good, "{from}");
        let answer = camara.try_call(Method::POST, BILLING, Some(&body)).await.expect("an answer");
        assert_eq!(answer.code(), (400, "INVALID_ARGUMENT".into()), "{body}");
        let last = simulator.stats().http.violations_last.pop_back().expect("one at least");
        assert!(last.reason.contains(told), "{told}: {last:?}");
        assert_eq!((last.interface, last.request.as_str()), (Interface::Camara, "POST /carrier-billing/v0.5/payments"));
    }
    assert_eq!(simulator.stats().http.violations, 12);
    assert_eq!(charges(&simulator), 0);
}

#[tokio::test]
async fn other_currencies_numbers_and_media_types_are_refused() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let good = payment(number(1), "80", "r");
    let missing = good.replacen(&format!(r#""phoneNumber":"{}","#, number(1)), "", 1);
    for (body, status, code) in [
        (good.replacen("KZT", "EUR", 1), 400, "INVALID_ARGUMENT"),
        (missing, 422, "MISSING_IDENTIFIER"),
        (good.replacen("+77010000001", "+34671999000", 1), 404, "IDENTIFIER_NOT_FOUND"),
    ] {
        let answer = camara.try_call(Method::POST, BILLING, Some(&body)).await.expect("an answer");
        assert_eq!(answer.code(), (status, code.to_owned()), "{body}");
    }
    let url = format!("{}{BILLING}", camara.base);
    let as_text = camara.client.post(&url).bearer_auth(&camara.token).header("content-type", "text/plain").body(good);
    assert_eq!(sent(as_text).await.expect("an answer").code(), (400, "INVALID_ARGUMENT".into()));
    let without_token = camara.client.post(&url).body("{}");
    assert_eq!(sent(without_token).await.expect("an answer").code(), (401, "UNAUTHENTICATED".into()));
    assert_eq!(charges(&simulator), 0);
}

#[tokio::test]
async fn sinks_and_their_credentials_are_as_the_file_says() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let token = json!({ "credentialType": "ACCESSTOKEN", "accessToken": "t", "accessTokenType": "bearer",
        "accessTokenExpiresUtc": "2099-01-01T00:00:00Z" });
    let with = |name: &str, value: Value| {
        let mut credential = token.clone();
        credential[name] = value;
        credential
    };
    for (sink, credential, code) in [
        ("http://203.0.113.7/sink", token.clone(), "INVALID_SINK"),
        ("ftp://127.0.0.1/sink", token.clone(), "INVALID_SINK"),
        ("nowhere", token.clone(), "INVALID_SINK"),
        ("https://x.example/", with("credentialType", json!("PLAIN")), "INVALID_CREDENTIAL"),
        ("https://x.example/", with("accessTokenType", json!("mac")), "INVALID_TOKEN"),
        ("https://x.example/", with("accessTokenExpiresUtc", json!("tomorrow")), "INVALID_ARGUMENT"),
        (
            "https://x.example/",
            json!({ "credentialType": "ACCESSTOKEN", "accessTokenType": "bearer" }),
            "INVALID_ARGUMENT",
        ),
    ] {
        let mut body: Value = serde_json::from_str(&payment(number(1), "80", "r")).expect("JSON");
        body["sink"] = json!(sink);
        body["sinkCredential"] = credential;
        assert_eq!(camara.post(BILLING, &body).await.code(), (400, code.to_owned()), "{body}");
    }
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (0, 7));
}

#[tokio::test]
async fn an_address_or_a_method_that_no_file_has_is_a_violation() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    for (method, path) in [
        (Method::GET, "/carrier-billing/v1/payments".to_owned()),
        (Method::DELETE, format!("{BILLING}/1")),
        (Method::PUT, BILLING.to_owned()),
    ] {
        let answer = camara.try_call(method, &path, None).await.expect("an answer");
        assert_eq!(answer.code(), (404, "NOT_FOUND".into()), "{path}");
    }
    assert_eq!(simulator.stats().http.violations, 3);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let mut config = carrier();
    config.http.limits.body_bytes_max = 1_000;
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    let body = payment(number(1), "80", &"r".repeat(1_000));
    let answer = camara.try_call(Method::POST, BILLING, Some(&body)).await.expect("an answer");
    assert_eq!(answer.code(), (400, "INVALID_ARGUMENT".into()));
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (0, 1));
}

#[tokio::test]
async fn a_full_carrier_takes_nothing_that_it_could_not_show() {
    let mut config = carrier();
    config.http.limits.payments_max = 1;
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    assert_eq!(camara.pay(number(1), "80", "r1").await.status, StatusCode::CREATED);
    assert_eq!(camara.pay(number(1), "80", "r2").await.code(), (503, "UNAVAILABLE".into()));
    assert_books_balance(&simulator, number(1), 20_000);
}
