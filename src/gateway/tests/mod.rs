//! The engine against a carrier over real sockets.

mod crashes;
mod evidence;
mod facts;
mod http_faults;
mod ids;
#[cfg(feature = "failpoints")]
mod kill_points;
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
mod ticket_service;
mod webhook;
pub(crate) mod world;
mod zones;
