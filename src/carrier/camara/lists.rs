//! Who looks for a payment in a list, and who reads it. An outage leaves thousands of payments to look for, most of them from the same
//! minutes: a list that is read once tells what became of all of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::timeout};
use tracing::debug;

use super::{
    adapter::{CamaraCarrier, Inner, LIST},
    listing::{Listing, Looked, Wanted, Window},
    message::{ErrorInfo, Payment},
};
use crate::{
    carrier::{Urgency, transcript, web::Answer},
    charge::{Attempt, Charge, Finding},
    clock::Timestamp,
    process,
};

/// How long an attempt waits for its list to be read. It is longer than other questions wait: whoever comes after an outage waits for
/// those before.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lists that are read at once, of different times. They use the contract's rate as charges do.
const READERS_MAX: usize = 4;
/// The attempts that one list is read for were opened within so long: a list must come to its end while they wait.
const TOGETHER_WITHIN: Duration = Duration::from_secs(300);
/// Pages that a list goes without before it is given up, and the pause before each is asked for again.
const LOST_PAGES_MAX: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
/// Attempts that may wait for their list; one more is looked for when the schedule says so.
const WAITING_MAX: usize = 20_000;

/// Those who look for a payment.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    waiting: Vec<Looking>,
    readers: usize,
}

/// Somebody who looks for the payment of an attempt.
#[derive(Debug)]
struct Looking {
    wanted: Wanted,
    tell: oneshot::Sender<Told>,
}

/// What a list said of it.
#[derive(Debug)]
struct Told {
    looked: Looked,
    /// The last page that was read, and how many payments were on all of them.
    page: Bytes,
    payments: usize,
}

impl Lists {
    /// Puts somebody in the queue, and says whether a reader is to be started. Errors: too many wait.
    fn enter(&self, looking: Looking) -> Result<bool, TooManyLook> {
        let mut desk = self.lock();
        if desk.waiting.len() >= WAITING_MAX {
            desk.forget_those_who_gave_up();
            if desk.waiting.len() >= WAITING_MAX {
                return Err(TooManyLook);
            }
        }
        desk.waiting.push(looking);
        let starts = desk.readers < READERS_MAX;
        desk.readers += usize::from(starts);
        Ok(starts)
    }

    /// Those whom the next list is read for: who has waited longest, and those whose windows lie about and follow each other. `None` if
    /// nobody waits; then this reader is gone.
    fn next(&self) -> Option<Vec<Looking>> {
        let mut desk = self.lock();
        desk.forget_those_who_gave_up();
        let windows: Vec<_> = desk.waiting.iter().map(|looking| looking.wanted.window()).collect();
        let together = together(&windows);
        if together.is_empty() {
            desk.readers -= 1;
            return None;
        }
        let mut index = 0;
        let is_one = |_: &mut Looking| {
            index += 1;
            together.contains(&(index - 1))
        };
        Some(desk.waiting.extract_if(.., is_one).collect())
    }

    /// A reader has ended before its time.
    fn lose_reader(&self) {
        self.lock().readers -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which windows one list is read for: the first, and those that begin near it, where no time lies between that nobody looks at.
pub(super) fn together(windows: &[Window]) -> BTreeSet<usize> {
    let Some(first) = windows.first() else { return BTreeSet::new() };
    let half = TOGETHER_WITHIN / 2;
    let near = first.from.minus(half)..=first.from.plus(half);
    let mut order: Vec<usize> = (0..windows.len()).filter(|index| near.contains(&windows[*index].from)).collect();
    order.sort_by_key(|index| windows[*index].from);
    let mut run = BTreeSet::new();
    let mut until = Timestamp::MIN;
    for index in order {
        let window = &windows[index];
        if window.from > until {
            if run.contains(&0) {
                break;
            }
            run.clear();
        }
        run.insert(index);
        // One without an end leads nowhere.
        until = until.max(window.until.unwrap_or(window.from));
    }
    run
}

/// Too many wait for a list.
#[derive(Debug)]
struct TooManyLook;

impl Desk {
    fn forget_those_who_gave_up(&mut self) {
        self.waiting.retain(|looking| !looking.tell.is_closed());
    }
}

impl CamaraCarrier {
    /// Looks for the payment of an attempt in a list that is asked for from now on.
    pub(super) async fn look_for(&self, charge: &Charge, attempt: &Attempt) -> Finding {
        let (tell, told) = oneshot::channel();
        match self.0.lists.enter(Looking { wanted: Wanted::new(self.profile(), attempt), tell }) {
            Ok(true) => {
                let reader = Reader { carrier: Arc::downgrade(&self.0), is_over: false };
                process::spawn(reader.read());
            }
            Ok(false) => {}
            Err(TooManyLook) => return Finding::Nothing,
        }
        // Without an answer to a page nothing is told.
        let Ok(Ok(Told { looked, page, payments })) = timeout(PATIENCE, told).await else { return Finding::Nothing };
        match looked {
            Looked::Found(payment) => {
                transcript::note_element(LIST, &page, Some(&payment.payment_id));
                self.of_found(&payment, charge, attempt)
            }
            Looked::Lacking => {
                note_lacking(payments);
                Finding::NotFound { complete: true, asked_at: None }
            }
            Looked::Incomplete(why) => {
                note_lacking(payments);
                debug!(carrier = %self.name(), charge = %charge.reference, why, "a list that says nothing of what it lacks");
                Finding::NotFound { complete: false, asked_at: None }
            }
        }
    }

    /// Reads one list to the end of what is looked for in it. Who is not told by then hears nothing.
    async fn read_for(&self, together: Vec<Looking>) {
        let correlator = together.first().map(|looking| looking.wanted.wire_reference().to_owned()).unwrap_or_default();
        let (wanted, tell): (Vec<Wanted>, Vec<_>) =
            together.into_iter().map(|looking| (looking.wanted, Some(looking.tell))).unzip();
        let mut tell: Vec<Option<oneshot::Sender<Told>>> = tell;
        let mut listing = Listing::new(self.profile(), wanted);
        let (mut payments, mut lost) = (0, 0);
        while listing.is_open() && tell.iter().flatten().any(|tell| !tell.is_closed()) {
            let answer = self.get(LIST, listing.url(), &correlator, Urgency::Normal).await;
            let page = answer.as_ref().and_then(|answer| match serde_json::from_slice::<Vec<Payment>>(&answer.body) {
                Ok(page) if answer.status == 200 => Some(page),
                _ if listing.has_begun() && is_past_the_end(answer) => Some(Vec::new()),
                _ => None,
            });
            let (Some(answer), Some(page)) = (answer, page) else {
                if lost == LOST_PAGES_MAX {
                    return;
                }
                lost += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            payments += page.len();
            let total = answer.header("x-total-count").and_then(|text| text.trim().parse().ok());
            for (index, looked) in listing.take(page, total) {
                if let Some(tell) = tell[index].take() {
                    // Who waits no more asks again when the schedule says so.
                    let _gave_up = tell.send(Told { looked, page: answer.body.clone(), payments });
                }
            }
        }
    }
}

/// Somebody who reads lists. One that is dropped before it is over leaves its place to another.
struct Reader {
    carrier: Weak<Inner>,
    is_over: bool,
}

impl Reader {
    /// Reads list after list while somebody looks for something.
    async fn read(mut self) {
        while let Some(carrier) = self.carrier.upgrade().map(CamaraCarrier) {
            let Some(together) = carrier.0.lists.next() else {
                self.is_over = true;
                return;
            };
            carrier.read_for(together).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.upgrade()
            && !self.is_over
        {
            carrier.lists.lose_reader();
        }
    }
}

/// Whether the carrier says that there is no such page, in CAMARA's own words.
pub(super) fn is_past_the_end(answer: &Answer) -> bool {
    let code = ErrorInfo::read(&answer.body).map(|info| info.code);
    matches!((answer.status, code.as_deref()), (400, Some("OUT_OF_RANGE")) | (404, Some("NOT_FOUND")))
}

fn note_lacking(payments: usize) {
    transcript::note(|| format!("{LIST}: {payments}, ours not among them"));
}
