//! Carrier Billing Refund v0.3.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    admit,
    billing::{camara, find},
    body::{self, RefundKind, RefundRequest},
    errors, events, lists,
};
use crate::{
    clock::Timestamp,
    msisdn::Msisdn,
    simulator::http::{
        Interface, Operation, RefundStatus, amount,
        desk::{Call, Desk, Done, Due, Later},
        failure::Failure,
        payments::{Kept, Known, NewRefund, Particulars, Payment, Refund},
    },
};

const CREATE: &[&str] = &["carrier-billing-refund:refunds:create"];
const READ: &[&str] = &["carrier-billing-refund:refunds:read"];

/// `createRefund`
pub(super) async fn create(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let asked = match admit(&desk, &call, CREATE).and_then(|()| new_refund(&desk, &call)) {
        Ok(asked) => asked,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let (msisdn, reply) = (number_of(&desk, &id), call.clone());
    desk.answer(&call, Operation::Refund, msisdn, move |exchange, faults, now| {
        let payment = find(exchange, &id)?;
        check_against(&payment, &asked)?;
        let key = asked.correlator.as_deref().map(|correlator| format!("refund {correlator}"));
        if key.as_ref().is_some_and(|key| exchange.payments.known(Interface::Camara, key).is_some()) {
            return Err(Failure::Duplicate);
        }
        let (answers, processing) = (camara(exchange)?.answers, camara(exchange)?.processing_ms);
        let asked = NewRefund { faults: faults.to_vec(), ..asked };
        let (payment, refund) = exchange.refund(payment.key, asked, answers, now)?;
        if let Some(key) = key {
            let known = Known {
                request: String::new(),
                outcome: Ok(Kept { payment: payment.key, refund: Some(refund.id.clone()) }),
            };
            exchange.payments.remember(Interface::Camara, key, known);
        }
        let mut response = errors::json(&reply, StatusCode::CREATED, &Shown::of(&refund));
        let base = &camara(exchange)?.base_path;
        let location = format!("{base}/carrier-billing-refund/v0.3/payments/{}/refunds/{}", payment.id, refund.id);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        let events = events::event(&exchange.config.http, &payment, Some(&refund), now).into_iter().collect();
        let later = (refund.status == RefundStatus::Processing).then(|| Later {
            after: exchange.draw_delay(processing),
            payment: payment.key,
            due: Due::Refund(refund.id.clone()),
            tell: events::event,
        });
        Ok(Done { response, events, later })
    })
    .await
}

/// `retrieveRefund`
pub(super) async fn retrieve(
    State(desk): State<Desk>,
    Path((payment, refund)): Path<(String, String)>,
    request: Request,
) -> Response {
    let call = match admitted(&desk, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let (msisdn, reply) = (number_of(&desk, &payment), call.clone());
    desk.answer(&call, Operation::Status, msisdn, move |exchange, _, _| {
        let payment = find(exchange, &payment)?;
        let refund = payment.refund(&refund).ok_or(Failure::NotFound)?;
        Ok(Done::only(errors::json(&reply, StatusCode::OK, &Shown::of(refund))))
    })
    .await
}

/// `retrieveRefunds`
pub(super) async fn list(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    let call = match admitted(&desk, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let wanted = match lists::REFUNDS.wanted(&call, desk.now()) {
        Ok(wanted) => wanted,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let (msisdn, reply) = (number_of(&desk, &id), call.clone());
    desk.answer(&call, Operation::List, msisdn, move |exchange, _, _| {
        let payment = find(exchange, &id)?;
        let all = payment.refunds.iter().filter(|refund| {
            let merchant = refund.asked.particulars.merchant.as_deref();
            wanted.matches(refund.created_at, status_name(refund.status), merchant)
        });
        let page = wanted.page(all, |refund| refund.created_at, camara(exchange)?)?;
        let shown: Vec<Shown> = page.items.iter().map(|refund| Shown::of(refund)).collect();
        Ok(Done::only(page.with_headers(errors::json(&reply, StatusCode::OK, &shown))))
    })
    .await
}

/// `retrievePaymentRemainingAmount`
pub(super) async fn remaining(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    let call = match admitted(&desk, request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let (msisdn, reply) = (number_of(&desk, &id), call.clone());
    desk.answer(&call, Operation::Status, msisdn, move |exchange, _, _| {
        let payment = find(exchange, &id)?;
        let remaining = match payment.paid_at {
            Some(_) => payment.remaining_minor(),
            None => 0,
        };
        let amount = RawValue::from_string(amount::to_text(remaining)).map_err(|_| Failure::Broken(500))?;
        let shown = Remaining {
            amount,
            currency: "KZT",
            description: "Not given back so far",
            is_tax_included: payment.asked.particulars.tax_included,
        };
        Ok(Done::only(errors::json(&reply, StatusCode::OK, &shown)))
    })
    .await
}

async fn admitted(desk: &Desk, request: Request) -> Result<Call, Response> {
    let call = desk.read(request).await?;
    match admit(desk, &call, READ) {
        Ok(()) => Ok(call),
        Err(failure) => Err(desk.refuse(&call, failure)),
    }
}

fn number_of(desk: &Desk, payment: &str) -> Option<Msisdn> {
    desk.shared.exchange().payments.find(Interface::Camara, payment).map(|payment| payment.asked.msisdn)
}

fn new_refund(desk: &Desk, call: &Call) -> Result<NewRefund, Failure> {
    let request: RefundRequest = body::read(call)?;
    let transaction = request.amount_transaction;
    let amount = &transaction.refund_amount;
    let amount_minor = match (request.kind, amount.check()?) {
        (RefundKind::Total, None) => None,
        (RefundKind::Total, Some(_)) => {
            return Err(Failure::Malformed("refundAmount: a total refund names no amount".to_owned()));
        }
        (RefundKind::Partial, Some(minor)) => Some(minor),
        (RefundKind::Partial, None) => {
            return Err(Failure::Malformed("refundAmount: no chargingInformation".to_owned()));
        }
    };
    let camara = desk.config().camara.as_ref().ok_or(Failure::NotFound)?;
    let sink = body::sink(request.sink.as_deref(), request.sink_credential.as_ref(), camara, call)?;
    let charging = amount.charging_information.as_ref();
    Ok(NewRefund {
        amount_minor,
        particulars: Particulars {
            description: charging.map_or_else(String::new, |charging| charging.description.clone()),
            merchant: amount.charging_meta_data.as_ref().and_then(|meta| meta.merchant_identifier.clone()),
            tax_included: charging.and_then(|charging| charging.is_tax_included).unwrap_or(false),
            items: amount.refund_details.iter().flatten().map(|item| item.payment_item_id.clone()).collect(),
            echo: to_raw_value(&transaction).ok(),
        },
        reference: transaction.reference_code,
        correlator: transaction.client_correlator,
        reason: request.reason,
        sink,
        faults: Vec::new(),
    })
}

/// Errors: a refund that does not fit its payment.
fn check_against(payment: &Payment, asked: &NewRefund) -> Result<(), Failure> {
    let (paid, back) = (&payment.asked.particulars, &asked.particulars);
    if asked.amount_minor.is_some() && paid.tax_included != back.tax_included {
        return Err(Failure::TaxMismatch);
    }
    if back.items.iter().any(|item| !paid.items.contains(item)) {
        return Err(Failure::DetailsMismatch);
    }
    Ok(())
}

/// `Refund`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    refund_id: &'a str,
    refund_status: &'a str,
    #[serde(rename = "type")]
    kind: RefundKind,
    refund_creation_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    amount_transaction: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
}

/// `PaymentRemainingAmount`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Remaining<'a> {
    amount: Box<RawValue>,
    currency: &'a str,
    description: &'a str,
    is_tax_included: bool,
}

impl Shown<'_> {
    fn of(refund: &Refund) -> Shown<'_> {
        let asked = &refund.asked;
        Shown {
            refund_id: &refund.id,
            refund_status: status_name(refund.status),
            kind: if asked.amount_minor.is_some() { RefundKind::Partial } else { RefundKind::Total },
            refund_creation_date: refund.created_at,
            refund_date: refund.refunded_at,
            reason: asked.reason.as_deref(),
            amount_transaction: asked.particulars.echo.as_deref(),
            sink: asked.sink.as_ref().map(|sink| sink.url.as_str()).filter(|url| url.starts_with("https://")),
        }
    }
}

fn status_name(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "processing",
        RefundStatus::Succeeded => "succeeded",
        RefundStatus::Denied => "denied",
    }
}
