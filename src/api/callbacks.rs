//! The carriers' callbacks, on a listener of their own: `/carriers/NAME/…`. Who calls is for the carrier's adapter to know.

use std::{net::IpAddr, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes, HttpBody},
    extract::{DefaultBodyLimit, FromRequest, Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use tokio::time::timeout;

use super::{
    error::{Code, Problem},
    routes,
    serve::Peer,
};
use crate::{
    carrier::{CallbackAnswer, CallbackRequest},
    gateway::Gateway,
};

/// No callback of a payment is longer.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// `body_within`: how long a body may take to come.
pub(super) fn router(gateway: Gateway, body_within: Duration) -> Router {
    let router = Router::new().route("/carriers/{name}/{*rest}", any(take));
    routes::finish(router.layer(middleware::from_fn_with_state(body_within, read_in_time)).with_state(gateway))
}

/// Reads the body within its bounds: who sends it drop by drop holds a place of the listener no longer than that.
async fn read_in_time(State(within): State<Duration>, mut request: Request, next: Next) -> Response {
    let too_large = || closing(Problem::new(Code::PayloadTooLarge, format!("at most {BODY_BYTES_MAX} bytes")));
    if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
        return too_large();
    }
    DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
    let (parts, body) = request.into_parts();
    let unread = Request::from_parts(parts.clone(), body);
    match timeout(within, Bytes::from_request(unread, &())).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        Ok(Err(_)) => closing(Problem::new(Code::BadRequest, "the body ended too soon")),
        Err(_) => closing(Problem::new(Code::BadRequest, "the body did not come in time")),
    }
}

/// The rest of the body is not worth reading, so the connection ends with the answer.
fn closing(problem: Problem) -> Response {
    problem.with(header::CONNECTION, HeaderValue::from_static("close")).into_response()
}

async fn take(
    State(gateway): State<Gateway>,
    Extension(Peer(peer)): Extension<Peer>,
    Path((name, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer =
        gateway.callback(&name, &request(&name, peer, &gateway, &method, &uri, &fields(&headers), &body)).await;
    answered(answer)
}

fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn request<'a>(
    name: &str,
    peer: IpAddr,
    gateway: &Gateway,
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a [(String, Vec<u8>)],
    body: &'a Bytes,
) -> CallbackRequest<'a> {
    // As it came: a signature may be over it.
    let path = uri.path().strip_prefix("/carriers/").and_then(|rest| rest.strip_prefix(name));
    CallbackRequest {
        method: method.as_str(),
        path: path.and_then(|rest| rest.strip_prefix('/')).unwrap_or_default(),
        query: uri.query().unwrap_or_default(),
        headers,
        body,
        peer,
        received_at: gateway.now(),
    }
}

fn answered(answer: CallbackAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(value) = answer.content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
