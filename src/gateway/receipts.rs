//! Delivery receipts: each finds its owner, or is parked until it does (M9).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use metrics::counter;
use tracing::{debug, warn};

use super::{ApplyError, Inner, apply::Happening, intake::Because};
use crate::{
    carrier::{Ack, Carrier, CarrierReceipt},
    charge::{AttemptState, CarrierName, Charge, Event, Finding, Reference, Refund, RefundState},
    clock::Timestamp,
    msisdn::Msisdn,
    store::{
        ChargeFilter, MessageProgress, MessageState, Named, Outcome, Owner, ParkedReceipt, QueuedSms, StoreError, Write,
    },
};

/// Receipts looked at for one passenger at a time, and charges that a receipt without a known id may be about.
const CANDIDATES_MAX: u32 = 32;
/// Texts to one passenger that a receipt without a known id may be about.
const TEXTS_MAX: u32 = 256;
/// By how much the clock may have been wrong when something was sent that a receipt may be about.
const CLOCK_ERROR_MAX: Duration = Duration::from_secs(24 * 3_600);

impl Inner {
    /// Takes in a receipt, and acknowledges it once what it says is durable.
    pub(super) async fn take_receipt(self: &Arc<Self>, receipt: CarrierReceipt, ack: Ack) {
        let (carrier, msisdn) = (receipt.carrier.clone(), receipt.msisdn);
        let put_off = || counter!("receipts_put_off_total", "carrier" => carrier.to_string()).increment(1);
        match self.weigh_or_park(receipt).await {
            Ok(Kept::Weighed | Kept::Before) => ack.accept(),
            Ok(Kept::Parked) => {
                ack.accept();
                self.settle_parked_later(carrier, msisdn, None, Because::Parked);
            }
            // Dropped unanswered: the carrier delivers it again.
            Ok(Kept::Nowhere) => put_off(),
            Err(error) => {
                put_off();
                warn!(%error, "a receipt cannot be kept now; the carrier is asked to send it again");
            }
        }
    }

    /// Gives a receipt to its owner, or keeps it until there is one. Durable on return, but for [`Kept::Nowhere`].
    pub(super) async fn weigh_or_park(self: &Arc<Self>, receipt: CarrierReceipt) -> Result<Kept, ApplyError> {
        let mut parked = ParkedReceipt {
            id: receipt.parked_id(),
            carrier: receipt.carrier.clone(),
            carrier_id: receipt.carrier_id.clone(),
            msisdn: Some(receipt.msisdn),
            body: serde_json::to_value(&receipt).map_err(|e| StoreError::Corrupt {
                table: "parked_receipt",
                row: receipt.parked_id(),
                why: e.to_string(),
            })?,
            received_at: self.now(),
        };
        // It comes now: what it names was sent before it, whatever the clock shows.
        let now = Timestamp::MAX;
        if let Some(owner) = self.owner(&receipt).await? {
            if self.weigh_receipt(&owner, &receipt, now).await? {
                return Ok(Kept::Weighed);
            }
            // The id is another message's; the phone is all that is left to find the owner by.
            parked.carrier_id = None;
        }
        let Some(_place) = self.intake.place().await else { return Ok(Kept::Nowhere) };
        // A repeat changes nothing, and must cost little: an SMSC that is answered late repeats everything.
        let waiting = self.store.parked(&receipt.carrier, receipt.msisdn, CANDIDATES_MAX).await?;
        if waiting.iter().any(|waiting| waiting.id == parked.id) {
            return Ok(Kept::Before);
        }
        parked.received_at = self.after_what_was_sent(&receipt, parked.received_at).await?;
        if let Outcome::Owned(owner) = self.writer.write(Write::Park(parked.clone())).await? {
            if self.weigh_receipt(&owner, &receipt, now).await? {
                return Ok(Kept::Weighed);
            }
            parked.carrier_id = None;
            self.writer.write(Write::Park(parked)).await?;
        }
        counter!("receipts_parked_total", "carrier" => receipt.carrier.to_string()).increment(1);
        Ok(Kept::Parked)
    }

    /// When a receipt that comes now is to be counted as received: after all that was sent to its phone, also where the clock has gone
    /// back since. It may find its owner much later.
    async fn after_what_was_sent(&self, receipt: &CarrierReceipt, now: Timestamp) -> Result<Timestamp, StoreError> {
        let charges = self.candidates(receipt.msisdn).await?.charges;
        let attempts = charges.iter().flat_map(|charge| &charge.attempts);
        let attempts = attempts.filter(|attempt| attempt.carrier == receipt.carrier).map(|attempt| attempt.opened_at);
        let refunds = charges.iter().flat_map(|charge| &charge.refunds).map(Refund::sent_at);
        let texts = self.store.messages_to(receipt.msisdn, now, CANDIDATES_MAX).await?;
        let texts = texts.iter().map(|queued| queued.message.created_at);
        // A clock that was wrong by more would keep the receipt from being reported for as long.
        let credible = now.plus(CLOCK_ERROR_MAX);
        Ok(attempts.chain(refunds).chain(texts).filter(|at| *at <= credible).fold(now, Timestamp::max))
    }

    /// The charges that a receipt for this phone can be about: those whose outcome is open, and the newest of the others.
    async fn candidates(&self, msisdn: Msisdn) -> Result<Candidates, StoreError> {
        let mut charges = self.store.open_charges_of(msisdn, CANDIDATES_MAX).await?;
        let are_all = u32::try_from(charges.len()).is_ok_and(|open| open < CANDIDATES_MAX);
        let newest = ChargeFilter { msisdn: Some(msisdn), ..ChargeFilter::default() };
        let newest = self.store.charges(&newest, CANDIDATES_MAX).await?;
        charges.extend(newest.into_iter().filter(|charge| !charge.state.is_open()));
        Ok(Candidates { charges, are_all })
    }

    /// What the receipt's id names.
    async fn owner(&self, receipt: &CarrierReceipt) -> Result<Option<Owner>, StoreError> {
        match &receipt.carrier_id {
            Some(id) => self.store.owner(&receipt.carrier, id).await,
            None => Ok(None),
        }
    }

    /// What a receipt says of the owner of its id. Durable on return. `false` if it cannot be about that owner, because the
    /// carrier has used the id for another message too; then nothing was written.
    async fn weigh_receipt(
        self: &Arc<Self>,
        owner: &Owner,
        receipt: &CarrierReceipt,
        received_at: Timestamp,
    ) -> Result<bool, ApplyError> {
        let reference = match owner {
            Owner::Attempt { reference, .. } | Owner::Refund { reference, .. } => *reference,
            Owner::Message(id) => return Ok(self.message_delivered(*id, receipt, received_at).await?),
        };
        let charge = self.store.charge(reference).await?.ok_or(ApplyError::UnknownCharge(reference))?;
        let opened_at = match owner {
            Owner::Refund { refund, .. } => charge.refund(*refund).map(|refund| refund.opened_at),
            Owner::Attempt { attempt, .. } => charge.attempt(*attempt).map(|attempt| attempt.opened_at),
            Owner::Message(_) => None,
        };
        if !opened_at.is_some_and(|at| receipt.can_be_about(charge.order.msisdn, at, received_at)) {
            warn!(charge = %reference, carrier = %receipt.carrier, "a receipt names this charge's id and is about another message");
            return Ok(false);
        }
        if let Some(event) = evidence(receipt, owner) {
            let happening = Happening::told(event, Some(receipt.words.clone()));
            let applied = self.apply(reference, Some(charge), happening).await?;
            self.follow(&applied);
        }
        Ok(true)
    }

    async fn message_delivered(
        &self,
        id: Reference,
        receipt: &CarrierReceipt,
        received_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(queued) = self.store.message(id).await? else { return Ok(false) };
        if !receipt.can_be_about(queued.message.msisdn, queued.message.created_at, received_at) {
            return Ok(false);
        }
        let to = match receipt.delivered {
            Some(true) => MessageState::Delivered,
            Some(false) => MessageState::Failed,
            None => return Ok(true),
        };
        let progress = MessageProgress { id, to, tries: queued.tries, due_at: queued.due_at, carrier_id: None };
        self.writer.write(Write::MoveMessage(progress)).await?;
        counter!("sms_receipts_total", "carrier" => queued.message.carrier.to_string(), "delivered" => if to == MessageState::Delivered { "yes" } else { "no" })
            .increment(1);
        Ok(true)
    }

    /// Looks again at the receipts that are parked for a passenger, and at the callbacks for an id that was just learned, in a task
    /// of its own. Few do so at once, and a passenger is waited for once.
    pub(super) fn settle_parked_later(
        self: &Arc<Self>,
        carrier: CarrierName,
        msisdn: Msisdn,
        learned: Option<(CarrierName, String)>,
        because: Because,
    ) {
        let due = (carrier, msisdn, learned);
        if !self.intake.wants(&due, because) {
            return;
        }
        let inner = self.clone();
        // Boxed, because applying evidence can lead back here.
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let turn = tokio::select! {
                biased;
                turn = inner.intake.turn(&due, because) => turn,
                // What is parked is durable: the walk of the next process finds it, or that of another daemon.
                () = inner.stopping.cancelled() => None,
            };
            let Some(_turn) = turn else { return };
            let (carrier, msisdn, learned) = due;
            let mut settled = inner.settle_parked(&carrier, msisdn).await;
            if let (Ok(()), Some((carrier, id))) = (&settled, &learned) {
                settled = inner.settle_parked_callbacks(carrier, id).await;
            }
            if let Err(error) = settled {
                warn!(%carrier, %error, "what is parked stays parked for now");
            }
        });
        self.spawn(work);
    }

    /// Gives each receipt that is parked for this passenger to its owner, if it has one by now.
    pub(super) async fn settle_parked(
        self: &Arc<Self>,
        carrier: &CarrierName,
        msisdn: Msisdn,
    ) -> Result<(), ApplyError> {
        // Read once for all of them, and again after one of them has moved a charge.
        let mut candidates = None;
        for parked in self.store.parked(carrier, msisdn, CANDIDATES_MAX).await? {
            let receipt: CarrierReceipt = match serde_json::from_value(parked.body) {
                Ok(receipt) => receipt,
                Err(error) => {
                    let msisdn = msisdn.masked();
                    warn!(%carrier, msisdn, %error, "a parked receipt cannot be read; it stays for a person to look at");
                    continue;
                }
            };
            if self.weigh_parked(&receipt, parked.received_at, &mut candidates).await? {
                candidates = None;
                debug!(%carrier, "a parked receipt has found its owner");
                self.writer.write(Write::Unpark { id: parked.id }).await?;
            }
        }
        Ok(())
    }

    /// Whether a parked receipt has found its owner: by its id, or as the only one that it can be about. The candidates are those of its
    /// phone; they are read if they are needed and not there.
    pub(super) async fn weigh_parked(
        self: &Arc<Self>,
        receipt: &CarrierReceipt,
        received_at: Timestamp,
        candidates: &mut Option<Candidates>,
    ) -> Result<bool, ApplyError> {
        let owner = self.owner(receipt).await?;
        if let Some(owner) = &owner {
            if self.weigh_receipt(owner, receipt, received_at).await? {
                return Ok(true);
            }
            if self.is_of_a_text_to_come(owner, receipt).await? {
                return Ok(false);
            }
        }
        let candidates = match candidates {
            Some(read_before) => {
                if self.owner_without_id(receipt, received_at, read_before).await?.is_none() {
                    return Ok(false);
                }
                // They were read for an earlier receipt, and one of them may have its response since.
                *read_before = self.candidates(receipt.msisdn).await?;
                read_before
            }
            None => candidates.insert(self.candidates(receipt.msisdn).await?),
        };
        let owner = self.owner_without_id(receipt, received_at, candidates).await?;
        let Some((reference, candidate)) = owner else { return Ok(false) };
        let learned = match candidate {
            Named::Attempt(attempt) => receipt.evidence_of_id(attempt).map(Event::Evidence),
            Named::Refund(refund) => receipt.evidence_of_refund_id(refund),
        };
        if let Some(learned) = learned {
            let happening = Happening::told(learned, Some(receipt.words.clone()));
            let applied = self.apply(reference, None, happening).await?;
            self.follow(&applied);
        }
        self.weigh_receipt(&candidate.of(reference), receipt, received_at).await
    }

    /// Whether its id is that of a text to the same phone that seems not to be sent yet: the clock has gone back since, and the receipt
    /// is the text's, and nobody else's.
    async fn is_of_a_text_to_come(&self, owner: &Owner, receipt: &CarrierReceipt) -> Result<bool, ApplyError> {
        let Owner::Message(id) = owner else { return Ok(false) };
        let text = self.store.message(*id).await?;
        Ok(text.is_some_and(|queued| queued.message.msisdn == receipt.msisdn))
    }

    /// The one attempt or refund that a receipt can be about although no response ever told its id: exactly one fits, decided ones
    /// included. One that is open may still get its response, and then the receipt may be its own.
    async fn owner_without_id(
        &self,
        receipt: &CarrierReceipt,
        received_at: Timestamp,
        Candidates { charges, are_all }: &Candidates,
    ) -> Result<Option<(Reference, Named)>, StoreError> {
        let Some(carrier) = self.carriers.get(&receipt.carrier) else { return Ok(None) };
        let Some(fit) = only_fit(carrier, charges, receipt, received_at).filter(|_| *are_all) else { return Ok(None) };
        let known = !fit.is_open && !self.may_be_about_a_text(receipt, fit.opened_at).await?;
        Ok(known.then_some((fit.charge, fit.candidate)))
    }

    /// Whether a text to the same phone can be what the receipt is about: one that has no id yet, or had another before the one that
    /// is known. Our number, where it is echoed, tells a charge from a text.
    async fn may_be_about_a_text(&self, receipt: &CarrierReceipt, about: Timestamp) -> Result<bool, StoreError> {
        if receipt.user_message_reference.is_some() {
            return Ok(false);
        }
        let texts = self.store.messages_to(receipt.msisdn, about.minus(CLOCK_ERROR_MAX), TEXTS_MAX).await?;
        let are_all = u32::try_from(texts.len()).is_ok_and(|count| count < TEXTS_MAX);
        // Not only those that seem to be sent since: a clock that has jumped shows another order of things.
        let may_be = |queued: &QueuedSms| queued.message.carrier == receipt.carrier && queued.may_have_unknown_id();
        Ok(!are_all || texts.iter().any(may_be))
    }
}

/// What a receipt says of its owner; nothing where that is a text, or where it is no news.
fn evidence(receipt: &CarrierReceipt, owner: &Owner) -> Option<Event> {
    match owner {
        Owner::Attempt { attempt, .. } => {
            (receipt.finding != Finding::Nothing).then(|| Event::Evidence(receipt.evidence(*attempt)))
        }
        Owner::Refund { refund, .. } => {
            (receipt.refund != Finding::Nothing).then(|| receipt.evidence_of_refund(*refund))
        }
        Owner::Message(_) => None,
    }
}

/// What became of a receipt that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its owner has it.
    Weighed,
    /// It is parked now.
    Parked,
    /// It was parked before.
    Before,
    /// It has no owner yet, and so many such receipts are being parked that there was no place in time.
    Nowhere,
}

/// What a receipt for a phone can be about.
pub(super) struct Candidates {
    charges: Vec<Charge>,
    /// Whether no open charge is missing. Where some are, the only one that fits may not be the only one.
    are_all: bool,
}

/// An attempt or a refund without a known id that a receipt fits.
#[derive(Clone, Copy, Debug)]
struct Fit {
    charge: Reference,
    candidate: Named,
    opened_at: Timestamp,
    /// Whether its response may still come.
    is_open: bool,
}

/// The only one that the receipt fits; none if two do.
fn only_fit(carrier: &Carrier, charges: &[Charge], receipt: &CarrierReceipt, received_at: Timestamp) -> Option<Fit> {
    let mut fitting = charges.iter().flat_map(|charge| {
        let can_be_about = move |at| receipt.can_be_about(charge.order.msisdn, at, received_at);
        let attempts = charge.attempts.iter().filter(move |attempt| {
            attempt.may_have_unknown_id()
                && carrier.receipt_fits(receipt, charge, attempt)
                && can_be_about(attempt.opened_at)
        });
        let attempts = attempts.map(|attempt| Fit {
            charge: charge.reference,
            candidate: Named::Attempt(attempt.number),
            opened_at: attempt.opened_at,
            is_open: attempt.state == AttemptState::Open,
        });
        let refunds = charge.refunds.iter().filter(move |refund| {
            refund.may_have_unknown_id()
                && carrier.receipt_fits_refund(receipt, charge, refund)
                && can_be_about(refund.opened_at)
        });
        let refunds = refunds.map(|refund| Fit {
            charge: charge.reference,
            candidate: Named::Refund(refund.reference),
            opened_at: refund.sent_at(),
            is_open: refund.state == RefundState::Requested,
        });
        attempts.chain(refunds)
    });
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}
