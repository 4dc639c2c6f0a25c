use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use zeroize::Zeroizing;

use super::*;

/// A token endpoint and an API behind it, which takes the newest token only.
#[derive(Clone, Default)]
struct Carrier {
    granted: Arc<AtomicUsize>,
    /// The status of the token endpoint, and the rest of its answer after the token.
    says: Arc<Mutex<(u16, String)>>,
    seen: Arc<Mutex<Vec<String>>>,
    charged: Arc<Mutex<Vec<(String, String)>>>,
    refuses_all: Arc<AtomicUsize>,
}

impl Carrier {
    async fn start(rest: &str) -> (Carrier, SocketAddr) {
        let carrier = Carrier { says: Arc::new(Mutex::new((200, rest.to_owned()))), ..Carrier::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/token", post(token)).route("/pay", post(pay)).with_state(carrier.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (carrier, address)
    }
}

async fn token(State(carrier): State<Carrier>, headers: axum::http::HeaderMap, body: String) -> (StatusCode, String) {
    let basic = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    carrier.seen.lock().unwrap().push(format!("{basic} {body}"));
    // So long that those who come meanwhile have to wait.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (status, rest) = carrier.says.lock().unwrap().clone();
    let number = carrier.granted.fetch_add(1, Ordering::SeqCst) + 1;
    (StatusCode::from_u16(status).unwrap(), format!("{{\"access_token\":\"token-{number}\"{rest}}}"))
}

async fn pay(State(carrier): State<Carrier>, headers: axum::http::HeaderMap, body: String) -> StatusCode {
    let shown = headers["authorization"].to_str().unwrap().to_owned();
    let newest = format!("Bearer token-{}", carrier.granted.load(Ordering::SeqCst));
    if shown != newest || carrier.refuses_all.load(Ordering::SeqCst) > 0 {
        return StatusCode::UNAUTHORIZED;
    }
    carrier.charged.lock().unwrap().push((shown, body));
    StatusCode::CREATED
}

const HOUR: &str = r#","token_type":"bearer","expires_in":3600"#;

fn tokens(address: SocketAddr, authentication: ClientAuthentication) -> (WebClient, TokenSource, Url) {
    let client = client();
    let config = TokenConfig {
        url: format!("http://{address}/token").parse().unwrap(),
        client_id: "sms bus".into(),
        authentication,
        scope: Some("carrier-billing:payments:create".into()),
        refresh_ahead: Duration::from_secs(60),
    };
    let source = TokenSource::new(client.clone(), config, Zeroizing::new("s3:cret&".into()));
    (client, source, format!("http://{address}/pay").parse().unwrap())
}

#[tokio::test]
async fn many_who_want_a_token_at_once_share_one() {
    let (carrier, address) = Carrier::start(HOUR).await;
    let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
    let mut charges = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, tokens, url) = (client.clone(), tokens.clone(), url.clone());
        charges.spawn(async move { client.send_authorised(charge_at(url), &tokens).await });
    }
    for outcome in charges.join_all().await {
        assert_eq!(answered(outcome).0, 201);
    }
    assert_eq!(carrier.charged.lock().unwrap().len(), 20);
    // base64 of "sms+bus:s3%3Acret%26": both parts are form-encoded first.
    let expected =
        "Basic c21zK2J1czpzMyUzQWNyZXQlMjY= grant_type=client_credentials&scope=carrier-billing%3Apayments%3Acreate";
    assert_eq!(*carrier.seen.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn the_credentials_can_go_into_the_form() {
    let (carrier, address) = Carrier::start(HOUR).await;
    let (client, tokens, url) = tokens(address, ClientAuthentication::Form);
    answered(client.send_authorised(charge_at(url), &tokens).await);
    let seen = carrier.seen.lock().unwrap()[0].clone();
    assert!(
        seen.ends_with("&client_id=sms+bus&client_secret=s3%3Acret%26") && seen.starts_with(" grant_type="),
        "{seen}"
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_endpoint_is_left_alone_for_a_while() {
    let (carrier, address) = Carrier::start(HOUR).await;
    carrier.says.lock().unwrap().0 = 500;
    let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
    for _ in 0..10 {
        let why = not_sent(client.send_authorised(charge_at(url.clone()), &tokens).await);
        assert_eq!(why, NotSent::Token("the token endpoint answered 500".into()));
    }
    assert_eq!(carrier.seen.lock().unwrap().len(), 1);
    assert_eq!(carrier.charged.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_token_endpoint_that_says_nonsense_gives_no_token() {
    for rest in [
        r#","token_type":"mac""#,
        "",
        r#","token_type":"bearer","expires_in":"soon""#,
        r#","token_type":"bearer","expires_in":-1"#,
    ] {
        let (_carrier, address) = Carrier::start(rest).await;
        let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
        let why = not_sent(client.send_authorised(charge_at(url), &tokens).await);
        assert!(matches!(&why, NotSent::Token(why) if !why.contains("token-1")), "{rest}: {why}");
    }
}

#[tokio::test]
async fn a_401_gets_a_new_token_and_the_same_bytes_once_more() {
    let (carrier, address) = Carrier::start(HOUR).await;
    let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
    assert_eq!(answered(client.send_authorised(charge_at(url.clone()), &tokens).await).0, 201);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    // The carrier knows our token no longer.
    carrier.granted.fetch_add(1, Ordering::SeqCst);
    let (first, second) = tokio::join!(
        client.send_authorised(charge_at(url.clone()), &tokens),
        client.send_authorised(charge_at(url.clone()), &tokens),
    );
    assert_eq!((answered(first).0, answered(second).0), (201, 201));
    let charged = carrier.charged.lock().unwrap().clone();
    let expected = |token: &str| (token.to_owned(), "{\"amount\":80}".to_owned());
    assert_eq!(charged, [expected("Bearer token-1"), expected("Bearer token-3"), expected("Bearer token-3")]);
    assert_eq!(carrier.seen.lock().unwrap().len(), 2, "one new token for both");
}

#[tokio::test]
async fn a_401_that_a_new_token_does_not_mend_is_the_answer() {
    let (carrier, address) = Carrier::start(HOUR).await;
    carrier.refuses_all.store(1, Ordering::SeqCst);
    let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
    for _ in 0..5 {
        assert_eq!(answered(client.send_authorised(charge_at(url.clone()), &tokens).await).0, 401);
    }
    assert_eq!(carrier.seen.lock().unwrap().len(), 1, "a fresh token is not replaced at once");
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_and_nobody_waits() {
    let (carrier, address) = Carrier::start(r#","token_type":"Bearer","expires_in":"2""#).await;
    let (client, tokens, url) = tokens(address, ClientAuthentication::Basic);
    answered(client.send_authorised(charge_at(url.clone()), &tokens).await);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let first = tokens.token().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = tokens.token().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "renewed behind the scenes");
    assert_eq!(carrier.seen.lock().unwrap().len(), 2);
    assert_eq!(answered(client.send_authorised(charge_at(url), &tokens).await).0, 201);
    assert_eq!(format!("{tokens:?} {second:?}"), "TokenSource(sms bus) Token");
}
