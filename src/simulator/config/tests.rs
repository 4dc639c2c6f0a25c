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
    for table in ["redelivery", "limits", "refunds"] {
        assert_eq!(all[table].as_table().map(toml::Table::len), shown[table].as_table().map(toml::Table::len));
    }
    let keys = |table: &toml::Table, inner: &str| {
        let inner = table["http"].get(inner).unwrap_or(&table["http"]);
        inner.as_table().expect("a table").keys().cloned().collect::<Vec<_>>()
    };
    for inner in ["", "camara", "oneapi", "cis", "facts", "callbacks", "limits"] {
        assert_eq!(keys(&all, inner), keys(&shown, inner), "http.{inner}");
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
        ("refunds = { service_type = '' }", "refunds.service_type"),
        ("refunds = { service_type = 'REFUND' }", "refunds.service_type"),
        ("time_zone = 'Asia/Atlantis'", "time_zone"),
        ("tps_max = 0", "tps_max"),
        ("charging = { at = 'dawn' }", "dawn"),
        ("subscribers = { '12' = { balance_minor = 1 } }", "phone number"),
        ("faults = [{ probability = 1.5, fault = { kind = 'nack' } }]", "faults"),
        ("limits = { messages_kept_max = 1 }", "messages_kept_max"),
        ("http = { camra = {} }", "camra"),
        ("http = { carrier = '' }", "http.carrier"),
        ("http = { reservation_ms = 0 }", "http.reservation_ms"),
        ("http = { amount_min_minor = 10, amount_max_minor = 9 }", "http.amount_max_minor"),
        ("http = { requests_per_s_max = 0 }", "http.requests_per_s_max"),
        ("http = { camara = { base_path = 'open/' } }", "http.camara.base_path"),
        ("http = { camara = { token_lifetime_s = 0 } }", "http.camara.token_lifetime_s"),
        ("http = { camara = { otp_tries_max = 0 } }", "http.camara.otp_tries_max"),
        ("http = { camara = { answers = 'maybe' } }", "maybe"),
        ("http = { oneapi = { username = 'a:b' } }", "http.oneapi.username"),
        ("http = { cis = { secret = '' } }", "http.cis.secret"),
        ("http = { cis = { notify_url = 'ftp://x' } }", "http.cis.notify_url"),
        ("http = { facts = { token = 'a b' } }", "http.facts.token"),
        ("http = { callbacks = { tries_max = 0 } }", "http.callbacks.tries_max"),
        ("http = { callbacks = { origin = 'here' } }", "http.callbacks.origin"),
        ("http = { limits = { payments_max = 0 } }", "http.limits"),
        ("subscribers = { '77010000001' = { balance_minor = 1, facts = { debt = 1 } } }", "debt"),
        ("faults = [{ fault = { kind = 'http_error_after', status = 200 } }]", "faults"),
        ("faults = [{ operation = 'charge', fault = { kind = 'nack' } }]", "faults"),
        ("faults = [{ operation = 'charge', fault = { kind = 'http_lost' } }]", "faults"),
    ] {
        let error = SimulatorConfig::from_toml(text).expect_err(text).to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}
