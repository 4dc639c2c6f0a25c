use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{
    peer::{Peer, charged, free},
    *,
};

struct Control {
    client: Client,
    base: String,
}

impl Control {
    async fn of(simulator: &Simulator) -> Control {
        let address = simulator.control_address().expect("the control is on");
        Control { client: client(), base: format!("http://{address}") }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("the control answers");
        let status = response.status();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }
}

async fn started() -> (Simulator, Control) {
    let control_listen = Some("127.0.0.1:0".parse().expect("an address"));
    let simulator = start(SimulatorConfig { control_listen, ..quick() }).await;
    let control = Control::of(&simulator).await;
    (simulator, control)
}

#[tokio::test]
async fn ledger_inbox_and_counters_are_told() {
    let (simulator, control) = started().await;
    let mut peer = Peer::bound(&simulator).await;
    peer.submit(charged(number(1))).await;
    peer.submit(free(number(1), "БИЛЕТ")).await;
    assert!(simulator.wait_until(LIMIT, |simulator| !simulator.inbox(number(1)).is_empty()).await);
    let ledger = control.get("/ledger").await;
    assert_eq!((&ledger["count"], &ledger["total"]["minor"]), (&json!(1), &json!(8_000)));
    assert_eq!(ledger["entries"][0]["msisdn"], "+77010000001");
    assert_eq!(ledger["entries"][0]["reference"], REFERENCE.to_string());
    assert_eq!(control.get("/inbox/87010000001").await[0]["text"], "БИЛЕТ");
    assert_eq!(control.get("/stats").await["submits_accepted"], 2);
    assert_eq!(control.get("/subscribers/77010000001").await["balance_minor"], 12_000);
}

#[tokio::test]
async fn subscribers_faults_and_texts_are_taken() {
    let (simulator, control) = started().await;
    let subscriber = json!({ "balance_minor": 5, "conditions": ["recent_sim_swap"] });
    let (status, _) = control.call(Method::PUT, "/subscribers/77010000001", Some(subscriber)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(simulator.subscriber(number(1)), Subscriber::with_balance(5).and(Condition::RecentSimSwap));

    let rule = json!({ "msisdn": "77010000002", "times": 2, "fault": { "kind": "delay_response", "ms": 5 } });
    assert_eq!(control.call(Method::POST, "/faults", Some(rule)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(control.get("/faults").await[0]["fault"]["ms"], 5);
    assert_eq!(control.call(Method::DELETE, "/faults", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(control.get("/faults").await, json!([]));

    assert_eq!(
        control.call(Method::PUT, "/own-account", Some(json!({ "empty": true }))).await.0,
        StatusCode::NO_CONTENT
    );
    let mut peer = Peer::bound(&simulator).await;
    assert_eq!(peer.submit(charged(number(3))).await.0, 0x456);

    let mo = json!({ "msisdn": "+77010000001", "to": "2505", "text": "1234" });
    let ((status, report), _) = tokio::join!(control.call(Method::POST, "/mo", Some(mo)), peer.receive());
    assert_eq!((status, report), (StatusCode::OK, json!({ "outcome": "acknowledged", "tries": 1 })));

    assert_eq!(control.call(Method::POST, "/links/drop", None).await.0, StatusCode::NO_CONTENT);
    assert!(peer.end().await.is_some());
}

#[tokio::test]
async fn bad_input_is_told_what_is_wrong_with_it() {
    let (_simulator, control) = started().await;
    for (method, path, body, told) in [
        (Method::GET, "/inbox/12", None, "phone number"),
        (Method::POST, "/mo", Some(json!({ "msisdn": "77010000001", "to": "", "text": "" })), "address"),
        (Method::POST, "/mo", Some(json!({ "msisdn": "12", "to": "2505", "text": "" })), "phone number"),
        (Method::POST, "/mo", Some(json!("text")), "Mo"),
        (Method::PUT, "/subscribers/77010000001", Some(json!({ "balance": 1 })), "balance"),
        (Method::PUT, "/subscribers/77010000001", None, "application/json"),
        (Method::POST, "/faults", Some(json!({ "fault": { "kind": "meteor" } })), "meteor"),
        (Method::POST, "/faults", Some(json!({ "probability": 2.0, "fault": { "kind": "nack" } })), "probability"),
    ] {
        let (status, answer) = control.call(method, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(told)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn links_and_listeners_are_told_reset_and_shut() {
    let (simulator, control) = started().await;
    let mut peer = Peer::bound(&simulator).await;
    let links = control.get("/links").await;
    assert_eq!((&links[0]["mode"], &links[0]["interface_version"]), (&json!("transceiver"), &json!(0x34)));
    let path = format!("/links/{}/drop", links[0]["id"]);
    assert_eq!(control.call(Method::POST, &path, None).await.0, StatusCode::NO_CONTENT);
    assert!(peer.end().await.is_some());
    assert_eq!(control.call(Method::POST, "/links/999/drop", None).await.0, StatusCode::NOT_FOUND);

    let set = |open: bool| control.call(Method::PUT, "/listeners/0", Some(json!({ "open": open })));
    assert_eq!(set(false).await.0, StatusCode::NO_CONTENT);
    assert_eq!(control.get("/listeners").await[0]["open"], false);
    assert_eq!(set(true).await.0, StatusCode::NO_CONTENT);
    Peer::bound(&simulator).await;
    let nowhere = control.call(Method::PUT, "/listeners/7", Some(json!({ "open": true }))).await;
    assert_eq!(nowhere.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn chaos_begins_is_told_and_ends() {
    let (simulator, control) = started().await;
    let chaos = json!({ "seed": 3, "length_ms": 600_000, "weathers": ["throttling"] });
    assert_eq!(control.call(Method::POST, "/chaos", Some(chaos.clone())).await.0, StatusCode::ACCEPTED);
    assert_eq!(control.call(Method::POST, "/chaos", Some(chaos)).await.0, StatusCode::CONFLICT);
    assert!(simulator.wait_until(LIMIT, |simulator| !simulator.faults().is_empty()).await);
    assert_eq!(control.get("/chaos").await["spell"]["weather"], "throttling");
    assert_eq!(control.call(Method::DELETE, "/chaos", None).await.0, StatusCode::NO_CONTENT);
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.faults().is_empty()).await);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let after = control.get("/chaos").await;
    assert_eq!((&after["spell"], &after["report"]["completed"]), (&Value::Null, &json!(false)));
    let (status, answer) = control.call(Method::POST, "/chaos", Some(json!({ "weathers": [] }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("weathers")), "{answer}");
}

#[tokio::test]
async fn an_mo_takes_the_form_that_is_asked_for() {
    let (simulator, control) = started().await;
    let mut peer = Peer::bound(&simulator).await;
    let mo = json!({ "msisdn": "77010000001", "to": "2505", "text": "x".repeat(200), "form": "udh16" });
    let parts = async { [peer.receive().await, peer.receive().await].map(|part| u8::from(part.esm_class)) };
    let ((status, report), classes) = tokio::join!(control.call(Method::POST, "/mo", Some(mo)), parts);
    assert_eq!((status, &report["tries"], classes), (StatusCode::OK, &json!(2), [0x40, 0x40]));
}
