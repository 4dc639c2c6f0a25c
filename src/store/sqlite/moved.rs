//! The mark of a file whose books went to another store. Whoever served them here as well would charge for what is paid there.

use sqlx::sqlite::SqliteConnection;

use super::SqliteConfig;
use crate::{
    clock::Timestamp,
    store::{
        StoreError,
        sql::{decode, row::SqlRow},
    },
};

/// Where the books went, and when that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    /// The address of the other store, as it may be shown.
    pub(in crate::store) to: String,
    pub(in crate::store) at: Timestamp,
    /// Whether the other store is known to have them.
    pub(in crate::store) done: bool,
}

impl Mark {
    /// Why the file is not served, nor moved to yet another place.
    pub(in crate::store) fn refusal(self, config: &SqliteConfig) -> StoreError {
        StoreError::Moved { path: config.path.clone(), to: self.to, at: self.at, done: self.done }
    }
}

/// The mark of the file, if it has one.
pub(in crate::store) async fn mark(db: &mut SqliteConnection) -> Result<Option<Mark>, StoreError> {
    let row = sqlx::query("SELECT to_store, at, done FROM moved").fetch_optional(db).await?;
    let mark =
        row.map(|row| Ok(Mark { to: row.text(0)?.to_owned(), at: decode::moment(&row, 1)?, done: row.flag(2)? }));
    mark.transpose()
}

/// Marks the file, in the transaction that is open. An earlier mark goes: it is of a move that was broken off.
pub(in crate::store) async fn set(db: &mut SqliteConnection, mark: &Mark) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT OR REPLACE INTO moved (id, to_store, at, done) VALUES (1, ?1, ?2, ?3)");
    query.bind(&mark.to).bind(mark.at.unix_ms()).bind(mark.done).execute(db).await?;
    Ok(())
}

/// Notes that the other store has the books.
pub(in crate::store) async fn finish(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE moved SET done = 1").execute(db).await?;
    Ok(())
}

/// Takes the mark back. Only for who knows that the other store has nothing of the books.
pub(in crate::store) async fn take_back(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM moved").execute(db).await?;
    Ok(())
}
