use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// What a newcomer and CI may be made to wait for a release build; a debug build gets the double.
const MORNING_MAX: Duration = Duration::from_secs(30);
/// Every fare of the morning, in tiyn.
const FARE: i64 = 8_000;

fn demo(arguments: &[&str]) -> Output {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_smsbusd")).arg("demo").args(arguments).output().expect("it runs");
    let limit = if cfg!(debug_assertions) { 2 * MORNING_MAX } else { MORNING_MAX };
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    output
}

#[test]
fn the_morning_ends_with_equal_books_a_source_for_each_refusal_and_a_verdict_of_one_line() {
    let Output { status, stdout, stderr } = demo(&["--json"]);
    let story = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}\n{story}");
    let stdout = String::from_utf8(stdout).expect("UTF-8");
    let last = stdout.lines().last().expect("a verdict");
    let verdict: Value = serde_json::from_str(last).expect("JSON");

    let mut keys: Vec<&str> = verdict.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "balanced",
        "carrier_ledger",
        "carriers",
        "charged",
        "declined",
        "gateway_ledger",
        "in_doubt",
        "refunded",
        "rejected",
        "sources",
        "tickets",
        "tickets_verified",
    ];
    assert_eq!(keys, expected);

    let count = |key: &str| verdict[key].as_i64().unwrap_or_else(|| panic!("{key} in {verdict}"));
    assert!(count("charged") > 20, "{verdict}");
    assert_eq!((count("tickets"), count("tickets_verified")), (count("charged"), count("charged")), "{verdict}");
    assert_eq!(count("in_doubt"), 0, "{verdict}");
    assert_eq!(count("refunded"), 1, "{verdict}");
    assert!(count("rejected") >= 2, "{verdict}");
    assert_eq!(verdict["balanced"], true);
    assert_eq!(count("carrier_ledger"), count("gateway_ledger"));
    // What was refunded is in neither.
    assert_eq!(count("carrier_ledger"), FARE * count("charged"));
    for carrier in ["kcell", "beeline", "tele2", "altel"] {
        let both = &verdict["carriers"][carrier];
        assert!(both["carrier"].as_i64() >= Some(FARE) && both["carrier"] == both["gateway"], "{carrier}: {verdict}");
    }
    refusals_have_their_sources(&verdict, &story);
}

/// Each of the five, with its fact and who said it.
fn refusals_have_their_sources(verdict: &Value, story: &str) {
    let sources = json!({
        "corporate_number": ["camara:tele2.tenure", "number_list:companies"],
        "credit_debt": ["profile:altel"],
        "no_top_up_since_activation": ["profile:beeline-crm"],
        "initial_balance_unused": ["carrier_rejection:tele2"],
        "recent_sim_swap": ["camara:kcell-camara.sim_swap"],
    });
    assert_eq!(verdict["sources"], sources);
    for (reason, by) in sources.as_object().expect("an object") {
        let declined = verdict["declined"][reason].as_u64().and_then(|declined| usize::try_from(declined).ok());
        assert_eq!(declined, by.as_array().map(Vec::len), "{reason}: {verdict}");
        assert!(story.contains(&format!("declined: {reason}; nothing is taken")), "{reason}:\n{story}");
    }
    let words = story.split_whitespace().collect::<Vec<_>>().join(" ");
    for fact in [
        "the fact a company's number: our number list companies, in force",
        "the fact a company's number: tele2 over CAMARA Tenure,",
        "the fact a trust payment is not paid back: the profile of altel,",
        "the fact never topped up: the profile of beeline-crm,",
        "the fact the initial balance is unused: tele2's own rejection,",
        "the fact SIM replaced in the last 24 hours: kcell-camara over CAMARA SIM Swap,",
    ] {
        assert!(words.contains(fact), "{fact}:\n{story}");
    }
    assert!(story.contains("unknown  beeline-crm: no answer in time"), "{story}");
}

#[test]
fn the_story_is_plain_text_that_fits_a_terminal_and_shows_a_ticket() {
    let Output { status, stdout, stderr } = demo(&[]);
    assert!(status.success(), "{status}\n{}", String::from_utf8_lossy(&stderr));
    let story = String::from_utf8(stdout).expect("UTF-8");
    assert!(!story.contains('\x1b'), "nobody looks on, so nothing is coloured");
    let long: Vec<&str> = story.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(long, [""; 0]);
    for shown in ["█", "kill -9", "awaiting_otp", "refunded: 80 KZT went back", "The books are equal"] {
        assert!(story.contains(shown), "{shown}:\n{story}");
    }
    assert!(story.contains("баланс и отправьте код снова."), "the last words of a text in two parts:\n{story}");
}
