//! The carriers of a world: the simulator's side, and how the gateway is configured for them.

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::plan::{CarrierPlan, Kind, Plan, RefundPlan, Role, sub_seed};
use crate::{
    carrier::{
        CamaraProfile, CamaraSecrets, CarrierConfig, CarrierSecrets, HttpMaterials, HttpProfile, HttpSecrets,
        LinkSecrets, Meaning, SmppProfile, http::Profile,
    },
    charge::{QuerySchedule, Reason},
    clock::Clock,
    ledger::DatedFee,
    simulator::{
        CallbackConfig, CallbackTry, CamaraConfig, Charging, ChargingMoment, CisConfig, DelayRange, Door, HttpConfig,
        Interface, OneApiConfig, RefundsConfig, Simulator, SimulatorConfig,
    },
};

/// Where passengers write to.
pub(super) const SHORT_NUMBER: &str = "2505";

/// One carrier.
pub(super) struct SimulatedCarrier {
    pub(super) plan: CarrierPlan,
    pub(super) simulator: Simulator,
    /// The way to its HTTP interface, by its port.
    pub(super) door: Option<(u16, Door)>,
    pub(super) config: CarrierConfig,
    pub(super) secrets: CarrierSecrets,
}

/// The carriers, on a clock that does not jump.
pub(super) fn open(
    plan: &Plan,
    clock: &Clock,
    callbacks: &mpsc::UnboundedSender<CallbackTry>,
) -> Vec<SimulatedCarrier> {
    let numbered = (0_u16..).zip(&plan.carriers);
    numbered.map(|(number, carrier)| one(plan, number, carrier, clock, callbacks.clone())).collect()
}

fn one(
    plan: &Plan,
    number: u16,
    carrier: &CarrierPlan,
    clock: &Clock,
    callbacks: mpsc::UnboundedSender<CallbackTry>,
) -> SimulatedCarrier {
    let charged_at = match carrier.kind {
        Kind::Smpp(moment) => moment,
        _ => ChargingMoment::Submission,
    };
    let tariffs = (1..=9).map(|passengers| (format!("BUS{}", 80 * passengers), 8_000 * passengers));
    let config = SimulatorConfig {
        charging: Charging { at: charged_at },
        tariffs: tariffs.collect(),
        refunds: carrier.refunds.map(|RefundPlan { at, partial, .. }| RefundsConfig {
            at,
            partial,
            ..RefundsConfig::default()
        }),
        response_delay_ms: carrier.response_delay,
        delivery_delay_ms: carrier.delivery_delay,
        faults: carrier.faults.clone(),
        seed: sub_seed(plan.seed, Role::Carrier(number.into())),
        http: interface(carrier),
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start_without_sockets(config, clock.clone(), callbacks).expect("a sound simulator");
    let port = 1_001 + number;
    let door = door_of(carrier.kind).map(|interface| (port, simulator.door(interface)));
    let config = configured(carrier, port);
    let secrets = secrets(carrier, &config);
    SimulatedCarrier { plan: carrier.clone(), simulator, door, config, secrets }
}

fn door_of(kind: Kind) -> Option<Interface> {
    match kind {
        Kind::Smpp(_) => None,
        Kind::Camara { .. } => Some(Interface::Camara),
        Kind::OneApi { .. } => Some(Interface::Oneapi),
        Kind::Cis { .. } => Some(Interface::Cis),
    }
}

/// Where carriers call back. Only the path matters.
fn callback_url(name: &str) -> String {
    format!("http://127.0.0.1/carriers/{name}")
}

fn callback_token(name: &str) -> String {
    format!("callback-token-of-{name}")
}

fn interface(carrier: &CarrierPlan) -> HttpConfig {
    let callbacks = CallbackConfig { delay_ms: DelayRange { min: 0, max: 3_000 }, ..CallbackConfig::default() };
    let mut http = HttpConfig { response_delay_ms: carrier.response_delay, callbacks, ..HttpConfig::default() };
    match carrier.kind {
        Kind::Smpp(_) => {}
        Kind::Camara { .. } => http.camara = Some(CamaraConfig { plain_sinks: true, ..CamaraConfig::default() }),
        Kind::OneApi { .. } => http.oneapi = Some(OneApiConfig::default()),
        Kind::Cis { .. } => {
            let notify_url = Some(format!("{}/notify", callback_url(carrier.name)));
            http.cis = Some(CisConfig { notify_url, ..CisConfig::default() });
        }
    }
    http
}

fn configured(carrier: &CarrierPlan, port: u16) -> CarrierConfig {
    let charged_at = match carrier.kind {
        Kind::Smpp(ChargingMoment::Delivery) => "delivery",
        _ => "submission",
    };
    let (name, prefix) = (carrier.name, carrier.prefix);
    let text = format!(
        r#"
        short_number = "{SHORT_NUMBER}"
        prefixes = [{prefix}]
        [smpp]
        address = "{name}:2775"
        system_id = "smsbus"
        password_file = "password"
        charged_at = "{charged_at}"
        tps = 100
        window = 10
        reconnect_ms_max = 5_000
        already_bound_wait_ms = 20_000
        response_timeout_ms = 4_000
        in_flight_delay_ms = 5_000
        tariffs = [{{ tlvs = [
            {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
            {{ tag = 0x1402, type = "reference" }},
        ] }}]
        [smpp.statuses]
        0x450 = {{ rejected = "insufficient_balance" }}
        0x456 = {{ rejected = "carrier_account" }}
        [smpp.errs]
        050 = "insufficient_balance"
        "#
    );
    let mut config: CarrierConfig = toml::from_str(&text).expect("a carrier");
    config.fees = fees(carrier.name);
    if let (Some(plan), Some(profile)) = (carrier.refunds, config.smpp.as_mut()) {
        give_back(profile, plan);
    }
    let base = format!("http://127.0.0.1:{port}");
    let sink = callback_url(name);
    match carrier.kind {
        Kind::Smpp(_) => {}
        Kind::Camara { two_step } => config.camara = Some(camara(&base, &sink, two_step)),
        Kind::OneApi { .. } => {
            config.http = Some(section(&format!("{base}/payment/v1"), &sink, &["password", "callback"]))
        }
        Kind::Cis { .. } => config.http = Some(section(&base, &sink, &["sign"])),
    }
    config
}

/// The contract has refunds; what the profile says of parts is what the carrier does.
fn give_back(profile: &mut SmppProfile, plan: RefundPlan) {
    let proved_by = match plan.at {
        ChargingMoment::Submission => "response",
        ChargingMoment::Delivery => "receipt",
    };
    let text = format!(
        r#"
        proved_by = "{proved_by}"
        partial = {partial}
        receipt_lag_seconds = 600
        [[tariffs]]
        service_type = "RFND"
        tlvs = [
            {{ tag = 0x1403, type = "c_octet_string", value = "{{carrier_id}}" }},
            {{ tag = 0x1404, type = "c_octet_string", value = "{{minor}}" }},
            {{ tag = 0x1402, type = "reference" }},
        ]
        "#,
        partial = plan.partial,
    );
    profile.refund = Some(toml::from_str(&text).expect("a section"));
    profile.query = plan.queries.then_some(QuerySchedule { first_after_ms: 2_000, interval_ms_max: 60_000 });
    profile
        .statuses
        .extend((0x460..=0x464).map(|status| (status.to_string(), Meaning::Rejected(Reason::CarrierRefused))));
}

fn section(base_url: &str, sink: &str, secrets: &[&str]) -> HttpProfile {
    let secret_files: String = secrets.iter().map(|name| format!("{name} = \"{name}\"\n")).collect();
    let text = format!(
        "profile = \"profile.toml\"\nbase_url = \"{base_url}\"\ncallback_url = \"{sink}\"\nplain_http = true\n\
         [secret_files]\n{secret_files}"
    );
    toml::from_str(&text).expect("a section")
}

fn camara(base: &str, sink: &str, two_step: bool) -> CamaraProfile {
    let client = CamaraConfig::default().client_id;
    let text = format!(
        r#"
        billing_url = "{base}/carrier-billing/v0.5"
        refund_url = "{base}/carrier-billing-refund/v0.3"
        plain_http = true
        two_step = {two_step}
        sink = "{sink}"
        callback_token_files = ["token"]
        connect_timeout_ms = 3_000
        response_timeout_ms = 10_000
        tps = 100
        concurrency = 16
        in_flight_delay_ms = 60_000
        query = {{ first_after_ms = 2_000, interval_ms_max = 60_000 }}
        [token]
        url = "{base}/oauth2/token"
        client_id = "{client}"
        client_secret_file = "secret"
        [reasons]
        "insufficient balance" = "insufficient_balance"
        "#
    );
    toml::from_str(&text).expect("a section")
}

/// One carrier keeps a fee for good, one gives it back with the money, the third keeps nothing. `audit::ledger` counts with them too.
fn fees(carrier: &str) -> Vec<DatedFee> {
    let fee = |year, percent: &str, fixed_minor, returned| DatedFee {
        from: jiff::civil::date(year, 1, 1),
        percent: percent.parse().expect("a share"),
        fixed_minor,
        vat: true,
        returned,
    };
    match carrier {
        "beeline" => vec![fee(2000, "4.75", 0, false), fee(2099, "50", 0, true)],
        "kcell" => vec![fee(2000, "99", 0, false), fee(2001, "7", 13, true)],
        _ => Vec::new(),
    }
}

fn secrets(carrier: &CarrierPlan, config: &CarrierConfig) -> CarrierSecrets {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let links = LinkSecrets::password(&SimulatorConfig::default().password);
    let callback = callback_token(carrier.name);
    let profile = |text: &str, two_step: bool| {
        let text = text.replace("two_step = false", &format!("two_step = {two_step}"));
        let section = config.http.as_ref().expect("a section");
        Profile::parse("profile.toml", &text, &section.overrides()).expect("a sound profile")
    };
    match carrier.kind {
        Kind::Smpp(_) => CarrierSecrets { links, ..CarrierSecrets::default() },
        Kind::Camara { .. } => {
            let client_secret = secret(&CamaraConfig::default().client_secret);
            let camara = CamaraSecrets { client_secret, callback_tokens: vec![secret(&callback)], tls: None };
            CarrierSecrets { links, camara, ..CarrierSecrets::default() }
        }
        Kind::OneApi { two_step } => {
            let password = secret(&OneApiConfig::default().password);
            let secrets = HttpSecrets::new([("password", password), ("callback", secret(&callback))]);
            let profile = profile(include_str!("../../config/examples/profiles/oneapi.toml"), two_step);
            CarrierSecrets { links, http: Some(HttpMaterials { profile, secrets }), ..CarrierSecrets::default() }
        }
        Kind::Cis { two_step } => {
            let secrets = HttpSecrets::new([("sign", secret(&CisConfig::default().secret))]);
            let profile = profile(include_str!("../../config/examples/profiles/cis.toml"), two_step);
            CarrierSecrets { links, http: Some(HttpMaterials { profile, secrets }), ..CarrierSecrets::default() }
        }
    }
}
