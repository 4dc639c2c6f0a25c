//! The SMSC: it listens, and runs one session per connection.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep,
};

use super::{
    links::{Link, OUTGOING_MAX, Outgoing},
    session::Session,
    shared::Shared,
};

/// How long an `accept` that failed is let rest.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the simulator stops.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Responses are small; without this they wait for one another.
                let _ = stream.set_nodelay(true);
                shared.spawn(serve(Arc::clone(&shared), Wire::Tcp(stream)));
            }
            Err(error) => {
                tracing::warn!(%error, "simulator: accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection inside the process.
pub(super) fn connect(shared: &Arc<Shared>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(64 * 1024);
    shared.spawn(serve(Arc::clone(shared), Wire::Memory(server)));
    client
}

/// What a connection runs over.
#[derive(Debug)]
enum Wire {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

async fn serve(shared: Arc<Shared>, wire: Wire) {
    shared.exchange().stats.connections += 1;
    let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
    let link = Arc::new(Link::new(outgoing, shared.stop.child_token(), shared.config.redelivery.window));
    if !shared.links.add(Arc::clone(&link), shared.config.limits.connections_max) {
        return;
    }
    // Removes the link also when the simulator stops and drops this future.
    let _open = OpenLink { shared: &shared, link: &link };
    match wire {
        Wire::Tcp(mut stream) => {
            let (reader, writer) = stream.split();
            run(&shared, &link, reader, writer, queue).await;
            if link.is_reset() {
                let _ = stream.set_zero_linger();
            }
        }
        Wire::Memory(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            run(&shared, &link, reader, writer, queue).await;
        }
    }
}

struct OpenLink<'a> {
    shared: &'a Shared,
    link: &'a Arc<Link>,
}

impl Drop for OpenLink<'_> {
    fn drop(&mut self) {
        self.shared.links.remove(self.link);
    }
}

/// Runs a session until the client hangs up, everything before a close is written, or the link is ended.
async fn run(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    queue: mpsc::Receiver<Outgoing>,
) {
    let mut session = Session::new(Arc::clone(shared), Arc::clone(link));
    tokio::select! {
        // A reset must not be overtaken by what is still queued.
        biased;
        () = link.end.cancelled() => {}
        () = session.read(reader) => {}
        () = write(writer, queue) => {}
    }
}

/// Writes what is queued, as many PDUs at once as there are, until told to close or the client is gone.
async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Outgoing>) {
    let mut batch = Vec::with_capacity(64);
    let mut buffer = BytesMut::new();
    while queue.recv_many(&mut batch, 64).await > 0 {
        for outgoing in batch.drain(..) {
            match outgoing {
                Outgoing::Pdu(octets) => buffer.extend_from_slice(&octets),
                Outgoing::OctetByOctet(octets) => {
                    if flush(&mut writer, &mut buffer).await.is_err() {
                        return;
                    }
                    for octet in octets {
                        if writer.write_all(&[octet]).await.is_err() || writer.flush().await.is_err() {
                            return;
                        }
                        sleep(Duration::from_millis(1)).await;
                    }
                }
                Outgoing::Close => {
                    let _ = flush(&mut writer, &mut buffer).await;
                    let _ = writer.shutdown().await;
                    return;
                }
            }
        }
        if flush(&mut writer, &mut buffer).await.is_err() {
            return;
        }
    }
}

async fn flush(writer: &mut (impl AsyncWrite + Unpin), buffer: &mut BytesMut) -> std::io::Result<()> {
    writer.write_all(buffer).await?;
    buffer.clear();
    writer.flush().await
}
