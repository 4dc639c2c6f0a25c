use crate::{
    charge::{Home, Reference},
    msisdn::Msisdn,
    passenger::Language,
    store::{KeyGuard, Slot},
    transit::VehicleCode,
};

/// Who is about to buy what, and under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorQuestion {
    /// Whose balance is to pay.
    pub msisdn: Msisdn,
    /// The vehicle.
    pub vehicle: VehicleCode,
    /// The idempotency key.
    pub guard: KeyGuard,
    /// The message from a passenger that the key may be the id of.
    pub mo: Option<Reference>,
}

/// What is kept already of a purchase to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// The charge that the key stands for, whether the body was the same, and whether it was a repeat.
    pub key: Option<(Reference, bool, bool)>,
    /// The number's carrier.
    pub home: Option<Home>,
    /// The language that the subscriber chose.
    pub language: Option<Language>,
    /// The slot of the subscriber and vehicle, held or not.
    pub slot: Option<Slot>,
    /// Whether the message is there and was handed over.
    pub is_handed_over: bool,
}
