//! What a carrier can tell of a time that is lost to our books.

use thiserror::Error;

use super::Carrier;
use crate::{charge::Reference, clock::Timestamp, money::Money};

/// A payment that a carrier has, and that bears a reference of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct LostPayment {
    /// The carrier's id of it.
    pub carrier_id: String,
    /// The charge that it names.
    pub reference: Reference,
    /// The attempt that it names.
    pub attempt: u16,
    /// Where it stands.
    pub standing: PaymentStanding,
    /// The amount, where it can be read.
    pub amount: Option<Money>,
    /// When it was created, by the carrier's clock.
    pub created_at: Option<Timestamp>,
    /// All of it that is worth keeping, for whoever has to look at it.
    pub told: serde_json::Value,
}

/// Where a payment stands at its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStanding {
    /// The money was taken.
    Taken,
    /// It was not, and will not be.
    NotTaken,
    /// It may be still.
    Open,
}

/// Why a carrier's payments could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RereadError {
    /// The carrier did not answer, or not with a list.
    #[error("the carrier does not answer with a list")]
    Unanswered,
    /// So many were made in that time that one question cannot take them.
    #[error("there are more pages than one question may take")]
    TooMany,
}

impl Carrier {
    /// Whether it can be asked which payments were made in a time.
    pub const fn can_list(&self) -> bool {
        matches!(self, Carrier::Camara(_))
    }

    /// The payments that bear a reference of ours and were created from the first moment to the second, by the carrier's clock; none where
    /// it [cannot be asked](Carrier::can_list).
    ///
    /// Errors: not all of them could be read; then nothing is told.
    pub async fn payments_between(&self, from: Timestamp, until: Timestamp) -> Result<Vec<LostPayment>, RereadError> {
        match self {
            Carrier::Camara(carrier) => carrier.charging.payments_between(from, until).await,
            Carrier::Smpp(_) | Carrier::Http(_) => Ok(Vec::new()),
        }
    }
}
