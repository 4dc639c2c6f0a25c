//! The daemon as a process: from its start to its last answer.

use std::{os::unix::net::UnixDatagram, process::Stdio, time::Duration};

use serde_json::Value;

use crate::{
    daemon::{Daemon, answered, ask, simulator, wait},
    deployment::{Deployment, TOKEN, run, smsbusd, stderr, stdout},
};

async fn get(url: &str) -> (u16, String) {
    let client = smsbusd::tls::client_in_the_clear(None).expect("a client");
    let answer = client.get(url).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

/// The metrics, as soon as they have this line.
async fn metrics_with(operations: &str, line: &str) -> String {
    for _ in 0..600 {
        let (_, metrics) = get(&format!("{operations}/metrics")).await;
        if metrics.lines().any(|have| have == line) {
            return metrics;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the metrics never have {line:?}")
}

#[tokio::test]
async fn it_listens_answers_and_drains_on_sigterm() {
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    let addresses = daemon.addresses();
    let operations = &addresses["operations"];
    assert_eq!(get(&format!("{operations}/healthz")).await.0, 200);
    assert_eq!(get(&format!("{operations}/readyz")).await.0, 503, "no carrier is up");
    let metrics = metrics_with(operations, "in_doubt_charges{carrier=\"kcell\",currency=\"KZT\"} 0").await;
    assert!(metrics.contains(concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")), "{metrics}");
    assert!(metrics.contains("# HELP in_doubt_charges Charges in doubt"), "{metrics}");
    assert!(metrics.contains("\npanics_total 0\n"), "{metrics}");
    assert_eq!(get(&format!("{}/v1/carriers", addresses["api"])).await.0, 401);
    assert!(deployment.path("smsbusd.db").is_file());
    daemon.signal("TERM");
    daemon.wait_for("stopped");
    assert_eq!(daemon.end().code(), Some(0));
}

#[tokio::test]
async fn a_reload_puts_new_fares_in_force_and_a_bad_one_changes_nothing() {
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    deployment.append("[gateway]\npassengers_max = 3");
    daemon.signal("HUP");
    daemon.wait_for("reloaded: ");
    let later = daemon.wait_for("these have changed and take effect with a restart");
    assert_eq!(later["keys"], "gateway.passengers_max");
    deployment.write("transit/fares.csv", "nonsense\n");
    daemon.signal("HUP");
    let refused = daemon.wait_for("not reloaded");
    assert!(refused["problem"].as_str().is_some_and(|problem| problem.contains("fares.csv")), "{refused}");
    let operations = &daemon.addresses()["operations"];
    metrics_with(operations, "config_reloads_total{result=\"refused\"} 1").await;
    metrics_with(operations, "config_reloads_total{result=\"reloaded\"} 1").await;
    daemon.signal("INT");
    assert_eq!(daemon.end().code(), Some(0));
}

#[tokio::test]
async fn a_reload_puts_a_carriers_rate_in_force_and_says_which_of_its_keys_want_a_restart() {
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    let operations = daemon.addresses()["operations"].clone();
    metrics_with(&operations, "smpp_pool_rate_per_second{carrier=\"kcell\"} 50").await;
    // The last table of the file is the carrier's.
    deployment.append("tps = 7\nwindow = 3");
    daemon.signal("HUP");
    daemon.wait_for("reloaded: ");
    let later = daemon.wait_for("these have changed and take effect with a restart");
    assert_eq!(later["keys"], "carriers.kcell.smpp.window");
    metrics_with(&operations, "smpp_pool_rate_per_second{carrier=\"kcell\"} 7").await;
    deployment.write("password", "far too long for a bind\n");
    daemon.signal("HUP");
    let refused = daemon.wait_for("not reloaded");
    assert!(refused["problem"].as_str().is_some_and(|problem| problem.contains("password_file")), "{refused}");
    assert!(!refused.to_string().contains("far too long"), "{refused}");
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_told_by_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let deployment = Deployment::new();
    let output = smsbusd()
        .args(["serve", "--config", deployment.config().to_str().expect("UTF-8")])
        .env("SMSBUSD__OPERATIONS__LISTEN", &address)
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("operations.listen: cannot listen on {address}")), "{}", stderr(&output));
}

#[test]
fn the_service_manager_is_told_what_the_daemon_does() {
    let deployment = Deployment::new();
    let socket = UnixDatagram::bind(deployment.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    let wait_for = |wanted: &str| {
        let mut bytes = [0; 4_096];
        for _ in 0..1_000 {
            let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(wanted)) {
                return text;
            }
        }
        panic!("{wanted} does not come")
    };
    let daemon = Daemon::start_with(&deployment, |command| {
        command.env("NOTIFY_SOCKET", deployment.path("notify")).env("WATCHDOG_USEC", "400000");
    });
    assert!(wait_for("READY=1").contains("STATUS=selling through kcell"));
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    daemon.signal("HUP");
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    daemon.signal("TERM");
    wait_for("STOPPING=1");
    assert_eq!(daemon.end().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_is_announced_sells_until_it_begins() {
    let simulator = simulator().await;
    let deployment = Deployment::with_smsc(simulator.smpp_address());
    let daemon = Daemon::start_with(&deployment, |command| {
        command.env("SMSBUSD__PROCESS__ANNOUNCE_SECONDS", "6");
    });
    daemon.wait_for("bound");
    daemon.signal("TERM");
    daemon.wait_for("a stop is announced");
    assert_eq!(get(&format!("{}/readyz", daemon.addresses()["operations"])).await.0, 503);
    let create = ["charge", "create", "--msisdn", "+77010000001", "--vehicle", "1234", "--wait", "5"];
    let charge = answered(&daemon, &create);
    assert_eq!(charge["state"], "charged", "{charge:#}");
    daemon.wait_for("stopping");
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_stop_that_waits() {
    // No carrier is up, so that the caller waits, and the stop waits for the caller.
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    let mut caller = smsbusd()
        .args(["charge", "--server", &daemon.addresses()["api"], "create"])
        .args(["--msisdn", "+77010000001", "--vehicle", "1234", "--wait", "20"])
        .env("SMSBUSD_TOKEN", TOKEN)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    daemon.wait_for("charge opened");
    daemon.signal("TERM");
    daemon.wait_for("stopping");
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(1));
    assert_eq!(wait(&mut caller).code(), Some(1), "its connection is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_buys_a_ticket_looks_at_it_and_pauses_the_carrier() {
    let simulator = simulator().await;
    let deployment = Deployment::with_smsc(simulator.smpp_address());
    let daemon = Daemon::start(&deployment);
    daemon.wait_for("bound");

    let create =
        ["charge", "create", "--msisdn", "+77010000001", "--vehicle", "1234", "--wait", "60", "--key", "first"];
    let charge = answered(&daemon, &create);
    assert_eq!(charge["state"], "charged", "{charge:#}");
    assert_eq!(answered(&daemon, &create)["reference"], charge["reference"], "the same key charges once");
    let reference = charge["reference"].as_str().expect("a reference");
    let shown = answered(&daemon, &["charge", "show", reference, "--json"]);
    let number = shown["msisdn"].as_str().expect("a number");
    assert!(number.contains("***"), "{number}");
    assert_eq!(shown["reference"], charge["reference"]);
    assert!(!shown["journal"]["entries"].as_array().is_none_or(Vec::is_empty), "{shown:#}");
    let story = ask(&daemon, &["charge", "show", reference, "--zone", "Asia/Almaty"]);
    let story = String::from_utf8(story.stdout).expect("text");
    assert!(story.starts_with(&format!("Charge {reference} is charged.\n")), "{story}");
    assert!(story.contains("submit_sm_resp: command_status") && !story.contains("77010000001"), "{story}");
    let resolved = ask(&daemon, &["charge", "resolve", reference, "--as", "not-charged", "--because", "a test"]);
    assert_eq!(resolved.status.code(), Some(1), "it is not in doubt: {}", stdout(&resolved));
    assert!(stderr(&resolved).contains("docs/errors/conflict.md"), "{}", stderr(&resolved));
    assert_eq!(simulator.ledger().entries().len(), 1);

    let printed = stdout(&ask(&daemon, &["events", "--types", "charge.*,ticket.issued"]));
    let events: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types, ["charge.processing", "charge.charged", "ticket.issued"]);
    assert!(events.iter().all(|event| event["data"]["reference"] == charge["reference"]), "{printed}");
    let last = events[2]["cursor"].as_str().expect("a cursor");
    assert_eq!(stdout(&ask(&daemon, &["events", "--after", last])), "");
    assert_eq!(answered(&daemon, &["webhook", "list"]), serde_json::json!({ "webhooks": [] }));
    assert_eq!(ask(&daemon, &["webhook", "replay", "nobody", "--after", "0"]).status.code(), Some(1));

    assert_eq!(ask(&daemon, &["carrier", "pause", "kcell"]).status.code(), Some(0));
    let carriers = answered(&daemon, &["carrier", "list"]).to_string();
    assert!(carriers.contains("\"paused\":true"), "{carriers}");
    assert_eq!(ask(&daemon, &["carrier", "resume", "kcell"]).status.code(), Some(0));
    let unknown = ask(&daemon, &["carrier", "pause", "moon"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));

    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0));
    simulator.shutdown().await;
}

#[test]
fn a_store_that_a_daemon_serves_is_neither_served_nor_migrated_by_another() {
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    let config = deployment.config();
    for command in ["serve", "migrate"] {
        let refused = run(&[command, "--config", config.to_str().expect("UTF-8")]);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        assert!(stderr(&refused).contains("smsbusd.db is in use by process "), "{command}: {}", stderr(&refused));
    }
    daemon.signal("KILL");
    daemon.end();
    let migrated = run(&["migrate", "--config", config.to_str().expect("UTF-8")]);
    assert!(migrated.status.success(), "a process that is killed holds nothing: {}", stderr(&migrated));
}

#[test]
fn what_a_daemon_left_in_its_store_is_there_for_the_next() {
    let deployment = Deployment::new();
    for _ in 0..2 {
        let daemon = Daemon::start(&deployment);
        daemon.signal("TERM");
        assert_eq!(daemon.end().code(), Some(0));
    }
    let migrated = run(&["migrate", "--config", deployment.config().to_str().expect("UTF-8")]);
    assert!(migrated.status.success(), "{}", stderr(&migrated));
}
