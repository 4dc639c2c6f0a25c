//! What TLS to a carrier is made of, by rustls: authorities, our own certificate and key, and the check of the server's name.
//! The server's name and certificate are always checked.

use std::{fmt, sync::Arc, time::Duration};

use thiserror::Error;
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
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

/// A client's TLS that checks the server's certificate for the host that is connected to.
///
/// Errors: materials that cannot be used.
pub fn client_config(materials: &TlsMaterials) -> Result<ClientConfig, TlsError> {
    let builder = builder()?.with_root_certificates(authorities(materials.authorities.as_deref())?);
    with_identity(builder, materials)
}

/// A client's TLS that checks the server's certificate for `name`, whatever host is connected to: for one that is reached by
/// another name than its certificate bears.
///
/// Errors: materials that cannot be used, or no such name.
pub fn client_config_for_name(materials: &TlsMaterials, name: &str) -> Result<ClientConfig, TlsError> {
    let name = server_name(name)?;
    let roots = Arc::new(authorities(materials.authorities.as_deref())?);
    let by_authorities = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| wrong("certificate authorities")(&error))?;
    let verifier = Arc::new(ForName { by_authorities, name });
    // Another check than the usual one, not a weaker one.
    with_identity(builder()?.dangerous().with_custom_certificate_verifier(verifier), materials)
}

/// An HTTP client for connections in the clear, which never goes through a proxy of the surroundings and follows no redirect. The
/// client must be given some TLS, or it does not come about; it gets one that trusts nobody.
///
/// Errors: the client does not come about.
pub fn client_in_the_clear(timeout: Option<Duration>) -> Result<reqwest::Client, String> {
    let trust = client_config_trusting_nobody().map_err(|error| error.to_string())?;
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let builder = builder.tls_backend_preconfigured(trust);
    let builder = match timeout {
        Some(timeout) => builder.timeout(timeout),
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

/// A client's TLS that trusts nobody: for a client that is meant for connections in the clear.
///
/// Errors: this build has no protocol in common with itself, which no test has seen.
pub fn client_config_trusting_nobody() -> Result<ClientConfig, TlsError> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Reads a name that a certificate can bear. Errors: it is none.
pub fn server_name(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| TlsError::ServerName(text.to_owned()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("protocol versions")(&error))
}

fn with_identity(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    materials: &TlsMaterials,
) -> Result<ClientConfig, TlsError> {
    let Some((chain, key)) = &materials.identity else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("private key")(&error))?;
    let chain = certificates("client certificate", chain)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong("client certificate")(&error))
}

fn wrong(what: &'static str) -> impl Fn(&dyn fmt::Display) -> TlsError {
    move |why| TlsError::Materials { what, why: why.to_string() }
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

/// The usual check, for a name of our choice.
#[derive(Debug)]
struct ForName {
    by_authorities: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for ForName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.by_authorities.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authorities.supported_verify_schemes()
    }
}
