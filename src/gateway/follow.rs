//! What a commit leaves to do at a carrier: the second step of a charge, the same request again, questions, refunds.
//!
//! Each is asked for in the charge before it is sent, so a process that ends in between finds it there and asks what came of
//! it. Each runs in a task of its own: a slow carrier holds up nobody else.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fail::fail_point;
use metrics::counter;
use tracing::debug;

use super::{Applied, Inner, apply::Happening, asking::About};
use crate::{
    carrier::{Carrier, NoSlot, SendSlot, Urgency, transcript::record},
    charge::{Attempt, Charge, Effect, Event, Evidence, EvidenceSource, Finding, Reference, Refund},
};

/// How long a request that belongs to a charge under way waits for its place.
const PATIENCE: Duration = Duration::from_secs(10);

/// The second step of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Confirm,
    Cancel,
}

impl Inner {
    /// Applies an event that must not be lost, and does what it leaves to do. See [`Inner::apply_until_done`].
    pub(super) async fn settle(
        self: &Arc<Self>,
        reference: Reference,
        known: Option<Charge>,
        happening: impl Into<Happening>,
    ) -> Option<Applied> {
        let applied = self.apply_until_done(reference, known, happening).await?;
        self.follow(&applied);
        Some(applied)
    }

    /// Does what a commit leaves to do.
    pub(super) fn follow(self: &Arc<Self>, applied: &Applied) {
        self.follow_in_flight(applied);
        if applied.effects.iter().any(|effect| matches!(effect, Effect::TryAgain | Effect::Reroute)) {
            self.take_up(applied.charge.clone());
        }
    }

    /// Does what a commit leaves to do, but for the next attempt: the flight that is under way makes it.
    pub(super) fn follow_in_flight(self: &Arc<Self>, applied: &Applied) {
        for effect in &applied.effects {
            if !self.hand_over_effect(&applied.charge, effect) {
                self.do_here(&applied.charge, effect);
            }
        }
    }

    /// Does from here what a commit left to do at a carrier.
    pub(super) fn do_here(self: &Arc<Self>, charge: &Charge, effect: &Effect) {
        let charge = charge.clone();
        match *effect {
            Effect::Confirm { attempt } => self.second_step(charge, attempt, Second::Confirm),
            Effect::Cancel { attempt } => self.second_step(charge, attempt, Second::Cancel),
            Effect::Resend { attempt } => self.resend(charge, attempt),
            Effect::Query { attempt } => self.query_once(charge, attempt),
            Effect::Refund { refund } => self.refund_at_carrier(charge, refund, EvidenceSource::Response),
            Effect::ResendRefund { refund } => self.refund_at_carrier(charge, refund, EvidenceSource::Repeat),
            Effect::QueryRefund { refund } => self.query_refund_once(charge, refund),
            _ => {}
        }
    }

    fn second_step(self: &Arc<Self>, charge: Charge, number: u16, second: Second) {
        let inner = self.clone();
        self.spawn(async move {
            let Some(attempt) = charge.attempt(number) else { return };
            let Some(carrier) = inner.carriers.get(&attempt.carrier) else { return };
            fail_point!("gateway-before-second-step");
            // What is confirmed after the deadline would only come back.
            let left = charge.terms.ticket_deadline.since(inner.now());
            let patience = if second == Second::Confirm { left.min(PATIENCE) } else { PATIENCE };
            let finding = match inner.slot_for(carrier, &charge, number, (patience, Urgency::Ticket)).await {
                Some(Ok(slot)) if second == Second::Confirm => record(carrier.confirm(slot, &charge, attempt)).await,
                Some(Ok(slot)) => record(carrier.cancel(slot, &charge, attempt)).await,
                Some(Err(_)) => (Finding::NotSent, None),
                None => return,
            };
            fail_point!("gateway-after-second-step");
            let name = if second == Second::Confirm { "confirm" } else { "cancel" };
            inner.hear(&charge, number, name, finding).await;
        });
    }

    /// Sends the same bytes again (M4). Their answer is an answer to the attempt.
    fn resend(self: &Arc<Self>, charge: Charge, number: u16) {
        let inner = self.clone();
        self.spawn(async move {
            let Some(attempt) = charge.attempt(number) else { return };
            let Some(carrier) = inner.carriers.get(&attempt.carrier) else { return };
            let left = charge.terms.ticket_deadline.since(inner.now()).saturating_sub(carrier.expected_answer());
            let patience = (left.min(PATIENCE), Urgency::Normal);
            let Some(Ok(slot)) = inner.slot_for(carrier, &charge, number, patience).await else { return };
            counter!("carrier_resends_total", "carrier" => carrier.name().to_string()).increment(1);
            let text = inner.charged_text(&charge);
            let (evidence, words) = record(carrier.charge(slot, &charge, attempt, &text, inner.now())).await;
            let id = format!("resend:{number}:{}", charge.version);
            let evidence = Evidence { id, source: EvidenceSource::Repeat, ..evidence };
            inner.settle(charge.reference, None, Happening::told(Event::Evidence(evidence), words)).await;
        });
    }

    /// The right to send what a commit asked for. `None` if the attempt was decided or asked for something else while it waited:
    /// then nothing is to be sent.
    async fn slot_for(
        &self,
        carrier: &Carrier,
        charge: &Charge,
        number: u16,
        (patience, urgency): (Duration, Urgency),
    ) -> Option<Result<SendSlot, NoSlot>> {
        if let Some(slot) = carrier.try_reserve() {
            return Some(Ok(slot));
        }
        let slot = carrier.reserve(patience, urgency).await;
        match self.store.charge(charge.reference).await {
            Ok(Some(now))
                if now.attempt(number) == charge.attempt(number) && now.superseded_by == charge.superseded_by =>
            {
                Some(slot)
            }
            // Where the store cannot tell, the attempt stays as it is, and is asked about.
            _ => None,
        }
    }

    /// Names an answer to a question: two may be asked about the same version of a charge, and both count.
    fn answer_id(&self, kind: &str, charge: &Charge) -> String {
        let count = self.questions.fetch_add(1, Ordering::Relaxed);
        format!("{kind}:{}:{}:{count}", charge.version, self.now().unix_ms())
    }

    /// Asks what became of an attempt, unless the last such question is under way still.
    fn query_once(self: &Arc<Self>, charge: Charge, number: u16) {
        let has_id = charge.attempt(number).is_some_and(|attempt| attempt.carrier_id.is_some());
        let about = About { reference: charge.reference, attempt: number, has_id };
        let Some(question) = self.asking.begin(about) else { return };
        let inner = self.clone();
        self.spawn(async move {
            inner.ask(&charge, number).await;
            drop(question);
        });
    }

    /// Asks what became of an attempt now: there is news.
    pub(super) fn query(self: &Arc<Self>, charge: Charge, number: u16) {
        let inner = self.clone();
        self.spawn(async move { inner.ask(&charge, number).await });
    }

    async fn ask(self: &Arc<Self>, charge: &Charge, number: u16) {
        let Some(attempt) = charge.attempt(number) else { return };
        let Some(carrier) = self.carriers.get(&attempt.carrier) else { return };
        let moment = self.clock.moment(attempt);
        let (Some(finding), words) = record(carrier.query(charge, attempt)).await else { return };
        debug!(charge = %charge.reference, attempt = number, finding = finding.code(), "the answer to a status query");
        if finding == Finding::Nothing {
            return;
        }
        let id = self.answer_id(&format!("query:{number}"), charge);
        let finding = self.unless_it_went_on(charge, attempt, moment.of_asking(finding)).await;
        let evidence = Evidence { id, attempt: number, source: EvidenceSource::Query, finding };
        self.settle(charge.reference, None, Happening::told(Event::Evidence(evidence), words)).await;
    }

    /// That this carrier has nothing says little of an attempt that was lost sight of: in the lost time it may have turned the number away,
    /// and another carrier may have been asked next. Where there is another, a person or evidence decides.
    async fn unless_it_went_on(&self, charge: &Charge, attempt: &Attempt, finding: Finding) -> Finding {
        let Finding::NotFound { complete: true, asked_at } = finding else { return finding };
        let msisdn = charge.order.msisdn;
        let complete = if attempt.was_lost_sight_of() {
            self.recalled(msisdn, self.subscribers.until()).await;
            !self.subscribers.looks_up() && self.routing.route_after(msisdn, &attempt.carrier).is_none()
        } else {
            true
        };
        Finding::NotFound { complete, asked_at }
    }

    /// Counts what a carrier answered to a request that was asked for in this version of the charge.
    pub(super) async fn hear(
        self: &Arc<Self>,
        charge: &Charge,
        number: u16,
        request: &str,
        (finding, words): (Finding, Option<String>),
    ) -> Option<Applied> {
        debug!(charge = %charge.reference, attempt = number, request, finding = finding.code(), "the carrier's answer");
        let source = match finding {
            Finding::NotSent | Finding::Doubtful { .. } => EvidenceSource::Link,
            _ => EvidenceSource::Response,
        };
        let id = format!("{request}:{number}:{}", charge.version);
        let evidence = Evidence { id, attempt: number, source, finding };
        self.settle(charge.reference, None, Happening::told(Event::Evidence(evidence), words)).await
    }

    /// Sends a request for a refund. `source` tells whether it is the first one of its name, or the same again.
    fn refund_at_carrier(self: &Arc<Self>, charge: Charge, reference: Reference, source: EvidenceSource) {
        let inner = self.clone();
        self.spawn(async move {
            let Some((carrier, refund)) = inner.refund_of(&charge, reference) else { return };
            fail_point!("gateway-before-refund");
            let (finding, words) = match carrier.reserve(PATIENCE, Urgency::Normal).await {
                Ok(slot) => {
                    let sent = if source == EvidenceSource::Repeat {
                        "carrier_resends_total"
                    } else {
                        "carrier_refunds_total"
                    };
                    counter!(sent, "carrier" => carrier.name().to_string()).increment(1);
                    record(carrier.refund(slot, &charge, refund)).await
                }
                Err(_) => (Finding::NotSent, None),
            };
            fail_point!("gateway-after-refund");
            let source = match finding {
                Finding::NotSent | Finding::Doubtful { .. } if source == EvidenceSource::Response => {
                    EvidenceSource::Link
                }
                _ => source,
            };
            let id = format!("refund:{reference}:{}", charge.version);
            let event = Event::RefundEvidence { refund: reference, id, source, finding };
            inner.hear_of_refund(&charge, event, words).await;
        });
    }

    /// Asks what became of a refund, unless the last such question is under way still.
    fn query_refund_once(self: &Arc<Self>, charge: Charge, reference: Reference) {
        let has_id = charge.refund(reference).is_some_and(|refund| refund.carrier_id.is_some());
        let Some(question) = self.asking.begin(About { reference, attempt: 0, has_id }) else { return };
        let inner = self.clone();
        self.spawn(async move {
            inner.ask_what_became_of(&charge, reference).await;
            drop(question);
        });
    }

    /// Asks what became of a refund now: there is news.
    pub(super) fn query_refund(self: &Arc<Self>, charge: Charge, reference: Reference) {
        let inner = self.clone();
        self.spawn(async move { inner.ask_what_became_of(&charge, reference).await });
    }

    async fn ask_what_became_of(self: &Arc<Self>, charge: &Charge, reference: Reference) {
        let Some((carrier, refund)) = self.refund_of(charge, reference) else { return };
        let Some(attempt) = charge.attempt_of(refund) else { return };
        let moment = self.clock.moment(attempt);
        let (Some(finding), words) = record(carrier.query_refund(charge, refund)).await else { return };
        if finding == Finding::Nothing {
            return;
        }
        let id = self.answer_id(&format!("refund-query:{reference}"), charge);
        let (source, finding) = (EvidenceSource::Query, moment.of_asking(finding));
        let event = Event::RefundEvidence { refund: reference, id, source, finding };
        self.hear_of_refund(charge, event, words).await;
    }

    async fn hear_of_refund(self: &Arc<Self>, charge: &Charge, event: Event, words: Option<String>) {
        debug!(charge = %charge.reference, ?event, "the carrier's answer about a refund");
        self.settle(charge.reference, None, Happening::told(event, words)).await;
    }

    /// A refund, and the carrier that took the money.
    pub(super) fn refund_of<'a>(
        &'a self,
        charge: &'a Charge,
        reference: Reference,
    ) -> Option<(&'a Carrier, &'a Refund)> {
        let refund = charge.refund(reference)?;
        Some((self.carriers.get(charge.carrier_of(refund)?)?, refund))
    }
}
