//! CAMARA: Carrier Billing v0.5, Carrier Billing Refund v0.3, SIM Swap v2.1 and Tenure v0.2, with OAuth2 client
//! credentials, by the OpenAPI files of those releases. Two-legged tokens only: every request names its number.

mod billing;
mod body;
mod errors;
mod events;
mod lists;
mod refund;
mod subscriber;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};

use super::{
    Interface,
    desk::{Call, Desk},
    failure::Failure,
};
use crate::simulator::shared::Shared;

/// The routes, without the base path.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let desk = |say| Desk::new(shared, Interface::Camara, say);
    let billing = Router::new()
        .route("/payments", post(billing::create).get(billing::list))
        .route("/payments/prepare", post(billing::prepare))
        .route("/payments/{payment}", get(billing::retrieve))
        .route("/payments/{payment}/validate", post(billing::validate))
        .route("/payments/{payment}/confirm", post(billing::confirm))
        .route("/payments/{payment}/cancel", post(billing::cancel))
        .with_state(desk(errors::billing));
    let refund = Router::new()
        .route("/payments/{payment}/refunds", post(refund::create).get(refund::list))
        .route("/payments/{payment}/refunds/remaining-amount", get(refund::remaining))
        .route("/payments/{payment}/refunds/{refund}", get(refund::retrieve))
        .with_state(desk(errors::refund));
    let sim_swap = Router::new()
        .route("/check", post(subscriber::check_sim_swap))
        .route("/retrieve-date", post(subscriber::sim_swap_date))
        .with_state(desk(errors::subscriber));
    let tenure =
        Router::new().route("/check-tenure", post(subscriber::check_tenure)).with_state(desk(errors::subscriber));
    Router::new()
        .route("/oauth2/token", post(token::issue))
        .with_state(desk(errors::billing))
        .nest("/carrier-billing/v0.5", billing)
        .nest("/carrier-billing-refund/v0.3", refund)
        .nest("/sim-swap/v2", sim_swap)
        .nest("/kyc-tenure/v0.2", tenure)
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .with_state(desk(errors::billing))
}

/// A call that no file has.
async fn nowhere(State(desk): State<Desk>, request: Request) -> Response {
    match desk.read(request).await {
        Ok(call) => {
            desk.note_violation(&call, "no such operation".to_owned());
            desk.refuse(&call, Failure::NotFound)
        }
        Err(response) => response,
    }
}

/// Whether the call shows a token that is good for one of these scopes, and a correlator that may be.
fn admit(desk: &Desk, call: &Call, scopes: &[&str]) -> Result<(), Failure> {
    if call.headers.contains_key("x-correlator") && errors::correlator(call).is_none() {
        return Err(Failure::Malformed("x-correlator: not of the pattern".to_owned()));
    }
    let token = call.bearer().ok_or(Failure::Unauthenticated)?;
    match desk.shared.exchange().tokens.allows(token, scopes, desk.now()) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Forbidden),
        None => Err(Failure::Unauthenticated),
    }
}
