//! What became of an attempt: the payment is retrieved by its id, or looked for where we never learned one.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::debug;
use url::Url;

use super::{
    adapter::{CamaraCarrier, LIST, correlate},
    listing::{Listing, Progress},
    message::{ErrorInfo, Payment, below},
};
use crate::{
    carrier::{
        NoSlot, Urgency, transcript,
        web::{Answer, Outcome, WebRequest},
    },
    charge::{Attempt, Charge, Finding},
};

/// How long one question may take, with all its pages and the waits for their places.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a look at a payment may take that has just been confirmed, cancelled or validated; after it the schedule asks.
const GLANCE: Duration = Duration::from_secs(3);
/// The pause before a carrier that did not answer is asked for the time again.
const PAUSE: Duration = Duration::from_millis(200);
/// Names that question in the carrier's logs.
const TIME: &str = "time";

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
    /// Waits until the carrier has answered anything since the start of this process, and asks for the shortest of lists if nobody else
    /// does. Before that nothing is charged: a payment that is lost is looked for in the carrier's time, which its answers tell (M5).
    ///
    /// Errors: it has not answered within `patience`.
    pub async fn learn_time(&self, patience: Duration) -> Result<(), NoSlot> {
        if self.0.clock.was_asked() {
            return Ok(());
        }
        let asking = async {
            let _one_asks = self.0.asking_time.lock().await;
            while !self.0.clock.was_asked() {
                let mut url = below(&self.profile().billing_url, &["payments"]);
                url.query_pairs_mut().append_pair("page", "1").append_pair("perPage", "1");
                if self.get(LIST, url, TIME, Urgency::Normal).await.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        tokio::time::timeout(patience, asking).await.map_err(|_elapsed| NoSlot::InTime)
    }

    /// Asks for the status of an attempt: `retrievePayment` where its id is known, else `retrievePayments` over the window of time
    /// in which it was created. An error of the question is [`Finding::Nothing`] (M8).
    ///
    /// [`Finding::NotFound`] is complete only if the whole window was read, in order and without gaps (M5).
    pub async fn query(&self, charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        Some(self.within_patience(self.look_up(charge, attempt)).await)
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

    async fn look_up(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        if let Some(payment_id) = &attempt.carrier_id {
            let url = below(&self.profile().billing_url, &["payments", payment_id]);
            match self.retrieve::<Payment>("query", url, &attempt.wire_reference, Urgency::Normal).await {
                Retrieved::There(payment) => return self.of_found(&payment, charge, attempt),
                Retrieved::Unknown => return Finding::Nothing,
                // The id may have been forgotten with the reservation; the list has the last word.
                Retrieved::Absent => {}
            }
        }
        self.look_for(charge, attempt).await
    }

    async fn look_for(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        let mut listing = Listing::new(self.profile(), attempt);
        let mut url = listing.url();
        loop {
            let Some(answer) = self.get(LIST, url, &attempt.wire_reference, Urgency::Normal).await else {
                return Finding::Nothing;
            };
            let payments = match serde_json::from_slice::<Vec<Payment>>(&answer.body) {
                Ok(payments) if answer.status == 200 => payments,
                _ => return Finding::Nothing,
            };
            let total = answer.header("x-total-count").and_then(|text| text.trim().parse().ok());
            let progress = listing.take(payments, total);
            let found = if let Progress::Found(payment) = &progress { Some(payment.payment_id.as_str()) } else { None };
            transcript::note_element(LIST, &answer.body, found);
            match progress {
                Progress::Found(payment) => return self.of_found(&payment, charge, attempt),
                Progress::Lacking => return Finding::NotFound { complete: true },
                Progress::Incomplete(why) => {
                    debug!(carrier = %self.name(), charge = %charge.reference, why, "a list that says nothing of what it lacks");
                    return Finding::NotFound { complete: false };
                }
                Progress::Next(next) => url = next,
            }
        }
    }

    fn of_found(&self, payment: &Payment, charge: &Charge, attempt: &Attempt) -> Finding {
        self.0.meanings.of_payment(payment, charge, attempt).unwrap_or_else(|why| {
            self.log_unclear(charge, "payment", &why);
            Finding::Nothing
        })
    }

    /// A question in its turn among the others, with an end.
    pub(super) async fn within_patience(&self, question: impl Future<Output = Finding>) -> Finding {
        let deadline = Instant::now() + PATIENCE;
        let Ok(Ok(_turn)) = timeout_at(deadline, self.0.questions.acquire()).await else {
            // It is asked again when the schedule says so.
            return Finding::Nothing;
        };
        timeout_at(deadline, question).await.unwrap_or(Finding::Nothing)
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
