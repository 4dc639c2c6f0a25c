//! What is outstanding: charges and refunds in doubt, refunds owed, receipts that nobody owns (M14, M16).

use super::{ParkedReceipt, StoreError};
use crate::{
    charge::{CarrierName, Charge, Reference, Refund, RefundState},
    clock::Timestamp,
    money::Currency,
};

/// Which unsettled refunds to list, those of the oldest purchases first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefundFilter {
    /// Standing here; anywhere but settled if left out.
    pub standing: Option<RefundStanding>,
    /// Of this carrier.
    pub carrier: Option<CarrierName>,
    /// Asked for at or before this moment.
    pub opened_by: Option<Timestamp>,
    /// Only those whose reference is greater than this: where the page before ended.
    pub after: Option<Reference>,
}

/// Where an unsettled refund stands, as far as people must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundStanding {
    /// The carrier is being asked, or has not told the outcome yet.
    Requested,
    /// The carrier may have done it.
    InDoubt,
    /// The carrier cannot or would not.
    Owed,
}

impl RefundStanding {
    /// Where a refund in this state stands; `None` once it is settled.
    pub const fn of(state: RefundState) -> Option<RefundStanding> {
        match state {
            RefundState::Requested | RefundState::Waiting | RefundState::Accepted => Some(RefundStanding::Requested),
            RefundState::InDoubt => Some(RefundStanding::InDoubt),
            RefundState::Owed => Some(RefundStanding::Owed),
            RefundState::Done | RefundState::PaidOut => None,
        }
    }

    /// The states that stand here, by their codes.
    pub(super) fn states(self) -> impl Iterator<Item = &'static str> {
        RefundState::ALL
            .into_iter()
            .filter(move |state| RefundStanding::of(*state) == Some(self))
            .map(RefundState::code)
    }
}

/// An unsettled refund, with the charge that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRefund {
    /// The charge as it is now.
    pub charge: Charge,
    /// The refund.
    pub refund: Refund,
}

impl ListedRefund {
    /// Takes the refund with this reference out of a charge's body.
    pub(super) fn new(charge: Charge, refund: Reference) -> Result<ListedRefund, StoreError> {
        match charge.refunds.iter().find(|known| known.reference == refund).cloned() {
            Some(refund) => Ok(ListedRefund { charge, refund }),
            None => Err(StoreError::Corrupt {
                table: "refunds",
                row: refund.to_string(),
                why: format!("charge {} has no such refund", charge.reference),
            }),
        }
    }

    /// Who took the money.
    pub fn carrier(&self) -> Option<&CarrierName> {
        self.charge.carrier_of(&self.refund)
    }
}

/// Something that is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outstanding {
    /// Charges in doubt.
    ChargesInDoubt,
    /// Refunds that the carrier is asked for, or of which it has not told the outcome yet.
    RefundsRequested,
    /// Refunds in doubt.
    RefundsInDoubt,
    /// Refunds that are owed.
    RefundsOwed,
    /// Receipts and callbacks that nobody owns. They are worth nothing that is known.
    Parked,
}

/// How much is outstanding at a carrier (M16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutstandingSum {
    /// What.
    pub what: Outstanding,
    /// The carrier.
    pub carrier: CarrierName,
    /// The currency; `None` for what is worth nothing that is known.
    pub currency: Option<Currency>,
    /// How many.
    pub count: u64,
    /// Since when the oldest.
    pub oldest_since: Timestamp,
    /// What they are worth together, in minor units.
    pub minor: i64,
}

/// A receipt or callback that is parked, and whether that is known to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnownedReceipt {
    /// The receipt or callback.
    pub receipt: ParkedReceipt,
    /// When it was reported as a break.
    pub reported_at: Option<Timestamp>,
}

/// The kind of break that a parked receipt becomes.
pub(super) const UNOWNED: &str = "receipt_unowned";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m14_every_state_of_a_refund_but_the_settled_ones_stands_somewhere() {
        for state in RefundState::ALL {
            assert_eq!(RefundStanding::of(state).is_none(), state.is_settled(), "{state:?}");
        }
        let owed: Vec<&str> = RefundStanding::Owed.states().collect();
        assert_eq!(owed, ["owed"]);
    }
}
