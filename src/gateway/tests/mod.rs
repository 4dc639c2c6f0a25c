//! The engine against a carrier over real sockets.

mod crashes;
mod evidence;
mod ids;
mod limits;
mod links;
mod long_texts;
mod messages_in_parts;
mod pressure;
mod purchases;
mod receipt_forms;
mod receipts;
mod relay;
mod responses;
mod slots;
mod stopping;
pub(crate) mod world;
