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
        let (mut adopted, mut doubts, mut waiting) = (0_u64, 0_u64, 0_u64);
        loop {
            let page = attendance.instances().adopt(gone).await?;
            if page.is_empty() {
                break;
            }
            for charge in page {
                adopted += 1;
                doubts += u64::from(self.recover_adopted(&charge).await?);
                if charge.wants_attempt() {
                    waiting += 1;
                    self.take_up(charge);
                }
            }
        }
        attendance.instances().bury(gone).await?;
        counter!("recovered_doubts_total").increment(doubts);
        if adopted > 0 {
            info!(instance = %gone, adopted, in_doubt = doubts, waiting, "took over the charges of one that is gone");
        }
        Ok(())
    }

    /// It is ours now, so nobody else will recover it.
    async fn recover_adopted(self: &Arc<Self>, charge: &Charge) -> Result<bool, ApplyError> {
        loop {
            match self.recover_charge(charge).await {
                Err(error) if error.is_passing() && !self.stopping.is_cancelled() => {
                    warn!(charge = %charge.reference, %error, "a charge that was taken over cannot be recovered yet");
                    tokio::time::sleep(PAUSE).await;
                }
                recovered => return recovered,
            }
        }
    }
}
