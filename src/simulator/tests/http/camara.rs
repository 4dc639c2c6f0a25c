//! Tokens and what all of CAMARA has in common.

use super::*;

async fn ask(simulator: &Simulator, form: &str, basic: Option<(&str, &str)>) -> Answer {
    let base = simulator.http_url(Interface::Camara).expect("there is CAMARA");
    let mut request = client()
        .post(format!("{base}/oauth2/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    if let Some((user, password)) = basic {
        request = request.basic_auth(user, Some(password));
    }
    sent(request).await.expect("an answer")
}

#[tokio::test]
async fn a_client_gets_a_token_by_basic_authentication_or_by_the_form() {
    let simulator = start(carrier()).await;
    let form = "grant_type=client_credentials&client_id=smsbus&client_secret=secret&scope=sim-swap";
    let answer = ask(&simulator, form, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3_600)));
    assert_eq!((&body["scope"], answer.header("cache-control")), (&json!("sim-swap"), "no-store"));
    assert_eq!(ask(&simulator, "grant_type=client_credentials", Some(("smsbus", "secret"))).await.status, 200);
    assert_eq!(simulator.stats().http.tokens, 2);
}

#[tokio::test]
async fn no_token_without_credentials_or_for_an_unknown_scope() {
    let simulator = start(carrier()).await;
    let good = Some(("smsbus", "secret"));
    for (form, basic, status, code) in [
        ("grant_type=client_credentials", None, 401, "invalid_client"),
        ("grant_type=client_credentials", Some(("smsbus", "wrong")), 401, "invalid_client"),
        ("grant_type=password", good, 400, "unsupported_grant_type"),
        ("", good, 400, "invalid_request"),
        ("grant_type=client_credentials&scope=all", good, 400, "invalid_scope"),
        ("grant_type=client_credentials&client_secret=secret", good, 400, "invalid_request"),
        ("grant_type=client_credentials&audience=x", good, 400, "invalid_request"),
    ] {
        let answer = ask(&simulator, form, basic).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(code)), "{form}");
    }
    let stats = simulator.stats().http;
    assert_eq!((stats.tokens, stats.unauthenticated, stats.violations), (0, 2, 5));
}

#[tokio::test]
async fn a_token_is_good_for_its_scopes_and_its_time_only() {
    let hand = crate::clock::ManualClock::new(crate::clock::Timestamp::from_unix_seconds(1_800_000_000));
    let clock = crate::clock::Clock::Manual(hand.clone());
    let simulator = Simulator::start_with_clock(carrier_with_camara(|camara| camara.token_lifetime_s = 60), clock);
    let simulator = simulator.await.expect("it starts");
    let form = "grant_type=client_credentials&client_id=smsbus&client_secret=secret&scope=sim-swap:check";
    let token = ask(&simulator, form, None).await.json()["access_token"].as_str().expect("a token").to_owned();
    let mut camara = Camara::of(&simulator).await;
    assert_eq!(camara.pay(number(1), "80", "r1").await.status, StatusCode::CREATED);
    let good = std::mem::replace(&mut camara.token, token);
    assert_eq!(camara.pay(number(1), "80", "r2").await.code(), (403, "PERMISSION_DENIED".into()));
    camara.token = good;
    hand.advance(std::time::Duration::from_secs(60));
    let answer = camara.pay(number(1), "80", "r2").await;
    assert_eq!(answer.code(), (401, "UNAUTHENTICATED".into()));
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let camara = Camara::of(&simulator).await;
    assert_eq!(camara.pay(number(1), "80", "r2").await.status, StatusCode::CREATED);
    simulator.expire_tokens();
    assert_eq!(camara.get(BILLING).await.code(), (401, "UNAUTHENTICATED".into()));
    assert_eq!((charges(&simulator), simulator.stats().http.violations), (2, 0));
}

#[tokio::test]
async fn the_correlator_is_repeated_and_one_is_made_where_there_is_none() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    let url = format!("{}{BILLING}", camara.base);
    let ask =
        |value: &'static str| sent(camara.client.get(&url).bearer_auth(&camara.token).header("x-correlator", value));
    assert_eq!(ask("b4333c46;<1>").await.expect("an answer").header("x-correlator"), "b4333c46;<1>");
    assert_eq!(ask("not this one").await.expect("an answer").code(), (400, "INVALID_ARGUMENT".into()));
    assert_eq!(camara.get(BILLING).await.header("x-correlator").len(), 36);
}

#[tokio::test]
async fn paths_stand_behind_the_configured_base_path() {
    let simulator = start(carrier_with_camara(|camara| camara.base_path = "/open/kz".into())).await;
    let camara = Camara::of(&simulator).await;
    assert!(camara.base.ends_with("/open/kz"));
    let answer = camara.pay(number(1), "80", "r").await;
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/open/kz{BILLING}/{}", id_of(&answer)));
    assert_eq!(camara.get(&location["/open/kz".len()..]).await.status, StatusCode::OK);
    let address = simulator.http_address(Interface::Camara).expect("there is CAMARA");
    let elsewhere = sent(client().get(format!("http://{address}{BILLING}"))).await.expect("an answer");
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
}
