//! Reads a table in both stores, side by side in the order of its key, and compares every value. What it reads, it has from the stores
//! (see [`schema`](super::schema)); nothing here is shared with who copied.

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{
    AssertSqlSafe, Column, Row, TypeInfo, ValueRef,
    postgres::{PgConnection, PgRow},
    sqlite::{SqliteConnection, SqliteRow},
};
use uuid::Uuid;

use super::{answered, error::TransferError, schema::SharedTable};

/// A table that is the same in both stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over every value of every row, in the order of its key. Both stores lead to it.
    pub digest: [u8; 32],
}

/// A value whatever its column's type is called: what SQLite keeps as 0 or 1 may be a boolean, a text may be bytes, bytes a `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'r> {
    Nothing,
    Integer(i64),
    Bytes(&'r [u8]),
}

/// Compares a table, in the transactions that are open. The memory that it takes does not grow with the rows.
///
/// Errors: [`TransferError::Differs`] at the first row that is not the same; a store cannot be read.
pub(super) async fn compare(
    table: &SharedTable,
    source: &mut SqliteConnection,
    target: &mut PgConnection,
) -> Result<ComparedTable, TransferError> {
    let (ours, theirs) = selections(table);
    let mut ours = sqlx::query(AssertSqlSafe(ours)).fetch(source);
    let mut theirs = sqlx::query(AssertSqlSafe(theirs)).fetch(target);
    let (mut of_ours, mut of_theirs) = (Sha256::new(), Sha256::new());
    let mut rows = 0;
    loop {
        let pair = (answered(ours.try_next()).await?, answered(theirs.try_next()).await?);
        let (here, there) = match &pair {
            (None, None) => break,
            (Some(here), Some(there)) => (sqlite_values(here)?, postgres_values(there)?),
            (Some(here), None) => return Err(differs(table, &sqlite_values(here)?, "only the source has it")),
            (None, Some(there)) => return Err(differs(table, &postgres_values(there)?, "only the target has it")),
        };
        add(&mut of_ours, &here);
        add(&mut of_theirs, &there);
        if here != there {
            return Err(difference(table, &here, &there));
        }
        rows += 1;
    }
    let (digest, theirs) = (of_ours.finalize(), of_theirs.finalize());
    match digest == theirs {
        true => Ok(ComparedTable { name: table.name.clone(), rows, digest: digest.into() }),
        false => Err(differs(table, &[], "the digests over all rows differ")),
    }
}

/// How each store reads the table. Both compare integers as numbers, and texts and bytes by their bytes: so the order is the same.
pub(super) fn selections(table: &SharedTable) -> (String, String) {
    let quoted = |columns: &[String]| columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>();
    let columns = quoted(&table.columns);
    let key: Vec<&str> = table.key.iter().map(|place| columns[*place].as_str()).collect();
    let rest = format!("FROM \"{}\" ORDER BY {}", table.name, key.join(", "));
    (format!("SELECT {} {rest}", table.expressions.join(", ")), format!("SELECT {} {rest}", columns.join(", ")))
}

fn sqlite_values(row: &SqliteRow) -> Result<Vec<Value<'_>>, TransferError> {
    let value = |place: usize| {
        let raw = row.try_get_raw(place)?;
        Ok(match raw.type_info().name() {
            _ if raw.is_null() => Value::Nothing,
            "INTEGER" => Value::Integer(row.try_get(place)?),
            "TEXT" => Value::Bytes(row.try_get::<&str, _>(place)?.as_bytes()),
            "BLOB" => Value::Bytes(row.try_get(place)?),
            other => return Err(unknown_type(row.column(place).name(), other)),
        })
    };
    (0..row.len()).map(value).collect()
}

fn postgres_values(row: &PgRow) -> Result<Vec<Value<'_>>, TransferError> {
    let value = |place: usize| {
        Ok(match row.column(place).type_info().name() {
            _ if row.try_get_raw(place)?.is_null() => Value::Nothing,
            "INT8" => Value::Integer(row.try_get(place)?),
            "BOOL" => Value::Integer(row.try_get::<bool, _>(place)?.into()),
            "TEXT" | "BYTEA" | "UUID" => Value::Bytes(row.try_get_unchecked(place)?),
            other => return Err(unknown_type(row.column(place).name(), other)),
        })
    };
    (0..row.len()).map(value).collect()
}

fn unknown_type(column: &str, known_as: &str) -> TransferError {
    TransferError::Tables { table: format!("column {column}"), why: format!("{known_as} is no type of the books") }
}

/// No two rows are hashed alike: each value says what it is, and how long.
fn add(digest: &mut Sha256, values: &[Value<'_>]) {
    for value in values {
        match value {
            Value::Nothing => digest.update(b"-"),
            Value::Integer(number) => {
                digest.update(b"I");
                digest.update(number.to_be_bytes());
            }
            Value::Bytes(bytes) => {
                digest.update(b"B");
                digest.update((bytes.len() as u64).to_be_bytes());
                digest.update(bytes);
            }
        }
    }
}

/// What is wrong where two rows are not the same: their columns, or one of them is in one store only.
fn difference(table: &SharedTable, here: &[Value<'_>], there: &[Value<'_>]) -> TransferError {
    let (ours, theirs) = (key(table, here), key(table, there));
    if ours != theirs {
        return differs(table, here, &format!("the target has {theirs} in its place"));
    }
    let columns = table.columns.iter().zip(here.iter().zip(there)).filter(|(_, (here, there))| here != there);
    let columns: Vec<&str> = columns.map(|(column, _)| column.as_str()).collect();
    differs(table, here, &format!("the target has something else in {}", columns.join(", ")))
}

fn differs(table: &SharedTable, row: &[Value<'_>], why: &str) -> TransferError {
    TransferError::Differs { table: table.name.clone(), row: key(table, row), why: why.into() }
}

/// What names a row. Texts are shown as such, references as people know them, and other bytes in hex.
fn key(table: &SharedTable, row: &[Value<'_>]) -> String {
    let shown = |value: &Value<'_>| match *value {
        Value::Nothing => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Bytes(bytes) => match (Uuid::from_slice(bytes), std::str::from_utf8(bytes)) {
            (_, Ok(text)) if !text.contains(char::is_control) => format!("{text:?}"),
            (Ok(reference), _) => reference.to_string(),
            _ => data_encoding::HEXLOWER.encode(bytes),
        },
    };
    let values = table.key.iter().filter_map(|place| row.get(*place)).map(shown);
    values.collect::<Vec<String>>().join(", ")
}
