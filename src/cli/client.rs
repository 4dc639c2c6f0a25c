//! Asking a running daemon over its API.

use std::{env, path::PathBuf, time::Duration};

use reqwest::{Method, StatusCode, header::ACCEPT};
use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{Failure, output};
use crate::tls;

/// The variable that holds the token, where no file is named.
const TOKEN_VARIABLE: &str = "SMSBUSD_TOKEN";
/// A token is never longer, in bytes.
const TOKEN_BYTES_MAX: u64 = 4_096;
/// An answer is never longer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A line of an answer that is followed is never longer, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// How long an answer may take beyond what the request itself waits for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which daemon is asked, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiArgs {
    /// The daemon's API
    #[arg(long, value_name = "URL", env = "SMSBUSD_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// File that holds the token and nothing else; without it, the environment variable SMSBUSD_TOKEN
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// A caller of the API.
pub(super) struct Client {
    http: reqwest::Client,
    server: String,
    token: Zeroizing<String>,
}

/// One request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: Option<Value>,
    /// How long the daemon may wait before it answers.
    pub(super) wait: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, path: &'a str) -> Request<'a> {
        Request { method, path, headers: &[], body: None, wait: Duration::ZERO }
    }
}

/// An answer that goes on.
#[derive(Clone, Copy)]
pub(super) struct LongAnswer<'a> {
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    /// How long it goes on at most.
    pub(super) lasts: Duration,
    /// A daemon that says nothing for so long is taken for dead.
    pub(super) silence_max: Duration,
}

/// Why an answer that goes on was broken off.
pub(super) enum Interruption {
    /// Asking again is of no use: the daemon refuses, or what it says cannot be used.
    Final(Failure),
    /// It may be of use: nobody is there, or has time, at the moment.
    Passing(Failure),
}

impl From<Interruption> for Failure {
    fn from(interruption: Interruption) -> Failure {
        match interruption {
            Interruption::Final(failure) | Interruption::Passing(failure) => failure,
        }
    }
}

impl Client {
    /// Errors: no token.
    pub(super) fn new(args: &ApiArgs) -> Result<Client, Failure> {
        let token = match &args.token_file {
            Some(file) => {
                let bytes = Zeroizing::new(output::read(file, TOKEN_BYTES_MAX)?);
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| Failure::new(format!("{}: not a token", file.display())))?;
                Zeroizing::new(text.trim().to_owned())
            }
            None => Zeroizing::new(env::var(TOKEN_VARIABLE).unwrap_or_default().trim().to_owned()),
        };
        if token.is_empty() {
            return Err(Failure::usage(format!(
                "the API wants to know who asks: name a file with --token-file, or set {TOKEN_VARIABLE}"
            )));
        }
        let http = tls::client_in_the_clear(None);
        let http = http.map_err(|error| Failure::new(format!("no HTTP client: {error}")))?;
        Ok(Client { http, server: args.server.trim_end_matches('/').to_owned(), token })
    }

    /// Asks, and gives the answer as JSON.
    ///
    /// Errors: nobody answers there; the daemon refuses, in its words.
    pub(super) async fn ask(&self, request: Request<'_>) -> Result<Value, Failure> {
        let url = format!("{}{}", self.server, request.path);
        let mut builder =
            self.http.request(request.method, &url).bearer_auth(self.token.as_str()).timeout(request.wait + PATIENCE);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let mut answer = builder.send().await.map_err(|error| unreachable(&url, &error))?;
        let status = answer.status();
        let body = json(&url, &mut answer).await?;
        if status.is_success() { Ok(body) } else { Err(Failure::new(refusal(status, &body))) }
    }

    /// Asks for an answer that goes on, and gives its lines as they come, until it ends or `line` has enough.
    ///
    /// Errors: nobody answers there; the daemon refuses, in its words; the connection breaks, or is silent; `line` fails.
    pub(super) async fn follow(
        &self,
        long: LongAnswer<'_>,
        mut line: impl FnMut(&str) -> Result<bool, Failure>,
    ) -> Result<(), Interruption> {
        let url = format!("{}{}", self.server, long.path);
        let lost = |error: reqwest::Error| Interruption::Passing(unreachable(&url, &error));
        let request = self.http.get(&url).bearer_auth(self.token.as_str()).header(ACCEPT, long.accept);
        let mut answer = request.timeout(long.lasts + PATIENCE).send().await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            let refused = Failure::new(refusal(status, &json(&url, &mut answer).await.map_err(Interruption::Passing)?));
            let is_final = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
            return Err(if is_final { Interruption::Final(refused) } else { Interruption::Passing(refused) });
        }
        let mut rest = Vec::new();
        loop {
            let chunk = timeout(long.silence_max, answer.chunk()).await.map_err(|_elapsed| {
                Interruption::Passing(Failure::new(format!("{url}: silent for {} seconds", long.silence_max.as_secs())))
            })?;
            let Some(chunk) = chunk.map_err(lost)? else { return Ok(()) };
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let whole: Vec<u8> = rest.drain(..=end).collect();
                if !line(String::from_utf8_lossy(&whole).trim_end()).map_err(Interruption::Final)? {
                    return Ok(());
                }
            }
            if rest.len() > LINE_BYTES_MAX {
                let failure = Failure::new(format!("{url}: a line is longer than {LINE_BYTES_MAX} bytes"));
                return Err(Interruption::Final(failure));
            }
        }
    }
}

/// A whole answer as JSON; null if it is none.
async fn json(url: &str, answer: &mut reqwest::Response) -> Result<Value, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(url, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Failure::new(format!("{url}: the answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    Failure::new(format!("{url}: no answer: {}; is the daemon running, and is --server right?", root_cause(error)))
}

/// A refusal in the daemon's words (RFC 9457).
fn refusal(status: StatusCode, problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let mut message = format!("the daemon answers {status}");
    for part in [text("title"), text("detail")].into_iter().flatten() {
        message.push_str(": ");
        message.push_str(part);
    }
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        message.push_str(&format!("\n{}: {}", part("pointer"), part("detail")));
    }
    if let Some(code) = text("code") {
        message.push_str(&format!("\nwhat to do: docs/errors/{code}.md"));
    }
    message
}

/// What the system said; reqwest puts it at the end of a chain.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_what_and_where_and_names_the_page() {
        let problem = json!({
            "title": "Bad request", "detail": "the body cannot be read", "code": "bad_request",
            "errors": [{ "pointer": "/msisdn", "detail": "not a mobile number" }],
        });
        let expected = "the daemon answers 400 Bad Request: Bad request: the body cannot be read\n/msisdn: not a mobile number\nwhat to do: docs/errors/bad_request.md";
        assert_eq!(refusal(StatusCode::BAD_REQUEST, &problem), expected);
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, &Value::Null), "the daemon answers 502 Bad Gateway");
    }
}
