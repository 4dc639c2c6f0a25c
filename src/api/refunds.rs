//! Refunds that have not reached the passenger: the refund list, and what a person found out about one of them.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Amount, RefundAnswer},
    auth::Caller,
    charges::because,
    error::{Problem, ProblemDocument},
    reading::{Cursor, JsonBody, PageLimit, QueryOf, RefundInPath},
};
use crate::{
    charge::{CarrierName, OwedBecause, Reference},
    clock::Timestamp,
    gateway::{Gateway, RefundOutcome, RefundResolution},
    msisdn::Msisdn,
    store::{ListedRefund, RefundFilter, RefundStanding},
    transit::VehicleCode,
};

/// Which refunds to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundsQuery {
    /// Standing here; all that have not reached the passenger if it is missing.
    #[param(inline)]
    state: Option<StandingCode>,
    /// Asked for at least so many seconds ago.
    older_than: Option<u32>,
    /// Of this carrier.
    #[param(value_type = Option<String>, pattern = r"^[a-z0-9_-]{1,32}$")]
    carrier: Option<CarrierName>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<Cursor>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
}

/// Where a refund stands that has not reached the passenger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StandingCode {
    /// The carrier is being asked, or has not told the outcome yet.
    Requested,
    /// The carrier may have done it.
    InDoubt,
    /// The carrier cannot or would not: somebody has to pay it back.
    Owed,
}

impl From<StandingCode> for RefundStanding {
    fn from(code: StandingCode) -> RefundStanding {
        match code {
            StandingCode::Requested => RefundStanding::Requested,
            StandingCode::InDoubt => RefundStanding::InDoubt,
            StandingCode::Owed => RefundStanding::Owed,
        }
    }
}

impl From<RefundStanding> for StandingCode {
    fn from(standing: RefundStanding) -> StandingCode {
        match standing {
            RefundStanding::Requested => StandingCode::Requested,
            RefundStanding::InDoubt => StandingCode::InDoubt,
            RefundStanding::Owed => StandingCode::Owed,
        }
    }
}

/// A page of refunds, those of the oldest purchases first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefundPage)]
pub(super) struct RefundsAnswer {
    /// The refunds.
    refunds: Vec<OutstandingRefund>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor>,
}

/// A refund that has not reached the passenger.
#[derive(Debug, Serialize, ToSchema)]
struct OutstandingRefund {
    /// Its name for life.
    #[schema(value_type = uuid::Uuid)]
    id: Reference,
    /// The charge that it is of.
    #[schema(value_type = uuid::Uuid)]
    charge: Reference,
    /// Where it stands.
    state: StandingCode,
    /// What goes back.
    amount: Amount,
    /// Whose money it is, in E.164.
    #[schema(value_type = String, example = "+77051234567")]
    msisdn: Msisdn,
    /// The vehicle code.
    #[schema(value_type = String, example = "1234")]
    vehicle: VehicleCode,
    /// The agency's id.
    agency: String,
    /// The carrier that took the money.
    #[schema(value_type = String)]
    carrier: CarrierName,
    /// When it was asked for; its age counts from here.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// Its age, in seconds.
    age_seconds: u64,
    /// Why it is owed: `not_refundable` by the contract, `refused` by the carrier, `lost` by it every time, or `resolved` as not
    /// made by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "refused")]
    because: Option<&'static str>,
    /// The carrier's words, or the person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl OutstandingRefund {
    /// `None` once it is settled.
    fn new(listed: ListedRefund, now: Timestamp) -> Option<OutstandingRefund> {
        let carrier = listed.carrier()?.clone();
        let ListedRefund { charge, refund } = listed;
        let detail = match &refund.owed {
            Some(OwedBecause::Refused { detail, .. }) => Some(detail.clone()),
            Some(OwedBecause::Resolved { name, because }) => Some(format!("{name}: {because}")),
            Some(OwedBecause::NotRefundable | OwedBecause::Lost) | None => None,
        };
        Some(OutstandingRefund {
            id: refund.reference,
            charge: charge.reference,
            state: RefundStanding::of(refund.state)?.into(),
            amount: refund.amount.into(),
            msisdn: charge.order.msisdn,
            vehicle: charge.order.vehicle,
            agency: charge.order.agency,
            carrier,
            opened_at: refund.opened_at,
            age_seconds: now.since(refund.opened_at).as_secs(),
            because: refund.owed.as_ref().map(OwedBecause::code),
            detail,
        })
    }
}

/// Lists the refunds that have not reached the passenger
///
/// Whole and partial ones, with their age: what the carrier is still asked for, what is in doubt, and what is owed.
#[utoipa::path(
    get, path = "/v1/refunds", tag = "charges", params(RefundsQuery),
    responses((status = 200, description = "A page of refunds.", body = RefundsAnswer)),
)]
pub(super) async fn list_refunds(
    State(gateway): State<Gateway>,
    QueryOf(query): QueryOf<RefundsQuery>,
) -> Result<Json<RefundsAnswer>, Problem> {
    let now = gateway.now();
    let older_than = |seconds: u32| now.minus(std::time::Duration::from_secs(seconds.into()));
    let filter = RefundFilter {
        standing: query.state.map(RefundStanding::from),
        carrier: query.carrier,
        opened_by: query.older_than.map(older_than),
        after: query.cursor.map(|cursor| cursor.0),
    };
    // One more than asked for tells whether another page follows.
    let PageLimit(limit) = query.limit;
    let mut refunds = gateway.store().refunds(&filter, limit + 1).await?;
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = refunds.len() > full;
    refunds.truncate(full);
    let next_cursor = refunds.last().filter(|_| more).map(|listed| Cursor(listed.refund.reference));
    let refunds = refunds.into_iter().filter_map(|listed| OutstandingRefund::new(listed, now)).collect();
    Ok(Json(RefundsAnswer { refunds, next_cursor }))
}

/// What a person found out about a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewRefundResolution {
    /// What became of it.
    #[serde(rename = "as")]
    outcome: RefundResolvedAs,
    /// How that is known, 1 to 500 characters, not all of them blank. It is kept for ever, with the caller's name.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    because: String,
}

/// What became of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RefundResolvedAs {
    /// The carrier gave the money back.
    Refunded,
    /// The carrier did not: it is owed from now on.
    NotRefunded,
    /// What was owed was paid back in another way, by bank or in cash. The carrier still has it.
    PaidOtherwise,
}

impl From<RefundResolvedAs> for RefundOutcome {
    fn from(outcome: RefundResolvedAs) -> RefundOutcome {
        match outcome {
            RefundResolvedAs::Refunded => RefundOutcome::Refunded,
            RefundResolvedAs::NotRefunded => RefundOutcome::NotRefunded,
            RefundResolvedAs::PaidOtherwise => RefundOutcome::PaidOtherwise,
        }
    }
}

/// Settles a refund
///
/// For a person who has seen proof, such as the carrier's own books or a receipt for cash. One in doubt is `refunded` or
/// `not_refunded`; one that is owed is `refunded` or `paid_otherwise`. What is in doubt must be settled as `not_refunded` before it is
/// paid in another way: the carrier might give it back as well.
#[utoipa::path(
    post, path = "/v1/charges/{reference}/refunds/{refund}/resolution", tag = "charges",
    params(
        ("reference" = uuid::Uuid, Path, description = "The charge."),
        ("refund" = uuid::Uuid, Path, description = "The refund, by its `id`."),
    ),
    request_body = NewRefundResolution,
    responses(
        (status = 200, description = "The refund as it is now.", body = RefundAnswer),
        (status = 409, description = "`conflict`: the refund does not stand so. Nothing was changed.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn resolve_refund(
    State(gateway): State<Gateway>,
    caller: Caller,
    RefundInPath { reference, refund }: RefundInPath,
    JsonBody(body): JsonBody<NewRefundResolution>,
) -> Result<Json<RefundAnswer>, Problem> {
    let because = because(&body.because)?;
    let resolution = RefundResolution { outcome: body.outcome.into(), by: caller.name().to_owned(), because };
    let charge = gateway.resolve_refund(reference, refund, resolution).await?;
    let resolved = charge.refunds.iter().find(|known| known.reference == refund);
    resolved.map(|refund| Json(RefundAnswer::from(refund))).ok_or_else(|| super::charges::unknown(refund))
}
