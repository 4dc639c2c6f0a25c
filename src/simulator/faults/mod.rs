//! Faults on demand: what goes wrong, for whom, how likely, how often and for how long. `docs/simulator.md` has the same by
//! field case.

mod book;
mod fault;
mod rule;

pub(super) use book::{FaultBook, RuleId};
pub use fault::Fault;
pub(super) use fault::Strikes;
pub(in crate::simulator) use rule::Purpose;
pub use rule::{FaultRule, InvalidFault, Traffic};
