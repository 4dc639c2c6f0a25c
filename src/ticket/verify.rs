use std::{collections::HashSet, time::Duration};

use thiserror::Error;
use uuid::Uuid;

use super::{
    contents::TicketContents,
    cose::Kid,
    cwt::{self, DecodeError},
    key_set::{KeySet, PublicKey},
    qr::{self, TextError},
};
use crate::clock::Timestamp;

/// What an inspector is told. The four answers, of which *expired or other vehicle* names its half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good here and now.
    Valid(TicketContents),
    /// Genuine, and its time has passed.
    Expired(TicketContents),
    /// Genuine and in time, but bought on another vehicle.
    OtherVehicle(TicketContents),
    /// No good, and why.
    Invalid(Fault),
    /// This device cannot say, and why: no proof of anything against the passenger.
    CannotTell(Doubt),
}

/// Why a ticket is no good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// No ticket at all.
    #[error("not a ticket: {0}")]
    NotATicket(#[from] TextError),
    /// The bytes are not a ticket's.
    #[error("not a ticket: {0}")]
    Malformed(#[from] DecodeError),
    /// Nobody we know signed this.
    #[error("the signature is wrong")]
    BadSignature,
    /// Signed with a known key outside of its time: a key that leaked later cannot sign for earlier or for longer.
    #[error("key {0} did not sign at that time")]
    OutsideKeyWindow(Kid),
    /// Refunded, or withdrawn.
    #[error("ticket {0} was revoked")]
    Revoked(Uuid),
    /// Genuine, and its time is still to come.
    #[error("valid from {0} only")]
    NotYetValid(Timestamp),
}

/// Why this device cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Doubt {
    /// A key that came after the device's key set, or never was ours.
    #[error("key {0} is not in this device's key set; fetch a new one")]
    UnknownKey(Kid),
    /// The key set vouches for nothing any more.
    #[error("this device's key set expired at {0}; fetch a new one")]
    KeySetExpired(Timestamp),
}

/// The ids of tickets that were refunded or withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations(HashSet<Uuid>);

impl Revocations {
    /// Whether `reference` is among them.
    pub fn contains(&self, reference: Uuid) -> bool {
        self.0.contains(&reference)
    }
}

impl FromIterator<Uuid> for Revocations {
    fn from_iter<I: IntoIterator<Item = Uuid>>(ids: I) -> Revocations {
        Revocations(ids.into_iter().collect())
    }
}

/// Verifies tickets with a key set that [`KeySet::open`] trusted, and nothing else: no network, no clock of its own.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: KeySet,
    clock_skew: Duration,
}

impl Verifier {
    /// How far an inspector's clock may be off, to the passenger's benefit.
    pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

    /// Verifies with these keys and the usual [`Verifier::CLOCK_SKEW`].
    pub fn new(keys: KeySet) -> Verifier {
        Verifier { keys, clock_skew: Verifier::CLOCK_SKEW }
    }

    /// The same, with another allowance for clocks.
    pub fn with_clock_skew(self, clock_skew: Duration) -> Verifier {
        Verifier { clock_skew, ..self }
    }

    /// Verifies the text of a QR code, shown at `at` on `vehicle`; without a vehicle any will do.
    pub fn verify_text(&self, text: &str, at: Timestamp, vehicle: Option<&str>, revoked: &Revocations) -> Verdict {
        match qr::from_text(text) {
            Ok(cose) => self.verify(&cose, at, vehicle, revoked),
            Err(error) => Verdict::Invalid(error.into()),
        }
    }

    /// Verifies a tagged COSE_Sign1, shown at `at` on `vehicle`; without a vehicle any will do.
    ///
    /// What is checked, in this order: shape, key, signature, the key's window, the age of the key set, revocation,
    /// time, vehicle. So nothing is said about the contents of what nobody signed, and a forgery is a forgery even for a
    /// device with an old key set.
    pub fn verify(&self, cose: &[u8], at: Timestamp, vehicle: Option<&str>, revoked: &Revocations) -> Verdict {
        match self.genuine(cose, at) {
            Ok(contents) => self.judge(contents, at, vehicle, revoked),
            Err(NotGenuine::Fault(fault)) => Verdict::Invalid(fault),
            Err(NotGenuine::Doubt(doubt)) => Verdict::CannotTell(doubt),
        }
    }

    /// The contents, if one of our keys signed them in its time.
    fn genuine(&self, cose: &[u8], at: Timestamp) -> Result<TicketContents, NotGenuine> {
        let ticket = cwt::read(cose).map_err(Fault::from)?;
        let key = self.keys.key(ticket.kid).ok_or(Doubt::UnknownKey(ticket.kid))?;
        if !ticket.message.is_signed_by(&key.key) {
            return Err(Fault::BadSignature.into());
        }
        if !signed_within(key, &ticket.contents) {
            return Err(Fault::OutsideKeyWindow(key.kid).into());
        }
        if self.keys.expires_at <= at {
            return Err(Doubt::KeySetExpired(self.keys.expires_at).into());
        }
        Ok(ticket.contents)
    }

    fn judge(&self, contents: TicketContents, at: Timestamp, vehicle: Option<&str>, revoked: &Revocations) -> Verdict {
        if revoked.contains(contents.reference) {
            Verdict::Invalid(Fault::Revoked(contents.reference))
        } else if at.plus(self.clock_skew) < contents.not_before {
            Verdict::Invalid(Fault::NotYetValid(contents.not_before))
        } else if contents.expires_at.plus(self.clock_skew) <= at {
            Verdict::Expired(contents)
        } else if vehicle.is_some_and(|vehicle| vehicle != contents.vehicle) {
            Verdict::OtherVehicle(contents)
        } else {
            Verdict::Valid(contents)
        }
    }
}

/// Why a ticket's contents are not believed.
#[derive(Debug, Error)]
enum NotGenuine {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Doubt(#[from] Doubt),
}

fn signed_within(key: &PublicKey, contents: &TicketContents) -> bool {
    (key.not_before..key.not_after).contains(&contents.issued_at) && contents.expires_at <= key.not_after
}

#[cfg(test)]
mod tests;
