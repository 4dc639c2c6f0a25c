//! The public face of a link.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    LinkConfig, LinkEvent, LinkState,
    slots::{Lane, ReserveError, Slot, Slots},
    task::{self, Command, Control},
};
use crate::smpp::{
    encode::EncodeError,
    pdu::QuerySm,
    session::{DoubtCause, QueryOutcome, Session, SubmitOutcome, Unwritten},
};

/// Opens a link: its task connects, binds, and keeps at it until [`LinkHandle::unbind`], or until every handle or the
/// receiver is dropped. Fails if the bind's fields cannot be written. Needs a tokio runtime.
///
/// The receiver must be read: deliveries and late answers come through it.
pub fn open(config: LinkConfig) -> Result<(LinkHandle, mpsc::Receiver<LinkEvent>), EncodeError> {
    // The bind is encoded here once, so that it cannot fail later.
    let _checked = Session::new(config.session.clone(), Instant::now())?;
    let (commands, to_do) = mpsc::unbounded_channel();
    let (events, receiver) = mpsc::channel(config.events_max.max(1));
    let (control, controlled) = watch::channel(Control::default());
    let (state, watched) = watch::channel(LinkState::Connecting);
    let slots = Arc::new(Slots::new(config.session.window.max(1), config.waiting_max, commands));
    let task = task::Task::new(config, Arc::clone(&slots), to_do, controlled, state, events);
    tokio::spawn(task.run());
    let face = Face { slots, control, state: watched };
    Ok((LinkHandle { face: Arc::new(face) }, receiver))
}

/// A handle to a link. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    face: Arc<Face>,
}

#[derive(Debug)]
struct Face {
    slots: Arc<Slots>,
    control: watch::Sender<Control>,
    state: watch::Receiver<LinkState>,
}

impl LinkHandle {
    /// A place in the window, if one is free now, the link is up and not paused, and nobody waits.
    pub fn try_reserve(&self) -> Option<Slot> {
        self.face.slots.try_reserve()
    }

    /// Waits for a place in the window until `deadline`; also while the link is down or paused.
    pub async fn reserve(&self, lane: Lane, deadline: Instant) -> Result<Slot, ReserveError> {
        self.face.slots.reserve(lane, deadline).await
    }

    /// Asks what became of a message. Waits for a place in the priority lane and for the answer until `deadline`, for the
    /// answer at most the response time-out.
    pub async fn query(&self, query: QuerySm, deadline: Instant) -> QueryOutcome {
        let slot = match self.face.slots.reserve(Lane::Priority, deadline).await {
            Ok(slot) => slot,
            Err(ReserveError::Ended) => return QueryOutcome::NotWritten { why: Unwritten::NotBound },
            Err(ReserveError::Deadline | ReserveError::Busy) => {
                return QueryOutcome::NotWritten { why: Unwritten::WindowFull };
            }
        };
        let (reply, outcome) = oneshot::channel();
        match self.face.slots.commands.send(Command::Query { query, due: deadline, reply, slot }) {
            Ok(()) => outcome.await.unwrap_or(QueryOutcome::Unanswered { cause: DoubtCause::TaskEnded }),
            Err(_ended) => QueryOutcome::NotWritten { why: Unwritten::NotBound },
        }
    }

    /// Gives no more places until [`LinkHandle::resume`]. The bind stays, deliveries go on, and places given are good.
    pub fn pause(&self) {
        self.face.control.send_modify(|control| control.paused = true);
    }

    /// Gives places again.
    pub fn resume(&self) {
        self.face.control.send_modify(|control| control.paused = false);
    }

    /// Ends the link for good: no more places; what is in flight may be answered until the drain time-out; `unbind`. Returns
    /// when every outcome has been given.
    pub async fn unbind(&self) {
        self.face.control.send_modify(|control| control.stop = true);
        let mut state = self.face.state.clone();
        // An error means that the task is gone: ended all the more.
        let _ended = state.wait_for(|state| *state == LinkState::Ended).await;
    }

    /// How the link stands, and every change of it.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.face.state.clone()
    }
}

/// The outcome of one submission, to come. If it is dropped first, the outcome comes as [`LinkEvent::Orphan`].
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
