//! What the HTTP interfaces share: their addresses, their bounds, and how callbacks leave.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::{HttpConfig, HttpStats, Interface, callbacks::Caller};
use crate::simulator::{config::value, handle::SimulatorError, rate::Rate, tls};

/// The HTTP side of a simulator.
#[derive(Debug)]
pub(in crate::simulator) struct Front {
    addresses: BTreeMap<Interface, SocketAddr>,
    rates: BTreeMap<Interface, Rate>,
    pub(super) tls: Option<Acceptor>,
    /// One permit for each connection.
    pub(super) connections: Arc<Semaphore>,
    connections_max: usize,
    /// One permit for each callback on its way.
    pub(super) callbacks: Arc<Semaphore>,
    callbacks_max: usize,
    pub(super) caller: Caller,
    /// Where callbacks really go.
    pub(super) origin: Option<Url>,
}

/// What accepts TLS connections.
#[derive(Clone)]
pub(super) struct Acceptor(pub(super) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Front {
    /// Errors: certificates that cannot be used.
    pub(in crate::simulator) fn new(
        config: &HttpConfig,
        addresses: BTreeMap<Interface, SocketAddr>,
        caller: Caller,
    ) -> Result<Front, SimulatorError> {
        let acceptor = config.tls.as_ref().map(tls::http_acceptor).transpose()?.map(Acceptor);
        let callbacks = &config.callbacks;
        let origin = match &callbacks.origin {
            None => None,
            Some(text) => Some(Url::parse(text).map_err(|error| value("http.callbacks.origin", error))?),
        };
        Ok(Front {
            rates: addresses.keys().map(|interface| (*interface, Rate::new(config.requests_per_s_max))).collect(),
            addresses,
            tls: acceptor,
            connections: Arc::new(Semaphore::new(config.limits.connections_max)),
            connections_max: config.limits.connections_max,
            callbacks: Arc::new(Semaphore::new(config.limits.callbacks_max)),
            callbacks_max: config.limits.callbacks_max,
            caller,
            origin,
        })
    }

    pub(in crate::simulator) fn address(&self, interface: Interface) -> Option<SocketAddr> {
        self.addresses.get(&interface).copied()
    }

    pub(in crate::simulator) fn addresses(&self) -> &BTreeMap<Interface, SocketAddr> {
        &self.addresses
    }

    /// Counts a request. False if it is over the limit.
    pub(super) fn allows_one(&self, interface: Interface) -> bool {
        self.rates.get(&interface).is_none_or(Rate::allows_one)
    }

    /// The counters, with those of now.
    pub(in crate::simulator) fn stats(&self, counted: &HttpStats) -> HttpStats {
        let taken = |max: usize, places: &Semaphore| {
            u64::try_from(max.saturating_sub(places.available_permits())).unwrap_or(u64::MAX)
        };
        HttpStats {
            connections_open: taken(self.connections_max, &self.connections),
            callbacks_pending: taken(self.callbacks_max, &self.callbacks),
            ..counted.clone()
        }
    }
}
