use crate::{
    charge::Reference, clock::Timestamp, ledger::Account, money::Currency, msisdn::Msisdn, transit::VehicleCode,
};

/// Which charges to list. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargeFilter {
    /// Of this subscriber.
    pub msisdn: Option<Msisdn>,
    /// On this vehicle.
    pub vehicle: Option<VehicleCode>,
    /// With this [`State::code`](crate::charge::State::code).
    pub state: Option<String>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Only those whose reference is smaller than this: where the page before ended.
    pub before: Option<Reference>,
}

/// Which tickets to list. Newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketFilter {
    /// Valid at the given moment.
    Active,
    /// Expired or revoked at the given moment.
    Past,
}

/// What is in doubt (M16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InDoubtSummary {
    /// How many charges.
    pub count: u64,
    /// Since when the oldest has been in doubt.
    pub oldest_since: Option<Timestamp>,
    /// What they are worth together, in minor units.
    pub minor: i64,
}

/// What a subscriber has spent, with what is in doubt counted as spent (M14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Minor units.
    pub minor: i64,
    /// Purchases.
    pub purchases: u32,
}

/// The sum of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// The currency.
    pub currency: Currency,
    /// Minor units; a debit balance is positive.
    pub minor: i64,
}
