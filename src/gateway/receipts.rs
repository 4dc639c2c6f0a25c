//! Delivery receipts: each finds its owner, or is parked until it does (M9).

use std::{future::Future, pin::Pin, sync::Arc};

use metrics::counter;
use tracing::{debug, warn};

use super::{ApplyError, Inner};
use crate::{
    carrier::{Ack, CarrierReceipt},
    charge::{AttemptState, CarrierName, Event, Finding, Reference},
    msisdn::Msisdn,
    store::{MessageProgress, MessageState, Outcome, Owner, ParkedReceipt, StoreError, Write},
};

/// Receipts looked at for one passenger at a time, and charges that a receipt without a known id may be about.
const CANDIDATES_MAX: u32 = 32;

impl Inner {
    /// Takes in a receipt, and acknowledges it once what it says is durable.
    pub(super) async fn take_receipt(self: &Arc<Self>, receipt: CarrierReceipt, ack: Ack) {
        match self.weigh_or_park(receipt).await {
            Ok(()) => ack.accept(),
            // Dropped unanswered: the carrier delivers it again.
            Err(error) => warn!(%error, "a receipt cannot be kept now; the carrier is asked to send it again"),
        }
    }

    pub(super) async fn weigh_or_park(self: &Arc<Self>, receipt: CarrierReceipt) -> Result<(), ApplyError> {
        if let Some(id) = &receipt.carrier_id
            && let Some(owner) = self.store.owner(&receipt.carrier, id).await?
        {
            return self.weigh_receipt(&owner, &receipt).await;
        }
        let parked = ParkedReceipt {
            id: receipt.parked_id(),
            carrier: receipt.carrier.clone(),
            carrier_id: receipt.carrier_id.clone(),
            msisdn: receipt.msisdn,
            body: serde_json::to_value(&receipt).map_err(|e| StoreError::Corrupt {
                table: "parked_receipt",
                row: receipt.parked_id(),
                why: e.to_string(),
            })?,
            received_at: self.now(),
        };
        match self.writer.write(Write::Park(parked)).await? {
            Outcome::Owned(owner) => self.weigh_receipt(&owner, &receipt).await,
            _ => {
                counter!("receipts_parked_total", "carrier" => receipt.carrier.to_string()).increment(1);
                self.settle_parked(&receipt.carrier, receipt.msisdn).await
            }
        }
    }

    /// What a receipt says of its owner. Durable on return.
    async fn weigh_receipt(self: &Arc<Self>, owner: &Owner, receipt: &CarrierReceipt) -> Result<(), ApplyError> {
        match owner {
            Owner::Attempt { reference, attempt } => {
                if receipt.finding == Finding::Nothing {
                    return Ok(());
                }
                let event = Event::Evidence(receipt.evidence(*attempt));
                self.apply(*reference, None, event).await.map(drop)
            }
            Owner::Message(id) => self.message_delivered(*id, receipt.delivered).await.map_err(ApplyError::from),
        }
    }

    async fn message_delivered(&self, id: Reference, delivered: Option<bool>) -> Result<(), StoreError> {
        let to = match delivered {
            Some(true) => MessageState::Delivered,
            Some(false) => MessageState::Failed,
            None => return Ok(()),
        };
        let Some(queued) = self.store.message(id).await? else { return Ok(()) };
        let progress = MessageProgress { id, to, tries: queued.tries, due_at: queued.due_at, carrier_id: None };
        self.writer.write(Write::MoveMessage(progress)).await?;
        counter!("sms_receipts_total", "carrier" => queued.message.carrier.to_string(), "delivered" => if to == MessageState::Delivered { "yes" } else { "no" })
            .increment(1);
        Ok(())
    }

    /// Looks again at the receipts that are parked for a passenger, in a task of its own.
    pub(super) fn settle_parked_later(self: &Arc<Self>, carrier: CarrierName, msisdn: Msisdn) {
        let inner = self.clone();
        // Boxed, because applying evidence can lead back here.
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            if let Err(error) = inner.settle_parked(&carrier, msisdn).await {
                warn!(%carrier, %error, "parked receipts stay parked for now");
            }
        });
        self.tasks.spawn(work);
    }

    /// Gives each receipt that is parked for this passenger to its owner, if it has one by now.
    pub(super) async fn settle_parked(
        self: &Arc<Self>,
        carrier: &CarrierName,
        msisdn: Msisdn,
    ) -> Result<(), ApplyError> {
        for parked in self.store.parked(carrier, msisdn, CANDIDATES_MAX).await? {
            let receipt: CarrierReceipt = match serde_json::from_value(parked.body) {
                Ok(receipt) => receipt,
                Err(error) => {
                    warn!(id = parked.id, %error, "a parked receipt cannot be read; it stays for a person to look at");
                    continue;
                }
            };
            let known = match &receipt.carrier_id {
                Some(id) => self.store.owner(carrier, id).await?,
                None => None,
            };
            let owner = match known {
                Some(owner) => Some(owner),
                None => self.owner_of_lost_response(&receipt).await?,
            };
            if let Some(owner) = owner {
                debug!(id = parked.id, ?owner, "a parked receipt has found its owner");
                self.weigh_receipt(&owner, &receipt).await?;
                self.writer.write(Write::Unpark { id: parked.id }).await?;
            }
        }
        Ok(())
    }

    /// The one attempt that a receipt can be about whose response was lost: exactly one fits, and it is in doubt. An open
    /// attempt that fits as well may still get its response, and then the receipt may be its own.
    async fn owner_of_lost_response(&self, receipt: &CarrierReceipt) -> Result<Option<Owner>, StoreError> {
        let Some(carrier) = self.carriers.get(&receipt.carrier) else { return Ok(None) };
        let charges = self.store.open_charges_of(receipt.msisdn, CANDIDATES_MAX).await?;
        let mut fitting = charges.iter().filter_map(|charge| {
            let attempt = charge.undecided_attempt()?;
            carrier.receipt_fits(receipt, charge, attempt).then_some((charge.reference, attempt))
        });
        let owner = match (fitting.next(), fitting.next()) {
            (Some((reference, attempt)), None) if matches!(attempt.state, AttemptState::InDoubt { .. }) => {
                Some(Owner::Attempt { reference, attempt: attempt.number })
            }
            _ => None,
        };
        Ok(owner)
    }
}
