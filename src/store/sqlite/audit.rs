//! Reads everything that is kept of the books, in one transaction, for [`Audit`].

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;
use sqlx::{ConnectOptions, Connection, Row, sqlite::SqliteConnection};

use super::{MIGRATIONS, SqliteConfig, decode, options, writer::select_set};
use crate::{
    charge::{Charge, Reference},
    clock::Timestamp,
    ledger::{Audit, Audited, Block, ChargeRecords, DailyRoot, Entry, Head, JournalRow, TicketStanding, Writer},
    store::{JournalEntry, StoreError},
};

/// Rows that are held at once.
const PAGE: u32 = 1_000;

/// Checks the books in the file, as they are this moment: beside a daemon that goes on writing, too. Writes nothing.
///
/// Errors: the file cannot be opened or read, or its schema is not this program's.
pub(in crate::store) async fn audit(config: &SqliteConfig, noted: &[DailyRoot]) -> Result<Audited, StoreError> {
    let mut db = open(config).await?;
    let mut audit = Audit::default();
    sqlx::query("BEGIN").execute(&mut db).await?;
    chain(&mut db, &mut audit).await?;
    charges(&mut db, &mut audit).await?;
    for noted in noted {
        audit.root(root_of(&mut db, noted.day).await?, &noted.root);
    }
    db.close().await?;
    Ok(audit.end())
}

/// The roots of the last `limit` days with a commit that have ended, the newest first.
pub(in crate::store) async fn roots(config: &SqliteConfig, limit: u32) -> Result<Vec<DailyRoot>, StoreError> {
    let mut db = open(config).await?;
    let query = sqlx::query("SELECT day, root FROM roots ORDER BY day DESC LIMIT ?1").bind(limit);
    let rows = query.fetch_all(&mut db).await?;
    db.close().await?;
    let root = |row| Ok(DailyRoot { day: decode::word(row, 0, "roots")?, root: decode::hash(row, 1, "roots")? });
    rows.iter().map(root).collect()
}

async fn open(config: &SqliteConfig) -> Result<SqliteConnection, StoreError> {
    let cannot = |why: String| StoreError::Open { path: config.path.clone(), why };
    let options = options(config).create_if_missing(false).read_only(true);
    let mut db = options.connect().await.map_err(|error| cannot(error.to_string()))?;
    let schema = sqlx::query("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(&mut db).await;
    let schema: Option<i64> = schema.and_then(|row| row.try_get(0)).map_err(|error| cannot(error.to_string()))?;
    let ours = MIGRATIONS.iter().map(|migration| migration.version).max();
    match schema == ours {
        true => Ok(db),
        false => Err(cannot(format!(
            "its schema is at {}, and this program's at {}; `smsbusd migrate` brings it up to date",
            schema.unwrap_or(0),
            ours.unwrap_or(0)
        ))),
    }
}

/// The blocks, each with what it covers, and what none covers.
async fn chain(db: &mut SqliteConnection, audit: &mut Audit) -> Result<(), StoreError> {
    let (mut after, mut covered) = (0_i64, 0_i64);
    loop {
        let page = sqlx::query(
            "SELECT writer, number, at, entries, lines, last_seq, digest, hash FROM chain WHERE number > ?1
             ORDER BY number LIMIT ?2",
        );
        let page = page.bind(after).bind(PAGE).fetch_all(&mut *db).await?;
        let Some(last) = page.last() else { break };
        after = last.try_get(1)?;
        for row in &page {
            let block = Block {
                writer: Writer(decode::small(row, 0, "chain")?),
                number: decode::small(row, 1, "chain")?,
                at: decode::moment(row, 2)?,
                entries: decode::small(row, 3, "chain")?,
                lines: decode::small(row, 4, "chain")?,
                digest: decode::hash(row, 6, "chain")?,
                hash: decode::hash(row, 7, "chain")?,
            };
            let last_seq: i64 = row.try_get(5)?;
            // A block that says too much of itself does not make us hold the whole journal.
            let most = block.entries.saturating_add(1);
            let rows = journal_rows(db, (covered, last_seq), most).await?;
            audit.block(&block, &rows);
            covered = last_seq.max(covered);
        }
    }
    loop {
        let rows = journal_rows(db, (covered, i64::MAX), PAGE).await?;
        let Some(last) = rows.last() else { break };
        covered = last.seq;
        audit.uncovered(&rows);
    }
    let lines = sqlx::query("SELECT count(*) FROM ledger").fetch_one(db).await?;
    audit.lines_in_all(decode::small(&lines, 0, "ledger")?);
    Ok(())
}

/// At most `limit` entries of the journal after the first and up to the second place, each with its ledger lines.
pub(super) async fn journal_rows(
    db: &mut SqliteConnection,
    (after, until): (i64, i64),
    limit: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    /// All that is needed of an entry; the rest may be of a later version of this program.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let query = "SELECT seq, reference, at, body FROM journal WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
    let kept = sqlx::query(query).bind(after).bind(until).bind(limit).fetch_all(&mut *db).await?;
    let mut rows = Vec::with_capacity(kept.len());
    let mut versions = Vec::with_capacity(kept.len());
    for row in &kept {
        let (reference, body): (_, String) = (decode::reference(row, 1)?, row.try_get(3)?);
        // Of a body that is damaged there are no lines, and then the digest differs.
        let version = serde_json::from_str(&body).map_or(0, |Versioned { version }| version);
        versions.push((reference, version));
        rows.push(JournalRow { seq: row.try_get(0)?, reference, at: decode::moment(row, 2)?, body, lines: Vec::new() });
    }
    let lines = select_set(
        db,
        "SELECT wanted.key, ledger.reference, version, account, minor, currency, posted_at
         FROM jsonb_each(?1) AS wanted
         CROSS JOIN ledger ON ledger.reference = unhex(wanted.value->>0, '-') AND ledger.version = wanted.value->>1",
        &versions,
    );
    for line in lines.await? {
        let place: usize = decode::small(&line, 0, "ledger")?;
        let entry = entry(&line, 1)?;
        if let Some(row) = rows.get_mut(place) {
            row.lines.push(entry);
        }
    }
    Ok(rows)
}

/// The charges, each with its journal, its lines and its ticket.
async fn charges(db: &mut SqliteConnection, audit: &mut Audit) -> Result<(), StoreError> {
    let mut after: Vec<u8> = Vec::new();
    loop {
        let query = "SELECT reference, body FROM charges WHERE reference > ?1 ORDER BY reference LIMIT ?2";
        let page = sqlx::query(query).bind(&after).bind(PAGE).fetch_all(&mut *db).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.try_get(0)?;
        let mut records: BTreeMap<Reference, ChargeRecords> = BTreeMap::new();
        for row in &page {
            match decode::body::<Charge>(row, 1, "charges") {
                Ok(charge) => {
                    let empty = ChargeRecords {
                        charge,
                        journal: Vec::new(),
                        lines: Vec::new(),
                        ticket: None,
                        changed_words: Vec::new(),
                    };
                    records.insert(decode::reference(row, 0)?, empty);
                }
                Err(error) => audit.unreadable(error.to_string()),
            }
        }
        gather(db, audit, &mut records).await?;
        records.values().for_each(|records| audit.charge(records));
    }
}

async fn gather(
    db: &mut SqliteConnection,
    audit: &mut Audit,
    records: &mut BTreeMap<Reference, ChargeRecords>,
) -> Result<(), StoreError> {
    let references: Vec<Reference> = records.keys().copied().collect();
    let journal = "SELECT journal.reference, body FROM jsonb_each(?1) AS wanted
         CROSS JOIN journal INDEXED BY journal_by_reference ON journal.reference = unhex(wanted.value, '-') ORDER BY seq";
    let mut digests: BTreeMap<(Reference, String), String> = BTreeMap::new();
    for row in select_set(db, journal, &references).await? {
        match decode::body::<JournalEntry>(&row, 1, "journal") {
            Ok(entry) => {
                let reference = decode::reference(&row, 0)?;
                if let (Some(id), Some(digest)) = (entry.evidence_id(), &entry.verbatim) {
                    digests.insert((reference, id.to_owned()), digest.clone());
                }
                records.get_mut(&reference).into_iter().for_each(|of| of.journal.push((entry.version, entry.to)));
            }
            Err(error) => audit.unreadable(error.to_string()),
        }
    }
    let lines = "SELECT ledger.reference, version, account, minor, currency, posted_at FROM jsonb_each(?1) AS wanted
         CROSS JOIN ledger ON ledger.reference = unhex(wanted.value, '-')";
    for row in select_set(db, lines, &references).await? {
        let line = entry(&row, 0)?;
        records.get_mut(&line.reference).into_iter().for_each(|of| of.lines.push(line.clone()));
    }
    let tickets = "SELECT tickets.reference, revoked_at IS NOT NULL FROM jsonb_each(?1) AS wanted
         CROSS JOIN tickets ON tickets.reference = unhex(wanted.value, '-')";
    for row in select_set(db, tickets, &references).await? {
        let standing = if row.try_get(1)? { TicketStanding::Revoked } else { TicketStanding::Good };
        records.get_mut(&decode::reference(&row, 0)?).into_iter().for_each(|of| of.ticket = Some(standing));
    }
    let words = "SELECT evidence.reference, evidence.id, words, salt FROM jsonb_each(?1) AS wanted
         CROSS JOIN evidence ON evidence.reference = unhex(wanted.value, '-') WHERE words IS NOT NULL";
    for row in select_set(db, words, &references).await? {
        let (reference, id): (_, String) = (decode::reference(&row, 0)?, row.try_get(1)?);
        let verbatim = decode::verbatim(&row, 2)?;
        if digests.get(&(reference, id.clone())) != Some(&verbatim.digest()) {
            records.get_mut(&reference).into_iter().for_each(|of| of.changed_words.push(id.clone()));
        }
    }
    Ok(())
}

/// What the books lead to at the end of a day.
async fn root_of(db: &mut SqliteConnection, day: Date) -> Result<DailyRoot, StoreError> {
    let end = day.saturating_add(jiff::ToSpan::day(1)).to_zoned(TimeZone::UTC).map(|end| end.timestamp());
    let end = end.map_or(Timestamp::MAX, |end| Timestamp::from_unix_ms(end.as_millisecond()));
    let rows = sqlx::query("SELECT writer, max(number), at, hash FROM chain WHERE at < ?1 GROUP BY writer");
    let mut heads = Vec::new();
    for row in rows.bind(end.unix_ms()).fetch_all(db).await? {
        let head = Head {
            number: decode::small(&row, 1, "chain")?,
            at: decode::moment(&row, 2)?,
            hash: decode::hash(&row, 3, "chain")?,
        };
        heads.push((Writer(decode::small(&row, 0, "chain")?), head));
    }
    Ok(DailyRoot::over(day, &heads))
}

/// reference, version, account, minor, currency, posted_at.
fn entry(row: &sqlx::sqlite::SqliteRow, from: usize) -> Result<Entry, StoreError> {
    Ok(Entry {
        reference: decode::reference(row, from)?,
        version: decode::small(row, from + 1, "ledger")?,
        account: decode::word(row, from + 2, "ledger")?,
        minor: row.try_get(from + 3)?,
        currency: decode::word(row, from + 4, "ledger")?,
        posted_at: decode::moment(row, from + 5)?,
    })
}

#[cfg(test)]
mod tests;
