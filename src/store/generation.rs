//! Books that were put back from a back-up go on as another generation: what the lost time may have given out is given to nobody else.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    ledger::{Head, Writer},
};

/// The generation of books that were never put back.
pub const FIRST_GENERATION: u32 = 1;
/// The clocks of several daemons differ by no more.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(600);
/// Ticket serials of a vehicle's day that a generation leaves out: more than a vehicle sells in a day. A code has room for 16,384.
pub(super) const SERIALS_LEFT_OUT: i64 = 4_096;
/// Places of the journal, for each millisecond since 1970: whatever was lost was given out more slowly, so a place that is made from the
/// present moment lies beyond it. 2^20 a millisecond are 16,000 transactions a millisecond on a server.
const PLACES_PER_MS_BITS: u32 = 20;
/// And never less than so many places are left out, if the clock is behind.
const PLACES_LEFT_OUT: i64 = 1 << 40;

/// A generation of the books after the first: a restore, as it is kept in the books themselves. Never changed once it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// 2 for the first restore.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// The moment of the last commit that was in the books then; `None` if there was none.
    pub restored_to: Option<Timestamp>,
    /// Until when commits may have been made that are lost.
    pub lost_until: Timestamp,
    /// Who put the books back.
    pub by: String,
    /// And why.
    pub because: String,
    /// The last place of the journal that is left.
    pub books_end: u64,
    /// The first place that this generation gives.
    pub places_from: u64,
    /// Writers with a higher number are of this generation, or a later one.
    pub writers_after: u32,
    /// When all that was under way had been declared in doubt. Before that nothing is served.
    pub done_at: Option<Timestamp>,
}

impl Generation {
    /// Whether this place of the journal is of the lost time: what stood there is not known here.
    pub const fn has_lost(&self, place: u64) -> bool {
        place > self.books_end && place < self.places_from
    }

    /// Whether it is known here that what this writer committed at this moment is lost. What was written since, by the writers of this
    /// generation, is never.
    pub fn acknowledges(&self, writer: Writer, at: Timestamp) -> bool {
        if writer.0 > self.writers_after {
            return false;
        }
        let since = self.restored_to.map(|restored_to| restored_to.minus(CLOCKS_APART_MAX));
        since.is_none_or(|since| since <= at) && at <= self.lost_until.plus(CLOCKS_APART_MAX)
    }
}

/// What is said when books are put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The present moment.
    pub at: Timestamp,
    /// Until when commits may have been made that are lost: not later than the present.
    pub lost_until: Timestamp,
    /// The generation is higher than this one, which was seen and is lost, too.
    pub after: u32,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Where a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) places_from: i64,
    pub(super) writers_after: i64,
    /// Ids that count up: of instances and breaks.
    pub(super) ids_after: i64,
}

impl Beginning {
    /// Beyond all that was ever given out, also by a generation that is lost: by the clock, and beyond all that is there.
    pub(super) fn at(now: Timestamp, books_end: i64, writer_max: i64) -> Beginning {
        let by_clock = now.unix_ms().max(0).saturating_mul(1 << PLACES_PER_MS_BITS);
        Beginning {
            places_from: by_clock.max(books_end.saturating_add(PLACES_LEFT_OUT)),
            writers_after: now.unix_seconds().clamp(0, i64::from(u32::MAX) / 2).max(writer_max),
            ids_after: now.unix_ms().max(0),
        }
    }
}

/// How the books stand, before anything is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksStanding {
    /// The generations after the first, in their order.
    pub generations: Vec<Generation>,
    /// The ends of all chains of hashes.
    pub heads: Vec<(Writer, Head)>,
    /// Whether a daemon of our name has noted outside of the database how far it has seen it.
    pub keeps_watermark: bool,
}

impl BooksStanding {
    /// The number of the generation that they are in.
    pub fn generation(&self) -> u32 {
        self.generations.last().map_or(FIRST_GENERATION, |last| last.number)
    }

    /// A restore that was begun and not brought to its end.
    pub fn unfinished(&self) -> Option<&Generation> {
        self.generations.last().filter(|last| last.done_at.is_none())
    }

    /// The moment of the last commit; `None` where there is none.
    pub fn latest(&self) -> Option<Timestamp> {
        self.heads.iter().map(|(_, head)| head.at).max()
    }
}

/// That a carrier's payments of the lost time were read to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reread {
    /// For which generation.
    pub generation: u32,
    /// When it was done.
    pub at: Timestamp,
    /// Payments that bear a reference of ours.
    pub payments: u64,
    /// Those of them that the books do not know.
    pub unknown: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    #[test]
    fn a_generation_begins_beyond_all_that_is_there_and_all_that_the_clock_allows() {
        let now = at(1_800_000_000);
        let first = Beginning::at(now, 500, 1);
        assert_eq!(first.places_from, 1_800_000_000_000 << 20);
        assert_eq!(first.writers_after, 1_800_000_000);
        // Put back to the same moment once more, a minute later: nothing of the first try comes again.
        let second = Beginning::at(at(1_800_000_060), 500, 1);
        assert!(second.places_from - first.places_from > 1_000_000_000);
        assert!(second.writers_after > first.writers_after && second.ids_after > first.ids_after);
        // A clock that is far behind.
        let behind = Beginning::at(at(0), 5_000_000_000, 7);
        assert_eq!((behind.places_from, behind.writers_after), (5_000_000_000 + (1 << 40), 7));
    }

    #[test]
    fn the_places_between_are_lost_and_no_others() {
        let generation = Generation {
            number: 2,
            began_at: at(300),
            restored_to: Some(at(1_000)),
            lost_until: at(2_000),
            by: "aigul".into(),
            because: "the disk".into(),
            books_end: 10,
            places_from: 1_000,
            writers_after: 5,
            done_at: None,
        };
        assert_eq!([10, 11, 999, 1_000].map(|place| generation.has_lost(place)), [false, true, true, false]);
        let of = |writer| [399, 400, 2_600, 2_601].map(|s| generation.acknowledges(Writer(writer), at(s)));
        assert_eq!(of(generation.writers_after), [false, true, true, false]);
        assert_eq!(of(generation.writers_after + 1), [false; 4], "what was written since is not known to be lost");
    }
}
