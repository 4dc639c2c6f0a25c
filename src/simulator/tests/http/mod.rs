//! The carrier over HTTP, over real sockets.

mod billing;
mod callbacks;
mod camara;
mod cis;
mod connections;
mod faults;
mod inquiry;
mod oneapi;
mod refunds;
mod strictness;
mod subscriber;

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::HeaderMap,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

/// Every interface, and balances of 200 tenge.
fn carrier() -> SimulatorConfig {
    SimulatorConfig { http: HttpConfig::all(), ..quick() }
}

fn carrier_with_camara(change: impl FnOnce(&mut CamaraConfig)) -> SimulatorConfig {
    let mut config = carrier();
    change(config.http.camara.as_mut().expect("there is CAMARA"));
    config
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Status and `code` of a CAMARA error.
    fn code(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16(), "{}", self.text);
        (self.status.as_u16(), body["code"].as_str().expect("a code").to_owned())
    }
}

async fn sent(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

/// A client of CAMARA with a token.
struct Camara {
    client: reqwest::Client,
    base: String,
    token: String,
}

const BILLING: &str = "/carrier-billing/v0.5/payments";
const REFUND: &str = "/carrier-billing-refund/v0.3/payments";

impl Camara {
    async fn of(simulator: &Simulator) -> Camara {
        let base = simulator.http_url(Interface::Camara).expect("there is CAMARA");
        let request = client()
            .post(format!("{base}/oauth2/token"))
            .basic_auth("smsbus", Some("secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let answer = sent(request).await.expect("a token");
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
        Camara { client: client(), base, token }
    }

    async fn try_call(&self, method: Method, path: &str, body: Option<&str>) -> reqwest::Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        sent(request).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_call(Method::POST, path, Some(&body.to_string())).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Answer {
        self.try_call(Method::GET, path, None).await.expect("an answer")
    }

    async fn pay(&self, msisdn: Msisdn, amount: &str, reference: &str) -> Answer {
        let body = payment(msisdn, amount, reference);
        self.try_call(Method::POST, BILLING, Some(&body)).await.expect("an answer")
    }

    async fn prepare(&self, msisdn: Msisdn, reference: &str) -> Answer {
        let path = format!("{BILLING}/prepare");
        self.try_call(Method::POST, &path, Some(&payment(msisdn, "80", reference))).await.expect("an answer")
    }

    /// `confirm` or `cancel`.
    async fn second(&self, id: &str, step: &str, msisdn: Msisdn) -> Answer {
        self.post(&format!("{BILLING}/{id}/{step}"), &json!({ "phoneNumber": msisdn.to_string() })).await
    }
}

/// The body of a payment, with the amount as these very digits.
fn payment(msisdn: Msisdn, amount: &str, reference: &str) -> String {
    format!(
        r#"{{"amountTransaction":{{"phoneNumber":"{msisdn}","clientCorrelator":"c-{reference}","referenceCode":"{reference}",
        "paymentAmount":{{"chargingInformation":{{"amount":{amount},"currency":"KZT","description":"bus 1234"}}}}}}}}"#
    )
}

fn id_of(answer: &Answer) -> String {
    answer.json()["paymentId"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

/// Somebody who is called back.
#[derive(Clone, Debug, Default)]
struct Listener {
    heard: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// What the next ones are answered with; 204 after that.
    answers: Arc<Mutex<Vec<u16>>>,
    url: String,
}

impl Listener {
    async fn start() -> Listener {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let listener = Listener { url: format!("http://{address}/sink"), ..Listener::default() };
        let router = Router::new().fallback(hear).with_state(listener.clone());
        tokio::spawn(async move { axum::serve(socket, router).await });
        listener
    }

    fn heard(&self) -> Vec<(HeaderMap, Bytes)> {
        self.heard.lock().expect("nobody panics").clone()
    }

    fn events(&self) -> Vec<Value> {
        self.heard().iter().map(|(_, body)| serde_json::from_slice(body).expect("JSON")).collect()
    }

    /// Waits for so many.
    async fn hears(&self, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while self.heard().len() < count {
            assert!(tokio::time::Instant::now() < deadline, "heard only {:?}", self.heard());
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        self.events()
    }
}

async fn hear(State(listener): State<Listener>, request: Request) -> axum::http::StatusCode {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    listener.heard.lock().expect("nobody panics").push((parts.headers, body));
    let next = listener.answers.lock().expect("nobody panics").pop();
    axum::http::StatusCode::from_u16(next.unwrap_or(204)).expect("a status")
}

/// What was taken from a number and not given back, and what it has left, always make what it had.
fn assert_books_balance(simulator: &Simulator, msisdn: Msisdn, had_minor: i64) {
    let ledger = simulator.ledger();
    let taken = ledger.total_of(msisdn).minor - ledger.refunded_of(msisdn).minor;
    let held: i64 = simulator
        .payments()
        .iter()
        .filter(|payment| payment.msisdn == msisdn && payment.status.holds())
        .map(|payment| payment.amount.minor)
        .sum();
    assert_eq!(simulator.balance(msisdn).minor + taken + held, had_minor);
}
