//! `smsbusd smpp`: against the simulator, against peers that behave badly, and against a running daemon.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Output, Stdio},
    thread::JoinHandle,
};

use serde_json::Value;
use smsbusd::simulator::{Simulator, SimulatorConfig};

use crate::{
    daemon::Daemon,
    deployment::{Deployment, TOKEN, run, smsbusd, stderr, stdout},
};

/// A simulated carrier that charges on submission, for these tests alone.
async fn simulator(toml: &str) -> Simulator {
    let text = format!("smpp_listen = \"127.0.0.1:0\"\ndelivery_delay_ms = {{ min = 1, max = 5 }}\n{toml}");
    Simulator::start(SimulatorConfig::from_toml(&text).expect("sound")).await.expect("a free port")
}

/// Runs `smpp COMMAND` against `smsc`, with flags only. In a thread of its own, for the simulator to run beside it.
async fn tool(command: &str, smsc: SocketAddr, flags: &[&str]) -> Output {
    tool_as(command, smsc, "secret", flags).await
}

async fn tool_as(command: &str, smsc: SocketAddr, password: &str, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, password).expect("written");
    let mut child = smsbusd();
    child.args(["smpp", command, "--address", &smsc.to_string(), "--system-id", "smsbus"]);
    child.arg("--password-file").arg(&file).args(flags);
    let output = tokio::task::spawn_blocking(move || child.output().expect("the program runs"));
    output.await.expect("no panic")
}

/// Runs `smpp COMMAND` as a deployment is configured.
async fn tool_of(command: &str, deployment: &Deployment, flags: &[&str]) -> Output {
    let mut child = smsbusd();
    child.args(["smpp", command, "--carrier", "kcell", "--config"]).arg(deployment.config()).args(flags);
    tokio::task::spawn_blocking(move || child.output().expect("the program runs")).await.expect("no panic")
}

/// The text without what differs from run to run.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', ',']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', ',']);
        let is_time = bare
            .rsplit_once('.')
            .is_some_and(|(_, thousandths)| thousandths.len() == 3 && thousandths.parse::<u16>().is_ok());
        if is_time { word.replace(bare, "N") } else { word.to_owned() }
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_what_an_smsc_is_like() {
    let smsc = simulator("").await;
    let output = tool("probe", smsc.smpp_address(), &["--count", "3"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = without_times(&stdout(&output)).replace(&smsc.smpp_address().to_string(), "[address]");
    insta::assert_snapshot!(said, @r#"
    SMSC                 [address] as smsbus
    connected            within N ms
    speaks first         no
    bind_transceiver     ESME_ROK (0x00) within N ms
    its system_id        "SMSBUS-SIM"
    sc_interface_version 0x34, SMPP 3.4
    enquire_link         3 of 3 answered: min N ms, median N ms, p99 N ms
    in parallel          5 of 5 answered within N ms
    unbind               unbind_resp ESME_ROK (0x00) within N ms
    "#);
    assert!(stderr(&output).contains("ESME_RALYBND (0x05)"), "it warns: {}", stderr(&output));

    let json = tool("probe", smsc.smpp_address(), &["--count", "3", "--json", "--mode", "transmitter"]).await;
    let report: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&report["command"], &report["bind"]["status"]), (&"bind_transmitter".into(), &0.into()));
    assert_eq!(report["unbind"]["answer"], "unbind_resp");
    smsc.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_may_not_bind_says_what_to_do() {
    let smsc = simulator("").await;
    let output = tool_as("probe", smsc.smpp_address(), "wrong", &[]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("ESME_RINVPASWD (0x0E)"), "{}", stdout(&output));
    assert!(stdout(&output).contains("what to do           the password is wrong"), "{}", stdout(&output));
    for text in [stdout(&output), stderr(&output)] {
        assert!(!text.contains("\"wrong\""), "{text}");
    }
    smsc.shutdown().await;
    let nobody = tool("probe", smsc.smpp_address(), &["--json"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("cannot connect to"), "{}", stderr(&nobody));
    let report: Value = serde_json::from_slice(&nobody.stdout).expect("JSON");
    assert!(report["problem"].as_str().is_some_and(|problem| problem.contains("cannot connect")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_finds_where_the_queue_is_full() {
    let smsc = simulator("window_max = 3\nresponse_delay_ms = { min = 20, max = 20 }").await;
    let flags = ["--to", "+77010000001", "--from", "2505", "--messages", "4", "--window", "5"];
    let refused = tool("probe", smsc.smpp_address(), &flags).await;
    assert_eq!(refused.status.code(), Some(2), "nobody knows what the source costs: {}", stdout(&refused));
    assert_eq!(smsc.stats().submits, 0);
    let output = tool("probe", smsc.smpp_address(), &[&flags[..], &["--yes", "--json"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let windows = report["windows"].as_array().expect("windows");
    let of = |name: &str| windows.iter().map(|window| window[name].as_u64().unwrap_or(99)).collect::<Vec<_>>();
    assert_eq!((of("window"), of("sent"), of("unanswered")), (vec![1, 2, 5], vec![4, 4, 5], vec![0, 0, 0]));
    assert_eq!(of("queue_full")[..2], [0, 0]);
    assert!(of("queue_full")[2] > 0, "{report:#}");
    smsc.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_and_its_receipt_waited_for() {
    let smsc = simulator("message_id = \"hex_then_decimal\"").await;
    let flags = ["--destination-addr", "+77010000001", "--source-addr", "2505", "--short-message", "Тест 4F7K"];
    let refused = tool("send", smsc.smpp_address(), &flags).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("add --yes"), "{}", stderr(&refused));
    let flags = [&flags[..], &["--yes", "--wait-receipt", "30"]].concat();
    let output = tool("send", smsc.smpp_address(), &flags).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let said = stdout(&output);
    let headings: Vec<&str> = said.lines().filter(|line| !line.starts_with("  ")).collect();
    assert!(headings[0].starts_with("→ submit_sm  sequence 2"), "{said}");
    assert!(headings[1].starts_with("← submit_sm_resp  sequence 2  ESME_ROK (0x00)"), "{said}");
    assert!(headings[2].starts_with("← deliver_sm"), "{said}");
    assert_eq!(headings[3], "delivered");
    assert!(headings[4].contains("response = \"hex\"") && headings[4].contains("\"decimal\""), "{said}");
    for secret in ["7010000001", "4F7K"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    assert_eq!(smsc.ledger().entries().len(), 0, "it was free");
    smsc.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_takes_money_wants_a_yes() {
    let smsc =
        simulator("default_balance_minor = 10000\n[charging]\nat = \"submission\"\n[tariffs]\nBUS_80 = 8000").await;
    let deployment = Deployment::with_smsc(smsc.smpp_address());
    let tariff = ["--destination-addr", "+77010000001", "--tlv", "0x1401=c_octet_string:BUS_80"];
    let refused = tool_of("send", &deployment, &tariff).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("it carries the vendor TLV 0x1401; add --yes"), "{}", stderr(&refused));
    assert_eq!((smsc.stats().submits, smsc.ledger().entries().len()), (0, 0));

    // The short number of the configuration is free.
    let free = tool_of("send", &deployment, &["--destination-addr", "+77010000001", "--json"]).await;
    assert_eq!(free.status.code(), Some(0), "{}", stderr(&free));
    let sending: Value = serde_json::from_slice(&free.stdout).expect("JSON");
    assert_eq!((&sending["outcome"], &sending["response"]["status"]), (&"accepted".into(), &0.into()));

    let taken = tool_of("send", &deployment, &[&tariff[..], &["--yes"]].concat()).await;
    assert_eq!(taken.status.code(), Some(0), "{}", stderr(&taken));
    let broke = tool_of("send", &deployment, &[&tariff[..], &["--yes"]].concat()).await;
    assert_eq!(broke.status.code(), Some(3), "the balance is empty: {}", stdout(&broke));
    assert_eq!(smsc.ledger().entries().len(), 1);
    smsc.shutdown().await;
}

#[test]
fn a_tool_that_is_told_nonsense_ends_with_2_and_a_carrier_that_is_not_there_with_78() {
    let deployment = Deployment::new();
    let config = deployment.config();
    let config = config.to_str().expect("UTF-8");
    let usages: [&[&str]; 6] = [
        &["smpp", "probe"],
        &["smpp", "probe", "--address", "127.0.0.1:9", "--system-id", "smsbus"],
        &["smpp", "send", "--carrier", "kcell", "--config", config],
        &["smpp", "send", "--carrier", "kcell", "--config", config, "--destination-addr", "1", "--tlv", "1"],
        &["smpp", "send", "--carrier", "kcell", "--config", config, "--destination-addr", "1", "--mode", "receiver"],
        &["smpp", "trace", "kcell", "--command", "a&b"],
    ];
    for args in usages {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    let output = run(&["smpp", "probe", "--carrier", "moon", "--config", config]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("carriers.moon: no carrier has this name"), "{}", stderr(&output));
    // Whoever connects a carrier needs its section and its password, and no keys.
    std::fs::remove_dir_all(deployment.path("keys")).expect("removed");
    let output = run(&["smpp", "probe", "--carrier", "kcell", "--config", config]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot connect to 127.0.0.1:9"), "{}", stderr(&output));
}

/// An SMSC that sends `enquire_link` before anything else and delivers a message, answers the bind and one enquiry, and
/// closes on `unbind`. Gives what it was sent.
fn odd_smsc() -> (SocketAddr, JoinHandle<Vec<[u32; 4]>>) {
    const ENQUIRE_LINK: u32 = 0x15;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut heard = Vec::new();
        write(&mut stream, [ENQUIRE_LINK, 0, 1], b"");
        let mut enquiries = 0;
        while let Some(header) = read(&mut stream) {
            heard.push(header);
            match header[1] {
                9 => {
                    write(&mut stream, [0x8000_0009, 0, header[3]], b"odd\0\x02\x10\x00\x01\x50\x04\x28\x00\x01\x5A");
                    let mo = b"\0\x01\x0177015554433\0\x03\x002505\0\x00\x00\x00\0\0\x00\x00\x01\x00\x041234";
                    write(&mut stream, [5, 0, 7], mo);
                }
                ENQUIRE_LINK if enquiries == 0 => {
                    enquiries += 1;
                    write(&mut stream, [0x8000_0015, 0, header[3]], b"");
                }
                6 => break,
                _ => {}
            }
        }
        heard
    };
    (address, std::thread::spawn(serve))
}

fn write(stream: &mut TcpStream, [command, status, sequence]: [u32; 3], body: &[u8]) {
    let length = u32::try_from(16 + body.len()).expect("short");
    let header: Vec<u8> = [length, command, status, sequence].into_iter().flat_map(u32::to_be_bytes).collect();
    stream.write_all(&[&header, body].concat()).expect("written");
}

fn read(stream: &mut TcpStream) -> Option<[u32; 4]> {
    let mut header = [0; 16];
    stream.read_exact(&mut header).ok()?;
    let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let mut body = vec![0; usize::try_from(word(0)).expect("short") - 16];
    stream.read_exact(&mut body).ok()?;
    Some([word(0), word(4), word(8), word(12)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_an_odd_smsc_tells_what_is_odd_and_takes_no_message_from_the_daemon() {
    let (smsc, peer) = odd_smsc();
    let output = tool("probe", smsc, &["--count", "3", "--timeout", "1"]).await;
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let said = without_times(&stdout(&output)).replace(&smsc.to_string(), "[address]");
    insta::assert_snapshot!(said, @r#"
    SMSC                 [address] as smsbus
    connected            within N ms
    speaks first         enquire_link
    bind_transceiver     ESME_ROK (0x00) within N ms
    its system_id        "odd"
    sc_interface_version 0x50, SMPP 5.0
    enquire_link         1 of 2 answered: min N ms, median N ms, p99 N ms
    in parallel          0 of 5 answered
    congestion_state     90 of 100
    unbind               the SMSC closed the connection without an answer
    messages put off     1; the SMSC will deliver them again
    "#);
    let heard = peer.join().expect("no panic");
    let answer = |command: u32| heard.iter().find(|header| header[1] == command).map(|header| (header[2], header[3]));
    assert_eq!(answer(0x8000_0005), Some((0x64, 7)), "the SMSC is to deliver it again: {heard:?}");
    assert_eq!(answer(0x8000_0015), Some((0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_is_traced_and_not_robbed_of_its_bind() {
    let smsc = simulator("[charging]\nat = \"delivery\"\n[tariffs]\nBUS_80 = 8000\nBUS_100 = 10000").await;
    let deployment = Deployment::with_smsc(smsc.smpp_address());
    // Where a tool sees that it runs.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let written = std::fs::read_to_string(deployment.config()).expect("the configuration");
    let (before, operations) = written.split_once("[operations]").expect("the section");
    let operations = operations.replacen("127.0.0.1:0", &free.to_string(), 1);
    deployment.write("smsbusd.toml", &format!("{before}[operations]{operations}"));
    let daemon = Daemon::start(&deployment);
    daemon.wait_for("bound");
    let server = daemon.addresses()["api"].clone();

    let refused = tool_of("probe", &deployment, &[]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("a daemon runs here"), "{}", stderr(&refused));

    let trace = smsbusd()
        .args(["smpp", "trace", "kcell", "--server", &server, "--seconds", "300", "--command", "submit_sm"])
        .env("SMSBUSD_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    daemon.wait_for("a carrier is traced");
    let create = ["charge", "--server", &server, "create", "--msisdn", "+77010000001", "--vehicle", "1234"];
    let bought = smsbusd().args(create).args(["--wait", "60"]).env("SMSBUSD_TOKEN", TOKEN).output();
    assert!(bought.expect("the program runs").status.success());
    daemon.signal("TERM");
    let traced = trace.wait_with_output().expect("it ends with the daemon");
    assert_eq!(traced.status.code(), Some(0));
    let text = stdout(&traced);
    let tariff = text.lines().find(|line| line.contains("0x1401 vendor"));
    assert!(tariff.is_some_and(|line| line.contains("\"BUS_")), "{text}");
    assert!(text.contains(" → submit_sm  sequence ") && text.contains(" ← submit_sm_resp  sequence "), "{text}");
    assert!(text.contains("+7701***0001") && text.contains("octets, not shown"), "{text}");
    assert!(!text.contains("7010000001") && !text.contains("deliver_sm"), "{text}");
    assert_eq!(daemon.end().code(), Some(0));
    smsc.shutdown().await;
}
