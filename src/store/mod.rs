//! What is durable: one interface, SQLite, PostgreSQL and an in-memory model behind it, and the group commit.
//!
//! The store speaks in business operations on slices: [`Store::commit`] writes a batch of [`Write`]s in one transaction
//! and answers each of them. No transaction leaks out of it. Guards (idempotency keys, references, carrier ids, evidence,
//! slots) are unique constraints: whatever the callers believe, the second of two is refused by the database.
//!
//! [`GroupCommit`] is the way in for everybody: it drains a bounded queue into batches and answers each caller after the
//! commit. [`GroupRead`] does the same for what every purchase asks first. Other reads go to [`Store`] directly. All see what is
//! committed.

mod address;
mod archive;
mod backends;
mod check;
mod custody;
mod error;
mod generation;
mod group_commit;
mod group_read;
mod hold;
mod instance;
mod kept;
mod known;
mod memory;
mod outstanding;
mod overlap;
mod parts;
mod postgres;
mod prior;
mod question;
mod reread;
mod retention;
mod sales;
mod slot;
mod sql;
mod sqlite;
mod told;
mod transfer;
mod verbatim;
mod watermark;
mod webhook;
mod write;

#[cfg(test)]
pub(crate) mod contract;

pub use archive::{ArchiveError, Month};
pub use backends::Store;
pub use custody::{Admitted, Custody, RefusedBooks};
pub use error::StoreError;
pub use generation::{BooksStanding, FIRST_GENERATION, Generation, Reread, Restore};
pub use group_commit::{GroupCommit, GroupCommitConfig};
pub use group_read::GroupRead;
pub use hold::Hold;
pub use instance::{Census, DatabaseClock, InstanceId, InstanceStanding, Joining, Lease, Peer};
pub use kept::{
    IncomingSms, JournalEntry, KeptMo, MessageState, MoKind, OutgoingSms, Owner, ParkedReceipt, QueuedSms, Slot,
    StoredBreak, StoredTicket,
};
pub use known::{FORGOTTEN_MAX, Forgetting, KnownCounts, StoredFact};
pub use memory::Memory;
#[cfg(test)]
pub(crate) use memory::fate::{Attendant, Fate};
pub use outstanding::{ListedRefund, Outstanding, OutstandingSum, RefundFilter, RefundStanding, UnownedReceipt};
pub use parts::OPEN_PARTS_MAX;
pub use postgres::{Instances, Postgres};
pub use prior::{Prior, PriorQuestion};
pub use question::{Balance, ChargeFilter, InDoubtSummary, Spent, TicketFilter};
pub use reread::BackedUp;
pub use retention::{MonthOutcome, Retention, RetentionError, RetentionOrder, RetiredMonth};
pub use sales::{Sales, Seller};
pub use sqlite::{Sqlite, SqliteConfig};
pub use told::{SettledEntry, Told, ToldRefund, ToldSeller, ToldTicket};
pub use transfer::{ComparedTable, Progress, TransferError, Transferred, transfer};
pub use verbatim::Verbatim;
pub use watermark::{Watermark, WatermarkError, WatermarkFile};
pub use webhook::{
    EventPlace, EventPlaceError, FailedCounts, FailedDelivery, FailedFilter, Replay, WebhookEnd, WebhookProgress,
    WebhookStanding,
};
pub use write::{
    JoinedParts, KeyGuard, MessageProgress, MoAnswer, Named, NewCarrierId, Opening, Outcome, Settlement, SlotChange,
    SlotClaim, SpendingBound, Write,
};
