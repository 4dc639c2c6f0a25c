//! From a request to a purchase: the same again, a part more, or a new charge.

use std::{sync::Arc, time::Duration};

use fail::fail_point;
use metrics::counter;
use thiserror::Error;

use super::{Awaited, Gateway, Inner, opening::Prepared, webhook::message_named};
use crate::{
    charge::{Channel, Charge, Extends, Reason, Reference, State, Trip},
    clock::Timestamp,
    msisdn::Msisdn,
    passenger::Language,
    store::{KeyGuard, Outcome, PriorQuestion, Slot, StoreError, Write},
    transit::{VehicleCode, Zone},
};

/// Another purchase can take the slot between our look and our commit; each round means that somebody else succeeded.
const ROUNDS_MAX: u32 = 8;

/// What somebody wants to buy.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// Whose balance pays.
    pub msisdn: Msisdn,
    /// The vehicle.
    pub vehicle: VehicleCode,
    /// Passengers in total who are to ride on this number in this vehicle (M13).
    pub passengers: u8,
    /// The zone, on a route with zones.
    pub zone: Option<Zone>,
    /// The fare class, where the caller knows better than the vehicle's route.
    pub fare_class: Option<String>,
    /// The trip, if the caller knows it.
    pub trip: Option<Trip>,
    /// How it came in.
    pub channel: Channel,
    /// The language of answers; the passenger's own choice outranks it.
    pub language: Option<Language>,
    /// The idempotency key.
    pub guard: KeyGuard,
    /// The message from the passenger, if that is how it came in.
    pub mo: Option<Reference>,
    /// When it reached us.
    pub received_at: Timestamp,
}

impl Purchase {
    /// What is to be known before anything else is done.
    fn question(&self) -> PriorQuestion {
        let is_of_api = matches!(self.channel, Channel::Api { .. });
        PriorQuestion {
            msisdn: self.msisdn,
            vehicle: self.vehicle,
            guard: self.guard.clone(),
            mo: message_named(&self.guard.key).filter(|_| is_of_api),
        }
    }
}

/// What came of a purchase. Durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purchased {
    /// A new charge, perhaps declined already.
    New(Charge),
    /// The same key and the same body as before: the charge that it stands for, as it is now (M15).
    Replayed {
        /// The charge.
        charge: Charge,
        /// Whether that charge had been bought with another key, of which this one was a repeat.
        repeat: bool,
    },
    /// The same number in the same vehicle again: nothing more is charged (M12, M13). The charge may still be processing, and then the
    /// key is not kept.
    Repeat(Charge),
}

impl Purchased {
    /// The charge, whichever way it was found.
    pub fn charge(&self) -> &Charge {
        match self {
            Purchased::New(charge) | Purchased::Replayed { charge, .. } | Purchased::Repeat(charge) => charge,
        }
    }
}

/// Why there is no charge. Nothing was written.
#[derive(Debug, Error)]
pub enum PurchaseError {
    /// What is asked for cannot be bought by anybody.
    #[error("{0}")]
    Impossible(Reason),
    /// More passengers than one number may pay for, or none.
    #[error("from 1 to {max} passengers can ride on one number")]
    Passengers {
        /// The most.
        max: u8,
    },
    /// The key was used for another request (M15).
    #[error("the idempotency key was used for another request, which made charge {0}")]
    KeyConflict(Reference),
    /// The key is the id of a message that was handed over, and the message has its answer: the passenger was told that nothing
    /// was charged, or another caller's charge answered it.
    #[error("the SMS with this id was answered before; no charge can answer it any more")]
    MoAnswered,
    /// The key is the id of a message that was handed over, and the message came from another number.
    #[error("the SMS with this id came from another number")]
    AnotherNumber,
    /// The books were put back from a back-up not long ago, and the key may have been used in the time that is lost.
    #[error(
        "what was bought until {until} is not known here any more, because a back-up was put back; the key may be of that time: buy under \
         a key that tells that it was made since (a UUID of version 7), if nothing was bought under this one"
    )]
    Restored {
        /// Until when what was bought is lost.
        until: Timestamp,
    },
    /// Too many charges are under way.
    #[error("too many charges are under way")]
    Overloaded,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// The work broke off by a defect: whether there is a charge is not known here. The same key finds out.
    #[error("the purchase broke off; the same key finds out what came of it")]
    Unknown,
    /// The ticket could not be signed, so the money must not be taken.
    #[error("no key can sign tickets now, so nothing is charged")]
    NoSigningKey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Buys, or finds what was bought. The charge is durable on return and on its way; its outcome comes later.
    ///
    /// The work is done in a task of its own: a caller that goes away cancels nothing.
    pub async fn purchase(&self, purchase: Purchase) -> Result<Purchased, PurchaseError> {
        let inner = self.0.clone();
        let work = self.0.spawn(async move { inner.purchase(purchase).await });
        work.await.unwrap_or(Err(PurchaseError::Unknown))
    }

    /// The same, with the charge as soon as its outcome is known or it is in doubt, or as it is after `patience`.
    pub async fn purchase_and_wait(
        &self,
        purchase: Purchase,
        patience: Duration,
    ) -> Result<(Purchased, Awaited), PurchaseError> {
        let inner = self.0.clone();
        let work = self.0.spawn(async move {
            let mut watcher = None;
            let purchased =
                inner.purchase_watched(purchase, |charge| watcher = Some(inner.watchers.watch(charge))).await;
            purchased.map(|purchased| (purchased, watcher))
        });
        let (purchased, watcher) = work.await.unwrap_or(Err(PurchaseError::Unknown))?;
        let charge = purchased.charge();
        let awaited = match watcher {
            _ if !charge.state.is_open() => Some(charge.clone().into()),
            Some(watcher) => self.wait_with(watcher, patience).await?,
            None => self.wait(charge.reference, patience).await?,
        };
        let awaited = awaited.ok_or_else(|| gone("charges", charge.reference))?;
        Ok((purchased, awaited))
    }
}

/// What the slot says about a purchase. `gone` holds the slot and no place any more: it gives way.
pub(super) enum Claim {
    /// Nobody bought here before; or it was long ago, or went back.
    Free { gone: Option<Reference> },
    /// So many are still to pay, on top of those of an earlier charge.
    Add { passengers: u8, extends: Extends, gone: Option<Reference> },
    /// All have paid, or are about to.
    Repeat(Box<Charge>),
}

impl Inner {
    pub(super) async fn purchase(self: &Arc<Self>, purchase: Purchase) -> Result<Purchased, PurchaseError> {
        self.purchase_watched(purchase, |_| ()).await
    }

    /// `before_flight` is called for a new charge that is open, while nothing can become of it yet.
    async fn purchase_watched(
        self: &Arc<Self>,
        purchase: Purchase,
        before_flight: impl FnOnce(Reference),
    ) -> Result<Purchased, PurchaseError> {
        let prior = self.reader.prior(purchase.question()).await?;
        // A key that stands for a charge is answered whatever has changed since: the vehicle, the fare, the load (M15).
        if let Channel::Api { .. } = purchase.channel
            && let Some((reference, same_body, repeat)) = prior.key
        {
            return self.replay(reference, same_body, repeat).await;
        }
        self.refuse_lost_key(&purchase)?;
        let purchase = if prior.is_handed_over { self.purchase_for_sms(purchase).await? } else { purchase };
        if self.stopping.is_cancelled() {
            return Err(PurchaseError::Stopping);
        }
        let max = self.config.passengers_max;
        if !(1..=max).contains(&purchase.passengers) {
            return Err(PurchaseError::Passengers { max });
        }
        let permit = self.flights.clone().try_acquire_owned().map_err(|_| {
            counter!("gateway_overload_total").increment(1);
            PurchaseError::Overloaded
        })?;
        let books = self.books.load_full();
        // One budget for all that is asked before the charge; and no lock is held meanwhile, so a slow source holds up nobody else.
        let until = self.subscribers.until();
        let route = self.route_of_purchase(&purchase, &prior, until).await;
        let carrier = route.and_then(|route| self.carriers.get(&route.carrier).cloned());
        let carrier = carrier.ok_or(PurchaseError::Impossible(Reason::NoRoute))?;
        let fare = self.fare(&books, &carrier, &purchase)?;
        let language = prior.language.or(purchase.language).unwrap_or(carrier.config().language);
        let facts = self.facts_for(&books, &carrier, (&purchase, &prior), until).await?;

        let _turn = self.subscriber_locks.lock(purchase.msisdn).await;
        // Nobody had the slot a moment ago. If somebody has it by now, the commit says so.
        let mut is_free = prior.slot.is_none();
        for _ in 0..ROUNDS_MAX {
            let is_assumed = std::mem::take(&mut is_free);
            let claim = if is_assumed { Claim::Free { gone: None } } else { self.claim(&purchase).await? };
            let (passengers, extends, gone) = match claim {
                Claim::Free { gone } => (purchase.passengers, None, gone),
                Claim::Add { passengers, extends, gone } => (passengers, Some(extends), gone),
                Claim::Repeat(charge) => return self.repeat(&purchase, *charge).await,
            };
            let amount = fare.amount.checked_mul(passengers.into()).map_err(|_| PurchaseError::Passengers { max })?;
            let order = fare.order(&purchase, passengers, amount, extends, language);
            let prepared = self.opening(&books, &carrier, (order, &facts, gone), &purchase).await;
            // What claims no slot, the commit does not hold against one: somebody who has paid meanwhile is no one to be declined.
            if is_assumed && prepared.as_ref().map_or(true, |prepared| prepared.opening.slot.is_none()) {
                continue;
            }
            let Prepared { opening, effects, slot, claim } = prepared?;
            match self.writer.write(Write::Open(Box::new(opening.clone()))).await? {
                Outcome::Opened { superseded } => {
                    claim.keep();
                    fail_point!("gateway-after-open");
                    if opening.charge.state.is_open() {
                        before_flight(opening.charge.reference);
                    }
                    return Ok(Purchased::New(self.opened(opening, &effects, superseded, carrier, slot, permit)));
                }
                Outcome::KeyKnown { reference, same_body, repeat } => {
                    return self.replay(reference, same_body, repeat).await;
                }
                Outcome::MoKnown { .. } => return Err(PurchaseError::MoAnswered),
                // Somebody was faster; look again at who holds the slot.
                _ => drop((slot, claim)),
            }
        }
        Err(PurchaseError::Overloaded)
    }

    /// What the slot of this subscriber and vehicle says (M12, M13).
    pub(super) async fn claim(&self, purchase: &Purchase) -> Result<Claim, StoreError> {
        let mut gone = None;
        let Some(mut slot) = self.store.slot(purchase.msisdn, &purchase.vehicle).await? else {
            return Ok(Claim::Free { gone });
        };
        let Some(mut holder) = self.store.charge(slot.reference).await? else { return Ok(Claim::Free { gone }) };
        // An addition that came to nothing gives the slot back to what it added to, and that may have gone back meanwhile.
        if !holder.state.is_open() && holder.state != State::Charged {
            gone = Some(slot.reference);
            let Some(paid) = self.still_paid(holder.order.extends.clone(), purchase.received_at).await? else {
                return Ok(Claim::Free { gone });
            };
            (slot, holder) = paid;
        }
        let over = slot.held_until <= purchase.received_at;
        // What it adds to is paid for, whatever becomes of the addition.
        let is_asked_for =
            |before: &Extends| holder.state != State::Charged && (over || purchase.passengers <= before.passengers);
        let before = holder.order.extends.clone().filter(is_asked_for);
        let (slot, holder) = match self.still_paid(before, purchase.received_at).await? {
            Some(paid) => paid,
            None if over => return Ok(Claim::Free { gone }),
            None => (slot, holder),
        };
        let Slot { reference, passengers: paid, held_until } = slot;
        match purchase.passengers.checked_sub(paid) {
            Some(more @ 1..) if holder.state == State::Charged => {
                Ok(Claim::Add { passengers: more, extends: Extends { reference, passengers: paid, held_until }, gone })
            }
            _ => Ok(Claim::Repeat(Box::new(holder))),
        }
    }

    /// What is paid for of all that was added up, and is held at this moment: the newest that has not gone back.
    async fn still_paid(
        &self,
        mut added_to: Option<Extends>,
        at: Timestamp,
    ) -> Result<Option<(Slot, Charge)>, StoreError> {
        // What was paid for earlier is held no longer than what was added to it.
        while let Some(Extends { reference, passengers, held_until }) = added_to.filter(|before| before.held_until > at)
        {
            let Some(charge) = self.store.charge(reference).await? else { return Ok(None) };
            if charge.state == State::Charged {
                return Ok(Some((Slot { reference, passengers, held_until }, charge)));
            }
            added_to = charge.order.extends;
        }
        Ok(None)
    }

    /// The answer to a repeat. Once it is final, or told by SMS, the key stands for it for ever (M15).
    async fn repeat(self: &Arc<Self>, purchase: &Purchase, holder: Charge) -> Result<Purchased, PurchaseError> {
        counter!("charge_repeats_total", "state" => holder.state.code()).increment(1);
        // The key may stand for a charge already: for this one, or for one that has ended.
        if holder.state.is_open()
            && let Some((reference, same_body, repeat)) = self.store.key(&purchase.guard).await?
        {
            return self.replay(reference, same_body, repeat).await;
        }
        let answer = self.answer_to_linked(purchase, &holder).await?;
        // What is open may come to nothing, and then this key buys for itself. Not that of a message, once its passenger is answered: it
        // stands for what it repeats.
        if holder.state.is_open() && answer.is_none() {
            return Ok(Purchased::Repeat(holder));
        }
        let messages = answer.as_ref().map(|answer| answer.messages.clone()).unwrap_or_default();
        let write = Write::RecordRepeat {
            guard: purchase.guard.clone(),
            reference: holder.reference,
            at: self.now(),
            mo: answer,
        };
        match self.writer.write(write).await? {
            Outcome::KeyKnown { reference, same_body, repeat } => self.replay(reference, same_body, repeat).await,
            _ => {
                self.queue_messages_if_kept(&messages);
                Ok(Purchased::Repeat(holder))
            }
        }
    }

    async fn replay(&self, reference: Reference, same_body: bool, repeat: bool) -> Result<Purchased, PurchaseError> {
        if !same_body {
            return Err(PurchaseError::KeyConflict(reference));
        }
        let charge = self.store.charge(reference).await?.ok_or_else(|| gone("keys", reference))?;
        Ok(Purchased::Replayed { charge, repeat })
    }
}

/// A row of `table` stands for a charge that is not there.
fn gone(table: &'static str, reference: Reference) -> StoreError {
    let why = "it stands for a charge that does not exist".into();
    StoreError::Corrupt { table, row: reference.to_string(), why }
}
