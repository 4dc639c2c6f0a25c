//! The books were put back to an older moment. What was under way then has gone on since, and nobody here knows how far.

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS_MAX, Attempt, AttemptState, CarrierName, Contract, Doubt, RefundState, State, step::Change};
use crate::clock::Timestamp;

/// The attempt that a charge may have had since: it waited for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerhapsSent {
    /// Where it would have gone.
    pub carrier: CarrierName,
    /// What the carrier would have been given to tell it by; empty where that cannot be known.
    pub wire_reference: String,
    /// What the contract with that carrier says.
    pub contract: Contract,
    /// By how much the carrier's clock was ahead of ours at that time, in milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_ahead_ms: Option<i64>,
}

impl Change {
    /// Whatever may have been sent since is in doubt. Once for each generation.
    pub(super) fn restored(&mut self, generation: u32, perhaps: Option<PerhapsSent>) {
        if self.charge.restored_in >= Some(generation) {
            return;
        }
        let before = self.charge.clone();
        if self.charge.state.is_open() {
            match self.charge.attempts.iter().position(|attempt| attempt.state.is_undecided()) {
                Some(index) => self.lose_sight(index),
                None => self.may_have_been_sent(perhaps),
            }
        }
        self.lose_sight_of_refunds();
        if self.charge != before {
            self.charge.restored_in = Some(generation);
        }
    }

    /// It may have been decided meanwhile, or sent again, and then others may have followed it.
    fn lose_sight(&mut self, index: usize) {
        let sent_by = self.sent_by(self.charge.attempts[index].opened_at);
        let attempt = &mut self.charge.attempts[index];
        attempt.state = AttemptState::InDoubt { cause: Doubt::Restored };
        attempt.in_doubt_since = Some(attempt.in_doubt_since.map_or(sent_by, |since| since.max(sent_by)));
        attempt.not_found_at = None;
        attempt.confirmed_before |= attempt.has_two_steps();
        attempt.queries = 0;
        self.charge.state = State::InDoubt;
        self.schedule_query(index);
    }

    fn may_have_been_sent(&mut self, perhaps: Option<PerhapsSent>) {
        let (Some(perhaps), Ok(number)) = (perhaps, u16::try_from(self.charge.attempts.len() + 1)) else { return };
        if usize::from(number) > ATTEMPTS_MAX {
            return;
        }
        let PerhapsSent { carrier, wire_reference, contract, carrier_ahead_ms } = perhaps;
        // The books know of everything up to their last change; whatever was sent was sent after it.
        let opened_at = self.charge.updated_at;
        let ahead = |ms: i64| Timestamp::from_unix_ms(opened_at.unix_ms().saturating_add(ms));
        let carrier_time = carrier_ahead_ms.map(ahead);
        let sent_by = self.sent_by(opened_at);
        let mut attempt = Attempt::open(number, carrier, wire_reference, contract, opened_at, carrier_time);
        attempt.state = AttemptState::InDoubt { cause: Doubt::Restored };
        attempt.in_doubt_since = Some(sent_by);
        self.charge.attempts.push(attempt);
        self.charge.state = State::InDoubt;
        self.schedule_query(self.charge.attempts.len() - 1);
    }

    /// The last moment at which anything of this charge can have been sent: nothing is after its deadline.
    fn sent_by(&self, opened_at: Timestamp) -> Timestamp {
        self.now.min(self.charge.terms.ticket_deadline).max(opened_at)
    }

    /// One that waited may have been asked for. What is owed is somebody's to pay, and stands as it stood.
    fn lose_sight_of_refunds(&mut self) {
        for index in 0..self.charge.refunds.len() {
            let Some(contract) = self.refund_contract(self.charge.refunds[index].attempt) else { continue };
            let refund = &mut self.charge.refunds[index];
            match refund.state {
                RefundState::Requested | RefundState::Waiting | RefundState::Accepted | RefundState::InDoubt => {
                    refund.tries = refund.tries.max(1);
                    refund.named_at.get_or_insert(refund.opened_at);
                    refund.sent_again = true;
                    refund.not_found_at = None;
                    refund.doubt(&contract, self.now);
                }
                RefundState::Owed | RefundState::Done | RefundState::PaidOut => {}
            }
        }
    }
}
