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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::{ChargedAt, test_profile};

    const SOUND: &str = r#"
        proved_by = "receipt"
        tariffs = [{ service_type = "RFND", tlvs = [{ tag = 0x1403, type = "c_octet_string", value = "{carrier_id}" }] }]
    "#;

    fn problems(text: &str) -> Vec<String> {
        let mut profile = test_profile(ChargedAt::Delivery);
        profile.refund = Some(toml::from_str(text).expect("a section"));
        profile.problems()
    }

    #[test]
    fn a_section_that_names_the_charged_message_is_sound_wherever_it_does() {
        assert_eq!(problems(SOUND), [""; 0]);
        let in_text = r#"
            proved_by = "response"
            partial = true
            text = "REFUND {carrier_id} {minor}"
            tariffs = [{ source = "25059" }]
            stats = { EXPIRED = "rejected", ACCEPTD = "refunded", ENROUTE = "nothing" }
        "#;
        assert_eq!(problems(in_text), [""; 0]);
        let read: RefundProfile = toml::from_str(SOUND).expect("a section");
        assert_eq!((read.partial, read.text.as_str(), read.message().receipt_lag_ms), (false, "", 86_400_000));
    }

    #[test]
    fn what_cannot_work_is_told_by_key_and_reason() {
        let nameless = problems("proved_by = \"receipt\"\ntariffs = [{ service_type = \"RFND\" }]");
        assert_eq!(
            nameless,
            ["refund.tariffs[0]: neither text nor a TLV has {carrier_id}; which message does it give back?"]
        );
        let none =
            problems("proved_by = \"receipt\"\ntariffs = []\nreceipt_lag_seconds = 0\nstats = { LOST = \"rejected\" }");
        let keys: Vec<&str> = none.iter().map(|problem| problem.split(':').next().unwrap_or_default()).collect();
        assert_eq!(keys, ["refund.tariffs", "refund.receipt_lag_seconds", "refund.stats.LOST"]);
        let unpriced = problems(&format!("partial = true\n{SOUND}"));
        assert!(unpriced.len() == 1 && unpriced[0].contains("would give back all"), "{unpriced:?}");
        let charges = r#"
            proved_by = "receipt"
            text = "{carrier_id}"
            tariffs = [{ amount = "80", tlvs = [{ tag = 0x1401, type = "c_octet_string", value = "BUS{major}" }] }]
        "#;
        let again = problems(charges);
        assert!(again.len() == 1 && again[0].contains("the money would be taken once more"), "{again:?}");
    }

    #[test]
    fn a_charge_cannot_name_the_message_that_it_is() {
        let mut profile = test_profile(ChargedAt::Delivery);
        profile.tariffs[0].tlvs[0].value = CARRIER_ID.into();
        assert_eq!(profile.problems(), ["tariffs[0]: {carrier_id} is known in a refund only"]);
    }

    #[test]
    fn a_carrier_that_does_not_charge_by_smpp_has_no_refunds_by_it() {
        let mut profile = test_profile(ChargedAt::Delivery);
        profile.refund = Some(toml::from_str(SOUND).expect("a section"));
        let problems = profile.link_only_problems();
        assert!(problems.len() == 1 && problems[0].starts_with("refund: "), "{problems:?}");
    }

    #[test]
    fn the_contract_of_an_attempt_says_whether_money_can_go_back_and_how_long_its_receipt_takes() {
        let mut profile = test_profile(ChargedAt::Delivery);
        let without = profile.contract();
        assert!(!without.can_refund && !without.queries_refunds && without.refund_message.is_none());
        profile.refund = Some(toml::from_str(&format!("receipt_lag_seconds = 60\n{SOUND}")).expect("a section"));
        let with = profile.contract();
        assert!(with.can_refund && !with.queries_refunds, "query_sm is not answered");
        assert_eq!(with.refund_message, Some(RefundMessage { receipt_lag_ms: 60_000 }));
        profile.query = Some(crate::charge::QuerySchedule { first_after_ms: 1, interval_ms_max: 1 });
        assert!(profile.contract().queries_refunds);
    }
}
