//! When a fault happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Fault, Strikes, book::RULES_MAX};
use crate::{msisdn::Msisdn, simulator::http::Operation};

/// When a fault happens. Every rule that fits a message, a bind, a link or a request is drawn for it; several may strike at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only messages to (or, for an MO, from) this number, or requests about it; none means any. Faults of binds and links
    /// take none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<Msisdn>,
    /// Only charged messages, only refunds, or only free messages.
    #[serde(default)]
    pub traffic: Traffic,
    /// Only requests over HTTP that ask for this; none means any. Only faults of HTTP take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// From 0 to 1, drawn by the simulator's seed.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How often it strikes before it is used up; none means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How long it is in force, in milliseconds from when it is set; none means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
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
    /// Messages that give money back.
    Refunds,
    /// Other messages without a tariff, and MOs.
    Free,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Purpose {
    Charge,
    Refund,
    Text,
}

impl FaultRule {
    /// Always, for every message and every number, until cleared.
    pub const fn always(fault: Fault) -> FaultRule {
        FaultRule {
            msisdn: None,
            traffic: Traffic::Any,
            operation: None,
            probability: 1.0,
            times: None,
            for_ms: None,
            fault,
        }
    }

    /// The next `times` messages, binds or links.
    pub const fn next(times: u32, fault: Fault) -> FaultRule {
        FaultRule { times: Some(times), ..FaultRule::always(fault) }
    }

    /// The next `times` messages to `msisdn`.
    pub const fn for_number(msisdn: Msisdn, times: u32, fault: Fault) -> FaultRule {
        FaultRule { msisdn: Some(msisdn), ..FaultRule::next(times, fault) }
    }

    /// At random, with this probability between 0 and 1, for every number.
    pub const fn at_random(probability: f64, fault: Fault) -> FaultRule {
        FaultRule { probability, ..FaultRule::always(fault) }
    }

    /// The same rule for one kind of messages only.
    pub const fn only(mut self, traffic: Traffic) -> FaultRule {
        self.traffic = traffic;
        self
    }

    /// The same rule for requests over HTTP that ask for `operation` only.
    pub const fn on(mut self, operation: Operation) -> FaultRule {
        self.operation = Some(operation);
        self
    }

    /// The same rule, in force for so long only, to the millisecond.
    pub fn lasting(mut self, span: Duration) -> FaultRule {
        self.for_ms = Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Errors: see [`InvalidFault`].
    pub(in crate::simulator) fn validate(&self) -> Result<(), InvalidFault> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(InvalidFault::Probability(self.probability));
        }
        if self.times == Some(0) {
            return Err(InvalidFault::Times);
        }
        if let Some(ms) = [self.for_ms, self.fault.ms()].into_iter().flatten().find(|ms| *ms > DAY_MS) {
            return Err(InvalidFault::Delay(ms));
        }
        if self.msisdn.is_some() && !matches!(self.fault.strikes(), Strikes::Submission | Strikes::Mo | Strikes::Http) {
            return Err(InvalidFault::NoNumber);
        }
        if self.operation.is_some() && self.fault.strikes() != Strikes::Http {
            return Err(InvalidFault::NoOperation);
        }
        match self.fault {
            Fault::HttpErrorBefore { status } | Fault::HttpErrorAfter { status } if !(500..=599).contains(&status) => {
                Err(InvalidFault::HttpStatus(status))
            }
            Fault::HttpOversized { bytes } if bytes == 0 || bytes > OVERSIZED_MAX => {
                Err(InvalidFault::Oversized(bytes))
            }
            Fault::HttpLost if !matches!(self.operation, None | Some(Operation::Confirm | Operation::Cancel)) => {
                Err(InvalidFault::Lost)
            }
            Fault::Refuse { status: 0, .. } | Fault::RefuseBind { status: 0 } => Err(InvalidFault::Status),
            Fault::BadLength { command_length } if (16..=65_536).contains(&command_length) => {
                Err(InvalidFault::Length(command_length))
            }
            _ => Ok(()),
        }
    }
}

impl Traffic {
    pub(super) fn includes(self, purpose: Purpose) -> bool {
        match self {
            Traffic::Any => true,
            Traffic::Charged => purpose == Purpose::Charge,
            Traffic::Refunds => purpose == Purpose::Refund,
            Traffic::Free => purpose == Purpose::Text,
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
    #[error("a delay or duration is at most a day, not {0} ms")]
    Delay(u64),
    /// A fault of binds or links with a number.
    #[error("a fault of binds and links strikes no single number: leave msisdn out")]
    NoNumber,
    /// A fault of SMPP with an operation of HTTP.
    #[error("only faults of HTTP strike an operation: leave operation out")]
    NoOperation,
    /// Not an error of the server.
    #[error("an HTTP error is a status from 500 to 599, not {0}")]
    HttpStatus(u16),
    /// Nothing, or more than a test could want.
    #[error("an oversized body has 1 to {OVERSIZED_MAX} bytes, not {0}")]
    Oversized(u32),
    /// Only the second of two steps can be lost.
    #[error("only a confirm or a cancel can be lost")]
    Lost,
    /// A refusal with `ESME_ROK`.
    #[error("a refusal needs a status other than 0")]
    Status,
    /// A `command_length` that a client could read.
    #[error("a command_length of {0} is possible; a bad one is below 16 or above 65536")]
    Length(u32),
    /// Too many rules at once.
    #[error("at most {RULES_MAX} fault rules at a time; clear some")]
    TooMany,
}

const DAY_MS: u64 = 86_400_000;
const OVERSIZED_MAX: u32 = 256 * 1024 * 1024;

const fn certain() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_rules_are_refused() {
        for probability in [-0.1, 1.1, f64::NAN] {
            assert!(FaultRule::at_random(probability, Fault::Nack).validate().is_err());
        }
        for (rule, error) in [
            (FaultRule::always(Fault::LateReceipt { ms: u64::MAX }), InvalidFault::Delay(u64::MAX)),
            (FaultRule::always(Fault::Nack).lasting(Duration::from_secs(86_401)), InvalidFault::Delay(86_401_000)),
            (FaultRule::next(0, Fault::Nack), InvalidFault::Times),
            (FaultRule::always(Fault::RefuseBind { status: 0 }), InvalidFault::Status),
            (FaultRule::always(Fault::BadLength { command_length: 16 }), InvalidFault::Length(16)),
        ] {
            assert_eq!(rule.validate(), Err(error));
        }
        let number = "77010000001".parse().expect("a number");
        assert_eq!(FaultRule::for_number(number, 1, Fault::IgnoreBind).validate(), Err(InvalidFault::NoNumber));
        let unknown = serde_json::from_str::<FaultRule>(r#"{"fault":{"kind":"meteor"}}"#);
        assert!(unknown.expect_err("no such fault").to_string().contains("meteor"));
    }

    #[test]
    fn a_fault_is_named_as_it_is_written() {
        assert_eq!(Fault::StopReading { ms: 5 }.kind(), "stop_reading");
        assert_eq!(Fault::ReceiptAs { form: crate::simulator::ReceiptForm::Tlv }.kind(), "receipt_as");
    }
}
