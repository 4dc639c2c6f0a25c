//! A CIS-style interface: one address, a form with a `command` and a digest in, XML with a numeric result out. A `txn_id`
//! used again with the same content replays its result as it stands now; with other content it is refused.

mod answer;
mod request;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};

use super::{
    Interface, PaymentStatus, RefundStatus,
    desk::{Desk, Done, Due, Later},
    failure::Failure,
    payments::{Kept, Known, NewPayment, NewRefund, Particulars, PaymentKey},
};
use crate::{
    clock::Timestamp,
    simulator::{exchange::Exchange, faults::Fault, shared::Shared},
};
use request::{Asked, Command};

pub(super) use answer::failed;
pub(super) use request::account;

/// The routes.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/pay", post(command))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .with_state(Desk::new(shared, Interface::Cis, answer::failed))
}

async fn nowhere(State(desk): State<Desk>, request: Request) -> Response {
    match desk.read(request).await {
        Ok(call) => desk.refuse(&call, Failure::Malformed("no such address".to_owned())),
        Err(response) => response,
    }
}

/// `POST /pay`
async fn command(State(desk): State<Desk>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let asked = desk.config().cis.as_ref().ok_or(Failure::NotFound).and_then(|cis| Asked::read(&call, cis));
    let asked = match asked {
        Ok(asked) => asked,
        Err(failure) => return desk.refuse(&call, failure),
    };
    desk.answer(&call, asked.command.operation(), Some(asked.account), move |exchange, faults, now| {
        if asked.command == Command::Check {
            return check(exchange, &asked);
        }
        let (key, request) = (asked.replay_key(), asked.content());
        if let Some(known) = exchange.payments.known(Interface::Cis, &key).cloned() {
            if known.request != request {
                return Err(Failure::OtherContent);
            }
            exchange.stats.http.replays += 1;
            return again(exchange, &known, &asked);
        }
        let outcome = carry_out(exchange, &asked, faults, now);
        // A carrier that is full, or has lost it, remembers nothing.
        let forgets = matches!(outcome, Err(Failure::Full)) || faults.contains(&Fault::HttpLost);
        if !forgets {
            let kept = outcome.as_ref().map(|(kept, _)| kept.clone()).map_err(Failure::clone);
            exchange.payments.remember(Interface::Cis, key, Known { request, outcome: kept });
        }
        outcome.map(|(_, done)| done)
    })
    .await
}

fn carry_out(
    exchange: &mut Exchange,
    asked: &Asked,
    faults: &[Fault],
    now: Timestamp,
) -> Result<(Kept, Done), Failure> {
    let cis = exchange.config.http.cis.as_ref().ok_or(Failure::NotFound)?;
    let (answers, processing) = (cis.answers, cis.processing_ms);
    match asked.command {
        Command::Pay | Command::Reserve => {
            let payment = exchange.pay(new_payment(asked, faults), answers, now)?;
            let events = answer::event(&exchange.config.http, &payment, None, now).into_iter().collect();
            let later = (payment.status == PaymentStatus::Processing).then(|| Later {
                after: exchange.draw_delay(processing),
                payment: payment.key,
                due: Due::Payment,
                tell: answer::event,
            });
            let response = answer::done(&payment, None, &asked.txn_id);
            Ok((Kept { payment: payment.key, refund: None }, Done { response, events, later }))
        }
        Command::Confirm | Command::Cancel => {
            let key = reserved(exchange, asked)?;
            let payment = match asked.command {
                Command::Confirm => exchange.confirm(key, asked.sum_minor, faults, now)?,
                _ => exchange.cancel(key, faults)?,
            };
            let lost = faults.contains(&Fault::HttpLost);
            let event = answer::event(&exchange.config.http, &payment, None, now).filter(|_| !lost);
            let response = answer::done(&payment, None, &asked.txn_id);
            Ok((
                Kept { payment: key, refund: None },
                Done { response, events: event.into_iter().collect(), later: None },
            ))
        }
        Command::Refund => {
            let key = paid(exchange, asked)?;
            let new = NewRefund {
                amount_minor: asked.sum_minor,
                reference: asked.txn_id.clone(),
                correlator: None,
                reason: None,
                particulars: Particulars::default(),
                sink: None,
                faults: faults.to_vec(),
            };
            let (payment, refund) = exchange.refund(key, new, answers, now)?;
            let later = (refund.status == RefundStatus::Processing).then(|| Later {
                after: exchange.draw_delay(processing),
                payment: payment.key,
                due: Due::Refund(refund.id.clone()),
                tell: answer::event,
            });
            let events = answer::event(&exchange.config.http, &payment, Some(&refund), now).into_iter().collect();
            let response = answer::done(&payment, Some(&refund), &asked.txn_id);
            Ok((Kept { payment: key, refund: Some(refund.id) }, Done { response, events, later }))
        }
        Command::Check => Err(Failure::NotFound),
    }
}

/// What became of a `txn_id`.
fn check(exchange: &Exchange, asked: &Asked) -> Result<Done, Failure> {
    let known = exchange.payments.known(Interface::Cis, &asked.replay_key()).ok_or(Failure::NotFound)?;
    let kept = known.outcome.clone()?;
    let (payment, refund) = kept.now(&exchange.payments)?;
    if payment.asked.msisdn != asked.account {
        return Err(Failure::NotFound);
    }
    Ok(Done::only(answer::standing(&payment, refund.as_ref(), &asked.txn_id)))
}

/// The result of a request that came before.
fn again(exchange: &Exchange, known: &Known, asked: &Asked) -> Result<Done, Failure> {
    let (payment, refund) = known.outcome.clone()?.now(&exchange.payments)?;
    Ok(Done::only(answer::done(&payment, refund.as_ref(), &asked.txn_id)))
}

fn new_payment(asked: &Asked, faults: &[Fault]) -> NewPayment {
    NewPayment {
        interface: Interface::Cis,
        msisdn: asked.account,
        amount_minor: asked.sum_minor.unwrap_or(0),
        reference: asked.txn_id.clone(),
        correlator: None,
        two_steps: asked.command == Command::Reserve,
        particulars: Particulars::default(),
        sink: None,
        faults: faults.to_vec(),
    }
}

/// The reservation of this `txn_id`.
fn reserved(exchange: &Exchange, asked: &Asked) -> Result<PaymentKey, Failure> {
    of_txn(exchange, asked, &asked.txn_id)
}

/// The payment that a refund names.
fn paid(exchange: &Exchange, asked: &Asked) -> Result<PaymentKey, Failure> {
    of_txn(exchange, asked, asked.orig_txn_id.as_deref().unwrap_or_default())
}

fn of_txn(exchange: &Exchange, asked: &Asked, txn_id: &str) -> Result<PaymentKey, Failure> {
    let known = exchange.payments.known(Interface::Cis, &request::txn_key(txn_id)).ok_or(Failure::NotFound)?;
    let kept = known.outcome.clone().map_err(|_| Failure::NotFound)?;
    let (payment, refund) = kept.now(&exchange.payments)?;
    if refund.is_some() || payment.asked.msisdn != asked.account {
        return Err(Failure::NotFound);
    }
    Ok(payment.key)
}
