use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use super::*;
use crate::tls::TlsMaterials;

const AUTHORITY: &[u8] = include_bytes!("../../../simulator/tests/tls/ca.pem");
/// For 127.0.0.1 and localhost.
const SERVER: (&[u8], &[u8]) = (
    include_bytes!("../../../simulator/tests/tls/server.pem"),
    include_bytes!("../../../simulator/tests/tls/server.key"),
);
const CLIENT: (&[u8], &[u8]) = (
    include_bytes!("../../../simulator/tests/tls/client.pem"),
    include_bytes!("../../../simulator/tests/tls/client.key"),
);

/// Another authority, and what it signed for 127.0.0.1 and localhost with one key.
const DATED_AUTHORITY: &[u8] = include_bytes!("certificates/ca.pem");
const DATED_KEY: &[u8] = include_bytes!("certificates/server.key");
const VALID: &[u8] = include_bytes!("certificates/valid.pem");
/// Ended in 2021.
const EXPIRED: &[u8] = include_bytes!("certificates/expired.pem");
/// Begins in 2090.
const NOT_YET: &[u8] = include_bytes!("certificates/not_yet.pem");

fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap()
}

fn acceptor(wants_client_certificate: bool, alpn: &[&str]) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if wants_client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain(AUTHORITY));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(SERVER.1).unwrap();
    let mut config = builder.with_single_cert(chain(SERVER.0), key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn acceptor_showing(certificate: &[u8], key: &[u8]) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(chain(certificate), key).unwrap()))
}

fn trusting() -> TlsMaterials {
    TlsMaterials { authorities: Some(AUTHORITY.to_vec()), identity: None }
}

fn url(peer: &Peer) -> Url {
    format!("https://{}/pay", peer.address()).parse().unwrap()
}

/// Serves one connection: how many bytes of a request came, if the handshake came about.
async fn serve(peer: &Peer, acceptor: &TlsAcceptor) -> Option<usize> {
    let mut stream = acceptor.accept(peer.accept().await).await.ok()?;
    let request = read_request(&mut stream).await;
    let written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
    written.and(stream.shutdown().await).ok();
    Some(request.len())
}

async fn exchange(acceptor: &TlsAcceptor, client: &WebClient) -> (Option<usize>, Outcome) {
    let peer = Peer::listen().await;
    tokio::join!(serve(&peer, acceptor), client.send(charge_at(url(&peer))))
}

#[tokio::test]
async fn a_server_that_we_trust_is_asked_and_another_gets_not_one_byte() {
    let acceptor = acceptor(false, &[]);
    let trusts = WebClient::new(config(), Some(&trusting())).unwrap();
    let (served, outcome) = exchange(&acceptor, &trusts).await;
    assert!(served.is_some() && answered(outcome) == (200, "yes".into()));

    let (served, outcome) = exchange(&acceptor, &client()).await;
    assert!(matches!(not_sent(outcome), NotSent::Tls(_)));
    assert_eq!(served, None);
}

#[tokio::test]
async fn a_certificate_that_has_ended_or_not_begun_gets_not_one_byte() {
    let trusts = TlsMaterials { authorities: Some(DATED_AUTHORITY.to_vec()), identity: None };
    let client = WebClient::new(config(), Some(&trusts)).unwrap();
    let (_, outcome) = exchange(&acceptor_showing(VALID, DATED_KEY), &client).await;
    assert_eq!(answered(outcome).0, 200);
    for certificate in [EXPIRED, NOT_YET] {
        let (served, outcome) = exchange(&acceptor_showing(certificate, DATED_KEY), &client).await;
        assert!(matches!(not_sent(outcome), NotSent::Tls(_)));
        assert_eq!(served, None);
    }
    // Of an authority that is trusted elsewhere.
    let other = WebClient::new(config(), Some(&trusting())).unwrap();
    let (served, outcome) = exchange(&acceptor_showing(VALID, DATED_KEY), &other).await;
    assert!(matches!(not_sent(outcome), NotSent::Tls(_)) && served.is_none());
}

#[tokio::test]
async fn what_speaks_no_tls_where_tls_is_wanted_gets_not_one_byte() {
    let peer = Peer::listen().await;
    let client = WebClient::new(config(), Some(&trusting())).unwrap();
    let serving = async {
        let mut stream = peer.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await.unwrap();
        read_request(&mut stream).await
    };
    let (read, outcome) = tokio::join!(serving, client.send(charge_at(url(&peer))));
    assert!(!read.contains("amount"), "the request went in the clear");
    assert!(matches!(not_sent(outcome), NotSent::Tls(_) | NotSent::Connect(_)));
}

#[tokio::test]
async fn the_certificate_must_bear_the_name_that_is_configured() {
    let acceptor = acceptor(false, &[]);
    let named = |name: &str| {
        let config = WebClientConfig { server_name: Some(name.into()), ..config() };
        WebClient::new(config, Some(&trusting()))
    };
    let (_, outcome) = exchange(&acceptor, &named("localhost").unwrap()).await;
    assert_eq!(answered(outcome).0, 200);
    let (served, outcome) = exchange(&acceptor, &named("billing.example.kz").unwrap()).await;
    assert!(matches!(not_sent(outcome), NotSent::Tls(_)));
    assert_eq!(served, None);
    assert!(named("no name").is_err());
}

#[tokio::test]
async fn a_server_that_wants_our_certificate_processes_nothing_without_it() {
    let acceptor = acceptor(true, &[]);
    let without = WebClient::new(config(), Some(&trusting())).unwrap();
    for _ in 0..10 {
        let (served, outcome) = exchange(&acceptor, &without).await;
        // The refusal may be overtaken by the end of the connection; then it is lost, which claims less.
        assert!(!matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
        assert_eq!(served, None);
    }
    let identity = Some((CLIENT.0.to_vec(), zeroize::Zeroizing::new(CLIENT.1.to_vec())));
    let with = WebClient::new(config(), Some(&TlsMaterials { identity, ..trusting() })).unwrap();
    assert_eq!(answered(exchange(&acceptor, &with).await.1).0, 200);
}

#[tokio::test]
async fn a_refusal_of_our_certificate_is_known_as_not_sent() {
    let peer = Peer::listen().await;
    let acceptor = acceptor(true, &[]);
    let without = WebClient::new(config(), Some(&trusting())).unwrap();
    let serving = async {
        // The alert is written, and the connection stays open until the client has read it.
        let stream = peer.accept().await;
        let refused = acceptor.accept(stream).into_fallible().await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(refused);
    };
    let ((), outcome) = tokio::join!(serving, without.send(charge_at(url(&peer))));
    assert!(matches!(not_sent(outcome), NotSent::Tls(why) if why.contains("refuses our certificate")));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_not_sent() {
    let peer = Peer::listen().await;
    let client = WebClient::new(config(), Some(&trusting())).unwrap();
    let (_stream, outcome) = tokio::join!(peer.accept(), client.send(charge_at(url(&peer))));
    assert!(matches!(not_sent(outcome), NotSent::Connect(_)));
}

#[tokio::test]
async fn other_materials_are_used_from_the_next_connection_on() {
    let acceptor = acceptor(false, &[]);
    let client = client();
    not_sent(exchange(&acceptor, &client).await.1);
    client.replace_tls(Some(&trusting())).unwrap();
    assert_eq!(answered(exchange(&acceptor, &client).await.1).0, 200);
    let garbage = TlsMaterials { authorities: Some(b"garbage".to_vec()), identity: None };
    assert!(client.replace_tls(Some(&garbage)).is_err());
    assert_eq!(answered(exchange(&acceptor, &client).await.1).0, 200, "the old ones stay");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it_on_one_connection() {
    use axum::{Router, http::Version, routing::post};
    use hyper_util::{
        rt::{TokioExecutor, TokioIo},
        server::conn::auto::Builder,
        service::TowerToHyperService,
    };

    let peer = Peer::listen().await;
    let acceptor = acceptor(false, &["h2", "http/1.1"]);
    let app = Router::new()
        .route("/pay", post(|version: Version, body: String| async move { format!("{version:?} {body}") }));
    let url = url(&peer);
    let serving = async {
        let stream = acceptor.accept(peer.accept().await).await.unwrap();
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await.ok();
        });
        peer.is_left_alone().await
    };
    let client = WebClient::new(config(), Some(&trusting())).unwrap();
    let asking = async {
        let first = answered(client.send(charge_at(url.clone())).await);
        let (second, third) = tokio::join!(client.send(charge_at(url.clone())), client.send(charge_at(url)));
        [first, answered(second), answered(third)]
    };
    let (alone, answers) = tokio::join!(serving, asking);
    assert_eq!(answers, [(); 3].map(|()| (200, "HTTP/2.0 {\"amount\":80}".to_owned())));
    assert!(alone);
}
