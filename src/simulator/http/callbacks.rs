//! Callbacks: what the carrier tells of its own accord, and what goes wrong on the way.

use std::{sync::Arc, time::Duration};

use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::CallbackConfig;
use crate::{
    clock::Timestamp,
    simulator::{
        faults::Fault,
        shared::Shared,
        tls::{self, TlsError},
    },
};

/// Where a client wants to be told.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) url: Url,
    /// Shown as a bearer token, until that moment.
    pub(super) token: Option<(String, Timestamp)>,
    /// Sent as `x-correlator`.
    pub(super) correlator: Option<String>,
}

/// One callback.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) sink: Sink,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    /// The same of a payment that is not the client's.
    pub(super) of_stranger: String,
    /// The same without good proof of its sender, where the body carries that.
    pub(super) forged: String,
}

/// How callbacks leave.
#[derive(Debug)]
pub(in crate::simulator) enum Caller {
    /// Never follows a redirect, and trusts the configured roots only.
    Network(reqwest::Client),
    /// To whoever runs the simulation. Its length is bounded by the callbacks on their way.
    InProcess(mpsc::UnboundedSender<CallbackTry>),
}

/// One try of a callback, in a simulation without sockets.
#[derive(Debug)]
pub struct CallbackTry {
    /// Where it goes.
    pub url: Url,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
    /// The status of the answer. Dropped, the callback did not arrive.
    pub answer: oneshot::Sender<u16>,
}

impl Caller {
    /// Errors: certificates that cannot be used.
    pub(in crate::simulator) fn network(config: &CallbackConfig) -> Result<Caller, TlsError> {
        let mut trust = tls::client_config(config.roots.as_deref())?;
        trust.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_millis(config.answer_within_ms))
            // Without a provider of the whole process, reqwest builds no client but one that brings its TLS along.
            .tls_backend_preconfigured(trust)
            .build();
        Ok(Caller::Network(client.map_err(|error| TlsError::Unusable(error.to_string()))?))
    }

    /// The status of the answer. Errors: why there is none.
    async fn post(&self, url: Url, headers: HeaderMap, body: String, within: Duration) -> Result<StatusCode, String> {
        match self {
            Caller::Network(client) => {
                let sent = client.post(url).headers(headers).body(body).send().await;
                sent.map(|answer| answer.status()).map_err(|error| error.to_string())
            }
            Caller::InProcess(queue) => {
                let (answer, answered) = oneshot::channel();
                queue.send(CallbackTry { url, headers, body, answer }).map_err(|_| "nobody listens".to_owned())?;
                let status = timeout(within, answered).await.map_err(|_| "no answer in time".to_owned())?;
                let status = status.map_err(|_| "the connection was reset".to_owned())?;
                StatusCode::from_u16(status).map_err(|error| error.to_string())
            }
        }
    }
}

/// A token that no client gave.
const WRONG_TOKEN: &str = "not-the-token-of-this-sink";

impl Shared {
    /// Sends callbacks, each after its delay, with what goes wrong. The tasks end when each is acknowledged or given up.
    pub(super) fn send_callbacks(
        self: &Arc<Self>,
        events: Vec<Event>,
        faults: &[Fault],
    ) -> Vec<JoinHandle<Option<()>>> {
        let mut tasks = Vec::new();
        for event in events {
            let delay = {
                let mut exchange = self.exchange();
                exchange.stats.http.callbacks += 1;
                let range = exchange.config.http.callbacks.delay_ms;
                exchange.draw_delay(range)
            };
            let place = Arc::clone(&self.http.callbacks).try_acquire_owned().ok();
            let Some(place) = place.filter(|_| !faults.contains(&Fault::HttpCallbackLost)) else {
                self.exchange().stats.http.callbacks_given_up += 1;
                continue;
            };
            let (shared, faults) = (Arc::clone(self), faults.to_vec());
            tasks.push(self.spawn(async move { shared.carry(event, delay, &faults, place).await }));
        }
        tasks
    }

    async fn carry(&self, mut event: Event, delay: Duration, faults: &[Fault], _place: OwnedSemaphorePermit) {
        sleep(delay).await;
        if faults.contains(&Fault::HttpCallbackUnknown) {
            let stranger = Event { body: event.of_stranger.clone(), ..event.clone() };
            let _ = self.try_once(&stranger).await;
        }
        let tries_max = self.config.http.callbacks.tries_max;
        let acknowledged = if faults.contains(&Fault::HttpCallbackWrongToken) {
            event.body.clone_from(&event.forged);
            event.sink.token = Some((WRONG_TOKEN.to_owned(), Timestamp::MAX));
            self.call_back(&event, 1).await
        } else {
            self.call_back(&event, tries_max).await
        };
        if faults.contains(&Fault::HttpCallbackTwice) {
            self.call_back(&event, tries_max).await;
        }
        let stats = &mut self.exchange().stats.http;
        match acknowledged {
            true => stats.callbacks_acknowledged += 1,
            false => stats.callbacks_given_up += 1,
        }
    }

    /// Tries until it is acknowledged. Whether it was.
    async fn call_back(&self, event: &Event, tries_max: u32) -> bool {
        let mut pause = Duration::from_millis(self.config.http.callbacks.backoff_ms);
        for tried in 1..=tries_max {
            // CAMARA: once the token has expired, the client hears no more.
            if event.sink.token.as_ref().is_some_and(|(_, until)| *until <= self.now()) {
                return false;
            }
            match self.try_once(event).await {
                Some(status) if status.is_success() => return true,
                Some(StatusCode::GONE) => return false,
                _ => {}
            }
            if tried < tries_max {
                sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
        }
        false
    }

    async fn try_once(&self, event: &Event) -> Option<StatusCode> {
        self.exchange().stats.http.callback_tries += 1;
        let token = event.sink.token.as_ref().map(|(token, _)| format!("Bearer {token}"));
        let fields = [
            (CONTENT_TYPE, Some(event.content_type.to_owned())),
            (AUTHORIZATION, token),
            (HeaderName::from_static("x-correlator"), event.sink.correlator.clone()),
        ];
        let headers = fields.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value?).ok()?)));
        let within = Duration::from_millis(self.config.http.callbacks.answer_within_ms);
        let url = self.target(&event.sink.url);
        match self.http.caller.post(url, headers.collect(), event.body.clone(), within).await {
            Ok(status) => {
                *self.exchange().stats.http.callback_answers_by_status.entry(status.as_u16()).or_insert(0) += 1;
                Some(status)
            }
            Err(error) => {
                tracing::debug!(%error, "simulator: a callback did not arrive");
                None
            }
        }
    }

    /// The sink, or its path at the configured origin.
    fn target(&self, sink: &Url) -> Url {
        let Some(origin) = &self.http.origin else { return sink.clone() };
        let mut target = origin.clone();
        target.set_path(sink.path());
        target.set_query(sink.query());
        target
    }
}
