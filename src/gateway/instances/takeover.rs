//! What one had that is gone: its open attempts are in doubt, its waiting charges fly from here, its messages are sent from here.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tracing::{info, warn};

use super::Attendance;
use crate::{
    charge::Charge,
    gateway::{ApplyError, Inner},
    store::InstanceId,
};

/// Before the next try, where the store fails.
const PAUSE: Duration = Duration::from_millis(200);

impl Inner {
    /// Takes over everything that `gone` looked after. Broken off, it is begun again.
    ///
    /// Errors: the store fails.
    pub(in crate::gateway) async fn take_over(
        self: &Arc<Self>,
        attendance: &Attendance,
        gone: InstanceId,
    ) -> Result<(), ApplyError> {
        let (mut adopted, mut doubts, mut waiting) = (0, 0, 0);
        loop {
            let page = attendance.instances().adopt(gone).await?;
            if page.is_empty() {
                break;
            }
            adopted += page.len();
            let (found_open, to_fly) = self.recover_adopted(page).await?;
            doubts += found_open;
            waiting += to_fly.len();
            to_fly.into_iter().for_each(|charge| self.take_up(charge));
        }
        attendance.instances().bury(gone).await?;
        counter!("recovered_doubts_total").increment(doubts);
        if adopted > 0 {
            info!(instance = %gone, adopted, in_doubt = doubts, waiting, "took over the charges of one that is gone");
        }
        Ok(())
    }

    /// They are ours now, so nobody else will recover them. What is recovered twice is a doubt once.
    async fn recover_adopted(self: &Arc<Self>, page: Vec<Charge>) -> Result<(u64, Vec<Charge>), ApplyError> {
        loop {
            match self.recover_charges(page.clone()).await {
                Err(error) if error.is_passing() && !self.stopping.is_cancelled() => {
                    warn!(%error, "charges that were taken over cannot be recovered yet");
                    tokio::time::sleep(PAUSE).await;
                }
                recovered => return recovered,
            }
        }
    }
}
