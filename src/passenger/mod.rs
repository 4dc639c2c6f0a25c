//! placeholder
use serde::{Deserialize, Serialize};
/// placeholder
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Language {
    Kk,
    Ru,
    En,
}
