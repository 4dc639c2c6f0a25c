//! The desk: where a request that an interface has understood is carried out, with what goes wrong before and after.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{task::JoinHandle, time::sleep};

use super::{
    HttpConfig, Interface, Operation,
    callbacks::Event,
    failure::Failure,
    payments::{Payment, PaymentKey, Refund},
    server::{Connection, WholeUri},
    spoil,
    stats::Violation,
};
use crate::{
    clock::Timestamp,
    msisdn::Msisdn,
    simulator::{exchange::Exchange, faults::Fault, shared::Shared},
};

/// One interface, or a part of it that says its failures in the same way.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    interface: Interface,
    say: Say,
}

/// How an interface says why it does not do something.
pub(super) type Say = fn(&HttpConfig, &Failure, &Call) -> Response;

/// A request, read whole.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    connection: Connection,
}

/// What was done, and what follows from it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) response: Response,
    pub(super) events: Vec<Event>,
    pub(super) later: Option<Later>,
}

/// A payment, or a refund of it, that is settled after its answer.
#[derive(Clone, Debug)]
pub(super) struct Later {
    pub(super) after: Duration,
    pub(super) payment: PaymentKey,
    pub(super) due: Due,
    /// What the client is told then.
    pub(super) tell: fn(&HttpConfig, &Payment, Option<&Refund>, Timestamp) -> Option<Event>,
}

/// What is due then.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// The payment is taken, held or denied.
    Payment,
    /// What is held is taken.
    Confirm,
    /// The refund of this id is given back or denied.
    Refund(String),
}

impl Done {
    /// Nothing follows.
    pub(super) fn only(response: Response) -> Done {
        Done { response, events: Vec::new(), later: None }
    }
}

impl Call {
    /// A header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body, without its parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let text = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The token behind `Bearer`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// User and password of basic authentication (RFC 7617).
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        let octets = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
        let text = String::from_utf8(octets).ok()?;
        let (user, password) = text.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
    }
}

impl Desk {
    pub(super) fn new(shared: &Arc<Shared>, interface: Interface, say: Say) -> Desk {
        Desk { shared: Arc::clone(shared), interface, say }
    }

    pub(super) fn config(&self) -> &HttpConfig {
        &self.shared.config.http
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Reads a request. Errors: what to answer to a body that is too long or breaks off.
    pub(super) async fn read(&self, request: Request) -> Result<Call, Response> {
        let (parts, body) = request.into_parts();
        let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();
        let uri = parts.extensions.get::<WholeUri>().map_or(parts.uri, |whole| whole.0.clone());
        let mut call = Call { method: parts.method, uri, headers: parts.headers, body: Bytes::new(), connection };
        match to_bytes(body, self.config().limits.body_bytes_max).await {
            Ok(octets) => {
                call.body = octets;
                Ok(call)
            }
            Err(error) => Err(self.refuse(&call, Failure::Malformed(format!("body: {error}")))),
        }
    }

    /// Answers a request that is not carried out, and counts what is wrong with it.
    pub(super) fn refuse(&self, call: &Call, failure: Failure) -> Response {
        match &failure {
            Failure::Malformed(reason) => self.note_violation(call, reason.clone()),
            Failure::NoSubscriber
            | Failure::Currency
            | Failure::Sink
            | Failure::SinkCredential
            | Failure::SinkToken
            | Failure::OutOfRange
            | Failure::DateRange
            | Failure::TaxMismatch
            | Failure::DetailsMismatch => self.note_violation(call, format!("{failure:?}")),
            Failure::Unauthenticated => self.shared.exchange().stats.http.unauthenticated += 1,
            Failure::Throttled { .. } => self.shared.exchange().stats.http.throttled += 1,
            Failure::Duplicate | Failure::OtherContent => self.shared.exchange().stats.http.duplicates += 1,
            _ => {}
        }
        (self.say)(self.config(), &failure, call)
    }

    /// Counts a request that breaks the specification.
    pub(super) fn note_violation(&self, call: &Call, reason: String) {
        let violation = Violation {
            at: self.now(),
            interface: self.interface,
            request: format!("{} {}", call.method, call.uri),
            reason,
            body: String::from_utf8_lossy(&call.body).into_owned(),
        };
        self.shared.exchange().stats.http.record_violation(violation);
    }

    /// Carries a request out by `act`, with the faults that strike it.
    ///
    /// `act` is done in one piece and also if the client hangs up while a fault delays it.
    pub(super) async fn answer<F>(&self, call: &Call, operation: Operation, msisdn: Option<Msisdn>, act: F) -> Response
    where
        F: FnOnce(&mut Exchange, &[Fault], Timestamp) -> Result<Done, Failure> + Send + 'static,
    {
        let (faults, delay) = {
            let mut exchange = self.shared.exchange();
            exchange.stats.http.record_request(operation);
            let range = exchange.config.http.response_delay_ms;
            (exchange.draw_for_http(operation, msisdn), exchange.draw_delay(range))
        };
        if !self.shared.http.allows_one(self.interface) {
            return self.refuse(call, Failure::Throttled { retry_after_s: 1 });
        }
        if let Some(response) = self.before(call, &faults).await {
            return response;
        }
        let work = {
            let (desk, call, faults) = (self.clone(), call.clone(), faults.clone());
            move || desk.work(&call, &faults, act)
        };
        let late = faults.iter().find_map(|fault| match fault {
            Fault::HttpLate { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        });
        let worked = match late {
            None => Some(work()),
            Some(late) => {
                let later = self.shared.spawn(async move {
                    sleep(late).await;
                    work()
                });
                later.await.ok().flatten()
            }
        };
        // None when the simulator stops in between.
        let Some((response, callbacks)) = worked else { call.connection.reset().await };
        if faults.contains(&Fault::HttpCallbackFirst) {
            for callback in callbacks {
                let _ = callback.await;
            }
        }
        sleep(delay).await;
        self.after(call, &faults, response).await
    }

    /// What a fault makes of a request before anything is done.
    async fn before(&self, call: &Call, faults: &[Fault]) -> Option<Response> {
        for fault in faults {
            let failure = match fault {
                Fault::HttpTimeOutBefore { ms } => {
                    sleep(Duration::from_millis(*ms)).await;
                    call.connection.reset().await
                }
                Fault::HttpResetBefore => call.connection.reset().await,
                Fault::HttpErrorBefore { status } => Failure::Broken(*status),
                Fault::HttpThrottle { retry_after_s } => Failure::Throttled { retry_after_s: *retry_after_s },
                Fault::HttpRedirect => return Some(redirect(call)),
                Fault::HttpForbidden => return Some(forbidden()),
                Fault::HttpNotOurSubscriber => {
                    Failure::Refused(crate::simulator::subscribers::Refusal::NotOurSubscriber)
                }
                Fault::HttpTokenExpired => {
                    self.shared.exchange().tokens.clear();
                    Failure::Unauthenticated
                }
                Fault::HttpDuplicate { charged: false } => Failure::Duplicate,
                _ => continue,
            };
            return Some(self.refuse(call, failure));
        }
        None
    }

    /// Does the work, and sets off what follows from it.
    fn work<F>(&self, call: &Call, faults: &[Fault], act: F) -> (Response, Vec<JoinHandle<Option<()>>>)
    where
        F: FnOnce(&mut Exchange, &[Fault], Timestamp) -> Result<Done, Failure>,
    {
        let now = self.now();
        let outcome = act(&mut self.shared.exchange(), faults, now);
        match outcome {
            Ok(Done { response, events, later }) => {
                if let Some(later) = later {
                    self.settle(later, faults.to_vec());
                }
                (response, self.shared.send_callbacks(events, faults))
            }
            Err(failure) => (self.refuse(call, failure), Vec::new()),
        }
    }

    /// Settles a payment or refund after its answer.
    fn settle(&self, later: Later, faults: Vec<Fault>) {
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            sleep(later.after).await;
            let now = shared.now();
            let event = {
                let mut exchange = shared.exchange();
                let key = later.payment;
                let settled = match &later.due {
                    Due::Payment => exchange.settle_later(key, now).map(|payment| (payment, None)),
                    Due::Confirm => exchange.confirm(key, None, &faults, now).ok().map(|payment| (payment, None)),
                    Due::Refund(id) => {
                        exchange.refund_later(key, id, now).map(|(payment, refund)| (payment, Some(refund)))
                    }
                };
                settled.and_then(|(payment, refund)| (later.tell)(&shared.config.http, &payment, refund.as_ref(), now))
            };
            shared.send_callbacks(event.into_iter().collect(), &faults);
        });
    }

    /// What a fault makes of the answer.
    async fn after(&self, call: &Call, faults: &[Fault], mut response: Response) -> Response {
        for fault in faults {
            response = match fault {
                Fault::HttpTimeOutAfter { ms } => {
                    sleep(Duration::from_millis(*ms)).await;
                    call.connection.reset().await
                }
                Fault::HttpResetAfter => call.connection.reset().await,
                Fault::HttpSlow { ms } => {
                    sleep(Duration::from_millis(*ms)).await;
                    response
                }
                Fault::HttpErrorAfter { status } => self.refuse(call, Failure::Broken(*status)),
                Fault::HttpDuplicate { charged: true } => self.refuse(call, Failure::Duplicate),
                Fault::HttpGarbage => spoil::garbage(response),
                Fault::HttpOversized { bytes } => spoil::oversized(response, *bytes),
                Fault::HttpWrongContentType => spoil::wrong_content_type(response),
                Fault::HttpTruncated => spoil::truncated(response).await,
                _ => response,
            };
        }
        response
    }
}

/// Not in the words of any interface.
fn forbidden() -> Response {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    (StatusCode::FORBIDDEN, [content_type], "<html><body>403 Forbidden</body></html>").into_response()
}

/// To the same address again, for ever.
fn redirect(call: &Call) -> Response {
    let location = HeaderValue::from_str(&call.uri.to_string()).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::FOUND, [(header::LOCATION, location)], Body::empty()).into_response()
}
