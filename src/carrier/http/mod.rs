//! Charging over the many private HTTP interfaces, form, XML or JSON. A carrier of that kind is a *profile*: a TOML file that says how
//! each request is written, signed and authenticated, where the result stands in the answer, and what each result means for the money.
//! `docs/http-carriers.md` tells how to write one.
//!
//! [`Profile`] is PURE: [`Profile::render`] makes the bytes of a request out of an attempt, the same bytes each time;
//! [`Profile::read`] makes a finding out of an answer, and believes nothing that the profile does not list. [`HttpCarrier`] runs it.

mod adapter;
mod body;
mod callback;
mod compile;
mod config;
mod context;
mod decimal;
mod document;
mod facts;
mod network;
mod operation;
mod problem;
mod profile;
mod reply;
mod request;
mod sample;
mod secrets;
mod signature;
mod template;
mod wire_reference;

#[cfg(test)]
mod tests;

pub use adapter::HttpCarrier;
pub use body::BODY_BYTES_MAX;
pub use config::HttpProfile;
pub use context::{Context, VARIABLES};
pub use document::{Algorithm, AmountUnit, Comparison, Content, DigestEncoding, WireForm};
pub use facts::{PortabilityReading, SubscriberReading};
pub use network::{Network, NetworkError};
pub use operation::{Meaning, Operation};
pub use problem::{ProfileError, ProfileProblem};
pub use profile::{HttpContract, Oauth2, Overrides, Profile};
pub use reply::{Reading, TableRow};
pub use request::{RenderError, Request};
pub use sample::{Sample, SampleValues};
pub use secrets::HttpSecrets;
pub use template::TemplateError;
pub use wire_reference::WireReferences;
