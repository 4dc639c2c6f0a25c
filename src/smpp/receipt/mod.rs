//! Delivery receipts: what a carrier says became of a message.
//!
//! A receipt comes as a text, as TLVs, or as both. The text is "vendor specific" (SMPP 3.4 appendix B), so the reader takes
//! the fields in any order and case, missing or unknown. Where both forms speak, they are read as two receipts that come at
//! once: see [`MessageState::conclusion`].
//!
//! Nothing here decides about money: a receipt says what the carrier wrote, and whether it contradicts itself.

mod date;
mod fields;
mod message_id;
mod read;
mod state;

pub use date::ReceiptDate;
pub use message_id::{IdBase, MESSAGE_ID_LENGTH_MAX, MessageIdForm};
pub use read::{NetworkError, Receipt, ReceiptTlvs, Voucher, looks_like_receipt};
pub use state::{Delivery, MessageState};

#[cfg(test)]
mod tests;
