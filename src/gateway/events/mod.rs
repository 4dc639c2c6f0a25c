//! What those who follow the gateway are told: events, derived from the journal.
//!
//! The journal is the outbox: an entry is committed with the change that it tells of, and never changes. `derive` makes the events of an
//! entry from that entry and from what the charge ordered, and from nothing else, so that an event that is read again a year later is the
//! same bytes. `telling` writes beside each entry what its events need and the charge does not keep. `reading` gives pages of them, for
//! the API and for webhooks. See `docs/events.md`.

mod derive;
mod event;
mod fiscal;
mod kind;
mod reading;
mod telling;
#[cfg(test)]
mod tests;

pub use derive::events_of;
pub use event::{Event, EventAmount, EventBreak, EventCharge, EventData, EventRefund, EventTicket};
pub use fiscal::{Fiscal, FiscalItem, FiscalOperation, FiscalSeller, FiscalVat};
pub use kind::{EventFilter, EventFilterError, EventType};
pub use reading::{CursorError, EventPage, FutureCursor, LostCursor};
