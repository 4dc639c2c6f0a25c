//! A receiver of webhooks: where it listens, what requests are signed with, and what its answers mean. One thing for every kind of
//! webhook.

use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::{WebhookKey, signature::signatures};
use crate::{
    carrier::web::{Outcome, WebClient, WebRequest},
    clock::Timestamp,
};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// One receiver.
#[derive(Debug)]
pub(super) struct Endpoint {
    operation: &'static str,
    url: Url,
    means: ArcSwap<Means>,
    /// Bounds the requests at once.
    requests: Semaphore,
}

/// What changes without a restart.
#[derive(Debug)]
struct Means {
    keys: Vec<WebhookKey>,
    client: WebClient,
}

/// What is posted: the same id and the same bytes each time.
#[derive(Clone, Debug)]
pub(super) struct Posting {
    /// By which the receiver tells repeats: visible ASCII.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Bytes,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It was taken: any status from 200 to 299.
    Taken,
    /// It was not: any other status. A redirect is one like any other.
    Refused {
        /// The status.
        status: u16,
        /// How long the receiver asks us to wait.
        retry_after: Option<Duration>,
    },
    /// Not one byte was written.
    NotSent(&'static str),
    /// It may have been taken, and no whole answer said so.
    Lost(&'static str),
}

impl Reply {
    /// The stable code, as in metrics.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Reply::Taken => "taken",
            Reply::Refused { .. } => "refused",
            Reply::NotSent(_) => "not_sent",
            Reply::Lost(_) => "lost",
        }
    }

    /// In few words, for the operator.
    pub(super) fn why(&self) -> String {
        match self {
            Reply::Taken => "taken".into(),
            Reply::Refused { status, .. } => format!("answered {status}"),
            Reply::NotSent(why) => format!("not sent: {why}"),
            Reply::Lost(why) => format!("no answer: {why}"),
        }
    }
}

impl Endpoint {
    /// With the keys that sign, the newest first, and a client that trusts whom the configuration says.
    pub(super) fn new(
        operation: &'static str,
        url: Url,
        keys: Vec<WebhookKey>,
        client: WebClient,
        requests_max: usize,
    ) -> Endpoint {
        let means = ArcSwap::from_pointee(Means { keys, client });
        Endpoint { operation, url, means, requests: Semaphore::new(requests_max) }
    }

    /// Signs with the keys of `other` from now on, and trusts whom it trusts. Requests under way end as they began.
    pub(super) fn take_means_of(&self, other: &Endpoint) {
        self.means.store(other.means.load_full());
    }

    /// Where it listens.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for a place among the requests at once.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // It is closed by nobody.
        self.requests.acquire().await.ok()
    }

    /// Posts once. What the receiver answers beside its status is not looked at.
    pub(super) async fn post(&self, posting: &Posting, at: Timestamp, patience: Duration) -> Reply {
        let means = self.means.load_full();
        let mut request = WebRequest::post(self.operation, self.url.clone(), "application/json", posting.body.clone());
        let seconds = at.unix_seconds();
        let signature = signatures(&means.keys, &posting.id, seconds, &posting.body);
        for (name, value) in [
            (WEBHOOK_ID, HeaderValue::from_str(&posting.id)),
            (WEBHOOK_TIMESTAMP, HeaderValue::from_str(&seconds.to_string())),
            (WEBHOOK_SIGNATURE, HeaderValue::from_str(&signature)),
        ] {
            request.headers.insert(name, value.expect("hex, digits and base64 are visible ASCII"));
        }
        match tokio::time::timeout(patience, means.client.send(request)).await {
            Ok(Outcome::Answer(answer)) if (200..300).contains(&answer.status) => Reply::Taken,
            Ok(Outcome::Answer(answer)) => Reply::Refused { status: answer.status, retry_after: answer.retry_after() },
            Ok(Outcome::NotSent(why)) => Reply::NotSent(why.code()),
            Ok(Outcome::Lost(why)) => Reply::Lost(why.code()),
            Err(_elapsed) => Reply::Lost("timeout"),
        }
    }
}

/// The address that `text` is. Errors: it cannot be posted to, or holds what must not be in a configuration.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let url = url.ok_or_else(|| format!("{text:?} is neither https:// nor http:// and a host"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a name or a password; requests are known by their signature".into());
    }
    Ok(url)
}

/// The pause before try `tries` + 1 (the first is try 1): doubled with each, and drawn, so that all that failed at once does not come
/// again at once.
pub(super) fn pause(tries: u32, first: Duration, longest: Duration, drawn: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(longest).mul_f64(drawn.clamp(0.5, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_less_than_half() {
        let seconds =
            |tries, drawn| pause(tries, Duration::from_secs(5), Duration::from_secs(300), drawn).as_secs_f64();
        let whole: Vec<f64> = [0, 1, 2, 3, 7, 40, u32::MAX].map(|tries| seconds(tries, 1.0)).into();
        assert_eq!(whole, [5.0, 5.0, 10.0, 20.0, 300.0, 300.0, 300.0]);
        assert_eq!((seconds(3, 0.5), seconds(3, 0.0)), (10.0, 10.0));
    }
}
