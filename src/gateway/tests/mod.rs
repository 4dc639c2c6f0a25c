//! The engine against a carrier over real sockets.

mod crashes;
mod evidence;
mod ids;
mod long_texts;
mod purchases;
mod receipts;
mod slots;
pub(crate) mod world;
