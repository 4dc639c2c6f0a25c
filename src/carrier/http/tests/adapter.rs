use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    carrier::{
        Urgency,
        http::{HttpCarrier, HttpProfile, PortabilityReading, SubscriberReading},
        web::WebSlot,
    },
    charge::{Charge, Doubt, Event, EvidenceSource, Finding, LateSuccess, Reason, Retry, Terms, samples::order, step},
    clock::Timestamp,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// What a server does with one request, after reading it.
enum Then {
    Answer(u16, String),
    Redirect(String),
    Oversized,
    HangUp,
    Nothing,
}

/// A server that does these things in their order, one connection each, and keeps what it was sent.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Vec<Then>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Server { address: listener.local_addr().expect("an address"), heard: Arc::default() };
        let heard = Arc::clone(&server.heard);
        tokio::spawn(async move {
            let mut idle = Vec::new();
            for then in script {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = read_request(&mut stream).await;
                heard.lock().expect("the lock").push(request);
                answer(&mut stream, then, &mut idle).await;
                idle.push(stream);
            }
            std::future::pending::<()>().await;
        });
        server
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("the lock").clone()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return text;
            }
            continue;
        };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
        if body.len() >= length || read == 0 {
            return text;
        }
    }
}

async fn answer(stream: &mut TcpStream, then: Then, _: &mut Vec<TcpStream>) {
    let (head, body) = match then {
        Then::Answer(status, body) => (format!("HTTP/1.1 {status} X"), body),
        Then::Redirect(to) => (format!("HTTP/1.1 302 Found\r\nLocation: {to}"), String::new()),
        Then::Oversized => ("HTTP/1.1 200 OK".to_owned(), "x".repeat(200_000)),
        Then::HangUp => {
            stream.shutdown().await.expect("the end");
            return;
        }
        Then::Nothing => return,
    };
    let text = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    // A client that has seen enough hangs up.
    let _gone = stream.write_all(text.as_bytes()).await;
}

/// A carrier that speaks this profile to `base_url`.
fn carrier(name: &str, base_url: &str, change: impl Fn(String) -> String) -> HttpCarrier {
    let file = format!("{}/config/examples/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("a profile");
    let text = change(
        text.replace("timeout_ms = 10_000", "timeout_ms = 500")
            .replace("connect_timeout_ms = 3_000", "connect_timeout_ms = 300"),
    );
    let files = ["sign", "password", "callback", "token"];
    let overrides = Overrides { base_url: Some(base_url.into()), ..Overrides::default() };
    let profile = Profile::parse(name, &text, &overrides).unwrap_or_else(|error| panic!("{error}"));
    let secret_files = files.iter().filter(|name| profile.secrets().any(|known| known == **name));
    let section = HttpProfile {
        profile: name.into(),
        base_url: Some(base_url.into()),
        secret_files: secret_files.map(|name| ((*name).to_owned(), (*name).into())).collect(),
        ..HttpProfile::default()
    };
    let name = "kcell".parse().expect("a name");
    HttpCarrier::open(name, section, profile, secrets(), jiff::tz::TimeZone::UTC)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn cis(base_url: &str) -> HttpCarrier {
    carrier("cis", base_url, |text| text)
}

async fn slot(carrier: &HttpCarrier) -> WebSlot {
    carrier.reserve(Duration::from_secs(5), Urgency::Normal).await.expect("a slot")
}

/// A charge with its first attempt open.
fn opened(carrier: &HttpCarrier) -> Charge {
    let reference = SampleValues::default().reference;
    let terms = Terms::new(NOW.plus(Duration::from_secs(60)), LateSuccess::Ticket);
    let charge = Charge::new(reference, order(NOW), terms);
    let event = Event::OpenAttempt {
        carrier: carrier.name().clone(),
        wire_reference: carrier.wire_reference(reference, 1),
        contract: carrier.contract(),
        carrier_time: None,
    };
    step(&charge, event, NOW).expect("an attempt").next
}

fn cis_answer(result: &str) -> String {
    let wire = wire(&shipped("cis"));
    format!(
        "<response><osmp_txn_id>{wire}</osmp_txn_id><prv_txn>77</prv_txn><sum>80.00</sum><result>{result}</result></response>"
    )
}

async fn charge_with(carrier: &HttpCarrier, charge: &Charge) -> crate::charge::Evidence {
    let attempt = charge.last_attempt().expect("an attempt");
    carrier.charge(slot(carrier).await, charge, attempt).await
}

fn after_headers(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("a body").1
}

#[tokio::test]
async fn a_charge_goes_out_and_its_answer_is_evidence() {
    let server = Server::start(vec![Then::Answer(200, cis_answer("0"))]).await;
    let carrier = cis(&server.url());
    let evidence = charge_with(&carrier, &opened(&carrier)).await;
    assert_eq!(evidence.source, EvidenceSource::Response);
    assert_eq!(evidence.attempt, 1);
    let amount = Some(crate::money::Money::kzt(8_000));
    assert_eq!(evidence.finding, Finding::Charged { carrier_id: Some("77".into()), amount });
    assert!(server.heard()[0].starts_with("POST /pay HTTP/1.1\r\n"), "{:?}", server.heard());
    assert!(carrier.expected_answer() <= Duration::from_millis(500));
}

#[tokio::test]
async fn m04_sent_again_it_is_the_same_bytes_and_the_same_answer_the_same_evidence() {
    let script = vec![Then::HangUp, Then::Answer(200, cis_answer("0")), Then::Answer(200, cis_answer("0"))];
    let server = Server::start(script).await;
    let carrier = cis(&server.url());
    let charge = opened(&carrier);
    let lost = charge_with(&carrier, &charge).await;
    assert_eq!(lost.finding, Finding::Doubtful { cause: Doubt::LinkLost });
    let doubtful = step(&charge, Event::Evidence(lost), NOW).expect("a step").next;
    let (first, second) = (charge_with(&carrier, &doubtful).await, charge_with(&carrier, &doubtful).await);
    assert!(matches!(first.finding, Finding::Charged { .. }));
    assert_eq!(first, second);
    let heard = server.heard();
    assert_eq!(after_headers(&heard[0]), after_headers(&heard[1]));
    assert_eq!(after_headers(&heard[1]), after_headers(&heard[2]));
}

#[tokio::test]
async fn no_answer_in_time_is_a_doubt() {
    let server = Server::start(vec![Then::Nothing]).await;
    let carrier = cis(&server.url());
    let lost = charge_with(&carrier, &opened(&carrier)).await;
    assert_eq!((lost.finding, lost.source), (Finding::Doubtful { cause: Doubt::Timeout }, EvidenceSource::Link));
}

#[tokio::test]
async fn what_is_turned_away_at_the_door_did_not_happen() {
    let server = Server::start(vec![Then::Answer(429, "slow".into())]).await;
    let carrier = cis(&server.url());
    let finding = charge_with(&carrier, &opened(&carrier)).await.finding;
    let expected =
        |reason: &Reason, retry: &Retry| *reason == Reason::CarrierUnavailable && *retry == Retry::SameCarrier;
    assert!(matches!(&finding, Finding::Rejected { reason, retry, .. } if expected(reason, retry)), "{finding:?}");
}

#[tokio::test]
async fn nothing_written_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let carrier = cis(&format!("http://{address}"));
    let evidence = charge_with(&carrier, &opened(&carrier)).await;
    assert_eq!((evidence.finding, evidence.source), (Finding::NotSent, EvidenceSource::Link));
}

#[tokio::test]
async fn a_tls_handshake_that_fails_is_not_sent() {
    let server = Server::start(vec![Then::Answer(200, cis_answer("0"))]).await;
    let carrier = cis(&server.url().replace("http:", "https:"));
    assert_eq!(charge_with(&carrier, &opened(&carrier)).await.finding, Finding::NotSent);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Server::start(vec![Then::Answer(200, cis_answer("0"))]).await;
    let server = Server::start(vec![Then::Redirect(format!("{}/pay", elsewhere.url()))]).await;
    let carrier = cis(&server.url());
    let finding = charge_with(&carrier, &opened(&carrier)).await.finding;
    assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer });
    assert!(elsewhere.heard().is_empty());
}

#[tokio::test]
async fn m02_an_answer_that_is_oversized_garbage_or_another_kind_is_in_doubt() {
    let script = vec![Then::Oversized, Then::Answer(200, "garbage".into()), Then::Answer(500, cis_answer("1"))];
    let server = Server::start(script).await;
    let carrier = cis(&server.url());
    for _ in 0..3 {
        let finding = charge_with(&carrier, &opened(&carrier)).await.finding;
        assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer });
    }
}

#[tokio::test]
async fn m08_a_question_that_is_lost_says_nothing_and_one_that_cannot_be_put_is_not_put() {
    let server = Server::start(vec![Then::HangUp, Then::Answer(200, cis_answer("210"))]).await;
    let carrier = cis(&server.url());
    let charge = opened(&carrier);
    let attempt = charge.last_attempt().expect("an attempt");
    assert_eq!(carrier.query(&charge, attempt).await, Some(Finding::Nothing));
    assert_eq!(carrier.query(&charge, attempt).await, Some(Finding::NotFound { complete: true, asked_at: None }));
    // OneAPI asks by the carrier's id only.
    let oneapi = super::adapter::carrier("oneapi", &server.url(), |text| text);
    assert_eq!(oneapi.query(&charge, attempt).await, None);
}

#[tokio::test]
async fn the_two_steps_are_reserved_confirmed_and_cancelled() {
    let answers = ["0", "0", "0", "1"].map(|result| Then::Answer(200, cis_answer(result)));
    let script = answers.into_iter().chain([Then::Answer(429, "slow".into()), Then::HangUp]).collect();
    let server = Server::start(script).await;
    let carrier = carrier("cis", &server.url(), |text| text.replace("two_step = false", "two_step = true"));
    assert_eq!(carrier.contract().reservation_ms, Some(300_000));
    let charge = opened(&carrier);
    let attempt = charge.last_attempt().expect("an attempt");
    assert_eq!(charge_with(&carrier, &charge).await.finding, Finding::Reserved { carrier_id: Some("77".into()) });
    assert!(matches!(carrier.confirm(slot(&carrier).await, &charge, attempt).await, Finding::Charged { .. }));
    assert_eq!(carrier.cancel(slot(&carrier).await, &charge, attempt).await, Finding::Cancelled);
    let unclear = Finding::Doubtful { cause: Doubt::UnclearAnswer };
    assert_eq!(carrier.confirm(slot(&carrier).await, &charge, attempt).await, unclear);
    let busy = carrier.confirm(slot(&carrier).await, &charge, attempt).await;
    assert!(matches!(busy, Finding::Rejected { retry: Retry::SameCarrier, .. }), "{busy:?}");
    // Only then may the gate have been slowed down: the lost one comes last.
    let lost = carrier.cancel(slot(&carrier).await, &charge, attempt).await;
    assert_eq!(lost, Finding::Doubtful { cause: Doubt::LinkLost });
    let commands: Vec<String> = server
        .heard()
        .iter()
        .map(|request| after_headers(request).split('&').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(commands[..4], ["command=reserve", "command=confirm", "command=cancel", "command=confirm"]);
}

#[tokio::test]
async fn questions_about_a_number_are_answered_or_unclear() {
    let msisdn = SampleValues::default().msisdn;
    let script = vec![
        Then::Answer(200, r#"{"msisdn": "+77011234567", "contract_type": "business", "debt": "0.00"}"#.into()),
        Then::Answer(200, r#"{"msisdn": "+77011234567", "carrier": "Kcell"}"#.into()),
        Then::HangUp,
    ];
    let server = Server::start(script).await;
    let carrier = carrier("facts", &server.url(), |text| text);
    let patience = Duration::from_secs(1);
    let SubscriberReading::Facts(facts) = carrier.subscriber(msisdn, patience).await else { panic!("no facts") };
    assert_eq!(facts.len(), 4);
    assert_eq!(
        carrier.portability(msisdn, patience).await,
        PortabilityReading::Carrier("kcell".parse().expect("a name"))
    );
    assert!(matches!(carrier.portability(msisdn, patience).await, PortabilityReading::Unclear(_)));
    assert!(server.heard()[0].to_lowercase().contains("authorization: bearer secret-token"));
}

#[tokio::test]
async fn a_refund_has_its_own_number_and_its_own_answer() {
    let profile = shipped("cis");
    let sample = sample(&profile, SampleValues::default());
    let (charge, _) = sample.context(Operation::Refund).attempt.expect("a charge");
    let refund = charge.refunds.last().expect("a refund");
    let number = profile.wire_reference_of_refund(refund);
    let body = cis_answer("0").replace(&wire(&profile), &number);
    let server = Server::start(vec![Then::Answer(200, body), Then::Answer(200, cis_answer("0"))]).await;
    let carrier = cis(&server.url());
    assert!(matches!(carrier.refund(slot(&carrier).await, charge, refund).await, Finding::Charged { .. }));
    // The answer to something else.
    let other = carrier.refund(slot(&carrier).await, charge, refund).await;
    assert_eq!(other, Finding::Doubtful { cause: Doubt::UnclearAnswer });
}

fn with_oauth2(token_url: String) -> impl Fn(String) -> String {
    move |text| {
        let oauth2 = format!(
            "[authentication]\nkind = \"oauth2\"\ntoken_url = \"{token_url}\"\nclient_id = \"smsbus\"\nclient_secret = \"sign\"\n\n[wire_reference]"
        );
        text.replace("[wire_reference]", &oauth2)
    }
}

#[tokio::test]
async fn a_token_is_got_first_and_without_one_nothing_is_sent() {
    let granted = r#"{"access_token": "t-1", "token_type": "Bearer", "expires_in": 300}"#;
    let tokens = Server::start(vec![Then::Answer(200, granted.into())]).await;
    let server = Server::start(vec![Then::Answer(200, cis_answer("0"))]).await;
    let carrier = carrier("cis", &server.url(), with_oauth2(format!("{}/token", tokens.url())));
    assert!(matches!(charge_with(&carrier, &opened(&carrier)).await.finding, Finding::Charged { .. }));
    assert!(server.heard()[0].to_lowercase().contains("authorization: bearer t-1"), "{:?}", server.heard());

    let tokens = Server::start(vec![Then::Answer(500, String::new())]).await;
    let server = Server::start(vec![]).await;
    let carrier = super::adapter::carrier("cis", &server.url(), with_oauth2(format!("{}/token", tokens.url())));
    assert_eq!(charge_with(&carrier, &opened(&carrier)).await.finding, Finding::NotSent);
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn another_secret_is_in_force_with_the_next_request_and_an_empty_one_never() {
    let server = Server::start(vec![Then::Answer(200, cis_answer("0")), Then::Answer(200, cis_answer("0"))]).await;
    let carrier = cis(&server.url());
    let charge = opened(&carrier);
    charge_with(&carrier, &charge).await;
    let secret = |text: &str| HttpSecrets::new([("sign", Zeroizing::new(text.to_owned()))]);
    let error = carrier.reload(carrier.config(), secret("")).expect_err("an empty secret");
    assert!(error.to_string().contains("http.secret_files.sign"), "{error}");
    carrier.reload(carrier.config(), secret("another")).expect("another secret");
    charge_with(&carrier, &charge).await;
    let heard = server.heard();
    assert_ne!(after_headers(&heard[0]), after_headers(&heard[1]));
    carrier.shut_down().await;
    assert!(carrier.try_reserve().is_none());
}
