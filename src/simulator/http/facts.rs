//! What the carrier knows of a subscriber and tells who asks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    simulator::subscribers::{Condition, Subscriber},
};

/// What is told of a number. What is left out follows from its conditions; so a fact can be told that the charge itself
/// does not mind, and the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriberFacts {
    /// When the SIM was replaced last. Left out: an hour ago under `recent_sim_swap`, otherwise never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim_swapped_at: Option<Timestamp>,
    /// Left out: business under `corporate_number`, otherwise prepaid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract_type: Option<ContractType>,
    /// The unpaid trust payment, in tiyn; 0 for none. Left out: 50000 under `credit_debt`, otherwise none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debt_minor: Option<i64>,
    /// Whether the number was topped up since its activation. Left out: not under `no_top_up_since_activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topped_up: Option<bool>,
    /// Whether the balance that came with the number is untouched. Left out: only under `initial_balance_unused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_balance_untouched: Option<bool>,
    /// Since when the number is this subscriber's. Left out: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_since: Option<Timestamp>,
    /// The carrier that the number belongs to, as the portability look-up tells. Left out: this one; under `unknown`, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
}

/// The kind of contract (CAMARA Tenure v0.2, `contractType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractType {
    /// `PAYG`.
    Prepaid,
    /// `PAYM`.
    Contract,
    /// `Business`.
    Business,
}

impl SubscriberFacts {
    /// Nothing but what follows from the conditions.
    pub const NONE: SubscriberFacts = SubscriberFacts {
        sim_swapped_at: None,
        contract_type: None,
        debt_minor: None,
        topped_up: None,
        initial_balance_untouched: None,
        subscriber_since: None,
        carrier: None,
    };

    pub(in crate::simulator) fn is_empty(&self) -> bool {
        *self == SubscriberFacts::NONE
    }
}

/// The debt of who is under `credit_debt` and has no other, in tiyn.
const DEBT_MINOR: i64 = 50_000;
/// How long ago the SIM of who is under `recent_sim_swap` was replaced.
const SWAPPED_AGO: Duration = Duration::from_secs(3_600);

impl Subscriber {
    /// Whether the number is this carrier's.
    pub(super) fn is_ours(&self) -> bool {
        !self.conditions.contains(&Condition::Unknown)
    }

    pub(super) fn sim_swapped_at(&self, now: Timestamp) -> Option<Timestamp> {
        let recently = self.conditions.contains(&Condition::RecentSimSwap).then(|| now.minus(SWAPPED_AGO));
        self.facts.sim_swapped_at.or(recently)
    }

    pub(super) fn contract_type(&self) -> ContractType {
        self.facts.contract_type.unwrap_or(match self.conditions.contains(&Condition::CorporateNumber) {
            true => ContractType::Business,
            false => ContractType::Prepaid,
        })
    }

    /// In tiyn.
    pub(super) fn debt_minor(&self) -> i64 {
        self.facts.debt_minor.unwrap_or(match self.conditions.contains(&Condition::CreditDebt) {
            true => DEBT_MINOR,
            false => 0,
        })
    }

    pub(super) fn is_topped_up(&self) -> bool {
        self.facts.topped_up.unwrap_or(!self.conditions.contains(&Condition::NoTopUpSinceActivation))
    }

    pub(super) fn is_initial_balance_untouched(&self) -> bool {
        self.facts.initial_balance_untouched.unwrap_or(self.conditions.contains(&Condition::InitialBalanceUnused))
    }
}
