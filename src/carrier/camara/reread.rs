//! The payments of a time that is lost to our books, as the carrier has them.

use serde_json::json;

use super::{
    adapter::{CamaraCarrier, LIST},
    event::parse_wire_reference,
    lists::is_past_the_end,
    message::{Payment, below},
};
use crate::{
    carrier::{LostPayment, PaymentStanding, RereadError, Urgency},
    clock::Timestamp,
};

/// What the requests are told by in the carrier's logs.
const CORRELATOR: &str = "reread";

impl CamaraCarrier {
    /// The payments that bear a reference of ours and were created from the first moment to the second, by the carrier's clock.
    ///
    /// Errors: a page was not answered, or there are more pages than one question may take. Then nothing is told.
    pub(in crate::carrier) async fn payments_between(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LostPayment>, RereadError> {
        let list = &self.profile().list;
        let (mut found, mut seen) = (Vec::new(), 0_usize);
        for page in 1..=list.pages_max {
            let mut url = below(&self.profile().billing_url, &["payments"]);
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("perPage", &list.per_page.to_string())
                .append_pair("paymentCreationDate.gte", &from.to_string())
                .append_pair("order", "asc");
            let answer = self.get(LIST, url, CORRELATOR, Urgency::Normal).await.ok_or(RereadError::Unanswered)?;
            let payments = match serde_json::from_slice::<Vec<Payment>>(&answer.body) {
                Ok(payments) if answer.status == 200 => payments,
                _ if page > 1 && is_past_the_end(&answer) => Vec::new(),
                _ => return Err(RereadError::Unanswered),
            };
            seen += payments.len();
            // Nothing that follows is older, but for what a date may be out of order.
            let is_past =
                payments.last().and_then(created).is_some_and(|at| at > until.plus(self.profile().clock_tolerance()));
            let total: Option<usize> = answer.header("x-total-count").and_then(|text| text.trim().parse().ok());
            // A count of what is on its own page ends no list: some carriers count the page.
            let is_whole = payments.is_empty() || total.is_some_and(|total| seen > payments.len() && seen >= total);
            found.extend(
                payments
                    .iter()
                    .filter_map(|payment| self.of_ours(payment))
                    .filter(|lost| lost.created_at.is_none_or(|at| at <= until)),
            );
            if is_past || is_whole {
                return Ok(found);
            }
        }
        Err(RereadError::TooMany)
    }

    /// `None` if it bears no reference of ours.
    fn of_ours(&self, payment: &Payment) -> Option<LostPayment> {
        let transaction = payment.amount_transaction.as_ref()?;
        let references = [&transaction.reference_code, &transaction.client_correlator];
        let (reference, attempt) = references.into_iter().flatten().find_map(|text| parse_wire_reference(text))?;
        let amount = transaction.payment_amount.as_ref().and_then(|amount| amount.amount()).flatten();
        let standing = match payment.payment_status.as_str() {
            "succeeded" => PaymentStanding::Taken,
            "denied" | "cancelled" => PaymentStanding::NotTaken,
            _ => PaymentStanding::Open,
        };
        let told = json!({
            "payment_id": payment.payment_id,
            "payment_status": payment.payment_status,
            "reference": reference,
            "attempt": attempt,
            "msisdn": transaction.phone_number,
            "amount": amount,
            "created": payment.payment_creation_date,
        });
        let carrier_id = payment.payment_id.clone();
        Some(LostPayment { carrier_id, reference, attempt, standing, amount, created_at: created(payment), told })
    }
}

fn created(payment: &Payment) -> Option<Timestamp> {
    payment.payment_creation_date.as_deref().and_then(|at| at.parse().ok())
}
