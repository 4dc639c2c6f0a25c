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
mod tests {
    use ciborium::Value as Cbor;
    use coset::{CborSerializable, CoseKeySet, CoseSign1, TaggedCborSerializable, iana};
    use proptest::prelude::*;

    use super::*;
    use crate::ticket::samples::{at, key};

    fn root() -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[9; 32])
    }

    fn set() -> KeySet {
        let keys = vec![key(1).public().clone(), key(2).public().clone()];
        KeySet { issued_at: at(0), expires_at: at(3_600), keys }
    }

    fn signed() -> Vec<u8> {
        set().sign(&root()).expect("signed")
    }

    #[test]
    fn the_pinned_root_opens_what_it_signed_until_it_expires() {
        let pin = root().verifying_key();
        assert_eq!(KeySet::open(&signed(), &pin, at(0)), Ok(set()));
        assert_eq!(KeySet::open(&signed(), &pin, at(3_599)), Ok(set()));
        assert_eq!(KeySet::open(&signed(), &pin, at(3_600)), Err(KeySetError::Expired(at(3_600))));
        assert_eq!(KeySet::open(&signed(), &pin, at(-300)), Ok(set()));
        assert_eq!(KeySet::open(&signed(), &pin, at(-301)), Err(KeySetError::FromTheFuture(at(0))));
    }

    #[test]
    fn another_root_is_refused_even_under_the_pinned_ones_id() {
        let other = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
        let by_other = set().sign(&other).expect("signed");
        let pin = root().verifying_key();
        assert!(matches!(KeySet::open(&by_other, &pin, at(0)), Err(KeySetError::OtherRoot { .. })));
        let protected = Protected {
            kid: Kid::of(&pin),
            content_type: Some(CONTENT_TYPE_KEY_SET),
            lifetime: Some((unix(at(0)), unix(at(9)))),
        };
        let forged = cose::sign(&other, &protected, &set().encode());
        assert_eq!(KeySet::open(&forged, &pin, at(0)), Err(KeySetError::BadSignature));
    }

    #[test]
    fn a_ticket_is_no_key_set_even_from_the_root() {
        let ticket = crate::ticket::cwt::sign(&crate::ticket::samples::typical(), &root()).expect("signed");
        let refused = KeySet::open(&ticket.cose, &root().verifying_key(), at(0));
        assert!(matches!(refused, Err(KeySetError::Cose(CoseError::WrongContentType { .. }))), "{refused:?}");
        assert!(crate::ticket::cwt::decode_unverified(&signed()).is_err());
    }

    #[test]
    fn a_set_without_a_lifetime_or_keys_or_with_one_twice_is_refused() {
        let pin = root().verifying_key();
        let protected = Protected { kid: Kid::of(&pin), content_type: Some(CONTENT_TYPE_KEY_SET), lifetime: None };
        let eternal = cose::sign(&root(), &protected, &set().encode());
        assert_eq!(KeySet::open(&eternal, &pin, at(0)), Err(KeySetError::NoLifetime));
        assert_eq!(KeySet { keys: vec![], ..set() }.sign(&root()), Err(KeySetError::KeyCount(0)));
        let twice = KeySet { keys: vec![key(1).public().clone(); 2], ..set() };
        assert_eq!(twice.sign(&root()), Err(KeySetError::Duplicate(key(1).public().kid)));
    }

    #[test]
    fn a_key_under_anothers_id_is_refused() {
        let mut forged = set();
        forged.keys[0].kid = Kid([0; 8]);
        let signed = forged.sign(&root()).expect("signed");
        let refused = KeySet::open(&signed, &root().verifying_key(), at(0));
        assert_eq!(refused, Err(KeySetError::BadKey { index: 0, what: "has an id that is not its own" }));
    }

    #[test]
    fn an_independent_implementation_reads_the_signed_set() {
        let message = CoseSign1::from_tagged_slice(&signed()).expect("COSE_Sign1");
        assert_eq!(
            message.protected.header.content_type,
            Some(coset::ContentType::Assigned(iana::CoapContentFormat::CoseKeySet))
        );
        let keys = CoseKeySet::from_slice(&message.payload.expect("a payload")).expect("COSE_KeySet").0;
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].kty, coset::KeyType::Assigned(iana::KeyType::OKP));
        assert_eq!(keys[0].key_id, key(1).public().kid.0);
        let x = keys[0].params.iter().find(|(label, _)| *label == coset::Label::Int(-2)).map(|(_, x)| x.clone());
        assert_eq!(x, Some(Cbor::Bytes(key(1).public().key.as_bytes().to_vec())));
    }

    #[test]
    fn a_jwk_has_the_members_of_rfc_8037() {
        // The key of RFC 8037, appendix A.2.
        let x = BASE64URL_NOPAD.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
        let key = VerifyingKey::from_bytes(&x.try_into().expect("32 bytes")).expect("a key");
        let set = KeySet { keys: vec![PublicKey::new(key, at(0), at(60))], ..set() };
        let jwks = set.to_jwks();
        assert_eq!(jwks["keys"][0]["kty"], "OKP");
        assert_eq!(jwks["keys"][0]["crv"], "Ed25519");
        assert_eq!(jwks["keys"][0]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(jwks["keys"][0]["kid"], set.keys[0].kid.base64url());
    }

    #[test]
    fn the_offline_root_reads_the_exported_jwks_back() {
        assert_eq!(KeySet::keys_from_jwks(&set().to_jwks()), Ok(set().keys));
        let mut jwks = set().to_jwks();
        jwks["keys"][1]["kid"] = "AAAAAAAAAAA".into();
        let refused = Err(KeySetError::BadKey { index: 1, what: "has an id that is not its own" });
        assert_eq!(KeySet::keys_from_jwks(&jwks), refused);
        jwks["keys"][0]["crv"] = "X25519".into();
        let refused = Err(KeySetError::BadKey { index: 0, what: "is not an Ed25519 key" });
        assert_eq!(KeySet::keys_from_jwks(&jwks), refused);
        assert_eq!(KeySet::keys_from_jwks(&json!([])), Err(KeySetError::KeyCount(0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_flipped_bit_fails(position in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = signed();
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            prop_assert!(KeySet::open(&bytes, &root().verifying_key(), at(0)).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(KeySet::open(&bytes, &root().verifying_key(), at(0)).is_err());
            prop_assert!(decode_keys(&bytes).is_err() || !bytes.is_empty());
        }
    }
}
