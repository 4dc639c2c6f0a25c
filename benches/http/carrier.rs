//! A carrier that takes every charge, after a time of its own: OneAPI, as the shipped profile speaks it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, response::IntoResponse, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// In the clear, kept alive.
    Http1,
    /// Under TLS, offered by ALPN.
    Http2,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "h1",
            Protocol::Http2 => "h2 TLS",
        }
    }
}

/// Listens until the benchmark ends.
pub(crate) struct LoopbackCarrier {
    address: SocketAddr,
    protocol: Protocol,
    connections: Arc<AtomicUsize>,
}

impl LoopbackCarrier {
    pub(crate) async fn start(protocol: Protocol, delay: Duration) -> LoopbackCarrier {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(post(move |body| answer(body, delay)));
        let acceptor = (protocol == Protocol::Http2).then(tls);
        tokio::spawn({
            let connections = connections.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, acceptor.clone(), router.clone()));
                }
            }
        });
        LoopbackCarrier { address, protocol, connections }
    }

    pub(crate) fn base_url(&self) -> String {
        let scheme = if self.protocol == Protocol::Http2 { "https" } else { "http" };
        format!("{scheme}://{}/payment/v1", self.address)
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Opened since the start.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Certificates of the simulator's tests: no secret of anybody's.
pub(crate) fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/simulator/tests/tls").join(name)
}

fn tls() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(certificate("server.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) {
    stream.set_nodelay(true).expect("a socket option");
    let service = TowerToHyperService::new(router);
    let server = auto::Builder::new(TokioExecutor::new());
    // A connection ends when its client does.
    let _ = match acceptor {
        None => server.serve_connection(TokioIo::new(stream), service).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => Ok(()),
        },
    };
}

async fn answer(body: Bytes, delay: Duration) -> impl IntoResponse {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let asked: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let asked = &asked["amountTransaction"];
    let taken = serde_json::json!({ "amountTransaction": {
        "endUserId": asked["endUserId"],
        "referenceCode": asked["referenceCode"],
        "serverReferenceCode": asked["referenceCode"],
        "transactionOperationStatus": "Charged",
    }});
    ([(CONTENT_TYPE, "application/json")], taken.to_string())
}
