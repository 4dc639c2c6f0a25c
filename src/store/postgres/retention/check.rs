//! Compares the files of an archive with the chain of hashes, which has the blocks of retired months for ever.

use std::{collections::BTreeMap, path::Path};

use sqlx::{Row, postgres::PgConnection};

use crate::{
    charge::Reference,
    ledger::{Account, Block, Flaw, JournalRow, is_made_of},
    money::Currency,
    store::{
        ArchiveError, JournalEntry, StoreError,
        archive::{MonthDigests, MonthFiles, MonthReader},
        sql::{audit::Books, decode, row::SqlRow},
    },
};

/// Blocks that are compared at once.
const PAGE: i64 = 200;

/// Why a month of the archive is not in order; or the database cannot be read.
enum Wrong {
    Flaw(Flaw),
    Store(StoreError),
}

impl From<ArchiveError> for Wrong {
    fn from(error: ArchiveError) -> Wrong {
        Wrong::Flaw(Flaw::Archive { what: format!("the archive: {error}") })
    }
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Wrong {
        Wrong::Store(error)
    }
}

impl From<sqlx::Error> for Wrong {
    fn from(error: sqlx::Error) -> Wrong {
        Wrong::Store(error.into())
    }
}

/// Compares every month that was archived. Returns how many are in order, and of each other one what is wrong first.
///
/// Errors: the database cannot be read.
pub(in crate::store) async fn check(db: &mut PgConnection, folder: &Path) -> Result<(u64, Vec<Flaw>), StoreError> {
    let (mut sound, mut flaws) = (0, Vec::new());
    for row in db.retirements().await? {
        let month = row.text(0)?.to_owned();
        if row.maybe_bytes(5)?.is_none() {
            continue;
        }
        let noted = MonthDigests {
            journal: decode::hash(&row, 5, "retirements")?,
            ledger: decode::hash(&row, 6, "retirements")?,
        };
        match check_month(db, folder, &month, noted).await {
            Ok(()) => sound += 1,
            Err(Wrong::Flaw(flaw)) => flaws.push(flaw),
            Err(Wrong::Store(error)) => return Err(error),
        }
    }
    Ok((sound, flaws))
}

async fn check_month(db: &mut PgConnection, folder: &Path, month: &str, noted: MonthDigests) -> Result<(), Wrong> {
    let files = MonthFiles::of(folder, month);
    let found = files.digests()?;
    for (path, found, noted) in
        [(&files.journal, found.journal, noted.journal), (&files.ledger, found.ledger, noted.ledger)]
    {
        if found != noted {
            return Err(changed(&path.display().to_string(), "its SHA-256 is not the one in the books"));
        }
    }
    let journal = files.journal.display().to_string();
    let mut reader = MonthReader::open(files)?;
    let mut sums: BTreeMap<(Account, Currency), i128> = BTreeMap::new();
    let mut next = reader.entry()?;
    let mut after = i64::MIN;
    loop {
        let page = blocks(db, month, after).await?;
        let Some((_, last)) = page.last() else { break };
        after = *last;
        let mut words = BTreeMap::new();
        for (block, last_seq) in &page {
            let mut rows: Vec<JournalRow> = Vec::new();
            // A block that is not whole in the file does not make us hold the rest of it.
            while rows.len() <= block.entries as usize
                && let Some(row) = next.take_if(|row| row.seq <= *last_seq)
            {
                rows.push(row);
                next = reader.entry()?;
            }
            if !is_made_of(block, &rows) {
                let what = format!("block {} of writer {} was made from something else", block.number, block.writer);
                return Err(changed(&journal, &what));
            }
            for row in rows {
                digest_of(&row, &mut words);
                for line in row.lines {
                    *sums.entry((line.account, line.currency)).or_default() += i128::from(line.minor);
                }
            }
        }
        compare_words(db, &words).await?;
    }
    if let Some(row) = next {
        return Err(changed(&journal, &format!("the entry at {} is in no block of the month", row.seq)));
    }
    compare_sums(db, month, &sums).await
}

/// The blocks of a month, with their last places, in the order of the journal.
async fn blocks(db: &mut PgConnection, month: &str, after: i64) -> Result<Vec<(Block, i64)>, StoreError> {
    let query = sqlx::query(
        "SELECT chain.writer, number, at, entries, lines, last_seq, digest, hash
         FROM retired_blocks AS run JOIN chain ON chain.writer = run.writer AND number BETWEEN run.first AND run.last
         WHERE run.month = $1 AND last_seq > $2 ORDER BY last_seq LIMIT $3",
    );
    query.bind(month).bind(after).bind(PAGE).fetch_all(db).await?.iter().map(decode::block).collect()
}

/// What the entry says of the carrier's words.
fn digest_of(row: &JournalRow, words: &mut BTreeMap<(Reference, String), String>) {
    // What cannot be read here is what was written: the digest of its block is right.
    if let Ok(entry) = serde_json::from_str::<JournalEntry>(&row.body)
        && let (Some(id), Some(digest)) = (entry.evidence_id(), &entry.verbatim)
    {
        words.insert((row.reference, id.to_owned()), digest.clone());
    }
}

async fn compare_words(db: &mut PgConnection, digests: &BTreeMap<(Reference, String), String>) -> Result<(), Wrong> {
    let mut references: Vec<Reference> = digests.keys().map(|(reference, _)| *reference).collect();
    references.dedup();
    for row in db.words_of(&references).await? {
        let reference = decode::reference(&row, 0)?;
        let (evidence, verbatim) = decode::words(&row, 1)?;
        let digest = digests.get(&(reference, evidence.clone()));
        if digest.is_some_and(|digest| *digest != verbatim.digest()) {
            return Err(Wrong::Flaw(Flaw::Words { reference, evidence }));
        }
    }
    Ok(())
}

async fn compare_sums(
    db: &mut PgConnection,
    month: &str,
    sums: &BTreeMap<(Account, Currency), i128>,
) -> Result<(), Wrong> {
    let carried = sqlx::query("SELECT account, currency, minor FROM carried WHERE month = $1");
    let mut kept: BTreeMap<(Account, Currency), i128> = BTreeMap::new();
    for row in carried.bind(month).fetch_all(db).await? {
        let key = (decode::word(&row, 0, "carried")?, decode::word(&row, 1, "carried")?);
        kept.insert(key, row.try_get::<i64, _>(2)?.into());
    }
    match kept == *sums {
        true => Ok(()),
        false => Err(Wrong::Flaw(Flaw::Retired {
            what: format!("what was carried forward of {month} is not what the archive adds up to"),
        })),
    }
}

fn changed(file: &str, what: &str) -> Wrong {
    Wrong::Flaw(Flaw::Archive { what: format!("the archive: {file}: {what}") })
}
