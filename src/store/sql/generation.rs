//! The generations of the books, for both databases: they understand the same statements here, but for how texts of others are kept.

use jiff::tz::TimeZone;

use super::{decode, row::SqlRow};
use crate::{
    charge::{CarrierName, Reference},
    clock::Timestamp,
    ledger::{Head, Writer},
    store::{Generation, Reread, Restore, StoreError, generation::Beginning},
};

/// A day is another one elsewhere, and what is lost may have been sold for the day after.
const SERIALS_SLACK: std::time::Duration = std::time::Duration::from_secs(2 * 86_400);

pub(in crate::store) const GENERATIONS: &str =
    "SELECT number, began_at, restored_to, lost_until, by_whom, because, books_end, places_from, writers_after, done_at
     FROM generations ORDER BY number";
pub(in crate::store) const HAS_BLOCK: &str =
    "SELECT count(*) FROM chain WHERE writer = $1 AND number = $2 AND hash = $3";
pub(in crate::store) const KEEPS_WATERMARK: &str = "SELECT count(*) FROM watermarks WHERE name = $1";
pub(in crate::store) const KEEP_WATERMARK: &str =
    "INSERT INTO watermarks (name, since) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
pub(in crate::store) const FORGET_WATERMARK: &str = "DELETE FROM watermarks WHERE name = $1";
pub(in crate::store) const FORGET_WATERMARKS: &str = "DELETE FROM watermarks";
pub(in crate::store) const BEGIN_GENERATION: &str =
    "INSERT INTO generations (number, began_at, restored_to, lost_until, by_whom, because, books_end, places_from,
                              writers_after, serials_through)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
pub(in crate::store) const FINISH_GENERATION: &str =
    "UPDATE generations SET done_at = $2 WHERE number = $1 AND done_at IS NULL";
/// What a passenger asked for by a message may have been sold in the lost time, and cannot be sold again.
pub(in crate::store) const CLOSE_MOS: &str = "UPDATE mos SET answered_at = $1 WHERE answered_at IS NULL";
/// Those whose day may have gone on in the lost time. A day without a row begins further on, too: see the leases.
pub(in crate::store) const LEAVE_SERIALS_OUT: &str =
    "UPDATE serials SET next = next + $1 WHERE day <= $2 AND day >= $3";
/// Whose outcome is open, or whose refunds are.
pub(in crate::store) const PENDING: &str =
    "SELECT reference FROM charges WHERE state IN ('processing', 'awaiting_otp', 'in_doubt')
     UNION
     SELECT reference FROM refunds WHERE state IN ('requested', 'waiting', 'accepted', 'in_doubt')
     ORDER BY 1";
pub(in crate::store) const KEEP_REREAD: &str =
    "INSERT INTO rereads (generation, carrier, done_at, payments, unknown) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (generation, carrier) DO NOTHING";
pub(in crate::store) const HAS_REREAD: &str = "SELECT count(*) FROM rereads WHERE generation = $1 AND carrier = $2";

/// What is asked and written about generations, over one connection.
pub(in crate::store) trait Generations {
    /// All of them, in their order.
    async fn generations(&mut self) -> Result<Vec<Generation>, StoreError>;

    /// The ends of all chains.
    async fn heads(&mut self) -> Result<Vec<(Writer, Head)>, StoreError>;

    /// Whether the books have this block.
    async fn has_block(&mut self, writer: Writer, head: &Head) -> Result<bool, StoreError>;

    /// Whether the daemon of this name keeps a watermark.
    async fn keeps_watermark(&mut self, name: &str) -> Result<bool, StoreError>;

    /// Notes that it does.
    async fn keep_watermark(&mut self, name: &str, since: Timestamp) -> Result<(), StoreError>;

    /// Forgets it again.
    async fn forget_watermark(&mut self, name: &str) -> Result<(), StoreError>;

    /// Begins another generation in one transaction. Durable on return; nothing is served before it is finished.
    async fn begin_generation(&mut self, restore: &Restore) -> Result<Generation, StoreError>;

    /// Everything that was under way is in doubt now.
    async fn finish_generation(&mut self, number: u32, at: Timestamp) -> Result<(), StoreError>;

    /// Charges whose outcome is open, or with a refund whose outcome is.
    async fn pending(&mut self) -> Result<Vec<Reference>, StoreError>;

    /// Notes that a carrier was read to the end.
    async fn keep_reread(&mut self, carrier: &CarrierName, reread: &Reread) -> Result<(), StoreError>;

    /// Whether it was.
    async fn has_reread(&mut self, carrier: &CarrierName, generation: u32) -> Result<bool, StoreError>;
}

/// number, began_at, restored_to, lost_until, by_whom, because, books_end, places_from, writers_after, done_at.
pub(in crate::store) fn generation(row: &impl SqlRow) -> Result<Generation, StoreError> {
    Ok(Generation {
        number: decode::small(row, 0, "generations")?,
        began_at: decode::moment(row, 1)?,
        restored_to: decode::maybe_moment(row, 2)?,
        lost_until: decode::moment(row, 3)?,
        by: row.text(4)?.to_owned(),
        because: row.text(5)?.to_owned(),
        books_end: decode::small(row, 6, "generations")?,
        places_from: decode::small(row, 7, "generations")?,
        writers_after: decode::small(row, 8, "generations")?,
        done_at: decode::maybe_moment(row, 9)?,
    })
}

/// writer, number, at, hash.
pub(in crate::store) fn writers_head(row: &impl SqlRow) -> Result<(Writer, Head), StoreError> {
    let (number, at) = (decode::small(row, 1, "chain")?, decode::moment(row, 2)?);
    let head = Head { number, at, hash: decode::hash(row, 3, "chain")? };
    Ok((Writer(decode::small(row, 0, "chain")?), head))
}

/// A generation that is about to begin.
pub(in crate::store) fn beginning(
    restore: &Restore,
    number: u32,
    restored_to: Option<Timestamp>,
    (books_end, beginning): (i64, Beginning),
) -> Generation {
    Generation {
        number,
        began_at: restore.at,
        restored_to,
        lost_until: restore.lost_until,
        by: restore.by.clone(),
        because: restore.because.clone(),
        books_end: u64::try_from(books_end).unwrap_or(0),
        places_from: u64::try_from(beginning.places_from).unwrap_or(u64::MAX),
        writers_after: u32::try_from(beginning.writers_after).unwrap_or(u32::MAX),
        done_at: None,
    }
}

/// The days whose serials may have gone on in the lost time: the first, and the last.
pub(in crate::store) fn days_of_serials(generation: &Generation) -> (String, String) {
    let day = |at: Timestamp| at.date_in(&TimeZone::UTC).to_string();
    let first = generation.restored_to.unwrap_or(Timestamp::from_unix_ms(0));
    (day(first.minus(SERIALS_SLACK)), day(generation.lost_until.plus(SERIALS_SLACK)))
}

/// A number that is kept as a `bigint`.
pub(in crate::store) fn kept(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
