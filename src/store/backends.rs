use std::path::Path;

use super::{
    Balance, ChargeFilter, FailedCounts, FailedDelivery, FailedFilter, InDoubtSummary, IncomingSms, Instances, Joining,
    JournalEntry, KeptMo, KeyGuard, KnownCounts, ListedRefund, Memory, Month, MonthOutcome, Outcome, OutstandingSum,
    Owner, ParkedReceipt, Postgres, Prior, PriorQuestion, QueuedSms, RefundFilter, Retention, RetentionError,
    RetentionOrder, Sales, SettledEntry, Slot, Spent, Sqlite, StoreError, StoredBreak, StoredFact, StoredTicket,
    TicketFilter, UnownedReceipt, Verbatim, WebhookStanding, Write,
    address::{Address, without_password},
    overlap, postgres,
    sql::audit::{audit, kept_roots},
    sqlite,
};
use crate::{
    charge::{CarrierName, Charge, Home, Reference},
    clock::Timestamp,
    eligibility::Facts,
    ledger::{Audited, DailyRoot},
    msisdn::Msisdn,
    passenger::Language,
    transit::VehicleCode,
};

/// Where things are kept. Clones share one store.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file on this machine: the embedded default.
    Sqlite(Sqlite),
    /// A database that outlives machines, for production.
    Postgres(Postgres),
    /// A model of the real stores for simulation and tests; gone when the last clone is dropped.
    Memory(Memory),
}

/// Dispatches to whatever stands behind the name.
macro_rules! each {
    ($store:expr, $backend:ident => $call:expr) => {
        match $store {
            Store::Sqlite($backend) => $call,
            Store::Postgres($backend) => $call,
            Store::Memory($backend) => $call,
        }
    };
}

impl Store {
    /// Opens the store that `url` names and brings its schema up to date: `sqlite:///var/lib/smsbusd/smsbusd.db` (three
    /// slashes before an absolute path, two before a relative one), `postgres://user@host/database`, or `memory:` for one that is gone
    /// with the process.
    ///
    /// Errors: the text names no store; the folder is missing; the file cannot be opened or written, or is no database; the server
    /// cannot be reached, or another daemon is served by the database; its schema is newer than this program or was changed.
    pub async fn open(url: &str) -> Result<Store, StoreError> {
        Store::open_as(url, Joining::default()).await
    }

    /// The same for one daemon among several: a database server serves as many as come.
    pub async fn open_as(url: &str, joining: Joining) -> Result<Store, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => Ok(Store::Sqlite(Sqlite::open(config).await?)),
            Address::Postgres(url) => Ok(Store::Postgres(Postgres::open(&url, joining).await?)),
            Address::Memory => Ok(Store::Memory(Memory::default())),
        }
    }

    /// Our place among the daemons that the store serves. `None` if it serves one.
    pub fn instances(&self) -> Option<&Instances> {
        match self {
            Store::Postgres(backend) => Some(backend.instances()),
            Store::Sqlite(_) | Store::Memory(_) => None,
        }
    }

    /// The text that names a store, as it may be shown: without a password.
    pub fn shown(url: &str) -> String {
        without_password(url)
    }

    /// What is wrong with the address of a server, before anything is tried; nothing, for other stores.
    pub fn complaint(url: &str) -> Option<String> {
        match Address::read(url) {
            Ok(Address::Postgres(url)) => postgres::complaint(&url),
            _ => None,
        }
    }

    /// Brings the schema of the store that `url` names up to date and says how many migrations it consists of.
    ///
    /// Errors: as [`Store::open`].
    pub async fn migrate(url: &str) -> Result<usize, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => Sqlite::migrate(&config).await,
            Address::Postgres(url) => Postgres::migrate(&url).await,
            Address::Memory => Ok(0),
        }
    }

    /// Ends the writer after what it was given, and closes the database. Clones can only read afterwards, or not even that.
    pub async fn close(&self) {
        each!(self, backend => backend.close().await);
    }

    /// Writes a batch in one transaction and answers each write, in order. Durable on return.
    ///
    /// The caller keeps apart what cannot share a batch: two writes must not touch the same charge, key, slot, message,
    /// receipt or serials. [`GroupCommit`](super::GroupCommit) does that for everybody. Dropping the future does not cancel
    /// a commit that has begun.
    ///
    /// Errors: the whole batch failed and nothing of it was written. [`StoreError::Refused`] if a write contradicts itself,
    /// another of the batch, or what is kept.
    pub async fn commit(&self, batch: &[Write]) -> Result<Vec<Outcome>, StoreError> {
        batch.iter().try_for_each(Write::check)?;
        if overlap::apart(batch.iter()).contains(&false) {
            return Err(StoreError::Refused("two writes of one batch touch the same row".into()));
        }
        self.commit_checked(batch.to_vec()).await.1
    }

    /// Commits writes that are known to be sound and apart, and gives them back.
    pub(super) async fn commit_checked(&self, batch: Vec<Write>) -> (Vec<Write>, Result<Vec<Outcome>, StoreError>) {
        match batch.len() {
            0 => (batch, Ok(Vec::new())),
            _ => each!(self, backend => backend.commit(batch).await),
        }
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

    /// What is kept of purchases to come, in the order of the questions: one statement for all of them.
    pub async fn priors(&self, questions: &[PriorQuestion]) -> Result<Vec<Prior>, StoreError> {
        each!(self, backend => backend.priors(questions).await)
    }

    /// Charges whose [`Charge::due_at`] is at or before `now`, the longest due first, at most `limit`.
    pub async fn due_charges(&self, now: Timestamp, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.due_charges(now, limit).await)
    }

    /// The charges whose outcome is open and that are not in doubt, in order: what a restart has to look at. In one look, so that as
    /// many as there are in doubt cost next to nothing.
    pub async fn under_way(&self) -> Result<Vec<Reference>, StoreError> {
        each!(self, backend => backend.under_way().await)
    }

    /// These charges, in the order of their references. Those that are not there are left out.
    pub async fn charges_by_reference(&self, references: &[Reference]) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.charges_by_reference(references).await)
    }

    /// Charges whose outcome is open, by reference, at most `limit`.
    #[cfg(test)]
    pub(crate) async fn open_charges(&self, limit: u32) -> Result<Vec<Charge>, StoreError> {
        each!(self, backend => backend.open_charges(limit).await)
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

    /// What was sold in each quarter of an hour that began at or after `since`, by everybody who sold anything through this daemon, or
    /// one whose place it took.
    pub async fn sales(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        each!(self, backend => backend.sales(since).await)
    }

    /// The same of what was sold through the other daemons of the database.
    pub async fn sales_of_others(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        match self {
            Store::Postgres(backend) => backend.sales_of_others(since).await,
            Store::Sqlite(_) | Store::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Of what was sold since `since`, what is in doubt at this carrier with a ticket deadline before `doubt_since`: it counts
    /// as sold no more (M14).
    pub async fn overdue_sales(
        &self,
        carrier: &CarrierName,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Vec<Sales>, StoreError> {
        each!(self, backend => backend.overdue_sales(carrier, since, doubt_since).await)
    }

    /// What sources said of a number as a subscriber of this carrier.
    pub async fn facts(&self, msisdn: Msisdn, carrier: &CarrierName) -> Result<Facts, StoreError> {
        each!(self, backend => backend.facts(msisdn, carrier).await)
    }

    /// The facts observed last, newest first, at most `limit`.
    pub async fn newest_facts(&self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        each!(self, backend => backend.newest_facts(limit).await)
    }

    /// Which carrier a number belongs to, if that was ever heard.
    pub async fn home(&self, msisdn: Msisdn) -> Result<Option<Home>, StoreError> {
        each!(self, backend => backend.home(msisdn).await)
    }

    /// How much is kept of subscribers.
    pub async fn known_counts(&self) -> Result<KnownCounts, StoreError> {
        each!(self, backend => backend.known_counts().await)
    }

    /// What a carrier id names.
    pub async fn owner(&self, carrier: &CarrierName, carrier_id: &str) -> Result<Option<Owner>, StoreError> {
        each!(self, backend => backend.owner(carrier, carrier_id).await)
    }

    /// The newest receipts parked for a passenger at a carrier, at most `limit`, the oldest of them first. Those that nobody
    /// ever owns do not hide the ones that come later.
    pub async fn parked(
        &self,
        carrier: &CarrierName,
        msisdn: Msisdn,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        each!(self, backend => backend.parked(carrier, msisdn, limit).await)
    }

    /// The oldest receipts and callbacks parked for a carrier's id, at most `limit`.
    pub async fn parked_for(
        &self,
        carrier: &CarrierName,
        carrier_id: &str,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        each!(self, backend => backend.parked_for(carrier, carrier_id, limit).await)
    }

    /// Parked receipts, those that came first, after `after`, at most `limit`.
    pub async fn unowned(
        &self,
        after: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<UnownedReceipt>, StoreError> {
        each!(self, backend => backend.unowned(after, limit).await)
    }

    /// Refunds that have not reached the passenger, those of the oldest purchases first, at most `limit` (M14).
    pub async fn refunds(&self, filter: &RefundFilter, limit: u32) -> Result<Vec<ListedRefund>, StoreError> {
        each!(self, backend => backend.refunds(filter, limit).await)
    }

    /// What is outstanding, by kind, carrier and currency, in this order; nothing that is not (M16).
    pub async fn outstanding(&self) -> Result<Vec<OutstandingSum>, StoreError> {
        each!(self, backend => backend.outstanding().await)
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
    pub async fn tickets(
        &self,
        msisdn: Msisdn,
        filter: TicketFilter,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredTicket>, StoreError> {
        each!(self, backend => backend.tickets(msisdn, filter, now, limit).await)
    }

    /// Numbers with open parts of messages, the longest open first, at most `limit`.
    pub async fn numbers_with_open_parts(&self, limit: u32) -> Result<Vec<Msisdn>, StoreError> {
        each!(self, backend => backend.numbers_with_open_parts(limit).await)
    }

    /// The open parts of one number's messages, oldest first; never more than [`OPEN_PARTS_MAX`](super::OPEN_PARTS_MAX).
    pub async fn open_parts(&self, msisdn: Msisdn) -> Result<Vec<IncomingSms>, StoreError> {
        each!(self, backend => backend.open_parts(msisdn).await)
    }

    /// The last moment at which messages of each carrier's passengers could be taken, by [`Write::WatchMos`].
    pub async fn mos_watched(&self) -> Result<Vec<(CarrierName, Timestamp)>, StoreError> {
        each!(self, backend => backend.mos_watched().await)
    }

    /// Messages from passengers that wait for an answer of ours, no parts and none that was handed over, oldest first, at most `limit`: what a restart has to look at.
    pub async fn unanswered_mos(&self, limit: u32) -> Result<Vec<IncomingSms>, StoreError> {
        each!(self, backend => backend.unanswered_mos(limit).await)
    }

    /// One message from a passenger.
    pub async fn mo(&self, id: Reference) -> Result<Option<KeptMo>, StoreError> {
        each!(self, backend => backend.mo(id).await)
    }

    /// Messages from passengers that were handed over and wait for a charge, by [`KeptMo::answer_by`], the earliest first, at
    /// most `limit`.
    pub async fn mos_handed_over(&self, limit: u32) -> Result<Vec<KeptMo>, StoreError> {
        each!(self, backend => backend.mos_handed_over(limit).await)
    }

    /// Pending messages of a carrier that are due at `now`: tickets first, then the longest due, at most `limit`.
    pub async fn due_messages(
        &self,
        carrier: &CarrierName,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
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

    /// The newest messages to a passenger, written at or after `since`, at most `limit`.
    pub async fn messages_to(
        &self,
        msisdn: Msisdn,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
        each!(self, backend => backend.messages_to(msisdn, since, limit).await)
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

    /// What the carrier said of a charge, word for word, each under the [`evidence_id`](JournalEntry::evidence_id) of its journal
    /// entry, in no order. What was erased is not there.
    pub async fn words(&self, reference: Reference) -> Result<Vec<(String, Verbatim)>, StoreError> {
        each!(self, backend => backend.words(reference).await)
    }

    /// A settled prefix of all journals: the entries after the place `after`, in the order of their places, at most `limit`. No entry
    /// ever appears at a lower place than one that was handed out here. A store whose commits finish out of order hands out an entry only
    /// once every commit that could still bring a lower place has ended.
    pub async fn settled_journal(&self, after: u64, limit: u32) -> Result<Vec<SettledEntry>, StoreError> {
        each!(self, backend => backend.settled_journal(after, limit).await)
    }

    /// The place of the last settled entry; 0 if there is none.
    pub async fn settled_end(&self) -> Result<u64, StoreError> {
        each!(self, backend => backend.settled_end().await)
    }

    /// How many settled entries stand after this place; of very many perhaps only the first hundred thousand are counted.
    pub async fn settled_after(&self, place: u64) -> Result<u64, StoreError> {
        each!(self, backend => backend.settled_after(place).await)
    }

    /// The latest moment that anything in the books has; `None` where nothing is. The clock has shown it, whatever it shows now.
    pub async fn latest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        each!(self, backend => backend.latest_moment().await)
    }

    /// How far a webhook has come; `None` if it was never followed.
    pub async fn webhook(&self, name: &str) -> Result<Option<WebhookStanding>, StoreError> {
        each!(self, backend => backend.webhook(name).await)
    }

    /// Deliveries of a webhook that failed, at most `limit`.
    pub async fn failed_deliveries(
        &self,
        name: &str,
        filter: FailedFilter,
        limit: u32,
    ) -> Result<Vec<FailedDelivery>, StoreError> {
        each!(self, backend => backend.failed_deliveries(name, filter, limit).await)
    }

    /// How many deliveries of a webhook failed.
    pub async fn failed_counts(&self, name: &str) -> Result<FailedCounts, StoreError> {
        each!(self, backend => backend.failed_counts(name).await)
    }

    /// The sum of every account. They add up to zero per currency.
    pub async fn balances(&self) -> Result<Vec<Balance>, StoreError> {
        each!(self, backend => backend.balances().await)
    }

    /// Checks the books in the store that `url` names, as they are this moment, and the roots of days that were noted elsewhere.
    /// Opens it only to read: a daemon may go on writing.
    ///
    /// Errors: the text names no store that outlives the process; it cannot be opened or read; its schema is not this program's.
    pub async fn audit(url: &str, noted: &[DailyRoot]) -> Result<Audited, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => audit(&mut sqlite::books::open(&config).await?, noted).await,
            Address::Postgres(url) => audit(&mut postgres::books::open(&url).await?, noted).await,
            Address::Memory => Err(not_from_outside(url)),
        }
    }

    /// Checks the books as [`Store::audit`] does, and compares the archived months in a folder with the chain. Says in how many months of the archive
    /// nothing was changed as well; of the others, and of those that are not there, a flaw tells.
    ///
    /// Errors: as [`Store::audit`]; [`StoreError::Address`] if the store is none that lets go of months.
    pub async fn audit_with_archive(
        url: &str,
        noted: &[DailyRoot],
        folder: &Path,
    ) -> Result<(Audited, u64), StoreError> {
        let Address::Postgres(address) = Address::read(url)? else {
            return Err(StoreError::Address { url: Store::shown(url), why: "only a PostgreSQL store has an archive" });
        };
        let mut db = postgres::books::open(&address).await?;
        let mut audited = audit(&mut db, noted).await?;
        let (sound, flaws) = postgres::retention::check::check(&mut db, folder).await?;
        audited.flaws_total += flaws.len() as u64;
        audited.flaws.extend(flaws);
        Ok((audited, sound))
    }

    /// Lets go of months of the journal and the ledger that are old enough, beside daemons that serve, and tells what becomes of each.
    /// What is told as retired is durable.
    ///
    /// Errors: see [`RetentionError`].
    pub async fn retire(
        url: &str,
        order: &RetentionOrder,
        tell: impl FnMut(Month, &MonthOutcome),
    ) -> Result<Retention, RetentionError> {
        match Address::read(url)? {
            Address::Postgres(address) => postgres::retention::retire(&address, order, tell).await,
            Address::Sqlite(_) | Address::Memory => Err(RetentionError::NoMonths { url: Store::shown(url) }),
        }
    }

    /// The months in which a charge had entries of the journal that are no longer here, and whether each is in the archive.
    pub async fn retired_months(&self, reference: Reference) -> Result<Vec<(String, bool)>, StoreError> {
        match self {
            Store::Postgres(backend) => backend.retired_months(reference).await,
            Store::Sqlite(_) | Store::Memory(_) => Ok(Vec::new()),
        }
    }

    /// The roots of the last `limit` days with a commit that have ended, the newest first.
    ///
    /// Errors: as [`Store::audit`].
    pub async fn daily_roots(url: &str, limit: u32) -> Result<Vec<DailyRoot>, StoreError> {
        match Address::read(url)? {
            Address::Sqlite(config) => kept_roots(&mut sqlite::books::open(&config).await?, limit).await,
            Address::Postgres(url) => kept_roots(&mut postgres::books::open(&url).await?, limit).await,
            Address::Memory => Err(not_from_outside(url)),
        }
    }

    /// Breaks, those of the newest commit first and those of one commit in any order, at most `limit`.
    pub async fn breaks(&self, limit: u32) -> Result<Vec<StoredBreak>, StoreError> {
        each!(self, backend => backend.breaks(limit).await)
    }

    /// Whether the store can be written to: for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        each!(self, backend => backend.ping().await)
    }
}

fn not_from_outside(url: &str) -> StoreError {
    StoreError::Address { url: url.into(), why: "what is in memory cannot be looked at from outside" }
}
