//! `requestError`: a service exception for what is wrong with the request or the service, a policy exception for what the
//! carrier does not allow (OMA-TS-ParlayREST, common exceptions; Parlay X for SVC0270).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::simulator::{
    http::{HttpConfig, desk::Call, failure::Failure},
    subscribers::Refusal,
};

/// Status, kind, message id, text and the value of its `%1`.
type Named = (u16, &'static str, &'static str, &'static str, String);

const SERVICE: &str = "serviceException";
const POLICY: &str = "policyException";

/// How this interface says why it does not do something.
pub(super) fn say(_: &HttpConfig, failure: &Failure, _: &Call) -> Response {
    let (status, kind, id, text, variable) = named(failure);
    let exception = json!({ "messageId": id, "text": text, "variables": [variable] });
    let body = json!({ "requestError": { kind: exception } }).to_string();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status, [content_type], body).into_response();
    let headers = response.headers_mut();
    match failure {
        Failure::Throttled { retry_after_s } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
        }
        Failure::Unauthenticated => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oneapi\""));
        }
        _ => {}
    }
    response
}

fn named(failure: &Failure) -> Named {
    let policy = |code: &str| (403, POLICY, "POL0001", "A policy error occurred. Error code is %1", code.to_owned());
    let not_applied = |code: &str| {
        let text = "Charging operation failed, the charge was not applied. %1";
        (403, SERVICE, "SVC0270", text, code.to_owned())
    };
    match failure {
        Failure::Malformed(reason) => {
            (400, SERVICE, "SVC0002", "Invalid input value for message part %1", reason.clone())
        }
        Failure::NoSubscriber | Failure::Refused(Refusal::NotOurSubscriber) => {
            (400, SERVICE, "SVC0004", "No valid addresses provided in message part %1", "endUserId".to_owned())
        }
        Failure::Duplicate | Failure::OtherContent => {
            (409, SERVICE, "SVC0005", "Correlator %1 is a duplicate", "clientCorrelator".to_owned())
        }
        Failure::Currency => (400, SERVICE, "SVC0007", "Invalid charging information. %1", "currency".to_owned()),
        Failure::Refused(Refusal::InsufficientBalance) => {
            (403, POLICY, "POL1000", "User has insufficient credit for transaction. %1", "amount".to_owned())
        }
        Failure::ThresholdPassed => {
            (403, POLICY, "POL1001", "The amount exceeds the user's limit. %1", "amount".to_owned())
        }
        Failure::AmountTooLarge => {
            (403, POLICY, "POL0254", "The amount exceeds the operator limit. %1", "amount".to_owned())
        }
        Failure::AmountTooSmall => policy("amount_too_small"),
        Failure::Refused(Refusal::CorporateNumber) => policy("corporate_number"),
        Failure::Refused(Refusal::CreditDebt) => policy("credit_debt"),
        Failure::Refused(Refusal::NoTopUpSinceActivation) => policy("no_top_up_since_activation"),
        Failure::Refused(Refusal::InitialBalanceUnused) => policy("initial_balance_unused"),
        Failure::Refused(Refusal::RecentSimSwap) => policy("recent_sim_swap"),
        Failure::Refused(Refusal::OwnAccountEmpty) => policy("own_account_empty"),
        Failure::Refused(Refusal::Barred) => policy("barred"),
        Failure::RefundTooLarge => policy("refund_exceeds_charge"),
        Failure::NotRefundable | Failure::RefundDenied => policy("refund_not_allowed"),
        Failure::NotPaid => policy("not_charged"),
        Failure::Confirmed => not_applied("already_charged"),
        Failure::Cancelled => not_applied("already_released"),
        Failure::NotFound => {
            (404, SERVICE, "SVC0002", "Invalid input value for message part %1", "transactionId".to_owned())
        }
        Failure::Unauthenticated => {
            (401, POLICY, "POL0001", "A policy error occurred. Error code is %1", "unauthenticated".to_owned())
        }
        Failure::Throttled { .. } => {
            (429, SERVICE, "SVC1000", "No server resources available to process the request. %1", "rate".to_owned())
        }
        Failure::Full => {
            (503, SERVICE, "SVC1000", "No server resources available to process the request. %1", "full".to_owned())
        }
        Failure::Broken(status) => {
            (*status, SERVICE, "SVC0001", "A service error occurred. Error code is %1", status.to_string())
        }
        _ => policy("not_allowed"),
    }
}
