//! `GET /v1/eligibility`: why a number can or cannot pay.

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use super::{auth::Caller, error::Problem, reading::QueryOf};
use crate::{
    charge::{CarrierName, Reason},
    clock::Timestamp,
    eligibility::{Basis, Decision, FactName, FactValue, Finding, Outcome},
    gateway::{Eligibility, Enquiry, Gateway},
    msisdn::Msisdn,
    subscriber::Silent,
    transit::{VehicleCode, Zone},
};

/// Whom it is about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EligibilityQuery {
    /// The subscriber.
    #[param(value_type = String, pattern = r"^(\+?[ ()-]*7|[ ()-]*8)?[ ()-]*7([ ()-]*[0-9]){9}[ ()-]*$")]
    msisdn: Msisdn,
    /// The code of a vehicle: then one passenger's fare in it is judged too, and what its agency may sell.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,8}$")]
    vehicle: Option<VehicleCode>,
    /// The fare zone, where the vehicle's route has zones.
    #[serde(default, deserialize_with = "zone_in_query")]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 9)]
    zone: Option<Zone>,
}

/// In a query a number is text.
fn zone_in_query<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zone>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

/// Whether a number can pay, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Eligibility)]
pub(super) struct EligibilityAnswer {
    /// The subscriber, in E.164.
    #[schema(value_type = String, example = "+77051234567")]
    msisdn: Msisdn,
    /// The carrier that would be asked. Absent if there is none: then nobody can charge it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    carrier: Option<CarrierName>,
    /// How that carrier is known: `message` (a message of the passenger came in there), `look_up` (a portability look-up said
    /// so) or `prefix` (a hint).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "prefix")]
    carrier_by: Option<&'static str>,
    /// When that was so; absent for a prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    carrier_observed_at: Option<Timestamp>,
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
    /// For a rule over a fact that is not known well enough: who said nothing about it, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent: Vec<SilentSource>,
}

/// Who said nothing about a fact, and why.
#[derive(Debug, Serialize, ToSchema)]
struct SilentSource {
    /// The source, as it is configured; absent if none is configured for this fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// `not_configured`, `timed_out` (no answer within the budget), `breaker_open` (it failed too often of late and is left
    /// alone for a while), `failed` (an error, or an answer that cannot be read) or `cannot_say` (it does not know).
    #[schema(example = "timed_out")]
    why: &'static str,
}

/// Says why a number can or cannot pay
///
/// Every rule with every fact, its source and its age, and who said nothing and why. The sources are asked as they would be for
/// a charge, and for as long. Nothing is bought.
#[utoipa::path(
    get, path = "/v1/eligibility", tag = "eligibility", params(EligibilityQuery),
    responses((status = 200, description = "The verdict, for or against.", body = EligibilityAnswer)),
)]
pub(super) async fn read_eligibility(
    State(gateway): State<Gateway>,
    caller: Caller,
    QueryOf(EligibilityQuery { msisdn, vehicle, zone }): QueryOf<EligibilityQuery>,
) -> Result<Json<EligibilityAnswer>, Problem> {
    let judged_at = gateway.now();
    let enquiry = Enquiry { msisdn, vehicle, zone, caller: Some(caller.name().to_owned()) };
    let Some(Eligibility { route, silent, unsourced, verdict }) = gateway.eligibility(&enquiry).await? else {
        let reason = Some(Reason::NoRoute);
        let (carrier, carrier_by, carrier_observed_at, findings) = (None, None, None, Vec::new());
        let allowed = false;
        let answer = EligibilityAnswer {
            msisdn,
            carrier,
            carrier_by,
            carrier_observed_at,
            allowed,
            reason,
            judged_at,
            findings,
        };
        return Ok(Json(answer));
    };
    let reason = match verdict.decision {
        Decision::Allowed => None,
        Decision::Declined(reason) => Some(reason),
    };
    let finding = |Finding { rule, outcome, basis }| {
        let silent = who_was_silent(&basis, &silent, &unsourced);
        RuleFinding { rule, declines: outcome == Outcome::Declines, basis, silent }
    };
    Ok(Json(EligibilityAnswer {
        msisdn,
        carrier: Some(route.carrier),
        carrier_by: Some(route.source.code()),
        carrier_observed_at: route.observed_at,
        allowed: reason.is_none(),
        reason,
        judged_at,
        findings: verdict.findings.into_iter().map(finding).collect(),
    }))
}

fn who_was_silent(basis: &Basis, silent: &[Silent], unsourced: &[FactName]) -> Vec<SilentSource> {
    let Basis::Fact { name, counted_as: FactValue::Unknown, .. } = basis else { return Vec::new() };
    let not_configured = unsourced.contains(name).then_some(SilentSource { source: None, why: "not_configured" });
    let about_it = silent.iter().filter(|silent| silent.facts.contains(name));
    let asked =
        about_it.map(|silent| SilentSource { source: Some(silent.source.to_string()), why: silent.silence.code() });
    not_configured.into_iter().chain(asked).collect()
}
