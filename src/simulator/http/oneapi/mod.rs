//! OMA/GSMA OneAPI Payment: charge and refund at `…/transactions/amount`, reservations at
//! `…/transactions/amountReservation`, in forms and in JSON. A `clientCorrelator` used again replays the stored answer.

mod answer;
mod errors;
mod request;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};

use super::{
    Answers, Interface, Operation,
    desk::{Call, Desk, Done},
    failure::Failure,
    payments::{Kept, Known, NewPayment, NewRefund, Particulars, PaymentKey},
};
use crate::{
    clock::Timestamp,
    msisdn::Msisdn,
    simulator::{exchange::Exchange, faults::Fault, shared::Shared, subscribers::Refusal},
};
use request::{Asked, Resource, Wish};

/// The routes, without the base path.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let transactions = Router::new()
        .route("/amount", post(amount))
        .route("/amount/{id}", get(transaction))
        .route("/amountReservation", post(reservation))
        .route("/amountReservation/{id}", post(second_step).get(reservation_now));
    Router::new()
        .nest("/payment/v1/{user}/transactions", transactions)
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .with_state(Desk::new(shared, Interface::Oneapi, errors::say))
}

async fn nowhere(State(desk): State<Desk>, request: Request) -> Response {
    match desk.read(request).await {
        Ok(call) => {
            desk.note_violation(&call, "no such operation".to_owned());
            desk.refuse(&call, Failure::NotFound)
        }
        Err(response) => response,
    }
}

async fn amount(State(desk): State<Desk>, Path(user): Path<String>, request: Request) -> Response {
    open(&desk, &user, Resource::Amount, None, request).await
}

async fn reservation(State(desk): State<Desk>, Path(user): Path<String>, request: Request) -> Response {
    open(&desk, &user, Resource::Reservation, None, request).await
}

async fn second_step(State(desk): State<Desk>, Path((user, id)): Path<(String, String)>, request: Request) -> Response {
    open(&desk, &user, Resource::Reservation, Some(id), request).await
}

async fn transaction(State(desk): State<Desk>, Path(path): Path<(String, String)>, request: Request) -> Response {
    look_up(&desk, path, Resource::Amount, request).await
}

async fn reservation_now(State(desk): State<Desk>, Path(path): Path<(String, String)>, request: Request) -> Response {
    look_up(&desk, path, Resource::Reservation, request).await
}

/// `POST`: a transaction, or the next step of one.
async fn open(desk: &Desk, user: &str, resource: Resource, id: Option<String>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let understood = admit(desk, &call).and_then(|()| Asked::read(&call, resource, id.is_some())).and_then(|asked| {
        let msisdn = number(user)?;
        if number(&asked.end_user_id)? != msisdn {
            return Err(Failure::Malformed("endUserId: not that of the address".to_owned()));
        }
        Ok((msisdn, asked))
    });
    let (msisdn, asked) = match understood {
        Ok(understood) => understood,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let operation = asked.operation(id.as_deref());
    desk.answer(&call, operation, Some(msisdn), move |exchange, faults, now| {
        let key = asked.replay_key(id.as_deref());
        // What was asked, but for where its callback goes.
        let request = format!("{msisdn} {:?} {:?} {:?}", asked.wish, asked.reference, id);
        let known = key.as_deref().and_then(|key| exchange.payments.known(Interface::Oneapi, key)).cloned();
        if let Some(known) = known {
            if known.request != request {
                return Err(Failure::OtherContent);
            }
            exchange.stats.http.replays += 1;
            return answer::again(exchange, &known.outcome?, id.is_none());
        }
        let outcome = carry_out(exchange, msisdn, id.as_deref(), &asked, faults, now);
        let kept = outcome.as_ref().map(|(kept, _)| kept.clone()).map_err(Failure::clone);
        // A carrier that is full, or has lost it, remembers nothing.
        let forgets = matches!(kept, Err(Failure::Full)) || faults.contains(&Fault::HttpLost);
        if let Some(key) = key.filter(|_| !forgets) {
            exchange.payments.remember(Interface::Oneapi, key, Known { request, outcome: kept });
        }
        outcome.map(|(_, done)| done)
    })
    .await
}

/// Does what is wished.
fn carry_out(
    exchange: &mut Exchange,
    msisdn: Msisdn,
    id: Option<&str>,
    asked: &Asked,
    faults: &[Fault],
    now: Timestamp,
) -> Result<(Kept, Done), Failure> {
    let of_payment = |payment| Kept { payment, refund: None };
    match (&asked.wish, id) {
        (Wish::Charge { amount_minor } | Wish::Reserve { amount_minor }, None) => {
            let two_steps = matches!(asked.wish, Wish::Reserve { .. });
            let new = new_payment(msisdn, *amount_minor, asked, two_steps, faults);
            let payment = exchange.pay(new, Answers::Settled, now)?;
            let kept = of_payment(payment.key);
            let done = answer::with_event(exchange, &payment, None, asked, StatusCode::CREATED);
            Ok((kept, done))
        }
        (Wish::Refund { amount_minor, original }, None) => {
            let payment = find(exchange, msisdn, original)?;
            let new = NewRefund {
                amount_minor: Some(*amount_minor),
                reference: asked.reference.clone(),
                correlator: asked.correlator.clone(),
                reason: None,
                particulars: Particulars { description: asked.description.clone(), ..Particulars::default() },
                sink: asked.sink.clone(),
                faults: faults.to_vec(),
            };
            let (payment, refund) = exchange.refund(payment, new, Answers::Settled, now)?;
            let kept = Kept { payment: payment.key, refund: Some(refund.id.clone()) };
            let done = answer::with_event(exchange, &payment, Some(&refund), asked, StatusCode::CREATED);
            Ok((kept, done))
        }
        (Wish::Reserve { amount_minor }, Some(id)) => {
            let key = find(exchange, msisdn, id)?;
            let payment = exchange.hold_more(key, *amount_minor)?;
            let done = answer::with_event(exchange, &payment, None, asked, StatusCode::OK);
            Ok((of_payment(key), done))
        }
        (Wish::Charge { amount_minor }, Some(id)) => {
            let key = find(exchange, msisdn, id)?;
            let payment = exchange.confirm(key, Some(*amount_minor), faults, now)?;
            let done = answer::with_event(exchange, &payment, None, asked, StatusCode::OK);
            Ok((of_payment(key), done))
        }
        (Wish::Release, Some(id)) => {
            let key = find(exchange, msisdn, id)?;
            let payment = exchange.cancel(key, faults)?;
            let done = answer::with_event(exchange, &payment, None, asked, StatusCode::OK);
            Ok((of_payment(key), done))
        }
        (Wish::Refund { .. }, Some(_)) | (Wish::Release, None) => {
            Err(Failure::Malformed("transactionOperationStatus: not at this address".to_owned()))
        }
    }
}

/// `GET` of a transaction.
async fn look_up(desk: &Desk, (user, id): (String, String), resource: Resource, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let msisdn = match admit(desk, &call).and_then(|()| number(&user)) {
        Ok(msisdn) => msisdn,
        Err(failure) => return desk.refuse(&call, failure),
    };
    desk.answer(&call, Operation::Status, Some(msisdn), move |exchange, _, _| {
        let of_refund = exchange.payments.of(Interface::Oneapi).find_map(|payment| {
            let refund = payment.refund(&id).filter(|_| payment.asked.msisdn == msisdn)?;
            Some((payment.clone(), refund.clone()))
        });
        let base_path = exchange.config.http.base_path(Interface::Oneapi);
        if let (Some((payment, refund)), Resource::Amount) = (of_refund, resource) {
            return Ok(Done::only(answer::shown(base_path, &payment, Some(&refund), StatusCode::OK)));
        }
        let key = find(exchange, msisdn, &id)?;
        let payment = exchange.payments.get(key).ok_or(Failure::NotFound)?;
        if payment.asked.two_steps != (resource == Resource::Reservation) {
            return Err(Failure::NotFound);
        }
        Ok(Done::only(answer::shown(base_path, payment, None, StatusCode::OK)))
    })
    .await
}

fn new_payment(msisdn: Msisdn, amount_minor: i64, asked: &Asked, two_steps: bool, faults: &[Fault]) -> NewPayment {
    NewPayment {
        interface: Interface::Oneapi,
        msisdn,
        amount_minor,
        reference: asked.reference.clone(),
        correlator: asked.correlator.clone(),
        two_steps,
        particulars: Particulars { description: asked.description.clone(), ..Particulars::default() },
        sink: asked.sink.clone(),
        faults: faults.to_vec(),
    }
}

/// A payment of this number, by its transaction id or its `serverReferenceCode`.
fn find(exchange: &Exchange, msisdn: Msisdn, id: &str) -> Result<PaymentKey, Failure> {
    let id = id.strip_prefix(answer::SERVER_REFERENCE).unwrap_or(id);
    let payment = exchange.payments.find(Interface::Oneapi, id).filter(|payment| payment.asked.msisdn == msisdn);
    payment.map(|payment| payment.key).ok_or(Failure::NotFound)
}

fn admit(desk: &Desk, call: &Call) -> Result<(), Failure> {
    let oneapi = desk.config().oneapi.as_ref().ok_or(Failure::NotFound)?;
    match call.basic() {
        Some((user, password)) if user == oneapi.username && password == oneapi.password => Ok(()),
        _ => Err(Failure::Unauthenticated),
    }
}

/// The number of an `endUserId`: a `tel:` URI of an international number.
fn number(user: &str) -> Result<Msisdn, Failure> {
    let digits = user.strip_prefix("tel:+").ok_or_else(|| Failure::Malformed(format!("endUserId: {user:?}")))?;
    if !(5..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Malformed(format!("endUserId: {user:?}")));
    }
    digits.parse().map_err(|_| Failure::Refused(Refusal::NotOurSubscriber))
}
