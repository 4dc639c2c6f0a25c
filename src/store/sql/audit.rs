//! Reads everything that is kept of the books for [`Audit`].

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{decode, retired::Retired, row::SqlRow};
use crate::{
    charge::{Charge, Reference},
    ledger::{Audit, Audited, ChargeRecords, DailyRoot, Head, JournalRow, TicketStanding, Writer},
    store::{JournalEntry, StoreError},
};

/// Rows that are held at once.
const PAGE: u32 = 1_000;

/// The books, as they were at one moment.
pub(in crate::store) trait Books {
    type Row: SqlRow;

    /// writer, number, at, entries, lines, last_seq, digest, hash: the blocks after that one, in the order in which the journal has them.
    async fn blocks(&mut self, after: BlockPlace, limit: u32) -> Result<Vec<Self::Row>, StoreError>;

    /// seq, reference, at, body: entries after the first place and up to the second, in their order.
    async fn journal(&mut self, between: (i64, i64), limit: u32) -> Result<Vec<Self::Row>, StoreError>;

    /// The place among those asked for, from 0; then reference, version, account, minor, currency, posted_at.
    async fn lines_of_versions(&mut self, versions: &[(Reference, u32)]) -> Result<Vec<Self::Row>, StoreError>;

    /// How many lines the ledger has.
    async fn ledger_lines(&mut self) -> Result<u64, StoreError>;

    /// reference, body, version, state, due_at, in_doubt_since, amount_minor, msisdn: charges by reference.
    async fn charges(&mut self, after: Option<Reference>, limit: u32) -> Result<Vec<Self::Row>, StoreError>;

    /// What the journal tells of and is not there.
    async fn without_charge(&mut self, limit: u32) -> Result<Vec<Self::Row>, StoreError>;

    /// reference, body: the journals of charges, each in its order.
    async fn journal_of(&mut self, references: &[Reference]) -> Result<Vec<Self::Row>, StoreError>;

    /// reference, version, account, minor, currency, posted_at.
    async fn lines_of(&mut self, references: &[Reference]) -> Result<Vec<Self::Row>, StoreError>;

    /// reference, and whether the ticket is revoked.
    async fn tickets_of(&mut self, references: &[Reference]) -> Result<Vec<Self::Row>, StoreError>;

    /// reference, id, words, salt: what carriers said, and was not erased.
    async fn words_of(&mut self, references: &[Reference]) -> Result<Vec<Self::Row>, StoreError>;

    /// day, root: the newest days first.
    async fn roots(&mut self, limit: u32) -> Result<Vec<Self::Row>, StoreError>;

    /// month, blocks, entries, lines, charges, SHA-256 of the archived journal and ledger: the months that are no longer here, in their
    /// order. Nothing of a file is ever retired.
    async fn retirements(&mut self) -> Result<Vec<Self::Row>, StoreError> {
        Ok(Vec::new())
    }

    /// writer, first, last, month: runs of blocks whose entries are no longer here.
    async fn retired_blocks(&mut self) -> Result<Vec<Self::Row>, StoreError> {
        Ok(Vec::new())
    }

    /// account, currency, minor: what was carried forward, over all months.
    async fn carried(&mut self) -> Result<Vec<Self::Row>, StoreError> {
        Ok(Vec::new())
    }

    /// reference; versions, state, accounts, currencies and minors as JSON: what was retired of charges.
    async fn retired_of(&mut self, _references: &[Reference]) -> Result<Vec<Self::Row>, StoreError> {
        Ok(Vec::new())
    }
}

/// Where a block stands: in its chain, and in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct BlockPlace {
    pub(in crate::store) writer: u32,
    pub(in crate::store) number: u64,
    pub(in crate::store) last_seq: i64,
}

/// Checks the books, and the roots of days that were noted elsewhere.
///
/// Errors: they cannot be read.
pub(in crate::store) async fn audit(db: &mut impl Books, noted: &[DailyRoot]) -> Result<Audited, StoreError> {
    let mut audit = Audit::default();
    let mut retired = Retired::read(db).await?;
    let days = chain(db, &mut audit, &retired).await?;
    charges(db, &mut audit, &mut retired).await?;
    retired.judge(&mut audit);
    for noted in noted.iter().chain(&kept_roots(db, u32::MAX).await?) {
        let head = |(writer, days): (&Writer, &BTreeMap<Date, Head>)| {
            Some((*writer, *days.range(..=noted.day).next_back()?.1))
        };
        let heads: Vec<(Writer, Head)> = days.iter().filter_map(head).collect();
        audit.root(DailyRoot::over(noted.day, &heads), &noted.root);
    }
    Ok(audit.end())
}

/// The roots of the last `limit` days with a commit that have ended, the newest first.
pub(in crate::store) async fn kept_roots(db: &mut impl Books, limit: u32) -> Result<Vec<DailyRoot>, StoreError> {
    db.roots(limit).await?.iter().map(decode::root).collect()
}

/// The blocks, each with what it covers, and what none covers.
/// Returns the ends of each chain on each day on which it has a block.
async fn chain(
    db: &mut impl Books,
    audit: &mut Audit,
    retired: &Retired,
) -> Result<BTreeMap<Writer, BTreeMap<Date, Head>>, StoreError> {
    let (mut after, mut covered, mut gone_until) = (BlockPlace::default(), 0_i64, 0_i64);
    let mut days: BTreeMap<Writer, BTreeMap<Date, Head>> = BTreeMap::new();
    loop {
        let page = db.blocks(after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let (block, last_seq) = decode::block(row)?;
            after = BlockPlace { writer: block.writer.0, number: block.number, last_seq };
            days.entry(block.writer).or_default().insert(block.at.date_in(&TimeZone::UTC), block.head());
            if retired.has(block.writer, block.number) {
                audit.retired_block(&block);
                gone_until = gone_until.max(last_seq);
                continue;
            }
            covered = nothing_is_left(db, audit, covered, gone_until).await?;
            // A block that says too much of itself does not make us hold the whole journal.
            let most = block.entries.saturating_add(1);
            let rows = journal_rows(db, (covered, last_seq), most).await?;
            audit.block(&block, &rows);
            covered = last_seq.max(covered);
        }
    }
    covered = nothing_is_left(db, audit, covered, gone_until).await?;
    loop {
        let rows = journal_rows(db, (covered, i64::MAX), PAGE).await?;
        let Some(last) = rows.last() else { break };
        covered = last.seq;
        audit.uncovered(&rows);
    }
    audit.lines_in_all(db.ledger_lines().await?);
    Ok(days)
}

/// Where blocks were retired there is no entry. Returns the place up to which that was looked for.
async fn nothing_is_left(
    db: &mut impl Books,
    audit: &mut Audit,
    mut covered: i64,
    gone_until: i64,
) -> Result<i64, StoreError> {
    while covered < gone_until {
        let rows = journal_rows(db, (covered, gone_until), PAGE).await?;
        audit.uncovered(&rows);
        covered = rows.last().map_or(gone_until, |last| last.seq);
    }
    Ok(covered)
}

/// At most `limit` entries of the journal after the first and up to the second place, each with its ledger lines.
pub(in crate::store) async fn journal_rows(
    db: &mut impl Books,
    (after, until): (i64, i64),
    limit: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    /// All that is needed of an entry; the rest may be of a later version of this program.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let kept = db.journal((after, until), limit).await?;
    let mut rows = Vec::with_capacity(kept.len());
    let mut versions = Vec::with_capacity(kept.len());
    for row in &kept {
        let (reference, body) = (decode::reference(row, 1)?, row.text(3)?.to_owned());
        // Of a body that is damaged there are no lines, and then the digest differs.
        let version = serde_json::from_str(&body).map_or(0, |Versioned { version }| version);
        versions.push((reference, version));
        rows.push(JournalRow { seq: row.int(0)?, reference, at: decode::moment(row, 2)?, body, lines: Vec::new() });
    }
    for line in db.lines_of_versions(&versions).await? {
        let place: usize = decode::small(&line, 0, "ledger")?;
        // Without a line that cannot be read, the digest differs.
        if let (Ok(entry), Some(row)) = (decode::entry(&line, 1), rows.get_mut(place)) {
            row.lines.push(entry);
        }
    }
    Ok(rows)
}

/// The charges, each with its journal, its lines and its ticket.
async fn charges(db: &mut impl Books, audit: &mut Audit, retired: &mut Retired) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = db.charges(after, PAGE).await?;
        let Some(last) = page.last() else {
            for row in db.without_charge(PAGE).await? {
                audit.missing(decode::reference(&row, 0)?);
            }
            return Ok(());
        };
        after = Some(decode::reference(last, 0)?);
        let mut records: BTreeMap<Reference, ChargeRecords> = BTreeMap::new();
        for row in &page {
            match decode::body::<Charge>(row, 1, "charges") {
                Ok(charge) => {
                    if let Some(column) = decode::misplaced(row, &charge)? {
                        audit.misplaced(charge.reference, column);
                    }
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
        gather(db, audit, &mut records, retired).await?;
        records.values().for_each(|records| audit.charge(records));
    }
}

async fn gather(
    db: &mut impl Books,
    audit: &mut Audit,
    records: &mut BTreeMap<Reference, ChargeRecords>,
    retired: &mut Retired,
) -> Result<(), StoreError> {
    let references: Vec<Reference> = records.keys().copied().collect();
    let mut digests: BTreeMap<(Reference, String), String> = BTreeMap::new();
    for row in db.journal_of(&references).await? {
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
    for row in db.lines_of(&references).await? {
        match decode::entry(&row, 0) {
            Ok(line) => records.get_mut(&line.reference).into_iter().for_each(|of| of.lines.push(line.clone())),
            Err(error) => audit.unreadable(error.to_string()),
        }
    }
    let parts = retired.gather(db, &references, records).await?;
    for row in db.tickets_of(&references).await? {
        let standing = if row.flag(1)? { TicketStanding::Revoked } else { TicketStanding::Good };
        records.get_mut(&decode::reference(&row, 0)?).into_iter().for_each(|of| of.ticket = Some(standing));
    }
    for row in db.words_of(&references).await? {
        let reference = decode::reference(&row, 0)?;
        let (id, verbatim) = decode::words(&row, 1)?;
        let digest = digests.get(&(reference, id.clone()));
        // The digest of words that led to an entry in the archive is in the archive: they are compared with that.
        let is_elsewhere = digest.is_none() && parts.contains(&reference);
        if !is_elsewhere && digest != Some(&verbatim.digest()) {
            records.get_mut(&reference).into_iter().for_each(|of| of.changed_words.push(id.clone()));
        }
    }
    Ok(())
}
