//! Money on its way back by a message of its own service type that names the charged one.

use serde::{Deserialize, Serialize};

use super::{
    config::ChargingMoment,
    exchange::Exchange,
    faults::Purpose,
    ledger::RefundEntry,
    message::{Message, Submission},
};
use crate::{clock::Timestamp, money::Money};

/// How the carrier gives money back over SMPP.
///
/// The amount is that of the message's tariff, as for a charge, or that of `amount_tlv`, or all that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefundsConfig {
    /// A message of this `service_type` gives money back and takes none; at most 5 characters.
    pub service_type: String,
    /// The vendor TLV that names the charged message, as its response wrote the id: a C-octet string. None: the last word of the text.
    pub message_id_tlv: Option<u16>,
    /// The vendor TLV that says how much, in minor units: a C-octet string of digits.
    pub amount_tlv: Option<u16>,
    /// When it goes back: refusals are the response's `command_status`, or the `err` of an UNDELIV receipt.
    pub at: ChargingMoment,
    /// Whether a part can go back. If not, a second refund of a message is refused.
    pub partial: bool,
}

impl Default for RefundsConfig {
    fn default() -> RefundsConfig {
        RefundsConfig {
            service_type: "RFND".into(),
            message_id_tlv: Some(0x1403),
            amount_tlv: Some(0x1404),
            at: ChargingMoment::Submission,
            partial: true,
        }
    }
}

/// What a message asks to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefundOrder {
    /// The charged message, as it was named.
    pub(super) message_id: String,
    pub(super) amount_minor: Option<i64>,
}

/// Why the carrier gives nothing back. Each has a vendor `command_status`, and an `err` for receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundRefusal {
    /// No charged message to this number has that id.
    UnknownMessage,
    /// More than was taken, or than is left of it.
    ExceedsCharge,
    /// The message was refunded before.
    RefundedBefore,
    /// A part, where only all can go back.
    NoParts,
    /// The ledger or the table of subscribers is full.
    NoRoom,
}

impl RefundRefusal {
    /// Every refusal, in the order of its codes.
    pub const ALL: [RefundRefusal; 5] = [
        RefundRefusal::UnknownMessage,
        RefundRefusal::ExceedsCharge,
        RefundRefusal::RefundedBefore,
        RefundRefusal::NoParts,
        RefundRefusal::NoRoom,
    ];

    /// The vendor `command_status` of a refused `submit_sm`: 0x460 to 0x464.
    pub fn command_status(self) -> u32 {
        0x460 + u32::from(self.offset())
    }

    /// The `err` of an UNDELIV receipt: "070" to "074".
    pub fn err(self) -> String {
        format!("{:03}", self.err_code())
    }

    pub(super) const fn err_code(self) -> u8 {
        70 + self.offset()
    }

    const fn offset(self) -> u8 {
        match self {
            RefundRefusal::UnknownMessage => 0,
            RefundRefusal::ExceedsCharge => 1,
            RefundRefusal::RefundedBefore => 2,
            RefundRefusal::NoParts => 3,
            RefundRefusal::NoRoom => 4,
        }
    }
}

impl Submission {
    /// What the message is for.
    pub(super) fn purpose(&self) -> Purpose {
        match (&self.refund, &self.tariff) {
            (Some(_), _) => Purpose::Refund,
            (None, Some(_)) => Purpose::Charge,
            (None, None) => Purpose::Text,
        }
    }
}

impl Exchange {
    /// Gives back what a message asks for, and writes it into the ledger. It is not idempotent: the same message again gives back
    /// again, as long as something is left. Errors: see [`RefundRefusal`]; then nothing went back.
    pub(super) fn give_back_by_message(&mut self, message: &Message, now: Timestamp) -> Result<(), RefundRefusal> {
        let submission = &message.submission;
        let Some(order) = &submission.refund else { return Ok(()) };
        let is_its = |id: &str| id.eq_ignore_ascii_case(&order.message_id);
        let charge =
            self.ledger.entries_of(submission.to).find(|entry| entry.interface.is_none() && is_its(&entry.message_id));
        let charge = charge.ok_or(RefundRefusal::UnknownMessage)?;
        let (payment_id, taken) = (charge.message_id.clone(), charge.amount.minor);
        let earlier = self.ledger.refunds().iter();
        let earlier = earlier.filter(|entry| entry.msisdn == submission.to && entry.payment_id == payment_id);
        let gone: Vec<i64> = earlier.map(|entry| entry.amount.minor).collect();
        let left = gone.iter().fold(taken, |left, minor| left.saturating_sub(*minor));
        let minor = message.price_minor.or(order.amount_minor).unwrap_or(taken);
        let has_parts = self.config.refunds.as_ref().is_some_and(|refunds| refunds.partial);
        if !has_parts && !gone.is_empty() {
            return Err(RefundRefusal::RefundedBefore);
        }
        if minor > left {
            return Err(RefundRefusal::ExceedsCharge);
        }
        if !has_parts && minor != taken {
            return Err(RefundRefusal::NoParts);
        }
        if self.ledger.len() >= self.config.limits.ledger_entries_max {
            return Err(RefundRefusal::NoRoom);
        }
        let subscriber = self.subscribers.get_mut(submission.to).map_err(|_| RefundRefusal::NoRoom)?;
        subscriber.balance_minor = subscriber.balance_minor.saturating_add(minor);
        self.ledger.append_refund(RefundEntry {
            at: now,
            msisdn: submission.to,
            amount: Money::kzt(minor),
            interface: None,
            payment_id,
            refund_id: message.id.in_response(self.config.message_id),
            request_reference: submission.reference.map(|reference| reference.to_string()).unwrap_or_default(),
            faults: message.faults.clone(),
        });
        Ok(())
    }
}
