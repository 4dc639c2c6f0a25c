//! Money on its way back. A refund is a request of its own, with its own attempts, evidence and doubt (M14).

use std::time::Duration;

use super::{
    Break, Contract, Effect, EvidenceSource, Finding, Illegal, REFUND_TRIES_MAX, REFUNDS_MAX, Reference, Refund,
    RefundState, Retry, State, step::Change,
};
use crate::{clock::Timestamp, money::Money};

/// So long after it first heard a key, a carrier that replays keys is taken to know it still. None of them tells how long it does,
/// and a forgotten key would give the money back twice.
const KEYS_ARE_KNOWN_FOR: Duration = Duration::from_secs(3_600);

impl Change {
    pub(super) fn request_refund(&mut self, reference: Reference, amount: Money) -> Result<(), Illegal> {
        if self.charge.refunds.iter().any(|refund| refund.reference == reference) {
            return Ok(());
        }
        if self.charge.state != State::Charged {
            return Err(Illegal::NotCharged { state: self.charge.state.code() });
        }
        let left = self.charge.order.amount.checked_sub(self.charge.refunded_amount())?;
        let over = left.checked_sub(amount)?.minor < 0;
        if over || !amount.is_positive() || self.charge.refunds.len() >= REFUNDS_MAX {
            return Err(Illegal::RefundAmount(left));
        }
        self.add_refund(reference, amount, None);
        if amount == left {
            self.effects.push(Effect::RevokeTicket);
            self.settle_refund_state();
        }
        Ok(())
    }

    pub(super) fn add_refund(&mut self, reference: Reference, amount: Money, attempt: Option<u16>) {
        let contract = self.refund_contract(attempt);
        let refund = Refund::new(reference, amount, attempt, contract.as_ref(), self.now);
        if refund.state == RefundState::Requested {
            self.effects.push(Effect::Refund { refund: reference });
        }
        self.charge.refunds.push(refund);
    }

    fn refund_contract(&self, attempt: Option<u16>) -> Option<Contract> {
        let attempt = attempt.map_or(self.charge.last_attempt(), |number| self.charge.attempt(number));
        attempt.map(|attempt| attempt.contract)
    }

    pub(super) fn weigh_refund(
        &mut self,
        reference: Reference,
        source: &EvidenceSource,
        finding: Finding,
    ) -> Result<(), Illegal> {
        let Some(index) = self.charge.refunds.iter().position(|refund| refund.reference == reference) else {
            return Err(Illegal::UnknownRefund(reference));
        };
        let Some(contract) = self.refund_contract(self.charge.refunds[index].attempt) else { return Ok(()) };
        let now = self.now;
        let is_answer = matches!(source, EvidenceSource::Response | EvidenceSource::Link);
        let refund = &mut self.charge.refunds[index];
        match (refund.state, finding) {
            // That the same bytes were not sent again, or were turned away, says nothing of those that were sent before.
            (_, Finding::Rejected { .. } | Finding::NotSent) if *source == EvidenceSource::Repeat => {}
            // What went back has gone back; a later no is somebody's mistake, and somebody must look.
            (RefundState::Done, Finding::Rejected { .. } | Finding::NotSent | Finding::Cancelled) => {
                self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge));
            }
            (RefundState::Done, _) => {}
            (_, Finding::Charged { carrier_id, .. }) => {
                refund.carrier_id = carrier_id.or(refund.carrier_id.take());
                refund.end(RefundState::Done);
            }
            // It is on the refund list now; only that the money went back changes it.
            (RefundState::Owed, _) => {}
            (state, Finding::NotSent | Finding::Rejected { retry: Retry::SameCarrier, .. })
                if state == RefundState::Requested
                    || state == RefundState::InDoubt && is_answer && !refund.sent_again =>
            {
                refund.state = RefundState::Waiting;
                refund.in_doubt_since = None;
                refund.pause(&contract, now);
            }
            // One before this one may have done it after all, which would be a reason to refuse this one.
            (RefundState::Requested, Finding::Rejected { .. }) if is_answer && refund.tries > 1 => {
                refund.state = RefundState::InDoubt;
                refund.in_doubt_since = Some(now);
                refund.pause(&contract, now);
            }
            (RefundState::InDoubt, Finding::Rejected { .. }) if is_answer && refund.tries > 1 => {}
            (_, Finding::Rejected { retry: Retry::Never | Retry::OtherCarrier, .. } | Finding::Cancelled) => {
                refund.end(RefundState::Owed);
            }
            (RefundState::Requested | RefundState::InDoubt, Finding::Accepted { carrier_id }) => {
                refund.carrier_id = carrier_id.or(refund.carrier_id.take());
                refund.state = RefundState::Accepted;
                refund.in_doubt_since = None;
                refund.pause(&contract, now);
            }
            (RefundState::Requested | RefundState::Accepted, Finding::Doubtful { .. }) => {
                refund.state = RefundState::InDoubt;
                refund.in_doubt_since = Some(now);
                refund.pause(&contract, now);
            }
            (RefundState::InDoubt, Finding::Doubtful { .. }) if *source == EvidenceSource::Repeat => {
                refund.in_doubt_since = Some(now);
                refund.not_found_at = None;
            }
            (RefundState::InDoubt, Finding::NotFound { complete }) => {
                let delay = Duration::from_millis(contract.in_flight_delay_ms);
                if refund.is_proved_absent(complete, delay, now) {
                    self.request_again(index, &contract);
                }
            }
            _ => {}
        }
        if matches!(self.charge.state, State::Refunding | State::RefundOwed | State::Refunded) {
            self.settle_refund_state();
        }
        Ok(())
    }

    /// It did not arrive, by evidence (M5).
    fn request_again(&mut self, index: usize, contract: &Contract) {
        let refund = &mut self.charge.refunds[index];
        if refund.tries >= REFUND_TRIES_MAX {
            refund.end(RefundState::Owed);
        } else {
            refund.request(contract, self.now);
            self.effects.push(Effect::Refund { refund: refund.reference });
        }
    }

    pub(super) fn look_after_refunds(&mut self) {
        for index in 0..self.charge.refunds.len() {
            let contract = self.refund_contract(self.charge.refunds[index].attempt);
            let refund = &mut self.charge.refunds[index];
            let (Some(contract), true) = (contract, refund.next_at.is_some_and(|at| at <= self.now)) else { continue };
            let reference = refund.reference;
            match refund.state {
                RefundState::Waiting => {
                    // It was not sent, or definitely not taken: the same try.
                    refund.state = RefundState::Requested;
                    refund.named_at = Some(self.now);
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::Refund { refund: reference });
                }
                RefundState::Requested => {
                    refund.state = RefundState::InDoubt;
                    refund.in_doubt_since = Some(self.now);
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::QueryRefund { refund: reference });
                }
                RefundState::InDoubt if refund.may_be_resent(&contract, self.now) => {
                    // What is sent now may arrive as late as the first: absence counts from here (M5).
                    refund.in_doubt_since = Some(self.now);
                    refund.not_found_at = None;
                    refund.sent_again = true;
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::ResendRefund { refund: reference });
                }
                RefundState::Accepted | RefundState::InDoubt => {
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::QueryRefund { refund: reference });
                }
                RefundState::Owed | RefundState::Done => refund.next_at = None,
            }
        }
    }

    /// A charge whose whole amount goes back stands where the least settled of its refunds stands.
    pub(super) fn settle_refund_state(&mut self) {
        let own = self.charge.refunds.iter().filter(|refund| refund.attempt.is_none());
        let states: Vec<RefundState> = own.map(|refund| refund.state).collect();
        self.charge.state = if states.contains(&RefundState::Owed) {
            State::RefundOwed
        } else if states.iter().all(|state| *state == RefundState::Done) {
            State::Refunded
        } else {
            State::Refunding
        };
    }
}

impl Refund {
    fn end(&mut self, state: RefundState) {
        self.state = state;
        self.in_doubt_since = None;
        self.next_at = None;
    }

    /// By turns with the questions, which not every carrier can answer (M4).
    fn may_be_resent(&self, contract: &Contract, now: Timestamp) -> bool {
        let its_turn = !self.pauses.is_multiple_of(2) || contract.queries.is_none();
        let is_known = self.named_at.is_some_and(|named| now < named.plus(KEYS_ARE_KNOWN_FOR));
        contract.replays_keys && its_turn && is_known
    }

    /// Two complete listings, far enough apart and far enough from the request, lack it (M5).
    fn is_proved_absent(&mut self, complete: bool, delay: Duration, now: Timestamp) -> bool {
        let Some(began) = self.in_doubt_since.filter(|_| complete) else { return false };
        if now < began.plus(delay) {
            return false;
        }
        match self.not_found_at {
            Some(first) => now >= first.plus(delay) && now > first,
            None => {
                self.not_found_at = Some(now);
                false
            }
        }
    }
}
