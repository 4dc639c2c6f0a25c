//! What time alone brings: deadlines, questions, and the proof by absence.

use std::time::Duration;

use super::{Asked, AttemptState, Break, Doubt, Effect, Reason, Rejection, Retry, State, step::Change};
use crate::clock::Timestamp;

impl Change {
    pub(super) fn tick(&mut self) {
        if self.past_deadline() {
            self.pass_deadline();
        }
        self.give_up_reservation_if_due();
        self.query_if_due();
        self.look_after_refunds();
    }

    fn pass_deadline(&mut self) {
        let Some(index) = self.charge.attempts.len().checked_sub(1) else {
            if self.charge.wants_attempt() {
                self.end_out_of_time();
            }
            return;
        };
        match self.charge.attempts[index].state {
            AttemptState::Accepted => {
                self.charge.state = State::InDoubt;
                // What was taken in and is there no more did not happen either; what was confirmed may have left a list as done.
                let attempt = &mut self.charge.attempts[index];
                if attempt.asked != Asked::Confirm {
                    attempt.in_doubt_since.get_or_insert(self.now);
                }
            }
            AttemptState::Open if self.charge.state != State::InDoubt => self.doubtful(index, Doubt::Timeout),
            _ if self.charge.wants_attempt() => self.end_out_of_time(),
            _ => {}
        }
    }

    fn query_if_due(&mut self) {
        let Some(index) = self.charge.attempts.len().checked_sub(1) else { return };
        let attempt = &self.charge.attempts[index];
        if !attempt.state.is_undecided() || attempt.next_query_at.is_none_or(|at| at > self.now) {
            return;
        }
        let (number, can_be_asked_about) = (attempt.number, attempt.can_be_asked_about());
        match attempt.state {
            // Its own answer should have come long ago.
            AttemptState::Open => return self.doubtful(index, Doubt::Timeout),
            _ if self.may_resend(index) => {
                self.sent_again(index);
                self.effects.push(Effect::Resend { attempt: number });
            }
            _ if can_be_asked_about => self.effects.push(Effect::Query { attempt: number }),
            // It could only be sent again, and for that it is too late.
            _ => {
                self.charge.attempts[index].next_query_at = None;
                return;
            }
        }
        self.charge.attempts[index].queries += 1;
        self.schedule_query(index);
    }

    /// Only where the carrier replays keys, only while the passenger waits, and after a question that decided nothing, where there
    /// are questions (M4).
    fn may_resend(&self, index: usize) -> bool {
        let attempt = &self.charge.attempts[index];
        self.can_repeat
            && attempt.contract.replays_keys
            && matches!(attempt.state, AttemptState::InDoubt { cause } if cause != Doubt::Restored)
            && attempt.asked == Asked::Take
            && !self.must_not_go_through()
            && (attempt.queries > 0 || attempt.contract.queries.is_none() || !attempt.can_be_asked_about())
    }

    /// What is sent again may arrive as late as the first: absence counts from here (M5).
    pub(super) fn sent_again(&mut self, index: usize) {
        let attempt = &mut self.charge.attempts[index];
        if matches!(attempt.state, AttemptState::InDoubt { .. }) {
            attempt.in_doubt_since = Some(self.now);
            attempt.not_found_at = None;
        }
    }

    pub(super) fn schedule_query(&mut self, index: usize) {
        let now = self.now;
        let attempt = &mut self.charge.attempts[index];
        attempt.next_query_at = attempt.query_interval_ms().map(|ms| now.plus(Duration::from_millis(ms)));
    }

    /// Two complete listings prove that it did not happen (M5): the first asked for far enough from the request, and the second far
    /// enough from the answer to the first.
    pub(super) fn not_found(&mut self, index: usize, complete: bool, asked_at: Option<Timestamp>) {
        if !complete {
            return;
        }
        let asked_at = asked_at.map_or(self.now, |at| at.min(self.now));
        let attempt = &mut self.charge.attempts[index];
        if attempt.state == AttemptState::Charged {
            self.effects.push(Effect::RaiseBreak(Break::RejectedAfterCharge));
            return;
        }
        // There must be an end of sending to count from: an open attempt may still be on its way.
        let (AttemptState::InDoubt { .. } | AttemptState::Accepted, Some(began)) =
            (&attempt.state, attempt.in_doubt_since)
        else {
            return;
        };
        let delay = Duration::from_millis(attempt.contract.in_flight_delay_ms);
        if asked_at < began.plus(delay) {
            return;
        }
        match attempt.not_found_at {
            None => attempt.not_found_at = Some(self.now),
            Some(first) if asked_at >= first.plus(delay) && asked_at > first => {
                let detail = format!("not found at {first} and at {asked_at}");
                self.rejected(index, Rejection { reason: Reason::CarrierUnavailable, retry: Retry::Never, detail });
            }
            Some(_) => {}
        }
    }
}
