//! The subscriber profile, as a form with XML and as JSON, and the portability look-up.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    ContractType, FactsConfig, HttpConfig, Interface, Operation, amount, cis,
    desk::{Call, Desk, Done},
    digest,
    failure::Failure,
    form::Form,
    xml,
};
use crate::{
    msisdn::Msisdn,
    simulator::{
        shared::Shared,
        subscribers::{Refusal, Subscriber},
    },
};

/// What `sign` of the form covers, in this order.
const SIGNED: [&str; 2] = ["command", "account"];

/// The routes.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/profile/{msisdn}", get(profile))
        .route("/portability/{msisdn}", get(portability))
        .with_state(Desk::new(shared, Interface::Facts, failed_as_json))
        .route("/profile", post(profile_form))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .with_state(Desk::new(shared, Interface::Facts, failed_as_xml))
}

async fn nowhere(State(desk): State<Desk>, request: Request) -> Response {
    match desk.read(request).await {
        Ok(call) => desk.refuse(&call, Failure::Malformed("no such address".to_owned())),
        Err(response) => response,
    }
}

/// `POST /profile`: a form with `command=profile`, `account` and `sign`.
async fn profile_form(State(desk): State<Desk>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let account = facts(&desk).and_then(|config| read_form(&call, config));
    let msisdn = match account {
        Ok(msisdn) => msisdn,
        Err(failure) => return desk.refuse(&call, failure),
    };
    desk.answer(&call, Operation::Facts, Some(msisdn), move |exchange, _, _| {
        let subscriber = ours(exchange.subscribers.get(msisdn))?;
        let account = msisdn.e164().to_string();
        let debt = amount::to_text(subscriber.debt_minor());
        let flag = |holds: bool| if holds { "1" } else { "0" };
        let elements = [
            ("result", "0"),
            ("account", &account),
            ("contract_type", contract_name(subscriber.contract_type())),
            ("debt", &debt),
            ("topped_up", flag(subscriber.is_topped_up())),
            ("initial_balance_untouched", flag(subscriber.is_initial_balance_untouched())),
        ];
        Ok(Done::only(xml::response(StatusCode::OK, &elements)))
    })
    .await
}

/// `GET /profile/{msisdn}`
async fn profile(State(desk): State<Desk>, Path(number): Path<String>, request: Request) -> Response {
    tell(&desk, &number, request, |msisdn, subscriber, _| {
        let subscriber = ours(subscriber)?;
        Ok(json!({
            "msisdn": msisdn.to_string(),
            "contract_type": contract_name(subscriber.contract_type()),
            "debt": amount::to_text(subscriber.debt_minor()),
            "topped_up": subscriber.is_topped_up(),
            "initial_balance_untouched": subscriber.is_initial_balance_untouched(),
        }))
    })
    .await
}

/// `GET /portability/{msisdn}`
async fn portability(State(desk): State<Desk>, Path(number): Path<String>, request: Request) -> Response {
    tell(&desk, &number, request, |msisdn, subscriber, here| {
        let elsewhere = subscriber.facts.carrier.as_deref();
        let carrier = match elsewhere {
            Some(carrier) => carrier,
            None if subscriber.is_ours() => here,
            None => return Err(Failure::NotFound),
        };
        Ok(json!({ "msisdn": msisdn.to_string(), "carrier": carrier }))
    })
    .await
}

async fn tell<F>(desk: &Desk, number: &str, request: Request, what: F) -> Response
where
    F: FnOnce(Msisdn, Subscriber, &str) -> Result<Value, Failure> + Send + 'static,
{
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let msisdn = facts(desk).and_then(|config| match call.bearer() {
        Some(token) if token == config.token => {
            number.parse::<Msisdn>().map_err(|error| Failure::Malformed(format!("msisdn: {error}")))
        }
        _ => Err(Failure::Unauthenticated),
    });
    let msisdn = match msisdn {
        Ok(msisdn) => msisdn,
        Err(failure) => return desk.refuse(&call, failure),
    };
    desk.answer(&call, Operation::Facts, Some(msisdn), move |exchange, _, _| {
        let told = what(msisdn, exchange.subscribers.get(msisdn), &exchange.config.http.carrier)?;
        Ok(Done::only(as_json(StatusCode::OK, &told)))
    })
    .await
}

fn facts(desk: &Desk) -> Result<&FactsConfig, Failure> {
    desk.config().facts.as_ref().ok_or(Failure::NotFound)
}

fn read_form(call: &Call, config: &FactsConfig) -> Result<Msisdn, Failure> {
    let form = Form::read(call).map_err(Failure::Malformed)?;
    form.only(&["command", "account", "sign"]).map_err(Failure::Malformed)?;
    if !digest::is_signed(&form, &SIGNED, config.digest, &config.secret) {
        return Err(Failure::Unauthenticated);
    }
    match form.get("command") {
        Some("profile") => cis::account(&form),
        other => Err(Failure::Malformed(format!("command: {other:?}"))),
    }
}

fn ours(subscriber: Subscriber) -> Result<Subscriber, Failure> {
    match subscriber.is_ours() {
        true => Ok(subscriber),
        false => Err(Failure::Refused(Refusal::NotOurSubscriber)),
    }
}

const fn contract_name(contract: ContractType) -> &'static str {
    match contract {
        ContractType::Prepaid => "prepaid",
        ContractType::Contract => "contract",
        ContractType::Business => "business",
    }
}

fn failed_as_xml(config: &HttpConfig, failure: &Failure, call: &Call) -> Response {
    cis::failed(config, failure, call)
}

fn failed_as_json(_: &HttpConfig, failure: &Failure, _: &Call) -> Response {
    let (status, code) = match failure {
        Failure::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
        Failure::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Failure::Refused(_) | Failure::NotFound => (StatusCode::NOT_FOUND, "unknown_number"),
        Failure::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "throttled"),
        Failure::Broken(status) => {
            (StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "broken")
        }
        Failure::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        _ => (StatusCode::CONFLICT, "refused"),
    };
    let mut response = as_json(status, &json!({ "error": code }));
    if let Failure::Throttled { retry_after_s } = failure {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
    }
    response
}

fn as_json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}
