//! From a request to an opening that is committed.

use std::{sync::Arc, time::Instant};

use fail::fail_point;
use metrics::counter;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use super::{Books, Gateway, Inner, sales::SalesClaim, verdict::Question};
use crate::{
    carrier::{Carrier, SendSlot},
    charge::{Channel, Charge, Effect, Event, Extends, Order, Reason, Reference, State, Terms, Trip, step},
    clock::Timestamp,
    eligibility::{self, Decision, Facts, Sales, Sold},
    money::Money,
    msisdn::Msisdn,
    passenger::Language,
    store::{JournalEntry, KeyGuard, Opening, Outcome, Slot, SlotClaim, StoreError, Write},
    transit::{NoFare, VehicleCode, Zone},
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
        let work = self.0.tasks.spawn(async move { inner.purchase(purchase).await });
        work.await.unwrap_or(Err(PurchaseError::Unknown))
    }
}

/// What one passenger pays, and to whom.
struct Fare {
    city: String,
    route: String,
    agency: String,
    fare_class: String,
    amount: Money,
}

impl Fare {
    fn order(
        &self,
        purchase: &Purchase,
        passengers: u8,
        amount: Money,
        extends: Option<Extends>,
        language: Language,
    ) -> Order {
        Order {
            msisdn: purchase.msisdn,
            vehicle: purchase.vehicle,
            city: self.city.clone(),
            route: self.route.clone(),
            agency: self.agency.clone(),
            fare_class: self.fare_class.clone(),
            passengers,
            amount,
            zone: purchase.zone,
            trip: purchase.trip.clone(),
            channel: purchase.channel.clone(),
            language,
            extends,
            received_at: purchase.received_at,
        }
    }
}

/// An opening that is ready to be committed.
struct Prepared {
    opening: Opening,
    effects: Vec<Effect>,
    slot: Option<SendSlot>,
    claim: SalesClaim,
}

/// What the slot says about a purchase.
enum Claim {
    /// Nobody bought here before; or it was long ago.
    Free,
    /// So many are still to pay, on top of those of an earlier charge.
    Add(u8, Extends),
    /// All have paid, or are about to.
    Repeat(Box<Charge>),
}

impl Inner {
    pub(super) async fn purchase(self: &Arc<Self>, purchase: Purchase) -> Result<Purchased, PurchaseError> {
        // A key that stands for a charge is answered whatever has changed since: the vehicle, the fare, the load (M15).
        if let Channel::Api { .. } = purchase.channel
            && let Some((reference, same_body, repeat)) = self.store.key(&purchase.guard).await?
        {
            return self.replay(reference, same_body, repeat).await;
        }
        let purchase = self.purchase_for_sms(purchase).await?;
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
        let route = self.route_of_purchase(&purchase.channel, purchase.msisdn, until).await;
        let carrier = route.and_then(|route| self.carriers.get(&route.carrier).cloned());
        let carrier = carrier.ok_or(PurchaseError::Impossible(Reason::NoRoute))?;
        let fare = self.fare(&books, &carrier, &purchase)?;
        let language = self.language(&purchase, &carrier).await?;
        let facts = self.facts_for(&books, &carrier, &purchase, until).await?;

        let _turn = self.subscriber_locks.lock(purchase.msisdn).await;
        for _ in 0..ROUNDS_MAX {
            let (passengers, extends) = match self.claim(&purchase).await? {
                Claim::Free => (purchase.passengers, None),
                Claim::Add(passengers, extends) => (passengers, Some(extends)),
                Claim::Repeat(charge) => return self.repeat(&purchase, *charge).await,
            };
            let amount = fare.amount.checked_mul(passengers.into()).map_err(|_| PurchaseError::Passengers { max })?;
            let order = fare.order(&purchase, passengers, amount, extends, language);
            let Prepared { opening, effects, slot, claim } =
                self.opening(&books, &carrier, (order, &facts), &purchase).await?;
            match self.writer.write(Write::Open(Box::new(opening.clone()))).await? {
                Outcome::Opened { superseded } => {
                    claim.keep();
                    fail_point!("gateway-after-open");
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

    /// What one passenger pays, and to whom.
    fn fare(&self, books: &Books, carrier: &Carrier, purchase: &Purchase) -> Result<Fare, PurchaseError> {
        let vehicle =
            books.catalogue.vehicle(&purchase.vehicle).ok_or(PurchaseError::Impossible(Reason::UnknownVehicle))?;
        let route = &vehicle.route;
        let fare_class = purchase.fare_class.clone().unwrap_or_else(|| route.fare_class.clone());
        let amount = books.catalogue.fare_on(route, &fare_class, purchase.zone, purchase.received_at);
        let amount = amount.map_err(|why| PurchaseError::Impossible(reason_of(why)))?;
        // A test number goes the whole way, with an amount of nothing.
        let is_test = carrier.config().test_numbers.contains(&purchase.msisdn);
        Ok(Fare {
            city: route.city.id.clone(),
            route: route.id.clone(),
            agency: route.agency.id.clone(),
            fare_class,
            amount: if is_test { Money::zero(amount.currency) } else { amount },
        })
    }

    async fn language(&self, purchase: &Purchase, carrier: &Carrier) -> Result<Language, StoreError> {
        let chosen = self.store.language(purchase.msisdn).await?;
        Ok(chosen.or(purchase.language).unwrap_or(carrier.config().language))
    }

    /// What is known of the subscriber, once those were asked who may know more. For a repeat nobody is asked: it needs no
    /// verdict.
    async fn facts_for(
        &self,
        books: &Books,
        carrier: &Carrier,
        purchase: &Purchase,
        until: Instant,
    ) -> Result<Facts, StoreError> {
        let (msisdn, now) = (purchase.msisdn, self.now());
        let rules = books.rules.facts(carrier.name().as_str());
        if self.subscribers.lacking(msisdn, carrier.name(), rules, now).is_empty()
            || matches!(self.claim(purchase).await?, Claim::Repeat(_))
        {
            return Ok(Facts::new());
        }
        let gathered = self.subscribers.gather(msisdn, carrier.name(), rules, (now, until)).await;
        Ok(gathered.facts)
    }

    /// What the slot of this subscriber and vehicle says (M12, M13).
    async fn claim(&self, purchase: &Purchase) -> Result<Claim, StoreError> {
        let Some(slot) = self.store.slot(purchase.msisdn, &purchase.vehicle).await? else { return Ok(Claim::Free) };
        let Some(holder) = self.store.charge(slot.reference).await? else { return Ok(Claim::Free) };
        let over = slot.held_until <= purchase.received_at;
        let (slot, holder) = match &holder.order.extends {
            // What it adds to is paid for, whatever becomes of the addition.
            Some(before)
                if holder.state != State::Charged
                    && before.held_until > purchase.received_at
                    && (over || purchase.passengers <= before.passengers) =>
            {
                let Some(paid) = self.store.charge(before.reference).await? else { return Ok(Claim::Free) };
                let Extends { reference, passengers, held_until } = *before;
                (Slot { reference, passengers, held_until }, paid)
            }
            _ if over => return Ok(Claim::Free),
            _ => (slot, holder),
        };
        let Slot { reference, passengers: paid, held_until } = slot;
        match purchase.passengers.checked_sub(paid) {
            Some(more @ 1..) if holder.state == State::Charged => {
                Ok(Claim::Add(more, Extends { reference, passengers: paid, held_until }))
            }
            _ => Ok(Claim::Repeat(Box::new(holder))),
        }
    }

    /// The answer to a repeat. Once it is final, the key stands for it for ever (M15).
    async fn repeat(self: &Arc<Self>, purchase: &Purchase, holder: Charge) -> Result<Purchased, PurchaseError> {
        counter!("charge_repeats_total", "state" => holder.state.code()).increment(1);
        if holder.state.is_open() {
            // The key may stand for a charge already: for this one, or for one that has ended.
            return match self.store.key(&purchase.guard).await? {
                Some((reference, same_body, repeat)) => self.replay(reference, same_body, repeat).await,
                None => {
                    if let Some(answer) = self.answer_to_linked(purchase, &holder).await? {
                        self.write_answer(answer).await?;
                    }
                    Ok(Purchased::Repeat(holder))
                }
            };
        }
        let answer = self.answer_to_linked(purchase, &holder).await?;
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
        let charge = self.store.charge(reference).await?;
        let charge = charge.ok_or_else(|| StoreError::Corrupt {
            table: "idempotency_key",
            row: reference.to_string(),
            why: "it stands for a charge that does not exist".into(),
        })?;
        Ok(Purchased::Replayed { charge, repeat })
    }

    /// The charge with all that is committed with its opening: declined by the rules, or with its first attempt if a send
    /// slot is free this instant (M1), or waiting.
    async fn opening(
        &self,
        books: &Books,
        carrier: &Carrier,
        (order, facts): (Order, &Facts),
        purchase: &Purchase,
    ) -> Result<Prepared, PurchaseError> {
        let now = self.now();
        let purchased = eligibility::Purchase::Fare { sale_locked: false, amount: Some(order.amount) };
        let deadline = order.received_at.plus(self.config.ticket_deadline());
        let terms = Terms { ticket_deadline: deadline, late_success: self.config.late_success };
        let passengers = order.passengers + order.extends.as_ref().map_or(0, |extends| extends.passengers);
        let replaces = order.extends.as_ref().map(|extends| extends.reference);
        let charge = Charge::new(Reference::new(now, rand::random()), order, terms);
        let claim = self.sales.claim(&charge, self.day_start(carrier, now));
        let sold = |(by, today)| Sold { by, today };
        let sales = Sales { agency: claim.agency().map(sold), caller: claim.caller().map(sold) };
        let question = Question { carrier, msisdn: charge.order.msisdn, facts, purchase: purchased, sales };
        let verdict = self.verdict(books, &question, now).await?;

        let decline = match verdict.decision {
            Decision::Declined(reason) => Some(reason),
            Decision::Allowed if !carrier.standing().takes_charges() => Some(Reason::CarrierUnavailable),
            Decision::Allowed => None,
        };
        let slot = if decline.is_none() { carrier.try_reserve() } else { None };
        // A doubt about the signature must be known before the money is taken, not after.
        if decline.is_none() && !self.ticketing.can_sign(&charge, &books.catalogue) {
            return Err(PurchaseError::NoSigningKey);
        }
        let event = match (decline, &slot) {
            (Some(reason), _) => Some(Event::Decline { reason }),
            (None, Some(_)) => Some(Event::OpenAttempt {
                carrier: carrier.name().clone(),
                wire_reference: carrier.wire_reference(charge.reference, 1),
                contract: carrier.contract(),
            }),
            (None, None) => None,
        };
        let mut journal = vec![opening_entry(&charge)];
        let (charge, effects) = match event {
            None => (charge, Vec::new()),
            Some(event) => match step(&charge, event.clone(), now) {
                Ok(done) => {
                    journal.push(JournalEntry {
                        reference: done.next.reference,
                        version: done.next.version,
                        at: done.next.updated_at,
                        event: Some(event),
                        from: Some(charge.state),
                        to: done.next.state,
                    });
                    (done.next, done.effects)
                }
                // It waited for so long that its deadline has passed: the flight will end it.
                Err(illegal) => {
                    warn!(charge = %charge.reference, %illegal, "no attempt at the opening");
                    (charge, Vec::new())
                }
            },
        };
        let slot_claim = decline.is_none().then_some(SlotClaim { replaces, held_until: deadline, passengers });
        let messages = self.messages(&charge, &effects, None);
        let slot = slot.filter(|_| !effects.is_empty());
        let opening =
            Opening { charge, guard: purchase.guard.clone(), slot: slot_claim, mo: purchase.mo, journal, messages };
        Ok(Prepared { opening, effects, slot, claim })
    }

    /// After the commit of an opening: it is on its way.
    fn opened(
        self: &Arc<Self>,
        opening: Opening,
        effects: &[Effect],
        superseded: Option<Reference>,
        carrier: Carrier,
        slot: Option<SendSlot>,
        permit: OwnedSemaphorePermit,
    ) -> Charge {
        let Opening { charge, messages, .. } = opening;
        let reason = charge.state.reason().map_or("none", |reason| reason.code());
        counter!("charge_opened_total", "carrier" => carrier.name().to_string(), "state" => charge.state.code(), "reason" => reason)
            .increment(1);
        info!(
            charge = %charge.reference,
            msisdn = charge.order.msisdn.masked(),
            vehicle = charge.order.vehicle.as_str(),
            state = charge.state.code(),
            reason,
            amount_minor = charge.order.amount.minor,
            "charge opened"
        );
        if let Some(old) = superseded {
            warn!(charge = %old, by = %charge.reference, "a charge in doubt gave way to a newer purchase");
        }
        self.queue_messages(&messages);
        if charge.state.is_open() {
            debug_assert_eq!(slot.is_some(), effects.contains(&Effect::Send { attempt: 1 }));
            self.fly(charge.clone(), carrier, slot, permit);
        }
        charge
    }
}

/// Why nobody can pay this.
pub(super) const fn reason_of(why: NoFare) -> Reason {
    match why {
        NoFare::ZoneMissing => Reason::ZoneMissing,
        NoFare::ZoneUnexpected => Reason::ZoneUnexpected,
        NoFare::UnknownZone => Reason::UnknownZone,
        NoFare::NotInForce => Reason::FareNotFound,
    }
}

fn opening_entry(charge: &Charge) -> JournalEntry {
    JournalEntry {
        reference: charge.reference,
        version: charge.version,
        at: charge.updated_at,
        event: None,
        from: None,
        to: charge.state,
    }
}
