//! The simulator against raw bytes: a client of a few lines, encoded by `rusmpp`, over real sockets.

mod binds;
mod chaos;
mod charging;
mod control;
mod deliveries;
mod exchange;
mod faults;
mod http;
mod links;
mod listeners;
mod mos;
mod peer;
mod receipts;
mod refunds;
mod responses;
mod session;

use super::*;
use crate::{money::Money, msisdn::Msisdn};

const REFERENCE: uuid::Uuid = uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
const LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

fn number(last: u64) -> Msisdn {
    Msisdn::from_e164(77_010_000_000 + last).expect("a number")
}

/// A carrier with one tariff and quick redelivery.
fn quick() -> SimulatorConfig {
    SimulatorConfig {
        tariffs: [("BUS_80".to_owned(), 8_000)].into(),
        source_addresses: [("25051".to_owned(), "BUS_80".to_owned())].into(),
        default_balance_minor: 20_000,
        redelivery: Redelivery {
            acknowledge_within_ms: 60,
            backoff_min_ms: 5,
            backoff_max_ms: 20,
            mo_tries_max: 3,
            mo_patience_ms: 1_000,
            window: 10,
        },
        ..SimulatorConfig::default()
    }
}

fn charged_at_delivery() -> SimulatorConfig {
    SimulatorConfig { charging: Charging { at: ChargingMoment::Delivery }, ..quick() }
}

/// A simulator where `fault` strikes the next message to number 1, and a client.
async fn struck_by(config: SimulatorConfig, fault: Fault) -> (Simulator, peer::Peer) {
    let simulator = start(config).await;
    simulator.set_fault(FaultRule::for_number(number(1), 1, fault)).expect("a valid rule");
    let peer = peer::Peer::bound(&simulator).await;
    (simulator, peer)
}

fn charges(simulator: &Simulator) -> usize {
    simulator.ledger().entries().len()
}

async fn start(config: SimulatorConfig) -> Simulator {
    Simulator::start(config).await.expect("the simulator starts")
}

/// A client of plain HTTP. It brings its TLS along, as the process has no provider of its own.
fn client() -> reqwest::Client {
    client_that_trusts(None)
}

/// The same, for servers with a certificate of these roots.
fn client_that_trusts(roots: Option<&std::path::Path>) -> reqwest::Client {
    let mut trust = tls::client_config(roots).expect("the roots are good");
    trust.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.tls_backend_preconfigured(trust).build().expect("a client")
}

/// The names that serde lists when it meets an unknown one.
fn names_of<T: serde::de::DeserializeOwned + std::fmt::Debug>(unknown: &str) -> Vec<String> {
    let error = serde_json::from_str::<T>(unknown).expect_err("nothing is called so").to_string();
    let (_, expected) = error.split_once("expected one of").expect("serde lists them");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_fault_and_every_weather_is_in_the_docs() {
    let docs = include_str!("../../../docs/simulator.md");
    let (faults, weathers) = (names_of::<Fault>(r#"{"kind":"meteor"}"#), names_of::<Weather>("\"hail\""));
    assert!(faults.len() > 80 && weathers.len() == Weather::ALL.len(), "{faults:?} {weathers:?}");
    for name in faults.iter().chain(&weathers) {
        assert!(docs.contains(&format!("`{name}`")), "docs/simulator.md does not mention {name}");
    }
}
