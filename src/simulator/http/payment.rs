//! A payment over HTTP, as the carrier keeps it.

use serde::{Deserialize, Serialize};

use super::Interface;
use crate::{clock::Timestamp, money::Money, msisdn::Msisdn};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Taken in, and not settled yet; nothing is taken or held.
    Processing,
    /// The amount is held; the subscriber's code is waited for.
    PendingValidation,
    /// The amount is held.
    Reserved,
    /// The amount was taken.
    Succeeded,
    /// Nothing was taken: refused after it was taken in.
    Denied,
    /// Nothing was taken: the reservation was let go.
    Cancelled,
    /// Nothing was taken: the reservation was let go because its time was over.
    Expired,
}

impl PaymentStatus {
    /// Whether the amount is held.
    pub const fn holds(self) -> bool {
        matches!(self, PaymentStatus::PendingValidation | PaymentStatus::Reserved)
    }
}

/// A payment as of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReport {
    /// The carrier's id: `paymentId`, `transactionId`, `prv_txn`.
    pub id: String,
    /// The interface that it came by.
    pub interface: Interface,
    /// Whose balance.
    pub msisdn: Msisdn,
    /// How much.
    pub amount: Money,
    /// The client's reference: `referenceCode`, `txn_id`.
    pub reference: String,
    /// The client's key against doing it twice: `clientCorrelator`.
    pub correlator: Option<String>,
    /// Whether it is in two steps.
    pub two_steps: bool,
    /// Where it stands.
    pub status: PaymentStatus,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// When the amount was taken.
    pub paid_at: Option<Timestamp>,
    /// When its reservation ends, or ended.
    pub expires_at: Option<Timestamp>,
    /// Its refunds, the oldest first.
    pub refunds: Vec<RefundReport>,
}

impl PaymentReport {
    /// What has been given back of it.
    pub fn refunded(&self) -> Money {
        let done = self.refunds.iter().filter(|refund| refund.status == RefundStatus::Succeeded);
        Money::kzt(done.fold(0_i64, |total, refund| total.saturating_add(refund.amount.minor)))
    }
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Taken in; nothing is given back yet.
    Processing,
    /// Given back.
    Succeeded,
    /// Refused after it was taken in.
    Denied,
}

/// A refund as of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundReport {
    /// The carrier's id.
    pub id: String,
    /// How much.
    pub amount: Money,
    /// The client's reference of the refund.
    pub reference: String,
    /// The client's key against doing it twice.
    pub correlator: Option<String>,
    /// Where it stands.
    pub status: RefundStatus,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// When the amount was given back.
    pub refunded_at: Option<Timestamp>,
}
