//! A ticket service over a real socket, which does as a test says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
};

use super::world::WEBHOOK_KEYS;
use crate::gateway::{MoWebhookConfig, WebhookConfig};

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Status(u16),
    /// 429, and so many seconds to wait.
    TooMany(u64),
    /// A redirect to itself.
    Redirect,
    /// A body without an end, after a status that says yes.
    Endless,
    /// Closes the connection when the request is there.
    Close,
    /// Reads the request and says nothing.
    Silence,
    /// Something that is not HTTP.
    Garbage,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) id: String,
    pub(super) timestamp: i64,
    pub(super) signatures: Vec<String>,
    pub(super) raw_body: String,
    pub(super) body: serde_json::Value,
}

impl Request {
    /// By the words of the specification: every key has signed.
    pub(super) fn is_signed(&self) -> bool {
        self.is_signed_with(WEBHOOK_KEYS)
    }

    /// Each of these keys has signed, and no other.
    pub(super) fn is_signed_with<const N: usize>(&self, keys: [&str; N]) -> bool {
        keys.into_iter().zip(&self.signatures).all(|(key, signature)| {
            let key = BASE64.decode(key.trim_start_matches("whsec_").as_bytes()).expect("base64");
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
            mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.raw_body).as_bytes());
            *signature == format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
        }) && self.signatures.len() == N
    }
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    script: VecDeque<Answer>,
    /// What it does with events of a type, whatever the script says.
    dislikes: Option<(&'static str, Answer)>,
    /// What it does with an event that it has had before, whatever the script says.
    dislikes_repeats: Option<Answer>,
}

pub(super) struct TicketService {
    runtime: Runtime,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    listening: Option<JoinHandle<()>>,
}

impl TicketService {
    /// It answers by the script, and 204 when that is at its end.
    pub(super) fn start(script: impl IntoIterator<Item = Answer>) -> TicketService {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), ..State::default() }));
        let mut service = TicketService { runtime, address: ([127, 0, 0, 1], 0).into(), state, listening: None };
        service.go_up();
        service
    }

    /// Listens, at the same address as before.
    pub(super) fn go_up(&mut self) {
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).expect("a port");
        self.address = listener.local_addr().expect("an address");
        let (state, address) = (self.state.clone(), self.address);
        self.listening = Some(self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone(), address));
            }
        }));
    }

    /// Refuses every connection.
    pub(super) fn go_down(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ended = self.runtime.block_on(listening);
        }
    }

    /// How the gateway reaches it, with short pauses.
    pub(super) fn config(&self, answer_seconds: u64) -> MoWebhookConfig {
        MoWebhookConfig {
            url: Some(format!("http://{}/purchases", self.address)),
            answer_seconds,
            timeout_ms: 300,
            retry_ms: 20,
            retry_ms_max: 100,
            ..MoWebhookConfig::default()
        }
    }

    /// How the gateway tells it of events, with short pauses.
    pub(super) fn events_config(&self) -> WebhookConfig {
        WebhookConfig {
            url: format!("http://{}/events", self.address),
            timeout_ms: 300,
            retry_seconds: 1,
            retry_seconds_max: 1,
            ..WebhookConfig::default()
        }
    }

    /// Answers events of this type so, whatever the script says.
    pub(super) fn dislike(&self, kind: &'static str, answer: Answer) {
        lock(&self.state).dislikes = Some((kind, answer));
    }

    /// Answers events that it has had before so, whatever the script says.
    pub(super) fn dislike_repeats(&self, answer: Answer) {
        lock(&self.state).dislikes_repeats = Some(answer);
    }

    /// Answers by the script again.
    pub(super) fn like_all(&self) {
        let mut state = lock(&self.state);
        (state.dislikes, state.dislikes_repeats) = (None, None);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// The requests about one number.
    pub(super) fn requests_of(&self, number: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.body["data"]["msisdn"] == number).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, address: SocketAddr) {
    while let Some(request) = read(&mut stream).await {
        let answer = {
            let mut state = lock(&state);
            let kind = request.body["type"].as_str().unwrap_or_default().to_owned();
            let repeated = state.requests.iter().any(|known| known.id == request.id);
            state.requests.push(request);
            let disliked = state.dislikes.filter(|(disliked, _)| *disliked == kind).map(|(_, answer)| answer);
            let disliked = disliked.or(state.dislikes_repeats.filter(|_| repeated));
            disliked.or_else(|| state.script.pop_front()).unwrap_or(Answer::Status(204))
        };
        let text = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} as told\r\ncontent-length: 0\r\n\r\n"),
            Answer::TooMany(seconds) => {
                format!("HTTP/1.1 429 slowly\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Redirect => {
                format!("HTTP/1.1 307 there\r\nlocation: http://{address}/elsewhere\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Garbage => "SMPP 3.4\r\n\r\n".to_owned(),
            Answer::Close => return,
            Answer::Silence => return tokio::time::sleep(Duration::from_secs(60)).await,
            Answer::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
                let mut written = stream.write_all(head.as_bytes()).await;
                while written.is_ok() {
                    written = stream.write_all(&[b'x'; 4_096]).await;
                }
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request of HTTP/1.1 with a length.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    assert_eq!(header("content-type"), "application/json");
    let mut body = vec![0; header("content-length").parse().expect("a length")];
    stream.read_exact(&mut body).await.ok()?;
    let raw_body = String::from_utf8(body).expect("UTF-8");
    Some(Request {
        line: head.lines().next().unwrap_or_default().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().expect("seconds"),
        signatures: header("webhook-signature").split(' ').map(str::to_owned).collect(),
        body: serde_json::from_str(&raw_body).expect("JSON"),
        raw_body,
    })
}
