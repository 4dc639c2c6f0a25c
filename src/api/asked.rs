//! What is asked of a charge that exists: its one-time password, and money back.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    answer::{Amount, ChargeAnswer},
    auth::Caller,
    charges::with_ticket,
    error::{Code, Problem, ProblemDocument},
    headers::{IdempotencyKey, preferred_wait},
    purchase::outcome,
    reading::{JsonBody, ReferenceInPath},
    routes::Api,
};
use crate::{
    charge::{Reference, Refund, RefundState},
    clock::Timestamp,
    gateway::{Gateway, RefundError},
    money::Money,
};

/// The longest one-time password, in characters.
const OTP_CHARS_MAX: usize = 32;

/// A one-time password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewOtp {
    /// What the subscriber has entered, 1 to 32 printable ASCII characters. It is passed on to the carrier, and kept nowhere.
    #[serde(deserialize_with = "zeroizing")]
    #[schema(value_type = String, min_length = 1, max_length = 32, pattern = r"^[!-~]+$", example = "4711")]
    otp: Zeroizing<String>,
}

fn zeroizing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Passes on a one-time password
///
/// For a charge that is `awaiting_otp`. A password that was not right leaves it there, and the next can be entered until the
/// ticket deadline; then what the carrier holds is given up. Safe to repeat.
#[utoipa::path(
    post, path = "/v1/charges/{reference}/otp", tag = "charges",
    params(
        ("reference" = uuid::Uuid, Path, description = "The charge."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds for the outcome (RFC 7240).", example = "wait=10"),
    ),
    request_body = NewOtp,
    responses(
        (status = 200, description = "The charge, with its outcome.", body = ChargeAnswer),
        (status = 202, description = "The outcome is still to come; `awaiting_otp` if the password was not right.", body = ChargeAnswer),
        (status = 409, description = "`conflict`: the charge waits for no password.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn submit_otp(
    State(api): State<Api>,
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ReferenceInPath(reference): ReferenceInPath,
    JsonBody(NewOtp { otp }): JsonBody<NewOtp>,
) -> Result<Response, Problem> {
    let readable = otp.bytes().all(|octet| octet.is_ascii_graphic());
    if !(1..=OTP_CHARS_MAX).contains(&otp.len()) || !readable {
        return Err(Problem::field("/otp", format!("from 1 to {OTP_CHARS_MAX} printable ASCII characters")));
    }
    let charge = gateway.submit_otp(reference, otp).await?;
    let charge = outcome(&gateway, &charge, preferred_wait(&headers).map(|wait| api.bounded(wait))).await?;
    let status = if charge.state.is_open() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(with_ticket(&gateway, charge).await?)).into_response())
}

/// Money to go back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewRefund {
    /// How much, in minor units of the charge's currency; everything that is left if it is missing.
    #[serde(default)]
    #[schema(minimum = 1)]
    amount_minor: Option<i64>,
}

/// A refund of a charge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(super) struct RefundAnswer {
    /// Its name for life.
    #[schema(value_type = uuid::Uuid)]
    id: Reference,
    /// What goes back.
    amount: Amount,
    /// Where it stands.
    state: RefundStateCode,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStateCode {
    /// The carrier is being asked, or has not told the outcome yet.
    Processing,
    /// The carrier may have done it; it is being found out.
    InDoubt,
    /// The carrier cannot or would not: it is on the refund list.
    Owed,
    /// The money went back.
    Done,
}

impl From<&Refund> for RefundAnswer {
    fn from(refund: &Refund) -> RefundAnswer {
        RefundAnswer {
            id: refund.reference,
            amount: refund.amount.into(),
            state: match refund.state {
                RefundState::Requested | RefundState::Waiting | RefundState::Accepted => RefundStateCode::Processing,
                RefundState::InDoubt => RefundStateCode::InDoubt,
                RefundState::Owed => RefundStateCode::Owed,
                RefundState::Done => RefundStateCode::Done,
            },
            opened_at: refund.opened_at,
        }
    }
}

/// Gives money back
///
/// All that is left, or a part. A refund of everything revokes the ticket in the same moment. The same key for the same charge is
/// the same refund.
#[utoipa::path(
    post, path = "/v1/charges/{reference}/refunds", tag = "charges",
    params(
        ("reference" = uuid::Uuid, Path, description = "The charge."),
        ("Idempotency-Key" = String, Header, description = "One key per refund: 1 to 255 printable ASCII characters. Its scope is the caller and the charge.", min_length = 1, max_length = 255, pattern = r"^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body = NewRefund,
    responses(
        (status = 202, description = "The refund: durable, and on its way.", body = RefundAnswer),
        (status = 409, description = "`conflict`: nothing was taken, or less is left. `idempotency_key_conflict`: the key was used for another amount.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn refund_charge(
    State(gateway): State<Gateway>,
    caller: Caller,
    ReferenceInPath(reference): ReferenceInPath,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody<NewRefund>,
) -> Result<Response, Problem> {
    let amount = match body.amount_minor {
        Some(minor) if minor <= 0 => return Err(Problem::field("/amount_minor", "must be at least 1")),
        Some(minor) => {
            let charge = gateway.store().charge(reference).await?;
            let charge = charge.ok_or_else(|| super::charges::unknown(reference))?;
            Some(Money::new(minor, charge.order.amount.currency))
        }
        None => None,
    };
    let (_, refund) = gateway.refund(reference, amount, caller.name(), &key).await?;
    Ok((StatusCode::ACCEPTED, Json(RefundAnswer::from(&refund))).into_response())
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Problem {
        match error {
            RefundError::KeyConflict(_) => Problem::new(Code::IdempotencyKeyConflict, error.to_string()),
            RefundError::Apply(error) => error.into(),
        }
    }
}
