//! The two steps: what a carrier holds is taken by a second request, or given up by one.

use std::time::Duration;

use super::{Asked, AttemptState, Break, Effect, Illegal, Reason, Rejection, Retry, State, Validation, step::Change};

/// No adapter waits so long for an answer. If none was applied by then, whoever waited for it is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A carrier that has taken a confirmation and holds the amount after so many questions has forgotten it. To confirm once more does
/// no harm: what is held can be taken once.
const CONFIRM_AGAIN_AFTER: u32 = 3;

impl Change {
    /// The carrier asks the subscriber for a password. Not news once the confirmation was asked for.
    pub(super) fn otp_needed(&mut self, index: usize, carrier_id: Option<String>, validation: Option<Validation>) {
        let too_late = self.must_not_go_through();
        let attempt = &mut self.charge.attempts[index];
        // A later answer, such as that a password was wrong, does not repeat it.
        attempt.validation = validation.or(attempt.validation.take());
        match (&attempt.state, attempt.asked) {
            (AttemptState::Open, Asked::Cancel) => {
                // Said before the request arrived that is on its way now.
            }
            (AttemptState::Accepted | AttemptState::InDoubt { .. }, asked) if asked == Asked::Cancel || too_late => {
                // It was not given up, and nobody may agree to it any more.
                self.learn_carrier_id(index, carrier_id);
                self.ask(index, Asked::Cancel);
            }
            (_, asked) => {
                attempt.otp_wanted = asked == Asked::Take;
                self.accepted(index, carrier_id);
            }
        }
    }

    /// The password is about to be passed on. What comes of that is asked for if no answer comes.
    pub(super) fn submit_otp(&mut self) -> Result<(), Illegal> {
        let state = self.charge.state;
        let Some(index) = self.charge.attempts.len().checked_sub(1).filter(|_| state == State::AwaitingOtp) else {
            return Err(Illegal::NoOtpWanted { state: state.code() });
        };
        if self.past_deadline() {
            return Err(Illegal::DeadlinePassed);
        }
        if matches!(self.charge.attempts[index].validation, Some(Validation::Page { .. })) {
            return Err(Illegal::AgreedOnPage);
        }
        self.schedule_query(index);
        self.effects.push(Effect::Validate { attempt: self.charge.attempts[index].number });
        Ok(())
    }

    /// The carrier holds the amount: it is to be taken if the passenger still waits for it, and given up if not.
    pub(super) fn reserved(&mut self, index: usize, carrier_id: Option<String>) {
        if !self.charge.attempts[index].has_two_steps() {
            // By the contract its own request takes the money; then that is still to come.
            return self.accepted(index, carrier_id);
        }
        self.learn_carrier_id(index, carrier_id);
        let too_late = self.must_not_go_through();
        let attempt = &mut self.charge.attempts[index];
        match (&attempt.state, attempt.asked) {
            (AttemptState::Open, Asked::Confirm | Asked::Cancel) => {
                // Said before the request arrived that is on its way now.
            }
            (AttemptState::Accepted, Asked::Confirm) if !too_late && attempt.queries < CONFIRM_AGAIN_AFTER => {
                // It has taken the confirmation, and is still at it.
            }
            (AttemptState::Open | AttemptState::Accepted | AttemptState::InDoubt { .. }, asked) => {
                attempt.otp_wanted = false;
                self.hold_until(index);
                if asked == Asked::Cancel || too_late {
                    self.ask(index, Asked::Cancel);
                } else {
                    self.ask(index, Asked::Confirm);
                }
            }
            (AttemptState::NotSent, _) => self.effects.push(Effect::RaiseBreak(Break::AnswerToUnsent)),
            // What it holds for an attempt that is decided it lets go by itself.
            (AttemptState::Rejected(_) | AttemptState::Charged, _) => {}
        }
    }

    /// What was held was given up: by us, or because its time ran out.
    pub(super) fn cancelled(&mut self, index: usize) {
        let reason =
            if self.charge.attempts[index].otp_wanted { Reason::OtpExpired } else { Reason::CarrierUnavailable };
        self.rejected(index, Rejection { reason, retry: Retry::Never, detail: "cancelled".into() });
    }

    /// The second step was not made: the amount is held as before. A confirmation is made when the carrier has said so again; a
    /// cancellation stays asked for.
    pub(super) fn still_reserved(&mut self, index: usize) {
        let attempt = &mut self.charge.attempts[index];
        if attempt.state == AttemptState::Open {
            attempt.state = AttemptState::Accepted;
            if attempt.asked == Asked::Confirm {
                attempt.asked = Asked::Take;
            }
            self.schedule_query(index);
        }
    }

    /// No contract tells when a reservation ends; ours begins when we first hear of it.
    pub(super) fn hold_until(&mut self, index: usize) {
        let attempt = &mut self.charge.attempts[index];
        if let Some(ms) = attempt.contract.reservation_ms {
            attempt.reserved_until.get_or_insert(self.now.plus(Duration::from_millis(ms)));
        }
    }

    /// What would come too late, or was overtaken by a newer purchase (M11, M12).
    pub(super) fn must_not_go_through(&self) -> bool {
        self.past_deadline() || self.charge.superseded_by.is_some()
    }

    /// Past the deadline, or past the time for which the carrier holds it, what was not asked to be taken is given up.
    pub(super) fn give_up_reservation_if_due(&mut self) {
        let Some(index) = self.charge.attempts.len().checked_sub(1) else { return };
        let attempt = &self.charge.attempts[index];
        let is_answered = matches!(attempt.state, AttemptState::Accepted | AttemptState::InDoubt { .. });
        let is_over = attempt.reserved_until.is_some_and(|until| until <= self.now) || self.must_not_go_through();
        if is_answered && is_over && attempt.may_be_reserved() {
            self.ask(index, Asked::Cancel);
        }
    }

    /// Whether a no to the last request leaves open what came of one before it. A confirmation that was given up as forgotten may
    /// still be on its way, and what is refused to a cancellation may be taken already: the payment itself must be asked.
    pub(super) fn says_only_of_the_last_request(&self, index: usize) -> bool {
        let attempt = &self.charge.attempts[index];
        match attempt.asked {
            Asked::Take => false,
            Asked::Confirm => attempt.confirmed_before,
            Asked::Cancel => true,
        }
    }

    /// Makes it durable that the carrier is asked for the second step.
    fn ask(&mut self, index: usize, asked: Asked) {
        let attempt = &mut self.charge.attempts[index];
        attempt.confirmed_before |= attempt.asked == Asked::Confirm;
        let was_asked = attempt.asked == asked;
        attempt.asked = asked;
        attempt.state = AttemptState::Open;
        attempt.in_doubt_since = None;
        attempt.not_found_at = None;
        if asked != Asked::Cancel || !was_asked {
            // A carrier that keeps what it was told to give up is told so ever more rarely.
            attempt.queries = 0;
        }
        attempt.next_query_at = Some(self.now.plus(ANSWER_WITHIN));
        let attempt = attempt.number;
        self.charge.state = if self.past_deadline() { State::InDoubt } else { State::Processing };
        self.effects.push(match asked {
            Asked::Cancel => Effect::Cancel { attempt },
            _ => Effect::Confirm { attempt },
        });
    }
}
