//! `smsbusd carrier try`: a profile at the terminal, without a daemon.

use std::{io::Write, path::PathBuf, process::Stdio};

use crate::deployment::{run_well, smsbusd, stderr, stdout};

fn profile(name: &str) -> String {
    format!("{}/config/examples/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn every_request_is_shown_with_its_table_and_without_secrets() {
    let shown = run_well(&["carrier", "try", &profile("oneapi")]);
    for part in [
        "oneapi.toml is sound",
        "it charges in one step, a repeat is answered as before",
        "callbacks: payment",
        "POST https://api.example/payment/v1/tel%3A%2B77011234567/transactions/amount",
        "authorization: Basic ***",
        "***callback***",
        "anything else: in doubt",
        "anything else: says nothing",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn an_answer_is_read_as_the_gateway_would_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = file(&folder, "answer.xml", "<response><result>221</result><comment>credit</comment></response>");
    let answer = answer.to_str().expect("a path");
    let shown = run_well(&["carrier", "try", &profile("cis"), "--response", answer]);
    assert!(shown.contains("so: it did not happen, for good: credit_debt (221: credit)"), "{shown}");
    let values = ["--set", "msisdn=87017654321", "amount=80.50"];
    let shown = run_well(&[&["carrier", "try", &profile("cis"), "--operation", "charge"], &values[..]].concat());
    assert!(shown.contains("account=77017654321&sum=80.50"), "{shown}");
}

#[test]
fn the_standard_input_can_be_pasted_into() {
    let arguments = ["carrier", "try", &profile("facts"), "--operation", "portability", "--response", "-"];
    let mut child =
        smsbusd().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("an input");
    input.write_all(br#"{"msisdn": "+77011234567", "carrier": "Activ"}"#).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success() && stdout(&output).contains("carrier: kcell"), "{}", stdout(&output));
}

#[test]
fn a_real_secret_is_under_the_signature_and_nowhere_to_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = file(&folder, "sign", "Jefe-the-secret\n");
    let named = format!("sign={}", secret.display());
    let with = run_well(&["carrier", "try", &profile("cis"), "-o", "charge", "--secret-file", &named]);
    let without = run_well(&["carrier", "try", &profile("cis"), "-o", "charge"]);
    assert!(!with.contains("Jefe") && with != without, "{with}");
}

#[test]
fn a_profile_that_is_not_sound_is_told_with_line_and_key_and_exit_status_78() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(profile("cis")).expect("a profile");
    let broken = file(&folder, "broken.toml", &text.replacen("{{ amount.fixed }}", "{{ amount.fixd }}", 1));
    let output = smsbusd().args(["carrier", "try", broken.to_str().expect("a path")]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    let line = text.lines().position(|line| line.contains("[\"sum\"")).expect("a line") + 1;
    let expected = format!("broken.toml:{line}: charge.form[2]: there is no such variable");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    let output = smsbusd().args(["carrier", "try", &profile("cis"), "--set", "shoe=43"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
