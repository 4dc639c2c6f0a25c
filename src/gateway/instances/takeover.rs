//! What one had that is gone: its open attempts are in doubt, its waiting charges fly from here, its messages are sent from here.

use std::sync::Arc;

use fail::fail_point;
use metrics::counter;
use tracing::info;

use super::Attendance;
use crate::{
    gateway::{ApplyError, Inner},
    store::InstanceId,
};

/// Charges that are looked at in one go.
const PAGE: usize = 1_000;

impl Inner {
    /// Takes over what `gone` had under way or due, and its messages. Broken off, it is begun again. What was in doubt stays for
    /// [`Inner::take_over_doubts`]: it has time.
    ///
    /// Errors: the store fails.
    pub(in crate::gateway) async fn take_over(
        self: &Arc<Self>,
        attendance: &Attendance,
        gone: InstanceId,
    ) -> Result<(), ApplyError> {
        let instances = attendance.instances();
        // A passenger waits for each of them, and they take no time.
        instances.adopt_messages(gone).await?;
        let (mut adopted, mut doubts, mut waiting) = (0, 0, 0);
        for references in instances.charges_of(gone).await?.chunks(PAGE) {
            let page = instances.orphans(references).await?;
            let (found_open, to_fly) =
                self.recover_charges(page.into_iter().filter_map(|orphan| orphan.charge).collect()).await?;
            // Only now: broken off before, it is begun again by whoever looks next. What is recovered twice is a doubt once.
            fail_point!("gateway-before-adopt");
            instances.adopt(gone, references).await?;
            fail_point!("gateway-after-adopt");
            adopted += references.len();
            doubts += found_open;
            waiting += to_fly.len();
            to_fly.into_iter().for_each(|charge| self.take_up(charge));
        }
        counter!("recovered_doubts_total").increment(doubts);
        if adopted > 0 {
            info!(instance = %gone, adopted, in_doubt = doubts, waiting, "took over the charges of one that is gone");
        }
        Ok(())
    }

    /// Takes over the doubts of one that is gone; then nothing is left of it, and it is forgotten.
    ///
    /// Errors: the store fails.
    pub(in crate::gateway) async fn take_over_doubts(
        &self,
        attendance: &Attendance,
        gone: InstanceId,
    ) -> Result<(), ApplyError> {
        let instances = attendance.instances();
        let adopted = instances.adopt_in_doubt(gone).await?;
        if adopted > 0 {
            info!(instance = %gone, adopted, "took over what is in doubt of one that is gone");
        }
        if gone != InstanceId::NOBODY {
            instances.bury(gone).await?;
        }
        Ok(())
    }
}
