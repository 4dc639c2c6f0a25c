use super::{Memory, State};
use crate::{
    clock::Timestamp,
    store::{FailedCounts, FailedDelivery, FailedFilter, SettledEntry, StoreError, WebhookProgress, WebhookStanding},
};

impl Memory {
    pub(in crate::store) async fn settled_journal(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SettledEntry>, StoreError> {
        let state = self.state();
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        let settled = state.settled.get(skipped..).unwrap_or_default().iter().zip(after.saturating_add(1)..);
        let entries = settled.filter_map(|((reference, index), place)| {
            let entry = state.journal.get(reference)?.get(*index)?.clone();
            Some(SettledEntry { place, entry, order: state.charges.get(reference)?.order.clone() })
        });
        Ok(entries.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    pub(in crate::store) async fn settled_end(&self) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.state().settled.len()).unwrap_or(u64::MAX))
    }

    pub(in crate::store) async fn settled_after(&self, place: u64) -> Result<u64, StoreError> {
        Ok(self.settled_end().await?.saturating_sub(place))
    }

    pub(in crate::store) async fn latest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().journal.values().flatten().map(|entry| entry.at).max())
    }

    pub(in crate::store) async fn webhook(&self, name: &str) -> Result<Option<WebhookStanding>, StoreError> {
        Ok(self.state().webhooks.get(name).cloned())
    }

    pub(in crate::store) async fn failed_deliveries(
        &self,
        name: &str,
        filter: FailedFilter,
        limit: u32,
    ) -> Result<Vec<FailedDelivery>, StoreError> {
        let state = self.state();
        let fits = |failed: &&FailedDelivery| match filter {
            FailedFilter::Due(now) => failed.due_at.is_some_and(|due| due <= now),
            FailedFilter::Waiting => failed.due_at.is_some(),
            FailedFilter::GivenUp => failed.due_at.is_none(),
        };
        let mut failed: Vec<FailedDelivery> = state.failed_of(name).filter(fits).cloned().collect();
        failed.sort_by_key(|failed| (failed.due_at, failed.place));
        failed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(failed)
    }

    pub(in crate::store) async fn failed_counts(&self, name: &str) -> Result<FailedCounts, StoreError> {
        let state = self.state();
        Ok(state.failed_of(name).fold(FailedCounts::default(), |counts, failed| match failed.due_at {
            Some(_) => FailedCounts { waiting: counts.waiting + 1, ..counts },
            None => FailedCounts { given_up: counts.given_up + 1, ..counts },
        }))
    }
}

impl State {
    fn failed_of(&self, name: &str) -> impl Iterator<Item = &FailedDelivery> {
        self.failed_deliveries.iter().filter(move |((webhook, _), _)| webhook == name).map(|(_, failed)| failed)
    }

    pub(super) fn move_webhook(&mut self, progress: &WebhookProgress) {
        let WebhookProgress { name, standing, failed, removed } = progress;
        self.webhooks.insert(name.clone(), standing.clone());
        for place in removed {
            self.failed_deliveries.remove(&(name.clone(), *place));
        }
        for delivery in failed {
            self.failed_deliveries.insert((name.clone(), delivery.place), delivery.clone());
        }
    }
}
