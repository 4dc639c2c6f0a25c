//! The TLS of a listener: rustls with `ring`, files in PEM.

use std::{path::Path, sync::Arc};

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::WebPkiClientVerifier,
    },
};

use super::{config::Tls, http::HttpTls};

/// Why a TLS listener cannot be had. Each names the file.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Not there, not readable, or no PEM of that kind.
    #[error("simulator: {key}: {file}: {source}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file without what it should hold.
    #[error("simulator: {key}: {file}: no certificate in it")]
    Empty {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: String,
    },
    /// Certificates and key do not work together.
    #[error("simulator: tls: {0}")]
    Unusable(String),
}

/// What accepts TLS connections as configured. Errors: see [`TlsError`].
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let keys = ["tls.certificate", "tls.key", "tls.client_roots"];
    let config = server_config(keys, &tls.certificate, &tls.key, tls.client_roots.as_deref())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The same for HTTP/2 and HTTP/1.1. Errors: see [`TlsError`].
pub(super) fn http_acceptor(tls: &HttpTls) -> Result<TlsAcceptor, TlsError> {
    let keys = ["http.tls.certificate", "http.tls.key", "http.tls.client_roots"];
    let mut config = server_config(keys, &tls.certificate, &tls.key, tls.client_roots.as_deref())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What a client trusts that reaches only servers of these roots; none of them without a file. Errors: see [`TlsError`].
pub(super) fn client_config(roots: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    Ok(config.with_root_certificates(root_store("http.callbacks.roots", roots)?).with_no_client_auth())
}

/// `keys` are the names of the three files in the configuration.
fn server_config(
    keys: [&'static str; 3],
    certificate: &Path,
    key: &Path,
    client_roots: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let [certificate_key, key_key, roots_key] = keys;
    let chain = certificates(certificate_key, certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| file(key_key, key, source))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match client_roots {
        None => config.with_no_client_auth(),
        Some(_) => {
            let roots = root_store(roots_key, client_roots)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().map_err(|error| TlsError::Unusable(error.to_string()))?)
        }
    };
    config.with_single_cert(chain, key).map_err(unusable)
}

fn root_store(key: &'static str, path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = path {
        for root in certificates(key, path)? {
            roots.add(root).map_err(unusable)?;
        }
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| file(key, path, source))?;
    if found.is_empty() {
        return Err(TlsError::Empty { key, file: path.display().to_string() });
    }
    Ok(found)
}

fn file(key: &'static str, path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { key, file: path.display().to_string(), source }
}

#[allow(clippy::needless_pass_by_value)]
fn unusable(error: rustls::Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}
