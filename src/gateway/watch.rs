use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::sync::watch;

use crate::charge::{Charge, Reference};

/// Those who wait for the outcome of a charge. As many as there are waiting requests; nobody else pays for them.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<Reference, watch::Sender<Option<Charge>>>>);

/// One who waits. Dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    watchers: &'a Watchers,
    reference: Reference,
    receiver: watch::Receiver<Option<Charge>>,
}

impl Watchers {
    /// Waits for `reference` from now on. Subscribe first and read the charge then, and nothing is missed.
    pub(super) fn watch(&self, reference: Reference) -> Watcher<'_> {
        let mut waiting = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let sender = waiting.entry(reference).or_insert_with(|| watch::Sender::new(None));
        Watcher { watchers: self, reference, receiver: sender.subscribe() }
    }

    /// Tells those who wait, if there are any.
    pub(super) fn tell(&self, charge: &Charge) {
        let waiting = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(sender) = waiting.get(&charge.reference) {
            sender.send_replace(Some(charge.clone()));
        }
    }
}

impl Watcher<'_> {
    /// The charge as soon as its outcome is known or it is in doubt; `None` if that takes longer than `patience`.
    pub(super) async fn outcome(&mut self, patience: Duration) -> Option<Charge> {
        let decided = |charge: &Option<Charge>| {
            charge.as_ref().is_some_and(|charge| !matches!(charge.state, crate::charge::State::Processing))
        };
        let found = tokio::time::timeout(patience, self.receiver.wait_for(decided)).await;
        found.ok()?.ok()?.clone()
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        let mut waiting = self.watchers.0.lock().unwrap_or_else(|e| e.into_inner());
        if waiting.get(&self.reference).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.reference);
        }
    }
}
