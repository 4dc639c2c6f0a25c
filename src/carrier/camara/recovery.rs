//! What became of an attempt: the payment is retrieved by its id, or looked for where we never learned one.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    adapter::{CamaraCarrier, correlate},
    message::{ErrorInfo, Payment, below},
};
use crate::{
    carrier::{
        Urgency,
        web::{Answer, Outcome, WebRequest},
    },
    charge::{Attempt, Charge, Finding},
};

/// How long one question by an id may take, with the waits for its places.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a look at a payment may take that has just been confirmed, cancelled or validated; after it the schedule asks.
const GLANCE: Duration = Duration::from_secs(3);

/// What a question for one thing by its id found.
pub(super) enum Retrieved<T> {
    /// It is there.
    There(T),
    /// The carrier says that there is none with this id.
    Absent,
    /// No answer that says either.
    Unknown,
}

impl CamaraCarrier {
    /// Asks for the status of an attempt: `retrievePayment` where its id is known, else `retrievePayments` over the window of time
    /// in which it was created. An error of the question is [`Finding::Nothing`] (M8).
    ///
    /// [`Finding::NotFound`] is complete only if the whole window was read, in order and without gaps (M5).
    pub async fn query(&self, charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        if attempt.carrier_id.is_some() {
            match self.within_patience(self.look_up(charge, attempt)).await {
                Some(Retrieved::There(finding)) => return Some(finding),
                // It may have been forgotten with the reservation; the list has the last word.
                Some(Retrieved::Absent) => {}
                Some(Retrieved::Unknown) | None => return Some(Finding::Nothing),
            }
        }
        Some(self.look_for(charge, attempt).await)
    }

    /// What the payment says right after a step that the carrier took. A ticket may hang on it, so it waits for nobody's questions.
    pub(super) async fn glance(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        let Some(payment_id) = &attempt.carrier_id else { return Finding::Nothing };
        let url = below(&self.profile().billing_url, &["payments", payment_id]);
        let glance = self.retrieve::<Payment>("glance", url, &attempt.wire_reference, Urgency::Ticket);
        match tokio::time::timeout(GLANCE, glance).await {
            Ok(Retrieved::There(payment)) => self.of_found(&payment, charge, attempt),
            _ => Finding::Nothing,
        }
    }

    /// What is known of an attempt by the id of its payment.
    async fn look_up(&self, charge: &Charge, attempt: &Attempt) -> Retrieved<Finding> {
        let Some(payment_id) = &attempt.carrier_id else { return Retrieved::Absent };
        let url = below(&self.profile().billing_url, &["payments", payment_id]);
        match self.retrieve::<Payment>("query", url, &attempt.wire_reference, Urgency::Normal).await {
            Retrieved::There(payment) => Retrieved::There(self.of_found(&payment, charge, attempt)),
            Retrieved::Absent => Retrieved::Absent,
            Retrieved::Unknown => Retrieved::Unknown,
        }
    }

    pub(super) fn of_found(&self, payment: &Payment, charge: &Charge, attempt: &Attempt) -> Finding {
        self.0.meanings.of_payment(payment, charge, attempt).unwrap_or_else(|why| {
            self.log_unclear(charge, "payment", &why);
            Finding::Nothing
        })
    }

    /// A question in its turn among the others. `None` where that took too long: it is asked again when the schedule says so.
    pub(super) async fn within_patience<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let _turn = timeout_at(deadline, self.0.questions.acquire()).await.ok()?.ok()?;
        timeout_at(deadline, question).await.ok()
    }

    /// One thing by its id.
    pub(super) async fn retrieve<T: for<'a> serde::Deserialize<'a>>(
        &self,
        operation: &'static str,
        url: Url,
        correlator: &str,
        urgency: Urgency,
    ) -> Retrieved<T> {
        let Some(answer) = self.get(operation, url, correlator, urgency).await else { return Retrieved::Unknown };
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_or(Retrieved::Unknown, Retrieved::There),
            // In CAMARA's own words only: a stranger on the way knows of no payments.
            404 if ErrorInfo::read(&answer.body).is_some_and(|info| info.code == "NOT_FOUND") => Retrieved::Absent,
            _ => Retrieved::Unknown,
        }
    }

    /// A GET in its turn. `None` if it was not answered.
    pub(super) async fn get(
        &self,
        operation: &'static str,
        url: Url,
        correlator: &str,
        urgency: Urgency,
    ) -> Option<Answer> {
        let slot = self.0.gate.reserve(PATIENCE, urgency).await.ok()?.for_question();
        let mut request = WebRequest::get(operation, url);
        correlate(&mut request, correlator);
        let outcome = self.request(request).await;
        slot.settle(&outcome);
        match outcome {
            Outcome::Answer(answer) => Some(answer),
            Outcome::NotSent(_) | Outcome::Lost(_) => None,
        }
    }
}
