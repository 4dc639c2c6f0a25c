//! The engine against a carrier over real sockets.

mod crashes;
mod ids;
mod purchases;
mod receipts;
pub(crate) mod world;
