use sqlx::{Row, postgres::PgRow, sqlite::SqliteRow};

use crate::store::StoreError;

/// A row that a database has answered with, read by column. Every integer is a `bigint`, every moment and amount too.
///
/// Errors: the column is missing, of another type, or NULL where that may not be.
pub(in crate::store) trait SqlRow {
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError>;
    fn text(&self, column: usize) -> Result<&str, StoreError>;
    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError>;
    /// Bytes, and references too.
    fn bytes(&self, column: usize) -> Result<&[u8], StoreError>;
    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError>;
    fn flag(&self, column: usize) -> Result<bool, StoreError>;
}

impl SqlRow for SqliteRow {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// Unchecked: a `uuid` is sixteen bytes, and a text that may hold any character at all stands in a `bytea`. What does not fit is an
/// error still.
impl SqlRow for PgRow {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        Ok(self.try_get_unchecked(column)?)
    }

    fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get_unchecked(column)?)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        Ok(self.try_get_unchecked(column)?)
    }

    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get_unchecked(column)?)
    }

    fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.try_get(column)?)
    }
}
