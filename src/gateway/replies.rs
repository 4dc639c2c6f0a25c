//! What passengers are told, in their language.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use metrics::counter;

use super::Inner;
use crate::{
    charge::{Charge, Effect, Notice, Reference},
    clock::Timestamp,
    passenger::{Language, Message, TicketText},
    store::{IncomingSms, MoAnswer, Outcome, OutgoingSms, StoreError, StoredTicket, Write},
};

const HOUR: Duration = Duration::from_secs(3_600);

impl Inner {
    /// What a passenger is told of what has just happened to a charge. One who bought in an app reads it there; only that
    /// money goes back is told by SMS as well.
    pub(super) fn messages(
        &self,
        charge: &Charge,
        effects: &[Effect],
        ticket: Option<&StoredTicket>,
    ) -> Vec<OutgoingSms> {
        let by_sms = charge.order.channel.sms_carrier().is_some();
        let notices = effects.iter().filter_map(|e| if let Effect::Tell(notice) = e { Some(*notice) } else { None });
        notices
            .filter(|notice| by_sms || *notice == Notice::LateRefund)
            .filter_map(|notice| self.message(charge, notice, ticket))
            .collect()
    }

    fn message(&self, charge: &Charge, notice: Notice, ticket: Option<&StoredTicket>) -> Option<OutgoingSms> {
        let vehicle = charge.order.vehicle.as_str();
        let message = match notice {
            Notice::Ticket => Message::Ticket(self.ticket_text(charge, ticket?)),
            Notice::NotTaken { reason } => Message::Declined { reason, vehicle },
            Notice::LateRefund => Message::RefundedLate { vehicle, amount: charge.order.amount },
        };
        let text = self.books.load().texts.render(charge.order.language, &message);
        let now = charge.updated_at;
        Some(OutgoingSms {
            id: Reference::new(now, rand::random()),
            reference: Some(charge.reference),
            carrier: self.carrier_for(charge)?.name().clone(),
            msisdn: charge.order.msisdn,
            text,
            ticket: notice == Notice::Ticket,
            created_at: now,
            expires_at: self.worth_until(now, ticket),
        })
    }

    /// The text that the phone shows for the charged message: neutral, no ticket in it, because the money may still be refused.
    pub(super) fn charged_text(&self, charge: &Charge) -> String {
        let message = Message::ChargedMt { vehicle: charge.order.vehicle.as_str(), amount: charge.order.amount };
        self.books.load().texts.render(charge.order.language, &message)
    }

    /// Answers a message from a passenger without a charge. Answer, and the fact that there is one, are durable together.
    pub(super) async fn reply(self: &Arc<Self>, sms: &IncomingSms, replies: &[Message<'_>]) -> Result<(), StoreError> {
        let language = self.language_of(sms).await?;
        let now = self.now();
        let texts = &self.books.load().texts;
        let sent = self.store.messages_since(sms.msisdn, now.minus(HOUR)).await?;
        // Two machines that answer each other must not do so for ever.
        let over_cap = sent >= self.config.replies_per_hour_max;
        if over_cap && !replies.is_empty() {
            counter!("sms_replies_capped_total", "carrier" => sms.carrier.to_string()).increment(1);
        }
        let asks_again = replies.iter().any(|reply| matches!(reply, Message::NotChargedSendAgain { .. }));
        let replies = if over_cap { &[] } else { replies };
        let message = |reply: &Message<'_>| OutgoingSms {
            id: Reference::new(now, rand::random()),
            reference: None,
            carrier: sms.carrier.clone(),
            msisdn: sms.msisdn,
            text: texts.render(language, reply),
            ticket: matches!(reply, Message::Ticket(_) | Message::TicketRepeat(_)),
            created_at: now,
            expires_at: self.worth_until(now, None),
        };
        let messages = replies.iter().map(message).collect();
        let answer = MoAnswer { mo: sms.id, at: now, messages, asks_again };
        // Answered in the meantime: by the sweep, or by the one whom the sweep thought to be slow.
        if self.writer.write(Write::AnswerMo(answer.clone())).await? == Outcome::Done {
            self.queue_messages(&answer.messages);
        }
        Ok(())
    }

    /// Answers with tickets that exist; with "no ticket" if there is none.
    pub(super) async fn reply_with_tickets(
        self: &Arc<Self>,
        sms: &IncomingSms,
        references: &[Reference],
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for reference in references {
            if let (Some(charge), Some(ticket)) =
                (self.store.charge(*reference).await?, self.store.ticket(*reference).await?)
            {
                found.push((charge, ticket));
            }
        }
        let replies: Vec<Message<'_>> =
            found.iter().map(|(charge, ticket)| Message::TicketRepeat(self.ticket_text(charge, ticket))).collect();
        self.reply(sms, if replies.is_empty() { &[Message::NoTicket] } else { &replies }).await
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
