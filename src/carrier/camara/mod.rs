//! Charging by CAMARA: Carrier Billing v0.5 and Carrier Billing Refund v0.3 (release r3.2), in one step or two, and the facts of
//! SIM Swap v2.1 and Tenure v0.2.
//!
//! What answers and events mean for the money stands in `meaning.rs` and `docs/camara.md`. Three things of the specification
//! shape the rest: a `clientCorrelator` that was used gives no replay, so nothing is sent twice; lists cannot be filtered by our
//! reference, so what was lost is looked for in a window of time; the second step is answered without a word about the money, so
//! it is asked for.

mod adapter;
mod amount;
mod clock;
mod event;
mod facts;
mod listing;
mod lists;
mod meaning;
mod message;
mod profile;
mod recovery;
mod refunds;
mod reread;
mod second_step;
mod secrets;
#[cfg(test)]
mod tests;

pub use adapter::CamaraCarrier;
pub use facts::{ContractType, FactError, SimSwapDate};
pub use profile::{CamaraProfile, ListProfile, MerchantProfile, TokenProfile};
pub use secrets::CamaraSecrets;
