//! Writes the rows of a table where they are to be, as one COPY in PostgreSQL's binary form: no text is escaped, and none read anew.

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::{
    AssertSqlSafe, Row, TypeInfo, ValueRef,
    postgres::{PgConnection, PgCopyIn},
    sqlite::{SqliteConnection, SqliteRow},
};

use super::{
    answered,
    error::TransferError,
    tables::{Form, Table},
};
use crate::{charge::Channel, store::StoreError};

/// Bytes that are sent at once.
const CHUNK: usize = 256 * 1024;

/// How the binary form begins: its signature, no flags, no extension. It ends with a row of -1 columns.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Copies a table, in the transactions that are open, and says how many rows it has. The memory that it takes does not grow with them.
///
/// Errors: a store fails, or PostgreSQL refuses a row; then its transaction has ended.
pub(super) async fn copy(
    table: &Table,
    source: &mut SqliteConnection,
    target: &mut PgConnection,
) -> Result<u64, TransferError> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, names.join(", "));
    let mut copying = answered(target.copy_in_raw(&copy)).await?;
    let mut rows = sqlx::query(AssertSqlSafe(selection(table))).fetch(source);
    let mut encoded = Encoded { table, bytes: HEADER.to_vec() };
    let mut count: u64 = 0;
    while let Some(row) = answered(rows.try_next()).await? {
        encoded.row(&row)?;
        count += 1;
        if encoded.bytes.len() >= CHUNK {
            encoded.send(&mut copying).await?;
        }
    }
    encoded.bytes.extend_from_slice(TRAILER);
    encoded.send(&mut copying).await?;
    let written = answered(copying.finish()).await?;
    match written == count {
        true => Ok(count),
        false => Err(TransferError::Tables {
            table: table.name.into(),
            why: format!("of {count} rows {written} were written"),
        }),
    }
}

/// A moment of each month (UTC) that the journal or the ledger tells of.
pub(super) async fn months(source: &mut SqliteConnection) -> Result<Vec<i64>, TransferError> {
    let query = "SELECT min(moment) FROM (SELECT at AS moment FROM journal UNION ALL SELECT posted_at FROM ledger)
         GROUP BY strftime('%Y-%m', moment / 1000, 'unixepoch')";
    let rows = answered(sqlx::query(query).fetch_all(source)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn selection(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| match column.form {
        Form::Same | Form::Flag => column.name,
        Form::Read(expression) => expression,
        Form::Agency | Form::Caller => "body",
    });
    format!("SELECT {} FROM {}", columns.collect::<Vec<_>>().join(", "), table.name)
}

/// Rows as they travel.
struct Encoded<'t> {
    table: &'t Table,
    bytes: Vec<u8>,
}

impl Encoded<'_> {
    async fn send(&mut self, copying: &mut PgCopyIn<&mut PgConnection>) -> Result<(), TransferError> {
        answered(copying.send(self.bytes.as_slice())).await?;
        self.bytes.clear();
        Ok(())
    }

    /// The number of columns, then each with its length before it.
    fn row(&mut self, row: &SqliteRow) -> Result<(), TransferError> {
        let columns = i16::try_from(self.table.columns.len()).expect("tables have few columns");
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        for (place, column) in self.table.columns.iter().enumerate() {
            match column.form {
                Form::Same | Form::Read(_) => self.same(row, place)?,
                Form::Flag => {
                    let flag: Option<bool> = row.try_get(place)?;
                    self.value(flag.map(|flag| [u8::from(flag)]).as_ref().map(<[u8; 1]>::as_slice))?;
                }
                Form::Agency => self.value(Some(self.sold(row, place)?.agency.as_bytes()))?,
                Form::Caller => self.value(self.sold(row, place)?.channel.caller().map(str::as_bytes))?,
            }
        }
        Ok(())
    }

    fn same(&mut self, row: &SqliteRow, place: usize) -> Result<(), TransferError> {
        let value = row.try_get_raw(place)?;
        match value.type_info().name() {
            _ if value.is_null() => self.value(None),
            "INTEGER" => self.value(Some(&row.try_get::<i64, _>(place)?.to_be_bytes())),
            "TEXT" => self.value(Some(row.try_get::<&str, _>(place)?.as_bytes())),
            "BLOB" => self.value(Some(row.try_get(place)?)),
            other => Err(self.corrupt(place, format!("{other} is no type of a column"))),
        }
    }

    /// What was sold, from the body of a charge.
    fn sold(&self, row: &SqliteRow, place: usize) -> Result<Sold, TransferError> {
        let body: Body = serde_json::from_str(row.try_get(place)?)
            .map_err(|error| self.corrupt(place, format!("{error}; `smsbusd ledger check` says where")))?;
        Ok(body.order)
    }

    fn value(&mut self, bytes: Option<&[u8]>) -> Result<(), TransferError> {
        let length = match bytes {
            None => -1,
            Some(bytes) => i32::try_from(bytes.len()).map_err(|_| TransferError::Tables {
                table: self.table.name.into(),
                why: "a value is longer than two gigabytes".into(),
            })?,
        };
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(bytes.unwrap_or_default());
        Ok(())
    }

    fn corrupt(&self, place: usize, why: String) -> TransferError {
        StoreError::Corrupt { table: self.table.name, row: format!("column {}", self.table.columns[place].name), why }
            .into()
    }
}

/// Of a charge, all that is needed here.
#[derive(Deserialize)]
struct Body {
    order: Sold,
}

#[derive(Deserialize)]
struct Sold {
    agency: String,
    channel: Channel,
}
