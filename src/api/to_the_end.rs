use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use tracing::{Instrument, Span};

use super::{
    auth::Caller,
    error::{Code, Problem},
    routes::Api,
};

/// Reads the body within its bounds, and then runs the handler to its end in a task of its own: a caller who hangs up must not
/// cancel a statement in the middle, and a handler that panics is an answer like any other.
pub(super) async fn to_the_end(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let deadline = Instant::now() + Duration::from_secs(api.config().request_seconds_max);
    let permit = match place(&request) {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    DefaultBodyLimit::max(api.config().body_bytes_max).apply(&mut request);
    let (parts, body) = request.into_parts();
    let unread = Request::from_parts(parts.clone(), body);
    let body = match timeout_at(deadline, Bytes::from_request(unread, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(refused)) => {
            let too_large = refused.status() == Code::PayloadTooLarge.status();
            let problem = if too_large {
                Problem::new(Code::PayloadTooLarge, format!("at most {} bytes", api.config().body_bytes_max))
            } else {
                Problem::new(Code::BadRequest, "the body ended too soon")
            };
            return closing(problem);
        }
        Err(_) => return closing(Problem::new(Code::BadRequest, "the body did not come in time")),
    };
    let request = Request::from_parts(parts, Body::from(body));
    let work = async move {
        let _permit = permit;
        next.run(request).await
    };
    match timeout_at(deadline, tokio::spawn(work.instrument(Span::current()))).await {
        Ok(Ok(response)) => response,
        Ok(Err(ended)) => Problem::internal(format!("the handler ended without an answer: {ended}")).into_response(),
        Err(_) => Problem::bare(Code::Timeout).into_response(),
    }
}

/// A place among the caller's requests under way.
fn place(request: &Request) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    let Some(caller) = request.extensions().get::<Caller>() else { return Ok(None) };
    caller.requests().clone().try_acquire_owned().map(Some).map_err(|_| Problem::later(Code::TooManyRequests))
}

/// The rest of the body is not worth reading, so the connection ends with the answer.
fn closing(problem: Problem) -> Response {
    problem.with(header::CONNECTION, HeaderValue::from_static("close")).into_response()
}
