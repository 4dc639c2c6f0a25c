//! The same client twice: to the daemon's API, and straight to the carrier. It is reqwest, because carriers speak HTTP/2 and TLS, too; what
//! the daemon can do on its own is measured by `benches/load.rs`, which is cheaper and speaks to nobody else.

use std::time::{Duration, Instant};

use reqwest::{ClientBuilder, RequestBuilder, StatusCode};
use serde_json::json;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    carrier::{LoopbackCarrier, Protocol, certificate},
    daemon::{Daemon, TOKEN},
    latencies::Latencies,
};

/// Of the example books. A vehicle has serials for some sixteen thousand tickets a day.
const VEHICLES: [&str; 2] = ["1234", "1235"];
/// The first of the numbers that pay, each once.
const FIRST_NUMBER: usize = 77_010_000_000;

pub(crate) struct Run {
    pub(crate) per_second: f64,
    times: Latencies,
}

impl Run {
    pub(crate) fn p50(&self) -> Duration {
        self.times.per_mille(500)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.times.per_mille(990)
    }
}

/// `count` purchases over the API by passengers of their own, the first of them number `first`.
pub(crate) async fn charges(daemon: &Daemon, at_once: usize, count: usize, first: usize) -> Run {
    let url = format!("{}/v1/charges", daemon.address());
    run(Protocol::Http1, at_once, count, move |client, number| {
        let msisdn = format!("+{}", FIRST_NUMBER + first + number);
        let body = json!({ "msisdn": msisdn, "vehicle": VEHICLES[number % VEHICLES.len()] });
        let request = client.post(&url).bearer_auth(TOKEN).json(&body);
        request.header("idempotency-key", format!("bench-{}", first + number)).header("prefer", "wait=10")
    })
    .await
}

/// `count` requests as the daemon sends them, to the carrier itself.
pub(crate) async fn straight(carrier: &LoopbackCarrier, at_once: usize, count: usize) -> Run {
    let base = carrier.base_url();
    run(carrier.protocol(), at_once, count, move |client, number| {
        let payer = format!("tel:+{}", FIRST_NUMBER + number);
        let body = json!({ "amountTransaction": {
            "clientCorrelator": number.to_string(),
            "endUserId": payer,
            "paymentAmount": { "chargingInformation": { "amount": "80.00", "currency": "KZT", "description": "Bus fare" } },
            "referenceCode": number.to_string(),
            "transactionOperationStatus": "Charged",
        }});
        client.post(format!("{base}/{payer}/transactions/amount")).json(&body)
    })
    .await
}

async fn run(
    protocol: Protocol,
    at_once: usize,
    count: usize,
    request: impl Fn(&reqwest::Client, usize) -> RequestBuilder + Clone + Send + 'static,
) -> Run {
    let client = with_tls(reqwest::Client::builder(), protocol).build().expect("a client");
    let started = Instant::now();
    let workers = (0..at_once).map(|worker| {
        let (client, request) = (client.clone(), request.clone());
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(count / at_once + 1);
            for number in (worker..count).step_by(at_once) {
                let asked = Instant::now();
                let answer = request(&client, number).send().await.expect("an answer");
                let status = answer.status();
                let body = answer.bytes().await.expect("a body");
                times.push(asked.elapsed());
                let is_good = matches!(status, StatusCode::OK | StatusCode::CREATED)
                    && [&b"\"charged\""[..], b"\"Charged\""].iter().any(|word| has(&body, word));
                assert!(is_good, "{status} {}", String::from_utf8_lossy(&body));
            }
            times
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut times = Latencies::new();
    for worker in workers {
        worker.await.expect("a worker").into_iter().for_each(|time| times.record(time));
    }
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    Run { per_second, times }
}

fn has(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

/// A client that trusts the loopback carrier and speaks HTTP/2 where that is offered.
pub(crate) fn with_tls(builder: ClientBuilder, protocol: Protocol) -> ClientBuilder {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate("ca.pem")).expect("a certificate")).expect("an authority");
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    builder.tls_backend_preconfigured(config).no_proxy().pool_max_idle_per_host(usize::MAX)
}
