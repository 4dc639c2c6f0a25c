//! What carriers say without being asked: messages from passengers, receipts, late answers.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use fail::fail_point;
use metrics::counter;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    Inner, Purchase, PurchaseError, Purchased,
    apply::Happening,
    backlog::{Arrival, Backlog},
    opening::reason_of,
};
use crate::{
    carrier::{Ack, Carrier, CarrierEvent, PurchaseMode},
    charge::{CarrierName, Channel, Reason, Reference},
    msisdn::Msisdn,
    passenger::{self, Command, MO_PARTS_MAX, Message, MoPart},
    process,
    store::{IncomingSms, KeyGuard, MoKind, Outcome, StoreError, TicketFilter, Write},
    transit::{VehicleName, Zone},
};

/// Who the idempotency keys of messages belong to.
const SMS_CALLER: &str = "sms";
/// Messages that an earlier process left unanswered, taken up at once.
const WAITING_MAX: u32 = 256;
/// Tickets sent again on one request.
const TICKETS_AGAIN_MAX: u32 = 3;

impl Inner {
    /// Listens to a carrier until its link ends or the gateway stops. Each event is worked on in a task of its own, so that
    /// a slow one does not hold up the rest; how many wait to be acknowledged the link bounds, and how many are being answered
    /// [`Inner::answering`].
    pub(super) async fn listen(self: Arc<Self>, carrier: Carrier, mut events: mpsc::Receiver<CarrierEvent>) {
        while let Some(event) = events.recv().await {
            let inner = self.clone();
            match event {
                CarrierEvent::Late { reference, event, words } => {
                    self.spawn(async move {
                        info!(charge = %reference, evidence = event.evidence_id(), "a late answer");
                        inner.settle(reference, None, Happening::told(event, words)).await;
                    });
                }
                CarrierEvent::Receipt { receipt, ack } => {
                    self.spawn(async move { inner.take_receipt(receipt, ack).await });
                }
                CarrierEvent::Mo { msisdn, destination, text, part, ack } => {
                    let name = carrier.name().clone();
                    self.spawn(async move {
                        let sms = inner.incoming(name, msisdn, destination, text, part);
                        inner.take_mo(sms, ack).await;
                    });
                }
            }
        }
    }

    fn incoming(
        &self,
        carrier: CarrierName,
        msisdn: Msisdn,
        destination: String,
        text: String,
        part: Option<MoPart>,
    ) -> IncomingSms {
        let now = self.now();
        let fingerprint = fingerprint(&carrier, msisdn, &destination, &text, part);
        let arrival = self.backlog(&carrier).map(|backlog| backlog.arrives(&fingerprint, now));
        let Arrival { received_at, kind } = arrival.unwrap_or(Arrival { received_at: now, kind: MoKind::Prompt });
        // The only part of a message is the message.
        let part = part.filter(|part| part.total > 1);
        let mut same_for = Duration::from_secs(self.config.mo_repeat_seconds);
        if part.is_some() {
            same_for = same_for.max(self.parts_window());
        }
        let sms = IncomingSms {
            id: Reference::new(now, process::random()),
            carrier,
            msisdn,
            destination,
            text,
            part,
            kind,
            fingerprint,
            received_at,
            kept_at: now,
            same_since: now.minus(same_for),
        };
        if part.is_some_and(|part| part.total > MO_PARTS_MAX) { too_long(sms) } else { sms }
    }

    /// Durable first, acknowledged then. What cannot be kept is not acknowledged, and the carrier delivers it again.
    async fn take_mo(self: &Arc<Self>, sms: IncomingSms, ack: Ack) {
        let count = |name: &'static str| counter!(name, "carrier" => sms.carrier.to_string()).increment(1);
        let outcome = match self.keep_mo(sms.clone()).await {
            Ok(outcome) => outcome,
            Err(error) => {
                warn!(%error, "a message cannot be kept now; the carrier is asked to send it again");
                count("mo_put_off_total");
                self.backlog(&sms.carrier).iter_mut().for_each(|backlog| backlog.put_off(sms.fingerprint, sms.kept_at));
                return drop(ack);
            }
        };
        fail_point!("gateway-after-mo-kept");
        ack.accept();
        self.heard_from(sms.msisdn, &sms.carrier, sms.kept_at);
        self.backlog(&sms.carrier).iter_mut().for_each(|backlog| backlog.kept(&sms.fingerprint, self.now()));
        match outcome {
            (kept, Outcome::MoKept) => {
                count("mo_received_total");
                // Without a place it waits for the sweep.
                if let Ok(_place) = self.answering.try_acquire() {
                    self.answer(kept).await;
                }
            }
            (_, Outcome::PartKept { parts }) => {
                count("mo_parts_total");
                self.join_parts(parts).await;
            }
            _ => count("mo_repeated_total"),
        }
    }

    /// The message as it was kept, and what came of it.
    async fn keep_mo(&self, sms: IncomingSms) -> Result<(IncomingSms, Outcome), StoreError> {
        match self.writer.write(Write::KeepMo(sms.clone())).await? {
            Outcome::TooManyParts => {
                let sms = too_long(sms);
                let outcome = self.writer.write(Write::KeepMo(sms.clone())).await?;
                Ok((sms, outcome))
            }
            outcome => Ok((sms, outcome)),
        }
    }

    /// What is remembered of a carrier's messages; it has a place from the start.
    pub(super) fn backlog(&self, carrier: &CarrierName) -> Option<MutexGuard<'_, Backlog>> {
        self.backlogs.get(carrier).map(|backlog| backlog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Messages that were kept and not answered: an earlier process ended, or the gateway was overloaded.
    pub(super) async fn answer_waiting_mos(self: &Arc<Self>) -> Result<(), StoreError> {
        let patience = Duration::from_secs(5);
        for sms in self.store.unanswered_mos(WAITING_MAX).await? {
            // A younger one is most likely being answered right now.
            if self.now().since(sms.kept_at) >= patience {
                self.answer(sms).await;
            }
        }
        Ok(())
    }

    /// Answers a message that is kept. What fails leaves it unanswered, and the sweep takes it up again.
    pub(super) async fn answer(self: &Arc<Self>, sms: IncomingSms) {
        if let Err(error) = self.try_answer(&sms).await {
            warn!(mo = %sms.id, msisdn = sms.msisdn.masked(), %error, "a message is not answered yet");
        }
    }

    async fn try_answer(self: &Arc<Self>, sms: &IncomingSms) -> Result<(), StoreError> {
        match sms.kind {
            MoKind::Prompt => {}
            MoKind::Late => counter!("mo_backlog_total", "carrier" => sms.carrier.to_string()).increment(1),
            MoKind::Incomplete => return self.reply(sms, &[Message::Incomplete]).await,
            MoKind::TooLong => {
                counter!("mo_unreadable_total", "carrier" => sms.carrier.to_string()).increment(1);
                return self.reply(sms, &[Message::WrongCode]).await;
            }
        }
        match passenger::parse(&sms.text, self.config.passengers_max) {
            Ok(Command::Buy { vehicle, zone, passengers }) => self.buy(sms, &vehicle, zone, passengers).await,
            Ok(Command::SetLanguage(language)) => {
                self.writer.write(Write::SetLanguage { msisdn: sms.msisdn, language }).await?;
                self.reply(sms, &[Message::LanguageSet]).await
            }
            Ok(Command::RepeatTicket) => {
                let tickets =
                    self.store.tickets(sms.msisdn, TicketFilter::Active, self.now(), TICKETS_AGAIN_MAX).await?;
                let references: Vec<Reference> = tickets.iter().map(|ticket| ticket.reference).collect();
                self.reply_with_tickets(sms, &references).await
            }
            Ok(Command::Help) => self.reply(sms, &[Message::Help]).await,
            Err(error) => {
                counter!("mo_unreadable_total", "carrier" => sms.carrier.to_string()).increment(1);
                info!(mo = %sms.id, %error, "a message that is no command");
                self.reply(sms, &[error.reply()]).await
            }
        }
    }

    async fn buy(
        self: &Arc<Self>,
        sms: &IncomingSms,
        name: &VehicleName,
        zone: Option<Zone>,
        passengers: u8,
    ) -> Result<(), StoreError> {
        let wanted = name.as_str();
        // Past its ticket deadline nothing could be sent for it any more.
        let fresh_for = Duration::from_secs(self.config.mo_stale_seconds).min(self.config.ticket_deadline());
        if sms.kind == MoKind::Late || self.now().since(sms.received_at) > fresh_for {
            counter!("mo_stale_total", "carrier" => sms.carrier.to_string()).increment(1);
            return self.reply(sms, &[Message::NotChargedSendAgain { vehicle: wanted }]).await;
        }
        let books = self.books.load_full();
        let declined = |reason| Message::Declined { reason, vehicle: wanted };
        let Some(vehicle) = books.catalogue.named(name) else {
            counter!("mo_wrong_code_total", "carrier" => sms.carrier.to_string()).increment(1);
            return self.reply(sms, &[declined(Reason::UnknownVehicle)]).await;
        };
        if let Some(webhook) = &self.mo_webhook
            && self.carriers.get(&sms.carrier).is_some_and(|c| c.config().purchase == PurchaseMode::Webhook)
        {
            // What nobody can buy is said at once, by whoever knows it.
            let route = &vehicle.route;
            return match books.catalogue.fare_on(route, &route.fare_class, zone, sms.received_at) {
                Ok(_) => self.hand_over(webhook, sms).await,
                Err(why) => self.reply(sms, &[declined(reason_of(why))]).await,
            };
        }
        let purchase = Purchase {
            msisdn: sms.msisdn,
            vehicle: vehicle.code,
            passengers,
            zone,
            fare_class: None,
            trip: None,
            channel: Channel::Sms { carrier: sms.carrier.clone() },
            language: None,
            guard: KeyGuard { caller: SMS_CALLER.into(), key: sms.id.to_string(), body_sha256: sms.fingerprint },
            mo: Some(sms.id),
            received_at: sms.received_at,
        };
        match self.purchase(purchase).await {
            // Committed with the charge: that the message is answered, and what the passenger is told in the end.
            Ok(Purchased::New(_) | Purchased::Replayed { repeat: false, .. }) => Ok(()),
            // A repeat is answered apart from its key; a process can have ended between the two.
            Ok(Purchased::Repeat(charge) | Purchased::Replayed { charge, .. }) => {
                let answer = self.answer_to_repeat(sms, &charge, zone).await?;
                self.write_answer(answer).await.map(drop)
            }
            Err(PurchaseError::Impossible(reason)) => self.reply(sms, &[declined(reason)]).await,
            Err(PurchaseError::Passengers { max }) => {
                self.reply(sms, &[Message::TooManyPassengers { passengers_max: max }]).await
            }
            Err(PurchaseError::NoSigningKey) => self.reply(sms, &[declined(Reason::CarrierUnavailable)]).await,
            // The key is the message's own id, so this is the same message: it has its answer.
            Err(PurchaseError::KeyConflict(_) | PurchaseError::AnotherNumber) => self.reply(sms, &[]).await,
            // Somebody else was faster.
            Err(PurchaseError::MoAnswered) => Ok(()),
            Err(PurchaseError::Store(error)) => Err(error),
            // It stays unanswered, and is taken up again or told that it came too late.
            Err(
                PurchaseError::Overloaded
                | PurchaseError::Stopping
                | PurchaseError::Unknown
                | PurchaseError::Restored { .. },
            ) => Ok(()),
        }
    }
}

/// What makes two deliveries one message: never the sequence number, which is another each time.
pub(super) fn fingerprint(
    carrier: &CarrierName,
    msisdn: Msisdn,
    destination: &str,
    text: &str,
    part: Option<MoPart>,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    let place = part.map_or_else(String::new, |part| format!("{part:?}"));
    for field in [carrier.as_str(), &msisdn.to_string(), destination, text, &place] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().into()
}

/// A part of a message that is not put together. All parts of that message are one message, which is answered once.
fn too_long(sms: IncomingSms) -> IncomingSms {
    let place = sms.part.map(|part| MoPart { number: 0, ..part });
    let fingerprint = fingerprint(&sms.carrier, sms.msisdn, &sms.destination, "", place);
    IncomingSms { part: None, kind: MoKind::TooLong, fingerprint, ..sms }
}
