//! What operations ask: is it alive, can it sell, what does it count. On a listener of its own, without authentication.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use super::routes::{finish, typed};
use crate::{carrier::Standing, charge::CarrierName, gateway::Gateway};

/// A store that takes longer than this to answer is not ready.
const PING_PATIENCE: Duration = Duration::from_secs(2);
/// The text format of Prometheus.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether purchases can be made now, and what each check found.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: BTreeMap<&'static str, Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The routes of the operations listener.
pub(super) fn router(gateway: Gateway, metrics: PrometheusHandle) -> Router {
    let router = Router::new()
        .route("/healthz", get(async || Json(serde_json::json!({ "alive": true }))))
        .route("/readyz", get(readiness).with_state(gateway))
        .route("/metrics", get(scrape).with_state(metrics));
    finish(router)
}

/// A process that answers is alive: whether it can sell is another question, and no reason to kill it.
async fn readiness(State(gateway): State<Gateway>) -> Response {
    let checks = BTreeMap::from([
        ("store", store(&gateway).await),
        ("carriers", carriers(&gateway)),
        ("signing_key", signing_key(&gateway)),
        ("not_stopping", Check::of(!gateway.is_stop_announced(), || "the gateway is stopping".into())),
    ]);
    let ready = checks.values().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks })).into_response()
}

async fn scrape(State(metrics): State<PrometheusHandle>) -> Response {
    typed(PROMETHEUS, metrics.render())
}

/// In a task of its own: a ping that takes too long is left alone, not cut off in the middle.
async fn store(gateway: &Gateway) -> Check {
    let store = gateway.store().clone();
    match tokio::time::timeout(PING_PATIENCE, tokio::spawn(async move { store.ping().await })).await {
        Ok(Ok(Ok(()))) => Check::of(true, String::new),
        Ok(Ok(Err(error))) => Check::of(false, || error.to_string()),
        Ok(Err(error)) => Check::of(false, || error.to_string()),
        Err(_) => Check::of(false, || format!("no answer within {} s", PING_PATIENCE.as_secs())),
    }
}

/// One carrier is enough: the others' subscribers are told that theirs is out of reach.
fn carriers(gateway: &Gateway) -> Check {
    let standings: Vec<_> = gateway.carriers().map(|carrier| (carrier.name(), carrier.standing())).collect();
    let trouble = |(name, standing): &(_, Standing)| standing.trouble().map(|why| format!("{name}: {why}"));
    let troubles: Vec<String> = standings.iter().filter_map(trouble).collect();
    // What another instance has the bind of is sold from there.
    let sells = |(name, standing): &(&CarrierName, Standing)| {
        standing.sells() || (standing.takes_charges() && gateway.is_served_elsewhere(name))
    };
    let ok = standings.iter().any(sells);
    Check { ok, detail: (!troubles.is_empty()).then(|| troubles.join("; ")) }
}

fn signing_key(gateway: &Gateway) -> Check {
    let now = gateway.now();
    let by = now.plus(gateway.config().ticket_deadline());
    let signs = [now, by].into_iter().try_for_each(|at| gateway.keyring().signing_key(at, at).map(drop));
    match signs {
        Ok(()) => Check::of(true, String::new),
        Err(error) => Check::of(false, || error.to_string()),
    }
}

impl Check {
    fn of(ok: bool, detail: impl FnOnce() -> String) -> Check {
        Check { ok, detail: (!ok).then(detail) }
    }
}
