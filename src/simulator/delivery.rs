//! From the SMSC to the client: MOs and receipts, each repeated with the same content until it is acknowledged, over
//! reconnects too.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    config::MoForm,
    exchange::Arrival,
    faults::Fault,
    handle::{MoError, MoOutcome, MoReport},
    link::{Answer, Parcel},
    message::MessageKey,
    mo::{self, Mo},
    receipts,
    shared::Shared,
};
use crate::msisdn::Msisdn;

/// Statuses after which a client wants the same message again: system error, queue full, throttled, RX_T_APPN.
const TEMPORARY: [u32; 4] = [0x08, 0x14, 0x58, 0x64];

/// What came of a message that was repeated until acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    Acknowledged,
    Refused(u32),
    TriesOver,
}

impl Shared {
    /// See [`super::Simulator::send_mo`]. The MO lives in a task of its own: who stops waiting does not stop it.
    pub(super) async fn send_mo(
        self: &Arc<Self>,
        from: Msisdn,
        to: &str,
        text: &str,
        form: MoForm,
    ) -> Result<MoReport, MoError> {
        mo::check(to, text)?;
        let place = Arc::clone(&self.deliveries)
            .try_acquire_owned()
            .map_err(|_| MoError::TooMany(self.config.limits.deliveries_max))?;
        let (faults, reference) = {
            let mut exchange = self.exchange();
            exchange.stats.mos += 1;
            (exchange.draw_for_mo(from), exchange.next_mo_reference())
        };
        let parcels = Mo { from, to, text, form, reference, faults: &faults }.parcels();
        let shared = Arc::clone(self);
        let task = self.spawn(async move {
            let report = shared.see_mo_through(&parcels, &faults).await;
            drop(place);
            report
        });
        let stopped = MoReport { outcome: MoOutcome::ShutDown, tries: 0 };
        Ok(task.await.ok().flatten().unwrap_or(stopped))
    }

    /// Brings an accepted message to its phone and its receipts to the client.
    pub(super) async fn see_message_through(self: Arc<Self>, key: MessageKey, delay: Duration) {
        sleep(delay).await;
        let (_place, after, due) = loop {
            // The place is taken first, so that receipts nobody acknowledges hold back messages instead of piling up.
            let Ok(place) = self.deliveries.acquire().await else { return };
            let arrival = self.exchange().arrive(key, self.now());
            match arrival {
                Some(Arrival::Ended { after, receipts }) => break (place, after, receipts),
                Some(Arrival::Later(pause)) => {
                    drop(place);
                    sleep(pause).await;
                }
                None => return,
            }
        };
        if due.is_empty() {
            return;
        }
        sleep(after).await;
        for receipt in due {
            let Some(parcel) = receipts::write(&self.exchange(), key, receipt, self.now()) else { return };
            self.exchange().stats.receipts += 1;
            let mut tries = 0;
            let delivered = self.deliver(&parcel, u32::MAX, &mut tries).await;
            self.settle(delivered, false);
        }
        self.exchange().messages.settle(key);
    }

    /// Sends the parts of an MO one after the other. It is acknowledged when each of them is.
    async fn see_mo_through(&self, parcels: &[Parcel], faults: &[Fault]) -> MoReport {
        let mut report = MoReport { outcome: MoOutcome::Acknowledged, tries: 0 };
        for parcel in parcels {
            let delivered = self.deliver_mo(parcel, faults, &mut report.tries).await;
            report.outcome = match delivered {
                Delivered::Acknowledged => continue,
                Delivered::Refused(status) => MoOutcome::Refused(status),
                Delivered::TriesOver => MoOutcome::GivenUp,
            };
            self.settle(delivered, true);
            return report;
        }
        self.settle(Delivered::Acknowledged, true);
        report
    }

    async fn deliver_mo(&self, parcel: &Parcel, faults: &[Fault], tries: &mut u32) -> Delivered {
        let settings = &self.config.redelivery;
        let patience = Duration::from_millis(settings.mo_patience_ms);
        let delivered = timeout(patience, self.deliver(parcel, settings.mo_tries_max, tries)).await;
        let delivered = delivered.unwrap_or(Delivered::TriesOver);
        if delivered != Delivered::Acknowledged {
            return delivered;
        }
        for fault in faults {
            let after = match fault {
                Fault::RedeliverMo => Duration::ZERO,
                Fault::MoResponseLost => Duration::from_millis(settings.acknowledge_within_ms),
                _ => continue,
            };
            if !after.is_zero() {
                sleep(after).await;
            }
            self.exchange().stats.redeliveries += 1;
            let _ = timeout(patience, self.deliver(parcel, settings.mo_tries_max, tries)).await;
        }
        delivered
    }

    /// Sends until acknowledged, refused for good, or sent `tries_max` times. Only what was sent counts as a try.
    async fn deliver(&self, parcel: &Parcel, tries_max: u32, tries: &mut u32) -> Delivered {
        let settings = &self.config.redelivery;
        let within = Duration::from_millis(settings.acknowledge_within_ms);
        let mut pause = Duration::from_millis(settings.backoff_min_ms);
        let mut sent = 0;
        loop {
            let link = self.links.next_receiver(parcel.not_on).await;
            if sent > 0 {
                self.exchange().stats.redeliveries += 1;
            }
            sent += 1;
            *tries += 1;
            match link.deliver(parcel, within).await {
                Answer::Status(0) => return Delivered::Acknowledged,
                Answer::Status(status) if !TEMPORARY.contains(&status) => return Delivered::Refused(status),
                Answer::Status(_) | Answer::TimedOut | Answer::LinkLost => {}
            }
            if sent >= tries_max {
                return Delivered::TriesOver;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(settings.backoff_max_ms));
        }
    }

    fn settle(&self, delivered: Delivered, is_mo: bool) {
        let stats = &mut self.exchange().stats;
        match (delivered, is_mo) {
            (Delivered::Acknowledged, true) => stats.mos_acknowledged += 1,
            (Delivered::Acknowledged, false) => stats.receipts_acknowledged += 1,
            (Delivered::Refused(_) | Delivered::TriesOver, _) => stats.deliveries_given_up += 1,
        }
    }
}
