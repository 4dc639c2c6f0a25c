//! How any HTTP carrier is talked to: one client for requests, one source of access tokens, one gate for send slots.
//!
//! What became of a request is one of three ([`Outcome`]), and money depends on telling them apart: an *answer*, whatever it says;
//! *not sent*, so it did not happen; *lost*, so it may have. In doubt between the last two, it is lost.
//!
//! Nothing here knows of charges: an adapter builds the request and reads the answer.

mod address;
mod client;
mod gate;
mod outcome;
mod slots;
#[cfg(test)]
mod tests;
mod token;

pub use address::{WebAddress, WebAddressError};
pub use client::{WebClient, WebClientConfig, WebRequest};
pub use gate::{Gate, GateConfig};
pub use outcome::{Answer, Lost, NotSent, Outcome};
pub use slots::WebSlot;
pub use token::{ClientAuthentication, TokenConfig, TokenSource};
