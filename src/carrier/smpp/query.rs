//! What became of a message: `query_sm` where its id is known, and whether a receipt without a known id can be its own.

use std::time::Duration;

use super::{SmppCarrier, compose};
use crate::{
    carrier::{CarrierReceipt, receipt::SubmittedMessage, tariff::tariff_for, transcript},
    charge::{Attempt, Charge, Finding, Refund},
    process,
    smpp::{Address, QueryOutcome, QuerySm},
};

/// How long a status query may take, place in the window included.
const QUERY_PATIENCE: Duration = Duration::from_secs(10);
/// Status queries at once. They use the contract's rate as messages do: with thousands in doubt, passengers who wait now would
/// wait for all of them.
pub(super) const QUERIES_MAX: usize = 8;

impl SmppCarrier {
    pub(in crate::carrier) async fn query(&self, charge: &Charge, attempt: &Attempt) -> Option<Finding> {
        let state = self.queried_state(attempt.carrier_id.as_deref()?, self.charge_source(charge)).await?;
        Some(state.map_or(Finding::Nothing, |state| self.0.meanings.of_queried_state(state)))
    }

    pub(in crate::carrier) async fn query_refund(&self, refund: &Refund) -> Option<Finding> {
        let source = self.refund_source(refund)?;
        let state = self.queried_state(refund.carrier_id.as_deref()?, source).await?;
        Some(state.map_or(Finding::Nothing, |state| self.0.meanings.of_queried_refund(state)))
    }

    /// The state of a message, by our normal form of its id. `None` where the SMSC cannot be asked; `Some(None)` where it does not
    /// tell: an error of the query says nothing of the message (M8).
    async fn queried_state(&self, carrier_id: &str, source: Address) -> Option<Option<u8>> {
        let message_id = compose::id_as_written(&self.0.profile, carrier_id);
        self.0.profile.query?;
        let query = QuerySm { message_id, source };
        let deadline = process::now() + QUERY_PATIENCE;
        let Ok(Ok(_turn)) = tokio::time::timeout_at(deadline.into(), self.0.queries.acquire()).await else {
            // It asks again when the schedule says so.
            return Some(None);
        };
        Some(match self.0.pool.query(query, deadline).await {
            QueryOutcome::State(state) => {
                transcript::note(|| format!("query_sm_resp: {state:?}"));
                Some(state.message_state)
            }
            QueryOutcome::Refused { .. } | QueryOutcome::NotWritten { .. } | QueryOutcome::Unanswered { .. } => None,
        })
    }

    pub(in crate::carrier) fn receipt_fits(
        &self,
        receipt: &CarrierReceipt,
        charge: &Charge,
        attempt: &Attempt,
    ) -> bool {
        let message = SubmittedMessage {
            wire_reference: &attempt.wire_reference,
            msisdn: charge.order.msisdn,
            source: &self.charge_source(charge).addr,
            opened_at: attempt.opened_at,
        };
        attempt.carrier == receipt.carrier && attempt.carrier_id.is_none() && receipt.fits(&message, &self.0.zone)
    }

    pub(in crate::carrier) fn receipt_fits_refund(
        &self,
        receipt: &CarrierReceipt,
        charge: &Charge,
        refund: &Refund,
    ) -> bool {
        let (Some(source), Some(opened_at)) = (self.refund_source(refund), refund.named_at) else {
            return false;
        };
        let message = SubmittedMessage {
            wire_reference: &refund.user_message_reference().to_string(),
            msisdn: charge.order.msisdn,
            source: &source.addr,
            opened_at,
        };
        charge.carrier_of(refund) == Some(&receipt.carrier) && receipt.fits(&message, &self.0.zone)
    }

    /// Where the message for a charge comes from; a query has to name the same (SMPP 3.4, 4.8.1).
    fn charge_source(&self, charge: &Charge) -> Address {
        let short_number = &self.0.config.short_number;
        match tariff_for(&self.0.profile.tariffs, charge.order.amount) {
            Ok(tariff) if charge.order.amount.minor > 0 => tariff.source_or(short_number),
            _ => Address::short_code(short_number),
        }
    }

    /// Where the message for a refund comes from. `None` where the contract has no such message.
    fn refund_source(&self, refund: &Refund) -> Option<Address> {
        let tariffs = &self.0.profile.refund.as_ref()?.tariffs;
        tariff_for(tariffs, refund.amount).ok().map(|tariff| tariff.source_or(&self.0.config.short_number))
    }
}
