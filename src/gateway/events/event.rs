use serde::Serialize;
use utoipa::ToSchema;

use super::{EventType, Fiscal};
use crate::{
    charge::{CarrierName, Order, Reason, Reference},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
    passenger::Language,
    store::EventPlace,
    transit::{VehicleCode, Zone},
};

/// An event: something has become of a charge, its ticket or its refund. The same each time it is read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its name for life, by which repeats are told.
    #[schema(value_type = uuid::Uuid)]
    pub id: Reference,
    /// Its place among all events: whoever goes on after it misses nothing.
    #[schema(value_type = String, example = "1044-0")]
    pub cursor: EventPlace,
    /// What it tells.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "charge.charged")]
    pub kind: EventType,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// The charge as it was then, and what happened.
    pub data: EventData,
}

/// The charge as it was then, and what happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventData {
    /// The charge.
    #[serde(flatten)]
    pub charge: EventCharge,
    /// The ticket, in `ticket.issued` and `ticket.revoked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<EventTicket>,
    /// The refund, in `refund.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<EventRefund>,
    /// What differs, in `break.opened`.
    #[serde(rename = "break", skip_serializing_if = "Option::is_none")]
    pub found: Option<EventBreak>,
    /// What a fiscal receipt needs: in `charge.charged`, and in `refund.done` and `refund.paid_out` where a sale was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fiscal: Option<Fiscal>,
}

/// A charge as it was at the moment of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventCharge {
    /// Its name for life, and its ticket's.
    #[schema(value_type = uuid::Uuid)]
    pub reference: Reference,
    /// Counts its changes: of two events of one charge the one with the higher version tells the newer state.
    pub version: u32,
    /// Where it stood: `charged`.
    #[schema(example = "charged")]
    pub state: &'static str,
    /// Where it stood before; not in its first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_state: Option<&'static str>,
    /// Why it ended without money. A code of `docs/errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "insufficient_balance")]
    pub reason: Option<Reason>,
    /// What it takes for all its passengers.
    pub amount: EventAmount,
    /// The passengers that it pays for.
    pub passengers: u8,
    /// The charge that paid for the passengers before, if this one adds to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub adds_to: Option<Reference>,
    /// Whose balance pays, in E.164 and in full.
    #[schema(value_type = String, example = "+77051234567")]
    pub msisdn: Msisdn,
    /// The vehicle code.
    #[schema(value_type = String, example = "1234")]
    pub vehicle: VehicleCode,
    /// The city's id.
    pub city: String,
    /// The route's id.
    pub route: String,
    /// The agency's id.
    pub agency: String,
    /// The fare class.
    pub fare_class: String,
    /// The zone that was paid for, on a route with zones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>)]
    pub zone: Option<Zone>,
    /// The caller's id of the trip, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip: Option<String>,
    /// How it came in: `sms` or `api`.
    #[schema(example = "api")]
    pub channel: &'static str,
    /// Who asked for it over the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The language in which the passenger is answered.
    #[schema(value_type = String, example = "kk")]
    pub language: Language,
    /// When the request reached the gateway.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// When the money was known to be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub charged_at: Option<Timestamp>,
    /// The carrier that was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub carrier: Option<CarrierName>,
    /// The carrier's own id of the payment, where it has told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_id: Option<String>,
}

/// A sum of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventAmount {
    /// Minor units: tiyn for KZT, so 80 tenge are 8000.
    #[schema(example = 8000)]
    pub minor: i64,
    /// ISO 4217.
    #[schema(example = "KZT")]
    pub currency: &'static str,
    /// The same in major units, with two digits after the point: for people and for receipts.
    #[schema(example = "80.00")]
    pub decimal: String,
}

/// A ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventTicket {
    /// Where it can be fetched, in the form that `Accept` names.
    pub link: String,
    /// Eight characters for a plain phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_code: Option<String>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub issued_at: Option<Timestamp>,
    /// From then on it is no longer valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A refund as it was at the moment of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventRefund {
    /// Its name for life.
    #[schema(value_type = uuid::Uuid)]
    pub id: Reference,
    /// What goes back.
    pub amount: EventAmount,
    /// Where it stood: `processing`, `in_doubt`, `owed`, `done` or `paid_out`.
    #[schema(example = "done")]
    pub state: &'static str,
    /// When the obligation arose.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// The carrier's own id of it, where it has told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_id: Option<String>,
    /// The carrier that gives the money back, where it is not the one that was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub carrier: Option<CarrierName>,
}

/// A difference that somebody must look at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventBreak {
    /// What differs.
    #[schema(example = "charged_after_rejection")]
    pub kind: &'static str,
}

impl From<Money> for EventAmount {
    fn from(money: Money) -> EventAmount {
        let (sign, units) = (if money.minor < 0 { "-" } else { "" }, money.minor.unsigned_abs());
        let decimal = format!("{sign}{}.{:02}", units / 100, units % 100);
        EventAmount { minor: money.minor, currency: money.currency.code(), decimal }
    }
}

impl EventCharge {
    /// What a charge is from its opening on, with the rest still to be filled in.
    pub(super) fn ordered(reference: Reference, order: &Order) -> EventCharge {
        EventCharge {
            reference,
            version: 0,
            state: "",
            previous_state: None,
            reason: None,
            amount: order.amount.into(),
            passengers: order.passengers,
            adds_to: order.extends.as_ref().map(|extends| extends.reference),
            msisdn: order.msisdn,
            vehicle: order.vehicle,
            city: order.city.clone(),
            route: order.route.clone(),
            agency: order.agency.clone(),
            fare_class: order.fare_class.clone(),
            zone: order.zone,
            trip: order.trip.as_ref().map(|trip| trip.id.clone()),
            channel: if order.channel.caller().is_some() { "api" } else { "sms" },
            caller: order.channel.caller().map(str::to_owned),
            language: order.language,
            received_at: order.received_at,
            charged_at: None,
            carrier: None,
            carrier_id: None,
        }
    }
}
