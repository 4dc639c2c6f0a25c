//! Values that tests of several modules begin with.

use super::{Channel, Order};
use crate::{clock::Timestamp, language::Language, money::Money};

/// One passenger's fare in Almaty, asked for at `received_at` over the API.
pub(crate) fn order(received_at: Timestamp) -> Order {
    Order {
        msisdn: "77011234567".parse().expect("a number"),
        vehicle: "1234".parse().expect("a code"),
        city: "almaty".into(),
        route: "92".into(),
        agency: "green-bus".into(),
        fare_class: "regular".into(),
        passengers: 1,
        amount: Money::kzt(8_000),
        zone: None,
        trip: None,
        channel: Channel::Api { caller: "ticket-service".into() },
        language: Language::Ru,
        extends: None,
        received_at,
    }
}
