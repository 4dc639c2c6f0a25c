//! The document at `/openapi.json`, made from the code: the operations from the handlers, access from the table of routes.

use axum::{extract::State, http::Method, response::Response};
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, Response as Answer, ResponseBuilder,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    asked,
    auth::Access,
    carriers, charges, eligibility,
    error::{PROBLEM_JSON, ProblemDocument},
    events, keys, purchase, refunds,
    routes::{self, Api, Route, typed},
    tickets, trace, webhooks,
};

/// The name of the security scheme.
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "smsbusd",
        description = "Bus fares from the phone's balance, signed tickets back. One purchase, one key: whatever went wrong on the way, the same request under the same `Idempotency-Key` is always safe. Errors are RFC 9457 with a stable `code`; each has a page in `docs/errors`. The security of each operation names the roles of which one is needed.",
    ),
    tags(
        (name = "charges", description = "Buying, and what became of it."),
        (name = "tickets", description = "What was bought."),
        (name = "eligibility", description = "Why a number can or cannot pay."),
        (name = "keys", description = "What tickets are verified with."),
        (name = "carriers", description = "The links to the carriers."),
        (name = "events", description = "What became of charges, for those who follow."),
        (name = "about", description = "This document."),
    ),
    paths(
        purchase::open_charge,
        charges::list_charges,
        charges::read_charge,
        charges::read_journal,
        charges::resolve_charge,
        asked::submit_otp,
        asked::refund_charge,
        refunds::list_refunds,
        refunds::resolve_refund,
        eligibility::read_eligibility,
        tickets::list_tickets,
        tickets::read_ticket,
        keys::read_keys,
        carriers::list_carriers,
        carriers::pause_carrier,
        carriers::resume_carrier,
        trace::trace_carrier,
        events::read_events,
        webhooks::list_webhooks,
        webhooks::read_webhook,
        webhooks::replay_webhook,
        webhooks::resume_webhook,
        read_openapi,
    ),
    components(schemas(ProblemDocument)),
)]
struct Document;

/// Reads this document
#[utoipa::path(
    get, path = "/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)),
)]
pub(super) async fn read_openapi(State(api): State<Api>) -> Response {
    typed("application/json", api.openapi())
}

/// The whole document.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of which the gateway knows only the hash."))
        .build();
    document.components.get_or_insert_default().add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    for route in routes::table() {
        let item = document.paths.paths.get_mut(route.path);
        if let Some(operation) = item.and_then(|item| operation(item, &route.method)) {
            describe_access(operation, &route);
        }
    }
    document
}

fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        _ => None,
    }
}

/// Says who may call it, and adds the errors that the layers around the handler answer with.
fn describe_access(operation: &mut Operation, route: &Route) {
    let with_role = |role: &super::Role| SecurityRequirement::new(BEARER, [role.code()]);
    operation.security = Some(match route.access {
        Access::Anyone => Vec::new(),
        Access::AnyCaller => vec![SecurityRequirement::new(BEARER, [""; 0])],
        Access::OneOf(roles) => roles.iter().map(with_role).collect(),
    });
    let mut errors =
        vec![("500", "`internal`: something went wrong here. Send the same request again under the same key.")];
    if route.access != Access::Anyone {
        errors.push(("401", "`unauthenticated`: the caller is not known."));
        errors.push(("429", "`too_many_requests`: too many requests of this caller are under way. See `Retry-After`."));
        errors.push(("504", "`timeout`: the answer took too long. Send the same request again under the same key."));
    }
    if matches!(route.access, Access::OneOf(_)) {
        errors.push(("403", "`forbidden`: the caller has none of the roles."));
    }
    if route.path.contains('{') {
        errors.push(("404", "`not_found`: there is no such thing here."));
    }
    if operation.parameters.is_some() || operation.request_body.is_some() {
        errors.push((
            "400",
            "`bad_request`: the request is not understood; `errors` names the places. Or `idempotency_key_missing`.",
        ));
    }
    if operation.request_body.is_some() {
        errors.push(("413", "`payload_too_large`: the body is too large."));
        errors.push(("415", "`unsupported_media_type`: the body is not `application/json`."));
        errors.push(("503", "`overloaded` or `unavailable`: not now, and nothing was done. See `Retry-After`."));
    }
    for (status, description) in errors {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(description));
    }
}

fn problem(description: &str) -> RefOr<Answer> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    RefOr::T(ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build())
}
