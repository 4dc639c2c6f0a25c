//! The carrier over HTTP: the same subscribers, balances, faults and ledger as the SMSC, by several interfaces.
//!
//! The way of a request: `server` has its connection, an interface (`camara`, `oneapi`, `cis`, `inquiry`) reads it as strictly as its specification
//! says, `desk` draws its faults and carries it out, `billing` (no I/O) does with the money what was asked and keeps it in
//! `payments`, `spoil` damages the answer, and `callbacks` tells the client what follows. `failure` has the reasons why
//! something is not done, which each interface says in its own words.

mod amount;
mod billing;
mod callbacks;
mod camara;
mod cis;
mod config;
mod desk;
mod digest;
mod door;
mod facts;
mod failure;
mod form;
mod front;
mod inquiry;
mod interface;
mod oneapi;
mod payment;
mod payments;
mod server;
mod spoil;
mod stats;
mod tokens;
mod xml;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    middleware,
    response::Response,
};

use super::shared::Shared;

pub use callbacks::CallbackTry;
pub(super) use callbacks::Caller;
pub use config::{
    Answers, CallbackConfig, CamaraConfig, CisConfig, Digest, DuplicateAs, ExpiredAs, FactsConfig, HttpConfig,
    HttpLimits, HttpTls, OneApiConfig,
};
pub use door::{Door, NoAnswer};
pub use facts::{ContractType, SubscriberFacts};
pub(super) use front::Front;
pub use interface::{Interface, Operation};
pub use payment::{PaymentReport, PaymentStatus, RefundReport, RefundStatus};
pub(super) use payments::Payments;
pub(super) use server::listen;
pub use stats::{HttpStats, Violation};
pub(super) use tokens::Tokens;

/// The routes of an interface.
fn router(shared: &Arc<Shared>, interface: Interface) -> Router {
    let routes = match interface {
        Interface::Camara => camara::router(shared),
        Interface::Oneapi => oneapi::router(shared),
        Interface::Cis => cis::router(shared),
        Interface::Facts => inquiry::router(shared),
    };
    let base_path = shared.config.http.base_path(interface);
    let routes = if base_path.is_empty() { routes } else { Router::new().nest(base_path, routes) };
    routes.layer(middleware::map_response_with_state(Arc::clone(shared), seen_off))
}

/// Counts an answer, and dates it by the clock that everything else of the simulator goes by.
async fn seen_off(State(shared): State<Arc<Shared>>, mut response: Response) -> Response {
    if let Some(date) = shared.now().to_http_date().and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    shared.exchange().stats.http.record_answer(response.status().as_u16());
    response
}
