//! A carrier to test against: an SMSC over SMPP 3.4 with subscribers, balances and conditions, its own ledger of what it
//! charged, and faults on demand.
//!
//! It is the judge, so it shares no SMPP code with the gateway: what the gateway sends is decoded by `rusmpp`'s strict
//! codec, and everything that codec or the specification refuses is counted as malformed. Its ledger is not idempotent:
//! what is submitted twice is charged twice, and shows.
//!
//! `Simulator` is the handle inside a process; `control` offers the same over HTTP on loopback.
//!
//! The way of a `submit_sm`: `session` reads it, `wire` frames and decodes it, `exchange` (no I/O) draws its faults, charges
//! it and rules what is answered, `session` answers, `exchange` again brings it to the phone, `receipts` writes the receipt
//! and `delivery` repeats that until the client has acknowledged it.

mod config;
mod control;
mod delivery;
mod exchange;
mod faults;
mod handle;
mod ledger;
mod links;
mod message;
mod receipts;
mod session;
mod shared;
mod smsc;
mod stats;
mod subscribers;
mod text;
mod times;
mod wire;

pub use config::{
    Charging, ChargingMoment, ConfigError, DelayRange, Limits, MessageIdForm, ReceiptForm, Redelivery, SimulatorConfig,
};
pub use exchange::InboxMessage;
pub use faults::{Fault, FaultRule, InvalidFault, Traffic};
pub use handle::{MoError, MoOutcome, MoReport, Simulator, SimulatorError};
pub use ledger::{Ledger, LedgerEntry};
pub use stats::{Malformed, Stats};
pub use subscribers::{Condition, Refusal, Subscriber, TooManySubscribers};
pub use text::Part;
pub use wire::{TLV_REFERENCE, TLV_TARIFF};

#[cfg(test)]
mod tests;
