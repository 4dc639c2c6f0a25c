//! The carrier's subscribers: balances, conditions, and why one of them may not pay.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::http::SubscriberFacts;
use crate::msisdn::Msisdn;

/// One subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// What the phone's balance holds, in minor units of KZT.
    pub balance_minor: i64,
    /// What is special about this number; mostly nothing.
    #[serde(default)]
    pub conditions: BTreeSet<Condition>,
    /// What the carrier tells of this number where it is asked; what is left out follows from the conditions.
    #[serde(default, skip_serializing_if = "SubscriberFacts::is_empty")]
    pub facts: SubscriberFacts,
    /// The code that this phone receives when a payment is reserved; with one, a reservation waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
}

/// What may be special about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not this carrier's subscriber (any more): nothing can be charged or delivered.
    Unknown,
    /// May not use paid messages. Free ones still arrive.
    Barred,
    /// Belongs to a company.
    CorporateNumber,
    /// Has an unpaid trust payment.
    CreditDebt,
    /// Never topped up since activation.
    NoTopUpSinceActivation,
    /// Has not used the balance that came with the number.
    InitialBalanceUnused,
    /// The SIM was replaced within the last 24 hours.
    RecentSimSwap,
    /// The phone is off: every message stays in the SMSC until its validity period runs out.
    PhoneOff,
}

/// Why the carrier refuses a charge. Each has a vendor `command_status` for charging at submission, and an `err` for
/// receipts where delivery is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The balance does not cover the price.
    InsufficientBalance,
    /// See [`Condition::CorporateNumber`].
    CorporateNumber,
    /// See [`Condition::CreditDebt`].
    CreditDebt,
    /// See [`Condition::NoTopUpSinceActivation`].
    NoTopUpSinceActivation,
    /// See [`Condition::InitialBalanceUnused`].
    InitialBalanceUnused,
    /// See [`Condition::RecentSimSwap`].
    RecentSimSwap,
    /// The account of whoever sends the paid message is empty, not the subscriber's.
    OwnAccountEmpty,
    /// See [`Condition::Unknown`].
    NotOurSubscriber,
    /// See [`Condition::Barred`].
    Barred,
}

impl Refusal {
    /// Every refusal, in the order of its codes.
    pub const ALL: [Refusal; 9] = [
        Refusal::InsufficientBalance,
        Refusal::CorporateNumber,
        Refusal::CreditDebt,
        Refusal::NoTopUpSinceActivation,
        Refusal::InitialBalanceUnused,
        Refusal::RecentSimSwap,
        Refusal::OwnAccountEmpty,
        Refusal::NotOurSubscriber,
        Refusal::Barred,
    ];

    /// The vendor `command_status` of a refused `submit_sm`: 0x450 to 0x458.
    pub const fn command_status(self) -> u32 {
        0x450 + self.offset()
    }

    /// The number behind [`Refusal::err`]: 50 to 58.
    pub(super) fn err_code(self) -> u8 {
        50 + u8::try_from(self.offset()).unwrap_or(0)
    }

    /// The `err` of an UNDELIV receipt: "050" to "058".
    pub fn err(self) -> String {
        format!("{:03}", self.err_code())
    }

    const fn offset(self) -> u32 {
        match self {
            Refusal::InsufficientBalance => 0,
            Refusal::CorporateNumber => 1,
            Refusal::CreditDebt => 2,
            Refusal::NoTopUpSinceActivation => 3,
            Refusal::InitialBalanceUnused => 4,
            Refusal::RecentSimSwap => 5,
            Refusal::OwnAccountEmpty => 6,
            Refusal::NotOurSubscriber => 7,
            Refusal::Barred => 8,
        }
    }
}

impl Condition {
    /// The refusal of a charge that this condition leads to; none where it only delays.
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Condition::Unknown => Some(Refusal::NotOurSubscriber),
            Condition::Barred => Some(Refusal::Barred),
            Condition::CorporateNumber => Some(Refusal::CorporateNumber),
            Condition::CreditDebt => Some(Refusal::CreditDebt),
            Condition::NoTopUpSinceActivation => Some(Refusal::NoTopUpSinceActivation),
            Condition::InitialBalanceUnused => Some(Refusal::InitialBalanceUnused),
            Condition::RecentSimSwap => Some(Refusal::RecentSimSwap),
            Condition::PhoneOff => None,
        }
    }
}

impl Subscriber {
    /// With `balance_minor` and nothing special.
    pub const fn with_balance(balance_minor: i64) -> Subscriber {
        Subscriber { balance_minor, conditions: BTreeSet::new(), facts: SubscriberFacts::NONE, otp: None }
    }

    /// The same with one more condition.
    pub fn and(mut self, condition: Condition) -> Subscriber {
        self.conditions.insert(condition);
        self
    }

    /// The same with these facts.
    pub fn with_facts(mut self, facts: SubscriberFacts) -> Subscriber {
        self.facts = facts;
        self
    }

    /// The same with a code that reservations wait for.
    pub fn with_otp(mut self, code: &str) -> Subscriber {
        self.otp = Some(code.to_owned());
        self
    }

    /// Takes `price_minor` from the balance.
    ///
    /// Errors: the first condition that forbids it, in the order of [`Condition`], then a balance that is too low.
    /// Nothing is taken then.
    pub(super) fn charge(&mut self, price_minor: i64) -> Result<(), Refusal> {
        if let Some(refusal) = self.conditions.iter().find_map(|condition| condition.refusal()) {
            return Err(refusal);
        }
        match self.balance_minor.checked_sub(price_minor) {
            Some(rest) if rest >= 0 => {
                self.balance_minor = rest;
                Ok(())
            }
            _ => Err(Refusal::InsufficientBalance),
        }
    }
}

/// All subscribers. Numbers that nobody named have the default balance, and are kept from their first charge on.
#[derive(Debug)]
pub(super) struct Subscribers {
    known: BTreeMap<Msisdn, Subscriber>,
    default_balance_minor: i64,
    count_max: usize,
}

/// The table is full: this number cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulator keeps no more than {0} subscribers")]
pub struct TooManySubscribers(pub(super) usize);

impl Subscribers {
    pub(super) fn new(
        known: BTreeMap<Msisdn, Subscriber>,
        default_balance_minor: i64,
        count_max: usize,
    ) -> Subscribers {
        Subscribers { known, default_balance_minor, count_max }
    }

    /// As it is now, whether named or not.
    pub(super) fn get(&self, msisdn: Msisdn) -> Subscriber {
        self.known.get(&msisdn).cloned().unwrap_or(Subscriber::with_balance(self.default_balance_minor))
    }

    /// For a change; kept from now on. Errors: the table is full.
    pub(super) fn get_mut(&mut self, msisdn: Msisdn) -> Result<&mut Subscriber, TooManySubscribers> {
        if self.known.len() >= self.count_max && !self.known.contains_key(&msisdn) {
            return Err(TooManySubscribers(self.count_max));
        }
        Ok(self.known.entry(msisdn).or_insert(Subscriber::with_balance(self.default_balance_minor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_err() {
        let codes: Vec<(u32, String)> = Refusal::ALL.map(|refusal| (refusal.command_status(), refusal.err())).to_vec();
        let expected: Vec<(u32, String)> = (0..9).map(|n| (0x450 + n, format!("05{n}"))).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_charge_takes_the_price_or_nothing() {
        let mut subscriber = Subscriber::with_balance(8_000);
        assert_eq!(subscriber.charge(8_001), Err(Refusal::InsufficientBalance));
        assert_eq!(subscriber.charge(8_000), Ok(()));
        assert_eq!(subscriber.balance_minor, 0);
        let mut debtor = Subscriber::with_balance(8_000).and(Condition::CreditDebt);
        assert_eq!(debtor.charge(1), Err(Refusal::CreditDebt));
        assert_eq!(debtor.balance_minor, 8_000);
    }

    #[test]
    fn a_phone_that_is_off_can_still_be_charged_at_submission() {
        assert_eq!(Subscriber::with_balance(5).and(Condition::PhoneOff).charge(5), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_but_known_numbers_stay_reachable() {
        let [first, second] = ["77010000001", "77010000002"].map(|text| text.parse::<Msisdn>().expect("a number"));
        let mut subscribers = Subscribers::new(BTreeMap::new(), 100, 1);
        subscribers.get_mut(first).expect("room for one").balance_minor = 7;
        assert_eq!(subscribers.get_mut(second).err(), Some(TooManySubscribers(1)));
        assert_eq!(subscribers.get(first).balance_minor, 7);
        assert_eq!(subscribers.get(second).balance_minor, 100);
    }
}
