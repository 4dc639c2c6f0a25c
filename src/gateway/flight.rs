//! A flight: one charge on its way, from the wait for a send slot to the answer.

use std::{sync::Arc, time::Duration};

use fail::fail_point;
use metrics::counter;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tracing::{Instrument, debug, info_span, warn};

use super::{Inner, apply::Happening};
use crate::{
    carrier::{Carrier, NoSlot, SendSlot, transcript::record},
    charge::{AttemptState, Charge, Effect, Event, Retry},
};

/// A pause between two tries never grows beyond this.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether the carrier is another daemon's now.
const LOOK_FOR_CARRIER: Duration = Duration::from_millis(500);

impl Inner {
    /// Starts a flight for `charge` at `carrier`. With a slot, its last attempt is open and durable and goes out at once;
    /// without one, the flight waits for a slot and opens the attempt then (M1).
    pub(super) fn fly(
        self: &Arc<Self>,
        charge: Charge,
        carrier: Carrier,
        slot: Option<SendSlot>,
        permit: OwnedSemaphorePermit,
    ) {
        let span = info_span!("charge", reference = %charge.reference, carrier = carrier.name().as_str());
        let inner = self.clone();
        let flight = async move {
            inner.flight(charge, carrier, slot).await;
            drop(permit);
        };
        self.spawn(flight.instrument(span));
    }

    /// The same for a charge that waits; returns at the end of the flight.
    pub(super) async fn fly_to_its_end(
        self: &Arc<Self>,
        charge: Charge,
        carrier: Carrier,
        permit: OwnedSemaphorePermit,
    ) {
        let span = info_span!("charge", reference = %charge.reference, carrier = carrier.name().as_str());
        self.flight(charge, carrier, None).instrument(span).await;
        drop(permit);
    }

    async fn flight(self: &Arc<Self>, mut charge: Charge, mut carrier: Carrier, mut slot: Option<SendSlot>) {
        let mut pause = Duration::from_millis(self.config.retry_pause_ms);
        // The wall clock may jump back, or have jumped since the purchase; the passenger does not wait longer for that.
        let left = charge.terms.ticket_deadline.since(self.now()).min(self.config.ticket_deadline());
        let until = Instant::now() + left;
        loop {
            let (opened, held) = match slot.take() {
                Some(slot) => (charge, slot),
                None => match self.open_attempt(charge, &carrier, until).await {
                    Some(opened) => opened,
                    None => return,
                },
            };
            let Some(attempt) = opened.last_attempt() else { return };
            fail_point!("gateway-before-send");
            let text = self.charged_text(&opened);
            let (evidence, words) = record(carrier.charge(held, &opened, attempt, &text, self.now())).await;
            debug!(attempt = attempt.number, finding = evidence.finding.code(), "the carrier's answer");
            fail_point!("gateway-before-settle");
            let reference = opened.reference;
            let happening = Happening::told(Event::Evidence(evidence), words);
            let Some(applied) = self.apply_until_done(reference, Some(opened), happening).await else {
                return;
            };
            fail_point!("gateway-after-settle");
            self.follow_in_flight(&applied);
            if applied.effects.contains(&Effect::Reroute) {
                let Some(other) = self.reroute(&applied.charge).await else { return };
                carrier = other;
            } else if applied.effects.contains(&Effect::TryAgain) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            } else {
                return;
            }
            charge = applied.charge;
        }
    }

    /// Waits for a send slot, as long as an answer can still come before `until`, then makes the next attempt durable. `None` once
    /// the charge will have no other: it would come too late, and ends; or the process is stopping, and then recovery takes it up.
    async fn open_attempt(
        self: &Arc<Self>,
        charge: Charge,
        carrier: &Carrier,
        until: Instant,
    ) -> Option<(Charge, SendSlot)> {
        let reference = charge.reference;
        let mut known = Some(charge.clone());
        loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            if !self.serves(carrier) && self.hand_over_charge(&charge, carrier, until).await {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            let left = charge.terms.ticket_deadline.since(self.now()).min(left);
            // What is sent so late that its answer would come after the deadline would only be paid back.
            let patience = left.saturating_sub(carrier.expected_answer());
            // Nobody who could send it took it in time. To look again would be to look for ever, without a pause.
            let is_too_late = Instant::now() >= until && !self.serves(carrier);
            let reserved = tokio::select! {
                biased;
                () = std::future::ready(()), if is_too_late => Err(NoSlot::InTime),
                reserved = carrier.reserve_attempt(patience) => reserved,
                () = self.until_elsewhere(carrier) => continue,
            };
            let slot = match reserved {
                Ok(slot) => slot,
                Err(NoSlot::ShuttingDown) => return None,
                Err(why @ (NoSlot::InTime | NoSlot::TooManyWait)) => {
                    debug!(%why, left_ms = left.as_millis(), "not sent, because it would come too late");
                    counter!("charge_given_up_total", "carrier" => carrier.name().to_string()).increment(1);
                    self.apply_until_done(reference, known, Event::GiveUp).await;
                    return None;
                }
            };
            let next_number = u16::try_from(charge.attempts.len() + 1).unwrap_or(u16::MAX);
            let event = Event::OpenAttempt {
                carrier: carrier.name().clone(),
                wire_reference: carrier.wire_reference(reference, next_number),
                contract: self.contract(carrier, self.now()),
                carrier_time: carrier.time(),
            };
            match Box::pin(self.apply(reference, known.take(), event)).await {
                Ok(applied) => return Some((applied.charge, slot)),
                Err(error) if error.is_passing() => {
                    warn!(%error, "cannot make an attempt durable yet, so nothing is sent");
                    drop(slot);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    // Decided in the meantime, or out of time.
                    debug!(%error, "no further attempt");
                    self.apply_until_done(reference, None, Event::Tick).await;
                    return None;
                }
            }
        }
    }

    /// Returns once what goes to this carrier goes out from another daemon.
    async fn until_elsewhere(&self, carrier: &Carrier) {
        if self.attendance.is_none() {
            return std::future::pending().await;
        }
        while self.serves(carrier) {
            tokio::time::sleep(LOOK_FOR_CARRIER).await;
        }
    }

    /// Takes up a charge that waits to be sent and that no flight is carrying.
    pub(super) fn take_up(self: &Arc<Self>, charge: Charge) {
        let Ok(permit) = self.flights.clone().try_acquire_owned() else {
            // It stays as it is; the deadline ends it.
            warn!(charge = %charge.reference, "too many charges under way to take this one up again");
            return;
        };
        let inner = self.clone();
        self.spawn(async move {
            let carrier = if is_turned_away(&charge) {
                inner.reroute(&charge).await
            } else {
                // A process of before may have known better than the prefix.
                inner.recalled(charge.order.msisdn, inner.subscribers.until()).await;
                let carrier = inner.carrier_for(&charge);
                if carrier.is_none() {
                    warn!(charge = %charge.reference, "no carrier is configured any more for a charge that waits");
                }
                carrier
            };
            if let Some(carrier) = carrier {
                inner.fly(charge, carrier, None, permit);
            }
        });
    }

    /// The carrier whose subscriber the number is instead of the one that has just turned it away. `None` if there is none: then the
    /// charge has ended.
    async fn reroute(self: &Arc<Self>, charge: &Charge) -> Option<Carrier> {
        let from = &charge.last_attempt()?.carrier;
        let other = self.carrier_after(charge.order.msisdn, from).await;
        let other = other.filter(|other| {
            other.config().currency == charge.order.amount.currency && other.has_tariff(charge.order.amount)
        });
        let found = if other.is_some() { "yes" } else { "no" };
        counter!("charge_rerouted_total", "from" => from.to_string(), "found" => found).increment(1);
        if other.is_none() {
            self.apply_until_done(charge.reference, Some(charge.clone()), Event::GiveUp).await;
        }
        other
    }

    /// Where a charge goes: to the carrier that had its last attempt, or that its message came from, or as it is remembered, or by its prefix.
    pub(super) fn carrier_for(&self, charge: &Charge) -> Option<Carrier> {
        let name = match (charge.last_attempt(), charge.order.channel.sms_carrier()) {
            (Some(attempt), _) => &attempt.carrier,
            (None, Some(carrier)) => carrier,
            (None, None) => &self.routing.route(charge.order.msisdn)?.carrier,
        };
        self.carriers.get(name).cloned()
    }
}

/// Whether it waits for another carrier than that of its last attempt.
fn is_turned_away(charge: &Charge) -> bool {
    let last = charge.last_attempt().map(|attempt| &attempt.state);
    matches!(last, Some(AttemptState::Rejected(rejection)) if rejection.retry == Retry::OtherCarrier)
}
