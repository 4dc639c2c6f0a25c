//! What a caller holds while its message is under way.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::{mpsc, oneshot};

use super::command::Command;
use crate::smpp::session::{DoubtCause, SubmitOutcome, Unwritten};

/// The outcome of one submission, to come. If it is dropped first, the outcome comes as [`PoolEvent::Orphan`](super::PoolEvent::Orphan).
#[derive(Debug)]
#[must_use = "the outcome would come as an orphan"]
pub struct Submission {
    token: u64,
    /// `None` once the outcome has been given.
    state: Option<State>,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum State {
    NotSent,
    Waiting(oneshot::Receiver<SubmitOutcome>),
}

impl Submission {
    pub(super) fn waiting(
        token: u64,
        outcome: oneshot::Receiver<SubmitOutcome>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Submission {
        Submission { token, state: Some(State::Waiting(outcome)), commands }
    }

    pub(super) fn not_sent(token: u64, commands: mpsc::UnboundedSender<Command>) -> Submission {
        Submission { token, state: Some(State::NotSent), commands }
    }
}

const NOT_BOUND: SubmitOutcome = SubmitOutcome::NotWritten { why: Unwritten::NotBound };

impl Future for Submission {
    type Output = SubmitOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<SubmitOutcome> {
        let outcome = match &mut self.state {
            Some(State::Waiting(outcome)) => match Pin::new(outcome).poll(context) {
                Poll::Ready(Ok(outcome)) => outcome,
                // The task panicked, or its runtime was shut down.
                Poll::Ready(Err(_gone)) => SubmitOutcome::InDoubt { cause: DoubtCause::TaskEnded },
                Poll::Pending => return Poll::Pending,
            },
            Some(State::NotSent) => NOT_BOUND,
            // Polled again after it was ready, which no executor does; then there is nothing more to wait for.
            None => return Poll::Pending,
        };
        self.state = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        let outcome = match self.state.take() {
            Some(State::Waiting(mut outcome)) => {
                outcome.close();
                // Closed while empty: the task finds it closed, and makes the orphan itself.
                outcome.try_recv().ok()
            }
            Some(State::NotSent) => Some(NOT_BOUND),
            None => None,
        };
        if let Some(outcome) = outcome
            && let Err(unsent) = self.commands.send(Command::Orphan { token: self.token, outcome })
        {
            tracing::error!(command = ?unsent.0, "an outcome was dropped after its link ended");
        }
    }
}
