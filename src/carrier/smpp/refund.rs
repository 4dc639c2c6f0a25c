//! Money on its way back: a message of another tariff that names the charged one, where the contract has it.
//!
//! SMPP knows no key that a carrier could tell a repetition by: such a message is sent once. What becomes of it is told by its
//! response, in time or late, by its receipts, by `query_sm`, or by a person.

use tracing::error;

use super::{Asked, AskedFor, Slot, SmppCarrier, compose};
use crate::{
    charge::{Charge, Event, EvidenceSource, Finding, Reason, Reference, Refund, Retry},
    smpp::SubmitOutcome,
};

impl SmppCarrier {
    /// Has the carrier give money back; the refund must be durable as requested. [`Finding::Charged`] means that it went back, and a
    /// rejection for good that this carrier will not do it: somebody else has to.
    pub(in crate::carrier) async fn refund(&self, slot: Slot, charge: &Charge, refund: &Refund) -> Finding {
        let profile = &self.0.profile;
        let Some(refunds) = &profile.refund else { return impossible("the contract has no refunds any more") };
        if !refunds.partial && refund.amount != charge.order.amount {
            return impossible("the contract has no refund of a part");
        }
        // Known to be taken by another word than the carrier's own.
        let Some(carrier_id) = charge.attempt_of(refund).and_then(|attempt| attempt.carrier_id.as_deref()) else {
            return impossible("the message id of the charge is not known, and a refund has to name it");
        };
        let short_number = &self.0.config.short_number;
        let message = match compose::refund_message(short_number, profile, refunds, charge, refund, carrier_id) {
            Ok(message) => message,
            Err(problem) => {
                error!(carrier = %self.0.name, refund = %refund.reference, %problem, "a refund cannot be put into a message");
                return impossible(&format!("it cannot be put into a message: {problem}"));
            }
        };
        let asked = Asked { charge: charge.reference, what: AskedFor::Refund(refund.reference) };
        let outcome = self.submit(slot, message, asked).await;
        self.0.meanings.of_refund_outcome(&outcome)
    }

    /// An answer that came when the refund had been given up as in doubt.
    pub(super) fn late_refund(&self, refund: Reference, outcome: &SubmitOutcome) -> Event {
        let (said, source) = match outcome {
            SubmitOutcome::NotWritten { .. } => ("not_written".to_owned(), EvidenceSource::Link),
            SubmitOutcome::InDoubt { cause } => (cause.to_string(), EvidenceSource::Link),
            SubmitOutcome::Nack { status } => (format!("nack:{:08x}", status.0), EvidenceSource::Response),
            SubmitOutcome::Response { status, message_id } => {
                let message_id = message_id.as_deref().unwrap_or_default();
                (format!("{:08x}:{message_id}", status.0), EvidenceSource::Response)
            }
        };
        let finding = self.0.meanings.of_refund_outcome(outcome);
        Event::RefundEvidence { refund, id: format!("late:{refund}:{said}"), source, finding }
    }
}

/// Nothing was sent, and nothing will be.
fn impossible(why: &str) -> Finding {
    Finding::Rejected { reason: Reason::CarrierRefused, retry: Retry::Never, detail: why.to_owned() }
}
