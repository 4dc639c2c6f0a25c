//! From an address to a stream of bytes.

use std::time::Duration;

use tokio::time;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::super::{DownWhy, Endpoint, Tls};
use crate::process::{self, Connection};

/// A connection, in the clear or in TLS.
pub type Stream = Either<Connection, TlsStream<Connection>>;

/// Connects, within a time that covers name resolution and TLS.
///
/// Errors: nobody is there, or not in time; the certificate is not what we trust.
pub async fn connect(endpoint: Endpoint, tls: Option<Tls>, within: Duration) -> Result<Stream, DownWhy> {
    let connecting = async {
        let stream = process::connect(&endpoint.host, endpoint.port)
            .await
            .map_err(|error| DownWhy::Connect(error.to_string()))?;
        Ok(match tls {
            None => Either::Left(stream),
            Some(tls) => Either::Right(tls.connect(stream, &endpoint.host).await?),
        })
    };
    time::timeout(within, connecting).await.unwrap_or(Err(DownWhy::ConnectTimeout(within)))
}
