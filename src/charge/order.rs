use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    language::Language,
    money::{Money, Percentage},
    msisdn::Msisdn,
    transit::{VehicleCode, Zone},
};

/// The name of a charge, a refund or a message for life: a UUIDv7, so that names sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(Uuid);

impl Reference {
    /// A new name, made at `at` from ten bytes that nobody can guess.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Reference {
        let ms = u64::try_from(at.unix_ms()).unwrap_or(0);
        Reference(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
    }

    /// A name that follows from this one: the same each time, for what may be asked for twice but must exist once.
    pub fn derive(self, purpose: &str, number: u16) -> Reference {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        hash.update(number.to_be_bytes());
        hash.update(purpose.as_bytes());
        let mut bytes = *self.0.as_bytes();
        // The first six bytes are the time, by which names sort.
        bytes[6..].copy_from_slice(&hash.finalize()[..10]);
        Reference(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// From the sixteen bytes of [`Reference::as_bytes`].
    pub const fn from_bytes(bytes: [u8; 16]) -> Reference {
        Reference(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes, as in the ticket's `cti` and on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// As a UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Reference {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Reference, uuid::Error> {
        text.parse().map(Reference)
    }
}

/// The name of a carrier in the configuration, the store and the API: `beeline`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CarrierName(Arc<str>);

/// A text that cannot name a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} cannot name a carrier: use 1 to 32 small letters, digits, '-' or '_'")]
pub struct CarrierNameError(String);

impl CarrierName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CarrierName {
    type Err = CarrierNameError;

    fn from_str(text: &str) -> Result<CarrierName, CarrierNameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            Ok(CarrierName(text.into()))
        } else {
            Err(CarrierNameError(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for CarrierName {
    type Error = CarrierNameError;

    fn try_from(text: String) -> Result<CarrierName, CarrierNameError> {
        text.parse()
    }
}

impl From<CarrierName> for String {
    fn from(name: CarrierName) -> String {
        name.0.as_ref().into()
    }
}

impl fmt::Display for CarrierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CarrierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the purchase came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Channel {
    /// An SMS from the passenger, which came in through this carrier.
    Sms {
        /// The carrier on whose bind it came: the truth about where the number is today.
        carrier: CarrierName,
    },
    /// A request of the ticket service.
    Api {
        /// The caller's name in the configuration.
        caller: String,
    },
    /// A request of the ticket service for an SMS that it was handed. The passenger bought by SMS and is answered by SMS.
    ApiForSms {
        /// The caller's name in the configuration.
        caller: String,
        /// The carrier on whose bind the SMS came.
        carrier: CarrierName,
    },
}

impl Channel {
    /// The carrier on whose bind the passenger's SMS came: the truth about where the number is today. `None` for one who did
    /// not buy by SMS, and is not answered by SMS.
    pub const fn sms_carrier(&self) -> Option<&CarrierName> {
        match self {
            Channel::Sms { carrier } | Channel::ApiForSms { carrier, .. } => Some(carrier),
            Channel::Api { .. } => None,
        }
    }

    /// Who asked for the charge over the API: the caller's name in the configuration.
    pub fn caller(&self) -> Option<&str> {
        match self {
            Channel::Sms { .. } => None,
            Channel::Api { caller } | Channel::ApiForSms { caller, .. } => Some(caller),
        }
    }
}

/// A trip that the caller named, with its scheduled arrival at the terminus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// The caller's id of the trip.
    pub id: String,
    /// The scheduled arrival at the terminus.
    pub arrives_at: Timestamp,
    /// On a ring route, the scheduled end of the round that follows.
    pub next_arrives_at: Option<Timestamp>,
}

/// The purchase that this one adds passengers to (M13): `1234*2` after `1234`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extends {
    /// The charge that paid for the passengers before.
    pub reference: Reference,
    /// How many passengers had paid before this charge.
    pub passengers: u8,
    /// Until when the slot belonged to that charge; it goes back to it if this one comes to nothing.
    pub held_until: Timestamp,
}

/// What is bought, by whom, for how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The subscriber whose balance pays.
    pub msisdn: Msisdn,
    /// The vehicle, by the code on its sticker.
    pub vehicle: VehicleCode,
    /// The city's id in the catalogue.
    pub city: String,
    /// The route's id in the catalogue.
    pub route: String,
    /// The agency's id in the catalogue: whose revenue this is.
    pub agency: String,
    /// The fare class: `standard`, `express`, `concession`, …
    pub fare_class: String,
    /// How many passengers this charge pays for. With [`Order::extends`] these come on top.
    pub passengers: u8,
    /// The amount to take: the fare times the passengers.
    pub amount: Money,
    /// The zone that the fare goes to, on a route with zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// The trip, if the caller named one.
    pub trip: Option<Trip>,
    /// How it came in.
    pub channel: Channel,
    /// The language in which the passenger is answered.
    pub language: Language,
    /// The purchase that this one adds to.
    pub extends: Option<Extends>,
    /// When the request reached us; deadlines and the sale lock count from here.
    pub received_at: Timestamp,
}

/// What happens to money that was taken after the ticket deadline (M11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateSuccess {
    /// It goes back, and the passenger is told.
    Refund,
    /// The ticket is issued all the same, unless a newer purchase has taken its place.
    Ticket,
}

/// The terms under which a charge was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The moment by which the passenger must have the ticket (M11).
    pub ticket_deadline: Timestamp,
    /// What happens to money that was taken later.
    pub late_success: LateSuccess,
    /// The value-added tax that the fare includes.
    #[serde(default, skip_serializing_if = "Percentage::is_zero")]
    pub fare_vat: Percentage,
}

impl Terms {
    /// Terms without tax.
    pub const fn new(ticket_deadline: Timestamp, late_success: LateSuccess) -> Terms {
        Terms { ticket_deadline, late_success, fare_vat: Percentage::ZERO }
    }
}
