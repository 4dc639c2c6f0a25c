//! The connections of the client: what each is bound as, and which of them a message to the client takes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use super::{
    config::BindsMax,
    link::{Link, LinkId},
};

/// As what a connection is bound (SMPP 3.4, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindMode {
    /// Submits only.
    Transmitter,
    /// Receives only.
    Receiver,
    /// Both.
    Transceiver,
}

/// An open connection, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Its number since the start.
    pub id: u64,
    /// Which listener it came by, by its place in [`super::Simulator::listeners`]; none for one without a socket.
    pub listener: Option<usize>,
    /// As what it is bound, once it is.
    pub mode: Option<BindMode>,
    /// The `interface_version` that the client bound with; 0 before that.
    pub interface_version: u8,
    /// `submit_sm` whose answer is still due.
    pub submits_open: usize,
}

/// All open connections, and those that the SMSC wrongly believes in.
#[derive(Debug)]
pub(super) struct Links {
    open: Mutex<Vec<Arc<Link>>>,
    stale: Mutex<Vec<StaleBind>>,
    turn: AtomicUsize,
    changed: Notify,
}

/// A bind whose connection is gone, and how long it still counts.
#[derive(Clone, Copy, Debug)]
struct StaleBind {
    mode: BindMode,
    until: Instant,
}

impl BindMode {
    pub(super) fn transmits(self) -> bool {
        self != BindMode::Receiver
    }

    pub(super) fn receives(self) -> bool {
        self != BindMode::Transmitter
    }
}

impl BindsMax {
    /// How many of `mode`; with [`BindsMax::all`] that is what there may be.
    fn of(self, mode: BindMode) -> Option<usize> {
        match mode {
            BindMode::Transmitter => self.transmitter,
            BindMode::Receiver => self.receiver,
            BindMode::Transceiver => self.transceiver,
        }
    }
}

impl Links {
    pub(super) fn new() -> Links {
        Links {
            open: Mutex::new(Vec::new()),
            stale: Mutex::new(Vec::new()),
            turn: AtomicUsize::new(0),
            changed: Notify::new(),
        }
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

    /// Binds a link, if the limits and the binds that the SMSC still believes in allow it.
    pub(super) fn bind(&self, link: &Link, mode: BindMode, interface_version: u8, max: BindsMax) -> bool {
        // Both locks until the end: two binds at once must not both be the last one.
        let open = self.open();
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        stale.retain(|bind| bind.until > Instant::now());
        let live = open.iter().filter(|other| other.is_bound()).filter_map(|other| other.mode());
        let modes: Vec<BindMode> = live.chain(stale.iter().map(|bind| bind.mode)).collect();
        let same = modes.iter().filter(|other| **other == mode).count();
        let unlimited = max.all.is_none() && max.of(mode).is_none();
        let over = max.all.is_some_and(|max| modes.len() >= max) || max.of(mode).is_some_and(|max| same >= max);
        if over || (unlimited && !stale.is_empty()) {
            return false;
        }
        link.set_bound(mode, interface_version);
        true
    }

    /// A bound connection is gone, and the SMSC believes in it for `span` more.
    pub(super) fn believe_in(&self, mode: BindMode, span: Duration) {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        stale.retain(|bind| bind.until > Instant::now());
        if stale.len() < STALE_MAX {
            stale.push(StaleBind { mode, until: Instant::now() + span });
        }
    }

    /// A link takes `deliver_sm` from now on: whoever waits for one may look again.
    pub(super) fn receiving(&self) {
        self.changed.notify_waiters();
    }

    /// The next link that takes `deliver_sm`, in turn; not `avoided`, if there is another. Waits while there is none.
    pub(super) async fn next_receiver(&self, avoided: Option<LinkId>) -> Arc<Link> {
        loop {
            // Whoever waits is woken in the order of asking, so that a seed is one course of things.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(link) = self.pick_receiver(avoided).or_else(|| self.pick_receiver(None)) {
                return link;
            }
            changed.await;
        }
    }

    pub(super) fn reset_all(&self) {
        self.open().iter().for_each(|link| link.reset());
    }

    /// Resets the connections that came by one listener.
    pub(super) fn reset_of_listener(&self, listener: usize) {
        self.open().iter().filter(|link| link.listener == Some(listener)).for_each(|link| link.reset());
    }

    /// Resets one connection. False if there is none of that number.
    pub(super) fn reset_one(&self, id: u64) -> bool {
        let open = self.open();
        let found = open.iter().find(|link| link.id.number() == id);
        found.inspect(|link| link.reset()).is_some()
    }

    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    pub(super) fn reports(&self) -> Vec<LinkReport> {
        let report = |link: &Arc<Link>| LinkReport {
            id: link.id.number(),
            listener: link.listener,
            mode: link.mode(),
            interface_version: link.interface_version(),
            submits_open: link.submits_open.load(Ordering::SeqCst),
        };
        self.open().iter().map(report).collect()
    }

    fn pick_receiver(&self, avoided: Option<LinkId>) -> Option<Arc<Link>> {
        let open = self.open();
        let able = |link: &&Arc<Link>| link.receives() && !link.end.is_cancelled() && Some(link.id) != avoided;
        let count = open.iter().filter(able).count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        open.iter().filter(able).nth(turn).cloned()
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds believed in at a time.
const STALE_MAX: usize = 1_000;
