//! Money on its way back: Carrier Billing Refund v0.3.

use url::Url;

use super::{
    adapter::{CamaraCarrier, correlate, doubt, is_success},
    listing::believable,
    meaning::{Operation, bears_refund},
    message::{self, RefundMade, RemainingAmount, below},
    recovery::Retrieved,
};
use crate::{
    carrier::{
        Urgency,
        web::{Outcome, WebRequest, WebSlot},
    },
    charge::{Attempt, Charge, Doubt, Finding, Reason, Refund, Retry},
    money::Money,
};

/// Refunds that one payment may have, total and partial, and then some.
const PAGES_MAX: usize = 8;

impl CamaraCarrier {
    /// Has the carrier give money back (`createRefund`): total where all of it goes back at once, partial otherwise. The refund
    /// must be durable as requested. [`Finding::Charged`] means that it went back.
    pub async fn refund(&self, slot: WebSlot, charge: &Charge, refund: &Refund) -> Finding {
        let Some(url) = self.refunds_url(charge, refund, &[]) else {
            // Known to be taken by another word than the carrier's: a person has to give it back.
            let detail = "the payment's id is not known, or refunds are not configured".to_owned();
            return Finding::Rejected { reason: Reason::CarrierRefused, retry: Retry::Never, detail };
        };
        let tokens = self.0.callback_tokens.load_full();
        let token = tokens.first().map(|token| token.as_str());
        let body = message::create_refund(self.profile(), token, charge, refund);
        let mut request = WebRequest::post("refund", url, "application/json", body);
        correlate(&mut request, &refund.wire_reference());
        let outcome = self.request(request).await;
        slot.settle(&outcome);
        match &outcome {
            Outcome::NotSent(why) => {
                self.log_not_sent(why);
                Finding::NotSent
            }
            Outcome::Lost(why) => Finding::Doubtful { cause: doubt(why) },
            Outcome::Answer(answer) if is_success(answer.status) => {
                let read =
                    serde_json::from_slice::<RefundMade>(&answer.body).map_err(|error| message::unreadable(&error));
                let finding = read.and_then(|made| self.0.meanings.of_refund(&made, charge, refund));
                finding.unwrap_or_else(|why| {
                    self.log_unclear(charge, "refund", &why);
                    Finding::Doubtful { cause: Doubt::UnclearAnswer }
                })
            }
            Outcome::Answer(answer) => self.0.meanings.of_error(Operation::Refund, answer.status, &answer.body),
        }
    }

    /// Asks what became of a refund: `retrieveRefund` where its id is known, else `retrieveRefunds`. `None` where it cannot be
    /// asked: the payment's id is not known. An error of the question is [`Finding::Nothing`] (M8).
    pub async fn query_refund(&self, charge: &Charge, refund: &Refund) -> Option<Finding> {
        self.refunds_url(charge, refund, &[])?;
        let found = self.within_patience(self.look_up_refund(charge, refund)).await;
        Some(found.unwrap_or(Finding::Nothing))
    }

    /// What of a payment was never asked to be given back (`retrievePaymentRemainingAmount`). `None` if the carrier does not say.
    pub async fn remaining_amount(&self, charge: &Charge, refund: &Refund) -> Option<Money> {
        let url = self.refunds_url(charge, refund, &["remaining-amount"])?;
        match self.retrieve::<RemainingAmount>("remaining_amount", url, &refund.wire_reference(), Urgency::Normal).await
        {
            Retrieved::There(remaining) => remaining.amount(),
            Retrieved::Absent | Retrieved::Unknown => None,
        }
    }

    async fn look_up_refund(&self, charge: &Charge, refund: &Refund) -> Finding {
        let known = refund.carrier_id.as_deref().and_then(|id| self.refunds_url(charge, refund, &[id]));
        if let Some(url) = known {
            match self.retrieve::<RefundMade>("refund_query", url, &refund.wire_reference(), Urgency::Normal).await {
                Retrieved::There(made) => return self.of_refund_found(&made, charge, refund),
                Retrieved::Unknown => return Finding::Nothing,
                Retrieved::Absent => {}
            }
        }
        match self.list_refunds(charge, refund).await {
            None => Finding::Nothing,
            Some(made) => match best_of(&made, refund) {
                Some(made) => self.of_refund_found(made, charge, refund),
                None => self.not_among_refunds(charge, refund).await,
            },
        }
    }

    /// A list that lacks it, while less is left than it would give back: something is under way that the list does not show.
    async fn not_among_refunds(&self, charge: &Charge, refund: &Refund) -> Finding {
        let left = self.remaining_amount(charge, refund).await;
        let is_contradicted =
            left.is_some_and(|left| left.currency != refund.amount.currency || left.minor < refund.amount.minor);
        Finding::NotFound { complete: !is_contradicted, asked_at: None }
    }

    /// Every refund of the payment, or `None` if they could not be read to the end.
    async fn list_refunds(&self, charge: &Charge, refund: &Refund) -> Option<Vec<RefundMade>> {
        let mut all: Vec<RefundMade> = Vec::new();
        for page in 1..=PAGES_MAX {
            let mut url = self.refunds_url(charge, refund, &[])?;
            let per_page = self.profile().list.per_page.to_string();
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("perPage", &per_page)
                .append_pair("order", "asc");
            let answer = self.get("refund_list", url, &refund.wire_reference(), Urgency::Normal).await?;
            let made = match serde_json::from_slice::<Vec<RefundMade>>(&answer.body) {
                Ok(made) if answer.status == 200 => made,
                _ => return None,
            };
            let total = answer.header("x-total-count").and_then(|text| text.trim().parse().ok());
            let total = believable(total, made.len());
            let is_last = made.is_empty();
            let is_full = u32::try_from(made.len()).is_ok_and(|count| count >= self.profile().list.per_page);
            for one in made {
                // A page that begins anew shows what was there before.
                if !all.iter().any(|known| known.refund_id == one.refund_id) {
                    all.push(one);
                }
            }
            match total {
                // After a full page the count alone is not believed: some carriers count the page.
                Some(total) if all.len() >= total && !is_full => return Some(all),
                None if is_last => return Some(all),
                Some(_) if is_last => return None,
                _ => {}
            }
        }
        None
    }

    fn of_refund_found(&self, made: &RefundMade, charge: &Charge, refund: &Refund) -> Finding {
        self.0.meanings.of_refund(made, charge, refund).unwrap_or_else(|why| {
            self.log_unclear(charge, "refund", &why);
            Finding::Nothing
        })
    }

    fn refunds_url(&self, charge: &Charge, refund: &Refund, rest: &[&str]) -> Option<Url> {
        let base = self.profile().refund_url.as_ref()?;
        let payment_id = attempt_of(charge, refund)?.carrier_id.as_deref()?;
        let mut segments = vec!["payments", payment_id, "refunds"];
        segments.extend(rest);
        Some(below(base, &segments))
    }
}

/// The attempt that took the money.
fn attempt_of<'a>(charge: &'a Charge, refund: &Refund) -> Option<&'a Attempt> {
    refund.attempt.map_or(charge.last_attempt(), |number| charge.attempt(number))
}

/// Of the refunds that bear our reference, the one that gave the money back; else one that still may; else the answer to the last
/// request. That an earlier request was denied says nothing of the last.
fn best_of<'a>(made: &'a [RefundMade], refund: &Refund) -> Option<&'a RefundMade> {
    let ours = || made.iter().filter(|made| bears_refund(made.amount_transaction.as_ref(), refund));
    let last = refund.wire_reference();
    let bears_last = |made: &&RefundMade| {
        let transaction = made.amount_transaction.as_ref();
        transaction.is_some_and(|t| [&t.reference_code, &t.client_correlator].contains(&&Some(last.clone())))
    };
    ours()
        .find(|made| made.refund_status == "succeeded")
        .or_else(|| ours().find(|made| made.refund_status != "denied"))
        .or_else(|| ours().find(bears_last))
}
