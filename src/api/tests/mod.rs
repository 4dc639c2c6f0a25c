//! The whole API, called in-process over a real gateway and a simulated carrier.

mod access;
mod asked;
mod callbacks;
mod charges;
mod connections;
mod documents;
mod events;
mod operations;
mod purchases;
mod purchases_by_sms;
mod refunds;
mod requests;
mod tickets;
mod trace;
mod world;
