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
