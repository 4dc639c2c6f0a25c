//! A carrier to test against: an SMSC over SMPP 3.4, and billing interfaces over HTTP, over the same subscribers, balances
//! and conditions; its own ledger of what it charged, and faults on demand.
//!
//! It is the judge, so it shares no protocol code with the gateway: what the gateway sends is decoded by `rusmpp`'s strict
//! codec, and everything that codec or the specification refuses is counted as malformed. Its ledger is not idempotent:
//! what is submitted twice is charged twice, and shows.
//!
//! `Simulator` is the handle inside a process; `control` offers the same over HTTP on loopback.
//!
//! The way of a `submit_sm`: `session` reads it, `wire` frames and decodes it, `exchange` (no I/O) draws its faults, charges
//! it or gives money back (`refunds`) and rules what is answered (`ruling`), `answers` writes that, `exchange` again brings it to the phone (`phones`),
//! `receipts` writes the receipt and `delivery` repeats that until the client has acknowledged it. `binding` says who may
//! bind, `faults` what goes wrong, and `chaos` when; `damage` spoils octets. `http` has the way of a request over HTTP.

mod answers;
mod binding;
mod chaos;
mod config;
mod control;
mod damage;
mod delivery;
mod exchange;
mod faults;
mod handle;
mod http;
mod ledger;
mod link;
mod links;
mod listeners;
mod message;
mod mo;
mod phones;
mod rate;
mod receipts;
mod refunds;
mod ruling;
mod session;
mod shared;
mod smsc;
mod stats;
mod subscribers;
mod text;
mod times;
mod tls;
mod wire;

pub use chaos::{ChaosConfig, ChaosError, ChaosReport, ChargedAgain, Passengers, PassengersReport, Spell, Weather};
pub use config::{
    BindsMax, Charging, ChargingMoment, ConfigError, DelayRange, Limits, MessageIdForm, MoForm, ReceiptForm,
    Redelivery, SimulatorConfig, Tls,
};
pub use faults::{Fault, FaultRule, InvalidFault, Traffic};
pub use handle::{MoError, MoOutcome, MoReport, Simulator, SimulatorError};
pub use http::{
    Answers, CallbackConfig, CallbackTry, CamaraConfig, CisConfig, ContractType, Digest, Door, DuplicateAs, ExpiredAs,
    FactsConfig, HttpConfig, HttpLimits, HttpStats, HttpTls, Interface, NoAnswer, OneApiConfig, Operation,
    PaymentReport, PaymentStatus, RefundReport, RefundStatus, SubscriberFacts, Violation,
};
pub use ledger::{Ledger, LedgerEntry, RefundEntry};
pub use links::{BindMode, LinkReport};
pub use listeners::ListenerReport;
pub use phones::InboxMessage;
pub use refunds::{RefundRefusal, RefundsConfig};
pub use stats::{Malformed, Stats};
pub use subscribers::{Condition, Refusal, Subscriber, TooManySubscribers};
pub use text::Part;
pub use tls::TlsError;
pub use wire::{TLV_REFERENCE, TLV_TARIFF};

#[cfg(test)]
mod tests;
