//! The engine against a carrier over real sockets.

mod crashes;
mod purchases;
mod receipts;
pub(crate) mod world;
