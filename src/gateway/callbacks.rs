//! Callbacks of carriers: each is checked, finds its owner or is parked until it does, and is answered once that is durable.

use std::sync::Arc;

use fail::fail_point;
use metrics::counter;
use thiserror::Error;
use tracing::{debug, warn};

use super::{ApplyError, Gateway, Inner, apply::Happening};
use crate::{
    carrier::{About, CallbackAnswer, CallbackRequest, Notice},
    charge::{Attempt, CarrierName, Charge, Event, Finding, Reference, Refund, RefundState},
    money::Money,
    store::{Outcome, Owner, ParkedReceipt, StoreError, Write},
};

/// Callbacks parked for one id of a carrier that are looked at together.
const PARKED_MAX: u32 = 32;

/// Why a callback is not kept. The carrier calls again.
#[derive(Debug, Error)]
enum NotKept {
    /// The store failed, or the charge could not be changed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// It would have to wait for its charge, and too much waits already.
    #[error("{0} receipts and callbacks wait for their charges already")]
    NoRoom(u64),
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> NotKept {
        NotKept::Apply(error.into())
    }
}

impl Gateway {
    /// Takes in a callback. What it says is durable on return, if the answer is a success; otherwise the carrier calls again, or
    /// should not have called.
    pub async fn callback(&self, carrier: &str, request: &CallbackRequest<'_>) -> CallbackAnswer {
        let Some(carrier) = self.carrier(carrier) else {
            counter!("callbacks_total", "carrier" => "unknown", "outcome" => "unknown_carrier").increment(1);
            return CallbackAnswer::bare(404);
        };
        let name = carrier.name().clone();
        let count = |outcome: &'static str| {
            counter!("callbacks_total", "carrier" => name.to_string(), "outcome" => outcome).increment(1);
        };
        let callback = match carrier.callback(request) {
            Ok(callback) => callback,
            Err(refusal) => {
                count(refusal.kind);
                warn!(carrier = %name, peer = %request.peer, why = refusal.why, "a callback is refused");
                return refusal.answer;
            }
        };
        let inner = self.0.clone();
        let notices = callback.notices;
        // Apart from the connection: a carrier that hangs up cancels nothing.
        let taken = self.0.spawn(async move {
            for notice in notices {
                inner.take_notice(notice).await?;
            }
            Ok::<(), NotKept>(())
        });
        match taken.await {
            Ok(Ok(())) => {
                count("taken");
                callback.answer
            }
            Ok(Err(error)) => {
                count(if matches!(error, NotKept::NoRoom(_)) { "no_room" } else { "unavailable" });
                warn!(carrier = %name, %error, "a callback cannot be kept now; the carrier is asked to call again");
                CallbackAnswer::bare(503)
            }
            Err(_) => CallbackAnswer::bare(503),
        }
    }
}

impl Inner {
    /// Weighs what a callback says, or parks it.
    async fn take_notice(self: &Arc<Self>, notice: Notice) -> Result<(), NotKept> {
        if self.weigh_notice(&notice).await? {
            return Ok(());
        }
        let carrier_id = match &notice.about {
            About::CarrierId(carrier_id) => Some(carrier_id.clone()),
            // Its charge may be of a time that is lost to the books: then somebody has to hear of it.
            About::Attempt { reference, attempt } if !self.generations.is_empty() => {
                Some(format!("{reference}-{attempt}"))
            }
            About::Attempt { .. } | About::Refund { .. } => None,
        };
        let Some(carrier_id) = carrier_id else {
            // It repeats a reference of ours that no charge has: nothing to wait for.
            warn!(carrier = %notice.carrier, about = ?notice.about, "a callback names a charge that is not there");
            counter!("callbacks_unowned_total", "carrier" => notice.carrier.to_string()).increment(1);
            return Ok(());
        };
        // Whoever has the credential could fill the store with ids that nobody has.
        let waiting = self.store.parked_count().await?;
        if waiting >= self.config.parked_max {
            return Err(NotKept::NoRoom(waiting));
        }
        let parked = ParkedReceipt {
            id: notice.parked_id(),
            carrier: notice.carrier.clone(),
            carrier_id: Some(carrier_id),
            msisdn: None,
            body: serde_json::to_value(&notice).map_err(|error| unreadable(&notice.parked_id(), &error))?,
            received_at: self.now(),
        };
        // The response that tells the id can have come in the meantime.
        if let Outcome::Owned(_) = self.writer.write(Write::Park(parked)).await? {
            self.weigh_notice(&notice).await?;
            return Ok(());
        }
        counter!("receipts_parked_total", "carrier" => notice.carrier.to_string()).increment(1);
        Ok(())
    }

    /// Whether the notice has an owner. Then what it says is durable, or the carrier is asked.
    pub(super) async fn weigh_notice(self: &Arc<Self>, notice: &Notice) -> Result<bool, ApplyError> {
        if let About::Refund { reference, refund } = notice.about {
            return self.ask_about_refund(&notice.carrier, reference, refund).await;
        }
        let Some((charge, number)) = self.owner_of_notice(notice).await? else { return Ok(false) };
        fail_point!("gateway-before-callback");
        match notice.evidence(number) {
            Some(evidence) => {
                let decides_nothing = names_another_amount(&evidence.finding, charge.order.amount);
                let happening = Happening::told(Event::Evidence(evidence), Some(notice.words.clone()));
                let applied = self.apply(charge.reference, Some(charge), happening).await?;
                if decides_nothing {
                    self.query(applied.charge.clone(), number);
                }
                fail_point!("gateway-after-callback");
                self.follow(&applied);
            }
            None => self.query(charge, number),
        }
        Ok(true)
    }

    /// What a carrier says of a refund is a reason to ask, and no proof.
    async fn ask_about_refund(
        self: &Arc<Self>,
        carrier: &CarrierName,
        reference: Reference,
        refund: Reference,
    ) -> Result<bool, ApplyError> {
        let Some(charge) = self.store.charge(reference).await? else { return Ok(false) };
        let is_theirs = self.refund_of(&charge, refund).is_some_and(|(asked, _)| asked.name() == carrier);
        let is_done = |known: &Refund| known.reference == refund && known.state == RefundState::Done;
        if is_theirs && !charge.refunds.iter().any(is_done) {
            self.query_refund(charge, refund);
        }
        Ok(is_theirs)
    }

    /// The attempt that a notice is about: at this carrier, and no other's.
    async fn owner_of_notice(&self, notice: &Notice) -> Result<Option<(Charge, u16)>, StoreError> {
        let (reference, number) = match &notice.about {
            About::Attempt { reference, attempt } => (*reference, *attempt),
            About::CarrierId(id) => match self.store.owner(&notice.carrier, id).await? {
                Some(Owner::Attempt { reference, attempt }) => (reference, attempt),
                Some(Owner::Refund { .. } | Owner::Message(_)) | None => return Ok(None),
            },
            About::Refund { .. } => return Ok(None),
        };
        let Some(charge) = self.store.charge(reference).await? else { return Ok(None) };
        let is_theirs = |attempt: &&Attempt| attempt.carrier == notice.carrier;
        let named = charge.attempt(number).filter(is_theirs).map(|attempt| attempt.number);
        // One that followed in a time that is lost to the books: whatever is said of it is a reason to ask about the one that is known.
        let lost =
            || charge.undecided_attempt().filter(|attempt| attempt.was_lost_sight_of() && attempt.number < number);
        let number = named.or_else(|| lost().filter(is_theirs).map(|attempt| attempt.number));
        Ok(number.map(|number| (charge, number)))
    }

    /// Gives the callbacks that are parked for an id of a carrier to the attempt that has it.
    pub(super) async fn settle_parked_callbacks(
        self: &Arc<Self>,
        carrier: &CarrierName,
        carrier_id: &str,
    ) -> Result<(), ApplyError> {
        for parked in self.store.parked_for(carrier, carrier_id, PARKED_MAX).await? {
            if parked.msisdn.is_some() {
                continue;
            }
            let notice: Notice = serde_json::from_value(parked.body).map_err(|error| unreadable(&parked.id, &error))?;
            if self.weigh_notice(&notice).await? {
                debug!(%carrier, "a parked callback has found its owner");
                self.writer.write(Write::Unpark { id: parked.id }).await?;
            }
        }
        Ok(())
    }
}

/// That another amount was taken than was asked for is a break, and no proof that ours was: what was taken, the carrier is asked.
fn names_another_amount(finding: &Finding, asked: Money) -> bool {
    matches!(finding, Finding::Charged { amount: Some(amount), .. } if *amount != asked)
}

fn unreadable(id: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt { table: "parked", row: id.into(), why: error.to_string() }
}
