//! The session itself: its state and its public face. What comes in is in `inbound.rs`, what becomes of requests in
//! `requests.rs`, timers and the end in `timers.rs`.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use bytes::BytesMut;

use super::{
    Closed, DeliveryId, Event, Fault, SessionConfig, Unwritten,
    in_flight::{InFlight, Kind},
    outbox::Outbox,
};
use crate::smpp::{
    dissect::Direction,
    encode::{self, EncodeError},
    framing::Framer,
    metering::Metering,
    pdu::{QuerySm, SubmitSm, command},
    status::CommandStatus,
    tap::Tap,
};

/// One bind, from the first byte to the last. It neither reads a socket nor a clock: its owner brings bytes and instants
/// ([`Session::receive`], [`Session::written`], [`Session::tick`]) and takes bytes ([`Session::outgoing`]), events
/// ([`Session::poll_event`]) and the next deadline ([`Session::deadline`]).
///
/// For every request that [`Session::submit`] or [`Session::query`] accepted there is exactly one [`Event::Outcome`] or
/// [`Event::Queried`], whatever the peer does; the last ones come just before [`Event::Closed`].
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) phase: Phase,
    pub(super) framer: Framer,
    pub(super) outbox: Outbox,
    pub(super) in_flight: InFlight,
    /// Messages not answered yet: the peer's sequence number, and the command to answer with.
    pub(super) unanswered: HashMap<DeliveryId, (u32, u32)>,
    pub(super) next_delivery: u64,
    pub(super) events: VecDeque<Event>,
    pub(super) metering: Metering,
    pub(super) tap: Tap,
    /// The latest instant seen; instants never run backwards here.
    pub(super) now: Instant,
    pub(super) last_inbound: Instant,
    /// When `enquire_link` was sent, while not one byte has come since.
    pub(super) enquired: Option<Instant>,
    pub(super) enquiry_sequence: u32,
    /// What the SMSC last said of its load.
    pub(super) congestion: Option<u8>,
    pub(super) closed: Option<Closed>,
    /// Since when bytes wait to be written without any progress.
    pub(super) stalled_since: Option<Instant>,
}

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The bind is sent.
    Binding { sequence: u32, until: Instant },
    /// Requests flow.
    Bound,
    /// We want to unbind, and wait for responses to what is in flight and for our own answers.
    Draining { until: Instant },
    /// Our `unbind` is sent.
    Unbinding { sequence: u32, until: Instant },
    /// The SMSC unbound and has our response; it may still answer what is in flight.
    Lingering { until: Instant },
    /// It is over.
    Closed,
}

impl Session {
    /// Begins a session on a fresh connection: the bind is the first PDU of [`Session::outgoing`].
    pub fn new(config: SessionConfig, now: Instant) -> Result<Session, EncodeError> {
        let mut in_flight = InFlight::new(config.late_max);
        let mut outbox = Outbox::default();
        let sequence = in_flight.next_sequence(|_| false);
        outbox.push(None, |out| encode::bind(config.bind.clone(), sequence, out))?;
        Ok(Session {
            phase: Phase::Binding { sequence, until: now + config.bind_timeout },
            metering: Metering::new(&config.carrier, &config.name),
            tap: Tap::default(),
            config,
            framer: Framer::default(),
            outbox,
            in_flight,
            unanswered: HashMap::new(),
            next_delivery: 0,
            events: VecDeque::new(),
            now,
            last_inbound: now,
            enquired: None,
            enquiry_sequence: 0,
            congestion: None,
            closed: None,
            stalled_since: Some(now),
        })
    }

    /// Sends `sm`. With `Ok` it counts as in flight and goes by the sequence number given back; exactly one outcome with
    /// `token` will follow. With `Err` nothing was written and nothing will follow.
    pub fn submit(&mut self, sm: SubmitSm, token: u64, now: Instant) -> Result<u32, Unwritten> {
        self.see(now);
        let due = self.now + self.config.response_timeout;
        self.request(Kind::Submit, token, due, |sequence, out| encode::submit_sm(sm, sequence, out))
    }

    /// Asks about a message; an answer is waited for until `due`, at most the response time-out. As for
    /// [`Session::submit`], with [`Event::Queried`].
    pub fn query(&mut self, query: QuerySm, token: u64, due: Instant, now: Instant) -> Result<u32, Unwritten> {
        self.see(now);
        let due = due.min(self.now + self.config.response_timeout);
        self.request(Kind::Query, token, due, |sequence, out| encode::query_sm(query, sequence, out))
    }

    /// Whether a request would be accepted now, or why not.
    pub fn accepts(&self) -> Result<(), Unwritten> {
        if !self.config.bind.mode.sends() {
            Err(Unwritten::ReceiverOnly)
        } else if self.phase != Phase::Bound {
            Err(Unwritten::NotBound)
        } else if self.in_flight.len() >= self.config.window.max(1) {
            Err(Unwritten::WindowFull)
        } else if self.outbox.len() >= self.config.outgoing_bytes_max {
            Err(Unwritten::OutgoingFull)
        } else {
            Ok(())
        }
    }

    /// Answers a delivered message. `false` if it is not waiting for an answer: answered before, or the session ended.
    pub fn respond(&mut self, delivery: DeliveryId, status: CommandStatus) -> bool {
        let Some((sequence, command_id)) = self.unanswered.remove(&delivery) else { return false };
        self.answer_delivery(command_id, sequence, status);
        self.advance();
        true
    }

    /// Takes bytes that came, as many as there is room for, and tells how many; the rest must be offered again after
    /// events were taken. Any byte is a sign of life.
    #[must_use]
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.see(now);
        if self.is_closed() {
            return bytes.len();
        }
        if !bytes.is_empty() {
            self.last_inbound = self.now;
            self.enquired = None;
        }
        let taken = self.framer.push(bytes);
        self.proceed(now);
        taken
    }

    /// Goes on with bytes that were held back because events or outgoing bytes had piled up.
    pub fn proceed(&mut self, now: Instant) {
        self.see(now);
        self.read_pdus();
        self.advance();
    }

    /// How many bytes [`Session::receive`] would take now. At 0 the owner should stop reading, and say so with
    /// [`Session::not_listening`].
    pub fn room(&self) -> usize {
        if self.reads_pdus() { self.framer.room() } else { 0 }
    }

    /// The owner is not reading: the peer's silence proves nothing until it reads again.
    pub fn not_listening(&mut self, now: Instant) {
        self.see(now);
        self.enquired = self.enquired.map(|_| self.now);
    }

    /// The bytes to write, whole PDUs as far as they go.
    pub fn outgoing(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// The first `count` bytes of [`Session::outgoing`] are handed to the connection, so they may reach the peer.
    pub fn written(&mut self, count: usize, now: Instant) {
        self.see(now);
        self.tap_outgoing(count);
        let in_flight = &mut self.in_flight;
        self.outbox.written(count, |sequence| in_flight.begin(sequence));
        if count > 0 {
            self.stalled_since = (!self.outbox.is_empty()).then_some(self.now);
        }
    }

    /// Has its PDUs heard at `tap` from now on.
    pub fn set_tap(&mut self, tap: Tap) {
        self.tap = tap;
    }

    /// The first `count` bytes of [`Session::outgoing`] are about to leave. [`Session::written`] taps them by itself.
    pub fn tap_outgoing(&self, count: usize) {
        if self.tap.is_heard() {
            let tap = |pdu: &[u8]| self.tap.pdu(Direction::Sent, &self.config.name, self.now, pdu);
            self.outbox.beginning_within(count).for_each(tap);
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::tick`] has something to do, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Closed => return None,
            Phase::Bound => None,
            Phase::Binding { until, .. }
            | Phase::Draining { until }
            | Phase::Unbinding { until, .. }
            | Phase::Lingering { until } => Some(until),
        };
        let life = self.enquires().then(|| match self.enquired {
            Some(enquired) => enquired + self.config.dead_after,
            None => self.last_inbound + self.config.enquire_after,
        });
        let stall = self.stalled_since.map(|since| since + self.config.dead_after);
        [phase, life, stall, self.in_flight.next_due()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        self.see(now);
        while let Some(sequence) = self.in_flight.overdue(self.now) {
            self.expire(sequence);
        }
        self.tick_phase();
        self.tick_life();
        self.advance();
    }

    /// Ends the session in good order: no new requests; what is in flight may be answered until the drain time-out; then
    /// `unbind`. [`Event::Closed`] comes within twice [`SessionConfig::unbind_timeout`].
    pub fn unbind(&mut self, now: Instant) {
        self.see(now);
        match self.phase {
            Phase::Binding { .. } => self.close(Closed::UnboundByUs),
            Phase::Bound => {
                self.phase = Phase::Draining { until: self.now + self.config.unbind_timeout };
                self.advance();
            }
            _ => {}
        }
    }

    /// The connection ended: end of stream, reset, a failed write. What came before the end still counts.
    pub fn link_lost(&mut self, why: impl Into<String>, now: Instant) {
        self.see(now);
        self.read_rest();
        self.close(match self.phase {
            Phase::Unbinding { .. } => Closed::UnboundByUs,
            Phase::Lingering { .. } => Closed::UnboundByPeer,
            _ => Closed::LinkLost(why.into()),
        });
        self.outbox.clear();
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Why the session is over.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether requests may flow, as far as the bind goes.
    pub fn is_bound(&self) -> bool {
        self.phase == Phase::Bound
    }

    /// How many requests wait for their response.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

impl Phase {
    /// Whether a request of our own that is not a caller's goes by `sequence`.
    pub(super) fn goes_by(self, sequence: u32) -> bool {
        match self {
            Phase::Binding { sequence: own, .. } | Phase::Unbinding { sequence: own, .. } => own == sequence,
            _ => false,
        }
    }
}

/// The way out.
impl Session {
    pub(super) fn push(
        &mut self,
        request: Option<u32>,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.outbox.push(request, encode)?;
        self.stalled_since.get_or_insert(self.now);
        Ok(())
    }

    pub(super) fn push_small(&mut self, encode: impl FnOnce(&mut BytesMut)) {
        let pushed = self.push(None, |out| {
            encode(out);
            Ok(())
        });
        debug_assert!(pushed.is_ok(), "it cannot fail");
    }

    pub(super) fn answer_delivery(&mut self, command_id: u32, sequence: u32, status: CommandStatus) {
        self.push_small(|out| match command_id {
            command::DATA_SM => encode::data_sm_resp(status, sequence, out),
            _ => encode::deliver_sm_resp(status, sequence, out),
        });
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.metering.fault(fault.kind());
        self.events.push_back(Event::Fault(fault));
    }

    pub(super) fn measure_load(&self) {
        self.metering.load(self.in_flight.len(), self.outbox.len());
    }
}
