//! PDUs made readable: the bytes of one PDU in; names, meanings and what is wrong with it out. Never fails.
//!
//! What is shown may stand in a log: no password, no whole MSISDN, and of our own texts only size and coding, since they may
//! be tickets. Of a receipt, which quotes our text, the quotation is left out as well.

mod body;
mod display;
mod dissection;
mod layout;
mod mask;
mod meaning;
#[cfg(test)]
mod tests;
mod text;

pub use body::dissect;
pub use dissection::{Direction, Dissection, Field, Value};
pub use layout::{command_named, response_to, tag_named};
