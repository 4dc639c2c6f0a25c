//! What is durable: one interface, SQLite and an in-memory model behind it, and the group commit.
//!
//! The store speaks in business operations on slices: [`Store::commit`] writes a batch of [`Write`]s in one transaction
//! and answers each of them. No transaction leaks out of it. Guards (idempotency keys, references, carrier ids, evidence,
//! slots) are unique constraints: whatever the callers believe, the second of two is refused by the database.
//!
//! [`GroupCommit`] is the way in for everybody: it drains a bounded queue into batches and answers each caller after the
//! commit. Reads go to [`Store`] directly and see what is committed.

mod group_commit;
mod memory;
mod sqlite;

pub use group_commit::{GroupCommit, GroupCommitConfig};
pub use memory::Memory;
pub use sqlite::{Sqlite, SqliteConfig};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    charge::{Break, CarrierName, Charge, Event, Reference, State},
    clock::Timestamp,
    ledger::{Account, Entry},
    money::{Currency, Money},
    msisdn::Msisdn,
    passenger::Language,
    transit::VehicleCode,
};

/// Where things are kept. Clones share one store.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file on this machine: the embedded default.
    Sqlite(Sqlite),
    /// A model of the real stores for simulation and tests; gone when the last clone is dropped.
    Memory(Memory),
}

/// Why the store could not do what it was asked. Nothing of the batch was written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row does not say what it must.
    #[error("{table}, row {row}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What names the row.
        row: String,
        /// What is wrong.
        why: String,
    },
    /// The writer is gone: the process is ending.
    #[error("the store is closed")]
    Closed,
}

/// One business operation of a batch.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new charge, with its guards. Answered by [`Outcome::Opened`], [`Outcome::KeyKnown`] or [`Outcome::SlotHeld`].
    Open(Box<Opening>),
    /// The next state of a charge. Answered by [`Outcome::Settled`], [`Outcome::Stale`] or [`Outcome::EvidenceKnown`].
    Settle(Box<Settlement>),
    /// A repeat (M13): this key is answered by a charge that exists. Answered by [`Outcome::Done`] or [`Outcome::KeyKnown`].
    RecordRepeat {
        /// The key of the repeated request.
        guard: KeyGuard,
        /// The charge that answers it.
        reference: Reference,
        /// When.
        at: Timestamp,
        /// The message from a passenger that this answers, and what it is answered with.
        mo: Option<MoAnswer>,
    },
    /// A message from a passenger, before it is acknowledged. Answered by [`Outcome::MoKept`] or [`Outcome::MoKnown`].
    KeepMo(IncomingSms),
    /// A message from a passenger is answered without a charge. Answered by [`Outcome::Done`], also if it was answered before:
    /// then nothing is written.
    AnswerMo(MoAnswer),
    /// A receipt whose owner is looked for under the same lock under which it would be parked, so that a response that comes
    /// in at the same time cannot be missed. Answered by [`Outcome::Owned`] or [`Outcome::Parked`].
    Park(ParkedReceipt),
    /// A parked receipt has found its owner, or was looked at by a person. Answered by [`Outcome::Done`].
    Unpark {
        /// The receipt's [`ParkedReceipt::id`].
        id: String,
    },
    /// Progress of an outgoing message. Answered by [`Outcome::MessageMoved`].
    MoveMessage(MessageProgress),
    /// A block of ticket serials for one vehicle and day. Answered by [`Outcome::Leased`].
    LeaseSerials {
        /// The vehicle.
        vehicle: VehicleCode,
        /// The day, as `YYYY-MM-DD` in the city's time zone.
        day: String,
        /// How many.
        count: u32,
    },
    /// The language in which a passenger wants to be answered. Answered by [`Outcome::Done`].
    SetLanguage {
        /// The passenger.
        msisdn: Msisdn,
        /// The language.
        language: Language,
    },
}

/// What came of a [`Write`]. Durable when it is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, or already as asked.
    Done,
    /// The charge exists now. If its slot was taken over from a charge past its deadline, that one is superseded (M12).
    Opened {
        /// The charge that gave way.
        superseded: Option<Reference>,
    },
    /// The key was used before, for this charge; nothing was written (M15).
    KeyKnown {
        /// The charge that the key stands for.
        reference: Reference,
        /// Whether the body was the same. If not, it is a conflict.
        same_body: bool,
        /// Whether that charge was made by another key, of which this one was a repeat (M13).
        repeat: bool,
    },
    /// Another charge holds the slot of this subscriber and vehicle; nothing was written (M12, M13).
    SlotHeld(Slot),
    /// The charge moved on. These receipts were parked for the carrier id that it has just learned.
    Settled {
        /// They stay parked until [`Write::Unpark`].
        parked: Vec<ParkedReceipt>,
    },
    /// The charge has moved on since it was read; nothing was written. Read it again and step again.
    Stale,
    /// This piece of evidence was counted before; nothing was written (M9).
    EvidenceKnown,
    /// The message is kept and waits for its answer.
    MoKept,
    /// The same message was kept within the window; nothing was written.
    MoKnown {
        /// The id of the message that was kept.
        id: Reference,
    },
    /// The receipt's carrier id is known; nothing was parked.
    Owned(Owner),
    /// The receipt is parked (again, perhaps).
    Parked,
    /// The message is in its next state, with these receipts parked for the carrier id that it has just learned.
    MessageMoved {
        /// They stay parked until [`Write::Unpark`].
        parked: Vec<ParkedReceipt>,
    },
    /// The block begins with this serial (the first of a day is 0).
    Leased {
        /// The first serial.
        first: u32,
    },
}

/// A new charge and all that must be durable with it.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The charge, after the steps that it has already gone through: perhaps declined, perhaps with its first attempt.
    pub charge: Charge,
    /// Its idempotency key.
    pub guard: KeyGuard,
    /// The slot to claim. `None` for a charge that is declined from the start.
    pub slot: Option<SlotClaim>,
    /// The message from a passenger that this charge answers; it counts as answered from now on.
    pub mo: Option<Reference>,
    /// What happened so far, in order.
    pub journal: Vec<JournalEntry>,
    /// Messages to the passenger.
    pub messages: Vec<OutgoingSms>,
}

/// The next state of a charge and all that must be durable with it (M10).
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The version that the charge had when it was read.
    pub from_version: u32,
    /// The charge as it is to be.
    pub charge: Charge,
    /// The event that led here. Its evidence id, if it is evidence, is the guard against counting it twice.
    pub journal: JournalEntry,
    /// The carrier id that an attempt has just learned.
    pub carrier_id: Option<NewCarrierId>,
    /// The entries of this transition.
    pub entries: Vec<Entry>,
    /// The ticket.
    pub ticket: Option<StoredTicket>,
    /// Whether the ticket ceases to be valid.
    pub revoke_ticket: bool,
    /// Messages to the passenger.
    pub messages: Vec<OutgoingSms>,
    /// What becomes of the slot, if this charge still holds it.
    pub slot: SlotChange,
    /// Differences that somebody must look at.
    pub breaks: Vec<Break>,
}

/// An event of a charge, for the audit and for those who follow the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The charge.
    pub reference: Reference,
    /// The version that it led to.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// `None` for the opening itself.
    pub event: Option<Event>,
    /// Where the charge stood before; `None` at the opening.
    pub from: Option<State>,
    /// Where it stands since.
    pub to: State,
}

/// Guards against doing the same request twice (M15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGuard {
    /// Whose key it is: an API caller's name, or `sms`.
    pub caller: String,
    /// The key, at most 255 bytes.
    pub key: String,
    /// SHA-256 over the request's content: the same key with another body is a conflict.
    pub body_sha256: [u8; 32],
}

/// A wish for the slot of the charge's subscriber and vehicle. It is granted if there is none, if its time is over, or if
/// `replaces` holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotClaim {
    /// The charge that may be replaced, because this one adds passengers to it.
    pub replaces: Option<Reference>,
    /// Until when the slot is held, unless something ends it before.
    pub held_until: Timestamp,
    /// Passengers in total who have paid, or are about to.
    pub passengers: u8,
}

/// Who holds the slot of a subscriber and a vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The charge.
    pub reference: Reference,
    /// Passengers in total.
    pub passengers: u8,
    /// Until when.
    pub held_until: Timestamp,
}

/// What becomes of a slot that the charge still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotChange {
    /// It stays as it is.
    Keep,
    /// It is held until another moment.
    HoldUntil(Timestamp),
    /// It goes back to the charge that held it before, or is free.
    Release(Option<Slot>),
}

/// A carrier id just learned, which from now on names this attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCarrierId {
    /// The carrier.
    pub carrier: CarrierName,
    /// Its id, normalised.
    pub id: String,
    /// The attempt's number.
    pub attempt: u16,
}

/// What a carrier id names. An id that a carrier uses again belongs to the newest that had it (M9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An attempt.
    Attempt {
        /// Its charge.
        reference: Reference,
        /// Its number.
        attempt: u16,
    },
    /// An outgoing message, by its [`OutgoingSms::id`].
    Message(Reference),
}

/// A signed ticket as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTicket {
    /// The charge's reference and the ticket's id.
    pub reference: Reference,
    /// Who rides.
    pub msisdn: Msisdn,
    /// On which vehicle.
    pub vehicle: VehicleCode,
    /// The code for a plain phone.
    pub short_code: String,
    /// The signed CWT.
    pub cwt: Vec<u8>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A message from a passenger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingSms {
    /// Its name for life.
    pub id: Reference,
    /// The carrier on whose bind it came.
    pub carrier: CarrierName,
    /// From whom.
    pub msisdn: Msisdn,
    /// To which short number.
    pub destination: String,
    /// What it says.
    pub text: String,
    /// SHA-256 over carrier, source, destination, text and concatenation reference: what makes two deliveries one message.
    pub fingerprint: [u8; 32],
    /// When it came.
    pub received_at: Timestamp,
    /// A message with the same fingerprint that came after this moment is this message.
    pub same_since: Timestamp,
}

/// The answer to a message from a passenger. The answer and the fact that there is one are durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoAnswer {
    /// The message's [`IncomingSms::id`].
    pub mo: Reference,
    /// When.
    pub at: Timestamp,
    /// What the passenger is told; nothing, if the cap on replies is reached.
    pub messages: Vec<OutgoingSms>,
}

/// A message to a passenger, free of charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingSms {
    /// Its name for life.
    pub id: Reference,
    /// The charge that it speaks of.
    pub reference: Option<Reference>,
    /// Through which carrier.
    pub carrier: CarrierName,
    /// To whom.
    pub msisdn: Msisdn,
    /// What it says.
    pub text: String,
    /// Whether it carries a ticket: those go first.
    pub ticket: bool,
    /// When it was written.
    pub created_at: Timestamp,
    /// After this moment it is worth nothing and is not sent any more.
    pub expires_at: Timestamp,
}

/// Where an outgoing message stands. Kept apart from the charge's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Waits to be sent, perhaps not for the first time.
    Pending,
    /// The carrier took it.
    Submitted,
    /// It reached the phone.
    Delivered,
    /// The carrier refused it, or could not deliver it.
    Failed,
    /// Its time ran out before it could be sent.
    Expired,
}

/// An outgoing message with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedSms {
    /// The message.
    pub message: OutgoingSms,
    /// Where it stands.
    pub state: MessageState,
    /// Tries so far.
    pub tries: u32,
    /// When it may be tried next.
    pub due_at: Timestamp,
}

/// The next state of an outgoing message. A message in a final state (delivered, failed, expired) stays there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageProgress {
    /// The message's [`OutgoingSms::id`].
    pub id: Reference,
    /// The state it moves to.
    pub to: MessageState,
    /// Tries so far.
    pub tries: u32,
    /// When it may be tried next, if it is pending.
    pub due_at: Timestamp,
    /// The carrier's id for it, normalised, if it was just learned.
    pub carrier_id: Option<(CarrierName, String)>,
}

/// A receipt that nobody owns yet: it came before its response, or its response was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReceipt {
    /// Names this piece: carrier, carrier id (or destination), state, `err` and done date (M9).
    pub id: String,
    /// The carrier.
    pub carrier: CarrierName,
    /// Its id, normalised. `None` where the receipt had none.
    pub carrier_id: Option<String>,
    /// The passenger whose phone the message went to.
    pub msisdn: Msisdn,
    /// The receipt itself in the carrier module's JSON: what is needed to weigh it later.
    pub body: serde_json::Value,
    /// When it came.
    pub received_at: Timestamp,
}

/// What is in doubt (M16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InDoubtSummary {
    /// How many charges.
    pub count: u64,
    /// Since when the oldest has been in doubt.
    pub oldest_since: Option<Timestamp>,
    /// What they are worth together, in minor units.
    pub minor: i64,
}

/// What a subscriber has spent, with what is in doubt counted as spent (M14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Minor units.
    pub minor: i64,
    /// Purchases.
    pub purchases: u32,
}

/// Which charges to list. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargeFilter {
    /// Of this subscriber.
    pub msisdn: Option<Msisdn>,
    /// On this vehicle.
    pub vehicle: Option<VehicleCode>,
    /// With this [`State::code`].
    pub state: Option<String>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Only those whose reference is smaller than this: where the page before ended.
    pub before: Option<Reference>,
}

/// Which tickets to list. Newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketFilter {
    /// Valid at the given moment.
    Active,
    /// Expired or revoked at the given moment.
    Past,
}

/// The sum of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// The currency.
    pub currency: Currency,
    /// Minor units; a debit balance is positive.
    pub minor: i64,
}

/// A break as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBreak {
    /// The charge.
    pub reference: Reference,
    /// What differs, by [`Break::code`].
    pub kind: String,
    /// When it was found.
    pub at: Timestamp,
    /// The amount of the charge.
    pub amount: Money,
}

/// Dispatches to whatever stands behind the name.
macro_rules! each {
    ($store:expr, $backend:ident => $call:expr) => {
        match $store {
            Store::Sqlite($backend) => $call,
            Store::Memory($backend) => $call,
        }
    };
}

impl Store {
    /// Writes a batch in one transaction and answers each write, in order. Durable on return.
    ///
    /// The caller keeps apart what cannot share a batch: two writes must not touch the same charge, key, slot, message,
    /// receipt or serials. [`GroupCommit`] does that for everybody.
    ///
    /// Errors: the whole batch failed and nothing of it was written.
    pub async fn commit(&self, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        each!(self, backend => backend.commit(batch).await)
    }

    /// The charge with this reference.
    pub async fn charge(&self, reference: Reference) -> Result<Option<Charge>, StoreError> {
        each!(self, backend => backend.charge(reference).await)
    }

    /// Charges by filter, newest first, at most `limit`.
    pub async fn charges(&self, filter: &ChargeFilter, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.charges(filter, limit).await)
    }

    /// The charge that a key stands for, whether the body was the same, and whether it was a repeat.
    pub async fn key(&self, guard: &KeyGuard) -> Result<Option<(Reference, bool, bool)>, StoreError> {
        each!(self, backend => backend.key(guard).await)
    }

    /// Charges whose [`Charge::due_at`] is at or before `now`, the longest due first, at most `limit`.
    pub async fn due_charges(&self, now: Timestamp, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.due_charges(now, limit).await)
    }

    /// Charges whose outcome is open, by reference, after `after`, at most `limit`: what a restart has to look at.
    pub async fn open_charges(&self, after: Option<Reference>, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.open_charges(after, limit).await)
    }

    /// Open charges of one subscriber: the candidates for a receipt without a known id. At most `limit`.
    pub async fn open_charges_of(&self, msisdn: Msisdn, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.open_charges_of(msisdn, limit).await)
    }

    /// What is in doubt.
    pub async fn in_doubt(&self) -> Result<InDoubtSummary, StoreError> {
        each!(self, backend => backend.in_doubt().await)
    }

    /// Who holds the slot of a subscriber and vehicle, whether its time is over or not.
    pub async fn slot(&self, msisdn: Msisdn, vehicle: &VehicleCode) -> Result<Option<Slot>, StoreError> {
        each!(self, backend => backend.slot(msisdn, vehicle).await)
    }

    /// What a subscriber has spent with charges received at or after `since`: taken, or open. What is in doubt counts only if
    /// its ticket deadline is at or after `doubt_since` (M14). Refunds do not give the limit back.
    pub async fn spent(&self, msisdn: Msisdn, since: Timestamp, doubt_since: Timestamp) -> Result<Spent, StoreError> {
        each!(self, backend => backend.spent(msisdn, since, doubt_since).await)
    }

    /// What a carrier id names.
    pub async fn owner(&self, carrier: &CarrierName, carrier_id: &str) -> Result<Option<Owner>, StoreError> {
        each!(self, backend => backend.owner(carrier, carrier_id).await)
    }

    /// Receipts parked for a passenger at a carrier, oldest first, at most `limit`.
    pub async fn parked(&self, carrier: &CarrierName, msisdn: Msisdn, limit: u32) -> Result<Vec<ParkedReceipt>, StoreError> {
        each!(self, backend => backend.parked(carrier, msisdn, limit).await)
    }

    /// How many receipts are parked.
    pub async fn parked_count(&self) -> Result<u64, StoreError> {
        each!(self, backend => backend.parked_count().await)
    }

    /// The ticket of a charge.
    pub async fn ticket(&self, reference: Reference) -> Result<Option<StoredTicket>, StoreError> {
        each!(self, backend => backend.ticket(reference).await)
    }

    /// Tickets of a subscriber at `now`, newest first, at most `limit`.
    pub async fn tickets(&self, msisdn: Msisdn, filter: TicketFilter, now: Timestamp, limit: u32) -> Result<Vec<StoredTicket>, StoreError> {
        each!(self, backend => backend.tickets(msisdn, filter, now, limit).await)
    }

    /// Messages from passengers that wait for an answer, oldest first, at most `limit`: what a restart has to look at.
    pub async fn unanswered_mos(&self, limit: u32) -> Result<Vec<IncomingSms>, StoreError> {
        each!(self, backend => backend.unanswered_mos(limit).await)
    }

    /// Pending messages of a carrier that are due at `now`: tickets first, then the longest due, at most `limit`.
    pub async fn due_messages(&self, carrier: &CarrierName, now: Timestamp, limit: u32) -> Result<Vec<QueuedSms>, StoreError> {
        each!(self, backend => backend.due_messages(carrier, now, limit).await)
    }

    /// One outgoing message.
    pub async fn message(&self, id: Reference) -> Result<Option<QueuedSms>, StoreError> {
        each!(self, backend => backend.message(id).await)
    }

    /// Messages about a charge, oldest first.
    pub async fn messages_of(&self, reference: Reference) -> Result<Vec<QueuedSms>, StoreError> {
        each!(self, backend => backend.messages_of(reference).await)
    }

    /// Messages to a passenger that were written at or after `since`: for the cap on replies.
    pub async fn messages_since(&self, msisdn: Msisdn, since: Timestamp) -> Result<u64, StoreError> {
        each!(self, backend => backend.messages_since(msisdn, since).await)
    }

    /// The language that a passenger chose.
    pub async fn language(&self, msisdn: Msisdn) -> Result<Option<Language>, StoreError> {
        each!(self, backend => backend.language(msisdn).await)
    }

    /// The journal of a charge, in order.
    pub async fn journal(&self, reference: Reference) -> Result<Vec<JournalEntry>, StoreError> {
        each!(self, backend => backend.journal(reference).await)
    }

    /// The sum of every account. They add up to zero per currency.
    pub async fn balances(&self) -> Result<Vec<Balance>, StoreError> {
        each!(self, backend => backend.balances().await)
    }

    /// Breaks, newest first, at most `limit`.
    pub async fn breaks(&self, limit: u32) -> Result<Vec<StoredBreak>, StoreError> {
        each!(self, backend => backend.breaks(limit).await)
    }

    /// Whether the store can be written to: for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        each!(self, backend => backend.ping().await)
    }
}
