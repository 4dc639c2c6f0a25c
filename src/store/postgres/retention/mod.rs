//! Lets go of old months of the journal and the ledger, while daemons serve.
//!
//! Of each month everything is read first: every block that has all its entries and lines in the month is compared with what it was made from, and
//! archived. Beside that, what each charge had in the month is gathered in a table of its own, in pieces, so that no long transaction holds up
//! those who follow the events. Then one short transaction does everything that counts: it makes sure that nothing has come into the month
//! meanwhile, keeps what is carried forward, and takes the month's parts out of their tables. Killed before its commit, a run has changed
//! nothing but files and tables of its own, which the next run makes anew.
//!
//! A block that has entries of another month as well (a commit at midnight) stays whole: its entries move to the part for what is in no month.

pub(in crate::store) mod check;
mod cut;
mod reading;
mod staging;

#[cfg(test)]
mod tests;

use fail::fail_point;
use sqlx::{AssertSqlSafe, Connection, Row, postgres::PgConnection};
use tracing::info;

use self::{
    reading::{Gathered, Reading},
    staging::Staging,
};
use super::books;
use crate::{
    clock::Timestamp,
    store::{
        Month, MonthOutcome, Retention, RetentionError, RetentionOrder, RetiredMonth, StoreError,
        archive::{MonthFiles, MonthReader, MonthWriter},
        sql::decode::small,
    },
};

/// Charges that are named where they keep a month from going.
const NAMED_MAX: i64 = 5;

/// The parts of a month, by their names.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    month: Month,
    journal: String,
    ledger: String,
}

/// What stands in the parts of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    entries: u64,
    lines: u64,
    /// The first and the last place; `None` without entries.
    places: Option<(i64, i64)>,
}

/// Does what is ordered, month by month, and tells what becomes of each.
///
/// Errors: see [`RetentionError`].
pub(in crate::store) async fn retire(
    url: &str,
    order: &RetentionOrder,
    mut tell: impl FnMut(Month, &MonthOutcome),
) -> Result<Retention, RetentionError> {
    let mut db = books::connect(url).await?;
    if !order.dry_run {
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('smsbusd:retention:' || current_schema(), 0))";
        if !sqlx::query(lock).fetch_one(&mut db).await?.try_get::<bool, _>(0)? {
            return Err(RetentionError::Busy);
        }
    }
    let now: i64 = sqlx::query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        .fetch_one(&mut db)
        .await?
        .try_get(0)?;
    let this_month = Month::of(order.now.min(Timestamp::from_unix_ms(now)));
    let keeps_from = this_month.before(order.keep_months).unwrap_or(Month::FIRST);
    let mut months = Vec::new();
    for parts in parts_before(&mut db, keeps_from).await? {
        let outcome = month(&mut db, order, &parts).await?;
        tell(parts.month, &outcome);
        months.push((parts.month, outcome));
    }
    let outside = sqlx::query("SELECT count(*) FROM journal_other").fetch_one(&mut db).await?;
    let outside = small(&outside, 0, "journal_other")?;
    db.close().await?;
    Ok(Retention { keeps_from, months, outside })
}

/// The months before that one that are there, in their order.
async fn parts_before(db: &mut PgConnection, month: Month) -> Result<Vec<Parts>, StoreError> {
    let query = "SELECT part.relname::text FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
         WHERE inhparent = to_regclass('journal') ORDER BY part.relname";
    let mut months = Vec::new();
    for row in sqlx::query(query).fetch_all(db).await? {
        let name: String = row.try_get(0)?;
        months.extend(name.strip_prefix("journal_").and_then(Month::read).filter(|found| *found < month));
    }
    months.sort_unstable();
    Ok(months.into_iter().map(Parts::of).collect())
}

impl Parts {
    fn of(month: Month) -> Parts {
        Parts { month, journal: format!("journal_{}", month.suffix()), ledger: format!("ledger_{}", month.suffix()) }
    }

    async fn extent(&self, db: &mut PgConnection) -> Result<Extent, StoreError> {
        let Parts { journal, ledger, .. } = self;
        let query = format!(
            "SELECT (SELECT count(*) FROM {journal}), (SELECT count(*) FROM {ledger}), min(seq), max(seq) FROM {journal}"
        );
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(db).await?;
        let first: Option<i64> = row.try_get(2)?;
        let last: Option<i64> = row.try_get(3)?;
        Ok(Extent { entries: small(&row, 0, "journal")?, lines: small(&row, 1, "ledger")?, places: first.zip(last) })
    }
}

async fn month(db: &mut PgConnection, order: &RetentionOrder, parts: &Parts) -> Result<MonthOutcome, RetentionError> {
    let retired = sqlx::query("SELECT 1 FROM retirements WHERE month = $1").bind(parts.month.to_string());
    if retired.fetch_optional(&mut *db).await.map_err(StoreError::from)?.is_some() {
        let why = "it was retired before, and its parts were made again by hand; what they have stays".into();
        return Ok(MonthOutcome::Refused { why });
    }
    let extent = parts.extent(db).await?;
    if let Some(why) = objection(db, parts, extent).await? {
        return Ok(MonthOutcome::Refused { why });
    }
    let Extent { entries, lines, .. } = extent;
    if order.dry_run {
        return Ok(MonthOutcome::Due { entries, lines });
    }
    let name = parts.month.to_string();
    let files = order.archive.as_deref().map(|folder| MonthFiles::of(folder, &name));
    let mut archive = files.clone().map(MonthWriter::create).transpose()?;
    let mut staging = Staging::begin(db, parts).await?;
    let gathered = match Reading::of(parts, extent).all(db, archive.as_mut(), &mut staging).await? {
        Ok(gathered) => gathered,
        Err(why) => return Ok(MonthOutcome::Refused { why }),
    };
    fail_point!("retention-while-archiving");
    staging.gather_charges(db).await?;
    let archived = match (archive, files) {
        (Some(archive), Some(files)) => {
            let digests = archive.finish()?;
            // What the books let go of is read back first.
            let mut reader = MonthReader::open(files)?;
            let (mut entries, mut lines) = (0_u64, 0_u64);
            while let Some(row) = reader.entry()? {
                entries += 1;
                lines += row.lines.len() as u64;
            }
            if (entries, lines) != (gathered.entries, gathered.lines) {
                return Ok(MonthOutcome::Refused { why: "the archive cannot be read back as it was written".into() });
            }
            Some((digests.journal, digests.ledger))
        }
        _ => None,
    };
    fail_point!("retention-after-archive");
    let Gathered { blocks, entries, lines, kept_entries, .. } = gathered;
    let charges = staging.charges(db).await?;
    let retired = RetiredMonth { blocks, entries, lines, charges, kept_entries, archived };
    match cut::cut(db, parts, extent, &gathered, &retired, order.now).await? {
        None => {
            info!(month = name, entries, lines, "a month of the journal and the ledger is retired");
            Ok(MonthOutcome::Retired(retired))
        }
        Some(why) => Ok(MonthOutcome::Refused { why }),
    }
}

/// Why a month cannot go now.
async fn objection(db: &mut PgConnection, parts: &Parts, extent: Extent) -> Result<Option<String>, StoreError> {
    let Some((first, last)) = extent.places else {
        let strays = (extent.lines > 0).then(|| format!("{} ledger lines belong to no journal entry", extent.lines));
        return Ok(strays);
    };
    if let Some(why) = unsettled_charges(db, parts).await? {
        return Ok(Some(why));
    }
    let settled = "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) + base >= $1 FROM places";
    if !sqlx::query(settled).bind(last).fetch_one(&mut *db).await?.try_get::<bool, _>(0)? {
        return Ok(Some("a transaction is under way that began before its last entry was written".into()));
    }
    let followed = sqlx::query(
        "SELECT name FROM webhooks
         WHERE disabled IS NULL AND cursor < $2 OR replay_cursor < $2 AND replay_until >= $1
         UNION SELECT webhook FROM webhook_failures WHERE due_at IS NOT NULL AND entry BETWEEN $1 AND $2
         ORDER BY 1 LIMIT 1",
    );
    let followed = followed.bind(first).bind(last).fetch_optional(&mut *db).await?;
    let Some(row) = followed else { return Ok(None) };
    let name: String = row.try_get(0)?;
    Ok(Some(format!("webhook {name:?} has not been told of all its events; see `smsbusd webhook show {name}`")))
}

/// Charges with entries in the month whose money is not settled.
async fn unsettled_charges(db: &mut PgConnection, parts: &Parts) -> Result<Option<String>, StoreError> {
    let query = format!(
        "SELECT reference::text, count(*) OVER () FROM (
             SELECT reference FROM charges WHERE state IN ('processing', 'awaiting_otp', 'in_doubt')
             UNION SELECT reference FROM refunds WHERE state NOT IN ('done', 'paid_out')) AS unsettled
         WHERE EXISTS (SELECT 1 FROM {} AS part WHERE part.reference = unsettled.reference)
         ORDER BY reference LIMIT {NAMED_MAX}",
        parts.journal
    );
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(db).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let count: i64 = first.try_get(1)?;
    let names: Vec<String> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_, StoreError>>()?;
    let more = if count > NAMED_MAX { ", …" } else { "" };
    Ok(Some(format!(
        "{count} of its charges are open, in doubt or have a refund outstanding: {}{more}",
        names.join(", ")
    )))
}
