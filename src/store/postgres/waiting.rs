//! How long the server may be waited for. sqlx waits for ever, and a machine that lost its power says nothing.

use std::time::Duration;

use sqlx::{
    PgPool, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use tokio::time::timeout;

use crate::store::StoreError;

/// So long a read may take, or a transaction before its commit, or the commit.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What takes longer has no answer any more. The connection must be given up then, and the server's end of it is gone before another one
/// holds the database.
///
/// Errors: those of the work; a time-out is one of the connection.
pub(super) async fn in_time<T, E: Into<StoreError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, StoreError> {
    match timeout(ANSWER_MAX, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
    }
}

/// Reads that end. One that is given up closes its connection: it is in the middle of an answer.
pub(super) trait Read {
    async fn all(self, readers: &PgPool) -> Result<Vec<PgRow>, StoreError>;
    async fn one(self, readers: &PgPool) -> Result<PgRow, StoreError>;
    async fn maybe(self, readers: &PgPool) -> Result<Option<PgRow>, StoreError>;
}

impl Read for Query<'_, Postgres, PgArguments> {
    async fn all(self, readers: &PgPool) -> Result<Vec<PgRow>, StoreError> {
        in_time(self.fetch_all(readers)).await
    }

    async fn one(self, readers: &PgPool) -> Result<PgRow, StoreError> {
        in_time(self.fetch_one(readers)).await
    }

    async fn maybe(self, readers: &PgPool) -> Result<Option<PgRow>, StoreError> {
        in_time(self.fetch_optional(readers)).await
    }
}
