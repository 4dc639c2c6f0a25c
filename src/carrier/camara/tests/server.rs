//! A carrier that says what a test tells it to, once each, and keeps what it was asked.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `POST /carrier-billing/v0.5/payments`.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Clone, Debug)]
enum Answer {
    Says(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed without a word, the request having been read.
    HangsUp,
}

#[derive(Clone, Default)]
struct Shared {
    answers: Arc<Mutex<VecDeque<(String, Answer)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Shared,
}

impl Server {
    pub(super) async fn start() -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        let app = Router::new().fallback(handle).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { address, shared }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request whose line contains `line` is answered so.
    pub(super) fn says(&self, line: &str, status: u16, body: impl Into<String>) {
        self.says_with(line, status, Vec::new(), body);
    }

    pub(super) fn says_with(
        &self,
        line: &str,
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: impl Into<String>,
    ) {
        self.push(line, Answer::Says(status, headers, body.into()));
    }

    pub(super) fn hangs_up(&self, line: &str) {
        self.push(line, Answer::HangsUp);
    }

    fn push(&self, line: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().push_back((line.to_owned(), answer));
    }

    /// What was asked, but for tokens.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn handle(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let line = format!("{method} {uri}");
    let mut answers = shared.answers.lock().unwrap();
    let at = answers.iter().position(|(part, _)| line.contains(part.as_str()));
    let answer = at.and_then(|at| answers.remove(at)).map(|(_, answer)| answer);
    drop(answers);
    if uri.path() == "/token" && answer.is_none() {
        return r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#.into_response();
    }
    let body = String::from_utf8(body.to_vec()).unwrap();
    shared.asked.lock().unwrap().push(Asked { line: line.clone(), headers, body });
    match answer {
        Some(Answer::Says(status, headers, body)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            response.headers_mut().insert("content-type", "application/json".parse().unwrap());
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Answer::HangsUp) => {
            // A body that breaks off at its first byte closes the connection before a head is written.
            panic!("the connection breaks, as the test wants it")
        }
        None => (StatusCode::INTERNAL_SERVER_ERROR, format!("nobody said what to answer to {line}")).into_response(),
    }
}
