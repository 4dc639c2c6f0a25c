//! What other daemons that serve the same database ask of this one, on a listener of its own.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};

use super::{
    error::{Code, Problem},
    routes,
};
use crate::gateway::{Errand, ErrandAnswer, Gateway, NOT_TAKEN};

/// No errand is longer.
const BODY_BYTES_MAX: usize = 4 * 1_024;

pub(super) fn router(gateway: Gateway) -> Router {
    let router = Router::new().route("/errands", post(take)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    routes::finish(router.with_state(gateway))
}

async fn take(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> Response {
    let mut answer = answer(&gateway, &headers, &body).await;
    if answer.status() != StatusCode::ACCEPTED {
        answer.headers_mut().insert(NOT_TAKEN, HeaderValue::from_static("1"));
    }
    answer
}

async fn answer(gateway: &Gateway, headers: &HeaderMap, body: &[u8]) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if !token.is_some_and(|token| gateway.knows_instance(token)) {
        return Problem::new(Code::Unauthenticated, "the token is not the one of these instances").into_response();
    }
    let Ok(errand) = serde_json::from_slice::<Errand>(body) else {
        return Problem::new(Code::BadRequest, "this is no errand").into_response();
    };
    match gateway.take_errand(errand).await {
        ErrandAnswer::Taken => StatusCode::ACCEPTED,
        ErrandAnswer::Elsewhere => StatusCode::CONFLICT,
        ErrandAnswer::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
    .into_response()
}
