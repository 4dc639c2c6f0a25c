use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    SmppProfile, TariffConfig,
    tariff::{AMOUNTS, CARRIER_ID},
};
use crate::{charge::RefundMessage, smpp::receipt::MessageState};

/// No carrier is waited for any longer.
const RECEIPT_LAG_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How a carrier that charges by SMPP gives money back: by a message of its own, which names the charged one.
///
/// The message goes to the subscriber, and its `submit_sm_resp` and receipts are read by the same tables as those of a charge, if
/// nothing else is said here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundProfile {
    /// What proves that the money went back.
    pub proved_by: RefundProof,
    /// Whether a part of what was taken can go back.
    #[serde(default)]
    pub partial: bool,
    /// What the message says, with the placeholders of [`TlvConfig::value`](super::TlvConfig::value); nothing if left out.
    #[serde(default)]
    pub text: String,
    /// How long after the carrier took the message its receipt may come, in seconds; then the refund is in doubt. For as long the SMSC
    /// may try, where `validity_period` is sent at all.
    #[serde(default = "one_day")]
    pub receipt_lag_seconds: u64,
    /// What receipt states mean for a refund, over what `proved_by` says.
    #[serde(default)]
    pub stats: BTreeMap<String, RefundStat>,
    /// How the message differs: the first row that fits what goes back.
    pub tariffs: Vec<TariffConfig>,
}

/// What proves that money went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundProof {
    /// The SMSC's positive response.
    Response,
    /// The receipt that says DELIVRD. One that says that the message failed proves that nothing went back.
    Receipt,
}

/// What a receipt's state means for a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStat {
    /// The money went back.
    Refunded,
    /// It did not, and will not.
    Rejected,
    /// Nothing new.
    Nothing,
}

const fn one_day() -> u64 {
    86_400
}

impl RefundProfile {
    /// What of it is copied into every attempt.
    pub fn message(&self) -> RefundMessage {
        RefundMessage { receipt_lag_ms: self.receipt_lag_seconds.saturating_mul(1_000) }
    }

    /// What is wrong with it in this profile, each with its key; empty if nothing is.
    pub fn problems(&self, profile: &SmppProfile) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, problem: &str| {
            if !fine {
                problems.push(problem.to_string());
            }
        };
        check(!self.tariffs.is_empty(), "tariffs: at least one, or the carrier would take it for any other message");
        check(
            (1..=RECEIPT_LAG_MAX.as_secs()).contains(&self.receipt_lag_seconds),
            "receipt_lag_seconds: 1 to 2592000 (30 days)",
        );
        for key in self.stats.keys() {
            let known = MessageState::from_stat(key) != MessageState::Unrecognised;
            check(known, &format!("stats.{key}: want a state such as \"UNDELIV\""));
        }
        for (n, tariff) in self.tariffs.iter().enumerate() {
            problems.extend(self.problems_of(tariff, profile).into_iter().map(|text| format!("tariffs[{n}]{text}")));
        }
        problems
    }

    fn problems_of(&self, tariff: &TariffConfig, profile: &SmppProfile) -> Vec<String> {
        let in_text = |placeholders: &[&str]| placeholders.iter().any(|one| self.text.contains(one));
        let mut problems: Vec<String> =
            tariff.problems(profile.interface_version).into_iter().map(|problem| format!(".{problem}")).collect();
        if !in_text(&[CARRIER_ID]) && !tariff.says(&[CARRIER_ID]) {
            problems.push(format!(": neither text nor a TLV has {CARRIER_ID}; which message does it give back?"));
        }
        if let Some(charge) = profile.tariffs.iter().position(|charge| tariff.looks_like(charge)) {
            problems.push(format!(": it is tariffs[{charge}] of the charges, so the money would be taken once more"));
        }
        if self.partial && tariff.amount.is_none() && !in_text(&AMOUNTS) && !tariff.says(&AMOUNTS) {
            let why = "of a part, the carrier would give back all";
            problems.push(format!(": partial is true, and nothing says the amount ({}): {why}", AMOUNTS.join(" or ")));
        }
        problems
    }
}
