use thiserror::Error;
use uuid::Uuid;

use super::{
    cbor::{CborError, Reader, Writer},
    contents::{ContentsError, TicketContents, seconds},
    cose::{self, CoseError, Kid, Protected, Sign1},
};
use crate::{
    clock::Timestamp,
    money::{Currency, Money},
};

const CLAIM_ISS: i64 = 1;
const CLAIM_EXP: i64 = 4;
const CLAIM_NBF: i64 = 5;
const CLAIM_IAT: i64 = 6;
const CLAIM_CTI: i64 = 7;
/// The private claim that holds what is ours: the first free label below the private-use bound of −65536 (RFC 8392).
const CLAIM_TICKET: i64 = -65_537;

const FARE_CLASS: i64 = 1;
const PASSENGERS: i64 = 2;
const AMOUNT: i64 = 3;
/// ISO 4217's number; left out for KZT.
const CURRENCY: i64 = 4;
const CITY: i64 = 5;
const VEHICLE: i64 = 6;
const ROUTE: i64 = 7;
/// Left out where no trip is known.
const TRIP: i64 = 8;
const MSISDN_TAG: i64 = 9;

/// A ticket as it is stored, sent and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTicket {
    /// What was signed, times in whole seconds.
    pub contents: TicketContents,
    /// Which key signed it.
    pub kid: Kid,
    /// The tagged COSE_Sign1: at most [`super::qr::COSE_BYTES_MAX`] bytes.
    pub cose: Vec<u8>,
}

/// Why bytes are no ticket. Nothing here says anything about the signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The envelope.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The claims; offsets count from the start of the payload.
    #[error("the claims cannot be read: {0}")]
    Claims(CborError),
    /// A claim that must be there is not.
    #[error("the ticket lacks {0}")]
    Missing(&'static str),
    /// A currency that we don't know, by its ISO 4217 number.
    #[error("unknown currency number {0}")]
    UnknownCurrency(u16),
    /// It could be read, but no ticket says that.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// More bytes than any ticket has.
    #[error("{0} bytes are more than a ticket has")]
    TooLong(usize),
}

impl From<CborError> for DecodeError {
    fn from(error: CborError) -> DecodeError {
        DecodeError::Claims(error)
    }
}

/// `contents` signed by `key`. The same contents and key give the same bytes. Errors: [`TicketContents::check`].
///
/// Whether the key may sign at that moment is the [`super::Keyring`]'s business.
pub fn sign(contents: &TicketContents, key: &ed25519_dalek::SigningKey) -> Result<SignedTicket, ContentsError> {
    let kid = Kid::of(&key.verifying_key());
    sign_as(contents, key, kid)
}

pub(super) fn sign_as(
    contents: &TicketContents,
    key: &ed25519_dalek::SigningKey,
    kid: Kid,
) -> Result<SignedTicket, ContentsError> {
    contents.check()?;
    let protected = Protected { kid, content_type: None, lifetime: None };
    let cose = cose::sign(key, &protected, &encode_claims(contents)?);
    Ok(SignedTicket { contents: contents.to_whole_seconds(), kid, cose })
}

/// A ticket that was read; its signature is not verified yet.
pub(super) struct Unverified<'a> {
    pub(super) contents: TicketContents,
    pub(super) kid: Kid,
    pub(super) message: Sign1<'a>,
}

/// Reads a ticket, and says nothing of its signature: use [`super::Verifier`] for that.
pub fn decode_unverified(cose: &[u8]) -> Result<TicketContents, DecodeError> {
    read(cose).map(|unverified| unverified.contents)
}

pub(super) fn read(cose: &[u8]) -> Result<Unverified<'_>, DecodeError> {
    if cose.len() > BYTES_READ_MAX {
        return Err(DecodeError::TooLong(cose.len()));
    }
    let message = Sign1::read(cose, None)?;
    let contents = decode_claims(message.payload)?;
    contents.check()?;
    Ok(Unverified { contents, kid: message.protected.kid, message })
}

/// More than today's tickets take, so that a later version may add claims; bounded all the same.
const BYTES_READ_MAX: usize = 512;

fn encode_claims(contents: &TicketContents) -> Result<Vec<u8>, ContentsError> {
    let mut out = Writer::with_capacity(128);
    out.map(6);
    out.int(CLAIM_ISS).text(&contents.issuer);
    out.int(CLAIM_EXP).int(seconds("expires_at", contents.expires_at)?.into());
    out.int(CLAIM_NBF).int(seconds("not_before", contents.not_before)?.into());
    out.int(CLAIM_IAT).int(seconds("issued_at", contents.issued_at)?.into());
    out.int(CLAIM_CTI).bytes(contents.reference.as_bytes());

    let foreign = contents.amount.currency != Currency::Kzt;
    out.int(CLAIM_TICKET).map(7 + usize::from(foreign) + usize::from(contents.trip.is_some()));
    out.int(FARE_CLASS).text(&contents.fare_class);
    out.int(PASSENGERS).int(contents.passengers.into());
    out.int(AMOUNT).int(contents.amount.minor);
    if foreign {
        out.int(CURRENCY).int(currency_number(contents.amount.currency).into());
    }
    out.int(CITY).text(&contents.city);
    out.int(VEHICLE).text(&contents.vehicle);
    out.int(ROUTE).text(&contents.route);
    if let Some(trip) = &contents.trip {
        out.int(TRIP).text(trip);
    }
    out.int(MSISDN_TAG).bytes(&contents.msisdn_tag);
    Ok(out.finish())
}

/// Claims that we don't know are passed over, as RFC 8392 asks; ours must all be there and of their type.
fn decode_claims(payload: &[u8]) -> Result<TicketContents, DecodeError> {
    let mut reader = Reader::new(payload);
    let (mut issuer, mut expires_at, mut not_before, mut issued_at, mut reference, mut ride) =
        (None, None, None, None, None, None);
    reader.int_map::<DecodeError>(|claim, value| {
        match claim {
            CLAIM_ISS => issuer = Some(value.text()?.to_owned()),
            CLAIM_EXP => expires_at = Some(moment(value)?),
            CLAIM_NBF => not_before = Some(moment(value)?),
            CLAIM_IAT => issued_at = Some(moment(value)?),
            CLAIM_CTI => reference = Some(Uuid::from_bytes(value.byte_array("a reference of 16 bytes")?)),
            CLAIM_TICKET => ride = Some(decode_ride(value)?),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    reader.end()?;
    let ride = ride.ok_or(DecodeError::Missing("the claim -65537"))?;
    Ok(TicketContents {
        reference: reference.ok_or(DecodeError::Missing("its reference (cti)"))?,
        issuer: issuer.ok_or(DecodeError::Missing("its issuer (iss)"))?,
        issued_at: issued_at.ok_or(DecodeError::Missing("its issue time (iat)"))?,
        not_before: not_before.ok_or(DecodeError::Missing("its start (nbf)"))?,
        expires_at: expires_at.ok_or(DecodeError::Missing("its expiry (exp)"))?,
        fare_class: ride.fare_class.ok_or(DecodeError::Missing("its fare class"))?,
        passengers: ride.passengers.ok_or(DecodeError::Missing("its passengers"))?,
        amount: Money::new(
            ride.minor.ok_or(DecodeError::Missing("its amount"))?.into(),
            ride.currency.unwrap_or(Currency::Kzt),
        ),
        city: ride.city.ok_or(DecodeError::Missing("its city"))?,
        vehicle: ride.vehicle.ok_or(DecodeError::Missing("its vehicle"))?,
        route: ride.route.ok_or(DecodeError::Missing("its route"))?,
        trip: ride.trip,
        msisdn_tag: ride.msisdn_tag.ok_or(DecodeError::Missing("its MSISDN tag"))?,
    })
}

/// The private claim, as far as it has been read.
#[derive(Default)]
struct Ride {
    fare_class: Option<String>,
    passengers: Option<u8>,
    minor: Option<u32>,
    currency: Option<Currency>,
    city: Option<String>,
    vehicle: Option<String>,
    route: Option<String>,
    trip: Option<String>,
    msisdn_tag: Option<[u8; 4]>,
}

fn decode_ride(value: &mut Reader<'_>) -> Result<Ride, DecodeError> {
    let mut ride = Ride::default();
    value.int_map::<DecodeError>(|key, value| {
        match key {
            FARE_CLASS => ride.fare_class = Some(value.text()?.to_owned()),
            PASSENGERS => ride.passengers = Some(value.uint()?),
            AMOUNT => ride.minor = Some(value.uint()?),
            CURRENCY => ride.currency = Some(read_currency(value)?),
            CITY => ride.city = Some(value.text()?.to_owned()),
            VEHICLE => ride.vehicle = Some(value.text()?.to_owned()),
            ROUTE => ride.route = Some(value.text()?.to_owned()),
            TRIP => ride.trip = Some(value.text()?.to_owned()),
            MSISDN_TAG => ride.msisdn_tag = Some(value.byte_array("an MSISDN tag of 4 bytes")?),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    Ok(ride)
}

fn moment(value: &mut Reader<'_>) -> Result<Timestamp, CborError> {
    Ok(Timestamp::from_unix_seconds(value.uint::<u32>()?.into()))
}

const FOREIGN: [Currency; 5] = [Currency::Kgs, Currency::Uzs, Currency::Rub, Currency::Eur, Currency::Usd];

/// Leaving KZT out is its one spelling, so its number is refused like any unknown one.
fn read_currency(value: &mut Reader<'_>) -> Result<Currency, DecodeError> {
    let number = value.uint()?;
    FOREIGN
        .into_iter()
        .find(|currency| currency_number(*currency) == number)
        .ok_or(DecodeError::UnknownCurrency(number))
}

/// The three digits of ISO 4217.
const fn currency_number(currency: Currency) -> u16 {
    match currency {
        Currency::Kzt => 398,
        Currency::Kgs => 417,
        Currency::Uzs => 860,
        Currency::Rub => 643,
        Currency::Eur => 978,
        Currency::Usd => 840,
    }
}

#[cfg(test)]
mod tests;
