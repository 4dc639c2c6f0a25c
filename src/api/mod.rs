//! The HTTP surface: the internal API; the carriers' callbacks; and health, readiness and metrics; each on a listener of its own.
//! Handlers translate; they decide nothing.
//!
//! The way of a request: `serve` owns the connection; `access_log` opens the span, counts the answer and writes the
//! problems; `auth` knows the caller and what each route wants of him; `to_the_end` reads the body and runs the handler
//! in a task of its own, so that whoever hangs up cancels nothing; then a handler, one file per resource. `routes` is the
//! table of all of them, from which the router and the document at `/openapi.json` are made.

mod access_log;
mod answer;
mod asked;
mod auth;
mod callbacks;
mod carriers;
mod charges;
mod config;
mod eligibility;
mod error;
mod events;
mod headers;
mod impatient;
mod instances;
mod keys;
mod openapi;
mod operations;
mod purchase;
mod reading;
mod refunds;
mod routes;
mod serve;
mod tickets;
mod to_the_end;
mod trace;
mod webhooks;

#[cfg(test)]
mod tests;

pub use config::{ApiConfig, Role, TokenConfig, TokenHash, TokenHashError};
pub use serve::{serve, serve_callbacks, serve_instances, serve_operations};
