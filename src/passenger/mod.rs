//! What a passenger writes and is told: SMS commands, languages, reply texts. PURE.
//!
//! [`parse`] reads an SMS to the short number; [`Texts`] writes the answer. What stands between them, the charge, is elsewhere.

mod command;
mod message;
mod parts;
mod spelling;
mod texts;

pub use crate::language::Language;
pub use command::{Command, CommandError, PASSENGERS_MIN, parse};
pub use message::{Message, TextKey, TicketText};
pub use parts::{MO_PARTS_MAX, MoPart, join};
pub use texts::{TextProblem, Texts, TextsError};
