//! Answers, and what `notifyURL` is told: the same object.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::request::Asked;
use crate::simulator::{
    exchange::Exchange,
    http::{
        Interface, PaymentStatus, amount,
        callbacks::Event,
        desk::Done,
        failure::Failure,
        payments::{Kept, Payment, Refund},
    },
};

/// What a `serverReferenceCode` begins with; the transaction's id follows.
pub(super) const SERVER_REFERENCE: &str = "SIM-";

/// The stored answer again, as things stand now.
pub(super) fn again(exchange: &Exchange, kept: &Kept, created: bool) -> Result<Done, Failure> {
    let (payment, refund) = kept.now(&exchange.payments)?;
    let base_path = exchange.config.http.base_path(Interface::Oneapi);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Done::only(shown(base_path, &payment, refund.as_ref(), status)))
}

/// The answer to what was just done, and its callback, if one is wanted.
pub(super) fn with_event(
    exchange: &Exchange,
    payment: &Payment,
    refund: Option<&Refund>,
    asked: &Asked,
    status: StatusCode,
) -> Done {
    let base_path = exchange.config.http.base_path(Interface::Oneapi);
    let sink = refund.map_or(&payment.asked.sink, |refund| &refund.asked.sink);
    let event = sink.clone().or_else(|| asked.sink.clone()).map(|sink| {
        let stranger = Payment { id: format!("{}0", payment.id), ..payment.clone() };
        let data = asked.callback_data.as_deref();
        Event {
            sink,
            content_type: "application/json",
            body: told(base_path, payment, refund, data),
            of_stranger: told(base_path, &stranger, refund, data),
            forged: told(base_path, payment, refund, Some("not-the-callback-data")),
        }
    });
    let response = shown(base_path, payment, refund, status);
    Done { response, events: event.into_iter().collect(), later: None }
}

/// A transaction as it stands.
pub(super) fn shown(base_path: &str, payment: &Payment, refund: Option<&Refund>, status: StatusCode) -> Response {
    let (name, transaction) = transaction(base_path, payment, refund);
    let location = transaction["resourceURL"].as_str().unwrap_or_default().to_owned();
    let body = json!({ name: transaction }).to_string();
    let mut response =
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
    if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(&location)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn told(base_path: &str, payment: &Payment, refund: Option<&Refund>, callback_data: Option<&str>) -> String {
    let (name, mut transaction) = transaction(base_path, payment, refund);
    if let Some(data) = callback_data {
        transaction["callbackData"] = json!(data);
    }
    json!({ name: transaction }).to_string()
}

fn transaction(base_path: &str, payment: &Payment, refund: Option<&Refund>) -> (&'static str, Value) {
    let asked = &payment.asked;
    let (name, place) = match asked.two_steps && refund.is_none() {
        true => ("amountReservationTransaction", "amountReservation"),
        false => ("amountTransaction", "amount"),
    };
    let id = refund.map_or(&payment.id, |refund| &refund.id);
    let minor = refund.map_or(asked.amount_minor, |refund| refund.amount_minor);
    let description = refund.map_or(&asked.particulars.description, |refund| &refund.asked.particulars.description);
    let mut amount = json!({
        "chargingInformation": { "amount": amount::to_text(minor), "currency": "KZT", "description": description },
    });
    let taken = if payment.paid_at.is_some() { minor } else { 0 };
    match refund {
        Some(_) => amount["totalAmountRefunded"] = json!(amount::to_text(minor)),
        None => amount["totalAmountCharged"] = json!(amount::to_text(taken)),
    }
    if name == "amountReservationTransaction" {
        let held = if payment.status.holds() { minor } else { 0 };
        amount["amountReserved"] = json!(amount::to_text(held));
    }
    let user = format!("tel:{}", asked.msisdn);
    let escaped = user.replace(':', "%3A").replace('+', "%2B");
    let mut transaction = json!({
        "endUserId": user,
        "paymentAmount": amount,
        "referenceCode": refund.map_or(&asked.reference, |refund| &refund.asked.reference),
        "serverReferenceCode": format!("{SERVER_REFERENCE}{id}"),
        "resourceURL": format!("{base_path}/payment/v1/{escaped}/transactions/{place}/{id}"),
        "transactionOperationStatus": if refund.is_some() { "Refunded" } else { status_name(payment.status) },
    });
    let correlator = refund.map_or(&asked.correlator, |refund| &refund.asked.correlator);
    if let Some(correlator) = correlator {
        transaction["clientCorrelator"] = json!(correlator);
    }
    (name, transaction)
}

fn status_name(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Processing => "Processing",
        PaymentStatus::PendingValidation | PaymentStatus::Reserved => "Reserved",
        PaymentStatus::Succeeded => "Charged",
        PaymentStatus::Denied => "Denied",
        PaymentStatus::Cancelled | PaymentStatus::Expired => "Released",
    }
}
