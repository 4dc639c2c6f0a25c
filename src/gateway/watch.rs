use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    charge::{Charge, Reference, State},
    store::StoredTicket,
};

/// A charge as it has come to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The charge.
    pub charge: Charge,
    /// Its ticket, if it was issued with this very change. Otherwise the store knows.
    pub ticket: Option<StoredTicket>,
}

impl From<Charge> for Awaited {
    fn from(charge: Charge) -> Awaited {
        Awaited { charge, ticket: None }
    }
}

/// Those who wait for the outcome of a charge. As many as there are waiting requests; nobody else pays for them. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchers(Arc<Mutex<HashMap<Reference, News>>>);

type News = watch::Sender<Option<Arc<Awaited>>>;

/// One who waits. Dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Watcher {
    watchers: Watchers,
    reference: Reference,
    receiver: watch::Receiver<Option<Arc<Awaited>>>,
}

impl Watchers {
    /// Waits for `reference` from now on. Subscribe first and read the charge then, or before it can change, and nothing is missed.
    pub(super) fn watch(&self, reference: Reference) -> Watcher {
        let mut waiting = self.lock();
        let sender = waiting.entry(reference).or_insert_with(|| watch::Sender::new(None));
        Watcher { watchers: self.clone(), reference, receiver: sender.subscribe() }
    }

    /// Tells those who wait, if there are any. `ticket` is the one that came with this change.
    pub(super) fn tell(&self, charge: &Charge, ticket: Option<&StoredTicket>) {
        if let Some(sender) = self.lock().get(&charge.reference) {
            sender.send_replace(Some(Arc::new(Awaited { charge: charge.clone(), ticket: ticket.cloned() })));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Reference, News>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    pub(super) fn reference(&self) -> Reference {
        self.reference
    }

    /// The charge as soon as its outcome is known or it is in doubt; `None` if that takes longer than `patience`.
    pub(super) async fn outcome(&mut self, patience: Duration) -> Option<Awaited> {
        let decided = |awaited: &Option<Arc<Awaited>>| {
            awaited.as_ref().is_some_and(|awaited| awaited.charge.state != State::Processing)
        };
        let found = tokio::time::timeout(patience, self.receiver.wait_for(decided)).await;
        found.ok()?.ok()?.as_deref().cloned()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut waiting = self.watchers.lock();
        // Ours is given up under the lock, so that of two that go together the second finds nobody left.
        drop(std::mem::replace(&mut self.receiver, watch::channel(None).1));
        if waiting.get(&self.reference).is_some_and(|sender| sender.receiver_count() == 0) {
            waiting.remove(&self.reference);
        }
    }
}
