//! TLS around a link.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};

use crate::{
    process::Connection,
    tls::{TlsError, TlsMaterials, client_config, server_name},
};

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
    /// With these materials. The server's certificate must be for `name`, or, without one, for the host that is connected to.
    ///
    /// Errors: materials that cannot be used, or no such name.
    pub fn new(materials: &TlsMaterials, name: Option<&str>) -> Result<Tls, TlsError> {
        let server_name = name.map(server_name).transpose()?;
        Ok(Tls { config: Arc::new(ArcSwap::from_pointee(client_config(materials)?)), server_name })
    }

    /// Other materials from the next connection on. Errors: they cannot be used; the old ones stay.
    pub fn replace(&self, materials: &TlsMaterials) -> Result<(), TlsError> {
        self.config.store(Arc::new(client_config(materials)?));
        Ok(())
    }

    pub(super) async fn connect(self, stream: Connection, host: &str) -> Result<TlsStream<Connection>, TlsError> {
        let server_name = self.server_name.map_or_else(|| server_name(host), Ok)?;
        let connecting = TlsConnector::from(self.config.load_full()).connect(server_name, stream);
        connecting.await.map_err(|error| TlsError::Handshake(error.to_string()))
    }
}
