//! Connections: HTTP/1.1 and HTTP/2, with TLS or without, each of which a fault can reset.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    http::{Request, Uri},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Interface, router};
use crate::simulator::shared::Shared;

/// How long an `accept` that failed is let rest.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take for its handshake, and for the headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

/// A connection, as its requests see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    end: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// Returns once it is reset.
    pub(super) async fn is_reset(&self) {
        self.end.cancelled().await;
    }

    /// Resets the connection (RST), whatever else is asked on it. Never returns: nothing is answered any more.
    pub(super) async fn reset(&self) -> ! {
        self.reset.store(true, Ordering::Relaxed);
        self.end.cancel();
        std::future::pending().await
    }
}

/// The address of a request as it was sent.
#[derive(Clone, Debug)]
pub(super) struct WholeUri(pub(super) Uri);

/// Accepts connections of an interface until the simulator stops.
pub(in crate::simulator) async fn listen(shared: Arc<Shared>, interface: Interface, socket: TcpListener) {
    let router = router(&shared, interface);
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                // Answers are small; without this they wait for one another.
                let _ = stream.set_nodelay(true);
                shared.spawn(serve(Arc::clone(&shared), router.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, interface = interface.name(), "simulator: accept failed");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, router: Router, stream: TcpStream) {
    let Ok(_place) = shared.http.connections.try_acquire() else { return };
    let connection = Connection::default();
    let socket = Socket { stream, reset: Arc::clone(&connection.reset) };
    match &shared.http.tls {
        None => converse(&shared, router, socket, connection).await,
        Some(acceptor) => match timeout(HEADERS_WITHIN, acceptor.0.accept(socket)).await {
            Ok(Ok(stream)) => converse(&shared, router, stream, connection).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "simulator: a TLS handshake failed");
                shared.exchange().stats.handshakes_failed += 1;
            }
            Err(_) => {}
        },
    }
}

/// Answers requests until the client hangs up or a fault resets the connection.
async fn converse(
    shared: &Shared,
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
) {
    shared.exchange().stats.http.connections += 1;
    let end = connection.end.clone();
    let service = router.map_request(move |mut request: Request<_>| {
        // A nested route shows its handler only the rest of the path.
        let uri = WholeUri(request.uri().clone());
        request.extensions_mut().insert(uri);
        request.extensions_mut().insert(connection.clone());
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::select! {
        biased;
        () = end.cancelled() => {}
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(error, "simulator: an HTTP connection broke");
            }
        }
    }
}

/// A socket that is closed by RST where it is to be reset.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
