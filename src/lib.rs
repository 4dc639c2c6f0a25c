//! `smsbusd`: the carrier billing gateway of SMSBUS.
//!
//! A passenger sends the bus's code to a short number, or presses *pay* in an app. The gateway takes the fare from the
//! balance of the passenger's phone at the mobile carrier and answers with a signed ticket. Nobody is ever charged twice,
//! or charged without a ticket, whatever is killed, cut off or repeated.
//!
//! The way of a charge is the way through the modules; `ARCHITECTURE.md` walks it. Arrows point one way:
//! `api`, `finance` → `gateway` → `carrier`, `subscriber`, `store` → the PURE modules. PURE modules do no I/O, read no
//! clock and spawn nothing: values in, values out. `tests/tidy.rs` holds these walls.

// The HTTP surface: the internal API, health and metrics. Handlers translate; they decide nothing.
pub mod api;
// One adapter per kind of carrier interface, routing, throttling, and what a carrier's answers mean for the money.
pub mod carrier;
// The charge: its states, the evidence that moves it, its deadlines. One function, `charge::step`. PURE.
pub mod charge;
// The bodies of the commands: what `main.rs` calls once it has read the command line.
pub mod cli;
// Time: UTC timestamps in milliseconds, and the clock that the daemon reads and the simulation turns.
pub mod clock;
// A scripted morning against the built-in simulator, with every outcome, and an audit at the end.
pub mod demo;
// May this subscriber pay? Facts in, verdict out; the rules are data. PURE.
pub mod eligibility;
// The engine: commits intents, runs effects, applies evidence, recovers after a crash.
pub mod gateway;
// The three languages in which passengers are answered.
pub mod language;
// Double-entry postings for every movement of money. PURE.
pub mod ledger;
// Integer money with its ISO 4217 currency.
pub mod money;
// Kazakhstan's mobile numbers in E.164.
pub mod msisdn;
// How fast a carrier may be talked to, and when it is left alone: rate, mood, health, latency.
pub mod pace;
// What a passenger writes and is told: SMS commands, languages, reply texts. PURE.
pub mod passenger;
// What a process has from its machine: tasks, chance, the monotonic clock, connections.
pub mod process;
// Configuration: TOML files and environment, checked whole before anything starts.
pub mod settings;
// The whole gateway over virtual time, with a seeded world: thousands of lives of it in seconds.
#[cfg(test)]
mod sim;
// A carrier to test against: SMSC, subscribers, balances, its own ledger, and faults on demand.
pub mod simulator;
// The SMPP 3.4 protocol as an ESME speaks it: framing, decoding, session, receipts, text. Knows nothing of charges.
pub mod smpp;
// What is durable: one interface, SQLite and an in-memory model behind it, and the group commit.
pub mod store;
// Where facts about a subscriber come from, and how old they are.
pub mod subscriber;
// The ticket: contents, encoding, signature, verification, short code, key set. PURE but for reading key files.
pub mod ticket;
// What TLS to a carrier is made of: authorities, certificates, keys.
pub mod tls;
// Vehicles, routes and dated fares (GTFS words), read from CSV. PURE.
pub mod transit;
