//! A gateway with a simulated carrier over a real socket, behind the whole API called in-process.

use std::{collections::BTreeMap, io::Write, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::super::{
    ApiConfig, Role, TokenConfig, operations,
    routes::{self, Api},
};
use crate::{
    carrier::{Carrier, CarrierConfig, CarrierSecrets, LinkSecrets, RoutingSettings},
    charge::{CarrierName, Reference},
    clock::{Clock, Timestamp},
    eligibility::Rules,
    gateway::{Books, Gateway, GatewayConfig, Parts, Secrets, TicketingConfig},
    msisdn::Msisdn,
    passenger::Texts,
    simulator::{Fault, FaultRule, Simulator, SimulatorConfig, Traffic},
    store::{GroupCommit, GroupCommitConfig, Memory, Store},
    subscriber::{CacheSettings, FactCache, NumberLists, NumberListsSettings, Subscribers},
    ticket::{Keyring, MsisdnTagKey, SigningKey, short_code::ShortCodeMaster},
    transit::{Catalogue, CatalogueText},
};

/// Who may pay.
pub(super) const ANNA: &str = "+77051111111";
/// On the deny list.
pub(super) const DENIED: &str = "+77052222222";
const PATIENCE: Duration = Duration::from_secs(10);

/// What a test wants to be different from the ordinary.
pub(super) struct Setting {
    pub(super) api: ApiConfig,
    pub(super) simulator: SimulatorConfig,
    /// When the key that signs tickets ends.
    pub(super) keys_end: Timestamp,
}

impl Default for Setting {
    fn default() -> Setting {
        Setting {
            api: ApiConfig { tokens: tokens(), ..ApiConfig::default() },
            simulator: SimulatorConfig {
                tariffs: (1..=9).map(|n| (format!("BUS{}", 80 * n), 8_000 * n)).collect(),
                ..SimulatorConfig::default()
            },
            keys_end: Timestamp::from_unix_seconds(4_000_000_000),
        }
    }
}

pub(super) struct World {
    pub(super) simulator: Simulator,
    pub(super) gateway: Gateway,
    pub(super) config: ApiConfig,
    pub(super) metrics: PrometheusRecorder,
    router: Router,
    operations: Router,
}

/// A request that is being put together.
pub(super) struct Call<'a> {
    router: &'a Router,
    request: axum::http::request::Builder,
    body: Body,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl World {
    pub(super) async fn new() -> World {
        World::with(Setting::default()).await
    }

    pub(super) async fn with(setting: Setting) -> World {
        let simulator = Box::pin(Simulator::start(setting.simulator.clone())).await.expect("a free port");
        let gateway = Box::pin(gateway(&setting, &simulator)).await;
        let metrics = PrometheusBuilder::new().build_recorder();
        let world = World {
            router: routes::router(Api::new(setting.api.clone(), gateway.clone()).expect("a sound configuration")),
            operations: operations::router(gateway.clone(), metrics.handle()),
            config: setting.api,
            metrics,
            simulator,
            gateway,
        };
        world.until(|gateway| gateway.carriers().all(|carrier| carrier.standing().up)).await;
        world
    }

    /// Waits until `reached` holds.
    pub(super) async fn until(&self, reached: impl Fn(&Gateway) -> bool) {
        let looking = async {
            while !reached(&self.gateway) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("reached in time");
    }

    /// Waits until so many receipts were acknowledged to the carrier.
    pub(super) async fn simulator_acknowledged(&self, receipts: u64) {
        self.until(|_| self.simulator.stats().receipts_acknowledged >= receipts).await;
    }

    /// A call of the API as the ticket service.
    pub(super) fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call::new(&self.router, method, path).by(Role::Ticketing)
    }

    pub(super) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    /// A call of the operations listener.
    pub(super) fn operations(&self, path: &str) -> Call<'_> {
        Call::new(&self.operations, Method::GET, path)
    }

    /// A purchase under `key`, not yet sent.
    pub(super) fn buy(&self, key: &str, body: &Value) -> Call<'_> {
        self.call(Method::POST, "/v1/charges").header("idempotency-key", key).json(body)
    }

    /// Buys and waits for the outcome.
    pub(super) async fn bought(&self, key: &str, body: &Value) -> Answer {
        self.buy(key, body).header("prefer", "wait=10").send().await
    }

    /// A charge of `ANNA` in doubt: the link broke after the carrier had read the request.
    pub(super) async fn in_doubt(&self, key: &str) -> Reference {
        let rule = FaultRule::for_number(msisdn(ANNA), 1, Fault::DropLinkAfterSubmit).only(Traffic::Charged);
        self.simulator.set_fault(rule).expect("a rule");
        self.simulator.set_fault(FaultRule::always(Fault::NoReceipt)).expect("a rule");
        let answer = self.bought(key, &fare(ANNA)).await;
        assert_eq!(answer.json()["state"], "in_doubt", "{answer:?}");
        answer.reference()
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(router: &'a Router, method: Method, path: &str) -> Call<'a> {
        Call { router, request: Request::builder().method(method).uri(path), body: Body::empty() }
    }

    pub(super) fn by(self, role: Role) -> Call<'a> {
        self.token(&token(role))
    }

    pub(super) fn token(self, token: &str) -> Call<'a> {
        let mut call = self;
        call.request.headers_mut().expect("a sound request").remove(header::AUTHORIZATION);
        call.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn unknown(mut self) -> Call<'a> {
        self.request.headers_mut().expect("a sound request").remove(header::AUTHORIZATION);
        self
    }

    pub(super) fn header(self, name: &str, value: &str) -> Call<'a> {
        Call { request: self.request.header(name, value), ..self }
    }

    pub(super) fn json(self, body: &Value) -> Call<'a> {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(super) fn body(self, body: impl Into<Body>) -> Call<'a> {
        Call { body: body.into(), ..self }
    }

    /// The answer as soon as it begins.
    pub(super) async fn begin(self) -> axum::response::Response {
        let request = self.request.body(self.body).expect("a sound request");
        self.router.clone().oneshot(request).await.expect("a router always answers")
    }

    pub(super) async fn send(self) -> Answer {
        let (parts, body) = self.begin().await.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a whole body");
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(super) fn reference(&self) -> Reference {
        self.json()["reference"].as_str().expect("a reference").parse().expect("a UUID")
    }

    /// Status and code, after a look at the rest of the problem document.
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document = self.json();
        let code = document["code"].as_str().expect("a code");
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(document["type"], format!("/errors/{code}"));
        assert_eq!(document["trace_id"].as_str().map(str::len), Some(32));
        (self.status.as_u16(), code.to_owned())
    }

    /// The JSON without what differs from run to run.
    pub(super) fn redacted(&self) -> Value {
        redacted(self.json())
    }
}

/// A fare for one in vehicle 1234.
pub(super) fn fare(number: &str) -> Value {
    serde_json::json!({ "msisdn": number, "vehicle": "1234" })
}

pub(super) fn msisdn(number: &str) -> Msisdn {
    number.parse().expect("a number")
}

fn redacted(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "short_code" | "trace_id" | "kid" | "x" | "carrier_id" | "wire_reference" => "[…]".into(),
                    _ => redacted(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(redacted).collect(),
        Value::String(text) if text.starts_with("SB1:") => "SB1:[…]".into(),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "[time]".into(),
        Value::String(text) => match text.rsplit_once('/') {
            _ if text.parse::<Reference>().is_ok() => "[reference]".into(),
            Some((path, last)) if last.parse::<Reference>().is_ok() => format!("{path}/[reference]").into(),
            _ => text.into(),
        },
        other => other,
    }
}

pub(super) fn token(role: Role) -> String {
    format!("the token for {}", role.code())
}

/// One caller for each role, who has its name.
fn tokens() -> BTreeMap<String, TokenConfig> {
    let caller = |role: Role| {
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(token(role))).parse().expect("a hash");
        (role.code().to_owned(), TokenConfig { sha256, roles: [role].into(), charges_per_second: None })
    };
    Role::ALL.map(caller).into()
}

async fn gateway(setting: &Setting, simulator: &Simulator) -> Gateway {
    let name: CarrierName = "beeline".parse().expect("a name");
    let config = carrier_config(simulator);
    let (carrier, events) = Carrier::open(
        name.clone(),
        config,
        &CarrierSecrets { links: LinkSecrets::password(&setting.simulator.password), ..CarrierSecrets::default() },
    )
    .expect("a sound profile");
    let store = Store::Memory(Memory::default());
    let clock = Clock::System;
    let (from, until) = (Timestamp::from_unix_seconds(1_700_000_000), setting.keys_end);
    let key = SigningKey::new(&[7; 32], from, until).expect("a window");
    let subscribers = Subscribers::new(number_lists(clock.now()), FactCache::new(CacheSettings::default()));
    let parts = Parts {
        config: GatewayConfig { sweep_interval_ms: 20, retry_pause_ms: 10, ..GatewayConfig::default() },
        clock,
        writer: GroupCommit::start(store.clone(), GroupCommitConfig::default()),
        store,
        carriers: vec![carrier],
        books: Books { catalogue: catalogue(), rules: Rules::default(), texts: Texts::shipped() },
        subscribers,
        routing: RoutingSettings::default(),
        ticketing: TicketingConfig::default(),
        keyring: Keyring::new(vec![key]).expect("a keyring"),
        secrets: Secrets { msisdn_tag: MsisdnTagKey::new([1; 32]), short_code: ShortCodeMaster::new([2; 32]) },
        mo_webhook: None,
        vat: crate::ledger::VatConfig::default(),
        webhooks: Vec::new(),
        exchange: None,
    };
    Gateway::start(parts, vec![(name, events)]).await.expect("parts that fit")
}

fn carrier_config(simulator: &Simulator) -> CarrierConfig {
    let text = format!(
        r#"
        short_number = "2505"
        prefixes = [705]
        [smpp]
        address = "{}"
        system_id = "smsbus"
        password_file = "password"
        charged_at = "submission"
        tps = 100000
        window = 50
        reconnect_ms_max = 50
        response_timeout_ms = 400
        in_flight_delay_ms = 100
        tariffs = [{{ tlvs = [
            {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
            {{ tag = 0x1402, type = "reference" }},
        ] }}]
        statuses = {{ 0x450 = {{ rejected = "insufficient_balance" }} }}
        "#,
        simulator.smpp_address(),
    );
    toml::from_str(&text).expect("a carrier")
}

fn number_lists(now: Timestamp) -> NumberLists {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "{DENIED}").expect("room");
    let text = format!("lists = [{{ name = \"thieves\", asserts = \"denied_number\", file = {:?} }}]", file.path());
    let settings: NumberListsSettings = toml::from_str(&text).expect("settings");
    NumberLists::load(&settings, now).expect("a list")
}

fn catalogue() -> Catalogue {
    Catalogue::read(&CatalogueText {
        cities: "city,name_kk,name_ru,name_en,time_zone\nalmaty,Алматы,Алматы,Almaty,Asia/Almaty\n",
        agencies: "agency,name\ngreen,Green Bus\n",
        routes: "city,route,agency,name,fare_class,cap_minutes,ring,zones\nalmaty,92,green,A - B,regular,90,no,no\n\
                 almaty,300,green,A - C,suburb,90,no,yes\n",
        vehicles: "city,vehicle_code,state_plate,route\nalmaty,1234,123 ABC 02,92\nalmaty,1235,,92\nalmaty,3000,,300\n",
        fares: "city,fare_class,zone,amount,currency,from\nalmaty,regular,,80,KZT,2020-01-01\n\
                almaty,suburb,1,80,KZT,2020-01-01\nalmaty,suburb,2,160,KZT,2020-01-01\n",
    })
    .expect("a catalogue")
}
