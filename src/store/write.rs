use super::{
    Forgetting, IncomingSms, JournalEntry, MessageState, OutgoingSms, Owner, ParkedReceipt, Slot, StoredFact,
    StoredTicket, Verbatim, WebhookProgress,
};
use crate::{
    charge::{Break, CarrierName, Charge, Event, Home, Reference},
    clock::Timestamp,
    ledger::Entry,
    msisdn::Msisdn,
    passenger::Language,
    transit::VehicleCode,
};

/// One business operation of a batch.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new charge, with its guards. Answered by [`Outcome::Opened`], [`Outcome::KeyKnown`], [`Outcome::OverBound`] or
    /// [`Outcome::SlotHeld`]; by [`Outcome::MoKnown`] if the message that it would answer has its answer, or was never kept.
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
    /// A message from a passenger, before it is acknowledged. Answered by [`Outcome::MoKept`] or [`Outcome::MoKnown`]; a part of a
    /// longer one by [`Outcome::PartKept`], [`Outcome::TooManyParts`] or [`Outcome::MoKnown`].
    KeepMo(IncomingSms),
    /// A whole message takes the place of its parts. Answered by [`Outcome::MoKept`], or by [`Outcome::MoKnown`] if one of the parts
    /// was closed before or was never kept: somebody else was faster, and nothing is written.
    JoinParts(JoinedParts),
    /// Messages from this carrier's passengers could be taken at this moment. Answered by [`Outcome::Done`].
    WatchMos {
        /// The carrier.
        carrier: CarrierName,
        /// When.
        at: Timestamp,
    },
    /// A message from a passenger is answered without a charge. Answered by [`Outcome::Done`], or by [`Outcome::MoKnown`] if it
    /// was answered before or was never kept.
    AnswerMo(MoAnswer),
    /// A message from a passenger is handed to the ticket service: it waits for a charge until a moment, and whoever looks for
    /// unanswered messages passes it over. Answered by [`Outcome::Done`], or by [`Outcome::MoKnown`] if it has its answer or was
    /// never kept. Handed over before, it keeps its moment.
    HandOverMo {
        /// The message's [`IncomingSms::id`].
        mo: Reference,
        /// The moment by which a charge must have come.
        answer_by: Timestamp,
    },
    /// A receipt whose owner is looked for under the same lock under which it would be parked, so that a response that comes
    /// in at the same time cannot be missed. Answered by [`Outcome::Owned`] or [`Outcome::Parked`].
    Park(ParkedReceipt),
    /// A parked receipt has found its owner, or was looked at by a person. Answered by [`Outcome::Done`].
    Unpark {
        /// The receipt's [`ParkedReceipt::id`].
        id: String,
    },
    /// A parked receipt has found no owner for long: a break, once. Answered by [`Outcome::Done`].
    ReportUnowned {
        /// The receipt's [`ParkedReceipt::id`].
        id: String,
        /// When.
        at: Timestamp,
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
    /// What sources said of subscribers; of two statements about the same fact the one observed later stays. No fact of a
    /// number at a carrier may be in it twice. Answered by [`Outcome::Done`].
    KeepFacts(Vec<StoredFact>),
    /// Which carriers numbers belong to; of two statements about the same number the one observed later stays. No number may be
    /// in it twice. Answered by [`Outcome::Done`].
    KeepHomes(Vec<Home>),
    /// Old facts and homes go. Answered by [`Outcome::Done`].
    Forget(Forgetting),
    /// How far a webhook has come. Answered by [`Outcome::Done`].
    MoveWebhook(Box<WebhookProgress>),
}

impl Write {
    /// Whether somebody may be charged by what is written: only then does it matter that nobody else goes on in our place.
    pub fn begins_something(&self) -> bool {
        match self {
            Write::Open(_) => true,
            Write::Settle(settlement) => settlement.opens_attempt(),
            _ => false,
        }
    }
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
    /// The message from a passenger that this charge answers: it must have no answer yet, and has one from now on. So a message
    /// is answered once, by a charge or without one.
    pub mo: Option<Reference>,
    /// What happened so far, in order.
    pub journal: Vec<JournalEntry>,
    /// Messages to the passenger.
    pub messages: Vec<OutgoingSms>,
    /// What the subscriber may have bought before, at most.
    pub bounds: Vec<SpendingBound>,
}

/// What a subscriber may have bought before a charge is opened (M14). It is judged in the transaction: so purchases at several daemons cannot
/// pass a limit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendingBound {
    /// Received at or after.
    pub since: Timestamp,
    /// What is in doubt counts only if its ticket deadline is not before this moment.
    pub doubt_since: Timestamp,
    /// At most for so much, in minor units.
    pub minor_max: i64,
    /// At most so often.
    pub purchases_max: u32,
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
    /// What the carrier said, if the event is evidence.
    pub verbatim: Option<Verbatim>,
    /// The carrier id that an attempt or a refund has just learned.
    pub carrier_id: Option<NewCarrierId>,
    /// The entries of this transition.
    pub entries: Vec<Entry>,
    /// The ticket; it takes the place of the one before, if the charge has one.
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

impl Settlement {
    /// Whether an attempt is opened by it.
    pub fn opens_attempt(&self) -> bool {
        matches!(self.journal.event, Some(Event::OpenAttempt { .. }))
    }
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
/// `replaces` holds it. A charge that is still open and not past its ticket deadline keeps its slot even when the slot's
/// time is over: both could take the money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotClaim {
    /// The charge that may be replaced, because this one adds passengers to it.
    pub replaces: Option<Reference>,
    /// Until when the slot is held, unless something ends it before.
    pub held_until: Timestamp,
    /// Passengers in total who have paid, or are about to.
    pub passengers: u8,
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

/// A carrier id just learned, which from now on names an attempt or a refund of the charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCarrierId {
    /// The carrier.
    pub carrier: CarrierName,
    /// Its id, normalised.
    pub id: String,
    /// What it names.
    pub names: Named,
}

/// What of a charge a carrier id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The attempt with this number.
    Attempt(u16),
    /// The refund of this name.
    Refund(Reference),
}

impl Named {
    /// The owner of the id, in the charge of this reference.
    pub fn of(self, reference: Reference) -> Owner {
        match self {
            Named::Attempt(attempt) => Owner::Attempt { reference, attempt },
            Named::Refund(refund) => Owner::Refund { reference, refund },
        }
    }
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
    /// Whether the passenger is asked to send the same again: from now on the same text is a new message.
    pub asks_again: bool,
}

/// What takes the place of the parts of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedParts {
    /// The [`IncomingSms::id`] of each part. They are closed from now on.
    pub parts: Vec<Reference>,
    /// The message: whole, or incomplete. It waits for its answer.
    pub message: IncomingSms,
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
    /// The subscriber has bought more, or oftener, than an opening allows; nothing was written (M14).
    OverBound,
    /// Another charge holds the slot of this subscriber and vehicle; nothing was written (M12, M13).
    SlotHeld(Slot),
    /// The charge moved on. These receipts were parked for the carrier id that it has just learned.
    Settled {
        /// They stay parked until [`Write::Unpark`].
        parked: Vec<ParkedReceipt>,
    },
    /// The charge has moved on since it was read, or does not exist; nothing was written. Read it again and step again.
    Stale,
    /// This piece of evidence was counted before; nothing was written (M9). Outranks [`Outcome::Stale`].
    EvidenceKnown,
    /// The message is kept and waits for its answer.
    MoKept,
    /// The part is kept. These are the open parts of its message, itself included, the oldest first.
    PartKept {
        /// They stay open until [`Write::JoinParts`].
        parts: Vec<IncomingSms>,
    },
    /// The number has [`OPEN_PARTS_MAX`](super::OPEN_PARTS_MAX) open parts; nothing was written.
    TooManyParts,
    /// The same message was kept within the window, or the message has its answer; nothing was written.
    MoKnown {
        /// The id of the message that was kept, or that has its answer.
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
