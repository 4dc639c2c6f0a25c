//! Timers, signs of life, and the end.

use std::time::{Duration, Instant};

use super::{
    Closed, DoubtCause, Event, Unwritten,
    machine::{Phase, Session},
    requests::Settled,
};
use crate::smpp::encode;

impl Session {
    pub(super) fn see(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) fn tick_phase(&mut self) {
        match self.phase {
            Phase::Binding { until, .. } if until <= self.now => {
                self.close(Closed::BindTimeout(self.config.bind_timeout));
            }
            Phase::Draining { until } if until <= self.now => self.send_unbind(),
            Phase::Unbinding { until, .. } if until <= self.now => self.close(Closed::UnboundByUs),
            Phase::Lingering { until } if until <= self.now => self.close(Closed::UnboundByPeer),
            _ => {}
        }
    }

    pub(super) fn tick_life(&mut self) {
        if self.stalled_since.is_some_and(|since| self.now >= since + self.config.dead_after) && !self.is_closed() {
            self.close(Closed::WriteStalled(self.config.dead_after));
        }
        if !self.enquires() {
            return;
        }
        match self.enquired {
            Some(enquired) if self.now >= enquired + self.config.dead_after => {
                self.close(Closed::Dead(self.silence()));
            }
            None if self.now >= self.last_inbound + self.config.enquire_after => {
                let sequence = self.next_sequence();
                self.enquiry_sequence = sequence;
                self.enquired = Some(self.now);
                self.push_small(|out| encode::enquire_link(sequence, out));
            }
            _ => {}
        }
    }

    fn silence(&self) -> Duration {
        self.now.saturating_duration_since(self.last_inbound)
    }

    /// Whether the peer's silence is watched in this phase; the other phases have a time-out of their own.
    pub(super) fn enquires(&self) -> bool {
        matches!(self.phase, Phase::Bound | Phase::Draining { .. })
    }

    /// Takes the steps that follow from an empty window.
    pub(super) fn advance(&mut self) {
        match self.phase {
            Phase::Draining { .. } if self.in_flight.is_empty() && self.unanswered.is_empty() => self.send_unbind(),
            Phase::Lingering { .. } if self.in_flight.is_empty() => self.close(Closed::UnboundByPeer),
            _ => {}
        }
    }

    fn send_unbind(&mut self) {
        self.withdraw_unwritten(&Unwritten::Unbind);
        let sequence = self.next_sequence();
        self.push_small(|out| encode::unbind(sequence, out));
        self.phase = Phase::Unbinding { sequence, until: self.now + self.config.unbind_timeout };
    }

    /// Everything of which no byte is written is taken back: it did not happen.
    pub(super) fn withdraw_unwritten(&mut self, why: &Unwritten) {
        self.outbox.withdraw_all();
        for sequence in self.in_flight.sequences(false) {
            self.settle(sequence, Settled::NotWritten(why.clone()));
        }
        self.unstall();
    }

    /// Nothing waits to be written, so nothing is stalled.
    pub(super) fn unstall(&mut self) {
        self.stalled_since = self.stalled_since.filter(|_| !self.outbox.is_empty());
    }

    /// The end: every request gets its outcome, and the last event is [`Event::Closed`].
    pub(super) fn close(&mut self, why: Closed) {
        if self.is_closed() {
            return;
        }
        let (unwritten, cause) = match why {
            Closed::UnboundByUs | Closed::UnboundByPeer => (Unwritten::Unbind, DoubtCause::Unbind),
            _ => (Unwritten::LinkLost, DoubtCause::LinkLost),
        };
        self.withdraw_unwritten(&unwritten);
        for sequence in self.in_flight.sequences(true) {
            self.settle(sequence, Settled::InDoubt(cause));
        }
        debug_assert!(self.in_flight.is_empty(), "every request has its outcome");
        self.unanswered.clear();
        self.phase = Phase::Closed;
        self.closed = Some(why.clone());
        self.events.push_back(Event::Closed(why));
    }
}
