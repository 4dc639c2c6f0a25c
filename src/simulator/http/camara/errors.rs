//! The error table of the files, and what all answers have in common.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use uuid::Uuid;

use crate::simulator::{
    http::{DuplicateAs, HttpConfig, desk::Call, failure::Failure},
    subscribers::Refusal,
};

/// `ErrorInfo` of every file.
#[derive(Debug, Serialize)]
struct ErrorInfo<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
}

/// Carrier Billing v0.5, and what has no file.
pub(super) fn billing(config: &HttpConfig, failure: &Failure, call: &Call) -> Response {
    let denied = (403, "CARRIER_BILLING.PAYMENT_DENIED");
    let named = match failure {
        Failure::Refused(Refusal::NotOurSubscriber) if names_number(call) => {
            (404, "IDENTIFIER_NOT_FOUND", "phoneNumber not found.".to_owned())
        }
        Failure::Refused(Refusal::NotOurSubscriber) => not_found(),
        Failure::Refused(Refusal::Barred) => {
            (422, "SERVICE_NOT_APPLICABLE", "The service is not available for the provided identifier.".to_owned())
        }
        Failure::Refused(refusal) => {
            (denied.0, denied.1, format!("Payment denied by business: {}.", Failure::why(*refusal)))
        }
        Failure::AmountTooSmall | Failure::AmountTooLarge => {
            (422, "CARRIER_BILLING.UNAUTHORIZED_AMOUNT", "Unauthorized amount requested.".to_owned())
        }
        Failure::ThresholdPassed => (
            422,
            "CARRIER_BILLING.USER_AMOUNT_THRESHOLD_OVERPASSED",
            "Unauthorized payment request. Accumulated user mobile payments overpass account amount threshold."
                .to_owned(),
        ),
        Failure::Confirmed => (409, "CARRIER_BILLING.PAYMENT_CONFIRMED", "Payment has been confirmed.".to_owned()),
        Failure::Cancelled => (409, "CARRIER_BILLING.PAYMENT_CANCELLED", "Payment has been cancelled.".to_owned()),
        Failure::Validated => (409, "ALREADY_EXISTS", "Payment already validated".to_owned()),
        // Its code for a cancel is the general one.
        Failure::NotInThatState if call.uri.path().ends_with("/confirm") => {
            (denied.0, denied.1, "Payment denied by business.".to_owned())
        }
        Failure::NotInThatState => forbidden(),
        Failure::WrongAuthorization => {
            (400, "CARRIER_BILLING.INVALID_AUTHORIZATION_ID", "Invalid authorizationId.".to_owned())
        }
        Failure::WrongCode => (400, "CARRIER_BILLING.INVALID_CODE", "Invalid code.".to_owned()),
        Failure::ValidationFailed => (
            400,
            "CARRIER_BILLING.VALIDATION_FAILED",
            "the maximum number of attempts have been consumed for this validation.".to_owned(),
        ),
        Failure::DateRange => {
            (400, "CARRIER_BILLING.INVALID_DATE_RANGE", "Client specified an invalid date range.".to_owned())
        }
        Failure::TooManyRecords => (
            400,
            "CARRIER_BILLING.TOO_MANY_MATCHING_RECORDS",
            "Too many matching records found. Specify additional/suitable criteria to limit the number of records."
                .to_owned(),
        ),
        other => general(config, other),
    };
    write(named, failure, call)
}

/// Carrier Billing Refund v0.3.
pub(super) fn refund(config: &HttpConfig, failure: &Failure, call: &Call) -> Response {
    let named = match failure {
        Failure::Refused(Refusal::NotOurSubscriber) => not_found(),
        Failure::RefundDenied | Failure::Refused(_) => {
            (403, "CARRIER_BILLING_REFUND.REFUND_DENIED", "Refund denied by business.".to_owned())
        }
        Failure::NotRefundable => (
            403,
            "CARRIER_BILLING_REFUND.PAYMENT_NOT_ELIGIBLE_FOR_REFUND",
            "Payment not eligible for refund.".to_owned(),
        ),
        Failure::RefundTooLarge | Failure::AmountTooSmall | Failure::AmountTooLarge => {
            (422, "CARRIER_BILLING_REFUND.UNAUTHORIZED_AMOUNT", "Unauthorized amount requested.".to_owned())
        }
        Failure::ThresholdPassed => (
            422,
            "CARRIER_BILLING_REFUND.USER_AMOUNT_THRESHOLD_OVERPASSED",
            "Unauthorized refund request. Accumulated user mobile payments overpass account amount threshold."
                .to_owned(),
        ),
        Failure::NotPaid => {
            (422, "CARRIER_BILLING_REFUND.INVALID_PAYMENT_STATUS", "Payment is not yet completed.".to_owned())
        }
        Failure::TaxMismatch => (
            422,
            "CARRIER_BILLING_REFUND.TAXES_MANAGEMENT_MISMATCH",
            "Inconsistent isTaxIncluded value with regards to related payment.".to_owned(),
        ),
        Failure::DetailsMismatch => (
            422,
            "CARRIER_BILLING_REFUND.REFUND_DETAILS_MISMATCH",
            "Inconsistent refundDetails information with regards to related payment.".to_owned(),
        ),
        Failure::DateRange => {
            (400, "CARRIER_BILLING_REFUND.INVALID_DATE_RANGE", "Client specified an invalid date range.".to_owned())
        }
        Failure::TooManyRecords => (
            400,
            "CARRIER_BILLING_REFUND.TOO_MANY_MATCHING_RECORDS",
            "Too many matching records found. Specify additional/suitable criteria to limit the number of records."
                .to_owned(),
        ),
        other => general(config, other),
    };
    write(named, failure, call)
}

/// SIM Swap v2.1 and Tenure v0.2.
pub(super) fn subscriber(config: &HttpConfig, failure: &Failure, call: &Call) -> Response {
    let named = match failure {
        Failure::Refused(Refusal::NotOurSubscriber) => {
            (404, "IDENTIFIER_NOT_FOUND", "The phone number provided is not a customer's.".to_owned())
        }
        Failure::Refused(_) => {
            (422, "SERVICE_NOT_APPLICABLE", "The service is not available for the provided identifier.".to_owned())
        }
        other => general(config, other),
    };
    write(named, failure, call)
}

type Named = (u16, &'static str, String);

/// What every file has.
fn general(config: &HttpConfig, failure: &Failure) -> Named {
    let invalid = |what: &str| (400, "INVALID_ARGUMENT", what.to_owned());
    match failure {
        Failure::Malformed(reason) => (400, "INVALID_ARGUMENT", format!("Client specified an invalid argument: {reason}")),
        Failure::Currency => invalid("Currency is unknown or not authorized."),
        Failure::Unauthenticated => (
            401,
            "UNAUTHENTICATED",
            "Request not authenticated due to missing, invalid, or expired credentials. A new authentication is required."
                .to_owned(),
        ),
        Failure::NoSubscriber => (422, "MISSING_IDENTIFIER", "The phone number cannot be identified.".to_owned()),
        Failure::Duplicate
            if config.camara.as_ref().is_some_and(|camara| camara.duplicate == DuplicateAs::InvalidArgument) =>
        {
            invalid("clientCorrelator already exist on server.")
        }
        Failure::Duplicate | Failure::OtherContent => {
            (409, "ALREADY_EXISTS", "The resource that a client tried to create already exists.".to_owned())
        }
        Failure::NotFound => not_found(),
        Failure::Sink => (400, "INVALID_SINK", "sink not valid for the specified protocol".to_owned()),
        Failure::SinkCredential => (400, "INVALID_CREDENTIAL", "Only Access token is supported".to_owned()),
        Failure::SinkToken => (400, "INVALID_TOKEN", "Only bearer token is supported".to_owned()),
        Failure::OutOfRange => (400, "OUT_OF_RANGE", "Client specified an invalid range.".to_owned()),
        Failure::Throttled { .. } => (429, "TOO_MANY_REQUESTS", "Rate limit reached.".to_owned()),
        Failure::Full => (503, "UNAVAILABLE", "Service Unavailable.".to_owned()),
        Failure::Broken(503) => (503, "UNAVAILABLE", "Service Unavailable.".to_owned()),
        Failure::Broken(504) => (504, "TIMEOUT", "Request timeout exceeded.".to_owned()),
        Failure::Broken(status) => (*status, "INTERNAL", "Unknown server error.".to_owned()),
        _ => forbidden(),
    }
}

fn not_found() -> Named {
    (404, "NOT_FOUND", "The specified resource is not found.".to_owned())
}

fn forbidden() -> Named {
    (403, "PERMISSION_DENIED", "Client does not have sufficient permissions to perform this action.".to_owned())
}

/// Whether the operation names a number, and so may answer that it is nobody's.
fn names_number(call: &Call) -> bool {
    call.method == axum::http::Method::POST && !call.uri.path().ends_with("/validate")
}

fn write((status, code, message): Named, failure: &Failure, call: &Call) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let info = ErrorInfo { status: status.as_u16(), code, message: &message };
    let mut response = json(call, status, &info);
    let headers = response.headers_mut();
    match failure {
        Failure::Throttled { retry_after_s } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
        }
        Failure::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        _ => {}
    }
    response
}

/// An answer with a body.
pub(super) fn json(call: &Call, status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    with_correlator(call, (status, [kind], text).into_response())
}

/// An answer without a body.
pub(super) fn empty(call: &Call, status: StatusCode) -> Response {
    with_correlator(call, (status, Body::empty()).into_response())
}

/// The call's correlator, if it is of the pattern `^[a-zA-Z0-9-_:;.\/<>{}]{0,256}$`.
pub(super) fn correlator(call: &Call) -> Option<&str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:;./<>{}".contains(&byte);
    call.header("x-correlator").filter(|text| text.len() <= 256 && text.bytes().all(good))
}

fn with_correlator(call: &Call, mut response: Response) -> Response {
    let correlator = correlator(call).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    if let Ok(value) = HeaderValue::from_str(&correlator) {
        response.headers_mut().insert("x-correlator", value);
    }
    response
}
