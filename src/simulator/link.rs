//! One connection of the client, and the way to send something down it.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rusmpp::{CommandStatus, pdus::DeliverSm};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{config::SimulatorConfig, damage::Damage, links::BindMode, rate::Rate, wire};

/// What a link's writer is told.
#[derive(Debug)]
pub(super) enum Outgoing {
    Pdu(Bytes),
    /// Written one octet at a time.
    OctetByOctet(Bytes),
    /// What is queued from here on, and comes within this time, leaves in one write.
    Gather(Duration),
    /// Nothing is written any more, and the connection stays open.
    Silence,
    /// Close once everything before this is written.
    Close,
}

/// PDUs that wait for one link's writer. A client that does not read fills it, and is then not read either.
pub(super) const OUTGOING_MAX: usize = 1_024;

/// Which link, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LinkId(u64);

/// A message to the client, before it has a sequence number.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) message: DeliverSm,
    /// What is done to its octets.
    pub(super) damage: Vec<Damage>,
    /// A link that it should not take.
    pub(super) not_on: Option<LinkId>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// Which listener it came by.
    pub(super) listener: Option<usize>,
    pub(super) outgoing: mpsc::Sender<Outgoing>,
    /// Ends the session at once.
    pub(super) end: CancellationToken,
    /// Submissions a second on this link.
    pub(super) rate: Rate,
    /// `submit_sm` whose answer is still due.
    pub(super) submits_open: AtomicUsize,
    /// Whether that end is a reset.
    reset: AtomicBool,
    bound: OnceLock<Bound>,
    /// An `unbind` was sent or read.
    unbound: AtomicBool,
    /// Bound as receiver or transceiver, and told so.
    receives: AtomicBool,
    /// Answers that wait for the next one.
    held: Mutex<Vec<Outgoing>>,
    /// `deliver_sm` by sequence number, and who waits for the status of its response.
    unanswered: Mutex<BTreeMap<u32, oneshot::Sender<u32>>>,
    sequence: AtomicU32,
    first_sequence: u32,
    window: Semaphore,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    mode: BindMode,
    interface_version: u8,
}

/// What came of one `deliver_sm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u32),
    TimedOut,
    LinkLost,
}

/// The highest sequence number (SMPP 3.4, section 5.1.4).
const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

impl LinkId {
    /// The next one.
    pub(super) fn draw(counter: &AtomicU64) -> LinkId {
        LinkId(counter.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl Link {
    pub(super) fn new(
        id: LinkId,
        listener: Option<usize>,
        outgoing: mpsc::Sender<Outgoing>,
        end: CancellationToken,
        config: &SimulatorConfig,
    ) -> Link {
        Link {
            id,
            listener,
            outgoing,
            end,
            rate: Rate::new(config.bind_tps_max),
            submits_open: AtomicUsize::new(0),
            reset: AtomicBool::new(false),
            bound: OnceLock::new(),
            unbound: AtomicBool::new(false),
            receives: AtomicBool::new(false),
            held: Mutex::new(Vec::new()),
            unanswered: Mutex::new(BTreeMap::new()),
            sequence: AtomicU32::new(config.first_sequence - 1),
            first_sequence: config.first_sequence,
            window: Semaphore::new(config.redelivery.window),
        }
    }

    /// Queues a PDU. Waits while the queue is full; silently does nothing once the link is gone.
    pub(super) async fn send(&self, outgoing: Outgoing) {
        let _ = self.outgoing.send(outgoing).await;
    }

    /// Keeps an answer back until [`Link::held`] is asked for it.
    pub(super) fn hold(&self, answer: Vec<Outgoing>) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(answer);
    }

    /// Answers that were kept back.
    pub(super) fn held(&self) -> Vec<Outgoing> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next sequence number, 1 to 0x7FFFFFFF.
    pub(super) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed) % SEQUENCE_MAX + 1
    }

    /// Sends a `deliver_sm` and waits for its response, at most for `within`.
    pub(super) async fn deliver(&self, parcel: &Parcel, within: Duration) -> Answer {
        let Ok(_place) = self.window.acquire().await else { return Answer::LinkLost };
        let sequence = self.next_sequence();
        let (answered, answer) = oneshot::channel();
        self.unanswered().insert(sequence, answered);
        let octets = wire::pdu(CommandStatus::EsmeRok, sequence, parcel.message.clone());
        let octets = parcel.damage.iter().fold(octets, |octets, damage| damage.apply(&octets));
        if self.outgoing.send(Outgoing::Pdu(octets)).await.is_err() {
            self.unanswered().remove(&sequence);
            return Answer::LinkLost;
        }
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(status)) => Answer::Status(status),
            Ok(Err(_)) => Answer::LinkLost,
            Err(_) => {
                self.unanswered().remove(&sequence);
                Answer::TimedOut
            }
        }
    }

    /// Hands a response to whoever waits for it. False if nothing was ever sent under its sequence number.
    pub(super) fn answered(&self, sequence: u32, status: u32) -> bool {
        match self.unanswered().remove(&sequence) {
            Some(waiting) => {
                let _ = waiting.send(status);
                true
            }
            // One that came too late is late, not unexpected.
            None => self.was_used(sequence),
        }
    }

    pub(super) fn set_bound(&self, mode: BindMode, interface_version: u8) {
        // A second bind on one link is refused before this.
        let _ = self.bound.set(Bound { mode, interface_version });
    }

    pub(super) fn set_unbound(&self) {
        self.unbound.store(true, Ordering::SeqCst);
        self.set_receives(false);
    }

    /// Bound, and neither side has sent an `unbind`.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.get().is_some() && !self.unbound.load(Ordering::SeqCst)
    }

    pub(super) fn mode(&self) -> Option<BindMode> {
        self.bound.get().map(|bound| bound.mode)
    }

    /// What the client bound with; 0 before that.
    pub(super) fn interface_version(&self) -> u8 {
        self.bound.get().map_or(0, |bound| bound.interface_version)
    }

    pub(super) fn set_receives(&self, receives: bool) {
        self.receives.store(receives, Ordering::SeqCst);
    }

    pub(super) fn receives(&self) -> bool {
        self.receives.load(Ordering::SeqCst)
    }

    /// Ends the session with a reset.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        self.end.cancel();
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::SeqCst)
    }

    /// The session is over: whoever waits for a response learns it. The queue's receiver must be gone before.
    pub(super) fn close(&self) {
        self.end.cancel();
        self.window.close();
        self.unanswered().clear();
    }

    fn was_used(&self, sequence: u32) -> bool {
        let sent = self.sequence.load(Ordering::Relaxed).wrapping_sub(self.first_sequence - 1);
        let place = match sequence {
            0 => return false,
            _ if sequence >= self.first_sequence => sequence - self.first_sequence,
            _ => sequence + (SEQUENCE_MAX - self.first_sequence),
        };
        place < sent
    }

    fn unanswered(&self) -> MutexGuard<'_, BTreeMap<u32, oneshot::Sender<u32>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
