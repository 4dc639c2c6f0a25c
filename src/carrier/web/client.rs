//! The client: requests out, outcomes in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use metrics::{counter, histogram};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect, retry,
};
use tokio::time;
use tracing::debug;
use url::Url;

use super::{
    outcome::{Answer, Lost, NotSent, Outcome, before_an_answer, within_an_answer},
    token::TokenSource,
};
use crate::{
    charge::CarrierName,
    tls::{TlsError, TlsMaterials, client_config, client_config_for_name, client_config_trusting_nobody},
};

/// How patient a client is, and how much it reads.
#[derive(Clone, Debug)]
pub struct WebClientConfig {
    /// Whose it is, for metrics and logs.
    pub carrier: CarrierName,
    /// How long a connection may take to come about, name resolution and TLS included. Held below `timeout`, so that a request
    /// that waits for its connection is known as not sent, and not as lost.
    pub connect_timeout: Duration,
    /// How long a request may take, from the connection to the last byte of the answer.
    pub timeout: Duration,
    /// After so long without a request a connection is closed. Shorter than the carrier keeps it, or requests are lost that meet
    /// a connection while the carrier closes it.
    pub idle_timeout: Duration,
    /// Idle connections that are kept to one host: as many as may be in use at once, or each rush opens them anew.
    pub idle_max: usize,
    /// The longest body of an answer that is read.
    pub body_bytes_max: usize,
    /// The name that the server's certificate must bear; the host of the URL if left out.
    pub server_name: Option<String>,
}

impl WebClientConfig {
    /// The defaults, for this carrier.
    pub fn new(carrier: CarrierName) -> WebClientConfig {
        WebClientConfig {
            carrier,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(20),
            idle_max: 64,
            body_bytes_max: 64 * 1024,
            server_name: None,
        }
    }
}

/// A request, ready to be written: sent twice, it is the same bytes.
#[derive(Clone, Debug)]
pub struct WebRequest {
    /// What it is for, in metrics: `charge`, `query`. One of few.
    pub operation: &'static str,
    /// GET, POST, …
    pub method: Method,
    /// The whole address, with its query.
    pub url: Url,
    /// Header fields. `Authorization` is set by [`WebClient::send_authorised`].
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl WebRequest {
    /// A GET without header fields.
    pub fn get(operation: &'static str, url: Url) -> WebRequest {
        WebRequest { operation, method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A POST of `body`.
    pub fn post(operation: &'static str, url: Url, content_type: &'static str, body: impl Into<Bytes>) -> WebRequest {
        let headers = HeaderMap::from_iter([(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        WebRequest { operation, method: Method::POST, url, headers, body: body.into() }
    }
}

/// Talks to one carrier. Clones share its connections.
///
/// Redirects are not followed, nothing is repeated by itself, no proxy of the environment is used. Only a request that met a
/// connection which the carrier had closed, and of which not one byte was written, goes out on another. HTTP/2 is spoken where
/// the server offers it in TLS.
#[derive(Clone, Debug)]
pub struct WebClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: WebClientConfig,
    transport: Transport,
}

/// What carries requests.
#[derive(Debug)]
enum Transport {
    Network(ArcSwap<reqwest::Client>),
    /// The carriers of a simulated world.
    #[cfg(test)]
    Simulated(crate::process::machine::Machine),
}

impl WebClient {
    /// With these materials for TLS. `None`: with what the system trusts, for a carrier that may also be reached in the clear.
    ///
    /// Errors: materials that cannot be used, or a server name that is none.
    pub fn new(config: WebClientConfig, tls: Option<&TlsMaterials>) -> Result<WebClient, TlsError> {
        #[cfg(test)]
        if let Some(machine) = crate::process::machine::Machine::current() {
            return Ok(WebClient(Arc::new(Inner { config, transport: Transport::Simulated(machine) })));
        }
        let transport = Transport::Network(ArcSwap::from_pointee(build(&config, tls)?));
        Ok(WebClient(Arc::new(Inner { config, transport })))
    }

    /// Other materials from the next connection on; requests under way end on the connections that they have. Errors: they
    /// cannot be used; the old ones stay.
    pub fn replace_tls(&self, tls: Option<&TlsMaterials>) -> Result<(), TlsError> {
        match &self.0.transport {
            Transport::Network(client) => client.store(Arc::new(build(&self.0.config, tls)?)),
            #[cfg(test)]
            Transport::Simulated(_) => {}
        }
        Ok(())
    }

    /// Whose client it is.
    pub fn carrier(&self) -> &CarrierName {
        &self.0.config.carrier
    }

    /// How it was configured.
    pub fn config(&self) -> &WebClientConfig {
        &self.0.config
    }

    /// Sends a request and reads the whole answer. Ends within the time-out.
    pub async fn send(&self, request: WebRequest) -> Outcome {
        let (operation, started) = (request.operation, Instant::now());
        let exchange = self.exchange(request);
        let outcome = match time::timeout(self.0.config.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Outcome::Lost(Lost::Timeout),
        };
        self.measured(operation, started.elapsed(), &outcome);
        outcome
    }

    /// Sends a request with an access token. A 401 is a definite "not processed": then a new token is got, and the request sent
    /// once more, the same bytes but for the token. Without a token nothing is sent.
    pub async fn send_authorised(&self, mut request: WebRequest, tokens: &TokenSource) -> Outcome {
        let token = match tokens.token().await {
            Ok(token) => token,
            Err(why) => return self.without_token(request.operation, why),
        };
        request.headers.insert(AUTHORIZATION, token.header());
        let first = self.send(request.clone()).await;
        if !matches!(&first, Outcome::Answer(Answer { status: 401, .. })) {
            return first;
        }
        // What cannot be got anew says nothing more than the 401 does.
        let Some(token) = tokens.replace(&token).await else { return first };
        request.headers.insert(AUTHORIZATION, token.header());
        self.send(request).await
    }

    fn without_token(&self, operation: &'static str, why: String) -> Outcome {
        let outcome = Outcome::NotSent(NotSent::Token(why));
        self.measured(operation, Duration::ZERO, &outcome);
        outcome
    }

    async fn exchange(&self, request: WebRequest) -> Outcome {
        let client = match &self.0.transport {
            Transport::Network(client) => client.load_full(),
            #[cfg(test)]
            Transport::Simulated(machine) => return machine.exchange(request).await,
        };
        let WebRequest { method, url, headers, body, .. } = request;
        let mut outgoing = client.request(method, url).headers(headers);
        if !body.is_empty() {
            outgoing = outgoing.body(body);
        }
        let response = match outgoing.send().await {
            Ok(response) => response,
            Err(error) => return before_an_answer(&error),
        };
        match self.read(response).await {
            Ok(answer) => Outcome::Answer(answer),
            Err(lost) => Outcome::Lost(lost),
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Answer, Lost> {
        let max = self.0.config.body_bytes_max;
        let too_large = Lost::BodyTooLarge { max };
        if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
            return Err(too_large);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| within_an_answer(&error))? {
            if body.len() + chunk.len() > max {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status().as_u16();
        Ok(Answer { status, headers: std::mem::take(response.headers_mut()), body: body.freeze() })
    }

    fn measured(&self, operation: &'static str, time: Duration, outcome: &Outcome) {
        let carrier = || self.0.config.carrier.to_string();
        counter!("carrier_http_requests_total", "carrier" => carrier(), "operation" => operation, "outcome" => outcome.code())
            .increment(1);
        match outcome {
            Outcome::Answer(answer) => {
                histogram!("carrier_http_request_seconds", "carrier" => carrier(), "operation" => operation)
                    .record(time.as_secs_f64());
                debug!(carrier = %self.carrier(), operation, status = answer.status, ?time, "answered");
            }
            Outcome::NotSent(why) => debug!(carrier = %self.carrier(), operation, %why, "not sent"),
            Outcome::Lost(why) => debug!(carrier = %self.carrier(), operation, %why, "lost"),
        }
    }
}

fn build(config: &WebClientConfig, tls: Option<&TlsMaterials>) -> Result<reqwest::Client, TlsError> {
    let system = TlsMaterials::default();
    let materials = tls.unwrap_or(&system);
    let mut config_of_tls = match config.server_name.as_deref() {
        Some(name) => client_config_for_name(materials, name)?,
        // A machine without authorities can still speak in the clear.
        None if tls.is_none() => client_config(materials).or_else(|_| client_config_trusting_nobody())?,
        None => client_config(materials)?,
    };
    config_of_tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config_of_tls)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(config.connect_timeout.min(config.timeout * 9 / 10))
        .pool_idle_timeout(config.idle_timeout)
        .pool_max_idle_per_host(config.idle_max)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(config.idle_timeout)
        .http2_keep_alive_timeout(config.timeout)
        .user_agent(concat!("smsbusd/", env!("CARGO_PKG_VERSION")));
    // What was given up may leave this machine for one more time limit at most, and the in-flight delay is longer: "not found" after that would
    // prove nothing otherwise.
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(config.timeout);
    builder
        .build()
        // Everything that can be wrong in it was made above.
        .map_err(|error| TlsError::Materials { what: "HTTP client", why: error.to_string() })
}
