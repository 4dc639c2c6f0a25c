//! The simulator's handle over HTTP, for tests of a whole process. Loopback only: it has no password.
//!
//! | call | does |
//! |---|---|
//! | `GET /ledger` | what the carrier took: `entries`, `count`, `total`, references `charged_twice`; and gave back: `refunds` |
//! | `GET /payments` | the payments that came over HTTP |
//! | `GET /http` | the interfaces over HTTP and their addresses |
//! | `POST /tokens/expire` | every access token is refused from now on |
//! | `GET /inbox/{msisdn}` | the free messages on that phone |
//! | `POST /mo` | `{"msisdn", "to", "text", "form"}`: sends a text and waits for its report |
//! | `GET`, `PUT /subscribers/{msisdn}` | `{"balance_minor", "conditions", "facts", "otp"}` |
//! | `PUT /subscribers/{msisdn}/facts` | the facts alone |
//! | `GET`, `POST`, `DELETE /faults` | the rules in force; one more; none |
//! | `PUT /own-account` | `{"empty": true}` |
//! | `GET /links` | the open connections |
//! | `POST /links/drop`, `POST /links/{id}/drop` | resets every connection, or one |
//! | `GET /listeners`, `PUT /listeners/{index}` | the SMSC's addresses; `{"open": false}` shuts one |
//! | `GET`, `POST`, `DELETE /chaos` | the weather now and the last report; a new chaos; none |
//! | `GET /stats` | the counters |
//!
//! Bad input is answered with 400 and `{"error": …}`, what is not there with 404, a full table with 503. `docs/simulator.md`
//! shows the bodies.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    chaos::{self, ChaosConfig, ChaosError},
    config::MoForm,
    faults::{FaultRule, InvalidFault},
    handle::MoError,
    http::{PaymentReport, SubscriberFacts},
    links::LinkReport,
    listeners::{Listener, ListenerReport},
    shared::Shared,
    stats::Stats,
    subscribers::{Subscriber, TooManySubscribers},
};
use crate::msisdn::Msisdn;

/// Serves until the simulator stops.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let stop = shared.stop.clone();
    let served = axum::serve(listener, router(shared)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::warn!(%error, "simulator: the control ended");
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ledger", get(ledger))
        .route("/payments", get(payments))
        .route("/http", get(interfaces))
        .route("/tokens/expire", post(expire_tokens))
        .route("/inbox/{msisdn}", get(inbox))
        .route("/mo", post(send_mo))
        .route("/subscribers/{msisdn}", get(subscriber).put(set_subscriber))
        .route("/subscribers/{msisdn}/facts", put(set_facts))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/own-account", put(set_own_account))
        .route("/links", get(links))
        .route("/links/drop", post(drop_links))
        .route("/links/{id}/drop", post(drop_link))
        .route("/listeners", get(listeners))
        .route("/listeners/{index}", put(set_listener))
        .route("/chaos", get(weather).post(begin_chaos).delete(end_chaos))
        .route("/stats", get(stats))
        .with_state(shared)
}

/// A call that was not done, and why.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mo {
    msisdn: Msisdn,
    to: String,
    text: String,
    #[serde(default)]
    form: Option<MoForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnAccount {
    empty: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    open: bool,
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn ledger(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let ledger = shared.exchange().ledger.clone();
    Json(json!({
        "entries": ledger.entries(),
        "count": ledger.entries().len(),
        "total": ledger.total(),
        "charged_twice": ledger.charged_twice(),
        "refunds": ledger.refunds(),
        "refunded": ledger.refunded(),
    }))
}

async fn payments(State(shared): State<Arc<Shared>>) -> Json<Vec<PaymentReport>> {
    Json(shared.exchange().payments.reports())
}

async fn interfaces(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(shared.http.addresses()))
}

async fn expire_tokens(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.exchange().tokens.clear();
    StatusCode::NO_CONTENT
}

async fn inbox(State(shared): State<Arc<Shared>>, Path(msisdn): Path<String>) -> Result<Response, Failure> {
    let msisdn = number(&msisdn)?;
    Ok(Json(shared.exchange().phones.inbox(msisdn)).into_response())
}

async fn send_mo(State(shared): State<Arc<Shared>>, body: Body<Mo>) -> Result<Response, Failure> {
    let Mo { msisdn, to, text, form } = json_body(body)?;
    let report = shared.send_mo(msisdn, &to, &text, form.unwrap_or(shared.config.mo_form)).await.map_err(|error| {
        let status = match error {
            MoError::TooMany(_) => StatusCode::SERVICE_UNAVAILABLE,
            MoError::Address(_) | MoError::TooLong(_) => StatusCode::BAD_REQUEST,
        };
        Failure(status, error.to_string())
    })?;
    Ok(Json(report).into_response())
}

async fn subscriber(
    State(shared): State<Arc<Shared>>,
    Path(msisdn): Path<String>,
) -> Result<Json<Subscriber>, Failure> {
    let msisdn = number(&msisdn)?;
    Ok(Json(shared.exchange().subscribers.get(msisdn)))
}

async fn set_subscriber(
    State(shared): State<Arc<Shared>>,
    Path(msisdn): Path<String>,
    body: Body<Subscriber>,
) -> Result<StatusCode, Failure> {
    let (msisdn, subscriber) = (number(&msisdn)?, json_body(body)?);
    *shared.exchange().subscribers.get_mut(msisdn).map_err(|error: TooManySubscribers| full(&error))? = subscriber;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_facts(
    State(shared): State<Arc<Shared>>,
    Path(msisdn): Path<String>,
    body: Body<SubscriberFacts>,
) -> Result<StatusCode, Failure> {
    let (msisdn, facts) = (number(&msisdn)?, json_body(body)?);
    shared.exchange().subscribers.get_mut(msisdn).map_err(|error| full(&error))?.facts = facts;
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Vec<FaultRule>> {
    Json(shared.exchange().faults.rules())
}

async fn set_fault(State(shared): State<Arc<Shared>>, body: Body<FaultRule>) -> Result<StatusCode, Failure> {
    let rule = json_body(body)?;
    shared.set_fault(rule).map_err(|error| match error {
        InvalidFault::TooMany => full(&error),
        _ => Failure(StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.exchange().faults.clear();
    StatusCode::NO_CONTENT
}

async fn set_own_account(State(shared): State<Arc<Shared>>, body: Body<OwnAccount>) -> Result<StatusCode, Failure> {
    shared.exchange().own_account_empty = json_body(body)?.empty;
    Ok(StatusCode::NO_CONTENT)
}

async fn drop_links(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.links.reset_all();
    StatusCode::NO_CONTENT
}

async fn drop_link(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Result<StatusCode, Failure> {
    match shared.links.reset_one(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure(StatusCode::NOT_FOUND, format!("no link {id} is open"))),
    }
}

async fn links(State(shared): State<Arc<Shared>>) -> Json<Vec<LinkReport>> {
    Json(shared.links.reports())
}

async fn listeners(State(shared): State<Arc<Shared>>) -> Json<Vec<ListenerReport>> {
    Json(shared.listeners.iter().map(Listener::report).collect())
}

async fn set_listener(
    State(shared): State<Arc<Shared>>,
    Path(index): Path<usize>,
    body: Body<Open>,
) -> Result<StatusCode, Failure> {
    let Open { open } = json_body(body)?;
    if shared.listeners.get(index).is_none() {
        return Err(Failure(StatusCode::NOT_FOUND, format!("there is no listener {index}")));
    }
    match shared.set_listener_open(index, open).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "the address is not to be had".to_owned())),
    }
}

async fn weather(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (spell, report) = chaos::now(&shared);
    Json(json!({ "spell": spell, "report": report }))
}

async fn begin_chaos(State(shared): State<Arc<Shared>>, body: Body<ChaosConfig>) -> Result<StatusCode, Failure> {
    let config = json_body(body)?;
    chaos::start(&shared, config).map_err(|error| match error {
        ChaosError::Already => Failure(StatusCode::CONFLICT, error.to_string()),
        ChaosError::Value { .. } => Failure(StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    Ok(StatusCode::ACCEPTED)
}

async fn end_chaos(State(shared): State<Arc<Shared>>) -> StatusCode {
    chaos::stop(&shared);
    StatusCode::NO_CONTENT
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.stats())
}

fn number(text: &str) -> Result<Msisdn, Failure> {
    text.parse().map_err(|error| Failure(StatusCode::BAD_REQUEST, format!("msisdn: {error}")))
}

fn json_body<T>(body: Body<T>) -> Result<T, Failure> {
    // One status for all bad input: a test wants the reason, not the kind.
    body.map(|Json(value)| value).map_err(|rejection| Failure(StatusCode::BAD_REQUEST, rejection.body_text()))
}

fn full(error: &impl ToString) -> Failure {
    Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
