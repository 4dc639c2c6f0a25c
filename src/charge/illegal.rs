use thiserror::Error;

use super::{ATTEMPTS_MAX, REFUNDS_MAX, Reference};
use crate::money::{Money, MoneyError};

/// An event that must not happen to a charge that stands where this one does. Nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Illegal {
    /// A decline or an attempt needs a charge that waits to be sent.
    #[error("the charge is {state} and does not wait to be sent")]
    NotWaiting {
        /// Where it stands.
        state: &'static str,
    },
    /// The charge was turned away as often as is allowed.
    #[error("the charge has had {ATTEMPTS_MAX} attempts, which is the most")]
    TooManyAttempts,
    /// The ticket deadline has passed, so nothing may be sent any more.
    #[error("the ticket deadline has passed")]
    DeadlinePassed,
    /// A person may settle only what is in doubt.
    #[error("the charge is {state}; only a charge in doubt can be resolved")]
    NotInDoubt {
        /// Where it stands.
        state: &'static str,
    },
    /// Only a charge past its deadline gives way to a newer purchase.
    #[error("the charge is not past its ticket deadline")]
    NotPastDeadline,
    /// A one-time password is wanted only while the carrier asks for it.
    #[error("the charge is {state} and waits for no one-time password")]
    NoOtpWanted {
        /// Where it stands.
        state: &'static str,
    },
    /// The subscriber agrees on a page of the carrier's, which tells the carrier.
    #[error("the subscriber agrees on the carrier's page, so no one-time password can be passed on")]
    AgreedOnPage,
    /// Only money that was taken can go back.
    #[error("the charge is {state}; only a charged one can be refunded")]
    NotCharged {
        /// Where it stands.
        state: &'static str,
    },
    /// More would go back than was taken, or nothing, or too often.
    #[error("the refund must be more than nothing, and at most the {0} that are left, in at most {REFUNDS_MAX} parts")]
    RefundAmount(Money),
    /// A person may settle only a refund that is in doubt or owed.
    #[error("the refund is {state}; only one that is in doubt, or owed, can be resolved in this way")]
    RefundNotInDoubt {
        /// Where it stands.
        state: &'static str,
    },
    /// Only what is owed is paid back in another way: while the carrier may give it back, it would be paid twice.
    #[error("the refund is {state}; only one that is owed can be paid back in another way")]
    RefundNotOwed {
        /// Where it stands.
        state: &'static str,
    },
    /// This charge has no such refund.
    #[error("the charge has no refund {0}")]
    UnknownRefund(Reference),
    /// The amounts cannot be computed.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
