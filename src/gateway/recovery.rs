//! What a killed process left behind.
//!
//! An attempt that is open at the start was perhaps sent and perhaps not: it is in doubt, and only evidence ends that. A
//! charge without an attempt was never sent: it flies again if there is time. Messages that were kept and not answered are
//! answered, with the same key as before, so that nothing is bought twice.

use std::sync::Arc;

use metrics::counter;
use tracing::info;

use super::{ApplyError, Inner};
use crate::charge::{AttemptState, Charge, Doubt, Event, Evidence, EvidenceSource, Finding};

const PAGE: u32 = 512;

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
        let mut after = None;
        loop {
            let page = self.store.open_charges(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.reference);
            for charge in page {
                if self.recover_charge(&charge).await? {
                    doubts += 1;
                }
                if charge.wants_attempt() {
                    waiting.push(charge);
                }
            }
        }
        counter!("recovered_doubts_total").increment(doubts);
        info!(in_doubt = doubts, waiting = waiting.len(), "recovered what an earlier process left open");
        for charge in waiting {
            self.take_up(charge);
        }
        Ok(())
    }

    /// Whether the charge was found with an open attempt, and is now in doubt.
    pub(super) async fn recover_charge(self: &Arc<Self>, charge: &Charge) -> Result<bool, ApplyError> {
        let Some(attempt) = charge.undecided_attempt() else { return Ok(false) };
        let found_open = attempt.state == AttemptState::Open;
        if found_open {
            let evidence = Evidence {
                // A process can end in each of the steps of one attempt.
                id: format!("restart:{}:{}", attempt.number, charge.version),
                attempt: attempt.number,
                source: EvidenceSource::Recovery,
                finding: Finding::Doubtful { cause: Doubt::Restart },
            };
            self.apply(charge.reference, Some(charge.clone()), Event::Evidence(evidence)).await?;
        }
        // A receipt can have been parked just before the end.
        self.settle_parked(&attempt.carrier, charge.order.msisdn).await?;
        if let Some(id) = &attempt.carrier_id {
            self.settle_parked_callbacks(&attempt.carrier, id).await?;
        }
        Ok(found_open)
    }
}
