//! What is asked of a charge that exists: its one-time password, and money back.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    answer::{ChargeAnswer, RefundAnswer},
    auth::Caller,
    charges::with_ticket,
    error::{Code, Problem, ProblemDocument},
    headers::{IdempotencyKey, preferred_wait},
    purchase::outcome,
    reading::{JsonBody, ReferenceInPath},
    routes::Api,
};
use crate::{
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
    // serde's own words quote what is there instead.
    let no_text = |_| serde::de::Error::custom("expected a string");
    String::deserialize(deserializer).map(Zeroizing::new).map_err(no_text)
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
    let awaited = outcome(&gateway, &charge, preferred_wait(&headers).map(|wait| api.bounded(wait))).await?;
    let status = if awaited.charge.state.is_open() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(with_ticket(&gateway, awaited).await?)).into_response())
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

/// Gives money back
///
/// All that is left, or a part. A refund of everything revokes the ticket in the same moment. The same key for the same charge is
/// the same refund. The passenger is told by SMS, as `gateway.refund_texts` says.
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
            RefundError::Restored(_) => Problem::new(Code::BooksRestored, error.to_string()),
            RefundError::KeyConflict(_) => Problem::new(Code::IdempotencyKeyConflict, error.to_string()),
            RefundError::Apply(error) => error.into(),
        }
    }
}
