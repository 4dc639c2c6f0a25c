//! What a ticket costs, beside the raw Ed25519 signature that no ticket can go below.
//!
//! `cargo bench --bench ticket`. The last lines give each figure as a ratio to the raw signature of the same run.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::Criterion;
use ed25519_dalek::Signer;
use smsbusd::{
    clock::Timestamp,
    money::Money,
    ticket::{KeySet, Keyring, Revocations, SigningKey, TicketContents, Verifier, cwt, qr},
};
use uuid::Uuid;

const MORNING: i64 = 1_772_350_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(MORNING + seconds)
}

fn contents() -> TicketContents {
    TicketContents {
        reference: Uuid::from_u128(0x019c_a84c_a0c0_7123_8456_789a_bcde_f012),
        issuer: "smsbus".into(),
        issued_at: at(0),
        not_before: at(0),
        expires_at: at(3_600),
        fare_class: "adult".into(),
        passengers: 1,
        amount: Money::kzt(8_000),
        city: "ala".into(),
        vehicle: "1234".into(),
        route: "12A".into(),
        trip: None,
        msisdn_tag: [1, 2, 3, 4],
    }
}

/// Runs each case for a while, in turns, so that a machine that slows down slows all of them; the median of the turns.
fn nanoseconds<const N: usize>(cases: [&dyn Fn(); N]) -> [u128; N] {
    const TURNS: usize = 501;
    const RUNS: u32 = 16;
    let mut turns = vec![[Duration::ZERO; N]; TURNS];
    for turn in &mut turns {
        for (case, took) in cases.iter().zip(turn.iter_mut()) {
            let start = Instant::now();
            (0..RUNS).for_each(|_| case());
            *took = start.elapsed() / RUNS;
        }
    }
    std::array::from_fn(|case| {
        let mut times: Vec<u128> = turns.iter().map(|turn| turn[case].as_nanos()).collect();
        times.sort_unstable();
        times[TURNS / 2]
    })
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn main() {
    let contents = contents();
    let raw = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let ring = Keyring::new(vec![SigningKey::new(&[1; 32], at(-60), at(86_400)).expect("a window")]).expect("a ring");
    let cose = ring.sign(&contents).expect("signed").cose;
    let text = qr::to_text(&cose);
    let keys = KeySet { issued_at: at(0), expires_at: at(86_400), keys: ring.public_keys(at(0)) };
    let verifier = Verifier::new(keys);
    let revoked: Revocations = (0..1_000).map(Uuid::from_u128).collect();
    // As long as the Sig_structure of this ticket.
    let message = [0x5a; 115];

    let raw_signature = || _ = black_box(raw.sign(black_box(&message)));
    let to_cose = || drop(black_box(ring.sign(black_box(&contents))));
    let to_sb1 = || drop(black_box(ring.sign(black_box(&contents)).map(|ticket| qr::to_text(&ticket.cose))));
    let decoding = || drop(black_box(cwt::decode_unverified(black_box(&cose))));
    let verification = || drop(black_box(verifier.verify_text(black_box(&text), at(60), Some("1234"), &revoked)));
    let drawing = || drop(black_box(qr::TicketQr::new(black_box(&cose)).map(|drawn| drawn.to_svg())));

    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(2)).configure_from_args();
    criterion.bench_function("raw Ed25519 signature", |b| b.iter(raw_signature));
    criterion.bench_function("contents to COSE", |b| b.iter(to_cose));
    criterion.bench_function("contents to SB1 text", |b| b.iter(to_sb1));
    criterion.bench_function("decoding without verification", |b| b.iter(decoding));
    criterion.bench_function("SB1 text to verdict", |b| b.iter(verification));
    criterion.bench_function("COSE to QR as SVG", |b| b.iter(drawing));
    criterion.final_summary();

    let names =
        ["raw Ed25519 signature", "contents to COSE", "contents to SB1 text", "decoding", "SB1 text to verdict"];
    let took = nanoseconds([&raw_signature, &to_cose, &to_sb1, &decoding, &verification]);
    for (name, nanoseconds) in names.iter().zip(took) {
        let hundredths = nanoseconds * 100 / took[0].max(1);
        println!("{name:<24} {nanoseconds:>8} ns  {}.{:02} × raw", hundredths / 100, hundredths % 100);
    }
}
