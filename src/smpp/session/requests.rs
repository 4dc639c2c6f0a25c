//! Requests: into the window, and out of it with exactly one outcome.

use std::time::Instant;

use bytes::BytesMut;

use super::{
    DoubtCause, Event, QueryOutcome, SubmitOutcome, Unwritten,
    in_flight::{Kind, Request},
    machine::Session,
};
use crate::smpp::{encode::EncodeError, status::CommandStatus};

impl Session {
    pub(super) fn request(
        &mut self,
        kind: Kind,
        token: u64,
        due: Instant,
        encode: impl FnOnce(u32, &mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<u32, Unwritten> {
        self.accepts()?;
        let sequence = self.next_sequence();
        self.push(Some(sequence), |out| encode(sequence, out))?;
        self.in_flight.insert(sequence, Request { kind, token, submitted: self.now, due, begun: false });
        self.measure_load();
        Ok(sequence)
    }

    /// The only way out of the window: one event for one request.
    pub(super) fn settle(&mut self, sequence: u32, outcome: Settled) {
        let Some(request) = self.in_flight.remove(sequence) else { return };
        let event = match request.kind {
            Kind::Submit => {
                let outcome = outcome.of_submit();
                self.metering.outcome(outcome_name(&outcome));
                if matches!(outcome, SubmitOutcome::Response { .. } | SubmitOutcome::Nack { .. }) {
                    self.metering.answered_after(self.now.saturating_duration_since(request.submitted));
                }
                Event::Outcome { token: request.token, sequence, outcome }
            }
            Kind::Query => Event::Queried { token: request.token, sequence, outcome: outcome.of_query() },
        };
        self.events.push_back(event);
        self.measure_load();
    }

    /// A request of which a byte is written has no answer. A late one may still come.
    pub(super) fn doubt(&mut self, sequence: u32, cause: DoubtCause) {
        if let Some(request) = self.in_flight.get(sequence).copied() {
            self.settle(sequence, Settled::InDoubt(cause));
            self.in_flight.remember(sequence, request.kind, request.token);
        }
    }

    pub(super) fn expire(&mut self, sequence: u32) {
        if self.outbox.withdraw(sequence) {
            self.unstall();
            self.settle(sequence, Settled::NotWritten(Unwritten::Timeout));
        } else {
            self.doubt(sequence, DoubtCause::Timeout);
        }
    }

    pub(super) fn next_sequence(&mut self) -> u32 {
        let (phase, enquiry) = (self.phase, self.enquiry_sequence);
        self.in_flight.next_sequence(|sequence| sequence == enquiry || phase.goes_by(sequence))
    }
}

/// What became of a request, before it is known whose it is.
pub(super) enum Settled {
    NotWritten(Unwritten),
    Submitted { status: CommandStatus, message_id: Option<String> },
    Queried(QueryOutcome),
    Nack(CommandStatus),
    InDoubt(DoubtCause),
}

impl Settled {
    fn of_submit(self) -> SubmitOutcome {
        match self {
            Settled::NotWritten(why) => SubmitOutcome::NotWritten { why },
            Settled::Submitted { status, message_id } => SubmitOutcome::Response { status, message_id },
            Settled::Nack(status) => SubmitOutcome::Nack { status },
            Settled::InDoubt(cause) => SubmitOutcome::InDoubt { cause },
            // The kinds are compared before anything is settled; if they ever differ, it is a wrong response.
            Settled::Queried(_) => SubmitOutcome::InDoubt { cause: DoubtCause::WrongResponse },
        }
    }

    fn of_query(self) -> QueryOutcome {
        match self {
            Settled::NotWritten(why) => QueryOutcome::NotWritten { why },
            Settled::Queried(answer) => answer,
            Settled::Nack(status) => QueryOutcome::Refused { status },
            Settled::InDoubt(cause) => QueryOutcome::Unanswered { cause },
            Settled::Submitted { .. } => QueryOutcome::Unanswered { cause: DoubtCause::WrongResponse },
        }
    }
}

fn outcome_name(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::NotWritten { .. } => "not_written",
        SubmitOutcome::Response { status, .. } if status.is_ok() => "accepted",
        SubmitOutcome::Response { .. } => "refused",
        SubmitOutcome::Nack { .. } => "nack",
        SubmitOutcome::InDoubt { .. } => "in_doubt",
    }
}
