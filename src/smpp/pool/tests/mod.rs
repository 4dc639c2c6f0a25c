//! The links against a peer over a real loopback socket.

mod breaks;
mod outcomes;
mod pools;
mod reconnecting;
mod tls;

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;
use crate::smpp::{
    encode::EncodeError,
    pdu::{Address, Bind, Header, SubmitSm, command},
    session::{SessionConfig, SubmitOutcome},
    status::CommandStatus,
    wire::{resp, split},
};

/// No step of a test takes longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// An SMSC's port, and connections to it.
struct Smsc {
    listener: TcpListener,
}

/// The SMSC's end of one connection.
struct Peer {
    stream: TcpStream,
}

impl Smsc {
    async fn listen() -> Smsc {
        Smsc { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn config(&self) -> LinkConfig {
        let ms = Duration::from_millis;
        let bind = Bind { system_id: "bus".into(), ..Bind::default() };
        let session = SessionConfig {
            window: 4,
            response_timeout: ms(2_000),
            bind_timeout: ms(2_000),
            enquire_after: ms(5_000),
            dead_after: ms(5_000),
            unbind_timeout: ms(300),
            linger: ms(100),
            ..SessionConfig::new("test", "test", bind)
        };
        let reconnect = Reconnect { first: ms(5), longest: ms(20), already_bound: ms(400) };
        LinkConfig { reconnect, ..LinkConfig::new(vec![self.endpoint()], session) }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new("127.0.0.1", self.listener.local_addr().unwrap().port())
    }

    /// The next connection, its bind read and not answered.
    async fn accept(&self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut peer = Peer { stream };
        assert_eq!(peer.read().await.0.command_id, command::BIND_TRANSCEIVER);
        peer
    }

    async fn accept_and_bind(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.write(&resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0")).await;
        peer
    }
}

impl Peer {
    /// The next PDU.
    async fn read(&mut self) -> (Header, Vec<u8>) {
        let mut length = [0; 4];
        timeout(PATIENCE, self.stream.read_exact(&mut length)).await.unwrap().unwrap();
        let mut pdu = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        pdu[..4].copy_from_slice(&length);
        timeout(PATIENCE, self.stream.read_exact(&mut pdu[4..])).await.unwrap().unwrap();
        split(&pdu).remove(0)
    }

    /// The sequence number of the `submit_sm` that comes next.
    async fn read_submit(&mut self) -> u32 {
        let (header, _) = self.read().await;
        assert_eq!(header.command_id, command::SUBMIT_SM);
        header.sequence
    }

    async fn write(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// RST instead of FIN.
    fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// A pool of one link, with a rate that no test reaches.
fn open(config: LinkConfig) -> Result<(Pool, mpsc::Receiver<PoolEvent>), EncodeError> {
    Pool::open(PoolConfig { events_max: 8, ..PoolConfig::new(vec![config], 100_000) })
}

/// A link that is up, with its peer.
async fn up(smsc: &Smsc, config: LinkConfig) -> (Pool, mpsc::Receiver<PoolEvent>, Peer) {
    let (link, mut events) = open(config).unwrap();
    let peer = smsc.accept_and_bind().await;
    assert!(matches!(next(&mut events).await, PoolEvent::Up { system_id, .. } if system_id == "smsc"));
    (link, events, peer)
}

async fn next(events: &mut mpsc::Receiver<PoolEvent>) -> PoolEvent {
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

async fn slot(link: &Pool) -> Slot {
    link.reserve(Lane::Normal, soon()).await.unwrap()
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

async fn outcome(submission: Submission) -> SubmitOutcome {
    timeout(PATIENCE, submission).await.unwrap()
}

fn message() -> SubmitSm {
    SubmitSm::new(Address::short_code("2505"), Address::international("77015554433"))
}

fn accepted_as(message_id: &str) -> SubmitOutcome {
    SubmitOutcome::Response { status: CommandStatus::OK, message_id: Some(message_id.into()) }
}
