//! Who is calling, and may he? Callers are known by a bearer token (RFC 6750) of which only the hash is configured.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tracing::Span;

use super::{
    ApiConfig, Role,
    config::TokenConfig,
    error::{Code, Problem},
    routes::Api,
};

/// What a route wants of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Anyone,
    /// That he is known.
    AnyCaller,
    /// That he has one of these roles.
    OneOf(&'static [Role]),
}

/// A caller who is known.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Known>);

#[derive(Debug)]
struct Known {
    name: String,
    roles: BTreeSet<Role>,
    /// Bounds his requests under way.
    requests: Arc<Semaphore>,
    /// Bounds the charges that he asks for.
    charges: Option<DefaultDirectRateLimiter>,
}

/// All callers, by the hashes of their tokens.
#[derive(Debug)]
pub(super) struct Callers(Vec<([u8; 32], Caller)>);

impl Callers {
    /// Those of the configuration.
    pub(super) fn new(config: &ApiConfig) -> Callers {
        let caller = |(name, token): (&String, &TokenConfig)| {
            let requests = Arc::new(Semaphore::new(config.caller_requests_max));
            let charges = token.charges_per_second.map(|rate| RateLimiter::direct(Quota::per_second(rate)));
            let known = Known { name: name.clone(), roles: token.roles.clone(), requests, charges };
            (token.sha256.0, Caller(Arc::new(known)))
        };
        Callers(BTreeMap::iter(&config.tokens).map(caller).collect())
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one.
    fn of_token(&self, token: &str) -> Option<Caller> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for (known, caller) in &self.0 {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(caller);
            }
        }
        found.cloned()
    }
}

impl Caller {
    /// His name in the configuration: the scope of his idempotency keys.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether he has one of these roles.
    pub(super) fn has_one_of(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.0.roles.contains(role))
    }

    /// Counts a charge that he asks for. Errors: he has asked for more than was agreed; after how many seconds he may go on.
    pub(super) fn count_charge(&self) -> Result<(), Problem> {
        let Some(charges) = &self.0.charges else { return Ok(()) };
        charges.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(charges.clock().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = "more charges a second than were agreed with this caller";
            Problem::new(Code::TooManyRequests, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
        })
    }

    /// What bounds his requests under way.
    pub(super) fn requests(&self) -> &Arc<Semaphore> {
        &self.0.requests
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        // Only a route that is open to anyone comes here without.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::internal("the route lets in unknown callers"))
    }
}

/// Lets a request through to its route, with its [`Caller`], or answers 401 or 403.
pub(super) async fn authorise(
    State((api, access)): State<(Api, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    if access == Access::Anyone {
        return next.run(request).await;
    }
    let caller = match bearer(request.headers()).map(|token| api.callers().of_token(token)) {
        Some(Some(caller)) => caller,
        Some(None) => {
            return unauthenticated("Bearer error=\"invalid_token\"", "the token is not known").into_response();
        }
        None => return unauthenticated("Bearer", "send the header Authorization: Bearer TOKEN").into_response(),
    };
    Span::current().record("caller", caller.name());
    if let Access::OneOf(roles) = access
        && !caller.has_one_of(roles)
    {
        let wanted: Vec<&str> = roles.iter().map(|role| role.code()).collect();
        let detail = format!("one of these roles is needed: {}", wanted.join(", "));
        let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
        return Problem::new(Code::Forbidden, detail).with(header::WWW_AUTHENTICATE, challenge).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn unauthenticated(challenge: &'static str, detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail).with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
