//! What became of a request, and how it is told from the errors of the client.

use std::{error::Error, fmt, io, time::Duration};

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use thiserror::Error;
use tokio_rustls::rustls::{self, AlertDescription};

use crate::clock::{Clock, Timestamp};

/// The longest pause that a carrier can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was answered, whatever the answer says.
    Answer(Answer),
    /// It cannot have been processed: not one byte of it was written, or the peer refused our certificate before it read any.
    NotSent(NotSent),
    /// It may have arrived and been processed.
    Lost(Lost),
}

impl Outcome {
    /// The stable code, as in metrics: `answered`, `not_sent`, `lost`.
    pub const fn code(&self) -> &'static str {
        match self {
            Outcome::Answer(_) => "answered",
            Outcome::NotSent(_) => "not_sent",
            Outcome::Lost(_) => "lost",
        }
    }
}

/// An answer, read to its end.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body, within the bound.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header field, where it is there once and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the carrier asks us to wait (RFC 9110, 10.2.3: seconds or a date), five minutes at most.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        }
        let at = Timestamp::from_http_date(text)?;
        // By the clock that made it.
        let now = self.header("date").and_then(Timestamp::from_http_date).unwrap_or_else(|| Clock::System.now());
        Some(at.since(now).min(RETRY_AFTER_MAX))
    }
}

/// A body may hold what must not be in a log.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why a request cannot have been processed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotSent {
    /// The host has no address.
    #[error("the host cannot be resolved: {0}")]
    Resolve(String),
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS did not come about: the server's certificate is not what we trust, or the server refuses ours.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// No access token was to be had, so the request was not made.
    #[error("no access token: {0}")]
    Token(String),
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(String),
}

impl NotSent {
    /// The stable code, as in logs and evidence ids.
    pub const fn code(&self) -> &'static str {
        match self {
            NotSent::Resolve(_) => "resolve",
            NotSent::Connect(_) => "connect",
            NotSent::Tls(_) => "tls",
            NotSent::Token(_) => "token",
            NotSent::Request(_) => "request",
        }
    }
}

/// How a request was lost, or its answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Lost {
    /// No whole answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before an answer began, or what began was no HTTP.
    #[error("the connection broke: {0}")]
    Reset(String),
    /// The answer is longer than we read.
    #[error("the answer is longer than {max} bytes")]
    BodyTooLarge {
        /// How much we read.
        max: usize,
    },
    /// The answer began and did not come to its end.
    #[error("the answer broke off: {0}")]
    Unreadable(String),
}

impl Lost {
    /// The stable code, as in logs and evidence ids.
    pub const fn code(&self) -> &'static str {
        match self {
            Lost::Timeout => "timeout",
            Lost::Reset(_) => "reset",
            Lost::BodyTooLarge { .. } => "body_too_large",
            Lost::Unreadable(_) => "unreadable",
        }
    }
}

/// What an error says that came before the head of an answer.
pub(super) fn before_an_answer(error: &reqwest::Error) -> Outcome {
    let tls = sources(error).find_map(rustls_error);
    if error.is_connect() {
        let why = innermost(error);
        return Outcome::NotSent(match tls {
            Some(tls) => NotSent::Tls(tls.to_string()),
            None if error.is_dns() => NotSent::Resolve(why),
            None if error.is_timeout() => NotSent::Connect("no connection in time".into()),
            None => NotSent::Connect(why),
        });
    }
    if error.is_builder() {
        return Outcome::NotSent(NotSent::Request(innermost(error)));
    }
    // In TLS 1.3 our side of the handshake ends before the server has looked at our certificate. It reads no request on a
    // connection that it refuses so, and it says so only in place of finishing the handshake.
    if let Some(rustls::Error::AlertReceived(alert)) = tls
        && refuses_our_certificate(*alert)
    {
        return Outcome::NotSent(NotSent::Tls(format!("the server refuses our certificate: {alert:?}")));
    }
    if error.is_timeout() {
        return Outcome::Lost(Lost::Timeout);
    }
    Outcome::Lost(Lost::Reset(innermost(error)))
}

/// What an error says that came after the head of an answer.
pub(super) fn within_an_answer(error: &reqwest::Error) -> Lost {
    if error.is_timeout() { Lost::Timeout } else { Lost::Unreadable(innermost(error)) }
}

/// The alerts of RFC 8446, 6.2, that speak of a client's certificate and of nothing else.
fn refuses_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateRequired
    )
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// rustls' own error, which hides in an I/O error.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let hidden: &'a (dyn Error + Send + Sync + 'static) = error.downcast_ref::<io::Error>()?.get_ref()?;
    let hidden: &'a (dyn Error + 'static) = hidden;
    sources(hidden).find_map(rustls_error)
}

/// What is at the bottom of it. The outer errors repeat the address, with what the query may hold.
fn innermost(error: &reqwest::Error) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}
