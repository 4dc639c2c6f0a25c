//! `GET /v1/carriers`, and pausing them.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::{
    auth::Caller,
    error::{Code, Problem},
};
use crate::{
    carrier::{BindStanding, Carrier, Standing},
    charge::CarrierName,
    gateway::Gateway,
};

/// A carrier as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Carrier)]
pub(super) struct CarrierAnswer {
    /// Its name in the configuration.
    #[schema(value_type = String, example = "beeline")]
    name: CarrierName,
    /// Whether a bind that sends is up.
    up: bool,
    /// Whether somebody has paused it: new purchases are declined as `carrier_unavailable`. What is under way goes on.
    paused: bool,
    /// Whether the circuit breaker is open, because it answered nothing for too long: new purchases are declined as
    /// `carrier_unavailable`, until a trial message is answered.
    breaker_open: bool,
    /// Whether it has slowed us down below the contract's rate.
    throttled: bool,
    /// The binds.
    binds: Vec<BindAnswer>,
    /// The short number that passengers write to.
    #[schema(example = "2505")]
    short_number: String,
}

/// A bind as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bind)]
pub(super) struct BindAnswer {
    /// Its name in the configuration.
    #[schema(example = "trx-1")]
    name: String,
    /// Whether it is bound.
    up: bool,
    /// What it is doing, or why it is down.
    #[schema(example = "down: bind refused: ESME_RALYBND (0x05)")]
    detail: String,
}

impl CarrierAnswer {
    fn new(carrier: &Carrier) -> CarrierAnswer {
        let Standing { up, paused, breaker_open, throttled, binds, receives: _, rate_milli: _ } = carrier.standing();
        let bind = |BindStanding { name, up, detail }| BindAnswer { name, up, detail };
        CarrierAnswer {
            name: carrier.name().clone(),
            up,
            paused,
            breaker_open,
            throttled,
            binds: binds.into_iter().map(bind).collect(),
            short_number: carrier.config().short_number.clone(),
        }
    }
}

/// All carriers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CarrierList)]
pub(super) struct CarriersAnswer {
    /// By name.
    carriers: Vec<CarrierAnswer>,
}

/// Lists the carriers
#[utoipa::path(
    get, path = "/v1/carriers", tag = "carriers",
    responses((status = 200, description = "All carriers.", body = CarriersAnswer)),
)]
pub(super) async fn list_carriers(State(gateway): State<Gateway>) -> Json<CarriersAnswer> {
    Json(CarriersAnswer { carriers: gateway.carriers().map(CarrierAnswer::new).collect() })
}

/// Pauses a carrier
///
/// Nothing new is sent to it until it is resumed, or the gateway is started again. What is under way is still answered.
#[utoipa::path(
    post, path = "/v1/carriers/{name}/pause", tag = "carriers",
    params(("name" = String, Path, description = "The carrier.")),
    responses((status = 200, description = "The carrier as it is now.", body = CarrierAnswer)),
)]
pub(super) async fn pause_carrier(
    State(gateway): State<Gateway>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<CarrierAnswer>, Problem> {
    set_paused(&gateway, &caller, name, true)
}

/// Resumes a carrier
#[utoipa::path(
    post, path = "/v1/carriers/{name}/resume", tag = "carriers",
    params(("name" = String, Path, description = "The carrier.")),
    responses((status = 200, description = "The carrier as it is now.", body = CarrierAnswer)),
)]
pub(super) async fn resume_carrier(
    State(gateway): State<Gateway>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<CarrierAnswer>, Problem> {
    set_paused(&gateway, &caller, name, false)
}

fn set_paused(
    gateway: &Gateway,
    caller: &Caller,
    name: Result<Path<String>, PathRejection>,
    paused: bool,
) -> Result<Json<CarrierAnswer>, Problem> {
    let carrier = name.ok().and_then(|Path(name)| gateway.carrier(&name));
    let carrier = carrier.ok_or_else(|| Problem::new(Code::NotFound, "no carrier has this name"))?;
    carrier.set_paused(paused);
    warn!(carrier = %carrier.name(), by = caller.name(), paused, "a carrier was paused or resumed by hand");
    Ok(Json(CarrierAnswer::new(carrier)))
}
