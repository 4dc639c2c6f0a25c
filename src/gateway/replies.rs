//! What passengers are told, in their language.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use metrics::counter;

use super::{Inner, RefundTexts};
use crate::{
    carrier::Carrier,
    charge::{CarrierName, Charge, Effect, Notice, Reference, State},
    clock::Timestamp,
    passenger::{Language, Message, TicketText},
    process,
    store::{IncomingSms, MoAnswer, Outcome, OutgoingSms, StoreError, StoredTicket, Write},
    transit::Zone,
};

const HOUR: Duration = Duration::from_secs(3_600);

impl Inner {
    /// What a passenger is told of what has just happened to a charge. One who bought in an app reads it there; only what nobody
    /// expects any more is told by SMS as well: that money came late, and what becomes of it (M11).
    pub(super) fn messages(
        &self,
        charge: &Charge,
        effects: &[Effect],
        ticket: Option<&StoredTicket>,
    ) -> Vec<OutgoingSms> {
        let by_sms = charge.order.channel.sms_carrier().is_some();
        let is_told = |notice: &Notice| match notice {
            Notice::LateRefund | Notice::LateOwed | Notice::LateTicket | Notice::RefundOwed { unasked: true, .. } => {
                true
            }
            Notice::Refund { .. } | Notice::RefundOwed { unasked: false, .. } => match self.config.refund_texts {
                RefundTexts::BoughtBySms => by_sms,
                RefundTexts::Always => true,
                RefundTexts::Never => false,
            },
            Notice::Ticket | Notice::NotTaken { .. } => by_sms,
        };
        let notices = effects.iter().filter_map(|e| if let Effect::Tell(notice) = e { Some(*notice) } else { None });
        notices.filter(is_told).filter_map(|notice| self.message(charge, notice, ticket)).collect()
    }

    fn message(&self, charge: &Charge, notice: Notice, ticket: Option<&StoredTicket>) -> Option<OutgoingSms> {
        let Some(carrier) = self.texts_for(charge) else {
            counter!("messages_without_carrier_total").increment(1);
            return None;
        };
        let vehicle = charge.order.vehicle.as_str();
        let message = match notice {
            Notice::Ticket | Notice::LateTicket => Message::Ticket(self.ticket_text(charge, ticket?)),
            Notice::NotTaken { reason } => Message::Declined { reason, vehicle },
            Notice::LateRefund => Message::RefundedLate { vehicle, amount: charge.order.amount },
            Notice::LateOwed => Message::OwedLate { vehicle, amount: charge.order.amount },
            Notice::Refund { amount, whole } => Message::Refund { vehicle, amount, whole },
            Notice::RefundOwed { amount, .. } => Message::RefundOwed { vehicle, amount },
        };
        let text = self.books.load().texts.render(charge.order.language, &message);
        let now = charge.updated_at;
        Some(OutgoingSms {
            id: Reference::new(now, process::random()),
            reference: Some(charge.reference),
            carrier: carrier.name().clone(),
            msisdn: charge.order.msisdn,
            text,
            ticket: matches!(notice, Notice::Ticket | Notice::LateTicket),
            created_at: now,
            expires_at: self.worth_until(now, ticket),
        })
    }

    /// Who can write to the passenger: the carrier that had the charge, else the one whose message asked for it, else the number's
    /// by what is known of it.
    fn texts_for(&self, charge: &Charge) -> Option<&Carrier> {
        let attempted = charge.last_attempt().map(|attempt| attempt.carrier.clone());
        let asked = charge.order.channel.sms_carrier().cloned();
        let by_number = || self.routing.route(charge.order.msisdn).map(|route| route.carrier);
        let can_text = |name: CarrierName| self.carriers.get(&name).filter(|carrier| carrier.can_text());
        attempted.and_then(can_text).or_else(|| asked.and_then(can_text)).or_else(|| by_number().and_then(can_text))
    }

    /// The text that the phone shows for the charged message: neutral, no ticket in it, because the money may still be refused.
    pub(super) fn charged_text(&self, charge: &Charge) -> String {
        let message = Message::ChargedMt { vehicle: charge.order.vehicle.as_str(), amount: charge.order.amount };
        self.books.load().texts.render(charge.order.language, &message)
    }

    /// Answers a message from a passenger without a charge. Answer, and the fact that there is one, are durable together.
    pub(super) async fn reply(self: &Arc<Self>, sms: &IncomingSms, replies: &[Message<'_>]) -> Result<(), StoreError> {
        let answer = self.answer_with(sms, replies).await?;
        self.write_answer(answer).await.map(drop)
    }

    /// The answer to a message, as it may be written.
    pub(super) async fn answer_with(&self, sms: &IncomingSms, replies: &[Message<'_>]) -> Result<MoAnswer, StoreError> {
        let language = self.language_of(sms).await?;
        let now = self.now();
        let texts = &self.books.load().texts;
        let sent = self.store.messages_since(sms.msisdn, now.minus(HOUR)).await?;
        // Two machines that answer each other must not do so for ever.
        let over_cap = sent >= self.config.replies_per_hour_max;
        if over_cap && !replies.is_empty() {
            counter!("sms_replies_capped_total", "carrier" => sms.carrier.to_string()).increment(1);
        }
        let asks_again =
            replies.iter().any(|reply| matches!(reply, Message::NotChargedSendAgain { .. } | Message::NotSold { .. }));
        let replies = if over_cap { &[] } else { replies };
        let message = |reply: &Message<'_>| OutgoingSms {
            id: Reference::new(now, process::random()),
            reference: None,
            carrier: sms.carrier.clone(),
            msisdn: sms.msisdn,
            text: texts.render(language, reply),
            ticket: matches!(reply, Message::Ticket(_) | Message::TicketRepeat(_)),
            created_at: now,
            expires_at: self.worth_until(now, None),
        };
        let messages = replies.iter().map(message).collect();
        Ok(MoAnswer { mo: sms.id, at: now, messages, asks_again })
    }

    /// Writes an answer and sends it. `false` if the message has another: by the sweep, by the one whom the sweep thought to be
    /// slow, or by a charge.
    pub(super) async fn write_answer(self: &Arc<Self>, answer: MoAnswer) -> Result<bool, StoreError> {
        let is_first = self.writer.write(Write::AnswerMo(answer.clone())).await? == Outcome::Done;
        if is_first {
            self.queue_messages(&answer.messages);
        }
        Ok(is_first)
    }

    /// The answer to one who has bought here already: the tickets again, or that the charge is under way. Nothing more is charged
    /// for those who have paid, whatever zone is named now.
    pub(super) async fn answer_to_repeat(
        &self,
        sms: &IncomingSms,
        charge: &Charge,
        zone: Option<Zone>,
    ) -> Result<MoAnswer, StoreError> {
        let vehicle = charge.order.vehicle.as_str();
        if charge.state != State::Charged {
            return self.answer_with(sms, &[Message::Processing { vehicle }]).await;
        }
        let references = self.paid_together(charge).await?;
        let other = charge.order.zone.filter(|paid| zone != Some(*paid));
        let before = other.map(|zone| Message::OtherZone { vehicle, zone });
        self.answer_with_tickets(sms, before, &references).await
    }

    /// Answers with tickets that exist; with "no ticket" if there is none.
    pub(super) async fn reply_with_tickets(
        self: &Arc<Self>,
        sms: &IncomingSms,
        references: &[Reference],
    ) -> Result<(), StoreError> {
        let answer = self.answer_with_tickets(sms, None, references).await?;
        self.write_answer(answer).await.map(drop)
    }

    async fn answer_with_tickets(
        &self,
        sms: &IncomingSms,
        before: Option<Message<'_>>,
        references: &[Reference],
    ) -> Result<MoAnswer, StoreError> {
        let mut found = Vec::new();
        for reference in references {
            if let (Some(charge), Some(ticket)) =
                (self.store.charge(*reference).await?, self.store.ticket(*reference).await?)
            {
                found.push((charge, ticket));
            }
        }
        if found.is_empty() {
            return self.answer_with(sms, &[Message::NoTicket]).await;
        }
        let tickets = found.iter().map(|(charge, ticket)| Message::TicketRepeat(self.ticket_text(charge, ticket)));
        let replies: Vec<Message<'_>> = before.into_iter().chain(tickets).collect();
        self.answer_with(sms, &replies).await
    }

    /// The charges whose passengers ride together: this one, and those that it adds to.
    async fn paid_together(&self, newest: &Charge) -> Result<Vec<Reference>, StoreError> {
        let mut references = vec![newest.reference];
        let mut extends = newest.order.extends.clone();
        // Each adds at least one passenger, so there are no more than passengers.
        while let Some(before) = extends.take()
            && references.len() < usize::from(self.config.passengers_max)
        {
            references.push(before.reference);
            extends = self.store.charge(before.reference).await?.and_then(|charge| charge.order.extends);
        }
        Ok(references)
    }

    async fn language_of(&self, sms: &IncomingSms) -> Result<Language, StoreError> {
        let default = self.carriers.get(&sms.carrier).map_or(Language::Ru, |carrier| carrier.config().language);
        Ok(self.store.language(sms.msisdn).await?.unwrap_or(default))
    }

    fn ticket_text<'a>(&self, charge: &'a Charge, ticket: &'a StoredTicket) -> TicketText<'a> {
        let books = self.books.load();
        let zone = books.catalogue.city(&charge.order.city).map_or(TimeZone::UTC, |city| city.time_zone.clone());
        TicketText {
            code: &ticket.short_code,
            vehicle: charge.order.vehicle.as_str(),
            route: &charge.order.route,
            passengers: charge.order.passengers,
            amount: charge.order.amount,
            valid_until: ticket.expires_at.zoned(&zone).time(),
        }
    }

    fn worth_until(&self, now: Timestamp, ticket: Option<&StoredTicket>) -> Timestamp {
        ticket.map_or_else(|| now.plus(Duration::from_secs(self.config.reply_ttl_seconds)), |ticket| ticket.expires_at)
    }
}
