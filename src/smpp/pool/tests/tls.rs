//! Links in TLS, against a server that checks as strictly as we do.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use super::*;
use crate::smpp::wire::{accepted, deliver, split};

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

/// An SMSC behind TLS.
struct TlsSmsc {
    smsc: Smsc,
    acceptor: TlsAcceptor,
}

fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap()
}

impl TlsSmsc {
    async fn listen(wants_client_certificate: bool) -> TlsSmsc {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = if wants_client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(chain(AUTHORITY));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_slice(SERVER.1).unwrap();
        let config = builder.with_single_cert(chain(SERVER.0), key).unwrap();
        TlsSmsc { smsc: Smsc::listen().await, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn config(&self, tls: &Tls) -> LinkConfig {
        LinkConfig { tls: Some(tls.clone()), ..self.smsc.config() }
    }

    /// The next connection, if its handshake succeeds.
    async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (stream, _) = timeout(PATIENCE, self.smsc.listener.accept()).await.unwrap().unwrap();
        timeout(PATIENCE, self.acceptor.accept(stream)).await.unwrap()
    }

    async fn accept_and_bind(&self) -> TlsPeer {
        let mut peer = TlsPeer { stream: self.accept().await.unwrap() };
        assert_eq!(peer.read().await.command_id, command::BIND_TRANSCEIVER);
        peer.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0")).await;
        peer
    }
}

struct TlsPeer {
    stream: TlsStream<TcpStream>,
}

impl TlsPeer {
    async fn read(&mut self) -> Header {
        let mut length = [0; 4];
        timeout(PATIENCE, self.stream.read_exact(&mut length)).await.unwrap().unwrap();
        let mut pdu = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        pdu[..4].copy_from_slice(&length);
        timeout(PATIENCE, self.stream.read_exact(&mut pdu[4..])).await.unwrap().unwrap();
        split(&pdu).remove(0).0
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}

fn trusting(authorities: &[u8]) -> TlsMaterials {
    TlsMaterials { authorities: Some(authorities.to_vec()), identity: None }
}

async fn why_down(events: &mut mpsc::Receiver<PoolEvent>) -> DownWhy {
    match next(events).await {
        PoolEvent::Down { why, .. } => why,
        other => panic!("not down: {other:?}"),
    }
}

#[tokio::test]
async fn a_message_goes_through_tls_and_is_answered() {
    let smsc = TlsSmsc::listen(false).await;
    let tls = Tls::new(&trusting(AUTHORITY), None).unwrap();
    let (pool, mut events) = open(smsc.config(&tls)).unwrap();
    let mut peer = smsc.accept_and_bind().await;
    assert!(matches!(next(&mut events).await, PoolEvent::Up { .. }));
    let submission = slot(&pool).await.submit(message(), 1);
    let sequence = peer.read().await.sequence;
    peer.write(&accepted(sequence, "a")).await;
    assert_eq!(outcome(submission).await, accepted_as("a"));
}

#[tokio::test]
async fn a_server_with_another_name_or_of_another_authority_gets_no_password() {
    let smsc = TlsSmsc::listen(false).await;
    let other_name = Tls::new(&trusting(AUTHORITY), Some("smsc.example")).unwrap();
    // A certificate that did not sign the server's.
    let other_authority = Tls::new(&trusting(CLIENT.0), None).unwrap();
    for (tls, word) in [(other_name, "NotValidForName"), (other_authority, "UnknownIssuer")] {
        let (_pool, mut events) = open(smsc.config(&tls)).unwrap();
        assert!(smsc.accept().await.is_err(), "we broke off before a byte of SMPP");
        let why = why_down(&mut events).await;
        assert!(matches!(&why, DownWhy::Tls(TlsError::Handshake(_))), "{why}");
        let text = why.to_string();
        assert!(text.contains(word) || text.contains("not valid for name"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_wants_our_certificate_gets_it() {
    let smsc = TlsSmsc::listen(true).await;
    let without = Tls::new(&trusting(AUTHORITY), None).unwrap();
    let (pool, mut events) = open(smsc.config(&without)).unwrap();
    assert!(smsc.accept().await.is_err());
    why_down(&mut events).await;
    drop(pool);
    let identity = Some((CLIENT.0.to_vec(), CLIENT.1.to_vec().into()));
    let with = Tls::new(&TlsMaterials { identity, ..trusting(AUTHORITY) }, Some("localhost")).unwrap();
    let smsc = TlsSmsc::listen(true).await;
    let (_pool, mut events) = open(smsc.config(&with)).unwrap();
    let _peer = smsc.accept_and_bind().await;
    assert!(matches!(next(&mut events).await, PoolEvent::Up { .. }));
}

#[tokio::test]
async fn replaced_certificates_drop_no_bind_and_are_used_from_the_next_connection_on() {
    let smsc = TlsSmsc::listen(false).await;
    let tls = Tls::new(&trusting(AUTHORITY), None).unwrap();
    let (_pool, mut events) = open(smsc.config(&tls)).unwrap();
    let mut peer = smsc.accept_and_bind().await;
    assert!(matches!(next(&mut events).await, PoolEvent::Up { .. }));

    tls.replace(&trusting(CLIENT.0)).unwrap();
    assert!(tls.replace(&trusting(b"no certificate at all")).is_err());
    peer.write(&deliver(1, b"still bound")).await;
    assert!(matches!(next(&mut events).await, PoolEvent::Deliver { .. }));

    drop(peer);
    assert!(matches!(why_down(&mut events).await, DownWhy::Session(_)));
    assert!(smsc.accept().await.is_err());
    assert!(matches!(why_down(&mut events).await, DownWhy::Tls(_)));

    tls.replace(&trusting(AUTHORITY)).unwrap();
    // A connection that was under way still used the old ones.
    let again = loop {
        if let Ok(stream) = smsc.accept().await {
            break TlsPeer { stream };
        }
    };
    drop(again);
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_is_given_up() {
    let smsc = Smsc::listen().await;
    let tls = Tls::new(&trusting(AUTHORITY), None).unwrap();
    let within = Duration::from_millis(50);
    let (_pool, mut events) = open(LinkConfig { tls: Some(tls), connect_timeout: within, ..smsc.config() }).unwrap();
    let _silent = smsc.listener.accept().await.unwrap();
    assert_eq!(why_down(&mut events).await, DownWhy::ConnectTimeout(within));
}

#[test]
fn materials_that_cannot_be_used_are_named() {
    let error = |materials: TlsMaterials| Tls::new(&materials, None).unwrap_err().to_string();
    assert_eq!(error(trusting(b"")), "certificate authorities: there is none");
    let identity = |chain: &[u8], key: &[u8]| Some((chain.to_vec(), key.to_vec().into()));
    let with = |identity| TlsMaterials { identity, ..trusting(AUTHORITY) };
    assert_eq!(error(with(identity(b"", CLIENT.1))), "client certificate: there is none");
    assert!(error(with(identity(CLIENT.0, b""))).starts_with("private key: "));
    assert!(error(with(identity(CLIENT.0, SERVER.1))).starts_with("client certificate: "), "a key of another");
    assert!(Tls::new(&trusting(AUTHORITY), Some("no name")).is_err());
}
