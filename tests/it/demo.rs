use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// What a newcomer and CI may be made to wait for a release build; a debug build gets the double.
const MORNING_MAX: Duration = Duration::from_secs(15);

fn demo(arguments: &[&str]) -> Output {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_smsbusd")).arg("demo").args(arguments).output().expect("it runs");
    let limit = if cfg!(debug_assertions) { 2 * MORNING_MAX } else { MORNING_MAX };
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    output
}

#[test]
fn the_morning_ends_with_equal_books_and_a_verdict_of_one_line() {
    let Output { status, stdout, stderr } = demo(&["--json"]);
    let story = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}\n{story}");
    let stdout = String::from_utf8(stdout).expect("UTF-8");
    let last = stdout.lines().last().expect("a verdict");
    let verdict: Value = serde_json::from_str(last).expect("JSON");

    let keys: Vec<&str> = verdict.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = [
        "charged",
        "declined",
        "rejected",
        "in_doubt",
        "tickets",
        "tickets_verified",
        "carrier_ledger",
        "gateway_ledger",
        "balanced",
    ];
    expected.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, expected);

    let count = |key: &str| verdict[key].as_i64().unwrap_or_else(|| panic!("{key} in {verdict}"));
    assert!(count("charged") > 20, "{verdict}");
    assert_eq!((count("tickets"), count("tickets_verified")), (count("charged"), count("charged")), "{verdict}");
    assert_eq!(count("in_doubt"), 0, "{verdict}");
    assert!(count("rejected") >= 3, "{verdict}");
    assert_eq!(verdict["balanced"], true);
    assert_eq!(count("carrier_ledger"), count("gateway_ledger"));
    // Every fare of the morning is 80 tenge.
    assert_eq!(count("carrier_ledger"), 8_000 * count("charged"));
    for reason in
        ["corporate_number", "credit_debt", "no_top_up_since_activation", "initial_balance_unused", "recent_sim_swap"]
    {
        assert!(verdict["declined"][reason].as_i64() >= Some(1), "{reason}: {verdict}");
    }
}

#[test]
fn the_story_is_plain_text_that_fits_a_terminal_and_shows_a_ticket() {
    let Output { status, stdout, stderr } = demo(&[]);
    assert!(status.success(), "{status}\n{}", String::from_utf8_lossy(&stderr));
    let story = String::from_utf8(stdout).expect("UTF-8");
    assert!(!story.contains('\x1b'), "nobody looks on, so nothing is coloured");
    let long: Vec<&str> = story.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(long, [""; 0]);
    assert!(story.contains("█") && story.contains("kill -9") && story.contains("The books are equal"), "{story}");
}
