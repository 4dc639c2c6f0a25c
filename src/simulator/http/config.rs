//! How the carrier is reached over HTTP, and how it behaves there. Credentials are plain values: this is a simulator.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::simulator::{
    config::{ConfigError, DelayRange},
    http::Interface,
};

mod validate;

/// The carrier's HTTP interfaces. An interface that is left out is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// CAMARA billing, refund, SIM swap and tenure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camara: Option<CamaraConfig>,
    /// OMA/GSMA OneAPI Payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oneapi: Option<OneApiConfig>,
    /// The CIS-style interface: form in, XML out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cis: Option<CisConfig>,
    /// Subscriber profile and portability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsConfig>,
    /// The certificate of all these listeners; without it they speak plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<HttpTls>,
    /// What the portability look-up calls this carrier.
    pub carrier: String,
    /// From the end of the work to the answer.
    pub response_delay_ms: DelayRange,
    /// How long a reservation holds the amount; then it ends, and nobody is told.
    pub reservation_ms: u64,
    /// The least amount of one payment, in tiyn.
    pub amount_min_minor: i64,
    /// The most, in tiyn; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_max_minor: Option<i64>,
    /// The most that one number may pay over HTTP in all, in tiyn; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_total_max_minor: Option<i64>,
    /// Whether the contract allows refunds.
    pub refunds: bool,
    /// Requests a second for each interface, above which the next is answered 429; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_s_max: Option<u32>,
    /// How callbacks are sent.
    pub callbacks: CallbackConfig,
    /// Bounds on memory.
    pub limits: HttpLimits,
}

/// CAMARA, with its OAuth2 token endpoint at `{base_path}/oauth2/token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CamaraConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What stands before `/carrier-billing/v0.5` and the others: empty, or `/` and segments.
    pub base_path: String,
    /// Who may ask for tokens.
    pub client_id: String,
    /// With this secret.
    pub client_secret: String,
    /// How long a token is good for, in seconds.
    pub token_lifetime_s: u64,
    /// Whether a payment is settled before its answer or after it.
    pub answers: Answers,
    /// How long a payment stays `processing` where it is settled after its answer.
    pub processing_ms: DelayRange,
    /// The answer to a `clientCorrelator` that was used before. It is never a replay.
    pub duplicate: DuplicateAs,
    /// What a payment has become whose reservation expired.
    pub expired: ExpiredAs,
    /// Wrong codes after which a payment cannot be validated any more.
    pub otp_tries_max: u32,
    /// The largest page of a list.
    pub per_page_max: u32,
    /// Matches above which a list is refused as too long; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_max: Option<u32>,
    /// Whether sinks may be `http://` on loopback. The specification wants `https://`.
    pub plain_sinks: bool,
}

/// OMA/GSMA OneAPI Payment under `{base_path}/payment/v1`. A `clientCorrelator` used again replays the stored answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneApiConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What stands before `/payment/v1`: empty, or `/` and segments.
    pub base_path: String,
    /// The user of basic authentication.
    pub username: String,
    /// The user's password.
    pub password: String,
}

/// The CIS-style interface, at `/pay`. A `txn_id` used again replays the stored answer if the rest is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CisConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The secret that ends what is digested.
    pub secret: String,
    /// The digest of `sign`.
    pub digest: Digest,
    /// Whether a payment is settled before its answer, or answered 90 (in progress) first.
    pub answers: Answers,
    /// How long it is in progress.
    pub processing_ms: DelayRange,
    /// Where results are posted to, signed as requests are; none for nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
}

/// Subscriber profile (`POST /profile` as form and XML, `GET /profile/{msisdn}` as JSON) and portability
/// (`GET /portability/{msisdn}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FactsConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The secret of `sign` in the form.
    pub secret: String,
    /// The digest of `sign`.
    pub digest: Digest,
    /// The bearer token of the JSON calls.
    pub token: String,
}

/// When a payment is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// Before the answer, which says how it ended.
    #[default]
    Settled,
    /// After the answer, which says that it is being processed; a callback or a query tells the rest.
    Processing,
}

/// How CAMARA refuses a `clientCorrelator` that was used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateAs {
    /// 409 `ALREADY_EXISTS`.
    #[default]
    Conflict,
    /// 400 `INVALID_ARGUMENT`.
    InvalidArgument,
}

/// What a payment has become whose reservation expired. The specification leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredAs {
    /// `cancelled`.
    #[default]
    Cancelled,
    /// `denied`.
    Denied,
    /// Not there any more: 404.
    Gone,
}

/// The digest of a `sign` field, written in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// MD5.
    #[default]
    Md5,
    /// SHA-256.
    Sha256,
}

/// The certificate of the HTTP listeners. Files are PEM, read at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTls {
    /// The server's certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Roots of clients' certificates. With them a client must show one; without, none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_roots: Option<PathBuf>,
}

/// How callbacks are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackConfig {
    /// From what happened to the first try.
    pub delay_ms: DelayRange,
    /// Tries until one is answered 2xx. 410 ends them at once.
    pub tries_max: u32,
    /// The pause before the second try; it doubles with each further one.
    pub backoff_ms: u64,
    /// How long an answer is waited for.
    pub answer_within_ms: u64,
    /// Where callbacks really go, whatever host the sink names: scheme and host of an URL. For a listener without TLS
    /// behind a sink that says `https://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Roots of the sinks' certificates, PEM; none for the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<PathBuf>,
}

/// Bounds on memory. What would pass one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Connections at a time, of all interfaces; the next is closed at once.
    pub connections_max: usize,
    /// Payments, refunds included.
    pub payments_max: usize,
    /// Access tokens that are good at a time.
    pub tokens_max: usize,
    /// Callbacks on their way; the next is lost, and counted so.
    pub callbacks_max: usize,
    /// The longest body of a request, in bytes.
    pub body_bytes_max: usize,
}

impl HttpConfig {
    /// The address that an interface is to listen on, if it is there.
    pub(in crate::simulator) fn listen(&self, interface: Interface) -> Option<SocketAddr> {
        match interface {
            Interface::Camara => self.camara.as_ref().map(|camara| camara.listen),
            Interface::Oneapi => self.oneapi.as_ref().map(|oneapi| oneapi.listen),
            Interface::Cis => self.cis.as_ref().map(|cis| cis.listen),
            Interface::Facts => self.facts.as_ref().map(|facts| facts.listen),
        }
    }

    /// What stands before the paths of an interface.
    pub(in crate::simulator) fn base_path(&self, interface: Interface) -> &str {
        match interface {
            Interface::Camara => self.camara.as_ref().map_or("", |camara| &camara.base_path),
            Interface::Oneapi => self.oneapi.as_ref().map_or("", |oneapi| &oneapi.base_path),
            Interface::Cis | Interface::Facts => "",
        }
    }

    /// Every interface on a free port of loopback, with the default credentials.
    pub fn all() -> HttpConfig {
        HttpConfig {
            camara: Some(CamaraConfig::default()),
            oneapi: Some(OneApiConfig::default()),
            cis: Some(CisConfig::default()),
            facts: Some(FactsConfig::default()),
            ..HttpConfig::default()
        }
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            camara: None,
            oneapi: None,
            cis: None,
            facts: None,
            tls: None,
            carrier: "simulated".into(),
            response_delay_ms: DelayRange::exactly(0),
            reservation_ms: 300_000,
            amount_min_minor: 1,
            amount_max_minor: None,
            subscriber_total_max_minor: None,
            refunds: true,
            requests_per_s_max: None,
            callbacks: CallbackConfig::default(),
            limits: HttpLimits::default(),
        }
    }
}

impl Default for CamaraConfig {
    fn default() -> CamaraConfig {
        CamaraConfig {
            listen: LOOPBACK,
            base_path: String::new(),
            client_id: "smsbus".into(),
            client_secret: "secret".into(),
            token_lifetime_s: 3_600,
            answers: Answers::Settled,
            processing_ms: DelayRange::exactly(200),
            duplicate: DuplicateAs::Conflict,
            expired: ExpiredAs::Cancelled,
            otp_tries_max: 3,
            per_page_max: 100,
            list_max: None,
            plain_sinks: true,
        }
    }
}

impl Default for OneApiConfig {
    fn default() -> OneApiConfig {
        OneApiConfig {
            listen: LOOPBACK,
            base_path: String::new(),
            username: "smsbus".into(),
            password: "secret".into(),
        }
    }
}

impl Default for CisConfig {
    fn default() -> CisConfig {
        CisConfig {
            listen: LOOPBACK,
            secret: "secret".into(),
            digest: Digest::Md5,
            answers: Answers::Settled,
            processing_ms: DelayRange::exactly(200),
            notify_url: None,
        }
    }
}

impl Default for FactsConfig {
    fn default() -> FactsConfig {
        FactsConfig { listen: LOOPBACK, secret: "secret".into(), digest: Digest::Md5, token: "secret".into() }
    }
}

impl Default for CallbackConfig {
    fn default() -> CallbackConfig {
        CallbackConfig {
            delay_ms: DelayRange::exactly(0),
            tries_max: 3,
            backoff_ms: 100,
            answer_within_ms: 5_000,
            origin: None,
            roots: None,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            connections_max: 1_024,
            payments_max: 1_000_000,
            tokens_max: 10_000,
            callbacks_max: 10_000,
            body_bytes_max: 64 * 1024,
        }
    }
}
