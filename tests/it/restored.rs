//! Back-up and restore as the operator does them: the commands, and what the daemon says of an older store.

use std::{fs, path::Path, process::Output};

use serde_json::Value;
use smsbusd::{clock::Timestamp, store::WatermarkFile};

use crate::{
    daemon::{Daemon, answered, simulator},
    deployment::{Deployment, smsbusd, stderr, stdout},
};

fn on(deployment: &Deployment, command: &[&str], kill_point: Option<&str>) -> Output {
    let mut program = smsbusd();
    program.args(command).arg("--config").arg(deployment.config()).env("USER", "aigul");
    program.envs(kill_point.map(|point| ("KILL_POINT", point)));
    program.output().expect("the program runs")
}

fn well(deployment: &Deployment, command: &[&str]) -> String {
    let output = on(deployment, command, None);
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    stdout(&output)
}

fn back_up(deployment: &Deployment, name: &str) -> String {
    well(deployment, &["backup", "--to", deployment.path(name).to_str().expect("UTF-8")])
}

/// As the drill does it: the file is another one, and nothing of the old log is left.
fn put_back(deployment: &Deployment, name: &str) {
    let database = deployment.path("smsbusd.db");
    for beside in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{beside}", database.display()));
    }
    fs::copy(deployment.path(name), database).expect("copied");
}

fn killed(daemon: Daemon) {
    daemon.signal("KILL");
    daemon.end();
}

fn stopped(daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.end().code(), Some(0));
}

fn buy<'a>(number: &'a str, key: &'a str) -> [&'a str; 10] {
    ["charge", "create", "--msisdn", number, "--vehicle", "1234", "--wait", "60", "--key", key]
}

fn serves(deployment: &Deployment) -> Output {
    on(deployment, &["serve"], None)
}

const RESTORED: [&str; 3] = ["restored", "--because", "the disk"];

#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_is_refused_until_it_is_said_that_it_was_put_back() {
    let simulator = simulator().await;
    let deployment = Deployment::with_smsc(simulator.smpp_address());
    let daemon = Daemon::start(&deployment);
    daemon.wait_for("bound");
    answered(&daemon, &buy("+77010000101", "first"));
    let made = back_up(&deployment, "copy.db");
    assert!(made.contains(" bytes, with every commit up to 20"), "{made}");
    let copied = made.split("every commit up to ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let copied: Timestamp = copied.and_then(|moment| moment.trim_end_matches('.').parse().ok()).expect("a moment");
    let file = WatermarkFile::at(deployment.path("smsbusd.db.watermark"));
    let noted = || file.read().expect("it can be read").and_then(|watermark| watermark.latest()).expect("a note");
    answered(&daemon, &buy("+77010000102", "lost"));
    // It is written once a second, and the first one after the copy may tell of nothing newer.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while noted() <= copied {
        assert!(std::time::Instant::now() < deadline, "the note is not written");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    killed(daemon);
    put_back(&deployment, "copy.db");

    let refused = serves(&deployment);
    assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(said.contains("are older than those that were served last: they end at 20"), "{said}");
    assert!(said.contains("commits up to 20") && said.contains("smsbusd restored --config "), "{said}");

    let early = on(&deployment, &["restored", "--because", "x", "--lost-until", "2026-01-01T00:00:00Z"], None);
    assert_eq!(early.status.code(), Some(2), "{}", stderr(&early));
    for point in ["restore-after-begin", "restore-before-finish"] {
        let broken = on(&deployment, &RESTORED, Some(point));
        assert!(stderr(&broken).ends_with(&format!("ended at the kill point {point}\n")), "{}", stderr(&broken));
        let refused = serves(&deployment);
        assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("generation 2 of the books"), "{}", stderr(&refused));
    }
    let said = well(&deployment, &RESTORED);
    assert!(said.starts_with("The books are in generation 2. What was committed from 20"), "{said}");

    let daemon = Daemon::start(&deployment);
    daemon.wait_for("bound");
    let known = answered(&daemon, &buy("+77010000101", "first"));
    assert_eq!(known["state"], "charged", "what is in the back-up is replayed");
    let refused = crate::daemon::ask(&daemon, &buy("+77010000102", "lost"));
    assert!(stderr(&refused).contains("books_restored"), "{}", stderr(&refused));
    assert_eq!(simulator.ledger().entries().len(), 2, "nobody is charged twice");
    stopped(daemon);
    let checked: Value = serde_json::from_str(&well(&deployment, &["ledger", "check", "--json"])).expect("JSON");
    assert_eq!(checked["flaws_total"], 0, "{checked:#}");
    stopped(Daemon::start(&deployment));
    simulator.shutdown().await;
}

#[test]
fn a_machine_without_the_note_is_asked_whether_anything_is_lost() {
    let deployment = Deployment::new();
    stopped(Daemon::start(&deployment));
    let note = deployment.path("smsbusd.db.watermark");
    let none = on(&deployment, &["restored", "--because", "moved", "--nothing-lost"], None);
    assert_eq!(none.status.code(), Some(2), "the note tells: {}", stderr(&none));
    fs::remove_file(&note).expect("the note");
    let refused = serves(&deployment);
    assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("smsbusd.db.watermark is not there"), "{}", stderr(&refused));
    well(&deployment, &["restored", "--because", "moved", "--nothing-lost"]);
    stopped(Daemon::start(&deployment));
    fs::write(&note, "nonsense").expect("written");
    let refused = serves(&deployment);
    assert!(stderr(&refused).contains("smsbusd.db.watermark cannot be read"), "{}", stderr(&refused));
    fs::remove_file(&note).expect("the note");
    assert!(well(&deployment, &RESTORED).contains("generation 2"));
    stopped(Daemon::start(&deployment));
}

#[test]
fn a_back_up_overwrites_nothing_leaves_nothing_and_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let deployment = Deployment::new();
    let daemon = Daemon::start(&deployment);
    back_up(&deployment, "copy.db");
    let rights = fs::metadata(deployment.path("copy.db")).expect("the copy").permissions().mode();
    assert_eq!(rights & 0o077, 0, "{rights:o}");
    let copy = deployment.path("copy.db");
    let copy = copy.to_str().expect("UTF-8");
    for (to, why) in [(copy, "it exists, and a back-up overwrites nothing"), ("/nowhere/at/all.db", "No such file")] {
        let refused = on(&deployment, &["backup", "--to", to], None);
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(why) && stderr(&refused).contains(to), "{}", stderr(&refused));
    }
    let parts = fs::read_dir(deployment.path("")).expect("a folder").flatten();
    assert!(!parts.into_iter().any(|entry| has_part(&entry.path())));
    let busy = on(&deployment, &RESTORED, None);
    assert!(stderr(&busy).contains("is in use by process "), "{}", stderr(&busy));
    stopped(daemon);
}

fn has_part(path: &Path) -> bool {
    path.to_string_lossy().contains(".part-")
}

/// `kill -9` ends the daemon while its note is a second old: books that have come further than the note are good.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_starts_again() {
    let simulator = simulator().await;
    let deployment = Deployment::with_smsc(simulator.smpp_address());
    for key in ["one", "two"] {
        let daemon = Daemon::start(&deployment);
        daemon.wait_for("bound");
        answered(&daemon, &buy("+77010000101", key));
        killed(daemon);
    }
    stopped(Daemon::start(&deployment));
    simulator.shutdown().await;
}
