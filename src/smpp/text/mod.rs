//! The text of a short message: alphabets, user data headers and segments.
//!
//! Sending is strict: a character that the alphabet does not have is an error, and no character is ever cut in two.
//! Receiving is lenient: whatever octets come, a text comes out, marked as [`flawed`](Text::flawed) where something was
//! not as the specification wants it. A message is never lost for its encoding.
//!
//! Sources: SMPP 3.4 section 5.2.19 (`data_coding`), 3GPP TS 23.038 (alphabets), 3GPP TS 23.040 section 9.2.3.24 (user
//! data header).

mod charset;
mod coding;
mod gsm;
mod header;
mod segment;

pub use coding::{Alphabet, Content, DefaultAlphabet, Text, Unrepresentable, decode, decode_message, encode};
pub use header::{Concatenation, ReferenceNumber, UserDataHeader};
pub use segment::{
    Part, PartMark, Sar, Segments, TooManySegments, UCS2_UNITS_SINGLE, encode_message, segments, split_message,
};

#[cfg(test)]
mod tests;
