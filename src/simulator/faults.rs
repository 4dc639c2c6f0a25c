//! Faults on demand: which number, how likely, how often.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::msisdn::Msisdn;

/// When a fault happens. Every rule that fits a message is drawn for it; several may strike at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only messages to (or, for an MO, from) this number; none means any.
    #[serde(default)]
    pub msisdn: Option<Msisdn>,
    /// Only charged, or only free, messages.
    #[serde(default)]
    pub traffic: Traffic,
    /// From 0 to 1, drawn by the simulator's seed.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How often it strikes before it is used up; none means always.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

/// Which messages a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Every one.
    #[default]
    Any,
    /// Messages with a tariff.
    Charged,
    /// Messages without a tariff, and MOs.
    Free,
}

/// What goes wrong. Unless it says otherwise, the message is accepted, and charged as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Accepted, but the `submit_sm_resp` is never sent.
    DropResponse,
    /// The `submit_sm_resp` comes `ms` milliseconds late.
    DelayResponse {
        /// How late.
        ms: u64,
    },
    /// The receipt is acknowledged before the `submit_sm_resp` leaves.
    ReceiptBeforeResponse,
    /// The `submit_sm_resp` is sent twice.
    DuplicateResponse,
    /// The final receipt is sent twice.
    DuplicateReceipt,
    /// No receipt is ever sent.
    NoReceipt,
    /// The receipt comes `ms` milliseconds after the delivery.
    LateReceipt {
        /// How late.
        ms: u64,
    },
    /// An ENROUTE receipt comes before the final one.
    EnrouteFirst,
    /// An UNDELIV receipt comes before the final one, and contradicts it where that is DELIVRD.
    UndeliveredFirst,
    /// Accepted, then the connection is reset without a response.
    DropLinkAfterSubmit,
    /// The connection is reset; the message is not accepted and nothing is charged.
    DropLinkBeforeCharge,
    /// Refused with `ESME_RTHROTTLED`; nothing is charged.
    Throttle,
    /// Refused with `ESME_RMSGQFUL`; nothing is charged.
    QueueFull,
    /// Answered with `ESME_RSYSERR`.
    SystemError {
        /// Whether the message was accepted, and charged, all the same.
        charged: bool,
    },
    /// Accepted, but the `submit_sm_resp` has an empty message id.
    EmptyMessageId,
    /// Accepted, but answered with a `deliver_sm_resp` under the request's sequence number.
    WrongResponseType,
    /// Answered with a `generic_nack` under the request's sequence number; nothing is charged.
    Nack,
    /// Accepted, but instead of the response comes an `unbind`, and the connection ends.
    UnbindMidWindow,
    /// An MO is sent again although it was acknowledged.
    RedeliverMo,
    /// A PDU with an unknown command id comes before the `submit_sm_resp`.
    GarbagePdu,
    /// The `submit_sm_resp` is written byte by byte.
    Slow,
}

impl FaultRule {
    /// Always, for every message and every number, until cleared.
    pub const fn always(fault: Fault) -> FaultRule {
        FaultRule { msisdn: None, traffic: Traffic::Any, probability: 1.0, times: None, fault }
    }

    /// The next `times` messages to `msisdn`.
    pub const fn for_number(msisdn: Msisdn, times: u32, fault: Fault) -> FaultRule {
        FaultRule { msisdn: Some(msisdn), traffic: Traffic::Any, probability: 1.0, times: Some(times), fault }
    }

    /// At random, with this probability between 0 and 1, for every number.
    pub const fn at_random(probability: f64, fault: Fault) -> FaultRule {
        FaultRule { msisdn: None, traffic: Traffic::Any, probability, times: None, fault }
    }

    /// The same rule for charged, or for free, messages only.
    pub const fn only(mut self, traffic: Traffic) -> FaultRule {
        self.traffic = traffic;
        self
    }

    /// Errors: a probability that is none, zero times, or a delay above a day.
    pub(super) fn validate(&self) -> Result<(), InvalidFault> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(InvalidFault::Probability(self.probability));
        }
        if self.times == Some(0) {
            return Err(InvalidFault::Times);
        }
        match self.fault {
            Fault::DelayResponse { ms } | Fault::LateReceipt { ms } if ms > 86_400_000 => Err(InvalidFault::Delay(ms)),
            _ => Ok(()),
        }
    }
}

/// Why a fault rule is not taken.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidFault {
    /// Not between 0 and 1.
    #[error("a probability lies between 0 and 1, not {0}")]
    Probability(f64),
    /// A rule that would never strike.
    #[error("times must be at least 1; leave it out for no limit")]
    Times,
    /// Above a day.
    #[error("a delay is at most a day, not {0} ms")]
    Delay(u64),
    /// Too many rules at once.
    #[error("at most {RULES_MAX} fault rules at a time; clear some")]
    TooMany,
}

/// Rules at a time.
const RULES_MAX: usize = 10_000;

/// The rules in force.
#[derive(Debug, Default)]
pub(super) struct FaultBook {
    rules: Vec<FaultRule>,
}

impl FaultBook {
    /// Puts a rule in force. Errors: see [`InvalidFault`].
    pub(super) fn add(&mut self, rule: FaultRule) -> Result<(), InvalidFault> {
        rule.validate()?;
        if self.rules.len() >= RULES_MAX {
            return Err(InvalidFault::TooMany);
        }
        self.rules.push(rule);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// The faults that strike a message of `msisdn` submitted by the client.
    pub(super) fn draw_for_submit(&mut self, msisdn: Msisdn, charged: bool, rng: &mut impl Rng) -> Vec<Fault> {
        self.draw(msisdn, charged, rng, |fault| fault != Fault::RedeliverMo)
    }

    /// The faults that strike an MO of `msisdn`.
    pub(super) fn draw_for_mo(&mut self, msisdn: Msisdn, rng: &mut impl Rng) -> Vec<Fault> {
        self.draw(msisdn, false, rng, |fault| fault == Fault::RedeliverMo)
    }

    fn draw(&mut self, msisdn: Msisdn, charged: bool, rng: &mut impl Rng, concerns: fn(Fault) -> bool) -> Vec<Fault> {
        let mut drawn = Vec::new();
        for rule in &mut self.rules {
            let fits =
                concerns(rule.fault) && rule.msisdn.is_none_or(|only| only == msisdn) && rule.traffic.includes(charged);
            if fits && rng.random_bool(rule.probability) {
                rule.times = rule.times.map(|left| left.saturating_sub(1));
                drawn.push(rule.fault);
            }
        }
        self.rules.retain(|rule| rule.times != Some(0));
        drawn
    }
}

impl Traffic {
    const fn includes(self, charged: bool) -> bool {
        match self {
            Traffic::Any => true,
            Traffic::Charged => charged,
            Traffic::Free => !charged,
        }
    }
}

const fn certain() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn number(text: &str) -> Msisdn {
        text.parse().expect("a number")
    }

    #[test]
    fn a_rule_strikes_its_number_as_often_as_it_says() {
        let (ours, other) = (number("77010000001"), number("77010000002"));
        let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(1));
        book.add(FaultRule::for_number(ours, 2, Fault::DropResponse).only(Traffic::Charged)).expect("valid");
        assert_eq!(book.draw_for_submit(other, true, &mut rng), []);
        assert_eq!(book.draw_for_submit(ours, false, &mut rng), []);
        assert_eq!(book.draw_for_submit(ours, true, &mut rng), [Fault::DropResponse]);
        assert_eq!(book.draw_for_submit(ours, true, &mut rng), [Fault::DropResponse]);
        assert_eq!(book.draw_for_submit(ours, true, &mut rng), []);
        assert!(book.rules().is_empty());
    }

    #[test]
    fn chance_repeats_with_its_seed() {
        let draw = |seed| {
            let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(seed));
            book.add(FaultRule::at_random(0.5, Fault::Throttle)).expect("valid");
            (0..64).map(|_| book.draw_for_submit(number("77010000001"), true, &mut rng).len()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((16..48).contains(&draw(7).iter().sum::<usize>()));
    }

    #[test]
    fn an_mo_draws_only_what_can_happen_to_an_mo() {
        let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(1));
        book.add(FaultRule::always(Fault::RedeliverMo)).expect("valid");
        book.add(FaultRule::always(Fault::Slow)).expect("valid");
        assert_eq!(book.draw_for_mo(number("77010000001"), &mut rng), [Fault::RedeliverMo]);
        assert_eq!(book.draw_for_submit(number("77010000001"), false, &mut rng), [Fault::Slow]);
    }

    #[test]
    fn impossible_rules_are_refused() {
        for probability in [-0.1, 1.1, f64::NAN] {
            assert!(FaultBook::default().add(FaultRule::at_random(probability, Fault::Nack)).is_err());
        }
        assert_eq!(
            FaultRule::always(Fault::LateReceipt { ms: u64::MAX }).validate(),
            Err(InvalidFault::Delay(u64::MAX))
        );
        let unknown = serde_json::from_str::<FaultRule>(r#"{"fault":{"kind":"meteor"}}"#);
        assert!(unknown.expect_err("no such fault").to_string().contains("meteor"));
    }
}
