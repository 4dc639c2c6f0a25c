//! The client, the tokens and the gate against peers over real sockets.

mod client;
mod gate;
mod tls;
mod token;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use url::Url;

use super::*;

/// No step of a test takes longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// A port, and what comes in on it.
struct Peer {
    listener: TcpListener,
}

impl Peer {
    async fn listen() -> Peer {
        Peer { listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn url(&self) -> Url {
        format!("http://{}/pay?of=1", self.address()).parse().unwrap()
    }

    async fn accept(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap().0
    }

    /// Whether anybody else connects soon.
    async fn is_left_alone(&self) -> bool {
        timeout(Duration::from_millis(200), self.listener.accept()).await.is_err()
    }
}

/// Reads one request with a body of a known length. Empty if the peer closed.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        let count = timeout(PATIENCE, stream.read(&mut chunk)).await.expect("bytes").unwrap_or(0);
        if count == 0 {
            return String::new();
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn config() -> WebClientConfig {
    WebClientConfig {
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        ..WebClientConfig::new("kcell".parse().unwrap())
    }
}

fn client() -> WebClient {
    WebClient::new(config(), None).unwrap()
}

fn charge_at(url: Url) -> WebRequest {
    WebRequest::post("charge", url, "application/json", "{\"amount\":80}")
}

#[track_caller]
fn answered(outcome: Outcome) -> (u16, String) {
    match outcome {
        Outcome::Answer(answer) => (answer.status, String::from_utf8(answer.body.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_sent(outcome: Outcome) -> NotSent {
    match outcome {
        Outcome::NotSent(why) => why,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn lost(outcome: Outcome) -> Lost {
    match outcome {
        Outcome::Lost(why) => why,
        other => panic!("{other:?}"),
    }
}
