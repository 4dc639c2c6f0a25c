//! Carrier Billing v0.5.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    admit,
    body::{self, PaymentRequest, PhoneNumber, ValidatePayment},
    errors, events, lists,
};
use crate::{
    clock::Timestamp,
    simulator::{
        exchange::Exchange,
        http::{
            Answers, CamaraConfig, ExpiredAs, Interface, Operation, PaymentStatus,
            desk::{Call, Desk, Done, Due, Later},
            failure::Failure,
            payments::{Kept, Known, NewPayment, Particulars, Payment},
        },
        subscribers::Refusal,
    },
};

const CREATE: &[&str] = &["carrier-billing:payments:create"];
const READ: &[&str] = &["carrier-billing:payments:read"];
const WRITE: &[&str] = &["carrier-billing:payments:write"];

/// `createPayment`
pub(super) async fn create(State(desk): State<Desk>, request: Request) -> Response {
    open(&desk, request, Operation::Charge).await
}

/// `preparePayment`
pub(super) async fn prepare(State(desk): State<Desk>, request: Request) -> Response {
    open(&desk, request, Operation::Reserve).await
}

/// `retrievePayment`
pub(super) async fn retrieve(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    if let Err(failure) = admit(&desk, &call, READ) {
        return desk.refuse(&call, failure);
    }
    let msisdn = desk.shared.exchange().payments.find(Interface::Camara, &id).map(|payment| payment.asked.msisdn);
    let asked = call.clone();
    desk.answer(&call, Operation::Status, msisdn, move |exchange, _, _| {
        let payment = find(exchange, &id)?;
        let shown = Shown::of(&payment, camara(exchange)?, false);
        Ok(Done::only(errors::json(&asked, StatusCode::OK, &shown)))
    })
    .await
}

/// `retrievePayments`
pub(super) async fn list(State(desk): State<Desk>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let wanted = admit(&desk, &call, READ).and_then(|()| lists::PAYMENTS.wanted(&call, desk.now()));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let asked = call.clone();
    desk.answer(&call, Operation::List, None, move |exchange, _, _| {
        let config = camara(exchange)?;
        let all = exchange.payments.of(Interface::Camara).filter_map(|payment| {
            let status = status_name(payment, config)?;
            let merchant = payment.asked.particulars.merchant.as_deref();
            wanted.matches(payment.created_at, status, merchant).then_some(payment)
        });
        let page = wanted.page(all, |payment| payment.created_at, config)?;
        let shown: Vec<Shown> = page.items.iter().map(|payment| Shown::of(payment, config, false)).collect();
        Ok(Done::only(page.with_headers(errors::json(&asked, StatusCode::OK, &shown))))
    })
    .await
}

/// `validatePayment`
pub(super) async fn validate(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let wanted = admit(&desk, &call, WRITE).and_then(|()| body::read::<ValidatePayment>(&call));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let msisdn = desk.shared.exchange().payments.find(Interface::Camara, &id).map(|payment| payment.asked.msisdn);
    let asked = call.clone();
    desk.answer(&call, Operation::Validate, msisdn, move |exchange, _, now| {
        let payment = find(exchange, &id)?;
        let tries_max = camara(exchange)?.otp_tries_max;
        let payment = exchange.validate(payment.key, &wanted.authorization_id, &wanted.code, tries_max)?;
        let events = events::event(&exchange.config.http, &payment, None, now).into_iter().collect();
        Ok(Done { response: errors::empty(&asked, StatusCode::NO_CONTENT), events, later: None })
    })
    .await
}

/// `confirmPayment`
pub(super) async fn confirm(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    second_step(&desk, id, request, Operation::Confirm).await
}

/// `cancelPayment`
pub(super) async fn cancel(State(desk): State<Desk>, Path(id): Path<String>, request: Request) -> Response {
    second_step(&desk, id, request, Operation::Cancel).await
}

async fn open(desk: &Desk, request: Request, operation: Operation) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let two_steps = operation == Operation::Reserve;
    let asked = admit(desk, &call, CREATE).and_then(|()| new_payment(desk, &call, two_steps));
    let asked = match asked {
        Ok(asked) => asked,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let (msisdn, reply) = (asked.msisdn, call.clone());
    desk.answer(&call, operation, Some(msisdn), move |exchange, faults, now| {
        let payment = take_in(exchange, NewPayment { faults: faults.to_vec(), ..asked }, now)?;
        let config = camara(exchange)?;
        let shown = Shown::of(&payment, config, two_steps);
        let mut response = errors::json(&reply, StatusCode::CREATED, &shown);
        let location = format!("{}/carrier-billing/v0.5/payments/{}", config.base_path, payment.id);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        let events = events::event(&exchange.config.http, &payment, None, now).into_iter().collect();
        let processing = config.processing_ms;
        let later = (payment.status == PaymentStatus::Processing).then(|| Later {
            after: exchange.draw_delay(processing),
            payment: payment.key,
            due: Due::Payment,
            tell: events::event,
        });
        Ok(Done { response, events, later })
    })
    .await
}

/// Takes a payment in, under a correlator that was not used before.
fn take_in(exchange: &mut Exchange, asked: NewPayment, now: Timestamp) -> Result<Payment, Failure> {
    let key = asked.correlator.as_deref().map(pay_key);
    if key.as_ref().is_some_and(|key| exchange.payments.known(Interface::Camara, key).is_some()) {
        return Err(Failure::Duplicate);
    }
    let answers = camara(exchange)?.answers;
    let payment = exchange.pay(asked, answers, now)?;
    if let Some(key) = key {
        let known = Known { request: String::new(), outcome: Ok(Kept { payment: payment.key, refund: None }) };
        exchange.payments.remember(Interface::Camara, key, known);
    }
    Ok(payment)
}

async fn second_step(desk: &Desk, id: String, request: Request, operation: Operation) -> Response {
    let call = match desk.read(request).await {
        Ok(call) => call,
        Err(response) => return response,
    };
    let named = admit(desk, &call, WRITE)
        .and_then(|()| body::read::<PhoneNumber>(&call))
        .and_then(|wanted| body::number(wanted.phone_number.as_deref()));
    let msisdn = match named {
        Ok(msisdn) => msisdn,
        Err(failure) => return desk.refuse(&call, failure),
    };
    let reply = call.clone();
    desk.answer(&call, operation, Some(msisdn), move |exchange, faults, now| {
        let payment = find(exchange, &id)?;
        if payment.asked.msisdn != msisdn {
            return Err(Failure::Refused(Refusal::NotOurSubscriber));
        }
        if payment.status == PaymentStatus::Expired && camara(exchange)?.expired == ExpiredAs::Denied {
            return Err(Failure::NotInThatState);
        }
        let response = errors::empty(&reply, StatusCode::ACCEPTED);
        let (answers, processing) = (camara(exchange)?.answers, camara(exchange)?.processing_ms);
        if operation == Operation::Confirm
            && answers == Answers::Processing
            && payment.status == PaymentStatus::Reserved
        {
            let after = exchange.draw_delay(processing);
            let later = Later { after, payment: payment.key, due: Due::Confirm, tell: events::event };
            return Ok(Done { response, events: Vec::new(), later: Some(later) });
        }
        let payment = match operation {
            Operation::Confirm => exchange.confirm(payment.key, None, faults, now)?,
            _ => exchange.cancel(payment.key, faults)?,
        };
        // What was lost is not told either.
        let done = find(exchange, &id).is_ok_and(|kept| kept.status == payment.status);
        let event = events::event(&exchange.config.http, &payment, None, now).filter(|_| done);
        Ok(Done { response, events: event.into_iter().collect(), later: None })
    })
    .await
}

fn new_payment(desk: &Desk, call: &Call, two_steps: bool) -> Result<NewPayment, Failure> {
    let request: PaymentRequest = body::read(call)?;
    let transaction = request.amount_transaction;
    let amount_minor = transaction.payment_amount.check()?;
    let camara = desk.config().camara.as_ref().ok_or(Failure::NotFound)?;
    let sink = body::sink(request.sink.as_deref(), request.sink_credential.as_ref(), camara, call)?;
    let amount = &transaction.payment_amount;
    Ok(NewPayment {
        interface: Interface::Camara,
        msisdn: body::number(transaction.phone_number.as_deref())?,
        amount_minor,
        reference: transaction.reference_code,
        correlator: transaction.client_correlator,
        two_steps,
        particulars: Particulars {
            description: amount.charging_information.description.clone(),
            merchant: amount.merchant(),
            tax_included: amount.charging_information.is_tax_included.unwrap_or(false),
            items: amount.items(),
            echo: to_raw_value(amount).ok(),
        },
        sink,
        faults: Vec::new(),
    })
}

/// `Payment`, `PaymentCreated` and `BodyAmountReservationTransactionForReserve`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    payment_id: &'a str,
    amount_transaction: ShownTransaction<'a>,
    payment_status: &'a str,
    payment_creation_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_info: Option<ValidationInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
}

/// `AmountTransaction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownTransaction<'a> {
    phone_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_correlator: Option<&'a str>,
    payment_amount: Option<&'a RawValue>,
    reference_code: &'a str,
    #[serde(rename = "resourceURL")]
    resource_url: String,
    server_reference_code: String,
}

/// `Validate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ValidationInfo<'a> {
    action: &'a str,
    authorization_id: &'a str,
}

impl Shown<'_> {
    /// `prepared`: as the answer to `preparePayment`, the only one that says how to validate, and without a payment date.
    fn of<'a>(payment: &'a Payment, config: &CamaraConfig, prepared: bool) -> Shown<'a> {
        let asked = &payment.asked;
        let waits = prepared && payment.status == PaymentStatus::PendingValidation;
        Shown {
            payment_id: &payment.id,
            amount_transaction: ShownTransaction {
                phone_number: asked.msisdn.to_string(),
                client_correlator: asked.correlator.as_deref(),
                payment_amount: asked.particulars.echo.as_deref(),
                reference_code: &asked.reference,
                resource_url: format!("urn:payments:{}", payment.id),
                server_reference_code: format!("srv-{}", payment.id),
            },
            payment_status: status_name(payment, config).unwrap_or("cancelled"),
            payment_creation_date: payment.created_at,
            payment_date: payment.paid_at,
            validation_info: payment
                .validation
                .as_ref()
                .filter(|_| waits)
                .map(|validation| ValidationInfo { action: "validate", authorization_id: &validation.authorization }),
            // The files let a sink be told only where it is under TLS.
            sink: asked.sink.as_ref().map(|sink| sink.url.as_str()).filter(|url| url.starts_with("https://")),
        }
    }
}

/// How the files call a status. None for what is not there any more.
fn status_name(payment: &Payment, config: &CamaraConfig) -> Option<&'static str> {
    Some(match payment.status {
        PaymentStatus::Processing => "processing",
        PaymentStatus::PendingValidation => "pending_validation",
        PaymentStatus::Reserved => "reserved",
        PaymentStatus::Succeeded => "succeeded",
        PaymentStatus::Denied => "denied",
        PaymentStatus::Cancelled => "cancelled",
        PaymentStatus::Expired => match config.expired {
            ExpiredAs::Cancelled => "cancelled",
            ExpiredAs::Denied => "denied",
            ExpiredAs::Gone => return None,
        },
    })
}

/// A payment that came by CAMARA and is still there.
pub(super) fn find(exchange: &Exchange, id: &str) -> Result<Payment, Failure> {
    let payment = exchange.payments.find(Interface::Camara, id).ok_or(Failure::NotFound)?;
    status_name(payment, camara(exchange)?).ok_or(Failure::NotFound)?;
    Ok(payment.clone())
}

/// The configuration of this interface, which is there if anybody can ask.
pub(super) fn camara(exchange: &Exchange) -> Result<&CamaraConfig, Failure> {
    exchange.config.http.camara.as_ref().ok_or(Failure::NotFound)
}

fn pay_key(correlator: &str) -> String {
    format!("pay {correlator}")
}
