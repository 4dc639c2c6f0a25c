use std::{sync::Arc, time::Duration};

use metrics::counter;
use thiserror::Error;
use tracing::{info, warn};

use super::{Inner, TicketingError, intake::Because};
use crate::{
    charge::{Break, CarrierName, Charge, Effect, Event, Illegal, Reference, Refund, RefundState, State, step},
    clock::Timestamp,
    eligibility::FactName,
    ledger, process,
    store::{
        JournalEntry, Named, NewCarrierId, Outcome, ParkedReceipt, Settlement, Slot, SlotChange, StoreError,
        StoredTicket, Verbatim, Write,
    },
};

/// Steps on a stale version are repeated so often; each repeat means that somebody else made progress.
const STALE_MAX: u32 = 64;

/// What came of applying an event. Durable.
#[derive(Debug)]
pub struct Applied {
    /// The charge as it is now.
    pub charge: Charge,
    /// What is still to be done, now that the rest is committed: sending, querying, trying again.
    pub effects: Vec<Effect>,
}

/// Why an event could not be applied. Nothing was written.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// There is no such charge.
    #[error("there is no charge {0}")]
    UnknownCharge(Reference),
    /// The event must not happen to the charge as it stands.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The store failed; the same event may be applied again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ticket could not be made yet; the same event may be applied again.
    #[error(transparent)]
    Ticketing(#[from] TicketingError),
    /// Others kept changing the charge.
    #[error("charge {0} changes faster than this event can be applied")]
    Contended(Reference),
}

impl ApplyError {
    /// Whether the same event may succeed later. What the store refuses for what it says, it refuses for ever: then the attempt
    /// stays open, and its deadline makes it a doubt that a person sees. What is refused because others have taken over is theirs.
    pub fn is_passing(&self) -> bool {
        match self {
            ApplyError::Store(StoreError::Refused(_) | StoreError::Corrupt { .. } | StoreError::Fenced) => false,
            ApplyError::Store(_) | ApplyError::Ticketing(_) | ApplyError::Contended(_) => true,
            ApplyError::UnknownCharge(_) | ApplyError::Illegal(_) => false,
        }
    }
}

/// Something that happened to a charge.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    event: Event,
    /// What the carrier said, word for word, if that is how we know.
    words: Option<String>,
}

impl Happening {
    pub(super) fn told(event: Event, words: Option<String>) -> Happening {
        Happening { event, words }
    }
}

impl From<Event> for Happening {
    fn from(event: Event) -> Happening {
        Happening { event, words: None }
    }
}

impl Inner {
    /// The one door through which a charge changes: read, step, commit everything that belongs together, then tell.
    ///
    /// `known` spares the read if it is still the newest version. Durable on return.
    pub(super) async fn apply(
        self: &Arc<Self>,
        reference: Reference,
        known: Option<Charge>,
        happening: impl Into<Happening>,
    ) -> Result<Applied, ApplyError> {
        let mut happening = happening.into();
        let _turn = self.charge_locks.lock(reference).await;
        let mut known = known;
        for _ in 0..STALE_MAX {
            let charge = match known.take() {
                Some(charge) => charge,
                None => self.store.charge(reference).await?.ok_or(ApplyError::UnknownCharge(reference))?,
            };
            happening.event = happening.event.masked(charge.order.msisdn);
            let done = step(&charge, happening.event.clone(), self.now())?;
            if done.next.version == charge.version {
                return Ok(Applied { charge, effects: Vec::new() });
            }
            let settlement = match self.settlement(&charge, done.next, &happening, &done.effects).await {
                Ok(settlement) => settlement,
                Err(ApplyError::Ticketing(error)) if self.gives_up_ticket(&charge, &error) => {
                    warn!(charge = %reference, %error, "no ticket can be made; the money goes back");
                    happening.event = happening.event.without_ticket();
                    known = Some(charge);
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.writer.write(Write::Settle(Box::new(settlement.clone()))).await? {
                Outcome::Settled { parked } => {
                    self.after_commit(&charge, &settlement, &parked);
                    return Ok(Applied { charge: settlement.charge, effects: done.effects });
                }
                Outcome::Stale => {}
                // Counted before; what it did is in the charge as it is now.
                _ => {
                    let charge = self.store.charge(reference).await?.ok_or(ApplyError::UnknownCharge(reference))?;
                    return Ok(Applied { charge, effects: Vec::new() });
                }
            }
        }
        Err(ApplyError::Contended(reference))
    }

    /// Whether the money goes back because there will be no ticket for it: it can never be made, or not in time (M11).
    fn gives_up_ticket(&self, charge: &Charge, error: &TicketingError) -> bool {
        let is_of_store = matches!(error, TicketingError::Store(_));
        error.is_for_good() || (!is_of_store && self.now() > charge.terms.ticket_deadline)
    }

    /// Applies an event that must not be lost, however long the store or the ticketing fails. Gives up only when the event
    /// is illegal, or the process stops: then the store has the attempt as open, and recovery makes it a doubt.
    pub(super) async fn apply_until_done(
        self: &Arc<Self>,
        reference: Reference,
        known: Option<Charge>,
        happening: impl Into<Happening>,
    ) -> Option<Applied> {
        let happening = happening.into();
        let mut pause = Duration::from_millis(50);
        let mut known = known;
        loop {
            // In a place of its own: most of its life a flight waits for the carrier, and would carry the room for this along.
            match Box::pin(self.apply(reference, known.take(), happening.clone())).await {
                Ok(applied) => return Some(applied),
                Err(error) if error.is_passing() => {
                    warn!(charge = %reference, %error, "cannot apply an event yet; it is kept and tried again");
                    counter!("gateway_apply_retries_total").increment(1);
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(pause) => {}
                        () = self.stopping.cancelled() => return None,
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(error) => {
                    warn!(charge = %reference, %error, "an event does not fit the charge");
                    return None;
                }
            }
        }
    }

    /// Everything that is committed together with the charge (M10).
    async fn settlement(
        &self,
        before: &Charge,
        after: Charge,
        happening: &Happening,
        effects: &[Effect],
    ) -> Result<Settlement, ApplyError> {
        let ticket = if effects.contains(&Effect::IssueTicket) {
            let books = self.books.load_full();
            Some(self.ticketing.issue(&self.writer, &books.catalogue, &after).await?)
        } else {
            None
        };
        let messages = self.messages(&after, effects, ticket.as_ref());
        let entries = ledger::entries(Some(before), &after);
        let verbatim = happening.words.as_deref().map(|words| Verbatim::new(words, process::random()));
        let breaks = effects.iter().filter_map(|e| if let Effect::RaiseBreak(b) = e { Some(*b) } else { None });
        Ok(Settlement {
            from_version: before.version,
            journal: JournalEntry {
                reference: after.reference,
                version: after.version,
                at: after.updated_at,
                event: Some(happening.event.clone()),
                from: Some(before.state),
                to: after.state,
                verbatim: verbatim.as_ref().map(Verbatim::digest),
                told: self.told(before, &after, effects, ticket.as_ref()),
            },
            verbatim,
            carrier_id: learned_id(before, &after),
            entries,
            revoke_ticket: effects.contains(&Effect::RevokeTicket),
            messages,
            slot: self.slot_change(&after, effects, ticket.as_ref()),
            breaks: breaks.collect(),
            ticket,
            charge: after,
        })
    }

    fn slot_change(&self, charge: &Charge, effects: &[Effect], ticket: Option<&StoredTicket>) -> SlotChange {
        if effects.contains(&Effect::ReleaseSlot) {
            let before = charge.order.extends.as_ref().map(|extends| Slot {
                reference: extends.reference,
                passengers: extends.passengers,
                held_until: extends.held_until,
            });
            return SlotChange::Release(before);
        }
        match ticket {
            Some(ticket) => {
                let window = Duration::from_secs(self.config.repeat_window_seconds);
                SlotChange::HoldUntil(ticket.expires_at.min(charge.updated_at.plus(window)))
            }
            None => SlotChange::Keep,
        }
    }

    /// After the commit: the logs, the metrics, those who wait, and the messages on their way.
    fn after_commit(self: &Arc<Self>, before: &Charge, settlement: &Settlement, parked: &[ParkedReceipt]) {
        let charge = &settlement.charge;
        if before.state != charge.state {
            report(before, charge);
            self.sales.moved(before.state, charge);
        }
        for raised in &settlement.breaks {
            report_break(charge, *raised);
        }
        if let State::Rejected(reason) = charge.state
            && before.state != charge.state
            && FactName::from_reason(reason).is_some()
            && let Some(attempt) = charge.last_attempt()
        {
            self.subscribers.remember_rejection(charge.order.msisdn, &attempt.carrier, reason, charge.updated_at);
        }
        self.watchers.tell(charge, settlement.ticket.as_ref());
        self.queue_messages(&settlement.messages);
        // A receipt may have been waiting for the id that was just learned, or for the doubt that shows its response is lost.
        let newly_in_doubt = charge.state == State::InDoubt && before.state != State::InDoubt;
        let learned = settlement.carrier_id.as_ref().map(|learned| (learned.carrier.clone(), learned.id.clone()));
        let carrier = match (&learned, doubtful_refund(before, charge)) {
            (Some((carrier, _)), _) if !parked.is_empty() => Some(carrier),
            (_, Some(carrier)) => Some(carrier),
            _ if newly_in_doubt => charge.last_attempt().map(|attempt| &attempt.carrier),
            _ => None,
        };
        if let Some(carrier) = carrier {
            self.settle_parked_later(carrier.clone(), charge.order.msisdn, learned, Because::Learned);
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn learned_id(before: &Charge, after: &Charge) -> Option<NewCarrierId> {
    let of_attempt = after.attempts.iter().find_map(|attempt| {
        let id = attempt.carrier_id.clone()?;
        let known = before.attempt(attempt.number).and_then(|old| old.carrier_id.as_ref());
        let names = Named::Attempt(attempt.number);
        (known != Some(&id)).then(|| NewCarrierId { carrier: attempt.carrier.clone(), id, names })
    });
    of_attempt.or_else(|| {
        after.refunds.iter().find_map(|refund| {
            let id = refund.carrier_id.clone()?;
            // Over HTTP a refund's id may be its payment's; only a message's receipts look for it.
            let attempt = after.attempt_of(refund).filter(|attempt| attempt.contract.refund_message.is_some())?;
            let known = before.refund(refund.reference).and_then(|old| old.carrier_id.as_ref());
            let names = Named::Refund(refund.reference);
            (known != Some(&id)).then(|| NewCarrierId { carrier: attempt.carrier.clone(), id, names })
        })
    })
}

/// The carrier of a refund by message that has just become doubtful: its receipt may be parked.
fn doubtful_refund<'a>(before: &Charge, after: &'a Charge) -> Option<&'a CarrierName> {
    let is_new = |refund: &&Refund| {
        let known = before.refund(refund.reference).map(|old| old.state);
        refund.state == RefundState::InDoubt && known != Some(RefundState::InDoubt)
    };
    let attempt = after.attempt_of(after.refunds.iter().find(is_new)?)?;
    attempt.contract.refund_message.map(|_| &attempt.carrier)
}

fn report(before: &Charge, charge: &Charge) {
    let carrier = charge.last_attempt().map_or("none", |attempt| attempt.carrier.as_str()).to_owned();
    let reason = charge.state.reason().map_or("none", |reason| reason.code());
    counter!("charge_transitions_total", "carrier" => carrier.clone(), "to" => charge.state.code(), "reason" => reason)
        .increment(1);
    info!(
        charge = %charge.reference,
        msisdn = charge.order.msisdn.masked(),
        vehicle = charge.order.vehicle.as_str(),
        carrier,
        from = before.state.code(),
        to = charge.state.code(),
        reason,
        amount_minor = charge.order.amount.minor,
        "charge moved"
    );
}

fn report_break(charge: &Charge, raised: Break) {
    counter!("charge_breaks_total", "kind" => raised.code()).increment(1);
    warn!(charge = %charge.reference, kind = raised.code(), "a break: somebody must look at this charge");
}
