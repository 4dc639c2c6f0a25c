//! Rows back into values. What a row should not be able to hold is an error that names the table.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::warn;

use super::row::SqlRow;
use crate::{
    charge::{Charge, Home, HomeSource, Reference},
    clock::Timestamp,
    eligibility::Fact,
    ledger::{Account, Block, DailyRoot, Entry, Head, Writer},
    money::{Currency, Money},
    msisdn::Msisdn,
    passenger::MoPart,
    store::{
        Balance, EventPlace, FailedDelivery, InDoubtSummary, IncomingSms, KeptMo, ListedRefund, MessageState,
        OutgoingSms, Outstanding, OutstandingSum, Owner, ParkedReceipt, Prior, QueuedSms, Replay, Sales, Seller,
        SettledEntry, Slot, Spent, StoreError, StoredBreak, StoredFact, StoredTicket, UnownedReceipt, Verbatim,
        WebhookEnd, WebhookStanding,
    },
    transit::VehicleCode,
};

/// A JSON body.
pub(in crate::store) fn body<T: DeserializeOwned>(
    row: &impl SqlRow,
    column: usize,
    table: &'static str,
) -> Result<T, StoreError> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|error| corrupt(table, text, error))
}

/// Sixteen bytes.
pub(in crate::store) fn reference(row: &impl SqlRow, column: usize) -> Result<Reference, StoreError> {
    let bytes = row.bytes(column)?;
    bytes.try_into().map(Reference::from_bytes).map_err(|error| corrupt("references", &format!("{bytes:?}"), error))
}

/// Thirty-two bytes.
pub(in crate::store) fn hash(row: &impl SqlRow, column: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
    let bytes = row.bytes(column)?;
    bytes.try_into().map_err(|error| corrupt(table, &format!("{bytes:?}"), error))
}

/// Milliseconds since 1970.
pub(in crate::store) fn moment(row: &impl SqlRow, column: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_unix_ms(row.int(column)?))
}

pub(in crate::store) fn maybe_moment(row: &impl SqlRow, column: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.maybe_int(column)?.map(Timestamp::from_unix_ms))
}

/// An integer that fits its type.
pub(in crate::store) fn small<T>(row: &impl SqlRow, column: usize, table: &'static str) -> Result<T, StoreError>
where
    T: TryFrom<i64, Error: std::fmt::Display>,
{
    let number = row.int(column)?;
    T::try_from(number).map_err(|error| corrupt(table, &number.to_string(), error))
}

/// A word of ours that reads itself from text.
pub(in crate::store) fn word<T>(row: &impl SqlRow, column: usize, table: &'static str) -> Result<T, StoreError>
where
    T: DeserializeOwned,
{
    let text = row.text(column)?;
    serde_json::from_value(text.into()).map_err(|error| corrupt(table, text, error))
}

pub(in crate::store) fn msisdn(row: &impl SqlRow, column: usize, table: &'static str) -> Result<Msisdn, StoreError> {
    let digits: u64 = small(row, column, table)?;
    Msisdn::from_e164(digits).map_err(|error| corrupt(table, &digits.to_string(), error))
}

/// minor, currency.
pub(in crate::store) fn money(row: &impl SqlRow, column: usize, table: &'static str) -> Result<Money, StoreError> {
    let currency: Currency = word(row, column + 1, table)?;
    Ok(Money::new(row.int(column)?, currency))
}

/// words, salt.
pub(in crate::store) fn verbatim(row: &impl SqlRow, from: usize) -> Result<Verbatim, StoreError> {
    let salt = row.bytes(from + 1)?;
    let salt = salt.try_into().map_err(|error| corrupt("evidence", &format!("{salt:?}"), error))?;
    Ok(Verbatim { words: row.text(from)?.to_owned(), salt })
}

/// reference, passengers, held_until.
pub(in crate::store) fn slot(row: &impl SqlRow, from: usize) -> Result<Slot, StoreError> {
    Ok(Slot {
        reference: reference(row, from)?,
        passengers: small(row, from + 1, "slots")?,
        held_until: moment(row, from + 2)?,
    })
}

/// reference, attempt, refund.
pub(in crate::store) fn owner(row: &impl SqlRow, from: usize) -> Result<Owner, StoreError> {
    let of = reference(row, from)?;
    Ok(match (row.maybe_int(from + 1)?.is_some(), row.maybe_bytes(from + 2)?.is_some()) {
        (true, _) => Owner::Attempt { reference: of, attempt: small(row, from + 1, "carrier_ids")? },
        (false, true) => Owner::Refund { reference: of, refund: reference(row, from + 2)? },
        (false, false) => Owner::Message(of),
    })
}

/// id, carrier, carrier_id, msisdn, received_at, body.
pub(in crate::store) fn parked_receipt(row: &impl SqlRow, from: usize) -> Result<ParkedReceipt, StoreError> {
    Ok(ParkedReceipt {
        id: row.text(from)?.to_owned(),
        carrier: word(row, from + 1, "parked")?,
        carrier_id: row.maybe_text(from + 2)?.map(str::to_owned),
        msisdn: match row.maybe_int(from + 3)? {
            Some(_) => Some(msisdn(row, from + 3, "parked")?),
            None => None,
        },
        received_at: moment(row, from + 4)?,
        body: body(row, from + 5, "parked")?,
    })
}

/// reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at.
pub(in crate::store) fn ticket(row: &impl SqlRow) -> Result<StoredTicket, StoreError> {
    Ok(StoredTicket {
        reference: reference(row, 0)?,
        msisdn: msisdn(row, 1, "tickets")?,
        vehicle: word(row, 2, "tickets")?,
        short_code: row.text(3)?.to_owned(),
        cwt: row.bytes(4)?.to_vec(),
        issued_at: moment(row, 5)?,
        expires_at: moment(row, 6)?,
        revoked_at: maybe_moment(row, 7)?,
    })
}

/// id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind, kept_at, part_reference, part_wide,
/// part_total, part_number.
pub(in crate::store) fn incoming(row: &impl SqlRow, from: usize) -> Result<IncomingSms, StoreError> {
    let fingerprint = row.bytes(from + 5)?;
    let part = match row.maybe_int(from + 13)? {
        Some(_) => Some(MoPart {
            reference_number: small(row, from + 10, "mos")?,
            wide: row.flag(from + 11)?,
            total: small(row, from + 12, "mos")?,
            number: small(row, from + 13, "mos")?,
        }),
        None => None,
    };
    Ok(IncomingSms {
        id: reference(row, from)?,
        carrier: word(row, from + 1, "mos")?,
        msisdn: msisdn(row, from + 2, "mos")?,
        destination: row.text(from + 3)?.to_owned(),
        text: row.text(from + 4)?.to_owned(),
        part,
        kind: word(row, from + 8, "mos")?,
        fingerprint: fingerprint.try_into().map_err(|error| corrupt("mos", &format!("{fingerprint:?}"), error))?,
        received_at: moment(row, from + 6)?,
        kept_at: moment(row, from + 9)?,
        same_since: moment(row, from + 7)?,
    })
}

/// The columns of [`incoming`], answer_by, answered_at.
pub(in crate::store) fn kept_mo(row: &impl SqlRow) -> Result<KeptMo, StoreError> {
    Ok(KeptMo { message: incoming(row, 0)?, answer_by: maybe_moment(row, 14)?, answered_at: maybe_moment(row, 15)? })
}

/// id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at.
pub(in crate::store) fn queued(row: &impl SqlRow) -> Result<QueuedSms, StoreError> {
    let about = match row.maybe_bytes(1)? {
        Some(_) => Some(reference(row, 1)?),
        None => None,
    };
    let message = OutgoingSms {
        id: reference(row, 0)?,
        reference: about,
        carrier: word(row, 2, "messages")?,
        msisdn: msisdn(row, 3, "messages")?,
        text: row.text(4)?.to_owned(),
        ticket: row.flag(5)?,
        created_at: moment(row, 6)?,
        expires_at: moment(row, 7)?,
    };
    let state: MessageState = word(row, 8, "messages")?;
    Ok(QueuedSms { message, state, tries: small(row, 9, "messages")?, due_at: moment(row, 10)? })
}

/// account, currency, minor.
pub(in crate::store) fn balance(row: &impl SqlRow) -> Result<Balance, StoreError> {
    let account: Account = word(row, 0, "ledger")?;
    Ok(Balance { account, currency: word(row, 1, "ledger")?, minor: row.int(2)? })
}

/// reference, kind, at, amount_minor, currency.
pub(in crate::store) fn stored_break(row: &impl SqlRow) -> Result<StoredBreak, StoreError> {
    Ok(StoredBreak {
        reference: row.maybe_bytes(0)?.map(|_| reference(row, 0)).transpose()?,
        piece: row.maybe_text(1)?.map(str::to_owned),
        kind: row.text(2)?.to_owned(),
        at: moment(row, 3)?,
        amount: row.maybe_int(4)?.map(|_| money(row, 4, "breaks")).transpose()?,
    })
}

/// carrier, currency, count, oldest, minor.
pub(in crate::store) fn outstanding_sum(what: Outstanding, row: &impl SqlRow) -> Result<OutstandingSum, StoreError> {
    let currency = row.maybe_text(1)?.map(|_| word::<Currency>(row, 1, "charges")).transpose()?;
    Ok(OutstandingSum {
        what,
        carrier: word(row, 0, "charges")?,
        currency,
        count: small(row, 2, "charges")?,
        oldest_since: moment(row, 3)?,
        minor: row.int(4)?,
    })
}

/// seq, body, the charge's order.
pub(in crate::store) fn settled(row: &impl SqlRow) -> Result<SettledEntry, StoreError> {
    Ok(SettledEntry {
        place: small(row, 0, "journal")?,
        entry: body(row, 1, "journal")?,
        order: body(row, 2, "charges")?,
    })
}

/// cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until.
pub(in crate::store) fn standing(row: &impl SqlRow) -> Result<WebhookStanding, StoreError> {
    let disabled = match maybe_moment(row, 3)? {
        Some(at) => Some((word::<WebhookEnd>(row, 2, "webhooks")?, at)),
        None => None,
    };
    let replay = match row.maybe_int(4)? {
        Some(_) => Some(Replay { cursor: small(row, 4, "webhooks")?, until: small(row, 5, "webhooks")? }),
        None => None,
    };
    Ok(WebhookStanding { cursor: small(row, 0, "webhooks")?, failing_since: maybe_moment(row, 1)?, disabled, replay })
}

/// entry, part, event_type, reference, failed_at, tries, due_at, why.
pub(in crate::store) fn failed(row: &impl SqlRow) -> Result<FailedDelivery, StoreError> {
    let table = "webhook_failures";
    Ok(FailedDelivery {
        place: EventPlace { entry: small(row, 0, table)?, part: small(row, 1, table)? },
        event_type: row.text(2)?.to_owned(),
        reference: reference(row, 3)?,
        failed_at: moment(row, 4)?,
        tries: small(row, 5, table)?,
        due_at: maybe_moment(row, 6)?,
        why: row.text(7)?.to_owned(),
    })
}

pub(in crate::store) fn sales(row: &impl SqlRow) -> Result<Sales, StoreError> {
    let kind = row.text(0)?;
    let seller = Seller::new(kind, row.text(1)?.to_owned());
    Ok(Sales {
        seller: seller.ok_or_else(|| corrupt("sales", kind, "no kind of seller"))?,
        quarter: moment(row, 2)?,
        amount: money(row, 3, "sales")?,
    })
}

pub(in crate::store) fn fact(row: &impl SqlRow) -> Result<StoredFact, StoreError> {
    Ok(StoredFact {
        msisdn: msisdn(row, 0, "facts")?,
        carrier: word(row, 1, "facts")?,
        name: word(row, 2, "facts")?,
        fact: Fact { value: word(row, 3, "facts")?, source: word(row, 4, "facts")?, observed_at: moment(row, 5)? },
    })
}

pub(in crate::store) fn home(row: &impl SqlRow, from: usize) -> Result<Home, StoreError> {
    let carrier = |column| match row.maybe_text(column)? {
        Some(name) => name.parse().map(Some).map_err(|error| corrupt("homes", name, error)),
        None => Ok(None),
    };
    let source = row.text(from + 3)?;
    Ok(Home {
        msisdn: msisdn(row, from, "homes")?,
        carrier: carrier(from + 1)?,
        refused_by: carrier(from + 2)?,
        source: HomeSource::from_code(source).ok_or_else(|| corrupt("homes", source, "no source of homes"))?,
        observed_at: moment(row, from + 4)?,
    })
}

/// The place of the question; the columns of [`known_key`], of [`home`], the language, the columns of [`slot`], and whether the message was
/// handed over. What is not there is NULL.
pub(in crate::store) fn prior(row: &impl SqlRow) -> Result<(usize, Prior), StoreError> {
    let key = row.maybe_bytes(1)?.is_some();
    let home = row.maybe_int(4)?.is_some();
    let language = row.maybe_text(9)?.is_some();
    let slot_there = row.maybe_bytes(10)?.is_some();
    let prior = Prior {
        key: key.then(|| known_key(row, 1)).transpose()?,
        home: home.then(|| self::home(row, 4)).and_then(or_unknown),
        language: language.then(|| word(row, 9, "languages")).and_then(or_unknown),
        slot: slot_there.then(|| slot(row, 10)).transpose()?,
        is_handed_over: row.flag(13)?,
    };
    Ok((small(row, 0, "the questions")?, prior))
}

/// What only helps must not keep anybody from buying, who asks with this one or is this one.
fn or_unknown<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| warn!(%error, "what is kept of a subscriber cannot be read, and counts as not known")).ok()
}

/// The answers in the order of the questions.
///
/// Errors: a question has no answer, or there is none of that number.
pub(in crate::store) fn priors(rows: &[impl SqlRow], questions: usize) -> Result<Vec<Prior>, StoreError> {
    let mut answers: Vec<Option<Prior>> = vec![None; questions];
    for row in rows {
        let (place, prior) = prior(row)?;
        let answer = answers.get_mut(place).ok_or_else(|| unasked(place))?;
        *answer = Some(prior);
    }
    let whole = answers.into_iter().enumerate().map(|(place, answer)| answer.ok_or_else(|| unasked(place)));
    whole.collect()
}

fn unasked(place: usize) -> StoreError {
    StoreError::Refused(format!("the database did not answer question {place} as it was asked"))
}

/// The text of a vehicle code, as it stands in JSON.
pub(in crate::store) fn vehicle_text(vehicle: &VehicleCode) -> String {
    match serde_json::to_value(vehicle) {
        Ok(Value::String(text)) => text,
        other => unreachable!("a vehicle code is a text, not {other:?}"),
    }
}

/// reference, whether the body was the same, repeat.
pub(in crate::store) fn known_key(row: &impl SqlRow, from: usize) -> Result<(Reference, bool, bool), StoreError> {
    Ok((reference(row, from)?, row.flag(from + 1)?, row.flag(from + 2)?))
}

/// count, in_doubt_since of the oldest, amount_minor in all.
pub(in crate::store) fn in_doubt(row: &impl SqlRow) -> Result<InDoubtSummary, StoreError> {
    Ok(InDoubtSummary { count: small(row, 0, "charges")?, oldest_since: maybe_moment(row, 1)?, minor: row.int(2)? })
}

/// amount_minor in all, count.
pub(in crate::store) fn spent(row: &impl SqlRow) -> Result<Spent, StoreError> {
    Ok(Spent { minor: row.int(0)?, purchases: small(row, 1, "charges")? })
}

/// id, words, salt.
pub(in crate::store) fn words(row: &impl SqlRow, from: usize) -> Result<(String, Verbatim), StoreError> {
    Ok((row.text(from)?.to_owned(), verbatim(row, from + 1)?))
}

/// The columns of [`parked_receipt`], reported_at.
pub(in crate::store) fn unowned(row: &impl SqlRow) -> Result<UnownedReceipt, StoreError> {
    Ok(UnownedReceipt { receipt: parked_receipt(row, 0)?, reported_at: maybe_moment(row, 6)? })
}

/// The body of its charge, and which of its refunds.
pub(in crate::store) fn listed_refund(row: &impl SqlRow) -> Result<ListedRefund, StoreError> {
    ListedRefund::new(body(row, 0, "charges")?, reference(row, 1)?)
}

/// reference, version, account, minor, currency, posted_at.
pub(in crate::store) fn entry(row: &impl SqlRow, from: usize) -> Result<Entry, StoreError> {
    Ok(Entry {
        reference: reference(row, from)?,
        version: small(row, from + 1, "ledger")?,
        account: word(row, from + 2, "ledger")?,
        minor: row.int(from + 3)?,
        currency: word(row, from + 4, "ledger")?,
        posted_at: moment(row, from + 5)?,
    })
}

/// reference, body, version, state, due_at, in_doubt_since, amount_minor, msisdn: the first column that a charge is looked up by, and that is not what the charge says.
pub(in crate::store) fn misplaced(row: &impl SqlRow, charge: &Charge) -> Result<Option<&'static str>, StoreError> {
    let moment = |at: Option<Timestamp>| at.map(Timestamp::unix_ms);
    let found: [(&str, bool); 7] = [
        ("reference", reference(row, 0)? == charge.reference),
        ("version", row.int(2)? == i64::from(charge.version)),
        ("state", row.text(3)? == charge.state.code()),
        ("due_at", row.maybe_int(4)? == moment(charge.due_at())),
        ("in_doubt_since", row.maybe_int(5)? == moment(charge.in_doubt_since)),
        ("amount_minor", row.int(6)? == charge.order.amount.minor),
        ("msisdn", u64::try_from(row.int(7)?) == Ok(charge.order.msisdn.e164())),
    ];
    Ok(found.into_iter().find(|(_, same)| !same).map(|(column, _)| column))
}

/// writer, number, at, entries, lines, last_seq, digest, hash: the block, and the last entry of the journal that it covers.
pub(in crate::store) fn block(row: &impl SqlRow) -> Result<(Block, i64), StoreError> {
    let block = Block {
        writer: Writer(small(row, 0, "chain")?),
        number: small(row, 1, "chain")?,
        at: moment(row, 2)?,
        entries: small(row, 3, "chain")?,
        lines: small(row, 4, "chain")?,
        digest: hash(row, 6, "chain")?,
        hash: hash(row, 7, "chain")?,
    };
    Ok((block, row.int(5)?))
}

/// number, at, hash.
pub(in crate::store) fn head(row: &impl SqlRow) -> Result<Head, StoreError> {
    Ok(Head { number: small(row, 0, "chain")?, at: moment(row, 1)?, hash: hash(row, 2, "chain")? })
}

/// day, root.
pub(in crate::store) fn root(row: &impl SqlRow) -> Result<DailyRoot, StoreError> {
    Ok(DailyRoot { day: word(row, 0, "roots")?, root: hash(row, 1, "roots")? })
}

pub(in crate::store) fn corrupt(table: &'static str, row: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { table, row: row.chars().take(80).collect(), why: error.to_string() }
}
