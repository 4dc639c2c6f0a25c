//! What is known of bytes that a broken connection took, in TLS and in the clear.

use std::{path::PathBuf, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

use super::*;
use crate::smpp::{
    session::{DoubtCause, Unwritten},
    wire::{accepted, deliver},
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulator/tests/tls")).join(name)
}

fn tls(server_name: &str) -> Tls {
    let authorities = Some(std::fs::read(file("ca.pem")).unwrap());
    Tls::new(&TlsMaterials { authorities, ..TlsMaterials::default() }, Some(server_name)).unwrap()
}

fn trusting(smsc: &Smsc) -> LinkConfig {
    LinkConfig { tls: Some(tls("localhost")), ..smsc.config() }
}

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept_tcp(smsc: &Smsc) -> TcpStream {
    let (stream, _) = timeout(PATIENCE, smsc.listener.accept()).await.unwrap().unwrap();
    // What is written is in the other's socket at once, and a reset finds it there.
    stream.set_nodelay(true).unwrap();
    stream
}

async fn accept_in_tls(smsc: &Smsc) -> TlsStream<TcpStream> {
    timeout(PATIENCE, acceptor().accept(accept_tcp(smsc).await)).await.unwrap().unwrap()
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Header {
    let mut length = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut length)).await.unwrap().unwrap();
    let mut pdu = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    pdu[..4].copy_from_slice(&length);
    timeout(PATIENCE, stream.read_exact(&mut pdu[4..])).await.unwrap().unwrap();
    split(&pdu).remove(0).0
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    timeout(PATIENCE, stream.write_all(bytes)).await.unwrap().unwrap();
    stream.flush().await.unwrap();
}

/// The outcomes of two messages on a connection that breaks while the link does not read: the first is answered before the break, the
/// second is submitted after it.
async fn around_a_break<S>(
    (pool, events): (Pool, mpsc::Receiver<PoolEvent>),
    mut stream: S,
    reset: impl FnOnce(S),
) -> [SubmitOutcome; 2]
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    assert_eq!(read(&mut stream).await.command_id, command::BIND_TRANSCEIVER);
    write(&mut stream, &resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0")).await;
    let (first, second) = (slot(&pool).await.submit(message(), 1), slot(&pool).await);
    let sequence = read(&mut stream).await.sequence;
    // Nobody takes events, so the link stops reading, and what comes then waits in the socket.
    for number in 1..=4 {
        write(&mut stream, &deliver(number, b"more than is taken")).await;
    }
    let stopped = async {
        while pool.standing().links_open > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, stopped).await.unwrap();
    write(&mut stream, &accepted(sequence, "a")).await;
    reset(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let outcomes = [outcome(second.submit(message(), 2)).await, outcome(first).await];
    drop(events);
    outcomes
}

fn open_with_few_events(link: LinkConfig) -> (Pool, mpsc::Receiver<PoolEvent>) {
    Pool::open(PoolConfig { events_max: 1, ..PoolConfig::new(vec![link], 100_000) }).unwrap()
}

#[tokio::test]
async fn what_a_broken_connection_refused_in_tls_is_in_doubt_and_what_came_before_counts() {
    let smsc = Smsc::listen().await;
    let pool = open_with_few_events(trusting(&smsc));
    let stream = accept_in_tls(&smsc).await;
    let [second, first] = around_a_break(pool, stream, |stream| stream.get_ref().0.set_zero_linger().unwrap()).await;
    assert_eq!(first, accepted_as("a"));
    assert_eq!(second, SubmitOutcome::InDoubt { cause: DoubtCause::LinkLost }, "a record may have left");
}

#[tokio::test]
async fn what_a_broken_connection_refused_in_the_clear_did_not_happen_and_what_came_before_counts() {
    let smsc = Smsc::listen().await;
    let pool = open_with_few_events(smsc.config());
    let stream = accept_tcp(&smsc).await;
    let [second, first] = around_a_break(pool, stream, |stream| stream.set_zero_linger().unwrap()).await;
    assert_eq!(first, accepted_as("a"));
    assert_eq!(second, SubmitOutcome::NotWritten { why: Unwritten::LinkLost });
}
