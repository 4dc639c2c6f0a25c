//! Pages of events.

use thiserror::Error;
use tokio::sync::watch;

use super::{Event, EventFilter, events_of};
use crate::{
    gateway::Gateway,
    store::{EventPlace, Store, StoreError},
};

/// Entries of the journal that are looked at for one page. Most tell nothing, and a filter may want few of the rest: then a page is short
/// and not the last.
const ENTRIES_MAX: u32 = 512;

/// Events in order, and how far was looked.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events that the filter wants.
    pub events: Vec<Event>,
    /// Nothing up to here is left to tell: where the next page begins.
    pub cursor: EventPlace,
    /// Whether nothing more is settled behind it.
    pub is_last: bool,
}

/// A cursor beyond everything that ever happened here: it comes from another installation, or this one was set back to an older backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the cursor {cursor} lies behind the last event, {end}: it is from another installation, or of before a backup was put back"
)]
pub struct FutureCursor {
    /// The cursor.
    pub cursor: EventPlace,
    /// The last settled place.
    pub end: EventPlace,
}

/// A cursor that was handed out in a time that is lost to the books: a back-up was put back since. What happened between is told by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the cursor {cursor} is of a time that is lost to the books, because a back-up was put back: the events behind {resume} that were read \
     then did not happen as far as the books know; go on from the cursor {resume}"
)]
pub struct LostCursor {
    /// The cursor.
    pub cursor: EventPlace,
    /// The last place before that time.
    pub resume: EventPlace,
}

/// Why a cursor is not one of these books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// It is of a time that is lost.
    #[error(transparent)]
    Lost(#[from] LostCursor),
    /// It lies behind everything.
    #[error(transparent)]
    Future(#[from] FutureCursor),
}

impl EventPage {
    /// The events after `after` that `filter` wants, at most `events_max` (at least 1).
    pub(in crate::gateway) async fn read(
        store: &Store,
        after: EventPlace,
        filter: &EventFilter,
        events_max: usize,
    ) -> Result<EventPage, StoreError> {
        // A purchase has about as many events as entries: what is not sent is not read either.
        let entries_max = u32::try_from(events_max).unwrap_or(u32::MAX).saturating_mul(4).clamp(64, ENTRIES_MAX);
        EventPage::bounded(store, after, filter, entries_max, events_max).await
    }

    /// The events that `filter` wants of the entries after `after`, at most `entries_max` of them: each entry whole.
    pub(in crate::gateway) async fn whole_entries(
        store: &Store,
        after: u64,
        filter: &EventFilter,
        entries_max: u32,
    ) -> Result<EventPage, StoreError> {
        EventPage::bounded(store, EventPlace::all_of(after), filter, entries_max, usize::MAX).await
    }

    async fn bounded(
        store: &Store,
        after: EventPlace,
        filter: &EventFilter,
        entries_max: u32,
        events_max: usize,
    ) -> Result<EventPage, StoreError> {
        let entries = store.settled_journal(after.whole_entries(), entries_max).await?;
        let mut page = EventPage {
            events: Vec::new(),
            cursor: after,
            is_last: entries.len() < usize::try_from(entries_max).unwrap_or(usize::MAX),
        };
        for settled in &entries {
            for event in events_of(settled) {
                if event.cursor <= after || !filter.wants(event.kind) {
                    continue;
                }
                if page.events.len() >= events_max.max(1) {
                    page.is_last = false;
                    return Ok(page);
                }
                page.cursor = event.cursor;
                page.events.push(event);
            }
            page.cursor = EventPlace::all_of(settled.place);
        }
        Ok(page)
    }
}

impl Gateway {
    /// The events after `after` that `filter` wants, at most `events_max`: a settled prefix. No event ever appears before the cursor of a
    /// page.
    pub async fn events(
        &self,
        after: EventPlace,
        filter: &EventFilter,
        events_max: usize,
    ) -> Result<EventPage, StoreError> {
        EventPage::read(&self.0.store, after, filter, events_max).await
    }

    /// Where the events end now.
    pub async fn events_end(&self) -> Result<EventPlace, StoreError> {
        Ok(EventPlace::all_of(self.0.store.settled_end().await?))
    }

    /// Changes when there may be new events; closed when there will be none any more.
    pub fn event_news(&self) -> watch::Receiver<u64> {
        self.0.writer.journal_news()
    }

    /// Returns once the gateway stops.
    pub async fn stopping(&self) {
        self.0.stopping.cancelled().await;
    }

    /// Refuses a cursor that lies behind the last event, or in a time that is lost to the books. Returns where the events end.
    pub async fn check_cursor(&self, cursor: EventPlace) -> Result<Result<EventPlace, CursorError>, StoreError> {
        let lost = self.0.generations.iter().find(|generation| generation.has_lost(cursor.entry));
        if let Some(generation) = lost {
            let resume = EventPlace::all_of(generation.books_end);
            return Ok(Err(LostCursor { cursor, resume }.into()));
        }
        let end = self.events_end().await?;
        Ok(if cursor.entry > end.entry { Err(FutureCursor { cursor, end }.into()) } else { Ok(end) })
    }
}
