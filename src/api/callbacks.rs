//! The carriers' callbacks, on a listener of their own: `/carriers/NAME/…`. Who calls is for the carrier's adapter to know.

use std::net::IpAddr;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};

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

pub(super) fn router(gateway: Gateway) -> Router {
    let router = Router::new().route("/carriers/{name}/{*rest}", any(take));
    routes::finish(router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(gateway))
}

async fn take(
    State(gateway): State<Gateway>,
    Extension(Peer(peer)): Extension<Peer>,
    Path((name, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|refused| match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::PayloadTooLarge, format!("at most {BODY_BYTES_MAX} bytes")),
        _ => Problem::new(Code::BadRequest, "the body ended too soon"),
    })?;
    let answer =
        gateway.callback(&name, &request(&name, peer, &gateway, &method, &uri, &fields(&headers), &body)).await;
    Ok(answered(answer))
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
