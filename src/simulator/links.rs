//! The connections of the client, and the way to send something down one of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rusmpp::{CommandStatus, pdus::DeliverSm};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::wire;

/// What a link's writer is told.
#[derive(Debug)]
pub(super) enum Outgoing {
    Pdu(Bytes),
    /// Written one octet at a time.
    OctetByOctet(Bytes),
    /// Close once everything before this is written.
    Close,
}

/// PDUs that wait for one link's writer. A client that does not read fills it, and is then not read either.
pub(super) const OUTGOING_MAX: usize = 1_024;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) outgoing: mpsc::Sender<Outgoing>,
    /// Ends the session at once.
    pub(super) end: CancellationToken,
    /// Whether that end is a reset.
    reset: AtomicBool,
    /// Bound as receiver or transceiver.
    receives: AtomicBool,
    /// `submit_sm` whose answer is still due.
    pub(super) submits_open: AtomicUsize,
    /// `deliver_sm` by sequence number, and who waits for the status of its response.
    unanswered: Mutex<HashMap<u32, oneshot::Sender<u32>>>,
    sequence: AtomicU32,
    window: Semaphore,
}

/// What came of one `deliver_sm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u32),
    TimedOut,
    LinkLost,
}

impl Link {
    pub(super) fn new(outgoing: mpsc::Sender<Outgoing>, end: CancellationToken, window: usize) -> Link {
        Link {
            outgoing,
            end,
            reset: AtomicBool::new(false),
            receives: AtomicBool::new(false),
            submits_open: AtomicUsize::new(0),
            unanswered: Mutex::new(HashMap::new()),
            sequence: AtomicU32::new(0),
            window: Semaphore::new(window),
        }
    }

    /// Queues a PDU. Waits while the queue is full; silently does nothing once the link is gone.
    pub(super) async fn send(&self, outgoing: Outgoing) {
        let _ = self.outgoing.send(outgoing).await;
    }

    /// The next sequence number, 1 to 0x7FFFFFFF.
    pub(super) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed) % 0x7FFF_FFFF + 1
    }

    /// Sends a `deliver_sm` and waits for its response, at most for `within`.
    pub(super) async fn deliver(&self, message: DeliverSm, within: Duration) -> Answer {
        let Ok(_place) = self.window.acquire().await else { return Answer::LinkLost };
        let sequence = self.next_sequence();
        let (answered, answer) = oneshot::channel();
        self.unanswered().insert(sequence, answered);
        let octets = wire::pdu(CommandStatus::EsmeRok, sequence, message);
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
            None => sequence != 0 && sequence <= self.sequence.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set_receives(&self, receives: bool) {
        self.receives.store(receives, Ordering::Relaxed);
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
    fn close(&self) {
        self.end.cancel();
        self.window.close();
        self.unanswered().clear();
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<u32>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Links {
    open: Mutex<Vec<Arc<Link>>>,
    turn: AtomicUsize,
    changed: watch::Sender<()>,
}

impl Links {
    pub(super) fn new() -> Links {
        Links { open: Mutex::new(Vec::new()), turn: AtomicUsize::new(0), changed: watch::Sender::new(()) }
    }

    /// Adds a connection, if there is room.
    pub(super) fn add(&self, link: Arc<Link>, connections_max: usize) -> bool {
        let mut open = self.open();
        let room = open.len() < connections_max;
        if room {
            open.push(link);
        }
        room
    }

    pub(super) fn remove(&self, link: &Arc<Link>) {
        self.open().retain(|other| !Arc::ptr_eq(other, link));
        link.close();
    }

    /// A link was bound: whoever waits for a receiver may look again.
    pub(super) fn bound(&self) {
        self.changed.send_replace(());
    }

    /// The next link that takes `deliver_sm`, in turn. Waits while there is none.
    pub(super) async fn next_receiver(&self) -> Arc<Link> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(link) = self.pick_receiver() {
                return link;
            }
            // The sender lives in `self`, so this cannot end while we wait.
            let _ = changed.changed().await;
        }
    }

    pub(super) fn reset_all(&self) {
        self.open().iter().for_each(|link| link.reset());
    }

    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    fn pick_receiver(&self) -> Option<Arc<Link>> {
        let open = self.open();
        let able = |link: &&Arc<Link>| link.receives.load(Ordering::Relaxed) && !link.end.is_cancelled();
        let count = open.iter().filter(able).count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        open.iter().filter(able).nth(turn).cloned()
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
