use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    cbor::{CborError, Reader, Writer},
    cose::{self, ALG_ED25519, ALG_EDDSA, CoseError, Kid, Protected, Sign1},
};
use crate::clock::Timestamp;

/// The public half of a ticket key. Its type is pinned: a key in here is Ed25519 and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its id.
    pub kid: Kid,
    /// The key.
    pub key: VerifyingKey,
    /// It signs from here, in whole seconds.
    pub not_before: Timestamp,
    /// It signs until before here, and no ticket of its expires later.
    pub not_after: Timestamp,
}

impl PublicKey {
    /// `key`, valid from `not_before` until before `not_after`, both held to whole seconds of 1970 … 2106.
    pub fn new(key: VerifyingKey, not_before: Timestamp, not_after: Timestamp) -> PublicKey {
        let held = |at: Timestamp| Timestamp::from_unix_seconds(unix(at).into());
        PublicKey { kid: Kid::of(&key), key, not_before: held(not_before), not_after: held(not_after) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} until {}", self.kid, self.not_before, self.not_after)
    }
}

/// What verifiers know the ticket keys by. Signed by an offline root, which they pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// When the root signed it. A verifier keeps the newer of two.
    pub issued_at: Timestamp,
    /// From then on it vouches for nothing: fetch a new one.
    pub expires_at: Timestamp,
    /// The keys, at most [`KEYS_MAX`].
    pub keys: Vec<PublicKey>,
}

/// How many keys a set may hold.
pub const KEYS_MAX: usize = 32;

/// `application/cose-key-set` as a CoAP content format (RFC 9052, section 11.3).
const CONTENT_TYPE_KEY_SET: u16 = 102;

const KEY_TYPE: i64 = 1;
const KEY_ID: i64 = 2;
const KEY_ALG: i64 = 3;
const OKP_CURVE: i64 = -1;
const OKP_X: i64 = -2;
/// Labels below −65536 are for private use (RFC 9052, section 11.2): Unix seconds.
const KEY_NOT_BEFORE: i64 = -65_537;
const KEY_NOT_AFTER: i64 = -65_538;
const TYPE_OKP: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// Why a signed key set is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// The envelope.
    #[error("key set: {0}")]
    Cose(#[from] CoseError),
    /// The keys; offsets count from the start of the payload.
    #[error("key set: the keys cannot be read: {0}")]
    Keys(CborError),
    /// Signed by another root than the pinned one.
    #[error("key set: signed by root {found}, pinned is {pinned}")]
    OtherRoot {
        /// Who says to have signed.
        found: Kid,
        /// Whom we trust.
        pinned: Kid,
    },
    /// The signature is not the root's.
    #[error("key set: the signature is wrong")]
    BadSignature,
    /// No expiry in it.
    #[error("key set: it has no lifetime")]
    NoLifetime,
    /// Its time has passed.
    #[error("key set: expired at {0}")]
    Expired(Timestamp),
    /// Made in the future: this device's clock is wrong.
    #[error("key set: signed at {0}, which is still to come; is the clock right?")]
    FromTheFuture(Timestamp),
    /// A key of the set is no Ed25519 key, or lacks something.
    #[error("key set: key {index} {what}")]
    BadKey {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// None, or too many.
    #[error("key set: {0} keys, 1 to {KEYS_MAX} are allowed")]
    KeyCount(usize),
    /// One key twice.
    #[error("key set: key {0} is there twice")]
    Duplicate(Kid),
}

impl From<CborError> for KeySetError {
    fn from(error: CborError) -> KeySetError {
        KeySetError::Keys(error)
    }
}

/// How far a verifier's clock may be behind the root's.
const CLOCK_SKEW_SECONDS: i64 = 300;

impl KeySet {
    /// The key with this id.
    pub fn key(&self, kid: Kid) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// As a JWKS (RFC 7517, RFC 8037). `nbf` and `exp` of each key are our own members, in Unix seconds. Not signed:
    /// for web clients that trust the connection they fetched it over.
    pub fn to_jwks(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(jwk).collect();
        json!({ "keys": keys })
    }

    /// As a COSE_KeySet in a COSE_Sign1 under the offline `root`, with its lifetime in the CWT claims header (RFC 9597).
    /// Errors: no key, too many, or one twice.
    pub fn sign(&self, root: &ed25519_dalek::SigningKey) -> Result<Vec<u8>, KeySetError> {
        self.check_keys()?;
        let protected = Protected {
            kid: Kid::of(&root.verifying_key()),
            content_type: Some(CONTENT_TYPE_KEY_SET),
            lifetime: Some((unix(self.issued_at), unix(self.expires_at))),
        };
        Ok(cose::sign(root, &protected, &self.encode()))
    }

    /// Reads a signed key set, trusts it if the pinned `root` signed it, and it is neither expired nor from the future
    /// `at` that moment. Errors say which of these failed; the signature is checked before anything is believed.
    pub fn open(signed: &[u8], root: &VerifyingKey, at: Timestamp) -> Result<KeySet, KeySetError> {
        let message = Sign1::read(signed, Some(CONTENT_TYPE_KEY_SET))?;
        let pinned = Kid::of(root);
        if message.protected.kid != pinned {
            return Err(KeySetError::OtherRoot { found: message.protected.kid, pinned });
        }
        if !message.is_signed_by(root) {
            return Err(KeySetError::BadSignature);
        }
        let (issued_at, expires_at) = message.protected.lifetime.ok_or(KeySetError::NoLifetime)?;
        let issued_at = Timestamp::from_unix_seconds(issued_at.into());
        let expires_at = Timestamp::from_unix_seconds(expires_at.into());
        if expires_at <= at {
            return Err(KeySetError::Expired(expires_at));
        }
        if issued_at.unix_seconds() - CLOCK_SKEW_SECONDS > at.unix_seconds() {
            return Err(KeySetError::FromTheFuture(issued_at));
        }
        let set = KeySet { issued_at, expires_at, keys: decode_keys(message.payload)? };
        set.check_keys()?;
        Ok(set)
    }

    /// Reads the keys of a JWKS as [`KeySet::to_jwks`] writes them: so that the offline root signs what the daemon's
    /// machine exported. Errors: no key, too many, one twice, or one that is no Ed25519 key with `nbf` and `exp`.
    pub fn keys_from_jwks(jwks: &Value) -> Result<Vec<PublicKey>, KeySetError> {
        let jwks = jwks.get("keys").and_then(Value::as_array).ok_or(KeySetError::KeyCount(0))?;
        let keys = jwks.iter().take(KEYS_MAX + 1).enumerate().map(|(index, jwk)| read_jwk(jwk, index));
        let set =
            KeySet { issued_at: Timestamp::MIN, expires_at: Timestamp::MAX, keys: keys.collect::<Result<_, _>>()? };
        set.check_keys()?;
        Ok(set.keys)
    }

    fn check_keys(&self) -> Result<(), KeySetError> {
        if !(1..=KEYS_MAX).contains(&self.keys.len()) {
            return Err(KeySetError::KeyCount(self.keys.len()));
        }
        for (i, key) in self.keys.iter().enumerate() {
            if self.keys.iter().skip(i + 1).any(|other| other.kid == key.kid) {
                return Err(KeySetError::Duplicate(key.kid));
            }
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(80 * self.keys.len() + 3);
        out.array(self.keys.len());
        for key in &self.keys {
            out.map(7);
            out.int(KEY_TYPE).int(TYPE_OKP);
            out.int(KEY_ID).bytes(&key.kid.0);
            out.int(KEY_ALG).int(ALG_EDDSA);
            out.int(OKP_CURVE).int(CURVE_ED25519);
            out.int(OKP_X).bytes(key.key.as_bytes());
            out.int(KEY_NOT_BEFORE).int(unix(key.not_before).into());
            out.int(KEY_NOT_AFTER).int(unix(key.not_after).into());
        }
        out.finish()
    }
}

fn decode_keys(payload: &[u8]) -> Result<Vec<PublicKey>, KeySetError> {
    let mut reader = Reader::new(payload);
    let count = reader.array()?;
    if count > KEYS_MAX {
        return Err(KeySetError::KeyCount(count));
    }
    let keys = (0..count).map(|index| decode_key(&mut reader, index)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(keys)
}

fn decode_key(reader: &mut Reader<'_>, index: usize) -> Result<PublicKey, KeySetError> {
    let bad = |what| KeySetError::BadKey { index, what };
    let (mut key_type, mut kid, mut alg, mut curve) = (None, None, None, None);
    let (mut x, mut not_before, mut not_after) = (None, None, None);
    reader.int_map::<KeySetError>(|label, value| {
        match label {
            KEY_TYPE => key_type = Some(value.int()?),
            KEY_ID => kid = Some(Kid(value.byte_array("a key id of 8 bytes")?)),
            KEY_ALG => alg = Some(value.int()?),
            OKP_CURVE => curve = Some(value.int()?),
            OKP_X => x = Some(value.byte_array("a key of 32 bytes")?),
            KEY_NOT_BEFORE => not_before = Some(value.uint::<u32>()?),
            KEY_NOT_AFTER => not_after = Some(value.uint::<u32>()?),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if key_type != Some(TYPE_OKP) || curve != Some(CURVE_ED25519) || !matches!(alg, Some(ALG_EDDSA | ALG_ED25519)) {
        return Err(bad("is not an Ed25519 key"));
    }
    let x = x.ok_or(bad("has no public key"))?;
    let key = VerifyingKey::from_bytes(&x).map_err(|_| bad("is not a point on the curve"))?;
    if key.is_weak() {
        return Err(bad("is weak"));
    }
    if kid != Some(Kid::of(&key)) {
        return Err(bad("has an id that is not its own"));
    }
    let not_before = Timestamp::from_unix_seconds(not_before.ok_or(bad("has no start"))?.into());
    let not_after = Timestamp::from_unix_seconds(not_after.ok_or(bad("has no end"))?.into());
    Ok(PublicKey::new(key, not_before, not_after))
}

fn jwk(key: &PublicKey) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": key.kid.base64url(),
        "x": BASE64URL_NOPAD.encode(key.key.as_bytes()),
        "nbf": key.not_before.unix_seconds(),
        "exp": key.not_after.unix_seconds(),
    })
}

fn read_jwk(jwk: &Value, index: usize) -> Result<PublicKey, KeySetError> {
    let bad = |what| KeySetError::BadKey { index, what };
    if jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" {
        return Err(bad("is not an Ed25519 key"));
    }
    let x = jwk["x"].as_str().ok_or(bad("has no public key"))?;
    let key = parse_public_key(x).ok_or(bad("is not a point on the curve"))?;
    if jwk["kid"] != Kid::of(&key).base64url() {
        return Err(bad("has an id that is not its own"));
    }
    let moment = |member| jwk[member].as_i64().map(Timestamp::from_unix_seconds);
    let not_before = moment("nbf").ok_or(bad("has no start"))?;
    let not_after = moment("exp").ok_or(bad("has no end"))?;
    Ok(PublicKey::new(key, not_before, not_after))
}

/// A public key from base64url without padding, as a verifier pins its root. None: not 32 bytes, or no sound key.
pub fn parse_public_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

/// Unix seconds, held to what four bytes can say.
fn unix(at: Timestamp) -> u32 {
    u32::try_from(at.unix_seconds().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
