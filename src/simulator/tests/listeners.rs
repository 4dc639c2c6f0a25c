//! Several addresses, and TLS.

use std::{path::PathBuf, sync::Arc};

use rusmpp::{CommandStatus, Pdu};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::{
    peer::{As, Peer, charged, tcp},
    *,
};

#[tokio::test]
async fn a_second_address_is_the_same_carrier_and_the_first_can_be_shut_and_opened() {
    let smpp_listen_more = vec!["127.0.0.1:0".parse().expect("an address")];
    let simulator = start(SimulatorConfig { smpp_listen_more, ..quick() }).await;
    let [first, second] = simulator.listeners()[..] else { panic!("two addresses") };
    let mut there = Peer::bound(&simulator).await;
    assert!(simulator.shut_listener(0).await);
    assert!(there.end().await.is_some(), "its connections are reset");
    assert!(tcp(first.address).await.is_err());
    assert!(!simulator.listeners()[0].open);

    let mut here = Peer::over(tcp(second.address).await.expect("this one listens"));
    assert_eq!(here.bind(As::Transceiver, "secret").await.status(), CommandStatus::EsmeRok);
    assert_eq!(here.submit(charged(number(1))).await.0, 0);
    assert_eq!(simulator.links()[0].listener, Some(1));

    assert!(simulator.open_listener(0).await);
    Peer::bound(&simulator).await;
    assert_eq!(here.ask(Pdu::EnquireLink).await.status(), CommandStatus::EsmeRok, "the other one was left alone");
    assert_eq!(charges(&simulator), 1);
    assert!(!simulator.shut_listener(2).await, "there is no third");
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulator/tests/tls")).join(name)
}

/// Certificates of a root of their own, valid for a hundred years; `server` and `client` are from that root.
fn tls(client_roots: bool) -> SimulatorConfig {
    let tls = Tls {
        listen: "127.0.0.1:0".parse().expect("an address"),
        certificate: file("server.pem"),
        key: file("server.key"),
        client_roots: client_roots.then(|| file("ca.pem")),
    };
    SimulatorConfig { tls: Some(tls), ..quick() }
}

async fn connect(simulator: &Simulator, with_certificate: bool) -> std::io::Result<Peer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("a certificate")).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match with_certificate {
        false => builder.with_no_client_auth(),
        true => {
            let chain = vec![CertificateDer::from_pem_file(file("client.pem")).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(file("client.key")).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    let stream = tcp(simulator.tls_address().expect("TLS is on")).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    Ok(Peer::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

#[tokio::test]
async fn a_session_under_tls_is_a_session_like_any_other() {
    let simulator = start(tls(false)).await;
    let mut peer = connect(&simulator, false).await.expect("a handshake");
    assert_eq!(peer.bind(As::Transceiver, "secret").await.status(), CommandStatus::EsmeRok);
    assert_eq!(peer.submit(charged(number(1))).await.0, 0);
    peer.receive().await;
    assert_eq!(charges(&simulator), 1);
    simulator.drop_links();
    peer.end().await;
    let plain = simulator.listeners().into_iter().filter(|listener| !listener.tls).count();
    assert_eq!(plain, 1);
}

#[tokio::test]
async fn a_client_certificate_can_be_required() {
    let simulator = start(tls(true)).await;
    let mut peer = connect(&simulator, true).await.expect("a handshake");
    assert_eq!(peer.bind(As::Transceiver, "secret").await.status(), CommandStatus::EsmeRok);
    // Under TLS 1.3 the client learns of the refusal only when it reads.
    if let Ok(mut stranger) = connect(&simulator, false).await {
        stranger.end().await;
    }
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().handshakes_failed == 1).await);
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_is_let_go() {
    let simulator = start(tls(false)).await;
    let mut plain = Peer::over(tcp(simulator.tls_address().expect("TLS is on")).await.expect("it listens"));
    plain.send_octets(&[0; 64]).await;
    assert!(simulator.wait_until(LIMIT, |simulator| simulator.stats().handshakes_failed == 1).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    for (certificate, key, told) in [
        ("nowhere.pem", "server.key", "tls.certificate"),
        ("server.key", "server.key", "no certificate"),
        ("server.pem", "server.pem", "tls.key"),
        ("server.pem", "client.key", "tls"),
    ] {
        let mut config = tls(false);
        let files = config.tls.as_mut().expect("set above");
        (files.certificate, files.key) = (file(certificate), file(key));
        let error = Simulator::start(config).await.expect_err(certificate).to_string();
        assert!(error.contains(told), "{error}");
    }
}
