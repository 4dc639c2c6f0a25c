//! Reads a month block by block, and tells apart what goes and what stays.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::{Row, postgres::PgConnection};

use super::{Extent, Parts, staging::Staging};
use crate::{
    charge::{Reference, State},
    ledger::{Block, JournalRow, Writer, is_made_of},
    store::{
        RetentionError, StoreError,
        archive::MonthWriter,
        sql::{
            audit::{BlockPlace, Books, journal_rows},
            decode,
        },
    },
};

/// Blocks that are read at once; fewer, where they have more entries than this.
const BLOCKS_MAX: u32 = 500;
const ENTRIES_MAX: u32 = 10_000;
/// Entries that may stay, because their blocks have entries of other months as well: a block or two for each writer, at midnight.
const KEPT_MAX: usize = 65_536;

/// What was found in a month.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) blocks: u64,
    pub(super) entries: u64,
    pub(super) lines: u64,
    /// Entries of the month that stay.
    pub(super) kept_entries: u64,
    /// Their places.
    pub(super) kept_seqs: Vec<i64>,
    /// The versions whose lines are in the month and stay.
    pub(super) kept_versions: Vec<(Reference, u32)>,
    kept_lines: u64,
    /// The blocks that go: of each writer, runs of numbers from the first to the last.
    pub(super) runs: BTreeMap<Writer, Vec<(u64, u64)>>,
}

/// What is needed of an entry.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) version: u32,
    pub(super) to: State,
}

pub(super) struct Reading<'m> {
    parts: &'m Parts,
    extent: Extent,
    gathered: Gathered,
}

impl<'m> Reading<'m> {
    pub(super) fn of(parts: &'m Parts, extent: Extent) -> Reading<'m> {
        Reading { parts, extent, gathered: Gathered::default() }
    }

    /// Reads everything; what goes is archived and staged. The inner error says why the month must stay.
    ///
    /// Errors: the database fails, or the archive cannot be written.
    pub(super) async fn all(
        mut self,
        db: &mut PgConnection,
        mut archive: Option<&mut MonthWriter>,
        staging: &mut Staging,
    ) -> Result<Result<Gathered, String>, RetentionError> {
        let Some((first, last)) = self.extent.places else { return Ok(Ok(self.gathered)) };
        let before = sqlx::query("SELECT coalesce(max(last_seq), 0) FROM chain WHERE last_seq < $1");
        let before: i64 = before.bind(first).fetch_one(&mut *db).await?.try_get(0).map_err(StoreError::from)?;
        let mut after = BlockPlace { last_seq: before, ..BlockPlace::default() };
        while after.last_seq < last {
            let page = page(db, after).await?;
            let Some((_, until)) = page.last() else { break };
            let most = page.iter().fold(1_u32, |most, (block, _)| most.saturating_add(block.entries));
            let mut rows = journal_rows(db, (after.last_seq, *until), most).await?.into_iter().peekable();
            for (block, last_seq) in &page {
                let mut of_block = Vec::new();
                while let Some(row) = rows.next_if(|row| row.seq <= *last_seq) {
                    of_block.push(row);
                }
                if let Err(why) = self.block(block, &of_block, archive.as_deref_mut(), staging)? {
                    return Ok(Err(why));
                }
            }
            staging.send(db).await?;
            after.last_seq = *until;
        }
        Ok(self.judge())
    }

    fn block(
        &mut self,
        block: &Block,
        rows: &[JournalRow],
        archive: Option<&mut MonthWriter>,
        staging: &mut Staging,
    ) -> Result<Result<(), String>, RetentionError> {
        let month = self.parts.month;
        let has_line = |row: &JournalRow| row.lines.iter().any(|line| month.has(line.posted_at));
        if !rows.iter().any(|row| month.has(row.at) || has_line(row)) {
            return Ok(Ok(()));
        }
        if !is_made_of(block, rows) {
            let why = format!(
                "block {} of writer {} is not what it was made from; `smsbusd ledger check` says more",
                block.number, block.writer
            );
            return Ok(Err(why));
        }
        let is_whole =
            rows.iter().all(|row| month.has(row.at) && row.lines.iter().all(|line| month.has(line.posted_at)));
        let mut archive = archive;
        for row in rows {
            let step: Step = match serde_json::from_str(&row.body) {
                Ok(step) => step,
                Err(error) => return Ok(Err(format!("journal entry {} cannot be read: {error}", row.seq))),
            };
            match (is_whole, archive.as_deref_mut()) {
                (true, archive) => {
                    archive.map_or(Ok(()), |archive| archive.write(row))?;
                    staging.add(row.reference, &step);
                    self.gathered.entries += 1;
                    self.gathered.lines += row.lines.len() as u64;
                }
                (false, _) => self.keep(row, step.version),
            }
        }
        if is_whole {
            self.gathered.blocks += 1;
            self.gathered.run(block);
        }
        Ok(Ok(()))
    }

    fn keep(&mut self, row: &JournalRow, version: u32) {
        let (month, gathered) = (self.parts.month, &mut self.gathered);
        if month.has(row.at) {
            gathered.kept_entries += 1;
            gathered.kept_seqs.push(row.seq);
        }
        let lines = row.lines.iter().filter(|line| month.has(line.posted_at)).count();
        if lines > 0 {
            gathered.kept_lines += lines as u64;
            gathered.kept_versions.push((row.reference, version));
        }
    }

    /// Everything in the month must go with its block, or stay with it.
    fn judge(self) -> Result<Gathered, String> {
        let Reading { extent, gathered, .. } = self;
        if gathered.kept_seqs.len().max(gathered.kept_versions.len()) > KEPT_MAX {
            return Err(format!("{} of its entries are in blocks with entries of other months", gathered.kept_entries));
        }
        let (entries, lines) = (gathered.entries + gathered.kept_entries, gathered.lines + gathered.kept_lines);
        if (entries, lines) != (extent.entries, extent.lines) {
            return Err(format!(
                "it has {} journal entries and {} ledger lines, of which {entries} and {lines} are in blocks; something was \
                 written meanwhile, or the books are not in order (`smsbusd ledger check`)",
                extent.entries, extent.lines
            ));
        }
        Ok(gathered)
    }
}

impl Gathered {
    fn run(&mut self, block: &Block) {
        let runs = self.runs.entry(block.writer).or_default();
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == block.number => *last = block.number,
            _ => runs.push((block.number, block.number)),
        }
    }
}

/// The next blocks in the order of the journal, each with its last place.
async fn page(db: &mut PgConnection, after: BlockPlace) -> Result<Vec<(Block, i64)>, StoreError> {
    let mut page = Vec::new();
    let mut entries = 0_u32;
    for row in db.blocks(after, BLOCKS_MAX).await? {
        let (block, last_seq) = decode::block(&row)?;
        entries = entries.saturating_add(block.entries);
        if !page.is_empty() && entries > ENTRIES_MAX {
            break;
        }
        page.push((block, last_seq));
    }
    Ok(page)
}
