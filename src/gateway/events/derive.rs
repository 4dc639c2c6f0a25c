//! From an entry of the journal to its events: values in, values out.

use super::{Event, EventBreak, EventCharge, EventData, EventRefund, EventTicket, EventType, Fiscal};
use crate::{
    charge::Break,
    store::{EventPlace, JournalEntry, SettledEntry, Told, ToldRefund, ToldTicket},
};

/// The events of an entry, in order: where the charge went, its ticket, its refunds, what was found. The same each time; most entries
/// tell nothing. New kinds are added at the end, or the places of those that were told would change.
pub fn events_of(settled: &SettledEntry) -> Vec<Event> {
    let Told { ticket, ticket_revoked, refunds, breaks, .. } = &settled.entry.told;
    let entry = &settled.entry;
    let mut telling = Telling { settled, events: Vec::new() };
    if entry.from != Some(entry.to) {
        telling.moved();
    }
    ticket.iter().for_each(|ticket| telling.issued(ticket));
    if *ticket_revoked {
        telling.revoked();
    }
    refunds.iter().for_each(|refund| telling.refund(refund));
    breaks.iter().for_each(|found| telling.found(*found));
    telling.events
}

struct Telling<'a> {
    settled: &'a SettledEntry,
    events: Vec<Event>,
}

impl Telling<'_> {
    fn moved(&mut self) {
        let SettledEntry { entry, order, .. } = self.settled;
        let kind = EventType::of_state(entry.to);
        let sold = kind == EventType::ChargeCharged;
        let fiscal = if sold { Fiscal::sale(order, entry.told.seller.as_ref(), entry.at) } else { None };
        self.tell(kind, |data| data.fiscal = fiscal);
    }

    fn issued(&mut self, ticket: &ToldTicket) {
        let link = self.ticket_link();
        self.tell(EventType::TicketIssued, |data| {
            data.ticket = Some(EventTicket {
                link,
                short_code: Some(ticket.short_code.clone()),
                issued_at: Some(ticket.issued_at),
                expires_at: Some(ticket.expires_at),
                revoked_at: None,
            });
        });
    }

    fn revoked(&mut self) {
        let (link, at) = (self.ticket_link(), self.settled.entry.at);
        self.tell(EventType::TicketRevoked, |data| {
            data.ticket =
                Some(EventTicket { link, short_code: None, issued_at: None, expires_at: None, revoked_at: Some(at) });
        });
    }

    fn refund(&mut self, refund: &ToldRefund) {
        let SettledEntry { entry, order, .. } = self.settled;
        let kind = EventType::of_refund(refund.state);
        let gone_back = matches!(kind, EventType::RefundDone | EventType::RefundPaidOut);
        let seller = entry.told.seller.as_ref();
        let fiscal = if gone_back { Fiscal::sale_return(order, refund, seller, entry.at) } else { None };
        self.tell(kind, |data| {
            data.refund = Some(EventRefund {
                id: refund.reference,
                amount: refund.amount.into(),
                state: refund.state.public_code(),
                opened_at: refund.opened_at,
                carrier_id: refund.carrier_id.clone(),
                carrier: refund.carrier.clone(),
            });
            data.fiscal = fiscal;
        });
    }

    fn found(&mut self, found: Break) {
        self.tell(EventType::BreakOpened, |data| data.found = Some(EventBreak { kind: found.code() }));
    }

    fn ticket_link(&self) -> String {
        format!("/v1/tickets/{}", self.settled.entry.reference)
    }

    fn tell(&mut self, kind: EventType, with: impl FnOnce(&mut EventData)) {
        let entry = &self.settled.entry;
        // An entry has few events: each refund and each break of one step.
        let part = u8::try_from(self.events.len()).unwrap_or(u8::MAX - 1).min(u8::MAX - 1);
        let mut data = EventData { charge: self.charge(), ticket: None, refund: None, found: None, fiscal: None };
        with(&mut data);
        self.events.push(Event {
            // Not of the place alone: a database that is made anew counts its places from the beginning again.
            id: entry.reference.derive(&format!("event:{}:{kind}", entry.version), part.into()),
            cursor: EventPlace { entry: self.settled.place, part },
            kind,
            timestamp: entry.at,
            data,
        });
    }

    fn charge(&self) -> EventCharge {
        let SettledEntry { entry, order, .. } = self.settled;
        let JournalEntry { reference, version, from, to, told, .. } = entry;
        EventCharge {
            version: *version,
            state: to.code(),
            previous_state: from.map(|state| state.code()),
            reason: to.reason(),
            charged_at: told.charged_at,
            carrier: told.carrier.clone(),
            carrier_id: told.carrier_id.clone(),
            ..EventCharge::ordered(*reference, order)
        }
    }
}
