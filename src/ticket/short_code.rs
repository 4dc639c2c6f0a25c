//! The eight characters that a plain phone shows.
//!
//! # What a code is worth
//!
//! Forty bits: a serial of 14 and a MAC of 26. 14 bits number 16,384 tickets per vehicle and day; a full bus sells two
//! thousand, and serials leased in blocks to several instances leave gaps for the rest. Every bit more for the serial would
//! halve the work of a guess. Should a day need more, the serials begin anew: the MAC still tells two tickets apart.
//!
//! A guess at a code for one's own number passes with probability *tried slots* × 2⁻²⁶. A ticket of at most three hours
//! makes at most 19 slots, so one guess in 3.5 million passes, and each must be shown to an inspector. The verifier
//! never tries more than [`SLOTS_MAX`] slots (1 in 1.8 million). Nothing can be tried offline without the key.
//!
//! A code is bound to the last four digits, so a copied one serves one number in 10,000, and on the same vehicle only.
//! Inspectors' devices hold the keys of their shift and could make codes: the code is proof among honest devices, the
//! vehicle's manifest (which has every serial) is the proof that settles.
//!
//! A code says its expiry in steps of ten minutes, rounded up: it never ends before the ticket, and ends up to ten
//! minutes after it.

use std::{fmt, str::FromStr, time::Duration};

use jiff::civil::Date;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::contents::hmac_sha256;
use crate::clock::Timestamp;

/// Serials of a vehicle's day run from 0 to here.
pub const SERIAL_MAX: u16 = (1 << SERIAL_BITS) - 1;

/// The length of an expiry slot.
pub const SLOT: Duration = Duration::from_secs(SLOT_SECONDS.unsigned_abs());

/// No verifier tries more slots than these: six hours and the one that has begun.
pub const SLOTS_MAX: u32 = 37;

/// The longest ticket that a code can stand for.
pub const SPAN_MAX: Duration = Duration::from_secs(SLOT_SECONDS.unsigned_abs() * (SLOTS_MAX as u64 - 1));

const SLOT_SECONDS: i64 = 600;
const SERIAL_BITS: u32 = 14;
const MAC_BITS: u32 = 26;
const CODE_CHARS: usize = 8;
/// Crockford's base 32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A ticket for a plain phone: eight characters. `Display` writes them in one; [`ShortCode::grouped`] for reading aloud.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortCode(u64);

/// Why a text is no short code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShortCodeError {
    /// Not eight characters, dashes and spaces aside.
    #[error("a ticket code has 8 characters, {0} came")]
    Length(usize),
    /// A character that no code has.
    #[error("{0:?} occurs in no ticket code")]
    Character(char),
}

/// Why no code can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// A wrong one was leased.
    #[error("serial {0} is above {SERIAL_MAX}")]
    Serial(u16),
    /// The last four digits are no four digits.
    #[error("{0} is not a number's last four digits")]
    LastFour(u16),
    /// It expires before it begins, or more than [`SPAN_MAX`] later; verifiers would not find its slot.
    #[error("a ticket from {issued_at} to {expires_at} is not one that a short code can stand for")]
    Span {
        /// Its start.
        issued_at: Timestamp,
        /// Its end.
        expires_at: Timestamp,
    },
}

/// What a genuine code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genuine {
    /// The ticket's serial. The manifest knows the ticket by it and by the expiry.
    pub serial: u16,
    /// The end of the slot it expires in: its true expiry, rounded up.
    pub valid_until: Timestamp,
}

/// The key of all short codes, from which those of vehicles and days are derived. Only the daemon has it.
#[derive(Clone)]
pub struct ShortCodeMaster(Zeroizing<[u8; 32]>);

/// The key of one vehicle's codes on one service day. Inspectors' devices fetch those of their shift.
#[derive(Clone)]
pub struct VehicleDayKey(Zeroizing<[u8; 32]>);

impl ShortCodeMaster {
    /// From 32 random bytes.
    pub fn new(secret: [u8; 32]) -> ShortCodeMaster {
        ShortCodeMaster(Zeroizing::new(secret))
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of `vehicle` on the service day `day`: HKDF-Expand (RFC 5869) of one block. The day ends when its last
    /// trip does, so that after midnight a verifier holds two keys and tries both.
    pub fn vehicle_day(&self, vehicle: &str, day: Date) -> VehicleDayKey {
        let day = format!("{day}\0");
        let info: [&[u8]; 4] = [b"smsbusd short code v1\0", day.as_bytes(), vehicle.as_bytes(), &[1]];
        VehicleDayKey::from_bytes(hmac_sha256(self.0.as_slice(), &info))
    }
}

impl VehicleDayKey {
    /// A key as a device received it.
    pub fn from_bytes(key: [u8; 32]) -> VehicleDayKey {
        VehicleDayKey(Zeroizing::new(key))
    }

    /// For an authenticated device.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The code of the ticket with this `serial`, of a number with these last four digits.
    ///
    /// Errors: a serial over [`SERIAL_MAX`], no four digits, or a ticket that ends before it starts or lasts longer than
    /// [`SPAN_MAX`].
    pub fn issue(
        &self,
        serial: u16,
        last_four: u16,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<ShortCode, IssueError> {
        if serial > SERIAL_MAX {
            return Err(IssueError::Serial(serial));
        }
        if last_four > 9_999 {
            return Err(IssueError::LastFour(last_four));
        }
        if expires_at <= issued_at || expires_at.since(issued_at) > SPAN_MAX {
            return Err(IssueError::Span { issued_at, expires_at });
        }
        let mac = self.mac(serial, last_four, slot_ending_at_or_after(expires_at));
        Ok(ShortCode(u64::from(serial) << MAC_BITS | u64::from(mac)))
    }

    /// What `code` says, if it is genuine for these last four digits and has not expired at `at`.
    ///
    /// Tries the unexpired slots only, up to the longest ticket there is (`hard_cap`, at most [`SPAN_MAX`]). Nothing comes
    /// back both for a forgery and for an expired code: telling them apart would mean trying more slots.
    pub fn verify(&self, code: ShortCode, last_four: u16, at: Timestamp, hard_cap: Duration) -> Option<Genuine> {
        let (serial, mac) = code.parts();
        let first = slot_ending_at_or_after(Timestamp::from_unix_ms(at.unix_ms().saturating_add(1)));
        let last = slot_ending_at_or_after(at.plus(hard_cap.min(SPAN_MAX)));
        (first..=last).find(|slot| bool::from(self.mac(serial, last_four, *slot).ct_eq(&mac))).map(|slot| Genuine {
            serial,
            valid_until: Timestamp::from_unix_seconds(slot.saturating_mul(SLOT_SECONDS)),
        })
    }

    fn mac(&self, serial: u16, last_four: u16, slot: i64) -> u32 {
        let mac =
            hmac_sha256(self.0.as_slice(), &[&serial.to_be_bytes(), &last_four.to_be_bytes(), &slot.to_be_bytes()]);
        u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]) >> (u32::BITS - MAC_BITS)
    }
}

/// A slot is named by its end, in steps since 1970. This is the first that ends at `at` or later.
fn slot_ending_at_or_after(at: Timestamp) -> i64 {
    let seconds = at.plus(Duration::from_millis(999)).unix_seconds();
    seconds.saturating_add(SLOT_SECONDS - 1).div_euclid(SLOT_SECONDS)
}

impl ShortCode {
    /// The ticket's serial, as the code claims it; nothing is verified.
    pub fn serial(self) -> u16 {
        self.parts().0
    }

    /// In two groups of four: `3KF2-9QXD`.
    pub fn grouped(self) -> String {
        let code = self.to_string();
        let (first, second) = code.split_at(CODE_CHARS / 2);
        format!("{first}-{second}")
    }

    fn parts(self) -> (u16, u32) {
        let serial = u16::try_from(self.0 >> MAC_BITS).expect("a code has 40 bits, so 14 are left");
        let mac = u32::try_from(self.0 & ((1 << MAC_BITS) - 1)).expect("26 bits");
        (serial, mac)
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..CODE_CHARS).rev() {
            let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or(0);
            write!(f, "{}", char::from(ALPHABET[digit]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortCode({self})")
    }
}

impl FromStr for ShortCode {
    type Err = ShortCodeError;

    /// Reads what people type: lower case, dashes and spaces, o for 0, i and l for 1, and the Cyrillic letters that look
    /// like Latin ones.
    fn from_str(text: &str) -> Result<ShortCode, ShortCodeError> {
        let mut code = 0_u64;
        let mut count = 0_usize;
        for c in text.chars().filter(|c| !matches!(c, '-' | '\u{2013}' | '\u{a0}' | ' ' | '\t' | '\r' | '\n')) {
            count += 1;
            if count > CODE_CHARS {
                return Err(ShortCodeError::Length(text.chars().count()));
            }
            code = code << 5 | digit(c).ok_or(ShortCodeError::Character(c))?;
        }
        if count == CODE_CHARS { Ok(ShortCode(code)) } else { Err(ShortCodeError::Length(count)) }
    }
}

fn digit(c: char) -> Option<u64> {
    let latin = match c.to_uppercase().next()? {
        'O' | 'О' => '0',
        'I' | 'L' | 'І' => '1',
        'А' => 'A',
        'В' => 'B',
        'С' => 'C',
        'Е' => 'E',
        'Н' => 'H',
        'К' => 'K',
        'М' => 'M',
        'Р' => 'P',
        'Т' => 'T',
        'Х' => 'X',
        'У' => 'Y',
        other => other,
    };
    let place = ALPHABET.iter().position(|letter| char::from(*letter) == latin)?;
    u64::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::ticket::samples::at;

    const CAP: Duration = Duration::from_secs(3 * 3_600);

    fn key() -> VehicleDayKey {
        ShortCodeMaster::new([5; 32]).vehicle_day("1234", date(2026, 3, 1))
    }

    fn hour() -> ShortCode {
        key().issue(42, 4_567, at(0), at(3_600)).expect("issued")
    }

    #[test]
    fn a_code_holds_for_its_number_and_not_after_its_slot() {
        let genuine = Some(Genuine { serial: 42, valid_until: at(3_600) });
        assert_eq!(key().verify(hour(), 4_567, at(0), CAP), genuine);
        assert_eq!(key().verify(hour(), 4_567, at(3_599), CAP), genuine);
        assert_eq!(key().verify(hour(), 4_567, at(3_600), CAP), None);
        assert_eq!(key().verify(hour(), 4_568, at(0), CAP), None);
        assert_eq!(hour().serial(), 42);
    }

    #[test]
    fn an_expiry_is_rounded_up_to_ten_minutes() {
        let code = key().issue(1, 1, at(0), at(3_601)).expect("issued");
        assert_eq!(key().verify(code, 1, at(4_199), CAP).map(|g| g.valid_until), Some(at(4_200)));
        assert_eq!(key().verify(code, 1, at(4_200), CAP), None);
        let just_over = Timestamp::from_unix_ms(at(3_600).unix_ms() + 1);
        let code = key().issue(1, 1, at(0), just_over).expect("issued");
        assert_eq!(key().verify(code, 1, at(0), CAP).map(|g| g.valid_until), Some(at(4_200)));
    }

    #[test]
    fn another_vehicle_or_day_has_another_key() {
        let master = ShortCodeMaster::new([5; 32]);
        for other in [master.vehicle_day("1235", date(2026, 3, 1)), master.vehicle_day("1234", date(2026, 3, 2))] {
            assert_eq!(other.verify(hour(), 4_567, at(0), CAP), None);
        }
        let copy = VehicleDayKey::from_bytes(*key().as_bytes());
        assert!(copy.verify(hour(), 4_567, at(0), CAP).is_some());
    }

    #[test]
    fn a_slot_beyond_the_longest_ticket_is_not_tried() {
        let far = key().issue(7, 7, at(0), at(5 * 3_600)).expect("issued");
        assert_eq!(key().verify(far, 7, at(0), CAP), None);
        assert!(key().verify(far, 7, at(2 * 3_600), CAP).is_some());
        assert!(key().verify(far, 7, at(0), Duration::MAX).is_some());
    }

    #[test]
    fn what_no_verifier_would_find_is_not_issued() {
        assert_eq!(key().issue(1 << 14, 1, at(0), at(1)), Err(IssueError::Serial(1 << 14)));
        assert_eq!(key().issue(0, 10_000, at(0), at(1)), Err(IssueError::LastFour(10_000)));
        assert!(matches!(key().issue(0, 0, at(0), at(0)), Err(IssueError::Span { .. })));
        assert!(matches!(key().issue(0, 0, at(0), at(6 * 3_600 + 1)), Err(IssueError::Span { .. })));
        assert!(key().issue(SERIAL_MAX, 9_999, at(0), at(6 * 3_600)).is_ok());
    }

    #[test]
    fn a_code_stays_the_same_from_release_to_release() {
        assert_eq!(hour().to_string(), "02MCS517");
    }

    #[test]
    fn the_bits_fill_eight_characters_and_the_tried_slots_are_bounded() {
        assert_eq!(SERIAL_BITS + MAC_BITS, 40);
        for offset in [0, 1, 599, 600, 601] {
            let at = at(offset);
            let first = slot_ending_at_or_after(Timestamp::from_unix_ms(at.unix_ms() + 1));
            let last = slot_ending_at_or_after(at.plus(SPAN_MAX));
            assert!(last - first < i64::from(SLOTS_MAX), "{}", last - first + 1);
        }
    }

    #[test]
    fn a_code_with_any_bit_changed_fails() {
        for bit in 0..40 {
            assert_eq!(key().verify(ShortCode(hour().0 ^ 1 << bit), 4_567, at(0), CAP), None, "bit {bit}");
        }
    }

    #[test]
    fn reads_what_people_type() {
        let code: ShortCode = "0123-4ABK".parse().expect("a code");
        for typed in ["01234abk", "o l23 4ABK", "OI23–4abk", "0123 4АВК", " 0123\u{a0}4авк\r\n"] {
            assert_eq!(typed.parse(), Ok(code), "{typed:?}");
        }
        assert_eq!(code.grouped(), "0123-4ABK");
        assert_eq!("0123-4AB".parse::<ShortCode>(), Err(ShortCodeError::Length(7)));
        assert_eq!("0123-4ABKK".parse::<ShortCode>(), Err(ShortCodeError::Length(10)));
        assert_eq!("0123-4ABU".parse::<ShortCode>(), Err(ShortCodeError::Character('U')));
        assert_eq!("".parse::<ShortCode>(), Err(ShortCodeError::Length(0)));
    }

    proptest! {
        #[test]
        fn every_code_reads_back_and_verifies_until_its_expiry(
            serial in 0..=SERIAL_MAX, last_four in 0..10_000_u16, length in 1_i64..10_800, now in 0_i64..10_800,
        ) {
            let code = key().issue(serial, last_four, at(0), at(length)).expect("issued");
            prop_assert_eq!(code.to_string().parse(), Ok(code));
            prop_assert_eq!(code.grouped().to_lowercase().parse(), Ok(code));
            let genuine = key().verify(code, last_four, at(now), CAP);
            prop_assert!(now >= length || genuine.is_some_and(|g| g.serial == serial && g.valid_until >= at(length)));
            prop_assert!(now < length + 600 || genuine.is_none());
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = text.parse::<ShortCode>();
        }
    }
}
