//! The engine against a carrier over real sockets.

mod books;
mod callbacks_refused;
mod callbacks_weighed;
mod crashes;
#[cfg(feature = "failpoints")]
mod crashes_over_http;
mod doubt;
mod event_webhooks;
mod evidence;
mod facts;
mod http_faults;
mod ids;
mod instances;
#[cfg(feature = "failpoints")]
mod kill_points;
mod limits;
mod links;
mod long_texts;
mod messages_in_parts;
mod one_time_password;
mod pressure;
mod purchases;
mod receipt_forms;
mod receipts;
mod refund_faults;
mod relay;
mod reroute;
mod responses;
mod restoring;
mod second_sending;
mod second_step_faults;
mod slots;
mod smpp_refunds;
mod stepping_clock;
mod stopping;
mod ticket_service;
mod token_faults;
mod unowned;
mod webhook;
pub(crate) mod world;
mod zones;
