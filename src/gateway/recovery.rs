//! What a killed process left behind.
//!
//! An attempt that is open at the start was perhaps sent and perhaps not: it is in doubt, and only evidence ends that. A
//! charge without an attempt was never sent: it flies again if there is time. Messages that were kept and not answered are
//! answered, with the same key as before, so that nothing is bought twice.

use std::sync::Arc;

use metrics::counter;
use tracing::{error, info};

use super::{ApplyError, Inner};
use crate::charge::{AttemptState, Charge, Doubt, Event, Evidence, EvidenceSource, Finding};

const PAGE: usize = 512;

impl Inner {
    /// Runs once, before any event of a carrier and before any request is taken.
    ///
    /// Errors: the store fails; then the gateway must not start.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), ApplyError> {
        if let Some(at) = self.store.latest_moment().await? {
            self.clock.has_shown(at);
        }
        if let Some(attendance) = &self.attendance {
            return self.join(attendance).await;
        }
        let (mut doubts, mut waiting) = (0_u64, Vec::new());
        // What is in doubt already has its questions; one whose second step was asked for is doubted again when its answer is due.
        for page in self.store.under_way().await?.chunks(PAGE) {
            let page = self.store.charges_by_reference(page).await?;
            let (found_open, to_fly) = self.recover_charges(page).await?;
            doubts += found_open;
            waiting.extend(to_fly);
        }
        counter!("recovered_doubts_total").increment(doubts);
        info!(in_doubt = doubts, waiting = waiting.len(), "recovered what an earlier process left open");
        for charge in waiting {
            self.take_up(charge);
        }
        Ok(())
    }

    /// A page of charges, all at once, so that they share their commits. How many had an open attempt, and are now in doubt; and those that
    /// wait for one. What was parked for them just before the end is weighed again with everything that is parked.
    pub(super) async fn recover_charges(self: &Arc<Self>, page: Vec<Charge>) -> Result<(u64, Vec<Charge>), ApplyError> {
        let (mut recovering, mut waiting) = (Vec::new(), Vec::new());
        for charge in page {
            if charge.wants_attempt() {
                waiting.push(charge);
            } else if charge.undecided_attempt().is_some_and(|attempt| attempt.state == AttemptState::Open) {
                let inner = self.clone();
                recovering.push(self.spawn(async move { inner.recover_charge(charge).await }));
            }
        }
        let mut doubts = 0;
        let mut failed = None;
        for recovered in recovering {
            match recovered.await {
                Ok(Ok(())) => doubts += 1,
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => error!(%panic, "a charge could not be recovered; its deadline makes it a doubt"),
            }
        }
        failed.map_or(Ok((doubts, waiting)), Err)
    }

    /// It was sent, perhaps.
    async fn recover_charge(self: &Arc<Self>, charge: Charge) -> Result<(), ApplyError> {
        let Some(attempt) = charge.undecided_attempt() else { return Ok(()) };
        let evidence = Evidence {
            // A process can end in each of the steps of one attempt.
            id: format!("restart:{}:{}", attempt.number, charge.version),
            attempt: attempt.number,
            source: EvidenceSource::Recovery,
            finding: Finding::Doubtful { cause: Doubt::Restart },
        };
        self.apply(charge.reference, Some(charge), Event::Evidence(evidence)).await.map(drop)
    }
}
