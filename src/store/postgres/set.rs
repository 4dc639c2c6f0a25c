//! Set statements: one for many rows, which travel as columns. `unnest` makes rows of them again.

use std::sync::OnceLock;

use serde::Serialize;
use sqlx::{
    Arguments, AssertSqlSafe, Encode, Postgres, Row, Type,
    postgres::{PgArguments, PgConnection, PgRow},
};
use uuid::Uuid;

use crate::{
    charge::Reference,
    eligibility::{FactName, FactSource, FactValue},
    ledger::Account,
    passenger::Language,
    store::{
        StoreError,
        sql::{
            guards::{
                AnswerGuard, BoundGuard, ClaimGuard, IdQuestion, KeyQuestion, MoGuard, PartGuard, PriorRow,
                SettlementGuard,
            },
            tables::{
                AnyText, AttemptRow, BreakRow, CarrierIdRow, ChangedRow, EvidenceRow, FactRow, FailedRow,
                FingerprintRow, HeldRow, Hex, HomeRow, JournalRow, KeyRow, LanguageRow, LedgerRow, MessageRow, MoRow,
                MomentRow, MovedRow, OpenedRow, ParkedRow, PlaceRow, RefundRow, ReleasedRow, SalesRow, SlotRow,
                TicketRow, UnownedRow, WatchRow, WebhookRow, WithBodies,
            },
        },
    },
    transit::VehicleCode,
};

/// A statement for many rows at once. In its text, `{rows}` stands for the rows, as a table with their columns and their `ordinality`,
/// which counts from 1; and `{body}` for a row's body.
pub(super) struct SetStatement {
    template: &'static str,
    text: OnceLock<String>,
}

impl SetStatement {
    pub(super) const fn new(template: &'static str) -> SetStatement {
        SetStatement { template, text: OnceLock::new() }
    }

    /// What the statement returns for these rows. Nothing is run for no rows.
    pub(super) async fn select<R: SetRow>(
        &'static self,
        db: &mut PgConnection,
        rows: &[R],
    ) -> Result<Vec<PgRow>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let query = sqlx::query_with(AssertSqlSafe(self.text::<R>()), arguments(rows)?);
        Ok(query.fetch_all(db).await?)
    }

    /// How many rows the statement changed. Nothing is run for no rows.
    pub(super) async fn write<R: SetRow>(&'static self, db: &mut PgConnection, rows: &[R]) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let query = sqlx::query_with(AssertSqlSafe(self.text::<R>()), arguments(rows)?);
        Ok(query.execute(db).await?.rows_affected())
    }

    /// As [`SetStatement::write`], with the bodies of the rows as one parameter behind their columns.
    pub(super) async fn write_bodies<R: SetRow>(
        &'static self,
        db: &mut PgConnection,
        WithBodies { rows, bodies }: &WithBodies<R>,
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut arguments = arguments(rows)?;
        add(&mut arguments, bodies)?;
        let query = sqlx::query_with(AssertSqlSafe(self.text::<R>()), arguments);
        Ok(query.execute(db).await?.rows_affected())
    }

    /// The statement as it is sent. It is always used with rows of one type.
    fn text<R: SetRow>(&'static self) -> &'static str {
        self.text.get_or_init(|| self.numbered::<R>(1))
    }

    /// The statement, with its parameters counted from `first`.
    fn numbered<R: SetRow>(&self, first: usize) -> String {
        let columns = R::columns();
        let arrays: Vec<String> = columns.iter().zip(first..).map(|((_, sql), n)| format!("${n}::{sql}[]")).collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rows = format!("unnest({}) WITH ORDINALITY AS new ({}, ordinality)", arrays.join(", "), names.join(", "));
        let body = format!("convert_from(substr(${}, body_at::int, body_bytes::int), 'UTF8')", first + columns.len());
        self.template.replace("{rows}", &rows).replace("{body}", &body)
    }
}

/// Set statements that are sent as one, because each way to the server and back costs more than what most of them do. They touch
/// different rows: none sees what the others did.
#[derive(Default)]
pub(super) struct Together {
    statements: Vec<String>,
    /// Which of them must change how many rows.
    expected: Vec<(usize, usize)>,
    arguments: PgArguments,
}

impl Together {
    /// Adds a statement, if there are rows for it.
    pub(super) fn write<R: SetRow>(&mut self, statement: &SetStatement, rows: &[R]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            self.statements.push(statement.numbered::<R>(self.arguments.len() + 1));
            R::add(rows, &mut self.arguments)?;
        }
        Ok(())
    }

    /// The same with the bodies of the rows.
    pub(super) fn write_bodies<R: SetRow>(
        &mut self,
        statement: &SetStatement,
        WithBodies { rows, bodies }: &WithBodies<R>,
    ) -> Result<(), StoreError> {
        self.write(statement, rows)?;
        if rows.is_empty() { Ok(()) } else { add(&mut self.arguments, bodies) }
    }

    /// The statement that was added last for these rows must change as many as they are.
    pub(super) fn expect_all<R>(&mut self, rows: &[R]) {
        if let Some(last) = self.statements.len().checked_sub(1)
            && !rows.is_empty()
        {
            self.expected.push((last, rows.len()));
        }
    }

    /// Runs them all. Whether each changed as many rows as it must.
    pub(super) async fn run(self, db: &mut PgConnection) -> Result<bool, StoreError> {
        if self.statements.is_empty() {
            return Ok(true);
        }
        let counted = |place| self.expected.iter().any(|(of, _)| *of == place);
        let parts = self.statements.iter().enumerate().map(|(place, statement)| {
            let returning = if counted(place) { " RETURNING 1" } else { "" };
            format!("done_{place} AS ({statement}{returning})")
        });
        let counts = self.expected.iter().map(|(place, _)| format!("(SELECT count(*) FROM done_{place})"));
        let text = format!(
            "WITH {} SELECT ARRAY[{}]::bigint[]",
            parts.collect::<Vec<_>>().join(",\n"),
            counts.collect::<Vec<_>>().join(", ")
        );
        let row = sqlx::query_with(AssertSqlSafe(text), self.arguments).fetch_one(db).await?;
        let changed: Vec<i64> = row.try_get(0)?;
        let mut each = self.expected.iter().zip(changed);
        Ok(each.all(|((_, expected), changed)| i64::try_from(*expected) == Ok(changed)))
    }
}

fn arguments<R: SetRow>(rows: &[R]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    R::add(rows, &mut arguments)?;
    Ok(arguments)
}

fn add<'q, T: Encode<'q, Postgres> + Type<Postgres>>(arguments: &mut PgArguments, value: T) -> Result<(), StoreError> {
    arguments.add(value).map_err(|error| StoreError::from(sqlx::Error::Encode(error)))
}

/// Rows that can travel as columns.
pub(super) trait SetRow: Sized {
    /// The names of the columns and their types in SQL, in the order in which [`SetRow::add`] adds them.
    fn columns() -> Vec<(&'static str, &'static str)>;
    fn add(rows: &[Self], arguments: &mut PgArguments) -> Result<(), StoreError>;
}

/// A value that stands in a column.
trait Column {
    const SQL: &'static str;
    type Value<'v>
    where
        Self: 'v;

    fn value(&self) -> Self::Value<'_>;
}

/// The type in SQL of the column that a field becomes.
fn sql_of<R, C: Column>(_field: fn(&R) -> &C) -> &'static str {
    C::SQL
}

macro_rules! set_rows {
    ($($row:ty { $($field:ident),+ } $(with $body:ident)?;)+) => { $(
        impl SetRow for $row {
            fn columns() -> Vec<(&'static str, &'static str)> {
                vec![
                    $((stringify!($field), sql_of(|row: &Self| &row.$field)),)+
                    $((concat!(stringify!($body), "_at"), "bigint"), (concat!(stringify!($body), "_bytes"), "bigint"),)?
                ]
            }

            fn add(rows: &[Self], arguments: &mut PgArguments) -> Result<(), StoreError> {
                // Names every field, so that one that is added to the row is added here.
                let _ = |Self { $($field: _,)+ $($body: _,)? }: &Self| ();
                $(add(arguments, rows.iter().map(|row| row.$field.value()).collect::<Vec<_>>())?;)+
                $(
                    add(arguments, rows.iter().map(|row| row.$body.body_at.value()).collect::<Vec<_>>())?;
                    add(arguments, rows.iter().map(|row| row.$body.body_bytes.value()).collect::<Vec<_>>())?;
                )?
                Ok(())
            }
        }
    )+ };
}

set_rows! {
    PriorRow<'_> { i, msisdn, vehicle, caller, key, body_sha256, mo };
    SettlementGuard<'_> { i, reference, from_version, evidence };
    KeyQuestion<'_> { i, caller, key };
    BoundGuard { i, msisdn, since, doubt_since, minor_max, purchases_max };
    ClaimGuard<'_> { i, msisdn, vehicle };
    MoGuard<'_> { i, fingerprint, same_since, same_until };
    PartGuard { i, msisdn, same_since };
    IdQuestion<'_> { i, carrier, id };
    AnswerGuard { i, mo };
    OpenedRow<'_> {
        reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at, in_doubt_since, amount_minor, currency,
        agency, caller
    } with body;
    ChangedRow { reference, opens_attempt, from_version, version, state, due_at, in_doubt_since } with body;
    KeyRow<'_> { caller, key, body_sha256, reference, repeat, used_at };
    SlotRow<'_> { msisdn, vehicle, reference, passengers, held_until, found_holder, found_until };
    HeldRow<'_> { msisdn, vehicle, holder, reference, passengers, held_until };
    ReleasedRow<'_> { msisdn, vehicle, holder };
    AttemptRow<'_> { reference, number, carrier, wire_reference, state, opened_at };
    EvidenceRow<'_> { reference, id, words, salt };
    CarrierIdRow<'_> { carrier, id, reference, attempt, refund };
    JournalRow { reference, at } with body;
    LedgerRow<'_> { reference, version, account, minor, currency, posted_at };
    TicketRow<'_> { reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at };
    MomentRow { id, at };
    MessageRow<'_> { id, reference, carrier, msisdn, text, ticket, created_at, expires_at };
    MovedRow { id, state, tries, due_at };
    MoRow<'_> {
        id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at, part_reference, part_wide,
        part_total, part_number
    };
    FingerprintRow<'_> { id, fingerprint, kept_at };
    WatchRow<'_> { carrier, at };
    ParkedRow<'_> { id, carrier, carrier_id, msisdn, received_at } with body;
    RefundRow<'_> { id, reference, carrier, state, minor, currency, opened_at };
    UnownedRow<'_> { id, kind, at };
    BreakRow { reference, kind, at, amount_minor, currency };
    LanguageRow { msisdn, language };
    FactRow<'_> { msisdn, carrier, name, value, source, observed_at };
    HomeRow<'_> { msisdn, carrier, refused_by, source, observed_at };
    SalesRow<'_> { kind, name, quarter, currency, minor };
    WebhookRow<'_> { name, cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until };
    PlaceRow<'_> { webhook, entry, part };
    FailedRow<'_> { webhook, entry, part, event_type, reference, failed_at, tries, due_at, why };
}

/// Rows of one column, named `value`.
impl SetRow for Reference {
    fn columns() -> Vec<(&'static str, &'static str)> {
        vec![("value", Reference::SQL)]
    }

    fn add(rows: &[Reference], arguments: &mut PgArguments) -> Result<(), StoreError> {
        add(arguments, rows.iter().map(|row| row.value()).collect::<Vec<_>>())
    }
}

impl SetRow for AnyText<'_> {
    fn columns() -> Vec<(&'static str, &'static str)> {
        vec![("value", AnyText::SQL)]
    }

    fn add(rows: &[AnyText<'_>], arguments: &mut PgArguments) -> Result<(), StoreError> {
        add(arguments, rows.iter().map(|row| row.value()).collect::<Vec<_>>())
    }
}

/// The version of a charge.
impl SetRow for (Reference, u32) {
    fn columns() -> Vec<(&'static str, &'static str)> {
        vec![("reference", Reference::SQL), ("version", u32::SQL)]
    }

    fn add(rows: &[(Reference, u32)], arguments: &mut PgArguments) -> Result<(), StoreError> {
        add(arguments, rows.iter().map(|(reference, _)| reference.value()).collect::<Vec<_>>())?;
        add(arguments, rows.iter().map(|(_, version)| version.value()).collect::<Vec<_>>())
    }
}

/// Everything that is kept is far below the greatest `bigint`; what claims to be beyond it is not found, and refused where it is written.
macro_rules! integers {
    ($($integer:ty),+) => { $(
        impl Column for $integer {
            const SQL: &'static str = "bigint";
            type Value<'v> = i64;

            fn value(&self) -> i64 {
                i64::try_from(*self).unwrap_or(i64::MAX)
            }
        }
    )+ };
}

integers!(i64, u64, u32, u16, u8, usize);

impl Column for bool {
    const SQL: &'static str = "boolean";
    type Value<'v> = bool;

    fn value(&self) -> bool {
        *self
    }
}

impl Column for &str {
    const SQL: &'static str = "text";
    type Value<'v>
        = &'v str
    where
        Self: 'v;

    fn value(&self) -> &str {
        self
    }
}

impl Column for AnyText<'_> {
    const SQL: &'static str = "bytea";
    type Value<'v>
        = &'v [u8]
    where
        Self: 'v;

    fn value(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Column for Hex<'_> {
    const SQL: &'static str = "bytea";
    type Value<'v>
        = &'v [u8]
    where
        Self: 'v;

    fn value(&self) -> &[u8] {
        self.0
    }
}

impl Column for Reference {
    const SQL: &'static str = "uuid";
    type Value<'v> = Uuid;

    fn value(&self) -> Uuid {
        Uuid::from_bytes(*self.as_bytes())
    }
}

impl<C: Column> Column for Option<C> {
    const SQL: &'static str = C::SQL;
    type Value<'v>
        = Option<C::Value<'v>>
    where
        Self: 'v;

    fn value(&self) -> Option<C::Value<'_>> {
        self.as_ref().map(Column::value)
    }
}

/// Words of ours, as they stand in JSON.
macro_rules! words {
    ($($word:ty),+) => { $(
        impl Column for $word {
            const SQL: &'static str = "text";
            type Value<'v> = String where Self: 'v;

            fn value(&self) -> String {
                word(self)
            }
        }
    )+ };
}

words!(&VehicleCode, &Account, Language, FactName, FactValue, &FactSource);

fn word<T: Serialize + ?Sized>(word: &T) -> String {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(text)) => text,
        other => unreachable!("a word of ours is a text, not {other:?}"),
    }
}
