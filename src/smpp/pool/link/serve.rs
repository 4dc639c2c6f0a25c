//! One session on one connection: bytes and instants to the session, and back. It knows nothing else of SMPP.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc::error::TrySendError,
    time,
};

use super::{
    super::{LinkState, PoolEvent, Responder, command::Command, places::now},
    connect::Stream,
    task::{FAREWELL, Task},
};
use crate::smpp::session::{Closed, DeliveryId, DoubtCause, Event, QueryOutcome, Session, SubmitOutcome};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How long to wait when the session has no deadline.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

/// Why the task woke.
enum Wake {
    Control {
        gone: bool,
    },
    Wrote(io::Result<usize>),
    Read(io::Result<usize>),
    Command(Command),
    /// The channel has room for an event again.
    Events,
    Due,
}

/// One session. Reads and writes of the stream are cancel-safe, in the clear and in TLS.
impl Task {
    pub(super) async fn serve(&mut self, stream: Stream) -> Closed {
        if let Some(bind) = &self.ends.control.borrow().bind {
            self.config.session.bind.clone_from(bind);
        }
        let mut session =
            Session::new(self.config.session.clone(), now()).expect("the bind was encoded when it was configured");
        session.set_tap(self.ends.tap.clone());
        let is_tls = matches!(stream, Stream::Right(_));
        self.session_number += 1;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ_BYTES];
        let mut unflushed = false;
        loop {
            if self.turn(&mut session, &mut reader, &mut buffer).await {
                break;
            }
            let room = self.room(&session).min(buffer.len());
            let space = buffer.get_mut(..room).unwrap_or_default();
            let (bytes, flushes) = (session.outgoing(), unflushed && session.outgoing().is_empty());
            let deadline = session.deadline().unwrap_or_else(|| now() + NO_DEADLINE);
            let wake = tokio::select! {
                biased;
                changed = self.ends.control.changed(), if !self.handles_gone => Wake::Control { gone: changed.is_err() },
                wrote = write_or_flush(&mut writer, bytes), if flushes || !bytes.is_empty() => Wake::Wrote(wrote),
                read = reader.read(space), if room > 0 => Wake::Read(read),
                Some(command) = self.ends.commands.recv() => Wake::Command(command),
                _room = self.ends.events.reserve(), if !self.backlog.is_empty() => Wake::Events,
                () = time::sleep_until(deadline.into()) => Wake::Due,
            };
            match wake {
                Wake::Control { gone } => self.handles_gone |= gone,
                Wake::Wrote(Ok(count)) if count > 0 || flushes => {
                    session.written(count, now());
                    unflushed = count > 0;
                }
                Wake::Wrote(failed) => {
                    if is_tls {
                        // A record with the first of these bytes can have left before the error.
                        session.written(session.outgoing().len(), now());
                    }
                    self.read_rest(&mut session, &mut reader, &mut buffer).await;
                    let why = failed.map_or_else(|error| error.to_string(), |_| "nothing can be written".into());
                    session.link_lost(why, now());
                }
                Wake::Read(read) => {
                    take_bytes(&mut session, read, &buffer);
                }
                Wake::Command(command) => self.command(&mut session, command),
                // The next turn hands over what it can, and looks at the clock.
                Wake::Events | Wake::Due => {}
            }
        }
        self.seat.set_open(false);
        let closed = self.farewell(&mut session, &mut writer).await;
        self.seat.session_ended();
        closed
    }

    /// All that needs no waiting. `true` if the session is over.
    async fn turn<S: AsyncRead>(&mut self, session: &mut Session, reader: &mut ReadHalf<S>, buffer: &mut [u8]) -> bool {
        if self.stops() || self.rests() {
            session.unbind(now());
        }
        // Many PDUs leave in one write, so everything asked for by now goes into the session first.
        for _ in 0..self.config.session.window.max(1) {
            let Ok(command) = self.ends.commands.try_recv() else { break };
            self.command(session, command);
        }
        if self.room(session) > 0 {
            session.proceed(now());
        } else {
            session.not_listening(now());
        }
        self.tick(session, reader, buffer).await;
        self.take_events(session);
        self.hand_over();
        self.adjust(session);
        session.is_closed()
    }

    /// What has come already counts before its time-out does: after a stall, the socket is looked at first.
    async fn tick<S: AsyncRead>(&mut self, session: &mut Session, reader: &mut ReadHalf<S>, buffer: &mut [u8]) {
        let at = now();
        if session.deadline().is_none_or(|deadline| deadline > at) {
            return;
        }
        let room = self.room(session).min(buffer.len());
        let space = buffer.get_mut(..room).unwrap_or_default();
        let read = tokio::select! {
            biased;
            read = reader.read(space), if room > 0 => Some(read),
            () = std::future::ready(()) => None,
        };
        if let Some(read) = read {
            take_bytes(session, read, buffer);
        }
        session.tick(at);
    }

    /// How many bytes may be read: none while events pile up.
    fn room(&self, session: &Session) -> usize {
        if self.backlog.len() < self.events_max { session.room() } else { 0 }
    }

    fn command(&mut self, session: &mut Session, command: Command) {
        match command {
            Command::Submit { sm, token, reply, slot } => match session.submit(*sm, token, now()) {
                Ok(sequence) => drop(self.submits.insert(sequence, (reply, slot))),
                Err(why) => self.give(token, reply, slot, SubmitOutcome::NotWritten { why }),
            },
            Command::Query { query, due, reply, slot } => match session.query(query, 0, due, now()) {
                Ok(sequence) => drop(self.queries.insert(sequence, (reply, slot))),
                Err(why) => drop(reply.send(QueryOutcome::NotWritten { why })),
            },
            Command::Answer { delivery, session_number, status } => {
                if session_number == self.session_number {
                    session.respond(delivery, status);
                }
            }
            Command::Orphan { token, outcome } => self.backlog.push_back(PoolEvent::Orphan { token, outcome }),
        }
    }

    fn take_events(&mut self, session: &mut Session) {
        while let Some(event) = session.poll_event() {
            match event {
                Event::Outcome { token, sequence, outcome } => match self.submits.remove(&sequence) {
                    Some((reply, slot)) => self.give(token, reply, slot, outcome),
                    None => self.backlog.push_back(PoolEvent::Orphan { token, outcome }),
                },
                Event::Queried { sequence, outcome, .. } => {
                    if let Some((reply, _slot)) = self.queries.remove(&sequence) {
                        // Who asked may have stopped waiting; the question can be asked again.
                        let _unheard = reply.send(outcome);
                    }
                }
                Event::Late { token, answer } => self.backlog.push_back(PoolEvent::Late { token, answer }),
                Event::Deliver { delivery, sm, .. } => {
                    let responder = self.responder(delivery);
                    self.backlog.push_back(PoolEvent::Deliver { sm, responder });
                }
                Event::Bound(bind) => {
                    self.bound_at = Some(now());
                    self.metering.up();
                    let (link, endpoint) = (self.name.clone(), self.endpoint());
                    self.tell_if_room(PoolEvent::Up { link, endpoint, system_id: bind.system_id });
                }
                Event::Fault(fault) => {
                    tracing::debug!(carrier = self.config.session.carrier, %fault, "SMPP fault");
                    self.tell_if_room(PoolEvent::Fault { link: self.name.clone(), fault });
                }
                Event::Congestion(state) => self.seat.congestion(state),
                // The session says by itself that it is over, and why.
                Event::BindRefused { .. } | Event::Closed(_) => {}
            }
        }
    }

    fn responder(&self, delivery: DeliveryId) -> Responder {
        let (session_number, commands) = (self.session_number, self.seat.commands());
        Responder { delivery, session_number, commands, answered: false }
    }

    /// Events into the channel, as far as it has room.
    pub(super) fn hand_over(&mut self) {
        while !self.backlog.is_empty() {
            match self.ends.events.try_reserve() {
                Ok(permit) => {
                    if let Some(event) = self.backlog.pop_front() {
                        permit.send(event);
                    }
                }
                Err(TrySendError::Full(())) => break,
                Err(TrySendError::Closed(())) => {
                    self.events_gone = true;
                    // Messages among them are answered "not now" as they are dropped.
                    for event in self.backlog.drain(..) {
                        event.log_untaken();
                    }
                }
            }
        }
    }

    /// Places are given while a request would be taken, and while events are taken too.
    fn adjust(&self, session: &Session) {
        let full = session.outgoing().len() >= self.config.session.outgoing_bytes_max;
        self.seat.set_open(session.is_bound() && !full && self.backlog.len() < self.events_max);
        if self.stops() {
            self.show(LinkState::Unbinding);
        } else if session.is_bound() {
            self.show(LinkState::Up);
        }
    }

    /// A write failed; what the peer sent before may still wait in the socket, and is evidence.
    async fn read_rest<S: AsyncRead>(&mut self, session: &mut Session, reader: &mut ReadHalf<S>, buffer: &mut [u8]) {
        let reading = async {
            while !session.is_closed() {
                self.take_events(session);
                session.proceed(now());
                let room = session.room().min(buffer.len());
                let space = buffer.get_mut(..room).unwrap_or_default();
                if room == 0 || !take_bytes(session, reader.read(space).await, buffer) {
                    break;
                }
            }
        };
        let _elapsed = time::timeout(FAREWELL, reading).await;
    }

    /// The last bytes, and the last outcomes.
    async fn farewell<S: AsyncWrite>(&mut self, session: &mut Session, writer: &mut WriteHalf<S>) -> Closed {
        self.take_events(session);
        let cause = DoubtCause::LinkLost;
        for (reply, _slot) in std::mem::take(&mut self.submits).into_values() {
            debug_assert!(false, "the session gave every request its outcome");
            let _gone = reply.send(SubmitOutcome::InDoubt { cause });
        }
        for (reply, _slot) in std::mem::take(&mut self.queries).into_values() {
            let _gone = reply.send(QueryOutcome::Unanswered { cause });
        }
        session.tap_outgoing(session.outgoing().len());
        let last_bytes = async {
            writer.write_all(session.outgoing()).await?;
            writer.flush().await?;
            writer.shutdown().await
        };
        if let Ok(Err(error)) = time::timeout(FAREWELL, last_bytes).await {
            tracing::debug!(%error, "the last bytes of a session were not written");
        }
        session.closed().cloned().unwrap_or_else(|| Closed::LinkLost("unknown".into()))
    }
}

/// One write of as much as the stream takes; a flush once nothing is left.
async fn write_or_flush<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() { writer.flush().await.map(|()| 0) } else { writer.write(bytes).await }
}

/// Brings what a read gave to the session. `false` if the connection has ended.
fn take_bytes(session: &mut Session, read: io::Result<usize>, buffer: &[u8]) -> bool {
    match read {
        Ok(0) => session.link_lost("closed by the peer", now()),
        Ok(count) => {
            let taken = session.receive(buffer.get(..count).unwrap_or_default(), now());
            debug_assert_eq!(taken, count, "no more is read than the session has room for");
        }
        Err(error) => session.link_lost(error.to_string(), now()),
    }
    !session.is_closed()
}
