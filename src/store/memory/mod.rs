//! The model of the real stores: the same answers from plain maps, nothing durable, no thread and no wait.

#[cfg(test)]
pub(crate) mod fate;
mod known;
mod outstanding;
mod reads;
mod webhooks;
mod writes;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    EventPlace, FailedDelivery, JournalEntry, KeptMo, Outcome, Owner, ParkedReceipt, QueuedSms, Slot, StoreError,
    StoredBreak, StoredTicket, Verbatim, WebhookStanding, Write, sales::SalesChanges,
};
use crate::{
    charge::{CarrierName, Charge, Home, Reference},
    clock::Timestamp,
    eligibility::{Fact, FactName},
    ledger::{Account, Entry},
    msisdn::Msisdn,
    passenger::Language,
    transit::VehicleCode,
};

/// A store in memory. Clones share it; it is gone with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// Lets the next `count` commits fail as a lost database would, with nothing written.
    pub fn fail_next_commits(&self, count: u32) {
        self.state().commits_to_fail = count;
    }

    /// Judges every write against the state before the batch, then applies them all: a refusal leaves no trace.
    pub(super) async fn commit(&self, batch: Vec<Write>) -> (Vec<Write>, Result<Vec<Outcome>, StoreError>) {
        #[cfg(test)]
        if let Some(attendant) = self.attendant() {
            let result = self.commit_attended(&*attendant, &batch).await;
            return (batch, result);
        }
        let result = self.state().commit(&batch);
        (batch, result)
    }

    /// Every later commit answers [`StoreError::Closed`].
    pub(super) async fn close(&self) {
        self.state().closed = true;
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        if self.state().closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// A panic of another holder leaves a state that was not half changed: everything is judged before anything is applied.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is kept.
#[derive(Debug, Default)]
struct State {
    charges: BTreeMap<Reference, Charge>,
    keys: BTreeMap<(String, String), KeptKey>,
    /// With what was said, where somebody said something.
    evidence: BTreeMap<(Reference, String), Option<Verbatim>>,
    slots: BTreeMap<(Msisdn, VehicleCode), Slot>,
    carrier_ids: BTreeMap<(CarrierName, String), Owner>,
    journal: BTreeMap<Reference, Vec<JournalEntry>>,
    /// Which entry of which charge's journal was the first to be settled, which the second, and so on.
    settled: Vec<(Reference, usize)>,
    ledger: BTreeMap<(Reference, u32, Account), Entry>,
    tickets: BTreeMap<Reference, StoredTicket>,
    messages: BTreeMap<Reference, QueuedSms>,
    mos: BTreeMap<Reference, KeptMo>,
    fingerprints: BTreeMap<[u8; 32], (Reference, Timestamp)>,
    mos_watched: BTreeMap<CarrierName, Timestamp>,
    parked: BTreeMap<String, ParkedReceipt>,
    /// Parked ones that were reported as breaks.
    reported: BTreeMap<String, Timestamp>,
    /// The next serial of a vehicle's day.
    serials: BTreeMap<(VehicleCode, String), u32>,
    languages: BTreeMap<Msisdn, Language>,
    sales: SalesChanges,
    facts: BTreeMap<(Msisdn, CarrierName, FactName), Fact>,
    homes: BTreeMap<Msisdn, Home>,
    breaks: Vec<StoredBreak>,
    webhooks: BTreeMap<String, WebhookStanding>,
    failed_deliveries: BTreeMap<(String, EventPlace), FailedDelivery>,
    commits_to_fail: u32,
    #[cfg(test)]
    attendant: Option<Arc<dyn fate::Attendant>>,
    closed: bool,
}

#[derive(Debug)]
struct KeptKey {
    reference: Reference,
    body_sha256: [u8; 32],
    repeat: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        GroupCommit, GroupCommitConfig, Store,
        contract::fixture::{charge_at, opening},
    };

    #[tokio::test]
    async fn a_lost_database_fails_every_write_of_the_batch_once_and_leaves_nothing() {
        let memory = Memory::default();
        let store = Store::Memory(memory.clone());
        let group = GroupCommit::start(store.clone(), GroupCommitConfig::default());
        memory.fail_next_commits(1);
        let write = |n| group.write(Write::Open(Box::new(opening(&charge_at(n, 0)))));
        let answers = tokio::join!(write(1), write(2), write(3));
        for answer in [answers.0, answers.1, answers.2] {
            assert!(matches!(answer, Err(StoreError::Database(_))), "{answer:?}");
        }
        assert_eq!(store.charges(&crate::store::ChargeFilter::default(), 9).await.unwrap(), []);
        assert_eq!(write(1).await.unwrap(), Outcome::Opened { superseded: None });
    }
}
