//! `GET /v1/eligibility`: why a number can or cannot pay.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{auth::Caller, error::Problem, reading::QueryOf};
use crate::{
    charge::{CarrierName, Reason},
    clock::Timestamp,
    eligibility::{Basis, Decision, Finding, Outcome},
    gateway::{Enquiry, Gateway},
    msisdn::Msisdn,
    transit::VehicleCode,
};

/// Whom it is about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EligibilityQuery {
    /// The subscriber.
    #[param(value_type = String)]
    msisdn: Msisdn,
    /// The code of a vehicle: then one passenger's fare in it is judged too, and what its agency may sell.
    #[param(value_type = Option<String>)]
    vehicle: Option<VehicleCode>,
}

/// Whether a number can pay, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Eligibility)]
pub(super) struct EligibilityAnswer {
    /// The subscriber, in E.164.
    #[schema(value_type = String, example = "+77051234567")]
    msisdn: Msisdn,
    /// The carrier that would be asked, by the number's prefix. Absent if there is none: then nobody can charge it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    carrier: Option<CarrierName>,
    /// Whether our rules have nothing against it. The carrier still has the last word.
    allowed: bool,
    /// Why not: the first rule that declines. A code of `docs/errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "credit_debt")]
    reason: Option<Reason>,
    /// When it was judged.
    #[schema(value_type = String, format = DateTime)]
    judged_at: Timestamp,
    /// How every rule came out, in the order in which they are judged.
    findings: Vec<RuleFinding>,
}

/// How one rule came out.
#[derive(Debug, Serialize, ToSchema)]
struct RuleFinding {
    /// The rule, by the reason that it declines with.
    #[schema(value_type = String, example = "recent_sim_swap")]
    rule: Reason,
    /// Whether it declines.
    declines: bool,
    /// What it looked at. `kind` says which: `deny_list` (`list`), `fact` (`name`, `fact` with `value`, `source` and
    /// `observed_at`, `age_seconds`, `counted_as`, `max_age_seconds`, `when_unknown`), `velocity` (`purchases`,
    /// `purchases_max`, `window_seconds`), `limit` (`spent`, `amount`, `limit`) or `sales` (`by`, `sold`, `amount`, `limit`).
    #[schema(value_type = Object)]
    basis: Basis,
}

/// Says why a number can or cannot pay
///
/// Every rule with every fact, its source and its age. Nothing is bought and no carrier is asked.
#[utoipa::path(
    get, path = "/v1/eligibility", tag = "eligibility", params(EligibilityQuery),
    responses((status = 200, description = "The verdict, for or against.", body = EligibilityAnswer)),
)]
pub(super) async fn read_eligibility(
    State(gateway): State<Gateway>,
    caller: Caller,
    QueryOf(EligibilityQuery { msisdn, vehicle }): QueryOf<EligibilityQuery>,
) -> Result<Json<EligibilityAnswer>, Problem> {
    let judged_at = gateway.now();
    let enquiry = Enquiry { msisdn, vehicle, caller: Some(caller.name().to_owned()) };
    let (carrier, decision, findings) = match gateway.eligibility(&enquiry).await? {
        Some(found) => (Some(found.carrier), found.verdict.decision, found.verdict.findings),
        None => (None, Decision::Declined(Reason::NoRoute), Vec::new()),
    };
    let reason = match decision {
        Decision::Allowed => None,
        Decision::Declined(reason) => Some(reason),
    };
    let finding =
        |Finding { rule, outcome, basis }| RuleFinding { rule, declines: outcome == Outcome::Declines, basis };
    Ok(Json(EligibilityAnswer {
        msisdn,
        carrier,
        allowed: reason.is_none(),
        reason,
        judged_at,
        findings: findings.into_iter().map(finding).collect(),
    }))
}
