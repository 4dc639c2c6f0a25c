//! What is bought and for how much, whether it may be, and the opening that is committed.

use std::{sync::Arc, time::Instant};

use metrics::counter;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use super::{Books, Inner, Purchase, PurchaseError, purchase::Claim, sales::SalesClaim, verdict::Question};
use crate::{
    carrier::{Carrier, SendSlot},
    charge::{Charge, Contract, Effect, Event, Extends, Order, Reason, Reference, Terms, step},
    clock::Timestamp,
    eligibility::{self, Decision, Facts, Sales, Sold},
    ledger::DatedFee,
    money::Money,
    passenger::Language,
    process,
    store::{JournalEntry, Opening, Prior, SlotClaim, StoreError, Told},
    transit::NoFare,
};

/// What one passenger pays, and to whom.
pub(super) struct Fare {
    city: String,
    route: String,
    agency: String,
    fare_class: String,
    pub(super) amount: Money,
}

impl Fare {
    pub(super) fn order(
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
pub(super) struct Prepared {
    pub(super) opening: Opening,
    pub(super) effects: Vec<Effect>,
    pub(super) slot: Option<SendSlot>,
    pub(super) claim: SalesClaim,
}

impl Inner {
    /// What one passenger pays, and to whom.
    pub(super) fn fare(&self, books: &Books, carrier: &Carrier, purchase: &Purchase) -> Result<Fare, PurchaseError> {
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

    /// What is known of the subscriber, once those were asked who may know more. For a repeat nobody is asked: it needs no
    /// verdict.
    pub(super) async fn facts_for(
        &self,
        books: &Books,
        carrier: &Carrier,
        (purchase, prior): (&Purchase, &Prior),
        until: Instant,
    ) -> Result<Facts, StoreError> {
        let (msisdn, now) = (purchase.msisdn, self.now());
        let rules = books.rules.facts(carrier.name().as_str());
        if self.subscribers.lacking(msisdn, carrier.name(), rules, now).is_empty()
            || (prior.slot.is_some() && matches!(self.claim(purchase).await?, Claim::Repeat(_)))
        {
            return Ok(Facts::new());
        }
        let gathered = self.subscribers.gather(msisdn, carrier.name(), rules, (now, until)).await;
        Ok(gathered.facts)
    }

    /// The charge with all that is committed with its opening: declined by the rules, or with its first attempt if a send
    /// slot is free this instant (M1), or waiting.
    pub(super) async fn opening(
        &self,
        books: &Books,
        carrier: &Carrier,
        (order, facts, gone): (Order, &Facts, Option<Reference>),
        purchase: &Purchase,
    ) -> Result<Prepared, PurchaseError> {
        let now = self.now();
        let purchased = eligibility::Purchase::Fare { sale_locked: false, amount: Ok(order.amount) };
        let deadline = order.received_at.plus(self.config.ticket_deadline());
        let today = now.date_in(carrier.zone());
        let fare_vat = self.vat.of_fare(&order.agency, today);
        let terms = Terms { fare_vat, ..Terms::new(deadline, self.config.late_success) };
        let passengers = order.passengers + order.extends.as_ref().map_or(0, |extends| extends.passengers);
        let replaces = gone.or(order.extends.as_ref().map(|extends| extends.reference));
        let charge = Charge::new(Reference::new(now, process::random()), order, terms);
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
        let slot = if decline.is_none() { carrier.try_reserve_attempt() } else { None };
        // A doubt about the signature must be known before the money is taken, not after.
        if decline.is_none() && !self.ticketing.can_sign(&charge, &books.catalogue) {
            return Err(PurchaseError::NoSigningKey);
        }
        let event = match (decline, &slot) {
            (Some(reason), _) => Some(Event::Decline { reason }),
            (None, Some(_)) => Some(Event::OpenAttempt {
                carrier: carrier.name().clone(),
                wire_reference: carrier.wire_reference(charge.reference, 1),
                contract: self.contract(carrier, now),
                carrier_time: carrier.time(),
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
                        verbatim: None,
                        told: Told::of(&charge, &done.next, &done.effects, None),
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
        let bounds = if decline.is_none() { self.bounds(books, carrier, charge.order.amount, now) } else { Vec::new() };
        let slot_claim = decline.is_none().then_some(SlotClaim { replaces, held_until: deadline, passengers });
        let messages = self.messages(&charge, &effects, None);
        let slot = slot.filter(|_| !effects.is_empty());
        let opening = Opening {
            charge,
            guard: purchase.guard.clone(),
            slot: slot_claim,
            mo: purchase.mo,
            journal,
            messages,
            bounds,
        };
        Ok(Prepared { opening, effects, slot, claim })
    }

    /// What the contract with this carrier says today, its fee included.
    pub(super) fn contract(&self, carrier: &Carrier, now: Timestamp) -> Contract {
        let fee = DatedFee::on(&carrier.config().fees, now.date_in(carrier.zone()), &self.vat);
        Contract { fee, ..carrier.contract() }
    }

    /// After the commit of an opening: it is on its way.
    pub(super) fn opened(
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
        verbatim: None,
        told: Told::default(),
    }
}
