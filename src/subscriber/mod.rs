//! Where facts about a subscriber come from, and how old they are.
//!
//! `Subscribers` answers from memory and never waits: from number lists that the operator keeps (`NumberLists`), and
//! from what carriers said before (`FactCache`). A source that has to ask somebody asks beforehand and hands its answer
//! to `Subscribers::remember`; a durable cache is filled and read at the same two doors.

mod cache;
mod number_list;
mod number_list_file;
mod sources;

pub use cache::{CacheSettings, FactCache};
pub use number_list::{Asserts, NumberList, NumberListSettings};
pub use number_list_file::{NumberListError, NumberLists, NumberListsSettings};
pub use sources::Subscribers;
