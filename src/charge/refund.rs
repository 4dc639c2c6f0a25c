use serde::{Deserialize, Serialize};

use super::Reference;
use crate::{clock::Timestamp, money::Money};

/// What became of a refund. It has its own doubt, which ends like a charge's: by evidence only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The carrier is being asked.
    Requested,
    /// The carrier may have done it.
    InDoubt,
    /// Owed: the carrier cannot or would not, so it stands on the refund list.
    Owed,
    /// The money went back.
    Done,
}

/// Money on its way back to the passenger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its own name for life.
    pub reference: Reference,
    /// What goes back.
    pub amount: Money,
    /// What became of it.
    pub state: RefundState,
    /// Set where the carrier took money for an attempt that had been decided as not happened (M8): that money is owed
    /// whatever the charge's own state is.
    pub attempt: Option<u16>,
    /// When the obligation arose; its age counts from here.
    pub opened_at: Timestamp,
}
