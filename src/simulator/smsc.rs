//! The SMSC: it runs one session per connection.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::mpsc,
    time::sleep,
};
use tokio_rustls::server::TlsStream;

use super::{
    faults::{Fault, Strikes},
    link::{Link, LinkId, OUTGOING_MAX, Outgoing},
    session::Session,
    shared::Shared,
};

/// A connection inside the process.
pub(super) fn connect(shared: &Arc<Shared>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(64 * 1024);
    shared.spawn(serve(Arc::clone(shared), Wire::Memory(server), None));
    client
}

/// What a connection runs over.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Memory(DuplexStream),
}

/// Runs one connection, from its begin to its end.
pub(super) async fn serve(shared: Arc<Shared>, wire: Wire, listener: Option<usize>) {
    shared.exchange().stats.connections += 1;
    let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
    let id = LinkId::draw(&shared.links_opened);
    let link = Arc::new(Link::new(id, listener, outgoing, shared.stop.child_token(), &shared.config));
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
        Wire::Tls(mut stream) => {
            let (reader, writer) = tokio::io::split(&mut stream);
            run(&shared, &link, reader, writer, queue).await;
            if link.is_reset() {
                let _ = stream.get_ref().0.set_zero_linger();
            }
        }
        Wire::Memory(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            run(&shared, &link, reader, writer, queue).await;
        }
    }
    lost(&shared, &link);
}

/// The connection is over. One that was not unbound may be believed in for a while.
fn lost(shared: &Shared, link: &Link) {
    let Some(mode) = link.mode().filter(|_| link.is_bound()) else { return };
    link.set_unbound();
    for fault in shared.exchange().draw_for_link(Strikes::LinkLoss) {
        if let Fault::StaleBind { ms } = fault {
            shared.links.believe_in(mode, Duration::from_millis(ms));
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
    let mut silent = false;
    while queue.recv_many(&mut batch, 64).await > 0 {
        let mut gather = Duration::ZERO;
        for outgoing in batch.drain(..) {
            match outgoing {
                Outgoing::Silence => silent = true,
                _ if silent => {}
                Outgoing::Pdu(octets) => buffer.extend_from_slice(&octets),
                Outgoing::Gather(span) => gather = gather.max(span),
                Outgoing::OctetByOctet(octets) => {
                    if flush(&mut writer, &mut buffer).await.is_err() || slowly(&mut writer, &octets).await.is_err() {
                        return;
                    }
                }
                Outgoing::Close => {
                    let _ = flush(&mut writer, &mut buffer).await;
                    let _ = writer.shutdown().await;
                    return;
                }
            }
        }
        if !gather.is_zero() {
            sleep(gather).await;
            if !queue.is_empty() {
                continue;
            }
        }
        if flush(&mut writer, &mut buffer).await.is_err() {
            return;
        }
    }
}

async fn slowly(writer: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> std::io::Result<()> {
    for octet in octets {
        writer.write_all(&[*octet]).await?;
        writer.flush().await?;
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn flush(writer: &mut (impl AsyncWrite + Unpin), buffer: &mut BytesMut) -> std::io::Result<()> {
    writer.write_all(buffer).await?;
    buffer.clear();
    writer.flush().await
}
