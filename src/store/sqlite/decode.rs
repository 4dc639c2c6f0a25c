//! Rows back into values. What a row should not be able to hold is an error that names the table.

use serde::de::DeserializeOwned;
use sqlx::{Row, ValueRef, sqlite::SqliteRow};

use crate::{
    charge::Reference,
    clock::Timestamp,
    ledger::Account,
    money::{Currency, Money},
    msisdn::Msisdn,
    passenger::MoPart,
    store::{
        Balance, IncomingSms, KeptMo, MessageState, OutgoingSms, Owner, ParkedReceipt, QueuedSms, Slot, StoreError,
        StoredBreak, StoredTicket, Verbatim,
    },
};

/// A JSON body.
pub(super) fn body<T: DeserializeOwned>(row: &SqliteRow, column: usize, table: &'static str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| corrupt(table, text, error))
}

/// Sixteen bytes.
pub(super) fn reference(row: &SqliteRow, column: usize) -> Result<Reference, StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map(Reference::from_bytes).map_err(|error| corrupt("references", &format!("{bytes:?}"), error))
}

/// Thirty-two bytes.
pub(super) fn hash(row: &SqliteRow, column: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error| corrupt(table, &format!("{bytes:?}"), error))
}

/// Milliseconds since 1970.
pub(super) fn moment(row: &SqliteRow, column: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_unix_ms(row.try_get(column)?))
}

pub(super) fn maybe_moment(row: &SqliteRow, column: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
}

/// An integer that fits its type.
pub(super) fn small<T>(row: &SqliteRow, column: usize, table: &'static str) -> Result<T, StoreError>
where
    T: TryFrom<i64, Error: std::fmt::Display>,
{
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|error| corrupt(table, &number.to_string(), error))
}

/// A word of ours that reads itself from text.
pub(super) fn word<T>(row: &SqliteRow, column: usize, table: &'static str) -> Result<T, StoreError>
where
    T: DeserializeOwned,
{
    let text: String = row.try_get(column)?;
    serde_json::from_value(text.clone().into()).map_err(|error| corrupt(table, &text, error))
}

pub(super) fn msisdn(row: &SqliteRow, column: usize, table: &'static str) -> Result<Msisdn, StoreError> {
    let digits: u64 = small(row, column, table)?;
    Msisdn::from_e164(digits).map_err(|error| corrupt(table, &digits.to_string(), error))
}

/// minor, currency.
pub(super) fn money(row: &SqliteRow, column: usize, table: &'static str) -> Result<Money, StoreError> {
    let currency: Currency = word(row, column + 1, table)?;
    Ok(Money::new(row.try_get(column)?, currency))
}

/// words, salt.
pub(super) fn verbatim(row: &SqliteRow, from: usize) -> Result<Verbatim, StoreError> {
    let salt: &[u8] = row.try_get(from + 1)?;
    let salt = salt.try_into().map_err(|error| corrupt("evidence", &format!("{salt:?}"), error))?;
    Ok(Verbatim { words: row.try_get(from)?, salt })
}

/// reference, passengers, held_until.
pub(super) fn slot(row: &SqliteRow, from: usize) -> Result<Slot, StoreError> {
    Ok(Slot {
        reference: reference(row, from)?,
        passengers: small(row, from + 1, "slots")?,
        held_until: moment(row, from + 2)?,
    })
}

/// reference, attempt, refund.
pub(super) fn owner(row: &SqliteRow, from: usize) -> Result<Owner, StoreError> {
    let of = reference(row, from)?;
    let is_there = |column| row.try_get_raw(column).map(|value| !value.is_null());
    Ok(match (is_there(from + 1)?, is_there(from + 2)?) {
        (true, _) => Owner::Attempt { reference: of, attempt: small(row, from + 1, "carrier_ids")? },
        (false, true) => Owner::Refund { reference: of, refund: reference(row, from + 2)? },
        (false, false) => Owner::Message(of),
    })
}

/// id, carrier, carrier_id, msisdn, received_at, body.
pub(super) fn parked_receipt(row: &SqliteRow, from: usize) -> Result<ParkedReceipt, StoreError> {
    Ok(ParkedReceipt {
        id: row.try_get(from)?,
        carrier: word(row, from + 1, "parked")?,
        carrier_id: row.try_get(from + 2)?,
        msisdn: match row.try_get::<Option<i64>, _>(from + 3)? {
            Some(_) => Some(msisdn(row, from + 3, "parked")?),
            None => None,
        },
        received_at: moment(row, from + 4)?,
        body: body(row, from + 5, "parked")?,
    })
}

/// reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at.
pub(super) fn ticket(row: &SqliteRow) -> Result<StoredTicket, StoreError> {
    Ok(StoredTicket {
        reference: reference(row, 0)?,
        msisdn: msisdn(row, 1, "tickets")?,
        vehicle: word(row, 2, "tickets")?,
        short_code: row.try_get(3)?,
        cwt: row.try_get(4)?,
        issued_at: moment(row, 5)?,
        expires_at: moment(row, 6)?,
        revoked_at: maybe_moment(row, 7)?,
    })
}

/// id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at, part_reference, part_wide,
/// part_total, part_number.
pub(super) fn incoming(row: &SqliteRow, from: usize) -> Result<IncomingSms, StoreError> {
    let fingerprint: &[u8] = row.try_get(from + 5)?;
    let part = match row.try_get::<Option<i64>, _>(from + 13)? {
        Some(_) => Some(MoPart {
            reference_number: small(row, from + 10, "mos")?,
            wide: row.try_get(from + 11)?,
            total: small(row, from + 12, "mos")?,
            number: small(row, from + 13, "mos")?,
        }),
        None => None,
    };
    Ok(IncomingSms {
        id: reference(row, from)?,
        carrier: word(row, from + 1, "mos")?,
        msisdn: msisdn(row, from + 2, "mos")?,
        destination: row.try_get(from + 3)?,
        text: row.try_get(from + 4)?,
        part,
        kind: word(row, from + 8, "mos")?,
        fingerprint: fingerprint.try_into().map_err(|error| corrupt("mos", &format!("{fingerprint:?}"), error))?,
        received_at: moment(row, from + 6)?,
        kept_at: moment(row, from + 9)?,
        same_since: moment(row, from + 7)?,
    })
}

/// The columns of [`incoming`], answer_by, answered_at.
pub(super) fn kept_mo(row: &SqliteRow) -> Result<KeptMo, StoreError> {
    Ok(KeptMo { message: incoming(row, 0)?, answer_by: maybe_moment(row, 14)?, answered_at: maybe_moment(row, 15)? })
}

/// id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at.
pub(super) fn queued(row: &SqliteRow) -> Result<QueuedSms, StoreError> {
    let about = match row.try_get::<Option<&[u8]>, _>(1)? {
        Some(_) => Some(reference(row, 1)?),
        None => None,
    };
    let message = OutgoingSms {
        id: reference(row, 0)?,
        reference: about,
        carrier: word(row, 2, "messages")?,
        msisdn: msisdn(row, 3, "messages")?,
        text: row.try_get(4)?,
        ticket: row.try_get(5)?,
        created_at: moment(row, 6)?,
        expires_at: moment(row, 7)?,
    };
    let state: MessageState = word(row, 8, "messages")?;
    Ok(QueuedSms { message, state, tries: small(row, 9, "messages")?, due_at: moment(row, 10)? })
}

/// account, currency, minor.
pub(super) fn balance(row: &SqliteRow) -> Result<Balance, StoreError> {
    let account: Account = word(row, 0, "ledger")?;
    Ok(Balance { account, currency: word(row, 1, "ledger")?, minor: row.try_get(2)? })
}

/// reference, kind, at, amount_minor, currency.
pub(super) fn stored_break(row: &SqliteRow) -> Result<StoredBreak, StoreError> {
    Ok(StoredBreak {
        reference: row.try_get::<Option<&[u8]>, _>(0)?.map(|_| reference(row, 0)).transpose()?,
        piece: row.try_get(1)?,
        kind: row.try_get(2)?,
        at: moment(row, 3)?,
        amount: row.try_get::<Option<i64>, _>(4)?.map(|_| money(row, 4, "breaks")).transpose()?,
    })
}

pub(super) fn corrupt(table: &'static str, row: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { table, row: row.chars().take(80).collect(), why: error.to_string() }
}
