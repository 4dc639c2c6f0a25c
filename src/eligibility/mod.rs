//! May this subscriber pay? Facts in, verdict out.
//!
//! `Rules` are data: which facts are asked, in which order, how old an observation may be, and what *unknown* means.
//! `judge` runs every rule over an `Application`; the first that declines is the reason, and all of them are
//! reported, so that support can see why a number can or cannot pay.

mod fact;
mod judge;
mod rules;
#[cfg(test)]
mod tests;

pub use fact::{Fact, FactName, FactSource, FactSourceError, FactValue, Facts};
pub use judge::{Application, Basis, Decision, Finding, Outcome, Purchase, Sales, Sold, Spending, Verdict, judge};
pub use rules::{FactRule, Limits, Rules, RulesError, SalesLimit, Velocity, WhenUnknown};
