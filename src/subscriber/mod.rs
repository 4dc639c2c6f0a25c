//! Where facts about a subscriber come from, and how old they are.
//!
//! [`Subscribers`] knows at once what number lists say ([`NumberLists`]) and what was heard before ([`FactCache`], and the
//! store behind it, which a [`Keeper`] fills behind the charges). For what is not known well enough it asks its [`Source`]s
//! side by side, each through an [`Asking`], which sees to it that a source that is slow, dead or overrun costs a charge no
//! more than the budget, and soon nothing.

mod asking;
mod cache;
mod keeper;
mod look_up;
mod number_list;
mod number_list_file;
mod settings;
mod source;
mod subscribers;

pub use asking::{Asking, AskingConfig, Silence, Waiting};
pub use cache::{CacheSettings, FactCache};
pub use keeper::{Keeper, KeeperConfig};
pub use look_up::{LookUp, LookUpKind};
pub use number_list::{Asserts, NumberList, NumberListSettings};
pub use number_list_file::{NumberListError, NumberLists, NumberListsSettings};
pub use settings::{CamaraFactsSettings, FactSourceSettings, FactsSettings, LookUpSettings};
pub use source::{AskingSettings, SimSwapBy, Source, SourceKind};
pub use subscribers::{Gathered, Silent, Subscribers};
