use ciborium::Value;
use coset::{CborSerializable, CoseKey, CoseSign1, TaggedCborSerializable, cwt::ClaimsSet, iana};
use data_encoding::HEXLOWER;
use ed25519_dalek::{SigningKey, VerifyingKey};
use proptest::prelude::*;

use super::*;
use crate::ticket::{
    qr::COSE_BYTES_MAX,
    samples::{any_contents, typical, worst},
};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The protected header of [`key`].
fn protected() -> Protected {
    Protected { kid: Kid::of(&key().verifying_key()), content_type: None, lifetime: None }
}

/// A ticket whose payload is `hex`, properly signed.
fn ticket_of(hex: &str) -> Vec<u8> {
    cose::sign(&key(), &protected(), &unhex(hex))
}

/// COSE_Sign1 with this protected header around the claims of a typical ticket. The signature is nonsense: it is not looked
/// at before the shape.
fn envelope(header: &str, unprotected: &str) -> Vec<u8> {
    let mut bytes = unhex("d284");
    let header = unhex(header);
    bytes.extend(Writer::default().bytes(&header).finish());
    bytes.extend(unhex(unprotected));
    bytes.extend(Writer::default().bytes(&encode_claims(&typical()).expect("claims")).bytes(&[0; 64]).finish());
    bytes
}

fn unhex(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.replace([' ', '\n'], "").as_bytes()).expect("hex")
}

fn refused(bytes: &[u8]) -> DecodeError {
    decode_unverified(bytes).expect_err("refused")
}

/// Fixed key and contents, fixed bytes: whatever changes them breaks every ticket in passengers' hands.
#[test]
fn a_ticket_stays_the_same_from_release_to_release() {
    let ticket = sign(&typical(), &key()).expect("signed");
    assert_eq!(HEXLOWER.encode(&ticket.cose), PINNED);
    assert_eq!(decode_unverified(&unhex(PINNED)), Ok(typical()));
}

const PINNED: &str = "d2844da20127044834750f98bd59fcfca05856a60166736d73627573041a69a3f908051a69a3eaf8061a69a3eaf80750019c\
     a84ca0c071238456789abcdef0123a00010000a701656164756c74020103191f400563616c61066431323334076331324109\
     44deadbeef5840f5e9d59ec69cbaf4bd1768f7cb09ce93e24a882e36393663aac9789e4b0a14429d13b085d84e306fce8092\
     7a2ee6752a3dba70d58838587764556477d7b55d08";

#[test]
fn the_worst_ticket_fits_its_qr_code_and_the_typical_one_is_far_from_it() {
    let size = |contents| sign(&contents, &key()).expect("signed").cose.len();
    let (typical, worst) = (size(typical()), size(worst()));
    println!("typical {typical} bytes, worst {worst} bytes, limit {COSE_BYTES_MAX}");
    assert!(worst <= COSE_BYTES_MAX, "{worst}");
    assert!((140..=172).contains(&typical), "{typical}");
}

#[test]
fn an_independent_implementation_reads_and_verifies_it() {
    let ticket = sign(&worst(), &key()).expect("signed");
    let message = CoseSign1::from_tagged_slice(&ticket.cose).expect("COSE_Sign1");
    let public: VerifyingKey = key().verifying_key();
    assert_eq!(message.protected.header.alg, Some(coset::Algorithm::Assigned(iana::Algorithm::EdDSA)));
    assert_eq!(message.protected.header.key_id, ticket.kid.0);
    message
        .verify_signature(&[], |signature, data| {
            public.verify_strict(data, &ed25519_dalek::Signature::from_slice(signature).expect("64 bytes"))
        })
        .expect("verifies");

    let claims = ClaimsSet::from_slice(&message.payload.expect("a payload")).expect("CWT claims");
    assert_eq!(claims.issuer, Some(worst().issuer));
    assert_eq!(claims.cwt_id, Some(worst().reference.as_bytes().to_vec()));
    assert_eq!(claims.expiration_time, Some(coset::cwt::Timestamp::WholeSeconds(u32::MAX.into())));
    let (label, ours) = &claims.rest[0];
    assert_eq!(*label, coset::cwt::ClaimName::PrivateUse(-65_537));
    let Value::Map(ours) = ours else { panic!("a map, not {ours:?}") };
    assert_eq!(ours.len(), 9);
    assert_eq!(ours[3], (Value::from(4), Value::from(840)));
}

/// RFC 9052, appendix C.2.1 is ECDSA; the Ed25519 example of the COSE working group is `eddsa-sig-01`.
#[test]
fn our_sig_structure_and_envelope_agree_with_the_working_groups_example() {
    let message = unhex(
        "d28445a201270300a104423131545468697320697320746865 20636f6e74656e742e5840
         7142fd2ff96d56db85bee905a76ba1d0b7321a95c8c4d3607c5781932b7afb87
         11497dfa751bf40b58b3bcc32300b1487f3db34085eef013bf08f4a44d6fef0d",
    );
    // Its key id stands in the unprotected header, which our profile forbids.
    assert_eq!(refused(&message), DecodeError::Cose(CoseError::UnprotectedHeader));
    let public = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let secret = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = SigningKey::from_bytes(&secret.try_into().expect("32 bytes"));
    assert_eq!(key.verifying_key().as_bytes().as_slice(), public);
    let signature = &message[message.len() - 64..];
    assert_eq!(cose::signature_of(&key, &unhex("a201270300"), b"This is the content."), signature);
}

/// RFC 8392, appendix A.1: its claims, to which ours are added.
#[test]
fn claims_are_encoded_as_in_rfc_8392() {
    let claims = encode_claims(&typical()).expect("claims");
    let mut reader = Reader::new(&claims);
    let mut labels = Vec::new();
    reader
        .int_map::<CborError>(|label, value| {
            labels.push(label);
            value.skip()
        })
        .expect("a map");
    assert_eq!(labels, [1, 4, 5, 6, 7, -65_537]);
    // The whole example has claims 2 and 3 too, its times differ, and it lacks ours.
    let example = "a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e
                   6578616d706c652e636f6d041a5612aeb0051a5610d9f0061a5610d9f007420b71";
    assert!(matches!(
        refused(&ticket_of(example)),
        DecodeError::Claims(CborError::WrongType { wanted: "a reference of 16 bytes", .. })
    ));
}

#[test]
fn times_are_signed_in_whole_seconds_rounded_down() {
    let mut contents = typical();
    contents.expires_at = contents.expires_at.plus(std::time::Duration::from_millis(999));
    let ticket = sign(&contents, &key()).expect("signed");
    assert_eq!(ticket.contents, typical());
    assert_eq!(decode_unverified(&ticket.cose), Ok(typical()));
}

#[test]
fn the_header_must_be_ours() {
    let read = |header: &str, unprotected: &str| decode_unverified(&envelope(header, unprotected));
    let kid = "0448a1a2a3a4a5a6a7a8";
    assert_eq!(read(&format!("a20127{kid}"), "a0"), Ok(typical()));
    assert_eq!(read(&format!("a20132{kid}"), "a0"), Ok(typical()), "-19");
    assert_eq!(read(&format!("a30127{kid}1863f5"), "a0"), Ok(typical()), "an unknown header that is not critical");
    let fails = |header: &str, unprotected: &str| match read(header, unprotected) {
        Err(DecodeError::Cose(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(fails(&format!("a20126{kid}"), "a0"), CoseError::WrongAlgorithm(-7), "ES256");
    assert_eq!(fails(&format!("a1{kid}"), "a0"), CoseError::MissingHeader("the algorithm"));
    assert_eq!(fails("a10127", "a0"), CoseError::MissingHeader("the key id"));
    assert_eq!(fails(&format!("a3012702811863{kid}"), "a0"), CoseError::CriticalHeader);
    assert_eq!(fails(&format!("a20127{kid}"), "a11863f5"), CoseError::UnprotectedHeader);
    assert_eq!(fails(&format!("a2{kid}0127"), "a0"), CoseError::Cbor(CborError::NotDeterministic(11)));
    assert_eq!(fails(&format!("a301270127{kid}"), "a0"), CoseError::Cbor(CborError::DuplicateKey(3)));
    assert_eq!(fails(&format!("a2013807{kid}"), "a0"), CoseError::Cbor(CborError::NotDeterministic(2)));
    assert!(matches!(fails("a201270441a1", "a0"), CoseError::Cbor(CborError::WrongType { .. })));
    assert!(matches!(fails(&format!("a301270318{:02x}{kid}", 102), "a0"), CoseError::WrongContentType { .. }));
}

#[test]
fn the_envelope_must_be_a_tagged_sign1_with_nothing_after_it() {
    let mut bytes = sign(&typical(), &key()).expect("signed").cose;
    assert!(matches!(refused(&bytes[1..]), DecodeError::Cose(CoseError::Cbor(CborError::WrongType { at: 0, .. }))));
    bytes.push(0);
    assert_eq!(refused(&bytes), DecodeError::Cose(CoseError::Cbor(CborError::Trailing(bytes.len() - 1))));
    bytes[0] = 0xd1;
    assert_eq!(refused(&bytes), DecodeError::Cose(CoseError::WrongTag(17)));
    assert_eq!(refused(&unhex("d28340a040")), DecodeError::Cose(CoseError::WrongLength(3)));
    assert_eq!(refused(&[0; 513]), DecodeError::TooLong(513));
}

#[test]
fn claims_must_be_there_once_and_of_their_type() {
    // iss, exp, nbf, iat, cti, ours: each as it is in a typical ticket.
    let parts = [
        ("its issuer (iss)", "0166736d73627573"),
        ("its expiry (exp)", "041a69a3f908"),
        ("its start (nbf)", "051a69a3eaf8"),
        ("its issue time (iat)", "061a69a3eaf8"),
        ("its reference (cti)", "0750019ca84ca0c071238456789abcdef012"),
    ];
    let ours = "3a00010000a701656164756c740201031 91f40 0563616c61 066431323334 0763313241 0944deadbeef";
    let whole: String = parts.iter().map(|(_, hex)| *hex).collect();
    assert_eq!(decode_unverified(&ticket_of(&format!("a6{whole}{ours}"))), Ok(typical()));

    for (missing, _) in parts {
        let rest: String = parts.iter().filter(|(name, _)| *name != missing).map(|(_, hex)| *hex).collect();
        assert_eq!(refused(&ticket_of(&format!("a5{rest}{ours}"))), DecodeError::Missing(missing));
    }
    assert_eq!(refused(&ticket_of(&format!("a5{whole}"))), DecodeError::Missing("the claim -65537"));
    assert_eq!(refused(&ticket_of(&format!("a6{whole}3a00010000a0"))), DecodeError::Missing("its fare class"));
    assert!(decode_unverified(&ticket_of(&format!("a7{whole}0800{ours}"))).is_ok(), "an unknown claim is passed over");

    let with_ours = |from: &str, to: &str| {
        let ours = ours.replace(' ', "");
        assert!(ours.contains(from), "{from}");
        refused(&ticket_of(&format!("a6{whole}{}", ours.replace(from, to))))
    };
    assert!(matches!(with_ours("01656164756c74", "0101"), DecodeError::Claims(CborError::WrongType { .. })));
    assert!(matches!(with_ours("0201", "02190100"), DecodeError::Claims(CborError::OutOfRange(_))));
    assert!(matches!(with_ours("0201", "020a020b"), DecodeError::Claims(CborError::DuplicateKey(_))));
    assert!(matches!(with_ours("0201", "021801"), DecodeError::Claims(CborError::NotDeterministic(_))));
    assert!(matches!(with_ours("0944deadbeef", "0943deadbe"), DecodeError::Claims(CborError::WrongType { .. })));
    assert_eq!(with_ours("0201", "0200"), DecodeError::Contents(ContentsError::NoPassengers));
    let kzt = with_ours("a7", "a8").to_string();
    assert!(kzt.starts_with("the claims cannot be read"), "{kzt}");
}

#[test]
fn tenge_have_one_spelling_and_unknown_currencies_none() {
    let of = |number: &str| {
        let ours = format!(
            "3a00010000a801656164756c740201031 91f40 0419{number}0563616c61066431323334076331324109 44deadbeef"
        );
        let claims = "0166736d73627573041a69a3f908051a69a3eaf8061a69a3eaf80750019ca84ca0c071238456789abcdef012";
        decode_unverified(&ticket_of(&format!("a6{claims}{ours}")))
    };
    assert_eq!(of("0348").map(|contents| contents.amount.currency), Ok(Currency::Usd));
    assert_eq!(of("018e"), Err(DecodeError::UnknownCurrency(398)));
    assert_eq!(of("03e7"), Err(DecodeError::UnknownCurrency(999)));
}

#[test]
fn a_key_id_is_the_beginning_of_the_hash_of_the_public_key() {
    // SHA-256 of the public key of RFC 8037, appendix A, by openssl.
    let public = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let key = VerifyingKey::from_bytes(&public.try_into().expect("32 bytes")).expect("a key");
    assert_eq!(Kid::of(&key).to_string(), "21fe31dfa154a261");
    assert_eq!(CoseKey::default().key_id.len(), 0);
}

proptest! {
    #[test]
    fn what_is_signed_reads_back(contents in any_contents()) {
        let ticket = sign(&contents, &key()).expect("signed");
        prop_assert!(ticket.cose.len() <= COSE_BYTES_MAX);
        prop_assert_eq!(decode_unverified(&ticket.cose), Ok(contents));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_unverified(&bytes);
        let _ = decode_claims(&bytes);
    }

    #[test]
    fn a_damaged_ticket_never_panics_and_what_still_reads_has_no_second_spelling(
        contents in any_contents(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut claims = encode_claims(&contents).expect("claims");
        for (position, byte) in damage {
            let position = position.index(claims.len());
            claims[position] = byte;
        }
        if let Ok(read) = decode_claims(&claims) && read.check().is_ok() {
            let known = encode_claims(&read).expect("claims");
            prop_assert!(known == claims || known.len() < claims.len());
        }
    }
}
