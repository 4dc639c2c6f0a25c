use super::*;

#[test]
fn the_example_shows_every_key_and_is_valid() {
    let text = include_str!("../../../config/examples/simulator.toml");
    let config = SimulatorConfig::from_toml(text).expect("the example is valid");
    assert_eq!(config.charging.at, ChargingMoment::Delivery);
    assert_eq!(config.subscribers.len(), 9);
    // A key that the example leaves out would be missing from its own table but present in the default's.
    let shown: toml::Table = text.parse().expect("TOML");
    let all: toml::Table = toml::Table::try_from(&config).expect("the configuration is TOML");
    assert_eq!(all.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
    for table in ["redelivery", "limits"] {
        assert_eq!(all[table].as_table().map(toml::Table::len), shown[table].as_table().map(toml::Table::len));
    }
}

#[test]
fn an_empty_text_is_the_default() {
    assert_eq!(SimulatorConfig::from_toml("").expect("all keys have defaults"), SimulatorConfig::default());
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    for (text, key) in [
        ("pasword = 'x'", "pasword"),
        ("password = 'ninechars'", "password"),
        ("control_listen = '0.0.0.0:0'", "control_listen"),
        ("tariffs = { FARE = 0 }", "tariffs"),
        ("source_addresses = { 2505 = 'FARE' }", "source_addresses"),
        ("delivery_delay_ms = { min = 2, max = 1 }", "delivery_delay_ms"),
        ("time_zone = 'Asia/Atlantis'", "time_zone"),
        ("tps_max = 0", "tps_max"),
        ("charging = { at = 'dawn' }", "dawn"),
        ("subscribers = { '12' = { balance_minor = 1 } }", "phone number"),
        ("faults = [{ probability = 1.5, fault = { kind = 'nack' } }]", "faults"),
        ("limits = { messages_kept_max = 1 }", "messages_kept_max"),
    ] {
        let error = SimulatorConfig::from_toml(text).expect_err(text).to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}
