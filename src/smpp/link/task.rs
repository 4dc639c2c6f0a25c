//! The task that owns the link: it connects, serves one session after the other, and waits in between.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time,
};

use super::{
    DownWhy, LinkConfig, LinkEvent, LinkState,
    backoff::Backoff,
    slots::{Gate, Slot, Slots},
};
use crate::smpp::{
    metering::LinkMetering,
    pdu::{QuerySm, SubmitSm},
    session::{DeliveryId, QueryOutcome, SubmitOutcome, Unwritten},
    status::CommandStatus,
};

/// How long the last bytes of a session may take, and the last events of a link.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// What handles, slots and responders ask of the task.
#[derive(Debug)]
pub(super) enum Command {
    Submit { sm: Box<SubmitSm>, token: u64, reply: oneshot::Sender<SubmitOutcome>, slot: Slot },
    Query { query: QuerySm, due: Instant, reply: oneshot::Sender<QueryOutcome>, slot: Slot },
    Answer { delivery: DeliveryId, session_number: u64, status: CommandStatus },
    Orphan { token: u64, outcome: SubmitOutcome },
}

/// What handles want of the link as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control {
    pub(super) paused: bool,
    pub(super) stop: bool,
}

pub(super) struct Task {
    pub(super) config: LinkConfig,
    pub(super) slots: Arc<Slots>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) control: watch::Receiver<Control>,
    state: watch::Sender<LinkState>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    /// Events that the channel has no room for. While it is full the link does not read.
    pub(super) backlog: VecDeque<LinkEvent>,
    pub(super) submits: HashMap<u32, (oneshot::Sender<SubmitOutcome>, Slot)>,
    pub(super) queries: HashMap<u32, (oneshot::Sender<QueryOutcome>, Slot)>,
    pub(super) session_number: u64,
    pub(super) bound_at: Option<Instant>,
    /// Nobody holds a handle any more: end as if asked to.
    pub(super) handles_gone: bool,
    /// Nobody takes events any more: end as if asked to.
    pub(super) events_gone: bool,
    pub(super) metering: LinkMetering,
}

impl Task {
    pub(super) fn new(
        config: LinkConfig,
        slots: Arc<Slots>,
        commands: mpsc::UnboundedReceiver<Command>,
        control: watch::Receiver<Control>,
        state: watch::Sender<LinkState>,
        events: mpsc::Sender<LinkEvent>,
    ) -> Task {
        Task {
            metering: LinkMetering::new(&config.session.carrier, &config.session.name),
            config,
            slots,
            commands,
            control,
            state,
            events,
            backlog: VecDeque::new(),
            submits: HashMap::new(),
            queries: HashMap::new(),
            session_number: 0,
            bound_at: None,
            handles_gone: false,
            events_gone: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.config.reconnect);
        while !self.stops() {
            self.show(LinkState::Connecting);
            let connecting = connect(self.config.host.clone(), self.config.port, self.config.connect_timeout);
            let why = match self.meanwhile(connecting).await {
                Some(Ok(stream)) => DownWhy::Session(self.serve(stream).await),
                Some(Err(why)) => why,
                None => break,
            };
            self.metering.down();
            if self.stops() {
                break;
            }
            let up_for = self.bound_at.take().map_or(Duration::ZERO, |at| now().saturating_duration_since(at));
            let retry_in = backoff.wait(&why, up_for, |most| rand::random_range(Duration::ZERO..=most));
            self.tell_down(why, retry_in);
            if self.meanwhile(time::sleep(retry_in)).await.is_none() {
                break;
            }
        }
        self.end().await;
    }

    /// Does `work` while there is no session; `None` if the link is to end first.
    async fn meanwhile<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        loop {
            if self.stops() {
                return None;
            }
            self.hand_over();
            let command = tokio::select! {
                changed = self.control.changed() => {
                    self.handles_gone |= changed.is_err();
                    None
                }
                _room = self.events.reserve(), if !self.backlog.is_empty() => None,
                command = self.commands.recv() => command,
                output = &mut work => return Some(output),
            };
            if let Some(command) = command {
                self.refuse(command);
            }
        }
    }

    /// There is no session for it.
    fn refuse(&mut self, command: Command) {
        let why = Unwritten::NotBound;
        match command {
            Command::Submit { token, reply, slot, .. } => {
                self.give(token, reply, slot, SubmitOutcome::NotWritten { why });
            }
            Command::Query { reply, .. } => drop(reply.send(QueryOutcome::NotWritten { why })),
            Command::Answer { .. } => {}
            Command::Orphan { token, outcome } => self.backlog.push_back(LinkEvent::Orphan { token, outcome }),
        }
    }

    async fn end(mut self) {
        self.slots.set_gate(Gate::Ended);
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            self.refuse(command);
        }
        self.show(LinkState::Ended);
        let until = time::Instant::now() + FAREWELL;
        while let Some(event) = self.backlog.pop_front() {
            match time::timeout_at(until, self.events.reserve()).await {
                Ok(Ok(permit)) => permit.send(event),
                Ok(Err(_)) | Err(_) => event.log_untaken(),
            }
        }
    }

    pub(super) fn stops(&self) -> bool {
        self.handles_gone || self.events_gone || self.control.borrow().stop
    }

    pub(super) fn show(&self, state: LinkState) {
        self.state.send_if_modified(|shown| {
            let changed = *shown != state;
            if changed {
                *shown = state;
            }
            changed
        });
    }

    fn tell_down(&mut self, why: DownWhy, retry_in: Duration) {
        tracing::warn!(
            carrier = self.config.session.carrier,
            bind = self.config.session.name,
            %why,
            ?retry_in,
            "SMPP link down"
        );
        self.show(LinkState::Down { why: why.clone() });
        self.tell_if_room(LinkEvent::Down { why, retry_in });
    }

    /// For what can be seen elsewhere too; what is evidence is always told.
    pub(super) fn tell_if_room(&mut self, event: LinkEvent) {
        if self.backlog.len() < self.config.events_max {
            self.backlog.push_back(event);
        }
    }

    /// Gives the caller the outcome, and the place back. If the caller is gone, the outcome becomes an event.
    pub(super) fn give(
        &mut self,
        token: u64,
        reply: oneshot::Sender<SubmitOutcome>,
        slot: Slot,
        outcome: SubmitOutcome,
    ) {
        if let Err(outcome) = reply.send(outcome) {
            self.backlog.push_back(LinkEvent::Orphan { token, outcome });
        }
        drop(slot);
    }
}

async fn connect(host: String, port: u16, within: Duration) -> Result<TcpStream, DownWhy> {
    let connecting = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        // PDUs are gathered before they are written; waiting for more to gather would only delay them.
        stream.set_nodelay(true)?;
        io::Result::Ok(stream)
    };
    match time::timeout(within, connecting).await {
        Ok(connected) => connected.map_err(|error| DownWhy::Connect(error.to_string())),
        Err(_elapsed) => Err(DownWhy::ConnectTimeout(within)),
    }
}

/// The monotonic clock, which the runtime may control.
pub(super) fn now() -> Instant {
    time::Instant::now().into_std()
}
