use std::fmt;

use thiserror::Error;

use super::{
    contents::{ContentsError, TicketContents},
    cose::Kid,
    cwt::{self, SignedTicket},
    jws,
    key_set::PublicKey,
};
use crate::clock::Timestamp;

/// A private key and the time in which it signs. The secret is wiped when it is dropped and never shown.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
}

/// Why a ticket could not be signed, or a keyring not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// No key at all.
    #[error("the keyring is empty")]
    Empty,
    /// One key twice, or two keys with one id.
    #[error("key {0} is there twice")]
    Duplicate(Kid),
    /// The window is empty.
    #[error("key {kid} ends at {not_after}, not after its start at {not_before}")]
    EmptyWindow {
        /// Which key.
        kid: Kid,
        /// Its start.
        not_before: Timestamp,
        /// Its end.
        not_after: Timestamp,
    },
    /// No key may sign now: all have ended, or none has begun.
    #[error("no key may sign at {at}; the last one ends at {last_end}")]
    NoKey {
        /// The moment asked for.
        at: Timestamp,
        /// When the last key of the ring ends.
        last_end: Timestamp,
    },
    /// The contents cannot be a ticket.
    #[error(transparent)]
    Contents(#[from] ContentsError),
}

impl SigningKey {
    /// A key from its 32 secret bytes, that signs from `not_before` until before `not_after`. The window is held in whole
    /// seconds. Errors: an empty window.
    pub fn new(secret: &[u8; 32], not_before: Timestamp, not_after: Timestamp) -> Result<SigningKey, KeyringError> {
        let key = ed25519_dalek::SigningKey::from_bytes(secret);
        let public = PublicKey::new(key.verifying_key(), not_before, not_after);
        if public.not_after <= public.not_before {
            return Err(KeyringError::EmptyWindow {
                kid: public.kid,
                not_before: public.not_before,
                not_after: public.not_after,
            });
        }
        Ok(SigningKey { key, public })
    }

    /// Its public half, with the same window.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    fn signs_at(&self, at: Timestamp) -> bool {
        (self.public.not_before..self.public.not_after).contains(&at)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public).finish()
    }
}

/// The daemon's ticket keys: those that sign now, and those that are published ahead of their time.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<SigningKey>,
}

impl Keyring {
    /// A ring of these keys. Errors: none, or one of them twice.
    pub fn new(mut keys: Vec<SigningKey>) -> Result<Keyring, KeyringError> {
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        keys.sort_by_key(|key| (key.public.not_before, key.public.kid));
        for (i, key) in keys.iter().enumerate() {
            if keys.iter().skip(i + 1).any(|other| other.public.kid == key.public.kid) {
                return Err(KeyringError::Duplicate(key.public.kid));
            }
        }
        Ok(Keyring { keys })
    }

    /// The key that signs at `at` a ticket that should expire at `expires_at`.
    ///
    /// Of the keys that sign now and outlive the ticket, the one that began last: so a new key takes over at its *not
    /// before*. If none outlives the ticket, the one that ends last: the ticket is then cut to its end.
    /// Errors: no key signs at `at`.
    pub fn signing_key(&self, at: Timestamp, expires_at: Timestamp) -> Result<&SigningKey, KeyringError> {
        let active = || self.keys.iter().filter(|key| key.signs_at(at));
        active()
            .filter(|key| key.public.not_after >= expires_at)
            .max_by_key(|key| key.public.not_before)
            .or_else(|| active().max_by_key(|key| key.public.not_after))
            .ok_or_else(|| KeyringError::NoKey { at, last_end: self.last_end() })
    }

    /// Signs `contents` at their `issued_at`. An expiry past the key's end is cut to it: someone who was charged gets the
    /// longest ticket that can be given, and never none. Look at the answer's `contents` for what was signed.
    /// Errors: no key signs at that moment, or the contents are out of bounds.
    pub fn sign(&self, contents: &TicketContents) -> Result<SignedTicket, KeyringError> {
        let (key, contents) = self.key_for(contents)?;
        Ok(cwt::sign_as(&contents, &key.key, key.public.kid)?)
    }

    /// The same ticket as a compact JWS (RFC 7515), for web clients. Errors: as [`Keyring::sign`].
    pub fn sign_jws(&self, contents: &TicketContents) -> Result<String, KeyringError> {
        let (key, contents) = self.key_for(contents)?;
        Ok(jws::sign(&contents, &key.key)?)
    }

    fn key_for(&self, contents: &TicketContents) -> Result<(&SigningKey, TicketContents), KeyringError> {
        let key = self.signing_key(contents.issued_at, contents.expires_at)?;
        let mut contents = contents.clone();
        contents.expires_at = contents.expires_at.min(key.public.not_after);
        Ok((key, contents))
    }

    /// The public halves to publish at `at`: every key that signs or will sign, and every key whose last ticket may
    /// still be valid. No ticket outlives its key, so a key may go when it has ended.
    pub fn public_keys(&self, at: Timestamp) -> Vec<PublicKey> {
        self.keys.iter().map(|key| key.public.clone()).filter(|key| key.not_after > at).collect()
    }

    /// When the last key ends: without a new key, nothing can be signed from then on. For an alert.
    pub fn last_end(&self) -> Timestamp {
        self.keys.iter().map(|key| key.public.not_after).max().unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::samples::{at, typical};

    fn key(seed: u8, from: i64, to: i64) -> SigningKey {
        SigningKey::new(&[seed; 32], at(from), at(to)).expect("a window")
    }

    fn ring(keys: &[(u8, i64, i64)]) -> Keyring {
        Keyring::new(keys.iter().map(|(seed, from, to)| key(*seed, *from, *to)).collect()).expect("a ring")
    }

    #[test]
    fn the_key_that_began_last_signs_and_one_to_come_does_not() {
        let ring = ring(&[(1, -100, 10_000), (2, -50, 10_000), (3, 60, 20_000)]);
        let chosen = |at_second| ring.signing_key(at(at_second), at(5_000)).map(|k| k.public.kid);
        assert_eq!(chosen(-60), Ok(key(1, 0, 1).public.kid));
        assert_eq!(chosen(59), Ok(key(2, 0, 1).public.kid));
        assert_eq!(chosen(60), Ok(key(3, 0, 1).public.kid));
        assert_eq!(chosen(-101), Err(KeyringError::NoKey { at: at(-101), last_end: at(20_000) }));
        assert_eq!(chosen(20_000), Err(KeyringError::NoKey { at: at(20_000), last_end: at(20_000) }));
    }

    #[test]
    fn a_key_that_ends_before_the_ticket_gives_way_to_one_that_outlives_it() {
        let ring = ring(&[(1, -100, 10_000), (2, -50, 100)]);
        assert_eq!(ring.signing_key(at(0), at(100)).map(|k| k.public.kid), Ok(key(2, 0, 1).public.kid));
        assert_eq!(ring.signing_key(at(0), at(101)).map(|k| k.public.kid), Ok(key(1, 0, 1).public.kid));
    }

    #[test]
    fn an_expiry_never_passes_the_keys_end() {
        let ticket = ring(&[(1, -100, 600), (2, -100, 900)]).sign(&typical()).expect("signed");
        assert_eq!(ticket.contents.expires_at, at(900));
        assert_eq!(ticket.kid, key(2, 0, 1).public.kid);
    }

    #[test]
    fn a_public_key_is_published_ahead_and_kept_until_its_last_ticket_has_expired() {
        let ring = ring(&[(1, -100, 600), (2, 500, 2_000)]);
        let published = |second| ring.public_keys(at(second)).len();
        assert_eq!((published(-5_000), published(599), published(600), published(2_000)), (2, 2, 1, 0));
    }

    #[test]
    fn an_empty_ring_an_empty_window_and_a_repeated_key_are_refused() {
        assert_eq!(Keyring::new(Vec::new()).map(drop), Err(KeyringError::Empty));
        assert!(matches!(SigningKey::new(&[1; 32], at(5), at(5)), Err(KeyringError::EmptyWindow { .. })));
        let twice = Keyring::new(vec![key(1, 0, 1), key(2, 0, 9), key(1, 5, 9)]);
        assert_eq!(twice.map(drop), Err(KeyringError::Duplicate(key(1, 0, 1).public.kid)));
    }

    #[test]
    fn a_key_shows_its_id_and_never_its_secret() {
        let shown = format!("{:?}", key(0xab, 0, 1));
        assert!(shown.contains(&key(0xab, 0, 1).public.kid.to_string()), "{shown}");
        assert!(!shown.contains("171, 171") && !shown.contains("abab"), "{shown}");
    }
}
