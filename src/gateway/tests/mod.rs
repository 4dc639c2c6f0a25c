//! The engine against a carrier over real sockets.

mod crashes;
mod evidence;
mod ids;
mod long_texts;
mod messages_in_parts;
mod pressure;
mod purchases;
mod receipts;
mod relay;
mod slots;
pub(crate) mod world;
