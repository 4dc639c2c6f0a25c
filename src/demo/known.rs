//! What the gateway knows of a passenger, in words: facts, who said so, and how old that is.

use super::api::{ApiEligibility, ApiFinding, ApiSilent};
use crate::{
    clock::Timestamp,
    eligibility::{Fact, FactName, FactSource, FactValue},
};

/// The answer to why a number can or cannot pay: a line for the verdict, and one for each rule over a fact.
pub(super) fn in_words(answer: &ApiEligibility) -> Vec<String> {
    let verdict = match (&answer.reason, answer.allowed) {
        (None, true) => "may pay; the carrier has the last word",
        (Some(reason), false) => reason,
        _ => "an answer that contradicts itself",
    };
    let carrier = answer.carrier.as_deref().unwrap_or("no carrier");
    let by = answer.carrier_by.as_deref().unwrap_or("nothing");
    let facts = answer.findings.iter().filter_map(|finding| of_rule(finding, answer.judged_at));
    std::iter::once(format!("{carrier}, known by {by}: {verdict}")).chain(facts).collect()
}

/// The fact that a decline is founded on, if it is founded on one.
pub(super) fn reason_for_decline(answer: &ApiEligibility) -> Option<(FactName, &Fact)> {
    let basis = &answer.findings.iter().find(|finding| finding.declines)?.basis;
    Some((basis.name?, basis.fact.as_ref()?))
}

/// What a fact says that is true.
pub(super) const fn meaning(fact: FactName) -> &'static str {
    match fact {
        FactName::CorporateNumber => "a company's number",
        FactName::CreditDebt => "a trust payment is not paid back",
        FactName::NoTopUpSinceActivation => "never topped up",
        FactName::InitialBalanceUnused => "the initial balance is unused",
        FactName::RecentSimSwap => "SIM replaced in the last 24 hours",
    }
}

/// Who said it, and how old that is: "tele2 over CAMARA Tenure, 6 ms old".
pub(super) fn said_by(fact: &Fact, now: Timestamp) -> String {
    let when = match fact.source.is_standing() {
        true => "in force".to_owned(),
        false => format!("{} old", age(fact, now)),
    };
    format!("{}, {when}", source(&fact.source))
}

fn of_rule(finding: &ApiFinding, now: Timestamp) -> Option<String> {
    let rule = &finding.rule;
    let value = match finding.basis.counted_as? {
        FactValue::True => "yes",
        FactValue::False => "no",
        FactValue::Unknown => "unknown",
    };
    let why = match &finding.basis.fact {
        Some(fact) if fact.value != FactValue::Unknown => said_by(fact, now),
        _ => finding.silent.iter().map(silence).collect::<Vec<_>>().join("; "),
    };
    Some(format!("{rule:<28}{value:<9}{why}").trim_end().to_owned())
}

fn silence(silent: &ApiSilent) -> String {
    let why = match silent.why.as_str() {
        "not_configured" => "no source is configured",
        "timed_out" => "no answer in time",
        "breaker_open" => "left alone for a while, as it failed too often",
        "failed" => "failed",
        "cannot_say" => "cannot say",
        other => other,
    };
    match &silent.source {
        Some(source) => format!("{source}: {why}"),
        None => why.to_owned(),
    }
}

fn source(source: &FactSource) -> String {
    match source {
        FactSource::Camara(name) => match name.split_once('.') {
            Some((name, "sim_swap")) => format!("{name} over CAMARA SIM Swap"),
            Some((name, "tenure")) => format!("{name} over CAMARA Tenure"),
            _ => format!("{name} over CAMARA"),
        },
        FactSource::CarrierRejection(name) => format!("{name}'s own rejection"),
        FactSource::NumberList(name) => format!("our number list {name}"),
        FactSource::Operator(name) => format!("our operator {name}"),
        FactSource::Profile(name) => format!("the profile of {name}"),
    }
}

fn age(fact: &Fact, now: Timestamp) -> String {
    let age = now.since(fact.observed_at);
    match age.as_secs() {
        0..10 => format!("{} ms", age.as_millis()),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> ApiEligibility {
        let answer = json!({
            "msisdn": "+77020000107", "carrier": "kcell", "carrier_by": "message", "allowed": false,
            "reason": "recent_sim_swap", "judged_at": "2026-03-01T07:30:00.500Z",
            "findings": [
                {"rule": "unknown_vehicle", "declines": false, "basis": {"kind": "purchase"}},
                {"rule": "credit_debt", "declines": false, "silent": [{"why": "not_configured"}],
                 "basis": {"kind": "fact", "name": "credit_debt", "fact": null, "counted_as": "unknown"}},
                {"rule": "initial_balance_unused", "declines": false,
                 "silent": [{"source": "beeline-crm", "why": "timed_out"}],
                 "basis": {"kind": "fact", "name": "initial_balance_unused", "counted_as": "unknown"}},
                {"rule": "recent_sim_swap", "declines": true,
                 "basis": {"kind": "fact", "name": "recent_sim_swap", "counted_as": "true", "fact": {
                     "value": "true", "source": "camara:kcell-camara.sim_swap", "observed_at": "2026-03-01T07:30:00.480Z"}}},
            ],
        });
        serde_json::from_value(answer).expect("as the API answers")
    }

    #[test]
    fn an_answer_is_told_fact_by_fact_with_who_said_it_and_who_did_not() {
        let expected = [
            "kcell, known by message: recent_sim_swap",
            "credit_debt                 unknown  no source is configured",
            "initial_balance_unused      unknown  beeline-crm: no answer in time",
            "recent_sim_swap             yes      kcell-camara over CAMARA SIM Swap, 20 ms old",
        ];
        assert_eq!(in_words(&answer()), expected);
    }

    #[test]
    fn a_decline_is_founded_on_the_fact_of_the_rule_that_declines() {
        let answer = answer();
        let (name, fact) = reason_for_decline(&answer).expect("a fact");
        assert_eq!(meaning(name), "SIM replaced in the last 24 hours");
        assert_eq!(fact.source.to_string(), "camara:kcell-camara.sim_swap");
        let stands = Fact { source: FactSource::NumberList("companies".into()), ..fact.clone() };
        assert_eq!(said_by(&stands, answer.judged_at), "our number list companies, in force");
        let allowed = ApiEligibility { findings: Vec::new(), ..answer };
        assert_eq!(reason_for_decline(&allowed), None);
    }
}
