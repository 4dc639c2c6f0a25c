//! A way to an interface without a socket, for simulations on tokio's paused clock.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request},
};
use thiserror::Error;
use tower::ServiceExt;

use super::{
    Interface, router,
    server::{Connection, WholeUri},
};
use crate::simulator::shared::Shared;

/// A way to one interface. What has begun goes on if the client hangs up, as behind a socket.
#[derive(Clone, Debug)]
pub struct Door(Router);

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// The connection was reset.
    #[error("the connection was reset")]
    Reset,
    /// The answer broke off in its body.
    #[error("the answer broke off")]
    BrokenOff,
    /// The answer is longer than the client reads.
    #[error("the answer is too long")]
    TooLong,
}

impl Door {
    pub(in crate::simulator) fn new(shared: &Arc<Shared>, interface: Interface) -> Door {
        Door(router(shared, interface))
    }

    /// Carries out a request; status, header fields and body of its answer, of which at most `body_bytes_max` are read. Errors:
    /// there is none.
    pub async fn request(
        &self,
        mut request: Request<Body>,
        body_bytes_max: usize,
    ) -> Result<(u16, HeaderMap, Bytes), NoAnswer> {
        let connection = Connection::default();
        let uri = WholeUri(request.uri().clone());
        request.extensions_mut().insert(uri);
        request.extensions_mut().insert(connection.clone());
        let response = tokio::select! {
            biased;
            () = connection.is_reset() => return Err(NoAnswer::Reset),
            response = self.0.clone().oneshot(request) => response.map_err(|never| match never {})?,
        };
        let (head, body) = response.into_parts();
        let body = to_bytes(body, body_bytes_max).await.map_err(|error| {
            let too_long = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
            if too_long { NoAnswer::TooLong } else { NoAnswer::BrokenOff }
        })?;
        Ok((head.status.as_u16(), head.headers, body))
    }
}
