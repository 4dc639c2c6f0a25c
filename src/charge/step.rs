use super::{
    ATTEMPTS_MAX, Asked, Attempt, AttemptState, Break, CarrierName, Charge, Contract, Doubt, Effect, Event, Evidence,
    EvidenceSource, Finding, Illegal, LateSuccess, Notice, REFUNDS_MAX, Reason, Reference, RefundState, Rejection,
    Retry, State,
};
use crate::{clock::Timestamp, money::Money};

/// What comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The charge as it is now. Its version is one higher if there is anything to commit, and the same if there is not.
    pub next: Charge,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// What becomes of `charge` when `event` happens at `now`.
///
/// Evidence is never illegal, whatever it says: what cannot be true becomes a [`Break`]. A `now` before
/// [`Charge::updated_at`] is taken as that moment, so that a clock that jumps back does no harm.
///
/// Errors: [`Illegal`], and then nothing has changed.
pub fn step(charge: &Charge, event: Event, now: Timestamp) -> Result<Step, Illegal> {
    let now = now.max(charge.updated_at);
    let mut change = Change { charge: charge.clone(), effects: Vec::new(), now, can_ticket: true, can_repeat: true };
    match event {
        Event::Decline { reason } => change.decline(reason)?,
        Event::OpenAttempt { carrier, wire_reference, contract, carrier_time } => {
            change.open_attempt(carrier, wire_reference, contract, carrier_time)?;
        }
        Event::GiveUp => change.give_up()?,
        Event::SubmitOtp => change.submit_otp()?,
        Event::Evidence(evidence) => change.weigh(evidence)?,
        Event::EvidenceWithoutTicket(evidence) => {
            change.can_ticket = false;
            change.weigh(evidence)?;
        }
        Event::Tick => change.tick(),
        Event::TickWithoutRepetition => {
            change.can_repeat = false;
            change.tick();
        }
        Event::Restored { generation, perhaps } => change.restored(generation, perhaps.map(|perhaps| *perhaps)),
        Event::Supersede { by } => change.supersede(by)?,
        Event::RequestRefund { refund, amount, .. } => change.request_refund(refund, amount)?,
        Event::RefundEvidence { refund, source, finding, .. } => change.weigh_refund(refund, &source, finding)?,
        Event::PayOut { refund, .. } => change.pay_out(refund)?,
    }
    Ok(change.finish(charge))
}

/// A charge while it is being changed.
pub(super) struct Change {
    pub(super) charge: Charge,
    pub(super) effects: Vec<Effect>,
    pub(super) now: Timestamp,
    /// Whether a ticket can be made for what is paid.
    can_ticket: bool,
    /// Whether what was sent may be sent again (M4).
    pub(super) can_repeat: bool,
}

impl Change {
    fn finish(mut self, before: &Charge) -> Step {
        assert!(self.charge.attempts.len() <= ATTEMPTS_MAX && self.charge.refunds.len() <= REFUNDS_MAX + ATTEMPTS_MAX);
        let undecided = self.charge.attempts.iter().filter(|attempt| attempt.state.is_undecided()).count();
        assert!(undecided <= 1, "two attempts of one charge are undecided");
        assert!(!before.state.is_not_taken() || before.state == self.charge.state, "a final state was overwritten");

        if self.charge.state == State::InDoubt {
            self.charge.in_doubt_since.get_or_insert(self.now);
        } else {
            self.charge.in_doubt_since = None;
        }
        if self.charge != *before || !self.effects.is_empty() {
            self.charge.version = before.version + 1;
            self.charge.updated_at = self.now;
        }
        Step { next: self.charge, effects: self.effects }
    }

    pub(super) fn past_deadline(&self) -> bool {
        self.now > self.charge.terms.ticket_deadline
    }

    fn decline(&mut self, reason: Reason) -> Result<(), Illegal> {
        if !self.charge.wants_attempt() || !self.charge.attempts.is_empty() {
            return Err(Illegal::NotWaiting { state: self.charge.state.code() });
        }
        self.end_not_taken(State::Declined(reason), reason);
        Ok(())
    }

    fn open_attempt(
        &mut self,
        carrier: CarrierName,
        wire_reference: String,
        contract: Contract,
        carrier_time: Option<Timestamp>,
    ) -> Result<(), Illegal> {
        if !self.charge.wants_attempt() {
            return Err(Illegal::NotWaiting { state: self.charge.state.code() });
        }
        if self.past_deadline() {
            return Err(Illegal::DeadlinePassed);
        }
        let number = u16::try_from(self.charge.attempts.len() + 1).map_err(|_| Illegal::TooManyAttempts)?;
        if usize::from(number) > ATTEMPTS_MAX {
            return Err(Illegal::TooManyAttempts);
        }
        self.charge.attempts.push(Attempt::open(number, carrier, wire_reference, contract, self.now, carrier_time));
        self.effects.push(Effect::Send { attempt: number });
        Ok(())
    }

    fn give_up(&mut self) -> Result<(), Illegal> {
        if !self.charge.wants_attempt() {
            return Err(Illegal::NotWaiting { state: self.charge.state.code() });
        }
        self.end_out_of_time();
        Ok(())
    }

    /// The one reducer through which all evidence goes (M9).
    fn weigh(&mut self, evidence: Evidence) -> Result<(), Illegal> {
        if matches!(evidence.source, EvidenceSource::Operator { .. }) && self.charge.state != State::InDoubt {
            return Err(Illegal::NotInDoubt { state: self.charge.state.code() });
        }
        let Some(index) = self.charge.attempts.iter().position(|attempt| attempt.number == evidence.attempt) else {
            self.effects.push(Effect::RaiseBreak(Break::UnknownAttempt));
            return Ok(());
        };
        let is_answer = matches!(evidence.source, EvidenceSource::Response | EvidenceSource::Link);
        let asked = self.charge.attempts[index].asked;
        match evidence.finding {
            Finding::Nothing => {}
            // That the same bytes were not sent again, or were turned away, says nothing of those that were sent before.
            Finding::NotSent if evidence.source == EvidenceSource::Repeat => {}
            Finding::Rejected { reason, retry, .. }
                if evidence.source == EvidenceSource::Repeat
                    && (retry == Retry::SameCarrier || reason.is_of_our_request()) => {}
            // A password that was judged too late says nothing of the second step, which another one has opened.
            Finding::Rejected { reason: Reason::OtpExpired, .. } if is_answer && asked != Asked::Take => {}
            // What the carrier says of the second step, and of it alone, decides nothing about what it holds.
            Finding::NotSent if asked != Asked::Take => self.still_reserved(index),
            Finding::Rejected { retry: Retry::SameCarrier, .. } if asked != Asked::Take => self.still_reserved(index),
            Finding::Rejected { .. } if is_answer && self.says_only_of_the_last_request(index) => {
                self.doubtful(index, Doubt::UnclearAnswer);
            }
            Finding::NotSent => self.not_sent(index),
            Finding::Rejected { reason, retry, detail } => self.rejected(index, Rejection { reason, retry, detail }),
            Finding::Accepted { carrier_id } => self.accepted(index, carrier_id),
            Finding::OtpNeeded { carrier_id, validation } => self.otp_needed(index, carrier_id, validation),
            Finding::Reserved { carrier_id } => self.reserved(index, carrier_id),
            Finding::Cancelled => self.cancelled(index),
            // Another amount was taken, says a callback: no proof of ours. The carrier is asked.
            Finding::Charged { amount: Some(amount), .. }
                if evidence.source == EvidenceSource::Callback && amount != self.charge.order.amount =>
            {
                self.effects.push(Effect::RaiseBreak(Break::AmountDiffers));
            }
            Finding::Charged { carrier_id, amount } => self.charged(index, carrier_id, amount),
            Finding::Doubtful { cause } => {
                if evidence.source == EvidenceSource::Repeat {
                    self.sent_again(index);
                }
                self.doubtful(index, cause);
            }
            Finding::NotFound { complete, asked_at } => self.not_found(index, complete, asked_at),
        }
        Ok(())
    }

    fn not_sent(&mut self, index: usize) {
        match self.charge.attempts[index].state {
            AttemptState::Open => {
                self.charge.attempts[index].state = AttemptState::NotSent;
                self.wait_for_another_attempt();
            }
            AttemptState::NotSent | AttemptState::Rejected(_) => {}
            // The link cannot have written nothing where the carrier has answered, or where bytes were seen to leave.
            AttemptState::Accepted | AttemptState::InDoubt { .. } => {
                self.effects.push(Effect::RaiseBreak(Break::AnswerToUnsent));
            }
            AttemptState::Charged => self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge)),
        }
    }

    pub(super) fn rejected(&mut self, index: usize, rejection: Rejection) {
        match self.charge.attempts[index].state {
            // After a no that invites another try, others may have been sent in the time that is lost: what came of them is not known by it.
            AttemptState::InDoubt { cause: Doubt::Restored } if rejection.retry != Retry::Never => {}
            AttemptState::Open | AttemptState::Accepted | AttemptState::InDoubt { .. } => {
                let (reason, retry) = (rejection.reason, rejection.retry);
                let attempt = &mut self.charge.attempts[index];
                attempt.state = AttemptState::Rejected(rejection);
                attempt.next_query_at = None;
                match retry {
                    Retry::SameCarrier => self.wait_for_another_attempt(),
                    Retry::OtherCarrier if self.may_reroute() => {
                        self.charge.state = State::Processing;
                        self.effects.push(Effect::Reroute);
                    }
                    Retry::Never | Retry::OtherCarrier => self.end_not_taken(State::Rejected(reason), reason),
                }
            }
            // The first no stands; another wording of it is no news.
            AttemptState::Rejected(_) => {}
            AttemptState::NotSent => self.effects.push(Effect::RaiseBreak(Break::AnswerToUnsent)),
            AttemptState::Charged => self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge)),
        }
    }

    fn rerouted(&self) -> usize {
        let elsewhere =
            |attempt: &&Attempt| matches!(&attempt.state, AttemptState::Rejected(r) if r.retry == Retry::OtherCarrier);
        self.charge.attempts.iter().filter(elsewhere).count()
    }

    /// Once, if there is time: two carriers that each name the other must not pass a passenger to and fro.
    fn may_reroute(&self) -> bool {
        self.rerouted() <= 1 && !self.past_deadline() && self.charge.attempts.len() < ATTEMPTS_MAX
    }

    pub(super) fn accepted(&mut self, index: usize, carrier_id: Option<String>) {
        self.learn_carrier_id(index, carrier_id);
        match self.charge.attempts[index].state {
            AttemptState::Open | AttemptState::InDoubt { .. } | AttemptState::Accepted => {
                let attempt = &mut self.charge.attempts[index];
                // Until now only the loss of its answer was looked for.
                let was_open = attempt.state == AttemptState::Open;
                attempt.state = AttemptState::Accepted;
                attempt.in_doubt_since = (attempt.asked == Asked::Cancel).then_some(self.now);
                attempt.not_found_at = None;
                self.hold_until(index);
                if was_open || self.charge.attempts[index].next_query_at.is_none() {
                    self.schedule_query(index);
                }
                // Past the deadline an outcome that is still to come is a doubt; the passenger must not hear "processing" for ever.
                let state = if self.charge.attempts[index].otp_wanted { State::AwaitingOtp } else { State::Processing };
                self.charge.state = if self.past_deadline() { State::InDoubt } else { state };
            }
            // A receipt can overtake its response; only the id is news then.
            AttemptState::Rejected(_) | AttemptState::Charged => {}
            AttemptState::NotSent => self.effects.push(Effect::RaiseBreak(Break::AnswerToUnsent)),
        }
    }

    fn charged(&mut self, index: usize, carrier_id: Option<String>, amount: Option<Money>) {
        self.learn_carrier_id(index, carrier_id);
        if self.charge.attempts[index].state == AttemptState::Charged {
            return;
        }
        if amount.is_some_and(|amount| amount != self.charge.order.amount) {
            self.effects.push(Effect::RaiseBreak(Break::AmountDiffers));
        }
        match self.charge.attempts[index].state {
            AttemptState::Open | AttemptState::Accepted | AttemptState::InDoubt { .. } => {
                let attempt = &mut self.charge.attempts[index];
                attempt.state = AttemptState::Charged;
                attempt.next_query_at = None;
                self.charge.charged_at = Some(self.now);
                self.end_charged();
            }
            AttemptState::NotSent | AttemptState::Rejected(_) => self.owe_for_decided_attempt(index),
            AttemptState::Charged => {}
        }
    }

    /// In time: the ticket. Too late, or overtaken by a newer purchase, or where no ticket can be made: the money goes back
    /// (M11, M12).
    fn end_charged(&mut self) {
        let late = self.past_deadline();
        let too_late = late && self.charge.terms.late_success == LateSuccess::Refund;
        let bought_nothing = too_late || self.charge.superseded_by.is_some();
        if bought_nothing || !self.can_ticket {
            if !bought_nothing {
                self.effects.push(Effect::RaiseBreak(Break::NoTicket));
            }
            let amount = self.charge.order.amount;
            // A test number has paid nothing, so nothing goes back.
            let refund = match amount.is_positive() {
                true => self.add_refund(self.charge.late_refund(), amount, None),
                false => RefundState::Done,
            };
            self.settle_refund_state();
            self.effects.push(Effect::ReleaseSlot);
            self.tell_of_unasked(refund);
        } else {
            self.charge.state = State::Charged;
            self.effects.push(Effect::IssueTicket);
            self.effects.push(Effect::Tell(if late { Notice::LateTicket } else { Notice::Ticket }));
        }
    }

    /// Money that bought nothing: it goes back, or is owed.
    fn tell_of_unasked(&mut self, refund: RefundState) {
        let notice = if refund == RefundState::Owed { Notice::LateOwed } else { Notice::LateRefund };
        self.effects.push(Effect::Tell(notice));
    }

    /// Proof of payment for what was decided as not happened: the state stays, the money is owed (M8).
    fn owe_for_decided_attempt(&mut self, index: usize) {
        let number = self.charge.attempts[index].number;
        self.effects.push(Effect::RaiseBreak(Break::ChargedAfterRejection));
        if self.charge.refunds.iter().any(|refund| refund.attempt == Some(number)) {
            return;
        }
        let reference = self.charge.reference.derive("refund of attempt", number);
        let refund = self.add_refund(reference, self.charge.order.amount, Some(number));
        self.tell_of_unasked(refund);
    }

    pub(super) fn doubtful(&mut self, index: usize, cause: Doubt) {
        let attempt = &mut self.charge.attempts[index];
        match attempt.state {
            AttemptState::Open => {
                attempt.state = AttemptState::InDoubt { cause };
                attempt.in_doubt_since = Some(self.now);
                self.charge.state = State::InDoubt;
                self.schedule_query(index);
            }
            // "You asked before" is a reason to ask now, and no answer (M6).
            AttemptState::InDoubt { .. } if cause == Doubt::Duplicate && attempt.next_query_at.is_some() => {
                attempt.next_query_at = Some(self.now);
            }
            // A lost link says nothing new of what the carrier has already answered.
            _ => {}
        }
    }

    fn supersede(&mut self, by: Reference) -> Result<(), Illegal> {
        if !self.past_deadline() {
            return Err(Illegal::NotPastDeadline);
        }
        if self.charge.state.is_open() {
            self.charge.superseded_by.get_or_insert(by);
        }
        Ok(())
    }

    fn wait_for_another_attempt(&mut self) {
        if self.past_deadline() || self.charge.attempts.len() >= ATTEMPTS_MAX {
            self.end_out_of_time();
        } else {
            self.charge.state = State::Processing;
            self.effects.push(Effect::TryAgain);
        }
    }

    pub(super) fn end_out_of_time(&mut self) {
        // Where another carrier was looked for and not found, the first one's word is the reason.
        let reason = match self.charge.last_attempt().map(|attempt| &attempt.state) {
            Some(AttemptState::Rejected(rejection)) if rejection.retry == Retry::OtherCarrier => rejection.reason,
            _ => Reason::CarrierUnavailable,
        };
        let never_sent = self.charge.attempts.iter().all(|attempt| attempt.state == AttemptState::NotSent);
        let state = if never_sent { State::Declined(reason) } else { State::Rejected(reason) };
        self.end_not_taken(state, reason);
    }

    fn end_not_taken(&mut self, state: State, reason: Reason) {
        self.charge.state = state;
        self.effects.push(Effect::ReleaseSlot);
        self.effects.push(Effect::Tell(Notice::NotTaken { reason }));
    }

    pub(super) fn learn_carrier_id(&mut self, index: usize, carrier_id: Option<String>) {
        let Some(id) = carrier_id else { return };
        let known = &mut self.charge.attempts[index].carrier_id;
        match known {
            None => *known = Some(id),
            Some(known) if *known == id => {}
            Some(_) => self.effects.push(Effect::RaiseBreak(Break::CarrierIdDiffers)),
        }
    }
}
