//! Contents and keys that the tests of this module share. Nothing here is secret or real.

use proptest::prelude::*;
use uuid::Uuid;

use super::{Keyring, SigningKey, TicketContents, contents::limits};
use crate::{
    clock::Timestamp,
    money::{Currency, Money},
};

/// 2026-03-01T07:30:00Z, a Sunday morning in Almaty.
pub(crate) const MORNING: i64 = 1_772_350_200;

pub(crate) fn at(seconds_after_morning: i64) -> Timestamp {
    Timestamp::from_unix_seconds(MORNING + seconds_after_morning)
}

pub(crate) fn typical() -> TicketContents {
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
        msisdn_tag: [0xde, 0xad, 0xbe, 0xef],
    }
}

/// Every field as long as it may be.
pub(crate) fn worst() -> TicketContents {
    TicketContents {
        reference: Uuid::max(),
        issuer: "i".repeat(limits::ISSUER),
        issued_at: Timestamp::from_unix_seconds(u32::MAX.into()),
        not_before: Timestamp::from_unix_seconds(i64::from(u32::MAX) - 1),
        expires_at: Timestamp::from_unix_seconds(u32::MAX.into()),
        fare_class: "f".repeat(limits::FARE_CLASS),
        passengers: u8::MAX,
        amount: Money::new(u32::MAX.into(), Currency::Usd),
        city: "c".repeat(limits::CITY),
        vehicle: "v".repeat(limits::VEHICLE),
        route: "r".repeat(limits::ROUTE),
        trip: Some("t".repeat(limits::TRIP)),
        msisdn_tag: [0xff; 4],
    }
}

/// A key good for a day either side of the morning.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::new(&[seed; 32], at(-86_400), at(86_400)).expect("a window")
}

pub(crate) fn keyring() -> Keyring {
    Keyring::new(vec![key(1)]).expect("one key")
}

prop_compose! {
    /// Any contents that can be signed by [`keyring`].
    pub(crate) fn any_contents()(
        reference in any::<u128>(),
        issuer in "[a-z]{1,6}",
        start in 0_i64..80_000,
        length in 1_i64..6_000,
        fare_class in "[a-zж]{1,3}",
        passengers in 1_u8..,
        minor in any::<u32>(),
        currency in prop::sample::select(vec![Currency::Kzt, Currency::Kgs, Currency::Uzs, Currency::Rub, Currency::Eur, Currency::Usd]),
        city in "[a-z]{1,6}",
        vehicle in "[0-9A-Z]{1,8}",
        route in "[0-9А-Я]{1,3}",
        trip in prop::option::of("[0-9a-z-]{1,12}"),
        msisdn_tag in any::<[u8; 4]>(),
    ) -> TicketContents {
        TicketContents {
            reference: Uuid::from_u128(reference),
            issuer,
            issued_at: at(start),
            not_before: at(start),
            expires_at: at(start + length),
            fare_class,
            passengers,
            amount: Money::new(minor.into(), currency),
            city,
            vehicle,
            route,
            trip,
            msisdn_tag,
        }
    }
}
