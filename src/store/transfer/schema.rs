//! The tables as both stores have them, read from the stores themselves: what is compared does not depend on what was copied.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgConnection, sqlite::SqliteConnection};

use super::error::TransferError;

/// What is in both stores, or in one of them, and is not of the books: the state of the store itself.
const NOT_BOOKS: [&str; 14] = [
    "_sqlx_migrations",
    "pulse",
    "places",
    "writers",
    "chain_wanted",
    "moved",
    "instances",
    "leases",
    "day_ends",
    "watermarks",
    // A file's books are never retired.
    "retirements",
    "retired_blocks",
    "retired_charges",
    "carried",
];

/// Columns that only PostgreSQL has, where several daemons are served: by their defaults, what was moved is nobody's yet, and was added up by the
/// first writer.
const OF_INSTANCES: [(&str, &str); 4] =
    [("charges", "instance"), ("messages", "instance"), ("mos", "instance"), ("sales", "writer")];

/// Columns that SQLite has otherwise, and by what they are read there. SQLite itself reads the bodies of the charges here; who copies
/// them reads them by our own types.
const OTHERWISE: [(&str, &str, &str); 3] = [
    ("charges", "agency", "body->>'$.order.agency'"),
    ("charges", "caller", "body->>'$.order.channel.caller'"),
    ("mos", "kept_at", "coalesce(kept_at, received_at)"),
];

/// Columns that only SQLite has: the number of a row, to which nothing refers.
const LEFT_BEHIND: [(&str, &str); 1] = [("charges", "id")];

/// A table of the books that stands in both stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedTable {
    pub(super) name: String,
    /// In PostgreSQL's order.
    pub(super) columns: Vec<String>,
    /// How SQLite reads each of them.
    pub(super) expressions: Vec<String>,
    /// The places of the columns of PostgreSQL's primary key, in its order.
    pub(super) key: Vec<usize>,
}

/// The tables of a store, each with its columns.
pub(super) type Columns = BTreeMap<String, Vec<String>>;

/// A column, by its number, as part of its table's primary key.
type Keys = BTreeMap<String, BTreeMap<i32, String>>;

/// Every table of the books, by name.
///
/// Errors: a store cannot be read; a table or a column stands in one of them only.
pub(super) async fn shared(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
) -> Result<Vec<SharedTable>, TransferError> {
    let (mut ours, (theirs, keys)) = (of_sqlite(source).await?, of_postgres(target).await?);
    let mut tables = Vec::with_capacity(theirs.len());
    for (name, columns) in theirs {
        let Some(here) = ours.remove(&name) else { return Err(unlike(&name, "it is in the target only")) };
        tables.push(table(name, &here, columns, &keys)?);
    }
    match ours.pop_first() {
        Some((name, _)) => Err(unlike(&name, "it is in the source only")),
        None => Ok(tables),
    }
}

fn table(name: String, here: &[String], columns: Vec<String>, keys: &Keys) -> Result<SharedTable, TransferError> {
    for column in here {
        if !columns.contains(column) && !LEFT_BEHIND.contains(&(name.as_str(), column.as_str())) {
            return Err(unlike(&name, &format!("its column {column} is in the source only")));
        }
    }
    let mut expressions = Vec::with_capacity(columns.len());
    for column in &columns {
        let otherwise = OTHERWISE.iter().find(|(table, read, _)| (*table, *read) == (name.as_str(), column.as_str()));
        match otherwise {
            Some((_, _, expression)) => expressions.push((*expression).to_owned()),
            None if here.contains(column) => expressions.push(format!("\"{column}\"")),
            None => return Err(unlike(&name, &format!("its column {column} is in the target only"))),
        }
    }
    let key = keys.get(&name).into_iter().flat_map(BTreeMap::values);
    let key: Option<Vec<usize>> = key.map(|column| columns.iter().position(|known| known == column)).collect();
    match key {
        Some(key) if !key.is_empty() => Ok(SharedTable { name, columns, expressions, key }),
        _ => Err(unlike(&name, "it has no primary key in the target")),
    }
}

fn unlike(table: &str, why: &str) -> TransferError {
    TransferError::Tables { table: table.into(), why: why.into() }
}

pub(super) async fn of_sqlite(source: &mut SqliteConnection) -> Result<Columns, TransferError> {
    let query = "SELECT tables.name, columns.name
         FROM sqlite_schema AS tables JOIN pragma_table_xinfo(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY tables.name, columns.cid";
    let mut tables = Columns::new();
    for row in sqlx::query(query).fetch_all(source).await? {
        let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if !NOT_BOOKS.contains(&table.as_str()) {
            tables.entry(table).or_default().push(column);
        }
    }
    Ok(tables)
}

pub(super) async fn of_postgres(target: &mut PgConnection) -> Result<(Columns, Keys), TransferError> {
    let query = "SELECT tables.relname::text, columns.attname::text, array_position(keys.indkey::int2[], columns.attnum)
         FROM pg_class AS tables
         JOIN pg_namespace AS schemas ON schemas.oid = tables.relnamespace AND schemas.nspname = current_schema()
         JOIN pg_attribute AS columns ON columns.attrelid = tables.oid AND columns.attnum > 0 AND NOT columns.attisdropped
         LEFT JOIN pg_index AS keys ON keys.indrelid = tables.oid AND keys.indisprimary
         WHERE tables.relkind IN ('r', 'p') AND NOT tables.relispartition
         ORDER BY tables.relname, columns.attnum";
    let (mut tables, mut keys) = (Columns::new(), Keys::new());
    for row in sqlx::query(query).fetch_all(target).await? {
        let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if NOT_BOOKS.contains(&table.as_str()) || OF_INSTANCES.contains(&(table.as_str(), column.as_str())) {
            continue;
        }
        if let Some(place) = row.try_get(2)? {
            keys.entry(table.clone()).or_default().insert(place, column.clone());
        }
        tables.entry(table).or_default().push(column);
    }
    Ok((tables, keys))
}
