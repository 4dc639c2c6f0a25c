//! Carriers that are charged over HTTP: the simulator's side, and ours, quick enough for tests.

use std::{net::SocketAddr, path::Path};

use zeroize::Zeroizing;

use super::Over;
use crate::{
    carrier::{CamaraSecrets, CarrierConfig, CarrierSecrets, HttpMaterials, HttpSecrets},
    simulator::{CamaraConfig, CisConfig, HttpConfig, Interface, OneApiConfig, Simulator},
};

/// What a carrier shows when it calls back.
pub(super) fn callback_token(name: &str) -> String {
    format!("callback-token-of-{name}")
}

/// The interfaces that the simulator offers.
pub(super) fn interfaces(over: Over, name: &str, callbacks: SocketAddr, mut http: HttpConfig) -> HttpConfig {
    match over {
        Over::Smpp => {}
        Over::Camara { .. } => {
            let camara = http.camara.take().unwrap_or_default();
            http.camara = Some(CamaraConfig { plain_sinks: true, ..camara });
        }
        Over::OneApi { .. } => http.oneapi = Some(http.oneapi.take().unwrap_or_default()),
        Over::Cis { .. } => {
            let notify_url = Some(format!("http://{callbacks}/carriers/{name}/notify"));
            http.cis = Some(CisConfig { notify_url, ..http.cis.take().unwrap_or_default() });
        }
    }
    http
}

/// The carrier's section, with how it is charged.
pub(super) fn configured(
    over: Over,
    name: &str,
    mut config: CarrierConfig,
    simulator: &Simulator,
    callbacks: SocketAddr,
    folder: &Path,
) -> CarrierConfig {
    let sink = format!("http://{callbacks}/carriers/{name}");
    let url = |interface| simulator.http_url(interface).expect("it is offered");
    let profile = |text: &str, two_step: bool, base_url: String, secrets: &[&str]| {
        let file = folder.join(format!("{name}.toml"));
        let quick = text
            .replace("two_step = false", &format!("two_step = {two_step}"))
            .replace(
                "in_flight_delay_ms = 60_000",
                "in_flight_delay_ms = 1_000\nbreaker = { failures_max = 10, pause_ms = 100, pause_ms_max = 200 }",
            )
            .replace("first_after_ms = 2_000, interval_ms_max = 60_000", "first_after_ms = 50, interval_ms_max = 100")
            .replace("tps = 50", "tps = 10_000")
            .replace("tps = 30", "tps = 10_000")
            .replace("concurrency = 16", "concurrency = 64")
            .replace("concurrency = 32", "concurrency = 64")
            .replace("connect_timeout_ms = 3_000", "connect_timeout_ms = 300")
            .replace("timeout_ms = 10_000", "timeout_ms = 400");
        std::fs::write(&file, quick).expect("a file");
        let secret_files = secrets.iter().map(|name| format!("{name} = \"{name}\"\n")).collect::<String>();
        let section = format!(
            "profile = {:?}\nbase_url = \"{base_url}\"\ncallback_url = \"{sink}\"\nplain_http = true\n[secret_files]\n{secret_files}",
            file.display().to_string()
        );
        Some(toml::from_str(&section).expect("a section"))
    };
    match over {
        Over::Smpp => {}
        Over::Camara { two_step } => config.camara = Some(camara(&url(Interface::Camara), &sink, two_step)),
        Over::OneApi { two_step } => {
            let text = include_str!("../../../../config/examples/profiles/oneapi.toml");
            let base_url = format!("{}/payment/v1", url(Interface::Oneapi));
            config.http = profile(text, two_step, base_url, &["password", "callback"]);
        }
        Over::Cis { two_step } => {
            let text = include_str!("../../../../config/examples/profiles/cis.toml");
            config.http = profile(text, two_step, url(Interface::Cis), &["sign"]);
        }
    }
    config
}

fn camara(base: &str, sink: &str, two_step: bool) -> crate::carrier::CamaraProfile {
    let client = CamaraConfig::default().client_id;
    let text = format!(
        r#"
        billing_url = "{base}/carrier-billing/v0.5"
        refund_url = "{base}/carrier-billing-refund/v0.3"
        plain_http = true
        two_step = {two_step}
        sink = "{sink}"
        callback_token_files = ["token"]
        connect_timeout_ms = 300
        response_timeout_ms = 400
        tps = 10_000
        concurrency = 64
        breaker = {{ failures_max = 10, pause_ms = 100, pause_ms_max = 200 }}
        in_flight_delay_ms = 1_000
        query = {{ first_after_ms = 50, interval_ms_max = 100 }}
        [token]
        url = "{base}/oauth2/token"
        client_id = "{client}"
        client_secret_file = "secret"
        [reasons]
        "insufficient balance" = "insufficient_balance"
        "unpaid trust payment" = "credit_debt"
        "#
    );
    toml::from_str(&text).expect("a section")
}

/// What the simulator wants to see.
pub(super) fn secrets(over: Over, name: &str, config: &CarrierConfig) -> CarrierSecrets {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let materials = |secrets: HttpSecrets| {
        let section = config.http.as_ref().expect("a profile");
        Some(HttpMaterials { profile: section.load().expect("a sound profile"), secrets })
    };
    match over {
        Over::Smpp => CarrierSecrets::default(),
        Over::Camara { .. } => CarrierSecrets {
            camara: CamaraSecrets {
                client_secret: secret(&CamaraConfig::default().client_secret),
                callback_tokens: vec![secret(&callback_token(name))],
                tls: None,
            },
            ..CarrierSecrets::default()
        },
        Over::OneApi { .. } => {
            let password = secret(&OneApiConfig::default().password);
            let secrets = HttpSecrets::new([("password", password), ("callback", secret(&callback_token(name)))]);
            CarrierSecrets { http: materials(secrets), ..CarrierSecrets::default() }
        }
        Over::Cis { .. } => {
            let secrets = HttpSecrets::new([("sign", secret(&CisConfig::default().secret))]);
            CarrierSecrets { http: materials(secrets), ..CarrierSecrets::default() }
        }
    }
}
