//! What a caller asks of a charge that exists: a one-time password, a refund, a decision.

use tracing::info;
use zeroize::Zeroizing;

use super::{Applied, ApplyError, Gateway};
use crate::{
    carrier::Urgency,
    charge::{Charge, Effect, Event, Evidence, EvidenceSource, Finding, Illegal, Reason, Reference, Refund, Retry},
    clock::Timestamp,
    money::Money,
    store::StoreError,
};

/// What a person decided about a charge in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Whether the money was taken.
    pub charged: bool,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// What a person found out about a refund that is in doubt or owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundResolution {
    /// What became of it.
    pub outcome: RefundOutcome,
    /// Who says so.
    pub by: String,
    /// How that is known.
    pub because: String,
}

/// What a person says became of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The carrier gave the money back.
    Refunded,
    /// The carrier did not: it is owed.
    NotRefunded,
    /// What was owed was paid back in another way, by bank or in cash.
    PaidOtherwise,
}

/// Why no money goes back.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The same key stands for another amount (M15).
    #[error("the idempotency key was used for a refund of {0}")]
    KeyConflict(Money),
    /// The books were put back from a back-up not long ago, and the key may have been used in the time that is lost.
    #[error(
        "what was given back until {0} is not known here any more, because a back-up was put back; the key may be of that time"
    )]
    Restored(Timestamp),
    /// The charge cannot be refunded, or the store failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Gateway {
    /// Passes on the one-time password that the subscriber has entered. It is in no log and in no store. Returns the charge once
    /// the carrier has answered: still awaiting the password if it was wrong.
    ///
    /// Safe to repeat: a reservation is taken once. Errors: the charge waits for no password.
    pub async fn submit_otp(&self, reference: Reference, otp: Zeroizing<String>) -> Result<Charge, ApplyError> {
        let inner = self.0.clone();
        let work = self.0.spawn(async move {
            let asked = inner.apply(reference, None, Event::SubmitOtp).await?;
            let attempt = asked
                .effects
                .iter()
                .find_map(|e| if let Effect::Validate { attempt } = e { Some(*attempt) } else { None });
            let attempt = attempt.and_then(|number| asked.charge.attempt(number));
            let Some((attempt, carrier)) = attempt.and_then(|a| Some((a, inner.carriers.get(&a.carrier)?))) else {
                return Ok(asked.charge);
            };
            let patience = asked.charge.terms.ticket_deadline.since(inner.now());
            // Not recorded: a carrier may repeat the password.
            let finding = match carrier.reserve(patience, Urgency::Ticket).await {
                Ok(slot) => carrier.validate(slot, &asked.charge, attempt, &otp).await,
                Err(_) => Finding::Nothing,
            };
            drop(otp);
            match inner.hear(&asked.charge, attempt.number, "validate", (finding, None)).await {
                Some(applied) => Ok(applied.charge),
                None => Ok(asked.charge),
            }
        });
        work.await.unwrap_or(Err(StoreError::Closed.into()))
    }

    /// Gives money back: what is left, or a part. Durable on return, and on its way; what the carrier cannot give back is on the
    /// refund list. The same caller's same key for the same charge is the same refund.
    ///
    /// Errors: nothing was taken, or less is left; the key stands for another amount.
    pub async fn refund(
        &self,
        reference: Reference,
        amount: Option<Money>,
        caller: &str,
        key: &str,
    ) -> Result<(Charge, Refund), RefundError> {
        let name = reference.derive(&format!("refund:{caller}:{key}"), 0);
        let inner = self.0.clone();
        let (caller, key) = (caller.to_owned(), key.to_owned());
        let work = self.0.spawn(async move {
            let charge = inner.store.charge(reference).await.map_err(ApplyError::from)?;
            let charge = charge.ok_or(ApplyError::UnknownCharge(reference))?;
            if let Some(known) = charge.refunds.iter().find(|refund| refund.reference == name) {
                let same = match amount {
                    Some(amount) => amount == known.amount,
                    // Everything that was left: then nothing was left after it.
                    None => took_all_that_was_left(&charge, name),
                };
                let known = known.clone();
                return if same { Ok((charge, known)) } else { Err(RefundError::KeyConflict(known.amount)) };
            }
            // A message that gives money back would give it back twice.
            if let Some(until) = inner.lost_until(&key) {
                return Err(RefundError::Restored(until));
            }
            let left = charge.order.amount.checked_sub(charge.refunded_amount());
            let left = left.map_err(|error| ApplyError::Illegal(Illegal::Money(error)))?;
            let asked = amount.unwrap_or(left);
            let event = Event::RequestRefund { refund: name, amount: asked, by: Some(caller.clone()) };
            let applied = inner.apply(reference, Some(charge), event).await?;
            info!(charge = %reference, refund = %name, caller, "a refund is asked for");
            inner.follow(&applied);
            let refund = applied.charge.refunds.iter().find(|refund| refund.reference == name).cloned();
            match refund {
                // The same key at the same moment, for another amount: that one was faster.
                Some(refund) if refund.amount != asked => Err(RefundError::KeyConflict(refund.amount)),
                Some(refund) => Ok((applied.charge, refund)),
                None => Err(ApplyError::UnknownCharge(reference).into()),
            }
        });
        work.await.unwrap_or(Err(ApplyError::from(StoreError::Closed).into()))
    }

    /// A person settles what is in doubt (M3). Kept with name and reason.
    ///
    /// Errors: no such charge, or one that is not in doubt.
    pub async fn resolve(&self, reference: Reference, resolution: Resolution) -> Result<Charge, ApplyError> {
        let Some(charge) = self.0.store.charge(reference).await? else {
            return Err(ApplyError::UnknownCharge(reference));
        };
        let finding = if resolution.charged {
            Finding::Charged { carrier_id: None, amount: None }
        } else {
            let reason = Reason::CarrierUnavailable;
            Finding::Rejected { reason, retry: Retry::Never, detail: resolution.because.clone() }
        };
        let evidence = Evidence {
            // Two people who decide at once and do not agree are two pieces.
            id: format!("operator:{}:{}:{}", resolution.by, charge.version, finding.code()),
            attempt: charge.last_attempt().map_or(1, |attempt| attempt.number),
            source: EvidenceSource::Operator { name: resolution.by, because: resolution.because },
            finding,
        };
        self.decide(reference, charge, Event::Evidence(evidence)).await
    }

    /// A person settles a refund: one in doubt as made or not made, one that is owed as made or paid otherwise. Kept with name and
    /// reason.
    ///
    /// Errors: no such charge or refund, or one that does not stand so; nothing is overwritten.
    pub async fn resolve_refund(
        &self,
        reference: Reference,
        refund: Reference,
        resolution: RefundResolution,
    ) -> Result<Charge, ApplyError> {
        let Some(charge) = self.0.store.charge(reference).await? else {
            return Err(ApplyError::UnknownCharge(reference));
        };
        let RefundResolution { outcome, by, because } = resolution;
        let finding = match outcome {
            RefundOutcome::PaidOtherwise => {
                return self.decide(reference, charge, Event::PayOut { refund, by, because }).await;
            }
            RefundOutcome::Refunded => Finding::Charged { carrier_id: None, amount: None },
            RefundOutcome::NotRefunded => {
                Finding::Rejected { reason: Reason::CarrierRefused, retry: Retry::Never, detail: because.clone() }
            }
        };
        let id = format!("operator:{refund}:{by}:{}:{}", charge.version, finding.code());
        let source = EvidenceSource::Operator { name: by, because };
        self.decide(reference, charge, Event::RefundEvidence { refund, id, source, finding }).await
    }

    /// Applies what a person decided, in a task of its own: a caller that hangs up cancels nothing.
    async fn decide(&self, reference: Reference, charge: Charge, event: Event) -> Result<Charge, ApplyError> {
        let inner = self.0.clone();
        let work = self.0.spawn(async move {
            let applied: Applied = inner.apply(reference, Some(charge), event).await?;
            inner.follow(&applied);
            Ok(applied.charge)
        });
        work.await.unwrap_or(Err(StoreError::Closed.into()))
    }
}

fn took_all_that_was_left(charge: &Charge, name: Reference) -> bool {
    let own = charge.refunds.iter().filter(|refund| refund.attempt.is_none());
    let mut sum = 0;
    for refund in own {
        sum += refund.amount.minor;
        if refund.reference == name {
            break;
        }
    }
    sum == charge.order.amount.minor
}
