use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

use super::*;
use crate::ticket::{
    Keyring, SigningKey,
    contents::ContentsError,
    cwt, parse_public_key,
    qr::TicketQr,
    samples::{any_contents, at, key, keyring, typical, worst},
};

fn verifier() -> Verifier {
    let keys = keyring().public_keys(at(0));
    Verifier::new(KeySet { issued_at: at(-3_600), expires_at: at(50_000), keys })
}

fn ticket() -> Vec<u8> {
    keyring().sign(&typical()).expect("signed").cose
}

fn none() -> Revocations {
    Revocations::default()
}

fn revoked() -> Revocations {
    [typical().reference].into_iter().collect()
}

fn dalek(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn a_ticket_is_valid_on_its_vehicle_in_its_time() {
    let verdict = |second, vehicle| verifier().verify(&ticket(), at(second), vehicle, &none());
    assert_eq!(verdict(0, Some("1234")), Verdict::Valid(typical()));
    assert_eq!(verdict(3_599, None), Verdict::Valid(typical()));
    assert_eq!(verdict(0, Some("1235")), Verdict::OtherVehicle(typical()));
    assert_eq!(verdict(9_999, Some("1234")), Verdict::Expired(typical()));
}

#[test]
fn clocks_may_be_a_minute_off_to_the_passengers_benefit() {
    let verdict = |second| verifier().verify(&ticket(), at(second), None, &none());
    assert_eq!(verdict(-61), Verdict::Invalid(Fault::NotYetValid(at(0))));
    assert_eq!(verdict(-60), Verdict::Valid(typical()));
    assert_eq!(verdict(3_659), Verdict::Valid(typical()));
    assert_eq!(verdict(3_660), Verdict::Expired(typical()));
    let strict = verifier().with_clock_skew(Duration::ZERO);
    assert_eq!(strict.verify(&ticket(), at(3_600), None, &none()), Verdict::Expired(typical()));
}

#[test]
fn a_revoked_ticket_is_invalid_before_it_is_expired() {
    let reference = typical().reference;
    for second in [0, 9_999] {
        let verdict = verifier().verify(&ticket(), at(second), Some("1235"), &revoked());
        assert_eq!(verdict, Verdict::Invalid(Fault::Revoked(reference)));
    }
}

#[test]
fn an_unknown_key_means_that_the_device_cannot_tell() {
    let newer = cwt::sign(&typical(), &dalek(2)).expect("signed");
    let verdict = verifier().verify(&newer.cose, at(0), None, &none());
    assert_eq!(verdict, Verdict::CannotTell(Doubt::UnknownKey(newer.kid)));
}

#[test]
fn a_forgery_under_a_known_id_is_a_forgery_even_to_an_old_key_set() {
    let forged = cwt::sign_as(&typical(), &dalek(2), key(1).public().kid).expect("signed");
    for second in [0, 99_999] {
        let verdict = verifier().verify(&forged.cose, at(second), Some("1235"), &revoked());
        assert_eq!(verdict, Verdict::Invalid(Fault::BadSignature));
    }
}

#[test]
fn an_expired_key_set_vouches_for_nothing() {
    let verdict = verifier().verify(&ticket(), at(50_000), Some("1235"), &revoked());
    assert_eq!(verdict, Verdict::CannotTell(Doubt::KeySetExpired(at(50_000))));
}

#[test]
fn a_key_signs_neither_before_its_time_nor_past_its_end() {
    let window = SigningKey::new(&[1; 32], at(-10), at(3_600)).expect("a window");
    let keys = Keyring::new(vec![window]).expect("a ring").public_keys(at(0));
    let kid = keys[0].kid;
    let verifier = Verifier::new(KeySet { issued_at: at(0), expires_at: at(50_000), keys });
    let verdict = |change: fn(&mut TicketContents)| {
        let mut contents = typical();
        change(&mut contents);
        let ticket = cwt::sign(&contents, &dalek(1)).expect("signed");
        verifier.verify(&ticket.cose, at(0), None, &none())
    };
    assert!(matches!(verdict(|_| {}), Verdict::Valid(_)));
    assert_eq!(verdict(|c| c.issued_at = at(-11)), Verdict::Invalid(Fault::OutsideKeyWindow(kid)));
    assert_eq!(verdict(|c| c.issued_at = at(3_600)), Verdict::Invalid(Fault::OutsideKeyWindow(kid)));
    assert_eq!(verdict(|c| c.expires_at = at(3_601)), Verdict::Invalid(Fault::OutsideKeyWindow(kid)));
}

#[test]
fn genuine_nonsense_is_still_no_ticket() {
    // Signed by our key by some mistake, with no passengers: the shape is checked first.
    let mut cose = ticket();
    let place = cose.windows(2).position(|pair| pair == [0x02, 0x01]).expect("passengers");
    cose[place + 1] = 0;
    let verdict = verifier().verify(&cose, at(0), None, &none());
    assert_eq!(verdict, Verdict::Invalid(Fault::Malformed(DecodeError::Contents(ContentsError::NoPassengers))));
}

#[test]
fn a_text_that_is_no_ticket_is_invalid() {
    let verdict = |text: &str| verifier().verify_text(text, at(0), None, &none());
    assert_eq!(verdict(&qr::to_text(&ticket())), Verdict::Valid(typical()));
    assert_eq!(verdict("https://example.kz/"), Verdict::Invalid(Fault::NotATicket(TextError::NoPrefix)));
    assert_eq!(verdict("SB1:"), Verdict::Invalid(Fault::Malformed(cwt::decode_unverified(&[]).expect_err("empty"))));
}

#[test]
fn small_order_keys_and_second_spellings_of_a_signature_do_not_pass() {
    // S + L verifies under lenient rules.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut cose = ticket();
    let start = cose.len() - 32;
    let mut carry = 0_u16;
    for (byte, add) in cose[start..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(verifier().verify(&cose, at(0), None, &none()), Verdict::Invalid(Fault::BadSignature));
}

/// Writes them to a folder of its own, or to the one that `SMSBUSD_TICKET_SAMPLES` names:
/// `scripts/third-party/ticket-verify.py` takes them from there.
#[test]
fn a_verifier_needs_nothing_but_the_published_files() {
    let own = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("SMSBUSD_TICKET_SAMPLES").map_or(own.path().to_owned(), std::path::PathBuf::from);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("written");
    let read = |name: &str| std::fs::read(folder.join(name)).expect("read");

    let root = dalek(9);
    let keys = keyring().public_keys(at(0));
    let set = KeySet { issued_at: at(0), expires_at: at(50_000), keys };
    write("key-set.cose", &set.sign(&root).expect("signed"));
    write("jwks.json", set.to_jwks().to_string().as_bytes());
    write("root.pub", BASE64URL_NOPAD.encode(root.verifying_key().as_bytes()).as_bytes());
    write("ticket.jws", keyring().sign_jws(&typical()).expect("signed").as_bytes());
    write("worst.cose", &cwt::sign(&worst(), &dalek(1)).expect("signed").cose);
    for name in ["ticket", "worst"] {
        let cose = if name == "ticket" { ticket() } else { read("worst.cose") };
        write(&format!("{name}.cose"), &cose);
        write(&format!("{name}.txt"), qr::to_text(&cose).as_bytes());
        write(&format!("{name}.svg"), TicketQr::new(&cose).expect("drawn").to_svg().as_bytes());
    }

    let root = parse_public_key(&String::from_utf8(read("root.pub")).expect("text")).expect("a key");
    let verifier = Verifier::new(KeySet::open(&read("key-set.cose"), &root, at(0)).expect("trusted"));
    let text = String::from_utf8(read("ticket.txt")).expect("text");
    assert_eq!(verifier.verify_text(&text, at(0), Some("1234"), &none()), Verdict::Valid(typical()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_signed_ticket_is_valid_in_its_time(contents in any_contents()) {
        let ticket = keyring().sign(&contents).expect("signed");
        let verdict = verifier().with_clock_skew(Duration::ZERO);
        let verdict = |at| verdict.verify(&ticket.cose, at, Some(&contents.vehicle), &Revocations::default());
        prop_assume!(contents.expires_at < at(50_000));
        prop_assert_eq!(verdict(contents.not_before), Verdict::Valid(ticket.contents.clone()));
        prop_assert_eq!(verdict(contents.expires_at), Verdict::Expired(ticket.contents.clone()));
    }

    #[test]
    fn any_flipped_bit_fails(position in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = ticket();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        let verdict = verifier().verify(&bytes, at(0), Some("1234"), &Revocations::default());
        prop_assert!(matches!(verdict, Verdict::Invalid(_) | Verdict::CannotTell(Doubt::UnknownKey(_))), "{verdict:?}");
    }

    #[test]
    fn nothing_panics_and_nothing_unsigned_passes(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(SB1:)?[0-9A-Z $%*+./:-]{0,320}") {
        for verdict in [
            verifier().verify(&bytes, at(0), None, &Revocations::default()),
            verifier().verify_text(&text, at(0), None, &Revocations::default()),
        ] {
            prop_assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
        }
    }
}
