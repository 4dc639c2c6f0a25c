//! The TLS of a listener: rustls with `ring`, files in PEM.

use std::{path::Path, sync::Arc};

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::WebPkiClientVerifier,
    },
};

use super::config::Tls;

/// Why a TLS listener cannot be had. Each names the file.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Not there, not readable, or no PEM of that kind.
    #[error("simulator: tls.{key}: {file}: {source}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file without what it should hold.
    #[error("simulator: tls.{key}: {file}: no certificate in it")]
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
    let chain = certificates("certificate", &tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| file("key", &tls.key, source))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match &tls.client_roots {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates("client_roots", path)? {
                roots.add(root).map_err(unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().map_err(|error| TlsError::Unusable(error.to_string()))?)
        }
    };
    Ok(TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).map_err(unusable)?)))
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
