//! Connections, limits, TLS, and the control.

use std::path::PathBuf;

use super::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulator/tests/tls")).join(name)
}

fn under_tls(client_roots: bool) -> SimulatorConfig {
    let mut config = carrier();
    config.http.tls = Some(HttpTls {
        certificate: file("server.pem"),
        key: file("server.key"),
        client_roots: client_roots.then(|| file("ca.pem")),
    });
    config
}

#[tokio::test]
async fn an_interface_that_is_not_configured_is_not_there() {
    let mut config = quick();
    config.http.cis = Some(CisConfig::default());
    let simulator = start(config).await;
    assert!(simulator.http_address(Interface::Camara).is_none() && simulator.http_url(Interface::Oneapi).is_none());
    assert_eq!(simulator.http_addresses().into_keys().collect::<Vec<_>>(), [Interface::Cis]);
}

#[tokio::test]
async fn under_tls_http_2_is_offered() {
    let simulator = start(under_tls(false)).await;
    let base = simulator.http_url(Interface::Camara).expect("there").replace("127.0.0.1", "localhost");
    assert!(base.starts_with("https://"));
    let request = client_that_trusts(Some(&file("ca.pem"))).get(format!("{base}{BILLING}"));
    let response = request.send().await.expect("an answer");
    assert_eq!((response.version(), response.status()), (reqwest::Version::HTTP_2, StatusCode::UNAUTHORIZED));
    client().get(format!("{base}{BILLING}")).send().await.expect_err("nobody trusts that root");
}

#[tokio::test]
async fn a_client_certificate_can_be_required_and_bad_files_are_named() {
    let simulator = start(under_tls(true)).await;
    let base = simulator.http_url(Interface::Camara).expect("there");
    let request = client_that_trusts(Some(&file("ca.pem"))).get(format!("{base}{BILLING}"));
    request.send().await.expect_err("it shows no certificate");
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().handshakes_failed == 1).await);

    let mut config = under_tls(false);
    config.http.tls.as_mut().expect("set above").key = file("nowhere.key");
    let error = Simulator::start(config).await.expect_err("no key").to_string();
    assert!(error.contains("http.tls.key"), "{error}");
    let mut config = carrier();
    config.http.callbacks.roots = Some(file("nowhere.pem"));
    let error = Simulator::start(config).await.expect_err("no roots").to_string();
    assert!(error.contains("http.callbacks.roots"), "{error}");
}

#[tokio::test]
async fn requests_above_the_rate_are_throttled() {
    let mut config = carrier();
    config.http.requests_per_s_max = Some(2);
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    let mut statuses = Vec::new();
    for n in 0..8 {
        statuses.push(camara.pay(number(n), "80", &format!("r{n}")).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let taken = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(
        (charges(&simulator), simulator.stats().http.throttled),
        (taken, 8 - u64::try_from(taken).expect("few"))
    );
}

#[tokio::test]
async fn connections_are_bounded() {
    let mut config = carrier();
    config.http.limits.connections_max = 1;
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    // The token's client has gone, but its connection may end a little later.
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().http.connections_open == 0).await);
    camara.get(BILLING).await;
    let second = client().get(format!("{}{BILLING}", camara.base)).send().await;
    assert!(second.is_err());
    assert_eq!(simulator.stats().http.connections_open, 1);
}

#[tokio::test]
async fn answers_are_counted_by_their_status() {
    let simulator = start(carrier()).await;
    let camara = Camara::of(&simulator).await;
    camara.pay(number(1), "80", "r").await;
    camara.pay(number(1), "80", "r").await;
    camara.get(BILLING).await;
    let stats = simulator.stats().http;
    assert_eq!(stats.answers_by_status, [(200, 2), (201, 1), (409, 1)].into());
    assert_eq!(stats.requests, 4);
    assert_eq!(stats.requests_by_operation[&Operation::Charge], 2);
}

#[tokio::test]
async fn the_control_tells_payments_and_sets_facts() {
    let mut config = carrier();
    config.control_listen = Some("127.0.0.1:0".parse().expect("an address"));
    let simulator = start(config).await;
    let camara = Camara::of(&simulator).await;
    camara.pay(number(1), "80", "r").await;
    let control = format!("http://{}", simulator.control_address().expect("on"));
    let get = async |path: &str| sent(client().get(format!("{control}{path}"))).await.expect("an answer").json();
    assert_eq!(get("/payments").await[0]["reference"], "r");
    assert_eq!(get("/payments").await[0]["status"], "succeeded");
    let address = simulator.http_address(Interface::Camara).expect("there");
    assert_eq!(get("/http").await["camara"], json!(address));
    assert_eq!(get("/ledger").await["entries"][0]["interface"], "camara");
    assert_eq!(get("/ledger").await["refunded"]["minor"], 0);
    let facts = client().put(format!("{control}/subscribers/77010000001/facts"));
    let facts = facts.header("content-type", "application/json").body(r#"{"debt_minor":100}"#);
    assert_eq!(sent(facts).await.expect("an answer").status, StatusCode::NO_CONTENT);
    assert_eq!(get("/subscribers/77010000001").await["facts"]["debt_minor"], 100);
    sent(client().post(format!("{control}/tokens/expire"))).await.expect("an answer");
    assert_eq!(camara.get(BILLING).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get("/stats").await["http"]["unauthenticated"], 1);
}
