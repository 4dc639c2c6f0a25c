use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ATTEMPTS_MAX, Attempt, AttemptState, CarrierName, Charge, Contract, Doubt, Evidence, EvidenceSource, Finding,
    LateSuccess, REFUNDS_MAX, Reason, Reference, Refund, RefundState, Rejection, Retry, State,
};
use crate::{
    clock::Timestamp,
    money::{Money, MoneyError},
};

/// What can happen to a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Our rules say no, before anything was sent.
    Decline {
        /// Why.
        reason: Reason,
    },
    /// A send slot is held: the attempt is to be made durable, and then sent.
    OpenAttempt {
        /// Where it goes.
        carrier: CarrierName,
        /// What the carrier will be given to tell it by.
        wire_reference: String,
        /// What the contract with that carrier says.
        contract: Contract,
    },
    /// No send slot can be had in time: what would come too late is not sent.
    GiveUp,
    /// A message about the outcome of an attempt.
    Evidence(Evidence),
    /// Time passed. Due at [`Charge::due_at`]; harmless at any other moment.
    Tick,
    /// A newer purchase took the place of this one, which was past its deadline and still undecided (M12).
    Supersede {
        /// The newer purchase.
        by: Reference,
    },
    /// Somebody with the right to do so gives money back.
    RequestRefund {
        /// The refund's name for life.
        refund: Reference,
        /// How much: all that is left, or a part.
        amount: Money,
    },
    /// A message about the outcome of a refund.
    RefundEvidence {
        /// Which refund.
        refund: Reference,
        /// What it says; `Charged` means that the money went back.
        finding: Finding,
    },
}

/// What the gateway has to do. Everything but [`Effect::Send`] and [`Effect::Query`] is committed together with the charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this attempt to its carrier, once it is durable (M1).
    Send {
        /// Its number.
        attempt: u16,
    },
    /// Ask the carrier for the status of this attempt.
    Query {
        /// Its number.
        attempt: u16,
    },
    /// Wait for a send slot again: the attempt before did not happen.
    TryAgain,
    /// Make and store the signed ticket (M10).
    IssueTicket,
    /// The ticket is no longer valid.
    RevokeTicket,
    /// Tell the passenger.
    Tell(Notice),
    /// A new purchase for the same subscriber and vehicle may start: this one took nothing.
    ReleaseSlot,
    /// Somebody must look at this; an alert goes with it.
    RaiseBreak(Break),
}

/// What a passenger is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// Here is the ticket.
    Ticket,
    /// Nothing was taken, and why.
    NotTaken {
        /// Why.
        reason: Reason,
    },
    /// The money came too late for the ride and goes back.
    LateRefund,
}

/// A difference between what should be and what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// Proof of payment for an attempt that had been decided as not happened. The money is owed (M8).
    ChargedAfterRejection,
    /// A definite no for an attempt that had been proved as paid. The ticket stays (M8).
    RejectedAfterCharge,
    /// The carrier answered an attempt that by our own books was never sent.
    AnswerToUnsent,
    /// The carrier took another amount, or in another currency, than it was asked for.
    AmountDiffers,
    /// The carrier gave one attempt two ids.
    CarrierIdDiffers,
    /// Evidence for an attempt that this charge never had.
    UnknownAttempt,
}

impl Break {
    /// The stable code, as in the store, the logs and the metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Break::ChargedAfterRejection => "charged_after_rejection",
            Break::RejectedAfterCharge => "rejected_after_charge",
            Break::AnswerToUnsent => "answer_to_unsent",
            Break::AmountDiffers => "amount_differs",
            Break::CarrierIdDiffers => "carrier_id_differs",
            Break::UnknownAttempt => "unknown_attempt",
        }
    }
}

/// What comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The charge as it is now. Its version is one higher if there is anything to commit, and the same if there is not.
    pub next: Charge,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// An event that must not happen to a charge that stands where this one does. Nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Illegal {
    /// A decline or an attempt needs a charge that waits to be sent.
    #[error("the charge is {state} and does not wait to be sent")]
    NotWaiting {
        /// Where it stands.
        state: &'static str,
    },
    /// The charge was turned away as often as is allowed.
    #[error("the charge has had {ATTEMPTS_MAX} attempts, which is the most")]
    TooManyAttempts,
    /// The ticket deadline has passed, so nothing may be sent any more.
    #[error("the ticket deadline has passed")]
    DeadlinePassed,
    /// A person may settle only what is in doubt.
    #[error("the charge is {state}; only a charge in doubt can be resolved")]
    NotInDoubt {
        /// Where it stands.
        state: &'static str,
    },
    /// Only a charge past its deadline gives way to a newer purchase.
    #[error("the charge is not past its ticket deadline")]
    NotPastDeadline,
    /// Only money that was taken can go back.
    #[error("the charge is {state}; only a charged one can be refunded")]
    NotCharged {
        /// Where it stands.
        state: &'static str,
    },
    /// More would go back than was taken, or nothing, or too often.
    #[error("the refund must be more than nothing, and at most the {0} that are left, in at most {REFUNDS_MAX} parts")]
    RefundAmount(Money),
    /// This charge has no such refund.
    #[error("the charge has no refund {0}")]
    UnknownRefund(Reference),
    /// The amounts cannot be computed.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What becomes of `charge` when `event` happens at `now`.
///
/// Evidence is never illegal, whatever it says: what cannot be true becomes a [`Break`]. A `now` before
/// [`Charge::updated_at`] is taken as that moment, so that a clock that jumps back does no harm.
///
/// Errors: [`Illegal`], and then nothing has changed.
pub fn step(charge: &Charge, event: Event, now: Timestamp) -> Result<Step, Illegal> {
    let mut change = Change { charge: charge.clone(), effects: Vec::new(), now: now.max(charge.updated_at) };
    match event {
        Event::Decline { reason } => change.decline(reason)?,
        Event::OpenAttempt { carrier, wire_reference, contract } => {
            change.open_attempt(carrier, wire_reference, contract)?;
        }
        Event::GiveUp => change.give_up()?,
        Event::Evidence(evidence) => change.weigh(evidence)?,
        Event::Tick => change.tick(),
        Event::Supersede { by } => change.supersede(by)?,
        Event::RequestRefund { refund, amount } => change.request_refund(refund, amount)?,
        Event::RefundEvidence { refund, finding } => change.weigh_refund(refund, &finding)?,
    }
    Ok(change.finish(charge))
}

/// A charge while it is being changed.
struct Change {
    charge: Charge,
    effects: Vec<Effect>,
    now: Timestamp,
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

    fn past_deadline(&self) -> bool {
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
        self.charge.attempts.push(Attempt {
            number,
            carrier,
            wire_reference,
            contract,
            state: AttemptState::Open,
            opened_at: self.now,
            carrier_id: None,
            in_doubt_since: None,
            not_found_at: None,
            queries: 0,
            next_query_at: None,
        });
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
        match evidence.finding {
            Finding::Nothing => {}
            Finding::NotSent => self.not_sent(index),
            Finding::Rejected { reason, retry, detail } => self.rejected(index, Rejection { reason, retry, detail }),
            Finding::Accepted { carrier_id } => self.accepted(index, carrier_id, false),
            Finding::OtpNeeded { carrier_id } => self.accepted(index, carrier_id, true),
            Finding::Reserved { carrier_id } => self.accepted(index, carrier_id, false),
            Finding::Cancelled => {
                let reason = Reason::CarrierUnavailable;
                self.rejected(index, Rejection { reason, retry: Retry::Never, detail: "cancelled".into() });
            }
            Finding::Charged { carrier_id, amount } => self.charged(index, carrier_id, amount),
            Finding::Doubtful { cause } => self.doubtful(index, cause),
            Finding::NotFound { complete } => self.not_found(index, complete),
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

    fn rejected(&mut self, index: usize, rejection: Rejection) {
        match self.charge.attempts[index].state {
            AttemptState::Open | AttemptState::Accepted | AttemptState::InDoubt { .. } => {
                let (reason, retry) = (rejection.reason, rejection.retry);
                let attempt = &mut self.charge.attempts[index];
                attempt.state = AttemptState::Rejected(rejection);
                attempt.next_query_at = None;
                match retry {
                    Retry::Never | Retry::OtherCarrier => self.end_not_taken(State::Rejected(reason), reason),
                    Retry::SameCarrier => self.wait_for_another_attempt(),
                }
            }
            // The first no stands; another wording of it is no news.
            AttemptState::Rejected(_) => {}
            AttemptState::NotSent => self.effects.push(Effect::RaiseBreak(Break::AnswerToUnsent)),
            AttemptState::Charged => self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge)),
        }
    }

    fn accepted(&mut self, index: usize, carrier_id: Option<String>, otp_needed: bool) {
        self.learn_carrier_id(index, carrier_id);
        match self.charge.attempts[index].state {
            AttemptState::Open | AttemptState::InDoubt { .. } | AttemptState::Accepted => {
                let attempt = &mut self.charge.attempts[index];
                attempt.state = AttemptState::Accepted;
                attempt.in_doubt_since = None;
                if attempt.next_query_at.is_none() {
                    self.schedule_query(index);
                }
                // Past the deadline an outcome that is still to come is a doubt; the passenger must not hear "processing" for ever.
                self.charge.state = match (self.past_deadline(), otp_needed) {
                    (true, _) => State::InDoubt,
                    (false, true) => State::AwaitingOtp,
                    (false, false) => State::Processing,
                };
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

    /// In time: the ticket. Too late, or overtaken by a newer purchase: the money goes back (M11, M12).
    fn end_charged(&mut self) {
        let late = self.past_deadline() && self.charge.terms.late_success == LateSuccess::Refund;
        if late || self.charge.superseded_by.is_some() {
            let reference = self.charge.reference.derive("late refund", 0);
            self.add_refund(reference, self.charge.order.amount, None);
            self.settle_refund_state();
            self.effects.push(Effect::ReleaseSlot);
            self.effects.push(Effect::Tell(Notice::LateRefund));
        } else {
            self.charge.state = State::Charged;
            self.effects.push(Effect::IssueTicket);
            self.effects.push(Effect::Tell(Notice::Ticket));
        }
    }

    /// Proof of payment for what was decided as not happened: the state stays, the money is owed (M8).
    fn owe_for_decided_attempt(&mut self, index: usize) {
        let number = self.charge.attempts[index].number;
        self.effects.push(Effect::RaiseBreak(Break::ChargedAfterRejection));
        if self.charge.refunds.iter().any(|refund| refund.attempt == Some(number)) {
            return;
        }
        let reference = self.charge.reference.derive("refund of attempt", number);
        self.add_refund(reference, self.charge.order.amount, Some(number));
        self.effects.push(Effect::Tell(Notice::LateRefund));
    }

    fn doubtful(&mut self, index: usize, cause: Doubt) {
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

    /// Two complete listings, far enough apart and far enough from the request, prove that it did not happen (M5).
    fn not_found(&mut self, index: usize, complete: bool) {
        let attempt = &mut self.charge.attempts[index];
        if attempt.state == AttemptState::Charged {
            self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge));
            return;
        }
        // Only a doubt has an end of sending to count from: an open attempt may still be on its way.
        let (AttemptState::InDoubt { .. }, Some(doubt_began)) = (&attempt.state, attempt.in_doubt_since) else {
            return;
        };
        let delay = std::time::Duration::from_millis(attempt.contract.in_flight_delay_ms);
        if !complete || self.now < doubt_began.plus(delay) {
            return;
        }
        match attempt.not_found_at {
            None => attempt.not_found_at = Some(self.now),
            Some(first) if self.now >= first.plus(delay) && self.now > first => {
                let detail = format!("not found at {first} and at {}", self.now);
                self.rejected(index, Rejection { reason: Reason::CarrierUnavailable, retry: Retry::Never, detail });
            }
            Some(_) => {}
        }
    }

    fn tick(&mut self) {
        if self.past_deadline() {
            match self.charge.undecided_attempt().map(|attempt| (attempt.number, attempt.state.clone())) {
                Some((_, AttemptState::Accepted)) => self.charge.state = State::InDoubt,
                Some((number, AttemptState::Open)) => {
                    if let Some(index) = self.charge.attempts.iter().position(|attempt| attempt.number == number) {
                        self.doubtful(index, Doubt::Timeout);
                    }
                }
                Some(_) => {}
                None if self.charge.wants_attempt() => self.end_out_of_time(),
                None => {}
            }
        }
        self.query_if_due();
    }

    fn query_if_due(&mut self) {
        let Some(index) = self.charge.attempts.len().checked_sub(1) else { return };
        let attempt = &self.charge.attempts[index];
        let due = attempt.next_query_at.is_some_and(|at| at <= self.now) && attempt.state.is_undecided();
        if due {
            self.effects.push(Effect::Query { attempt: attempt.number });
            self.charge.attempts[index].queries += 1;
            self.schedule_query(index);
        }
    }

    fn schedule_query(&mut self, index: usize) {
        let now = self.now;
        let attempt = &mut self.charge.attempts[index];
        attempt.next_query_at = attempt.query_interval_ms().map(|ms| now.plus(std::time::Duration::from_millis(ms)));
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

    fn end_out_of_time(&mut self) {
        let reason = Reason::CarrierUnavailable;
        let never_sent = self.charge.attempts.iter().all(|attempt| attempt.state == AttemptState::NotSent);
        let state = if never_sent { State::Declined(reason) } else { State::Rejected(reason) };
        self.end_not_taken(state, reason);
    }

    fn end_not_taken(&mut self, state: State, reason: Reason) {
        self.charge.state = state;
        self.effects.push(Effect::ReleaseSlot);
        self.effects.push(Effect::Tell(Notice::NotTaken { reason }));
    }

    fn learn_carrier_id(&mut self, index: usize, carrier_id: Option<String>) {
        let Some(id) = carrier_id else { return };
        let known = &mut self.charge.attempts[index].carrier_id;
        match known {
            None => *known = Some(id),
            Some(known) if *known == id => {}
            Some(_) => self.effects.push(Effect::RaiseBreak(Break::CarrierIdDiffers)),
        }
    }

    fn request_refund(&mut self, reference: Reference, amount: Money) -> Result<(), Illegal> {
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

    fn add_refund(&mut self, reference: Reference, amount: Money, attempt: Option<u16>) {
        let contract = match attempt {
            Some(number) => self.charge.attempt(number),
            None => self.charge.last_attempt(),
        };
        let can_refund = contract.is_some_and(|attempt| attempt.contract.can_refund);
        let state = if can_refund { RefundState::Requested } else { RefundState::Owed };
        self.charge.refunds.push(Refund { reference, amount, state, attempt, opened_at: self.now });
    }

    fn weigh_refund(&mut self, reference: Reference, finding: &Finding) -> Result<(), Illegal> {
        let Some(refund) = self.charge.refunds.iter_mut().find(|refund| refund.reference == reference) else {
            return Err(Illegal::UnknownRefund(reference));
        };
        let next = match (refund.state, finding) {
            // What went back has gone back; a later no is somebody's mistake, and somebody must look.
            (RefundState::Done, Finding::Rejected { .. } | Finding::NotSent) => {
                self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge));
                RefundState::Done
            }
            (RefundState::Done, _) | (_, Finding::Charged { .. }) => RefundState::Done,
            (_, Finding::Rejected { .. } | Finding::NotSent) => RefundState::Owed,
            (RefundState::Requested, Finding::Doubtful { .. }) => RefundState::InDoubt,
            (state, _) => state,
        };
        refund.state = next;
        if matches!(self.charge.state, State::Refunding | State::RefundOwed | State::Refunded) {
            self.settle_refund_state();
        }
        Ok(())
    }

    /// A charge whose whole amount goes back stands where the least settled of its refunds stands.
    fn settle_refund_state(&mut self) {
        let mut own = self.charge.refunds.iter().filter(|refund| refund.attempt.is_none()).map(|refund| refund.state);
        let states: Vec<RefundState> = own.by_ref().collect();
        self.charge.state = if states.contains(&RefundState::Owed) {
            State::RefundOwed
        } else if states.iter().all(|state| *state == RefundState::Done) {
            State::Refunded
        } else {
            State::Refunding
        };
    }
}
