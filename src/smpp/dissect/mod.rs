//! PDUs made readable: the bytes of one PDU in; names, meanings and what is wrong with it out. Never fails.
//!
//! What is shown may stand in a log: no password, no whole MSISDN, and of our own texts only size and coding, since they may be
//! tickets.

mod dissection;

pub use dissection::{Direction, Dissection, Field, Value};

use super::text::DefaultAlphabet;

/// Takes one PDU apart. `default` is what `data_coding` 0 means at this carrier.
pub fn dissect(direction: Direction, pdu: &[u8], default: DefaultAlphabet) -> Dissection {
    let _ = default;
    Dissection::of_header(direction, pdu)
}
