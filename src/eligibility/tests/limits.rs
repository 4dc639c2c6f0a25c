//! Which limits are sound, and whom they name.

use super::*;

#[test]
fn a_limit_of_nothing_at_all_is_refused_by_its_key() {
    let cases = [
        ("limits.daily_minor", "daily_minor = N"),
        ("limits.monthly_minor", "monthly_minor = N"),
        ("limits.velocity.purchases_max", "velocity = { purchases_max = N, window_seconds = 60 }"),
        ("limits.velocity.window_seconds", "velocity = { purchases_max = 1, window_seconds = N }"),
    ];
    for (key, limit) in cases {
        let read = |least: &str| toml::from_str::<Rules>(&format!("[limits]\n{}", limit.replace('N', least)));
        let refused = read("0").expect_err("nothing could be sold").to_string();
        assert!(refused.contains(&format!("{key} must be more than 0")), "{refused}");
        assert!(read("1").is_ok(), "{key}");
    }
}

#[test]
fn the_agencies_and_callers_that_are_limited_are_named() {
    let written = "[agencies]\ngreen.daily_minor = 1\nblue.daily_minor = 1\n[callers]\napp.daily_minor = 1";
    let rules: Rules = toml::from_str(written).expect("sound rules");
    assert_eq!(rules.agencies().collect::<Vec<_>>(), ["blue", "green"]);
    assert_eq!(rules.callers().collect::<Vec<_>>(), ["app"]);
    assert_eq!((Rules::default().agencies().count(), Rules::default().callers().count()), (0, 0));
}
