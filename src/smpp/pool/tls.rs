//! TLS around a link, by rustls: the server's name and certificate are always checked.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use zeroize::Zeroizing;

/// What TLS is made of, as read from files (PEM).
#[derive(Clone, Default)]
pub struct TlsMaterials {
    /// The authorities that may have signed the server's certificate; without it, those that the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// Our own certificate, with the chain above it, and its private key.
    pub identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for TlsMaterials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = if self.identity.is_some() { "with" } else { "without" };
        write!(f, "TlsMaterials({own} a client certificate)")
    }
}

/// Why TLS is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The name is neither a host name nor an IP address.
    #[error("{0:?} is no host name that a certificate can bear")]
    ServerName(String),
    /// A file does not hold what it should.
    #[error("{what}: {why}")]
    Materials {
        /// Which.
        what: &'static str,
        /// What is wrong with it; never its content.
        why: String,
    },
    /// The handshake failed: the server's certificate is not what we trust, or the server does not trust ours.
    #[error("TLS handshake failed: {0}")]
    Handshake(String),
}

/// TLS for links. Clones share it: certificates that are replaced are used from the next connection on, and connections that
/// are up stay up.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ArcSwap<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Tls {
    /// With these materials. The server's certificate must be for `server_name`, or, without one, for the host that is connected to.
    ///
    /// Errors: materials that cannot be used, or no such name.
    pub fn new(materials: &TlsMaterials, server_name: Option<&str>) -> Result<Tls, TlsError> {
        let server_name = server_name.map(name).transpose()?;
        Ok(Tls { config: Arc::new(ArcSwap::from_pointee(client_config(materials)?)), server_name })
    }

    /// Other materials from the next connection on. Errors: they cannot be used; the old ones stay.
    pub fn replace(&self, materials: &TlsMaterials) -> Result<(), TlsError> {
        self.config.store(Arc::new(client_config(materials)?));
        Ok(())
    }

    pub(super) async fn connect(self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, TlsError> {
        let server_name = self.server_name.map_or_else(|| name(host), Ok)?;
        let connecting = TlsConnector::from(self.config.load_full()).connect(server_name, stream);
        connecting.await.map_err(|error| TlsError::Handshake(error.to_string()))
    }
}

fn name(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| TlsError::ServerName(text.to_owned()))
}

fn client_config(materials: &TlsMaterials) -> Result<ClientConfig, TlsError> {
    let wrong = |what| move |why: &dyn fmt::Display| TlsError::Materials { what, why: why.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("protocol versions")(&error))?
        .with_root_certificates(authorities(materials.authorities.as_deref())?);
    let Some((chain, key)) = &materials.identity else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("private key")(&error))?;
    let chain = certificates("client certificate", chain)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong("client certificate")(&error))
}

fn authorities(pem: Option<&[u8]>) -> Result<RootCertStore, TlsError> {
    const WHAT: &str = "certificate authorities";
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for authority in certificates(WHAT, pem)? {
                roots.add(authority).map_err(|error| TlsError::Materials { what: WHAT, why: error.to_string() })?;
            }
        }
        None => {
            // A single one that rustls cannot read must not spoil the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(TlsError::Materials { what: WHAT, why: "there is none".into() });
    }
    Ok(roots)
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::Materials { what, why: "there is none".into() }),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::Materials { what, why: error.to_string() }),
    }
}
