//! The table of all routes. The router is made of it, and what the document at `/openapi.json` says of access is too.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};

use tokio::sync::Semaphore;

use super::{
    ApiConfig, Role, access_log, asked,
    auth::{Access, Callers, authorise},
    carriers, charges, eligibility,
    error::{Code, Problem},
    events, keys, openapi, purchase, refunds, tickets,
    to_the_end::to_the_end,
    trace, webhooks,
};
use crate::gateway::Gateway;

/// What handlers share.
#[derive(Clone, Debug)]
pub(super) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: ApiConfig,
    callers: Callers,
    gateway: Gateway,
    openapi: Bytes,
    /// Bounds the streams of events.
    event_streams: Arc<Semaphore>,
}

impl Api {
    /// Errors: what is wrong with the configuration.
    pub(super) fn new(config: ApiConfig, gateway: Gateway) -> Result<Api, String> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let openapi = openapi::document().to_json().map_err(|error| format!("openapi.json: {error}"))?.into();
        let event_streams = Arc::new(Semaphore::new(config.event_streams_max));
        Ok(Api(Arc::new(Shared { callers: Callers::new(&config), config, gateway, openapi, event_streams })))
    }

    /// The bounds.
    pub(super) fn config(&self) -> &ApiConfig {
        &self.0.config
    }

    /// No longer than a caller may wait.
    pub(super) fn bounded(&self, wait: Duration) -> Duration {
        wait.min(Duration::from_secs(self.config().wait_seconds_max))
    }

    /// Who may call.
    pub(super) fn callers(&self) -> &Callers {
        &self.0.callers
    }

    /// What bounds the streams of events.
    pub(super) fn event_streams(&self) -> &Arc<Semaphore> {
        &self.0.event_streams
    }

    /// The document at `/openapi.json`.
    pub(super) fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }
}

impl FromRef<Api> for Gateway {
    fn from_ref(api: &Api) -> Gateway {
        api.0.gateway.clone()
    }
}

/// One row of the table.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    handler: MethodRouter<Api>,
}

/// Sells, and those who answer for what was sold.
const CHARGES: Access = Access::OneOf(&[Role::Ticketing, Role::Support, Role::Finance, Role::Operations]);
const TICKETING: Access = Access::OneOf(&[Role::Ticketing]);
const REFUNDS: Access = Access::OneOf(&[Role::Ticketing, Role::Support, Role::Finance]);
const REFUND_LIST: Access = Access::OneOf(&[Role::Finance, Role::Support, Role::Operations]);
/// Whoever has seen the carrier's books, and whoever pays.
const REFUND_RESOLUTIONS: Access = Access::OneOf(&[Role::Operations, Role::Finance]);
const PASSENGERS: Access = Access::OneOf(&[Role::Ticketing, Role::Support]);
/// Those who react to what was sold, and those who book it.
const EVENTS: Access = Access::OneOf(&[Role::Ticketing, Role::Finance]);
const AUDIT: Access = Access::OneOf(&[Role::Support, Role::Operations]);
const OPERATIONS: Access = Access::OneOf(&[Role::Operations]);

/// All of them.
pub(super) fn table() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/charges", TICKETING, post(purchase::open_charge)),
        Route::new(Method::GET, "/v1/charges", CHARGES, get(charges::list_charges)),
        Route::new(Method::GET, "/v1/charges/{reference}", CHARGES, get(charges::read_charge)),
        Route::new(Method::GET, "/v1/charges/{reference}/journal", AUDIT, get(charges::read_journal)),
        Route::new(Method::POST, "/v1/charges/{reference}/otp", TICKETING, post(asked::submit_otp)),
        Route::new(Method::POST, "/v1/charges/{reference}/refunds", REFUNDS, post(asked::refund_charge)),
        Route::new(
            Method::POST,
            "/v1/charges/{reference}/refunds/{refund}/resolution",
            REFUND_RESOLUTIONS,
            post(refunds::resolve_refund),
        ),
        Route::new(Method::GET, "/v1/refunds", REFUND_LIST, get(refunds::list_refunds)),
        Route::new(Method::POST, "/v1/charges/{reference}/resolution", OPERATIONS, post(charges::resolve_charge)),
        Route::new(Method::GET, "/v1/eligibility", PASSENGERS, get(eligibility::read_eligibility)),
        Route::new(Method::GET, "/v1/tickets", PASSENGERS, get(tickets::list_tickets)),
        Route::new(Method::GET, "/v1/tickets/{reference}", PASSENGERS, get(tickets::read_ticket)),
        Route::new(Method::GET, "/v1/keys", Access::AnyCaller, get(keys::read_keys)),
        Route::new(Method::GET, "/v1/carriers", AUDIT, get(carriers::list_carriers)),
        Route::new(Method::POST, "/v1/carriers/{name}/pause", OPERATIONS, post(carriers::pause_carrier)),
        Route::new(Method::POST, "/v1/carriers/{name}/resume", OPERATIONS, post(carriers::resume_carrier)),
        Route::new(Method::GET, "/v1/carriers/{name}/trace", OPERATIONS, get(trace::trace_carrier)),
        Route::new(Method::GET, "/v1/events", EVENTS, get(events::read_events)),
        Route::new(Method::GET, "/v1/webhooks", OPERATIONS, get(webhooks::list_webhooks)),
        Route::new(Method::GET, "/v1/webhooks/{name}", OPERATIONS, get(webhooks::read_webhook)),
        Route::new(Method::POST, "/v1/webhooks/{name}/replay", OPERATIONS, post(webhooks::replay_webhook)),
        Route::new(Method::POST, "/v1/webhooks/{name}/resume", OPERATIONS, post(webhooks::resume_webhook)),
        Route::new(Method::GET, "/openapi.json", Access::Anyone, get(openapi::read_openapi)),
    ]
}

impl Route {
    fn new(method: Method, path: &'static str, access: Access, handler: MethodRouter<Api>) -> Route {
        Route { method, path, access, handler }
    }
}

/// The whole API.
pub(super) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for Route { path, access, handler, .. } in table() {
        let handler = handler
            .route_layer(middleware::from_fn_with_state(api.clone(), to_the_end))
            .route_layer(middleware::from_fn_with_state((api.clone(), access), authorise));
        router = router.route(path, handler);
    }
    let gateway = Gateway::from_ref(&api);
    finish(router.with_state(api)).layer(middleware::from_fn_with_state(gateway, part_in_time))
}

/// Before a stop, each answer ends its connection (RFC 9112, section 9.6): who keeps connections open opens the next one to
/// another daemon, and finds none that is closed under a request. HTTP/2 has GOAWAY for that, at the stop itself.
async fn part_in_time(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    if version <= Version::HTTP_11 && gateway.is_stop_announced() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What every listener has: an answer for what is not there, and the access log around everything.
pub(super) fn finish(router: Router) -> Router {
    router
        .fallback(async || Problem::bare(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::bare(Code::MethodNotAllowed))
        .layer(middleware::from_fn(access_log::record))
}

/// An answer with a type of its own.
pub(super) fn typed(media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
    (StatusCode::OK, headers, body.into()).into_response()
}
