use std::fmt;

use data_encoding::BASE32HEX_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// What a ticket says. Signed as it stands; no MSISDN in the clear.
///
/// Times are signed in whole seconds, rounded down, so that an expiry never passes what it was capped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketContents {
    /// The reference of the charge, for life; `cti` in the CWT.
    pub reference: Uuid,
    /// Who vouches for the ticket; `iss`. At most [`limits::ISSUER`] bytes.
    pub issuer: String,
    /// When it was signed; `iat`.
    pub issued_at: Timestamp,
    /// From when it is valid; `nbf`.
    pub not_before: Timestamp,
    /// From when it is no longer valid; `exp`.
    pub expires_at: Timestamp,
    /// Which fare was paid, such as `adult`. At most [`limits::FARE_CLASS`] bytes.
    pub fare_class: String,
    /// How many ride on it, at least one.
    pub passengers: u8,
    /// What was taken for all of them together: 0 … 2³²−1 minor units.
    pub amount: Money,
    /// The city's short name. At most [`limits::CITY`] bytes.
    pub city: String,
    /// The vehicle code. At most [`limits::VEHICLE`] bytes.
    pub vehicle: String,
    /// The route's short name, as on the bus. At most [`limits::ROUTE`] bytes.
    pub route: String,
    /// The trip, where it is known; longer ids go through [`trip_name`]. At most [`limits::TRIP`] bytes.
    pub trip: Option<String>,
    /// Ties the ticket to its buyer without naming the number; see [`MsisdnTagKey`].
    pub msisdn_tag: [u8; 4],
}

/// How many bytes of UTF-8 each text may take. Together they keep the worst ticket within [`super::qr::COSE_BYTES_MAX`].
pub mod limits {
    /// Issuer.
    pub const ISSUER: usize = 6;
    /// Fare class.
    pub const FARE_CLASS: usize = 7;
    /// City.
    pub const CITY: usize = 6;
    /// Vehicle code or state plate.
    pub const VEHICLE: usize = 8;
    /// Route's short name.
    pub const ROUTE: usize = 6;
    /// Trip.
    pub const TRIP: usize = 12;
}

/// Why contents cannot be a ticket. Check at start, for every fare and vehicle, so that no charge meets it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContentsError {
    /// A text is over its limit.
    #[error("{field} {text:?} takes {bytes} bytes, a ticket has room for {max}")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// Its beginning.
        text: String,
        /// Its length in bytes of UTF-8.
        bytes: usize,
        /// What there is room for.
        max: usize,
    },
    /// A text that must be there is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A control character would garble an inspector's screen.
    #[error("{0} holds a control character")]
    ControlCharacter(&'static str),
    /// Nobody rides.
    #[error("a ticket is for at least one passenger")]
    NoPassengers,
    /// The amount is negative or above 2³²−1 minor units.
    #[error("amount {0} is outside 0 … 2^32-1 minor units")]
    Amount(Money),
    /// A moment before 1970 or after 2106-02-07.
    #[error("{field} {at} is outside 1970 … 2106")]
    Moment {
        /// Which moment.
        field: &'static str,
        /// Its value.
        at: Timestamp,
    },
    /// It would never be valid.
    #[error("the ticket expires at {expires_at}, not after its start at {not_before}")]
    NeverValid {
        /// Its start.
        not_before: Timestamp,
        /// Its end.
        expires_at: Timestamp,
    },
}

impl TicketContents {
    /// Whether these contents can be signed. Errors name the field.
    pub fn check(&self) -> Result<(), ContentsError> {
        check_text("issuer", &self.issuer, limits::ISSUER)?;
        check_text("fare class", &self.fare_class, limits::FARE_CLASS)?;
        check_text("city", &self.city, limits::CITY)?;
        check_text("vehicle", &self.vehicle, limits::VEHICLE)?;
        check_text("route", &self.route, limits::ROUTE)?;
        if let Some(trip) = &self.trip {
            check_text("trip", trip, limits::TRIP)?;
        }
        if self.passengers == 0 {
            return Err(ContentsError::NoPassengers);
        }
        u32::try_from(self.amount.minor).map_err(|_| ContentsError::Amount(self.amount))?;
        seconds("issued_at", self.issued_at)?;
        let not_before = seconds("not_before", self.not_before)?;
        let expires_at = seconds("expires_at", self.expires_at)?;
        if expires_at <= not_before {
            return Err(ContentsError::NeverValid { not_before: self.not_before, expires_at: self.expires_at });
        }
        Ok(())
    }

    /// These contents as a verifier will read them: times in whole seconds, rounded down.
    pub fn to_whole_seconds(&self) -> TicketContents {
        let whole = |at: Timestamp| Timestamp::from_unix_seconds(at.unix_seconds());
        TicketContents {
            issued_at: whole(self.issued_at),
            not_before: whole(self.not_before),
            expires_at: whole(self.expires_at),
            ..self.clone()
        }
    }
}

/// Unix seconds of `at` as a ticket carries them. Errors: outside 1970 … 2106.
pub(super) fn seconds(field: &'static str, at: Timestamp) -> Result<u32, ContentsError> {
    u32::try_from(at.unix_seconds()).map_err(|_| ContentsError::Moment { field, at })
}

fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), ContentsError> {
    if text.is_empty() {
        Err(ContentsError::Empty(field))
    } else if text.len() > max {
        Err(ContentsError::TooLong { field, text: text.chars().take(32).collect(), bytes: text.len(), max })
    } else if text.chars().any(char::is_control) {
        Err(ContentsError::ControlCharacter(field))
    } else {
        Ok(())
    }
}

/// How a ticket names the trip `id`: the id itself if it has room for it, else `~` and 55 bits of its SHA-256.
///
/// Whoever knows the timetable gets the same name from the same id, so the two can be compared offline.
pub fn trip_name(id: &str) -> String {
    if check_text("trip", id, limits::TRIP).is_ok() {
        return id.to_owned();
    }
    let digest = BASE32HEX_NOPAD.encode(&Sha256::digest(id.as_bytes()));
    format!("~{}", &digest[..limits::TRIP - 1])
}

/// The key under which numbers become tags. Only the daemon has it: a tag proves nothing to anyone else, and four bytes
/// cannot be turned back into a number without it.
#[derive(Clone)]
pub struct MsisdnTagKey(Zeroizing<[u8; 32]>);

impl MsisdnTagKey {
    /// From 32 random bytes.
    pub fn new(secret: [u8; 32]) -> MsisdnTagKey {
        MsisdnTagKey(Zeroizing::new(secret))
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// The tag of `msisdn`: the first four bytes of HMAC-SHA-256 over its E.164 digits. Two numbers share one by chance
    /// once in four thousand million; it finds a ticket's buyer, it does not identify him.
    pub fn tag(&self, msisdn: Msisdn) -> [u8; 4] {
        let mac = hmac_sha256(self.0.as_slice(), &[b"smsbusd msisdn tag v1\0", msisdn.e164().to_string().as_bytes()]);
        [mac[0], mac[1], mac[2], mac[3]]
    }
}

impl fmt::Debug for MsisdnTagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MsisdnTagKey(hidden)")
    }
}

/// HMAC-SHA-256 (RFC 2104) of the parts, one after the other.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::samples;

    #[test]
    fn every_field_out_of_bounds_is_named() {
        let refused = |change: fn(&mut TicketContents)| {
            let mut contents = samples::typical();
            change(&mut contents);
            contents.check().expect_err("out of bounds").to_string()
        };
        assert!(refused(|c| c.issuer = "smsbus.kz".into()).starts_with("issuer \"smsbus.kz\" takes 9 bytes"));
        assert!(refused(|c| c.route = "Автобус".into()).starts_with("route"));
        assert!(refused(|c| c.trip = Some("x".repeat(13))).starts_with("trip"));
        assert_eq!(refused(|c| c.vehicle.clear()), "vehicle is empty");
        assert_eq!(refused(|c| c.city = "a\nb".into()), "city holds a control character");
        assert_eq!(refused(|c| c.passengers = 0), "a ticket is for at least one passenger");
        assert!(refused(|c| c.amount.minor = -1).starts_with("amount -0.01 KZT"));
        assert!(refused(|c| c.amount.minor = 1 << 32).starts_with("amount"));
        assert!(refused(|c| c.issued_at = Timestamp::from_unix_seconds(-1)).starts_with("issued_at"));
        assert!(refused(|c| c.expires_at = Timestamp::from_unix_seconds(1 << 32)).starts_with("expires_at"));
        assert!(refused(|c| c.expires_at = c.not_before).starts_with("the ticket expires"));
        assert_eq!(samples::typical().check(), Ok(()));
        assert_eq!(samples::worst().check(), Ok(()));
    }

    #[test]
    fn a_long_trip_id_gets_a_name_that_fits_and_stays_the_same() {
        assert_eq!(trip_name("12A-0730"), "12A-0730");
        let name = trip_name("almaty-route-12A-weekday-0730");
        assert_eq!(name.len(), limits::TRIP);
        assert_eq!(name, trip_name("almaty-route-12A-weekday-0730"));
        assert_ne!(name, trip_name("almaty-route-12A-weekday-0740"));
        assert!(trip_name("").starts_with('~'));
    }

    #[test]
    fn a_tag_depends_on_the_number_and_the_key_and_shows_neither() {
        let number: Msisdn = "+77011234567".parse().expect("a number");
        let other: Msisdn = "+77011234568".parse().expect("a number");
        let key = MsisdnTagKey::new([7; 32]);
        assert_eq!(key.tag(number), key.tag(number));
        assert_ne!(key.tag(number), key.tag(other));
        assert_ne!(key.tag(number), MsisdnTagKey::new([8; 32]).tag(number));
        assert_eq!(format!("{key:?}"), "MsisdnTagKey(hidden)");
    }

    #[test]
    fn hmac_agrees_with_rfc_4231_case_2() {
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
