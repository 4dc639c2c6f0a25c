//! The rows of a charge as plain SQL writes them: a statement for each table, of one charge or of many, on SQLite and on PostgreSQL.
//!
//! No guard is asked and nobody is answered. What only the engine needs is left out, and what it would cost by hand with it: the sums of
//! sales and the count of commits are rows that every transaction changes, over which commits by hand would wait for each other.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{LazyLock, Mutex, PoisonError},
};

use smsbusd::charge::Reference;
use sqlx::{
    Arguments, AssertSqlSafe, Encode, Type,
    postgres::{PgArguments, PgConnection},
    sqlite::{SqliteArguments, SqliteConnection},
};
use uuid::Uuid;

/// What stands in a column.
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Flag(bool),
    Text(&'a str),
    /// Of others: PostgreSQL keeps it as bytes.
    AnyText(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
    Name(Option<Reference>),
    Body(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Flag,
    Text,
    AnyText,
    Bytes,
    Name,
    Body,
}

impl Kind {
    const fn in_postgres(self) -> &'static str {
        match self {
            Kind::Int => "bigint",
            Kind::Flag => "boolean",
            Kind::Text | Kind::Body => "text",
            Kind::AnyText | Kind::Bytes => "bytea",
            Kind::Name => "uuid",
        }
    }
}

/// One statement of a transaction, for any number of rows.
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    pub(crate) how: How,
}

pub(crate) enum How {
    /// Into the table, with further columns that the database itself knows: `{n}` is the number of the row, from 1.
    Insert { table: &'static str, known: Option<Known> },
    /// What follows `UPDATE`, for a row `new`.
    Update { table: &'static str, set: &'static str, of: &'static str },
}

pub(crate) struct Known {
    pub(crate) column: &'static str,
    /// None where the column is filled by itself.
    pub(crate) sqlite: Option<&'static str>,
    pub(crate) postgres: &'static str,
}

/// The rows of one statement, one after another.
pub(crate) struct Rows<'a> {
    pub(crate) statement: &'static Statement,
    pub(crate) values: Vec<Value<'a>>,
}

impl Rows<'_> {
    fn count(&self) -> usize {
        self.values.len() / self.statement.columns.len()
    }
}

/// A statement, for which database or in which form, and for how many rows.
type TextKey = (&'static str, &'static str, usize);

/// Texts, made once: the database knows them as prepared from then on.
static TEXTS: LazyLock<Mutex<HashMap<TextKey, &'static str>>> = LazyLock::new(Mutex::default);

fn text(key: TextKey, make: impl FnOnce() -> String) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry(key).or_insert_with(|| Box::leak(make().into_boxed_str()))
}

impl Statement {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// `VALUES` with a placeholder for each value.
    fn plain(&self, rows: usize, known: impl Fn(&Known) -> Option<&'static str>) -> String {
        match &self.how {
            How::Insert { table, known: column } => {
                let column = column.as_ref().and_then(|column| Some((column.column, known(column)?)));
                let names: Vec<&str> = column.iter().map(|(name, _)| *name).chain(self.names()).collect();
                let mut sql = format!("INSERT INTO {table} ({}) VALUES ", names.join(", "));
                for row in 0..rows {
                    let comma = if row == 0 { "(" } else { ", (" };
                    sql.push_str(comma);
                    let first = column.iter().map(|(_, value)| value.replace("{n}", &(row + 1).to_string()));
                    let own = (1..=self.columns.len()).map(|place| format!("${}", row * self.columns.len() + place));
                    sql.push_str(&first.chain(own).collect::<Vec<_>>().join(", "));
                    sql.push(')');
                }
                sql
            }
            How::Update { table, set, of } => {
                assert_eq!(rows, 1, "{}: plain updates are of one row", self.name);
                let mut sql = format!("UPDATE {table} SET {set} WHERE {of}");
                // The longest names first: none is the beginning of one that is still to be replaced.
                let mut places: Vec<(usize, &str)> = (1..).zip(self.names()).collect();
                places.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
                for (place, name) in places {
                    sql = sql.replace(&format!("new.{name}"), &format!("${place}"));
                }
                sql
            }
        }
    }

    /// `unnest` of a column of values for each column.
    fn set(&self) -> String {
        let arrays: Vec<String> =
            (1..).zip(self.columns).map(|(n, (_, kind))| format!("${n}::{}[]", kind.in_postgres())).collect();
        let names = self.names().join(", ");
        let rows = format!("unnest({}) WITH ORDINALITY AS new ({names}, n)", arrays.join(", "));
        let mut sql = String::new();
        match &self.how {
            How::Insert { table, known: None } => {
                write!(sql, "INSERT INTO {table} ({names}) SELECT {names} FROM {rows}")
            }
            How::Insert { table, known: Some(Known { column, postgres, .. }) } => {
                let value = postgres.replace("{n}", "n");
                write!(sql, "INSERT INTO {table} ({column}, {names}) SELECT {value}, {names} FROM {rows}")
            }
            How::Update { table, set, of } => write!(sql, "UPDATE {table} SET {set} FROM {rows} WHERE {of}"),
        }
        .expect("a text grows");
        sql
    }
}

/// A connection that writes by hand.
pub(crate) enum ByHand {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl ByHand {
    pub(crate) async fn begin(&mut self) {
        match self {
            ByHand::Sqlite(db) => drop(sqlx::raw_sql("BEGIN IMMEDIATE").execute(db).await.unwrap()),
            ByHand::Postgres(db) => drop(sqlx::raw_sql("BEGIN").execute(db).await.unwrap()),
        }
    }

    pub(crate) async fn commit(&mut self) {
        match self {
            ByHand::Sqlite(db) => drop(sqlx::raw_sql("COMMIT").execute(db).await.unwrap()),
            ByHand::Postgres(db) => drop(sqlx::raw_sql("COMMIT").execute(db).await.unwrap()),
        }
    }

    /// Plain statements, one for each table.
    pub(crate) async fn write_plainly(&mut self, all: Vec<Rows<'_>>) {
        for rows in all {
            let (count, statement) = (rows.count(), rows.statement);
            let changed = match self {
                _ if count == 0 => continue,
                ByHand::Sqlite(db) => {
                    let sql = text((statement.name, "sqlite", count), || statement.plain(count, |known| known.sqlite));
                    let mut arguments = SqliteArguments::default();
                    rows.values.into_iter().for_each(|value| bind_sqlite(&mut arguments, value));
                    let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
                    query.execute(db).await.unwrap().rows_affected()
                }
                ByHand::Postgres(db) => {
                    let plain = || statement.plain(count, |known| Some(known.postgres));
                    let sql = text((statement.name, "postgres", count), plain);
                    let mut arguments = PgArguments::default();
                    rows.values.into_iter().for_each(|value| bind_postgres(&mut arguments, value));
                    let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
                    query.execute(db).await.unwrap().rows_affected()
                }
            };
            assert_eq!(changed, count as u64, "{}", statement.name);
        }
    }

    /// Set statements, one for each table and all its rows. PostgreSQL only: those of SQLite read JSON and are written out in `raw`.
    pub(crate) async fn write_sets(&mut self, all: Vec<Rows<'_>>) {
        let ByHand::Postgres(db) = self else { unreachable!("sets of columns are PostgreSQL's") };
        for rows in all {
            let (count, statement) = (rows.count(), rows.statement);
            if count == 0 {
                continue;
            }
            let sql = text((statement.name, "set", 0), || statement.set());
            let query = sqlx::query_with(AssertSqlSafe(sql), columns(&rows));
            let changed = query.execute(&mut *db).await.unwrap().rows_affected();
            assert_eq!(changed, count as u64, "{}", statement.name);
        }
    }
}

fn bind_sqlite(arguments: &mut SqliteArguments, value: Value<'_>) {
    match value {
        Value::Int(int) => arguments.add(int),
        Value::Flag(flag) => arguments.add(flag),
        Value::Text(text) => arguments.add(text.to_owned()),
        Value::AnyText(text) => arguments.add(text.map(str::to_owned)),
        Value::Bytes(bytes) => arguments.add(bytes.map(<[u8]>::to_vec)),
        Value::Name(name) => arguments.add(name.map(|name| name.as_bytes().to_vec())),
        Value::Body(body) => arguments.add(body),
    }
    .unwrap();
}

fn bind_postgres(arguments: &mut PgArguments, value: Value<'_>) {
    match value {
        Value::Int(int) => arguments.add(int),
        Value::Flag(flag) => arguments.add(flag),
        Value::Text(text) => arguments.add(text),
        Value::AnyText(text) => arguments.add(text.map(str::as_bytes)),
        Value::Bytes(bytes) => arguments.add(bytes),
        Value::Name(name) => arguments.add(name.map(uuid)),
        Value::Body(body) => arguments.add(body),
    }
    .unwrap();
}

fn columns(rows: &Rows<'_>) -> PgArguments {
    let mut arguments = PgArguments::default();
    let width = rows.statement.columns.len();
    for (place, (_, kind)) in rows.statement.columns.iter().enumerate() {
        let values = || rows.values.iter().skip(place).step_by(width);
        match kind {
            Kind::Int => {
                column(&mut arguments, values(), |value| if let Value::Int(int) = value { Some(*int) } else { None })
            }
            Kind::Flag => {
                column(&mut arguments, values(), |value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
            }
            Kind::Text => {
                column(&mut arguments, values(), |value| if let Value::Text(text) = value { Some(*text) } else { None })
            }
            Kind::AnyText => column(&mut arguments, values(), |value| {
                if let Value::AnyText(text) = value { Some(text.map(str::as_bytes)) } else { None }
            }),
            Kind::Bytes => {
                column(
                    &mut arguments,
                    values(),
                    |value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None },
                )
            }
            Kind::Name => column(&mut arguments, values(), |value| {
                if let Value::Name(name) = value { Some(name.map(uuid)) } else { None }
            }),
            Kind::Body => {
                column(
                    &mut arguments,
                    values(),
                    |value| if let Value::Body(body) = value { Some(body.as_str()) } else { None },
                )
            }
        }
    }
    arguments
}

fn column<'v, 'a: 'v, T>(
    arguments: &mut PgArguments,
    values: impl Iterator<Item = &'v Value<'a>>,
    of: impl Fn(&'v Value<'a>) -> Option<T>,
) where
    Vec<T>: Encode<'v, sqlx::Postgres> + Type<sqlx::Postgres>,
{
    let values: Vec<T> = values.map(|value| of(value).expect("a value of its column's kind")).collect();
    arguments.add(values).unwrap();
}

fn uuid(name: Reference) -> Uuid {
    Uuid::from_bytes(*name.as_bytes())
}
