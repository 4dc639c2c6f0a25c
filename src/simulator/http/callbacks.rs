//! Callbacks: what the carrier tells of its own accord, and what goes wrong on the way.

use std::{sync::Arc, time::Duration};

use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle, time::sleep};

use crate::{
    clock::Timestamp,
    simulator::{faults::Fault, shared::Shared},
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
        let mut request = self.http.client.post(self.target(&event.sink.url)).header(CONTENT_TYPE, event.content_type);
        if let Some((token, _)) = &event.sink.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(correlator) = &event.sink.correlator {
            request = request.header("x-correlator", correlator);
        }
        match request.body(event.body.clone()).send().await {
            Ok(answer) => {
                let status = answer.status();
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
