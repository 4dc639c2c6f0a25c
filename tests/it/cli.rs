//! Every command that needs no daemon.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use smsbusd::{
    charge::Reference,
    clock::{Clock, Timestamp},
    money::Money,
    ticket::{TicketContents, keyfile, qr},
};

use crate::{
    daemon::{signal, wait},
    deployment::{Deployment, run, run_well, smsbusd, stderr, stdout},
};

#[test]
fn every_command_explains_itself() {
    let commands: [&[&str]; 29] = [
        &[],
        &["serve"],
        &["demo"],
        &["simulate"],
        &["migrate"],
        &["retention"],
        &["check-config"],
        &["keys"],
        &["keys", "generate"],
        &["keys", "list"],
        &["keys", "export"],
        &["ticket"],
        &["ticket", "verify"],
        &["ticket", "show"],
        &["charge"],
        &["charge", "create"],
        &["charge", "show"],
        &["charge", "resolve"],
        &["charge", "refunds"],
        &["charge", "resolve-refund"],
        &["carrier"],
        &["carrier", "list"],
        &["carrier", "pause"],
        &["carrier", "resume"],
        &["carrier", "try"],
        &["smpp"],
        &["smpp", "probe"],
        &["smpp", "send"],
        &["smpp", "trace"],
    ];
    for command in commands {
        let help = run_well(&[command, &["--help"]].concat());
        let usage = ["Usage: smsbusd"].iter().chain(command).copied().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&usage), "{command:?}: {help}");
        assert!(!help.starts_with("Usage"), "{command:?} does not say what it does: {help}");
    }
    assert!(run_well(&["--help"]).contains("78  the configuration is wrong"));
    assert_eq!(run_well(&["--version"]), format!("smsbusd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_commands_about_events_explain_themselves() {
    for command in [&["events"][..], &["webhook"], &["webhook", "show"], &["webhook", "replay"], &["webhook", "resume"]]
    {
        let help = run_well(&[command, &["--help"]].concat());
        assert!(help.contains(&format!("Usage: smsbusd {}", command.join(" "))), "{command:?}: {help}");
    }
    for nonsense in [
        &["events", "--after", "x"][..],
        &["events", "--types", "charge.paid"],
        &["webhook", "replay", "tickets"],
        &["webhook", "replay", "tickets", "--given-up", "--after", "0"],
        &["webhook", "show", "a/b"],
    ] {
        assert_eq!(run(nonsense).status.code(), Some(2), "{nonsense:?}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let usages: [&[&str]; 7] = [
        &["fly"],
        &["serve", "--port", "80"],
        &["keys", "export", "--directory", "."],
        &["keys", "generate", "--directory", ".", "--purpose", "root", "--not-before", "2026-01-01T00:00:00Z"],
        &["charge", "create", "--msisdn", "12", "--vehicle", "1234"],
        &["charge", "show", "nonsense"],
        // Nobody has said who asks.
        &["carrier", "list"],
    ];
    for args in usages {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_good_configuration_is_summed_up() {
    let deployment = Deployment::new();
    let summary = run_well(&["check-config", "--config", deployment.config().to_str().expect("UTF-8")]);
    assert!(summary.starts_with("The configuration is sound.\n"), "{summary}");
    assert!(summary.contains("carriers      kcell\n"), "{summary}");
}

#[test]
fn a_bad_configuration_ends_with_78_and_every_problem_with_its_file_and_key() {
    let deployment = Deployment::new();
    deployment.append("[gateway]\npassengers_mx = 3\n[log]\nformat = \"xml\"");
    let config = deployment.config();
    for command in ["check-config", "serve"] {
        let output = run(&[command, "--config", config.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        for key in ["gateway.passengers_mx: unknown key", "log.format: "] {
            let line = format!("smsbusd: {}: {key}", config.display());
            assert!(stderr(&output).contains(&line), "{line}\n{}", stderr(&output));
        }
    }
    let gone = run(&["check-config", "--config", "/no/such/file.toml"]);
    assert_eq!(gone.status.code(), Some(78));
    assert!(stderr(&gone).contains("/no/such/file.toml: cannot be read"), "{}", stderr(&gone));
}

#[test]
fn a_move_wants_both_addresses_and_says_what_is_wrong_with_them() {
    let (file, server) = ("sqlite:///nowhere/smsbusd.db", "postgres://smsbusd@localhost/smsbusd");
    for (args, status, why) in [
        (&["--from", file][..], 2, "--to <ADDRESS>"),
        (&["--to", server], 2, "--from <ADDRESS>"),
        (&["--from", server, "--to", file], 2, "--from: \"postgres://…@localhost/smsbusd\" is no file"),
        (
            &["--from", file, "--to", "postgres://me:secret@localhost/books"],
            2,
            "--to: \"postgres://…@localhost/books\": ",
        ),
        (&["--from", file, "--to", server], 1, "cannot open the database /nowhere/smsbusd.db"),
    ] {
        let output = run(&[&["migrate"], args].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(said.contains(why) && !said.contains("secret"), "{args:?}: {said}");
    }
}

#[test]
fn a_migration_makes_the_store() {
    let deployment = Deployment::new();
    let config = deployment.config();
    for _ in 0..2 {
        let said = run_well(&["migrate", "--config", config.to_str().expect("UTF-8")]);
        assert!(said.contains("the schema is up to date"), "{said}");
    }
    assert!(deployment.path("smsbusd.db").is_file());
}

/// A root, a folder of ticket keys, and a ticket that they signed.
struct Tickets {
    folder: tempfile::TempDir,
    contents: TicketContents,
    text: String,
}

impl Tickets {
    fn new() -> Tickets {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["keys", "root"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let tickets = Tickets { folder, contents: contents(), text: String::new() };
        for (folder, purpose) in [("keys", "ticket"), ("keys", "short-code"), ("root", "root")] {
            let made =
                run_well(&["keys", "generate", "--directory", &tickets.path(folder), "--purpose", purpose, "--json"]);
            let made: Value = serde_json::from_str(&made).expect("JSON");
            assert_eq!(made["purpose"], purpose);
        }
        // Now, that there are keys to sign with.
        let tickets = Tickets { contents: contents(), ..tickets };
        let keyring = keyfile::load_keyring(tickets.path("keys").as_ref()).expect("a keyring");
        let text = qr::to_text(&keyring.sign(&tickets.contents).expect("signed").cose);
        Tickets { text, ..tickets }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The exit status and what is printed.
    fn verify(&self, keys: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = run(&[&["ticket", "verify", &self.text, "--keys", &self.path(keys)], more].concat());
        (output.status.code(), format!("{}{}", stdout(&output), stderr(&output)))
    }
}

fn contents() -> TicketContents {
    let now = Clock::System.now();
    TicketContents {
        reference: Reference::new(now, [7; 10]).uuid(),
        issuer: "smsbus".into(),
        issued_at: now,
        not_before: now,
        expires_at: now.plus(Duration::from_secs(3_600)),
        fare_class: "regular".into(),
        passengers: 2,
        amount: Money::kzt(16_000),
        city: "almaty".into(),
        vehicle: "1234".into(),
        route: "92".into(),
        trip: None,
        msisdn_tag: [1, 2, 3, 4],
    }
}

fn later(seconds: u64) -> String {
    Clock::System.now().plus(Duration::from_secs(seconds)).to_string()
}

#[test]
fn keys_are_made_listed_and_published_and_a_ticket_of_theirs_is_verified_offline() {
    let tickets = Tickets::new();
    let listed: Value =
        serde_json::from_str(&run_well(&["keys", "list", "--directory", &tickets.path("keys"), "--json"]))
            .expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let human = run_well(&["keys", "list", "--directory", &tickets.path("root")]);
    let root = human.lines().find_map(|line| line.trim().strip_prefix("public key ")).expect("a public key").to_owned();

    let (keys, jwks, signed) = (tickets.path("keys"), tickets.path("keys.json"), tickets.path("keys.cose"));
    run_well(&["keys", "export", "--jwks", "--directory", &keys, "--output", &jwks]);
    let root_file =
        std::fs::read_dir(tickets.path("root")).expect("a folder").next().expect("a key").expect("a key").path();
    let root_file = root_file.to_str().expect("UTF-8");
    run_well(&["keys", "export", "--signed", "--root", root_file, "--from", &jwks, "--days", "2", "--output", &signed]);
    let again = run(&["keys", "export", "--jwks", "--directory", &keys, "--output", &jwks]);
    assert_eq!(again.status.code(), Some(1), "a file that is there is not overwritten");

    for (set, pin) in [("keys.json", vec![]), ("keys.cose", vec!["--root", root.as_str()])] {
        let (status, said) = tickets.verify(set, &pin);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.starts_with("VALID\nvehicle     1234, route 92, almaty\npassengers  2 (regular)\n"), "{said}");
        let (status, said) = tickets.verify(set, &[&pin[..], &["--vehicle", "1234", "--at", &later(60)]].concat());
        assert_eq!(status, Some(0), "{said}");
        let (status, said) = tickets.verify(set, &[&pin[..], &["--vehicle", "4321"]].concat());
        assert_eq!((status, said.lines().next()), (Some(4), Some("OTHER VEHICLE: bought in 1234")), "{said}");
        let (status, said) = tickets.verify(set, &[&pin[..], &["--at", &later(7_200)]].concat());
        assert_eq!(status, Some(4), "{said}");
        assert!(said.starts_with("EXPIRED: since "), "{said}");
    }

    // A signed set is worth nothing without the pinned root, under another one, or after its time.
    assert_eq!(tickets.verify("keys.cose", &[]).0, Some(2));
    let (status, said) = tickets.verify("keys.cose", &["--root", &root, "--at", &later(3 * 86_400)]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("key set: expired at"), "{said}");

    tickets
        .folder
        .path()
        .join("revoked")
        .to_str()
        .map(|path| std::fs::write(path, format!("{}\n", tickets.contents.reference)));
    let (status, said) = tickets.verify("keys.json", &["--revoked", &tickets.path("revoked"), "--json"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((status, &said["verdict"]), (Some(3), &"invalid".into()));
}

#[test]
fn a_ticket_of_nobody_we_know_is_cannot_tell_and_a_forged_one_is_invalid() {
    let (ours, others) = (Tickets::new(), Tickets::new());
    let jwks = ours.path("keys.json");
    run_well(&["keys", "export", "--jwks", "--directory", &ours.path("keys"), "--output", &jwks]);
    let unknown = run(&["ticket", "verify", &others.text, "--keys", &jwks]);
    assert_eq!(unknown.status.code(), Some(5), "{}", stdout(&unknown));
    assert!(stdout(&unknown).starts_with("CANNOT TELL: "), "{}", stdout(&unknown));

    let mut cose = qr::from_text(&ours.text).expect("a ticket");
    *cose.last_mut().expect("bytes") ^= 1;
    for forged in [qr::to_text(&cose), "SB1:HELLO".to_owned(), "https://example.kz".to_owned()] {
        let output = run(&["ticket", "verify", &forged, "--keys", &jwks]);
        assert_eq!(output.status.code(), Some(3), "{forged}: {}", stderr(&output));
        assert!(stdout(&output).starts_with("INVALID: "), "{}", stdout(&output));
    }
}

#[test]
fn a_ticket_is_shown_from_the_standard_input_and_is_not_called_verified() {
    let tickets = Tickets::new();
    let mut child = smsbusd()
        .args(["ticket", "show", "-", "--qr"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("piped").write_all(format!("{}\n", tickets.text).as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let said = stdout(&output);
    assert!(said.starts_with("NOT VERIFIED: "), "{said}");
    assert!(said.contains(&format!("reference   {}\n", tickets.contents.reference)), "{said}");
    assert!(said.contains('█'), "{said}");
    assert_eq!(run(&["ticket", "show", "SB1:BB8"]).status.code(), Some(1));
}

#[test]
fn a_ticket_key_signs_in_the_time_that_it_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let window = ["--not-before", "2026-03-01T00:00:00Z", "--not-after", "2026-06-01T00:00:00Z"];
    let made =
        run_well(&[&["keys", "generate", "--directory", path, "--purpose", "ticket", "--json"], &window[..]].concat());
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let moment = |name: &str| made[name].as_str().and_then(|text| text.parse::<Timestamp>().ok()).expect("a moment");
    assert_eq!(moment("not_before").to_string(), "2026-03-01T00:00:00.000Z");
    assert_eq!(moment("not_after").to_string(), "2026-06-01T00:00:00.000Z");
    let backwards = run(&[
        "keys",
        "generate",
        "--directory",
        path,
        "--purpose",
        "ticket",
        "--not-before",
        "2026-06-01T00:00:00Z",
        "--not-after",
        "2026-03-01T00:00:00Z",
    ]);
    assert_eq!(backwards.status.code(), Some(1), "{}", stderr(&backwards));
}

#[test]
fn the_simulator_says_where_it_listens_and_ends_when_asked() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/simulator.toml");
    let mut child = smsbusd()
        .args(["simulate", "--config", config, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let addresses: Value = serde_json::from_str(&first).expect("JSON");
    let smpp = addresses["smpp"].as_str().expect("an address");
    std::net::TcpStream::connect(smpp).expect("it listens");
    signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(run(&["simulate", "--config", "/no/such/file.toml"]).status.code(), Some(1));
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_the_key_to_try_again_with() {
    let output = smsbusd()
        .args(["charge", "--server", "http://127.0.0.1:9", "create", "--msisdn", "+77011234567", "--vehicle", "1234"])
        .env("SMSBUSD_TOKEN", "example")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("is the daemon running"), "{said}");
    assert!(said.contains("--key "), "{said}");
    assert!(!said.contains("example"), "the token was told: {said}");
}
