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
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

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
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, accepting.clone()));
            }
        });
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

impl Shared {
    fn next_answer(&self, line: &str) -> Option<Answer> {
        let mut answers = self.answers.lock().unwrap();
        let at = answers.iter().position(|(part, _)| line.contains(part.as_str()))?;
        answers.remove(at).map(|(_, answer)| answer)
    }
}

/// Serves one connection, to its end or until it is to break.
async fn serve(stream: TcpStream, shared: Shared) {
    let breaks = Arc::new(Notify::new());
    let app = Router::new().fallback(handle).with_state((shared, Arc::clone(&breaks)));
    let builder = Builder::new(TokioExecutor::new());
    tokio::select! {
        _ended = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)) => {}
        () = breaks.notified() => {}
    }
}

async fn handle(
    State((shared, breaks)): State<(Shared, Arc<Notify>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let line = format!("{method} {uri}");
    let answer = shared.next_answer(&line);
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
            breaks.notify_one();
            std::future::pending::<Response>().await
        }
        None => (StatusCode::INTERNAL_SERVER_ERROR, format!("nobody said what to answer to {line}")).into_response(),
    }
}
