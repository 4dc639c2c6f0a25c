//! Connections: HTTP/1.1 and HTTP/2 without TLS, bounded in number, and nobody may be slow.

use std::{
    io,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, http::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, warn};

use super::{
    ApiConfig, callbacks,
    impatient::Impatient,
    instances, operations,
    routes::{self, Api},
};
use crate::gateway::Gateway;

/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;
/// Bytes of headers that one HTTP/2 request may have.
const HEADER_BYTES_MAX: u32 = 16 * 1_024;
/// Bytes that one HTTP/1 connection may have read and not yet understood: its headers must fit.
const BUFFER_BYTES_MAX: usize = 32 * 1_024;
/// An HTTP/2 connection on which nothing comes is asked whether it is there, and so long after it is closed.
const PING: Duration = Duration::from_secs(20);
/// Whoever does not read what was asked for for so long is left.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Accepting fails when the process has no file descriptors left; others must be closed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API on `listener` until `stop`; then takes no new connections, answers what was asked, and returns.
///
/// Errors: a configuration that cannot work (see [`ApiConfig::problems`]).
pub async fn serve(
    listener: TcpListener,
    config: ApiConfig,
    gateway: Gateway,
    stop: CancellationToken,
) -> io::Result<()> {
    let bounds = Bounds {
        listener: "api",
        connections_max: config.connections_max,
        first_request: Duration::from_secs(config.header_seconds_max),
        drain: Duration::from_secs(config.request_seconds_max),
    };
    let router = routes::router(Api::new(config, gateway).map_err(io::Error::other)?);
    accept(listener, router, bounds, stop).await;
    Ok(())
}

/// Serves health, readiness and metrics on `listener` until `stop`. No caller is asked who he is: bind it where only
/// operations can reach it.
///
/// Keep it running until everything else has stopped: it says that the gateway is stopping.
pub async fn serve_operations(
    listener: TcpListener,
    gateway: Gateway,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> io::Result<()> {
    let bounds = Bounds {
        listener: "operations",
        connections_max: 64,
        first_request: Duration::from_secs(10),
        drain: Duration::from_secs(2),
    };
    accept(listener, operations::router(gateway, metrics), bounds, stop).await;
    Ok(())
}

/// Serves the carriers' callbacks on `listener` until `stop`; then takes no new connections, answers what was asked, and returns.
/// Put it where carriers can reach it, behind TLS.
pub async fn serve_callbacks(listener: TcpListener, gateway: Gateway, stop: CancellationToken) -> io::Result<()> {
    let bounds = Bounds {
        listener: "callbacks",
        connections_max: 512,
        first_request: Duration::from_secs(10),
        drain: Duration::from_secs(5),
    };
    accept(listener, callbacks::router(gateway, bounds.first_request), bounds, stop).await;
    Ok(())
}

/// Serves other daemons of the same database on `listener` until `stop`.
pub async fn serve_instances(listener: TcpListener, gateway: Gateway, stop: CancellationToken) -> io::Result<()> {
    let bounds = Bounds {
        listener: "instances",
        connections_max: 512,
        first_request: Duration::from_secs(10),
        drain: Duration::from_secs(5),
    };
    accept(listener, instances::router(gateway), bounds, stop).await;
    Ok(())
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

#[derive(Clone, Copy)]
struct Bounds {
    listener: &'static str,
    connections_max: usize,
    first_request: Duration,
    drain: Duration,
}

async fn accept(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, address))) => {
                let router = router.clone().layer(Extension(Peer(address.ip())));
                connections.spawn(converse(stream, router, bounds, stop.clone(), place));
            }
            (_, Err(error)) => {
                warn!(listener = bounds.listener, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => break,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(bounds.drain, connections.wait()).await.is_err() {
        warn!(listener = bounds.listener, left = connections.len(), "connections are cut off");
    }
}

/// One connection until it ends, by itself, by the other side, or because it is too slow.
async fn converse(
    stream: TcpStream,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    gauge!("http_connections", "listener" => bounds.listener).increment(1);
    // Small answers must not wait for more; a socket that cannot is still good.
    let _unchanged = stream.set_nodelay(true);
    // hyper's own time limits begin only when it knows which HTTP is spoken.
    let asked = Arc::new(AtomicBool::new(false));
    let noted = asked.clone();
    let service = router.map_request(move |request: Request<_>| {
        noted.store(true, Ordering::Relaxed);
        request
    });
    let service = TowerToHyperService::new(service);
    let builder = http(bounds);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Impatient::new(stream, READ_PATIENCE)), service));
    let silent = async {
        tokio::time::sleep(bounds.first_request).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = silent => None,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(bounds.drain, connection).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(listener = bounds.listener, error, "a connection broke"),
        None => debug!(listener = bounds.listener, "a connection was too slow"),
    }
    gauge!("http_connections", "listener" => bounds.listener).decrement(1);
}

fn http(bounds: Bounds) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.first_request).max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    builder
}
