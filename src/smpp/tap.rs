//! Listening in on the PDUs of running binds, for `smpp trace`.
//!
//! A [`Tap`] that nobody listens to costs one atomic load per PDU. It never waits for a listener: one that is too slow
//! loses PDUs and is told how many.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    dissect::{Direction, Dissection, dissect},
    text::DefaultAlphabet,
};

/// Where the PDUs of some binds can be listened to. Clones are the same tap; all binds of a carrier share one.
#[derive(Clone, Debug, Default)]
pub struct Tap(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    listeners: AtomicUsize,
    /// Made for the first listener: most taps never have one.
    sender: OnceLock<broadcast::Sender<Tapped>>,
}

/// One PDU as it went over a bind.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// Which way it went.
    pub direction: Direction,
    /// The bind's name among its carrier's.
    pub bind: String,
    /// When it was handed to the socket, or cut out of what came.
    pub at: Instant,
    /// The whole PDU. It may hold a password, phone numbers and tickets: show what [`Tapped::dissect`] makes of it.
    pub pdu: Bytes,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A PDU.
    Pdu(Tapped),
    /// The listener was too slow; so many PDUs are lost to it.
    Lost(u64),
}

/// Too many listen already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{} listen already, no more may", Tap::LISTENERS_MAX)]
pub struct TooManyListeners;

/// Hears the PDUs of a tap from the moment it was made.
#[derive(Debug)]
pub struct Listener {
    receiver: broadcast::Receiver<Tapped>,
    tap: Weak<Shared>,
}

impl Tap {
    /// So many may listen at once.
    pub const LISTENERS_MAX: usize = 4;
    /// PDUs that are kept for a slow listener, each at most [`PDU_BYTES_MAX`](super::framing::PDU_BYTES_MAX).
    pub const PDUS_MAX: usize = 512;

    /// Listens from now on. Errors: too many do already.
    pub fn listen(&self) -> Result<Listener, TooManyListeners> {
        let more = |listeners: usize| (listeners < Tap::LISTENERS_MAX).then_some(listeners + 1);
        let counted = self.0.listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        counted.map_err(|_full| TooManyListeners)?;
        let receiver = self.0.sender.get_or_init(|| broadcast::Sender::new(Tap::PDUS_MAX)).subscribe();
        Ok(Listener { receiver, tap: Arc::downgrade(&self.0) })
    }

    /// Whether anybody listens. One atomic load.
    pub fn is_heard(&self) -> bool {
        self.0.listeners.load(Ordering::Relaxed) > 0
    }

    /// A PDU went over `bind`. Copied only if anybody listens.
    pub fn pdu(&self, direction: Direction, bind: &str, at: Instant, pdu: &[u8]) {
        if !self.is_heard() {
            return;
        }
        if let Some(sender) = self.0.sender.get() {
            let tapped = Tapped { direction, bind: bind.to_owned(), at, pdu: Bytes::copy_from_slice(pdu) };
            // The last listener may have gone since.
            let _unheard = sender.send(tapped);
        }
    }
}

/// The same tap, not one like it.
impl PartialEq for Tap {
    fn eq(&self, other: &Tap) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tap {}

impl Listener {
    /// The next PDU, or how many were lost. `None` once every clone of the tap is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.receiver.recv().await {
            Ok(tapped) => Some(Heard::Pdu(tapped)),
            Err(RecvError::Lagged(lost)) => Some(Heard::Lost(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(tap) = self.tap.upgrade() {
            tap.listeners.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Tapped {
    /// What it says, without password, whole numbers and our own texts. `default` is what `data_coding` 0 means there.
    pub fn dissect(&self, default: DefaultAlphabet) -> Dissection {
        dissect(self.direction, &self.pdu, default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::{
        Bind, Session, SessionConfig,
        pdu::command,
        wire::{accepted, resp},
    };

    fn tap_pdu(tap: &Tap, sequence: u32) {
        tap.pdu(Direction::Received, "trx", Instant::now(), &accepted(sequence, "A1"));
    }

    #[tokio::test]
    async fn a_listener_hears_what_comes_after_it_began_and_the_end() {
        let tap = Tap::default();
        tap_pdu(&tap, 1);
        let mut listener = tap.clone().listen().unwrap();
        tap_pdu(&tap, 2);
        let Some(Heard::Pdu(tapped)) = listener.next().await else { panic!("a PDU") };
        assert_eq!((tapped.bind.as_str(), tapped.direction), ("trx", Direction::Received));
        assert_eq!(tapped.pdu, accepted(2, "A1"));
        drop(tap);
        assert!(listener.next().await.is_none());
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_how_many_it_lost() {
        let tap = Tap::default();
        let mut listener = tap.listen().unwrap();
        for sequence in 0..u32::try_from(Tap::PDUS_MAX).unwrap() + 7 {
            tap_pdu(&tap, sequence);
        }
        assert!(matches!(listener.next().await, Some(Heard::Lost(7))));
        assert!(matches!(listener.next().await, Some(Heard::Pdu(tapped)) if tapped.pdu == accepted(7, "A1")));
    }

    #[tokio::test]
    async fn a_session_tells_each_pdu_once_when_it_begins_to_leave_and_when_it_has_come() {
        let (tap, now) = (Tap::default(), Instant::now());
        let mut listener = tap.listen().unwrap();
        let mut session = Session::new(SessionConfig::new("kcell", "trx", Bind::default()), now).unwrap();
        session.set_tap(tap.clone());
        let bind = session.outgoing().to_vec();
        session.written(3, now);
        session.written(session.outgoing().len(), now);
        let response = resp(command::BIND_TRANSCEIVER, 0, 1, b"smsc\0");
        assert_eq!(session.receive(&response, now), response.len());
        drop((session, tap));
        let mut heard = Vec::new();
        while let Some(Heard::Pdu(Tapped { direction, bind, pdu, .. })) = listener.next().await {
            assert_eq!(bind, "trx");
            heard.push((direction, pdu.to_vec()));
        }
        assert_eq!(heard, [(Direction::Sent, bind), (Direction::Received, response)]);
    }

    #[test]
    fn listeners_are_bounded_and_one_that_goes_makes_room() {
        let tap = Tap::default();
        assert!(!tap.is_heard());
        let mut listeners: Vec<Listener> = (0..Tap::LISTENERS_MAX).map(|_| tap.listen().unwrap()).collect();
        assert_eq!(tap.listen().unwrap_err(), TooManyListeners);
        listeners.pop();
        assert!(tap.listen().is_ok());
        listeners.clear();
        assert!(!tap.is_heard());
    }
}
