//! CloudEvents 1.0 of payments and refunds. An event of the same thing has the same id.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    simulator::http::{
        HttpConfig, PaymentStatus, RefundStatus,
        callbacks::{Event, Sink},
        failure::Failure,
        payments::{Payment, Refund},
    },
};

/// `CloudEvent`.
#[derive(Debug, Serialize)]
struct CloudEvent<'a> {
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    specversion: &'a str,
    datacontenttype: &'a str,
    data: Data<'a>,
    time: Timestamp,
}

/// `BasicEvent`, with what some kinds add.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    payment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<&'a str>,
    status: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_reason: Option<String>,
}

/// What is told of a payment as it stands, or of its refund. None without a sink, and for what nobody is told.
pub(super) fn event(_: &HttpConfig, payment: &Payment, refund: Option<&Refund>, now: Timestamp) -> Option<Event> {
    match refund {
        Some(refund) => of_refund(payment, refund, now),
        None => of_payment(payment, now),
    }
}

fn of_payment(payment: &Payment, now: Timestamp) -> Option<Event> {
    let (kind, status, description) = match payment.status {
        PaymentStatus::PendingValidation => ("payment-pending-validation", "succeeded", "Payment waits for its code"),
        PaymentStatus::Reserved => ("payment-reserved", "succeeded", "Payment is reserved"),
        PaymentStatus::Succeeded => ("payment-completed", "succeeded", "Payment is completed"),
        PaymentStatus::Cancelled => ("payment-cancelled", "succeeded", "Payment is cancelled"),
        PaymentStatus::Denied => ("payment-denied", "failed", "Payment is denied"),
        PaymentStatus::Processing | PaymentStatus::Expired => return None,
    };
    let sink = payment.asked.sink.clone()?;
    let kind = format!("org.camaraproject.carrier-billing.v0.{kind}");
    let data = |payment_id| Data {
        payment_id,
        refund_id: None,
        status,
        description,
        payment_date: payment.paid_at,
        refund_date: None,
        denial_reason: payment.denied.as_ref().map(reason),
    };
    Some(write(sink, &kind, &payment.id, now, data))
}

fn of_refund(payment: &Payment, refund: &Refund, now: Timestamp) -> Option<Event> {
    let (kind, status, description) = match refund.status {
        RefundStatus::Succeeded => ("refund-completed", "succeeded", "Refund is completed"),
        RefundStatus::Denied => ("refund-denied", "failed", "Refund is denied"),
        RefundStatus::Processing => return None,
    };
    let sink = refund.asked.sink.clone()?;
    let kind = format!("org.camaraproject.carrier-billing-refund.v0.{kind}");
    let data = |payment_id| Data {
        payment_id,
        refund_id: Some(&refund.id),
        status,
        description,
        payment_date: None,
        refund_date: refund.refunded_at,
        denial_reason: refund.denied.as_ref().map(reason),
    };
    Some(write(sink, &kind, &payment.id, now, data))
}

fn write<'a>(sink: Sink, kind: &str, payment_id: &'a str, now: Timestamp, data: impl Fn(&'a str) -> Data<'a>) -> Event {
    let text = |payment_id: &str, data: Data<'_>| {
        let subject = data.refund_id.unwrap_or(payment_id);
        let event = CloudEvent {
            id: format!("{subject}-{}", kind.rsplit('.').next().unwrap_or_default()),
            source: "/smsbusd/simulator",
            kind: kind.to_owned(),
            specversion: "1.0",
            datacontenttype: "application/json",
            data,
            time: now,
        };
        serde_json::to_string(&event).unwrap_or_default()
    };
    // One digit more than any payment has.
    let stranger = format!("{payment_id}0");
    let body = text(payment_id, data(payment_id));
    let of_stranger = text(&stranger, Data { payment_id: &stranger, ..data(payment_id) });
    Event { sink, content_type: "application/cloudevents+json", forged: body.clone(), body, of_stranger }
}

fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Refused(refusal) => Failure::why(*refusal).to_owned(),
        Failure::ValidationFailed => "wrong code too often".to_owned(),
        _ => "denied by business".to_owned(),
    }
}
