//! Where the SMSC listens: addresses that can be shut, as if that host had gone, and opened again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    shared::Shared,
    smsc::{self, Wire},
};

/// One address, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// The address.
    pub address: SocketAddr,
    /// Whether connections are under TLS.
    pub tls: bool,
    /// Whether it listens now.
    pub open: bool,
}

/// One address.
pub(super) struct Listener {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    wanted: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

/// How long an `accept` or a `listen` that failed is let rest.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it may take to open or to shut an address.
const CHANGE_WITHIN: Duration = Duration::from_secs(10);

impl Listener {
    pub(super) fn new(address: SocketAddr, tls: Option<TlsAcceptor>) -> Listener {
        Listener { address, tls, wanted: watch::Sender::new(true), open: watch::Sender::new(true) }
    }

    pub(super) fn report(&self) -> ListenerReport {
        ListenerReport { address: self.address, tls: self.tls.is_some(), open: *self.open.borrow() }
    }

    fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.report().fmt(f)
    }
}

impl Shared {
    /// Shuts a listener, and resets the connections that came by it, or opens it again. Returns when that is so; false if
    /// there is no such listener, or the address is not to be had.
    pub(super) async fn set_listener_open(&self, index: usize, open: bool) -> bool {
        self.want_listener_open(index, open);
        let Some(listener) = self.listeners.get(index) else { return false };
        let mut is_open = listener.open.subscribe();
        timeout(CHANGE_WITHIN, is_open.wait_for(|now| *now == open)).await.is_ok_and(|changed| changed.is_ok())
    }

    /// The same without waiting for it.
    pub(super) fn want_listener_open(&self, index: usize, open: bool) {
        if let Some(listener) = self.listeners.get(index) {
            listener.wanted.send_replace(open);
        }
    }
}

/// Accepts connections while the listener is to be open, until the simulator stops.
pub(super) async fn listen(shared: Arc<Shared>, index: usize, first: TcpListener) {
    let mut socket = Some(first);
    let Some(listener) = shared.listeners.get(index) else { return };
    let mut wanted = listener.wanted.subscribe();
    loop {
        match socket.take() {
            Some(open) => {
                listener.open.send_replace(true);
                tokio::select! {
                    () = accept(&shared, index, &open) => {}
                    _ = wanted.wait_for(|wanted| !wanted) => {}
                }
                drop(open);
                shared.links.reset_of_listener(index);
                listener.open.send_replace(false);
            }
            None => {
                // The sender lives in `shared`, so this cannot fail.
                let _ = wanted.wait_for(|wanted| *wanted).await;
                match TcpListener::bind(listener.address).await {
                    Ok(open) => socket = Some(open),
                    Err(error) => {
                        tracing::warn!(%error, address = %listener.address, "simulator: cannot listen again");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

async fn accept(shared: &Arc<Shared>, index: usize, socket: &TcpListener) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                // Responses are small; without this they wait for one another.
                let _ = stream.set_nodelay(true);
                shared.spawn(serve(Arc::clone(shared), index, stream));
            }
            Err(error) => {
                tracing::warn!(%error, "simulator: accept failed");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, index: usize, stream: TcpStream) {
    let Some(listener) = shared.listeners.get(index).filter(|listener| listener.is_wanted()) else { return };
    let wire = match &listener.tls {
        None => Wire::Tcp(stream),
        Some(tls) => {
            let within = Duration::from_millis(shared.config.limits.bind_within_ms);
            match timeout(within, tls.accept(stream)).await {
                Ok(Ok(stream)) => Wire::Tls(Box::new(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "simulator: a TLS handshake failed");
                    shared.exchange().stats.handshakes_failed += 1;
                    return;
                }
                Err(_) => return,
            }
        }
    };
    smsc::serve(Arc::clone(&shared), wire, Some(index)).await;
}
