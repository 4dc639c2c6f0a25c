//! Double-entry postings for every movement of money, and the chain that shows whether somebody changed them.
//!
//! The books follow from the charge: [`position`] says what one charge stands for on each account, and the entries of a
//! transition are the difference between the position after and the position before. So the entries of a charge always
//! add up to its position, every set of entries adds up to zero, and an audit can recompute the books from the charges.
//!
//! Debits are positive, credits negative, in minor units. Entries are appended and never changed. What is appended in one
//! commit is a [`Block`] of a chain of hashes; [`Audit`] checks all of it.

mod account;
mod audit;
mod chain;
mod posting;
mod rates;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use audit::{Audit, Audited, ChargeRecords, Flaw, JournalRow, RetiredTotals, TicketStanding, is_made_of};
pub use chain::{Block, BlockDigest, DailyRoot, Head, Writer};
pub use posting::{Entry, entries, position, sale_returns};
pub use rates::{DatedFee, DatedVat, VatConfig};
