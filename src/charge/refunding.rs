//! Money on its way back. A refund is a request of its own, with its own attempts, evidence and doubt (M14).

use std::time::Duration;

use super::{
    Break, Contract, Effect, EvidenceSource, Finding, Illegal, Notice, OwedBecause, REFUND_TRIES_MAX, REFUNDS_MAX,
    Reason, Reference, Refund, RefundState, Retry, State, step::Change,
};
use crate::{clock::Timestamp, money::Money};

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
        let whole = amount == left;
        if whole {
            self.effects.push(Effect::RevokeTicket);
            // Who has no ticket any more may buy one.
            self.effects.push(Effect::ReleaseSlot);
            self.settle_refund_state();
        }
        self.effects.push(Effect::Tell(Notice::Refund { amount, whole }));
        Ok(())
    }

    /// Where the new refund stands: asked for, or owed.
    pub(super) fn add_refund(&mut self, reference: Reference, amount: Money, attempt: Option<u16>) -> RefundState {
        let contract = self.refund_contract(attempt);
        let refund = Refund::new(reference, amount, attempt, contract.as_ref(), self.now);
        let state = refund.state;
        if state == RefundState::Requested {
            self.effects.push(Effect::Refund { refund: reference });
        }
        self.charge.refunds.push(refund);
        state
    }

    pub(super) fn refund_contract(&self, attempt: Option<u16>) -> Option<Contract> {
        let attempt = attempt.map_or(self.charge.last_attempt(), |number| self.charge.attempt(number));
        attempt.map(|attempt| attempt.contract)
    }

    /// The id of a message stays its refund's, however that ends: the receipts to come find their owner by it. Another id for the
    /// same message is a break, and is not learned.
    fn learn_message_id(&mut self, index: usize, finding: &mut Finding) {
        let refund = &mut self.charge.refunds[index];
        let (Finding::Accepted { carrier_id } | Finding::Charged { carrier_id, .. }) = finding else { return };
        if refund.may_have_unknown_id() {
            refund.carrier_id.clone_from(carrier_id);
        } else if carrier_id.is_some() && refund.carrier_id != *carrier_id && !refund.state.is_settled() {
            *carrier_id = None;
            self.effects.push(Effect::RaiseBreak(Break::CarrierIdDiffers));
        }
    }

    pub(super) fn weigh_refund(
        &mut self,
        reference: Reference,
        source: &EvidenceSource,
        mut finding: Finding,
    ) -> Result<(), Illegal> {
        let index = self.refund_index(reference)?;
        let Some(contract) = self.refund_contract(self.charge.refunds[index].attempt) else { return Ok(()) };
        let before = self.charge.refunds[index].state;
        if contract.refund_message.is_some() {
            self.learn_message_id(index, &mut finding);
        }
        if let EvidenceSource::Operator { name, because } = source {
            self.resolve_refund(index, &finding, name, because)?;
        } else if before.is_settled() {
            self.contradict_settled(index, &finding);
        } else {
            self.weigh_unsettled(index, &contract, source, finding);
        }
        self.refund_moved(index, before);
        Ok(())
    }

    fn refund_index(&self, reference: Reference) -> Result<usize, Illegal> {
        let found = self.charge.refunds.iter().position(|refund| refund.reference == reference);
        found.ok_or(Illegal::UnknownRefund(reference))
    }

    /// A person's word, on proof from outside (M3). It settles what is in doubt or owed, once.
    fn resolve_refund(&mut self, index: usize, finding: &Finding, name: &str, because: &str) -> Result<(), Illegal> {
        let refund = &mut self.charge.refunds[index];
        let is_doubtful = matches!(refund.state, RefundState::InDoubt | RefundState::Accepted);
        match finding {
            Finding::Charged { .. } if is_doubtful || refund.state == RefundState::Owed => {
                refund.end(RefundState::Done)
            }
            Finding::Rejected { .. } if is_doubtful => {
                refund.owe(OwedBecause::Resolved { name: name.to_owned(), because: because.to_owned() });
            }
            _ => return Err(Illegal::RefundNotInDoubt { state: refund.state.code() }),
        }
        Ok(())
    }

    /// What was owed has reached the passenger in another way. The carrier still has what it took.
    pub(super) fn pay_out(&mut self, reference: Reference) -> Result<(), Illegal> {
        let index = self.refund_index(reference)?;
        let refund = &mut self.charge.refunds[index];
        // While the carrier may still give it back, it would be paid twice.
        if refund.state != RefundState::Owed {
            return Err(Illegal::RefundNotOwed { state: refund.state.code() });
        }
        refund.end(RefundState::PaidOut);
        self.refund_moved(index, RefundState::Owed);
        Ok(())
    }

    /// What has reached the passenger has reached her; what says otherwise, somebody must look at (M8).
    fn contradict_settled(&mut self, index: usize, finding: &Finding) {
        let raised = match (self.charge.refunds[index].state, finding) {
            (RefundState::PaidOut, Finding::Charged { .. }) => Break::RefundedTwice,
            (RefundState::Done, Finding::Charged { carrier_id: Some(id), .. })
                if self.charge.refunds[index].carrier_id.as_ref().is_some_and(|known| known != id) =>
            {
                Break::RefundedTwice
            }
            (RefundState::Done, Finding::Rejected { .. } | Finding::NotSent | Finding::Cancelled) => {
                Break::RefusedAfterRefund
            }
            _ => return,
        };
        self.effects.push(Effect::RaiseBreak(raised));
    }

    /// What the carrier says, or our end of the link.
    fn weigh_unsettled(&mut self, index: usize, contract: &Contract, source: &EvidenceSource, finding: Finding) {
        let now = self.now;
        let is_answer = matches!(source, EvidenceSource::Response | EvidenceSource::Link);
        let refund = &mut self.charge.refunds[index];
        // A message that has an id was taken; no answer unsays it, and it must not be sent once more.
        let was_taken = contract.refund_message.is_some() && refund.carrier_id.is_some();
        match (refund.state, finding) {
            // That the same bytes were not sent again, or were turned away, says nothing of those that were sent before.
            (_, Finding::Rejected { .. } | Finding::NotSent) if *source == EvidenceSource::Repeat => {}
            (_, Finding::Charged { carrier_id, amount }) => self.refunded(index, carrier_id, amount),
            // It is on the refund list now; only that the money went back changes it.
            (RefundState::Owed, _) => {}
            (state, Finding::NotSent | Finding::Rejected { retry: Retry::SameCarrier, .. })
                if !was_taken
                    && (state == RefundState::Requested
                        || state == RefundState::InDoubt && is_answer && !refund.sent_again) =>
            {
                refund.state = RefundState::Waiting;
                refund.in_doubt_since = None;
                refund.pause(contract, now);
            }
            // One before this one may have done it after all, which would be a reason to refuse this one.
            (RefundState::Requested, Finding::Rejected { .. }) if is_answer && refund.tries > 1 => {
                refund.doubt(contract, now);
            }
            (RefundState::InDoubt, Finding::Rejected { .. }) if is_answer && refund.tries > 1 => {}
            (_, Finding::Rejected { retry: Retry::Never | Retry::OtherCarrier, reason, detail }) => {
                refund.owe(OwedBecause::Refused { reason, detail });
            }
            (_, Finding::Cancelled) => {
                refund.owe(OwedBecause::Refused { reason: Reason::CarrierRefused, detail: "cancelled".into() });
            }
            (RefundState::Requested | RefundState::InDoubt, Finding::Accepted { carrier_id }) => {
                refund.accepted(carrier_id, contract, now);
            }
            (RefundState::Requested | RefundState::Accepted, Finding::Doubtful { .. }) => refund.doubt(contract, now),
            (RefundState::InDoubt, Finding::Doubtful { .. }) if *source == EvidenceSource::Repeat => {
                refund.in_doubt_since = Some(now);
                refund.not_found_at = None;
            }
            (RefundState::InDoubt, Finding::NotFound { complete, asked_at }) => {
                let delay = Duration::from_millis(contract.in_flight_delay_ms);
                let asked_at = asked_at.map_or(now, |at| at.min(now));
                if refund.is_proved_absent(complete, delay, (asked_at, now)) {
                    self.request_again(index, contract);
                }
            }
            _ => {}
        }
    }

    /// The carrier gave it back, by proof.
    fn refunded(&mut self, index: usize, carrier_id: Option<String>, amount: Option<Money>) {
        let refund = &mut self.charge.refunds[index];
        let was_refused = refund.state == RefundState::Owed && refund.owed != Some(OwedBecause::NotRefundable);
        let differs = amount.is_some_and(|amount| amount != refund.amount);
        refund.carrier_id = carrier_id.or(refund.carrier_id.take());
        refund.end(RefundState::Done);
        if was_refused {
            self.effects.push(Effect::RaiseBreak(Break::RefundedAfterRefusal));
        }
        if differs {
            self.effects.push(Effect::RaiseBreak(Break::AmountDiffers));
        }
    }

    /// What follows for the charge, and for the passenger.
    fn refund_moved(&mut self, index: usize, before: RefundState) {
        let refund = &self.charge.refunds[index];
        if refund.state == RefundState::Owed && before != RefundState::Owed {
            let unasked = refund.attempt.is_some() || refund.reference == self.charge.late_refund();
            self.effects.push(Effect::Tell(Notice::RefundOwed { amount: refund.amount, unasked }));
        }
        if matches!(self.charge.state, State::Refunding | State::RefundOwed | State::Refunded) {
            self.settle_refund_state();
        }
    }

    /// It did not arrive, by evidence (M5).
    fn request_again(&mut self, index: usize, contract: &Contract) {
        let refund = &mut self.charge.refunds[index];
        if refund.tries >= REFUND_TRIES_MAX {
            refund.owe(OwedBecause::Lost);
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
                RefundState::Requested | RefundState::Accepted if refund.is_overdue(&contract, self.now) => {
                    refund.doubt(&contract, self.now);
                    if refund.can_be_asked_about(&contract) {
                        self.effects.push(Effect::QueryRefund { refund: reference });
                    }
                }
                RefundState::InDoubt if self.can_repeat && refund.is_to_be_resent(&contract, self.now) => {
                    // What is sent now may arrive as late as the first: absence counts from here (M5).
                    refund.in_doubt_since = Some(self.now);
                    refund.not_found_at = None;
                    refund.sent_again = true;
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::ResendRefund { refund: reference });
                }
                RefundState::Accepted | RefundState::InDoubt if refund.can_be_asked_about(&contract) => {
                    refund.pause(&contract, self.now);
                    self.effects.push(Effect::QueryRefund { refund: reference });
                }
                // Nothing can be asked, and it is too late to send it again: evidence comes by itself, or from a person.
                _ => refund.next_at = None,
            }
        }
    }

    /// A charge whose whole amount goes back stands where the least settled of its refunds stands.
    pub(super) fn settle_refund_state(&mut self) {
        let own = self.charge.refunds.iter().filter(|refund| refund.attempt.is_none());
        let states: Vec<RefundState> = own.map(|refund| refund.state).collect();
        self.charge.state = if states.contains(&RefundState::Owed) {
            State::RefundOwed
        } else if states.iter().all(|state| state.is_settled()) {
            State::Refunded
        } else {
            State::Refunding
        };
    }
}

impl Refund {
    fn owe(&mut self, because: OwedBecause) {
        self.end(RefundState::Owed);
        self.owed = Some(because);
    }

    /// By turns with the questions, which not every carrier can answer (M4).
    fn is_to_be_resent(&self, contract: &Contract, now: Timestamp) -> bool {
        let its_turn = !self.pauses.is_multiple_of(2) || !contract.queries_refunds;
        its_turn && self.may_be_resent(contract, now)
    }

    /// Two complete listings lack it (M5): the first asked for far enough from the request, and the second far enough from the answer to
    /// the first.
    fn is_proved_absent(&mut self, complete: bool, delay: Duration, (asked_at, now): (Timestamp, Timestamp)) -> bool {
        let Some(began) = self.in_doubt_since.filter(|_| complete) else { return false };
        if asked_at < began.plus(delay) {
            return false;
        }
        match self.not_found_at {
            Some(first) => asked_at >= first.plus(delay) && asked_at > first,
            None => {
                self.not_found_at = Some(now);
                false
            }
        }
    }
}
