//! The task that owns the link: it connects, serves one session after the other, and waits in between.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

use super::{
    super::{
        DownWhy, Endpoint, LinkConfig, LinkState, PoolEvent,
        command::Command,
        handle::Control,
        places::{Places, Slot, now},
    },
    backoff::Backoff,
    connect::connect,
};
use crate::{
    process,
    smpp::{
        metering::LinkMetering,
        session::{QueryOutcome, SubmitOutcome, Unwritten},
        tap::Tap,
    },
};

/// How long the last bytes of a session may take, and the last events of a link.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// A link's part in the places of its pool.
pub(in crate::smpp::pool) struct Seat {
    pub(in crate::smpp::pool) places: Arc<Places>,
    pub(in crate::smpp::pool) index: usize,
}

impl Seat {
    /// Whether the link takes requests.
    pub(super) fn set_open(&self, open: bool) {
        self.places.set_open(self.index, open);
    }

    /// The way to this link.
    pub(super) fn commands(&self) -> mpsc::UnboundedSender<Command> {
        self.places.commands(self.index)
    }

    /// The session is over, and every request of it has its outcome.
    pub(super) fn session_ended(&self) {
        self.places.session_ended(self.index);
    }

    /// What the SMSC says of its load.
    pub(super) fn congestion(&self, state: u8) {
        self.places.congestion(state);
    }
}

impl Drop for Seat {
    /// However the link ends, its places are given to nobody any more.
    fn drop(&mut self) {
        self.places.set_open(self.index, false);
    }
}

/// The link's ends of what joins it to its pool.
pub(in crate::smpp::pool) struct Ends {
    pub(in crate::smpp::pool) commands: mpsc::UnboundedReceiver<Command>,
    pub(in crate::smpp::pool) control: watch::Receiver<Control>,
    pub(in crate::smpp::pool) state: watch::Sender<LinkState>,
    pub(in crate::smpp::pool) events: mpsc::Sender<PoolEvent>,
    pub(in crate::smpp::pool) tap: Tap,
}

pub(in crate::smpp::pool) struct Task {
    pub(super) config: LinkConfig,
    pub(super) name: Arc<str>,
    pub(super) seat: Seat,
    pub(super) ends: Ends,
    /// Events that the channel has no room for. While there are [`Task::events_max`] the link does not read.
    pub(super) backlog: VecDeque<PoolEvent>,
    pub(super) events_max: usize,
    /// Which of the endpoints it is with.
    endpoint: usize,
    pub(super) submits: BTreeMap<u32, (oneshot::Sender<SubmitOutcome>, Slot)>,
    pub(super) queries: BTreeMap<u32, (oneshot::Sender<QueryOutcome>, Slot)>,
    pub(super) session_number: u64,
    pub(super) bound_at: Option<Instant>,
    /// Nobody holds a handle any more: end as if asked to.
    pub(super) handles_gone: bool,
    /// Nobody takes events any more: end as if asked to.
    pub(super) events_gone: bool,
    pub(super) metering: LinkMetering,
}

impl Task {
    pub(in crate::smpp::pool) fn new(config: LinkConfig, events_max: usize, seat: Seat, ends: Ends) -> Task {
        Task {
            metering: LinkMetering::new(&config.session.carrier, &config.session.name),
            name: config.session.name.as_str().into(),
            config,
            seat,
            ends,
            backlog: VecDeque::new(),
            events_max: events_max.max(1),
            endpoint: 0,
            submits: BTreeMap::new(),
            queries: BTreeMap::new(),
            session_number: 0,
            bound_at: None,
            handles_gone: false,
            events_gone: false,
        }
    }

    pub(in crate::smpp::pool) async fn run(mut self) {
        let mut backoff = Backoff::new(self.config.reconnect);
        while !self.stops() {
            if self.rests() {
                self.rest().await;
                continue;
            }
            self.show(LinkState::Connecting);
            let connecting = connect(self.endpoint(), self.config.tls.clone(), self.config.connect_timeout);
            let why = match self.meanwhile(connecting).await {
                Some(Ok(stream)) => DownWhy::Session(self.serve(stream).await),
                Some(Err(why)) => why,
                None => continue,
            };
            if self.rests() {
                self.metering.down("unbound_by_us", Duration::ZERO);
                backoff = Backoff::new(self.config.reconnect);
                continue;
            }
            if self.stops() {
                self.metering.down("unbound_by_us", Duration::ZERO);
                break;
            }
            let up_for = self.bound_at.take().map_or(Duration::ZERO, |at| now().saturating_duration_since(at));
            let retry_in = backoff.wait(&why, up_for, |most| process::random_range(Duration::ZERO..=most));
            self.tell_down(why, retry_in);
            self.endpoint += 1;
            // If it is to end or to rest first, the next round sees to it.
            self.meanwhile(time::sleep(retry_in)).await;
        }
        self.end().await;
    }

    /// Without a bind, until it is wanted again or is to end.
    async fn rest(&mut self) {
        self.show(LinkState::Resting);
        self.unless(|task| task.stops() || !task.rests(), std::future::pending::<()>()).await;
    }

    /// Where it is, or tries to be. After every failure it is the next in turn.
    pub(super) fn endpoint(&self) -> Endpoint {
        let endpoints = &self.config.endpoints;
        let turn = self.endpoint.checked_rem(endpoints.len()).unwrap_or(0);
        endpoints.get(turn).cloned().unwrap_or_else(|| Endpoint::new("", 0))
    }

    /// Does `work` while there is no session; `None` if the link is to end or to rest first.
    async fn meanwhile<F: Future>(&mut self, work: F) -> Option<F::Output> {
        self.unless(|task| task.stops() || task.rests(), work).await
    }

    /// Does `work` while there is no session; `None` if it is to be broken off first.
    async fn unless<F: Future>(&mut self, breaks_off: fn(&Task) -> bool, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        loop {
            if breaks_off(self) {
                return None;
            }
            self.hand_over();
            let command = tokio::select! {
                biased;
                changed = self.ends.control.changed() => {
                    self.handles_gone |= changed.is_err();
                    None
                }
                _room = self.ends.events.reserve(), if !self.backlog.is_empty() => None,
                command = self.ends.commands.recv() => command,
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
            Command::Orphan { token, outcome } => self.backlog.push_back(PoolEvent::Orphan { token, outcome }),
        }
    }

    async fn end(mut self) {
        self.seat.set_open(false);
        self.ends.commands.close();
        while let Ok(command) = self.ends.commands.try_recv() {
            self.refuse(command);
        }
        self.show(LinkState::Ended);
        let until = time::Instant::now() + FAREWELL;
        while let Some(event) = self.backlog.pop_front() {
            match time::timeout_at(until, self.ends.events.reserve()).await {
                Ok(Ok(permit)) => permit.send(event),
                Ok(Err(_)) | Err(_) => event.log_untaken(),
            }
        }
    }

    pub(super) fn stops(&self) -> bool {
        self.handles_gone || self.events_gone || self.ends.control.borrow().stop
    }

    pub(super) fn rests(&self) -> bool {
        self.ends.control.borrow().rest
    }

    pub(super) fn show(&self, state: LinkState) {
        self.ends.state.send_if_modified(|shown| {
            let changed = *shown != state;
            if changed {
                *shown = state;
            }
            changed
        });
    }

    fn tell_down(&mut self, why: DownWhy, retry_in: Duration) {
        let endpoint = self.endpoint();
        tracing::warn!(
            carrier = self.config.session.carrier,
            bind = self.config.session.name,
            %endpoint,
            %why,
            retry_in_ms = retry_in.as_millis(),
            "SMPP link down"
        );
        self.metering.down(why.kind(), retry_in);
        self.show(LinkState::Down { why: why.clone() });
        self.tell_if_room(PoolEvent::Down { link: self.name.clone(), endpoint, why, retry_in });
    }

    /// For what can be seen elsewhere too; what is evidence is always told.
    pub(super) fn tell_if_room(&mut self, event: PoolEvent) {
        if self.backlog.len() < self.events_max {
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
        slot.settle(&outcome);
        if let Err(outcome) = reply.send(outcome) {
            self.backlog.push_back(PoolEvent::Orphan { token, outcome });
        }
    }
}
