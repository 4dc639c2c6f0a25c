//! Around every request: its span, one line in the log, its metrics, and the body of its error.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};
use tracing::{Instrument, error, field, info, info_span, warn};

use super::{error::Problem, headers::Trace};

const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// The outermost layer. What it logs of a request is its route and never its path, query, headers or body: those hold phone
/// numbers and tokens.
pub(super) async fn record(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let trace = Trace::of(request.headers());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span =
        info_span!("request", trace_id = trace.id, parent_id = trace.parent, method, route, caller = field::Empty,);
    let mut response = next.run(request).instrument(span.clone()).await;
    let _in_span = span.entered();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        report(&problem);
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = problem.into_answer(trace.id);
        response.headers_mut().extend(allowed.map(|allowed| (header::ALLOW, allowed)));
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (status, took) = (response.status(), begun.elapsed());
    counter!("http_requests_total", "route" => route.clone(), "method" => method, "status" => status.as_str().to_owned())
        .increment(1);
    histogram!("http_request_seconds", "route" => route).record(took);
    info!(status = status.as_u16(), took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "answered");
    response
}

fn report(problem: &Problem) {
    let code = problem.code.code();
    match problem.logged() {
        Some(detail) if problem.code.status().as_u16() == 500 => error!(code, detail, "a request failed here"),
        Some(detail) => warn!(code, detail, "a request was refused"),
        None => {}
    }
}

/// A label of a metric must come from a small set; a method is whatever the caller writes.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
