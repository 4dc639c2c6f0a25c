//! A stretch of events on their way: what the receiver took, what it did not, and whose fault that is.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::following::Following;
use crate::{
    gateway::{Inner, events::Event, webhook::endpoint::Reply},
    process,
    store::{EventPlace, FailedDelivery},
};

/// One event alone does not tell whether it or the receiver is to blame: so many are sent before anybody judges, one after the other where
/// no two may be under way.
const COMPARED_MIN: usize = 2;
/// A stretch that lasts longer ends with an entry: then it is made durable how far it came.
const LASTS_MAX: Duration = Duration::from_secs(5);

/// What became of a stretch.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    /// Events that were taken.
    pub(super) taken: Vec<EventPlace>,
    /// Events that were not, through a fault of their own.
    pub(super) failed: Vec<FailedDelivery>,
    /// The first event that was not dealt with.
    pub(super) left: Option<EventPlace>,
    /// Why the stretch ended early.
    pub(super) trouble: Option<Trouble>,
    /// What was sent in vain when the receiver was found to be down.
    in_vain: Vec<FailedDelivery>,
    /// The event after these.
    behind: Option<EventPlace>,
}

/// What is wrong with a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It answered 410: it wants nothing any more.
    Gone,
    /// It took nothing of what was sent at once.
    Down {
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
        /// How many events were sent at once.
        events: usize,
        /// What became of the last of them.
        why: String,
    },
    /// It took some, and asks us to wait for so long.
    Busy(Duration),
}

impl Stretch {
    /// Whether the receiver has read something, whatever it thinks of it.
    pub(super) const fn shows_it_is_up(&self) -> bool {
        !self.taken.is_empty() || !self.failed.is_empty()
    }

    /// The last entry that is dealt with whole, of those after `from` and up to `looked_at`.
    pub(super) fn reached(&self, from: u64, looked_at: u64) -> u64 {
        self.left.map_or(looked_at, |left| left.entry.saturating_sub(1).max(from))
    }

    /// The receiver is not down after all: what it was sent in vain is to blame, and the stretch has come past it.
    pub(super) fn blame_the_events(&mut self) {
        self.failed.append(&mut self.in_vain);
        self.left = self.behind.take();
        self.trouble = None;
    }
}

impl Inner {
    /// Sends events until all are dealt with, the receiver is in trouble, or it takes long. `again`: it was in trouble the last time.
    pub(super) async fn deliver_stretch(
        self: &Arc<Self>,
        following: &Arc<Following>,
        events: &[Event],
        again: bool,
    ) -> Stretch {
        let mut stretch = Stretch::default();
        let (begun, mut rest, mut last) = (Instant::now(), events, None);
        let compared = following.webhook.config.requests_max.max(COMPARED_MIN);
        while let Some(first) = rest.first() {
            // What is left of an entry is sent with the whole entry again; so a stretch ends between two.
            if begun.elapsed() >= LASTS_MAX && last.is_some_and(|last| last < first.cursor.entry) {
                break;
            }
            let replies = self.deliver_compared(following, &rest[..compared.min(rest.len())], again).await;
            let behind = rest.get(replies.len()..).unwrap_or_default();
            last = replies.last().map(|(event, _)| event.cursor.entry);
            stretch.trouble = trouble(&replies);
            match stretch.trouble {
                Some(Trouble::Gone) => {}
                Some(Trouble::Down { .. }) => {
                    stretch.in_vain = self.failed_first(following, &replies);
                    stretch.behind = behind.first().map(|event| event.cursor);
                }
                Some(Trouble::Busy(_)) | None => {
                    let taken = replies.iter().filter(|(_, reply)| *reply == Reply::Taken);
                    stretch.taken.extend(taken.map(|(event, _)| event.cursor));
                    stretch.failed.extend(self.failed_first(following, &replies));
                    rest = behind;
                }
            }
            if stretch.trouble.is_some() {
                break;
            }
        }
        stretch.left = rest.first().map(|event| event.cursor);
        stretch
    }

    /// Sends some events to judge by together, as many at once as the webhook may have under way. If those sent at once show that the receiver
    /// wants no more for now, the others are kept back: not if it said so the last time, for it may mean the first of them.
    async fn deliver_compared(
        self: &Arc<Self>,
        following: &Arc<Following>,
        events: &[Event],
        again: bool,
    ) -> Vec<(Event, Reply)> {
        let mut replies = Vec::new();
        for at_once in events.chunks(following.webhook.config.requests_max.max(1)) {
            replies.extend(self.deliver_at_once(following, at_once).await);
            let wants_no_more = |reply: &Reply| reply.is_gone() || !again && reply.asks_for_time().is_some();
            if replies.iter().any(|(_, reply)| wants_no_more(reply)) {
                break;
            }
        }
        replies
    }

    /// Sends some events side by side, and waits for all of them.
    pub(super) async fn deliver_at_once(
        self: &Arc<Self>,
        following: &Arc<Following>,
        events: &[Event],
    ) -> Vec<(Event, Reply)> {
        let mut requests = JoinSet::new();
        for event in events {
            let (inner, following, event) = (self.clone(), following.clone(), event.clone());
            requests.spawn(process::own(async move {
                let reply = following.webhook.post(&event, inner.now()).await;
                (event, reply)
            }));
        }
        let mut replies = requests.join_all().await;
        replies.sort_by_key(|(event, _)| event.cursor);
        replies
    }

    /// Those of them that were not taken, as deliveries that failed.
    fn failed_first(&self, following: &Following, replies: &[(Event, Reply)]) -> Vec<FailedDelivery> {
        let now = self.now();
        let not_taken = replies.iter().filter(|(_, reply)| *reply != Reply::Taken);
        let failed = not_taken.map(|(event, reply)| {
            let pause = following.webhook.config.pause(1, process::random_range(0.5..1.0));
            FailedDelivery {
                place: event.cursor,
                event_type: event.kind.code().to_owned(),
                reference: event.data.charge.reference,
                failed_at: now,
                tries: 1,
                due_at: Some(now.plus(reply.retry_after().map_or(pause, |wish| pause.max(wish)))),
                why: reply.why(),
            }
        });
        failed.collect()
    }
}

/// What replies to events that were sent at once say of the receiver. Whoever takes one of them is up, and what it did not take is the
/// other events' fault; so it is if it looked at all of them and found something wrong with each.
fn trouble(replies: &[(Event, Reply)]) -> Option<Trouble> {
    if replies.iter().any(|(_, reply)| reply.is_gone()) {
        return Some(Trouble::Gone);
    }
    let fault_of_receiver = |(_, reply): &&(Event, Reply)| *reply != Reply::Taken && !reply.blames_the_event();
    let (_, last) = replies.iter().rev().find(fault_of_receiver)?;
    if replies.iter().any(|(_, reply)| *reply == Reply::Taken) {
        return replies.iter().filter_map(|(_, reply)| reply.asks_for_time()).max().map(Trouble::Busy);
    }
    let retry_after = replies.iter().filter_map(|(_, reply)| reply.retry_after()).max();
    Some(Trouble::Down { retry_after, events: replies.len(), why: last.why() })
}

impl Reply {
    /// Whether the receiver has read the event and does not like it: another event may be to its taste.
    pub(super) fn blames_the_event(&self) -> bool {
        let of_receiver = |status| matches!(status, 401 | 403 | 404 | 405 | 407 | 408 | 410 | 421 | 425 | 429);
        matches!(self, Reply::Refused { status: status @ 400..500, .. } if !of_receiver(*status))
    }

    /// Whether the receiver wants nothing any more.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Reply::Refused { status: 410, .. })
    }

    /// How long the receiver wants to be left alone, whatever the event.
    pub(super) const fn asks_for_time(&self) -> Option<Duration> {
        match self {
            Reply::Refused { status: 429 | 503, retry_after } => *retry_after,
            _ => None,
        }
    }

    /// When this event may come again.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Reply::Refused { retry_after, .. } => *retry_after,
            Reply::Taken | Reply::NotSent(_) | Reply::Lost(_) => None,
        }
    }
}
