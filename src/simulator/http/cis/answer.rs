//! Results: numbers in XML, and the same in the forms that are posted to `notify_url`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use url::form_urlencoded;

use crate::{
    clock::Timestamp,
    simulator::{
        http::{
            HttpConfig, PaymentStatus, RefundStatus, amount,
            callbacks::{Event, Sink},
            desk::Call,
            digest,
            failure::Failure,
            payments::{Payment, Refund},
            xml,
        },
        subscribers::Refusal,
    },
};

/// Done.
const OK: u16 = 0;
/// Taken in, and not done yet.
const IN_PROGRESS: u16 = 90;
/// Held, and neither taken nor let go.
const RESERVED: u16 = 91;
/// Let go.
const CANCELLED: u16 = 92;

/// The answer to a command that was carried out, also to one that came before.
pub(super) fn done(payment: &Payment, refund: Option<&Refund>, txn_id: &str) -> Response {
    let result = match (refund, payment.status) {
        (None, PaymentStatus::Reserved | PaymentStatus::Cancelled) => OK,
        _ => standing_result(payment, refund),
    };
    written(payment, refund, txn_id, result)
}

/// The answer to `check`.
pub(super) fn standing(payment: &Payment, refund: Option<&Refund>, txn_id: &str) -> Response {
    written(payment, refund, txn_id, standing_result(payment, refund))
}

/// How this interface says why it does not do something.
pub(in crate::simulator::http) fn failed(_: &HttpConfig, failure: &Failure, call: &Call) -> Response {
    let status = match failure {
        Failure::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::Broken(status) => StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        _ => StatusCode::OK,
    };
    let txn_id = form_urlencoded::parse(&call.body).find(|(name, _)| name == "txn_id").map(|(_, value)| value);
    let result = result(failure).to_string();
    let comment = match failure {
        Failure::Malformed(reason) => reason.clone(),
        Failure::Refused(refusal) => Failure::why(*refusal).to_owned(),
        other => format!("{other:?}"),
    };
    let elements = [("osmp_txn_id", txn_id.as_deref().unwrap_or_default()), ("result", &result), ("comment", &comment)];
    let mut response = xml::response(status, &elements);
    if let Failure::Throttled { retry_after_s } = failure {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
    }
    response
}

/// What `notify_url` is told of a payment or refund as it stands; `docs/simulator.md` has the fields.
pub(super) fn event(config: &HttpConfig, payment: &Payment, refund: Option<&Refund>, _: Timestamp) -> Option<Event> {
    let cis = config.cis.as_ref()?;
    let url = reqwest::Url::parse(cis.notify_url.as_deref()?).ok()?;
    let result = standing_result(payment, refund);
    if result == IN_PROGRESS {
        return None;
    }
    let form = |txn_id: &str, prv_txn: &str, secret: &str| {
        let account = payment.asked.msisdn.e164().to_string();
        let (sum, result) = (sum(payment, refund), result.to_string());
        let values = ["notify", &account, &sum, txn_id, prv_txn, &result];
        let sign = digest::sign(cis.digest, &values, secret);
        let names = ["command", "account", "sum", "txn_id", "prv_txn", "result"];
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(names.iter().zip(values)).append_pair("sign", &sign);
        form.finish()
    };
    let (txn_id, prv_txn) = ids(payment, refund);
    Some(Event {
        sink: Sink { url, token: None, correlator: None },
        content_type: "application/x-www-form-urlencoded",
        body: form(txn_id, prv_txn, &cis.secret),
        of_stranger: form(&format!("{txn_id}0"), &format!("{prv_txn}0"), &cis.secret),
        forged: form(txn_id, prv_txn, "not-the-secret"),
    })
}

fn written(payment: &Payment, refund: Option<&Refund>, txn_id: &str, result: u16) -> Response {
    let (_, prv_txn) = ids(payment, refund);
    let (sum, result) = (sum(payment, refund), result.to_string());
    let elements = [
        ("osmp_txn_id", txn_id),
        ("prv_txn", prv_txn),
        ("sum", &sum),
        ("result", &result),
        ("comment", comment(payment.status, refund)),
    ];
    xml::response(StatusCode::OK, &elements)
}

fn ids<'a>(payment: &'a Payment, refund: Option<&'a Refund>) -> (&'a str, &'a str) {
    match refund {
        Some(refund) => (&refund.asked.reference, &refund.id),
        None => (&payment.asked.reference, &payment.id),
    }
}

fn sum(payment: &Payment, refund: Option<&Refund>) -> String {
    amount::to_text(refund.map_or(payment.asked.amount_minor, |refund| refund.amount_minor))
}

fn standing_result(payment: &Payment, refund: Option<&Refund>) -> u16 {
    let denied = |why: &Option<Failure>| why.as_ref().map_or(300, result);
    match refund {
        Some(refund) => match refund.status {
            RefundStatus::Processing => IN_PROGRESS,
            RefundStatus::Succeeded => OK,
            RefundStatus::Denied => denied(&refund.denied),
        },
        None => match payment.status {
            PaymentStatus::Processing | PaymentStatus::PendingValidation => IN_PROGRESS,
            PaymentStatus::Reserved => RESERVED,
            PaymentStatus::Succeeded => OK,
            PaymentStatus::Denied => denied(&payment.denied),
            PaymentStatus::Cancelled | PaymentStatus::Expired => CANCELLED,
        },
    }
}

fn comment(status: PaymentStatus, refund: Option<&Refund>) -> &'static str {
    match (refund, status) {
        (Some(_), _) => "refund",
        (None, PaymentStatus::Processing) => "in progress",
        (None, PaymentStatus::PendingValidation | PaymentStatus::Reserved) => "reserved",
        (None, PaymentStatus::Succeeded) => "paid",
        (None, PaymentStatus::Denied) => "refused",
        (None, PaymentStatus::Cancelled) => "cancelled",
        (None, PaymentStatus::Expired) => "reservation expired",
    }
}

/// The table of results; `docs/simulator.md` has it too.
fn result(failure: &Failure) -> u16 {
    match failure {
        Failure::Throttled { .. } | Failure::Full | Failure::Broken(_) => 1,
        Failure::NoSubscriber | Failure::Refused(Refusal::NotOurSubscriber) => 5,
        Failure::Refused(Refusal::Barred) => 7,
        Failure::Refused(Refusal::OwnAccountEmpty) => 8,
        Failure::Unauthenticated => 13,
        Failure::Refused(Refusal::NoTopUpSinceActivation) => 79,
        Failure::Malformed(_) => 150,
        Failure::NotFound => 210,
        Failure::Duplicate | Failure::OtherContent => 215,
        Failure::Refused(Refusal::InsufficientBalance) => 220,
        Failure::Refused(Refusal::CreditDebt) => 221,
        Failure::Refused(Refusal::CorporateNumber) => 222,
        Failure::Refused(Refusal::InitialBalanceUnused) => 224,
        Failure::Refused(Refusal::RecentSimSwap) => 225,
        Failure::NotRefundable | Failure::RefundDenied => 230,
        Failure::RefundTooLarge => 231,
        Failure::NotPaid => 232,
        Failure::Confirmed => 233,
        Failure::Cancelled => 234,
        Failure::AmountTooSmall => 241,
        Failure::AmountTooLarge => 242,
        Failure::ThresholdPassed => 243,
        _ => 300,
    }
}
