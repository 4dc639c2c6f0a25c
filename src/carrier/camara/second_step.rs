//! The second step: what the carrier holds is validated by the subscriber, confirmed, or cancelled.

use tracing::warn;

use super::{
    adapter::{CamaraCarrier, doubt, is_success},
    meaning::Operation,
    message,
};
use crate::{
    carrier::web::{Outcome, WebSlot},
    charge::{Attempt, Charge, Doubt, Finding, Retry, Validation},
};

impl CamaraCarrier {
    /// Has the carrier take what it holds (`confirmPayment`), for an attempt that must be durable as asked for (M1). The answer
    /// says nothing of the money, so the payment is retrieved at once: a ticket may hang on it.
    pub async fn confirm(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        self.second_step(slot, charge, attempt, Operation::Confirm).await
    }

    /// Has the carrier give up what it holds (`cancelPayment`), for an attempt that must be durable as asked for (M1).
    pub async fn cancel(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt) -> Finding {
        self.second_step(slot, charge, attempt, Operation::Cancel).await
    }

    /// Passes on the one-time password that the subscriber has entered (`validatePayment`). [`Finding::OtpNeeded`] if it was not
    /// right; [`Finding::Nothing`] where it could not be passed on.
    pub async fn validate(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt, otp: &str) -> Finding {
        let Some(payment_id) = &attempt.carrier_id else { return Finding::Nothing };
        let Some(Validation::Password { authorization_id }) = &attempt.validation else {
            warn!(carrier = %self.name(), charge = %charge.reference, "nothing is known that a password could be passed on with");
            return Finding::Nothing;
        };
        let body = message::validate_payment(authorization_id, otp);
        let outcome = self.post("validate", &["payments", payment_id, "validate"], body, &attempt.wire_reference).await;
        slot.settle(&outcome);
        let Outcome::Answer(answer) = outcome else { return Finding::Nothing };
        if is_success(answer.status) {
            return self.after_validation(charge, attempt).await;
        }
        match self.0.meanings.of_error(Operation::Validate, answer.status, &answer.body) {
            finding @ Finding::OtpNeeded { .. } => finding,
            finding @ Finding::Rejected { retry: Retry::Never, .. } => finding,
            // It was validated before.
            Finding::Doubtful { cause: Doubt::Duplicate } => self.after_validation(charge, attempt).await,
            // What went wrong with the password says nothing of what the carrier holds.
            _ => Finding::Nothing,
        }
    }

    async fn second_step(&self, slot: WebSlot, charge: &Charge, attempt: &Attempt, operation: Operation) -> Finding {
        let Some(payment_id) = &attempt.carrier_id else { return Finding::NotSent };
        let step = if operation == Operation::Confirm { "confirm" } else { "cancel" };
        let body = message::phone_number(charge.order.msisdn);
        let outcome = self.post(step, &["payments", payment_id, step], body, &attempt.wire_reference).await;
        slot.settle(&outcome);
        match &outcome {
            Outcome::NotSent(why) => {
                self.log_not_sent(why);
                Finding::NotSent
            }
            Outcome::Lost(why) => Finding::Doubtful { cause: doubt(why) },
            Outcome::Answer(answer) if is_success(answer.status) => self.after_second_step(charge, attempt).await,
            Outcome::Answer(answer) => match self.0.meanings.of_error(operation, answer.status, &answer.body) {
                // Confirmed or cancelled before: which, the payment tells.
                Finding::Doubtful { cause: Doubt::Duplicate } => self.after_second_step(charge, attempt).await,
                finding => finding,
            },
        }
    }

    /// What a payment says after a second step that the carrier took. While it says nothing final, the outcome is still to come:
    /// that it is reserved was so before.
    async fn after_second_step(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        match self.glance(charge, attempt).await {
            finding @ (Finding::Charged { .. } | Finding::Rejected { .. } | Finding::Cancelled) => finding,
            _ => Finding::Accepted { carrier_id: attempt.carrier_id.clone() },
        }
    }

    /// What a payment says after its password was taken.
    async fn after_validation(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        match self.glance(charge, attempt).await {
            // Not yet known everywhere at the carrier that it was.
            Finding::OtpNeeded { .. } => Finding::Nothing,
            finding => finding,
        }
    }
}
