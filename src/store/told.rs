use serde::{Deserialize, Serialize};

use super::StoredTicket;
use crate::{
    charge::{Break, CarrierName, Charge, Effect, Order, Reference, Refund, RefundState},
    clock::Timestamp,
    ledger::sale_returns,
    money::{Money, Percentage},
};

/// What an entry of the journal tells those who follow the events, beside where the charge went: as it was at that moment, because a
/// charge that is read later has moved on. The order and the terms of a charge never change and are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The carrier of the newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<CarrierName>,
    /// The carrier's own id of the payment, where it has told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_id: Option<String>,
    /// When the money was known to be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_at: Option<Timestamp>,
    /// The ticket that was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<ToldTicket>,
    /// Whether the ticket ceased to be valid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ticket_revoked: bool,
    /// The refunds that are new, or stand elsewhere than before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<ToldRefund>,
    /// The differences that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<Break>,
    /// Who sold it, where something was sold or a sale was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seller: Option<ToldSeller>,
}

/// A ticket that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTicket {
    /// The code for a plain phone.
    pub short_code: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

/// A refund, as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldRefund {
    /// Its name for life.
    pub reference: Reference,
    /// What goes back.
    pub amount: Money,
    /// What became of it.
    pub state: RefundState,
    /// Whether a sale is given back. Not where the money came too late, or for an attempt that had been decided as not happened:
    /// then no ticket was ever issued for it.
    pub of_sale: bool,
    /// The value-added tax in it, in minor units, as the books have it: all that goes back of a sale adds up to the tax of the sale.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vat_minor: i64,
    /// When the obligation arose.
    pub opened_at: Timestamp,
    /// The carrier's own id of the refund, if it has told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_id: Option<String>,
    /// The carrier that took the money, where it is not that of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<CarrierName>,
}

/// The agency that sold, as the catalogue had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldSeller {
    /// Its name.
    pub name: String,
    /// Its number with the tax authority, where the catalogue knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    /// The time zone of the city, by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The value-added tax that the fare includes.
    #[serde(default, skip_serializing_if = "Percentage::is_zero")]
    pub fare_vat: Percentage,
}

impl Told {
    /// What the step from `before` to `after` tells. Nothing if neither the charge nor a refund stands elsewhere and nothing else
    /// happened that concerns others. [`Told::seller`] is left to whoever knows the catalogue.
    pub fn of(before: &Charge, after: &Charge, effects: &[Effect], ticket: Option<&StoredTicket>) -> Told {
        let breaks = effects.iter().filter_map(|e| if let Effect::RaiseBreak(found) = e { Some(*found) } else { None });
        let told = Told {
            ticket: ticket.map(ToldTicket::of),
            ticket_revoked: effects.contains(&Effect::RevokeTicket),
            refunds: after.refunds.iter().filter_map(|refund| ToldRefund::if_new(before, after, refund)).collect(),
            breaks: breaks.collect(),
            ..Told::default()
        };
        if before.state == after.state && told.is_empty() {
            return told;
        }
        let attempt = after.last_attempt();
        Told {
            carrier: attempt.map(|attempt| attempt.carrier.clone()),
            carrier_id: attempt.and_then(|attempt| attempt.carrier_id.clone()),
            charged_at: after.charged_at,
            ..told
        }
    }

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        *self == Told::default()
    }

    /// Whether something was sold by it, or a sale was given back: then the seller belongs to it.
    pub fn wants_seller(&self) -> bool {
        self.ticket.is_some() || self.refunds.iter().any(|refund| refund.of_sale && refund.went_back())
    }
}

impl ToldTicket {
    fn of(ticket: &StoredTicket) -> ToldTicket {
        ToldTicket { short_code: ticket.short_code.clone(), issued_at: ticket.issued_at, expires_at: ticket.expires_at }
    }
}

impl ToldRefund {
    /// Whether the passenger has the money, from whomever.
    pub const fn went_back(&self) -> bool {
        matches!(self.state, RefundState::Done | RefundState::PaidOut)
    }

    fn if_new(before: &Charge, after: &Charge, refund: &Refund) -> Option<ToldRefund> {
        let known = before.refunds.iter().find(|known| known.reference == refund.reference);
        if known.is_some_and(|known| known.state.public_code() == refund.state.public_code()) {
            return None;
        }
        let paid_by = refund.attempt.and_then(|number| after.attempt(number));
        Some(ToldRefund {
            reference: refund.reference,
            amount: refund.amount,
            state: refund.state,
            of_sale: refund.attempt.is_none() && refund.reference != after.late_refund(),
            vat_minor: sale_returns(after)
                .find(|(known, _)| known.reference == refund.reference)
                .map_or(0, |(_, vat)| vat),
            opened_at: refund.opened_at,
            carrier_id: refund.carrier_id.clone(),
            carrier: paid_by.map(|attempt| attempt.carrier.clone()),
        })
    }
}

const fn is_zero(minor: &i64) -> bool {
    *minor == 0
}

/// An entry of the journal at its place, with what was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledEntry {
    /// Its place: 1 or more, and higher than that of every entry that was settled before.
    pub place: u64,
    /// The entry.
    pub entry: super::JournalEntry,
    /// What the charge ordered; it never changes.
    pub order: Order,
}
