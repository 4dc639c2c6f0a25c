//! A stretch of events on their way: what the receiver took, what it did not, and whose fault that is.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::following::Following;
use crate::{
    gateway::{Inner, events::Event, webhook::endpoint::Reply},
    process,
    store::{EventPlace, FailedDelivery},
};

/// What became of a stretch.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    /// Events that were taken.
    pub(super) taken: Vec<EventPlace>,
    /// Events that were not, through a fault of their own.
    pub(super) failed: Vec<FailedDelivery>,
    /// The last of them of which that much is known; those after it were not dealt with.
    pub(super) dealt_with: Option<EventPlace>,
    /// Why the stretch ended early.
    pub(super) trouble: Option<Trouble>,
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
}

impl Inner {
    /// Sends events, as many at once as the webhook may have under way, until all are dealt with or the receiver is in trouble.
    pub(super) async fn deliver_stretch(self: &Arc<Self>, following: &Arc<Following>, events: Vec<Event>) -> Stretch {
        let mut stretch = Stretch::default();
        for chunk in events.chunks(following.webhook.config.requests_max.max(1)) {
            let replies = self.deliver_at_once(following, chunk).await;
            stretch.trouble = trouble(&replies);
            if stretch.trouble.is_some() {
                break;
            }
            for (event, reply) in replies {
                match reply {
                    Reply::Taken => stretch.taken.push(event.cursor),
                    refused => stretch.failed.push(self.failed_first(following, &event, &refused)),
                }
                stretch.dealt_with = stretch.dealt_with.max(Some(event.cursor));
            }
        }
        stretch
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

    fn failed_first(&self, following: &Following, event: &Event, reply: &Reply) -> FailedDelivery {
        let now = self.now();
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
    }
}

/// What replies to events that were sent at once say of the receiver. Whoever takes one of them is up, and what it did not take is the
/// other events' fault; so it is if it looked at all of them and found something wrong with each.
fn trouble(replies: &[(Event, Reply)]) -> Option<Trouble> {
    if replies.iter().any(|(_, reply)| matches!(reply, Reply::Refused { status: 410, .. })) {
        return Some(Trouble::Gone);
    }
    let fault_of_receiver = |(_, reply): &&(Event, Reply)| !reply.blames_the_event();
    let (_, last) = replies.iter().rev().find(fault_of_receiver)?;
    if replies.iter().any(|(_, reply)| *reply == Reply::Taken) {
        return None;
    }
    let retry_after = replies.iter().filter_map(|(_, reply)| reply.retry_after()).max();
    Some(Trouble::Down { retry_after, events: replies.len(), why: last.why() })
}

impl Reply {
    /// Whether the receiver has read the event and does not like it: another event may be to its taste.
    fn blames_the_event(&self) -> bool {
        let of_receiver = |status| matches!(status, 401 | 403 | 404 | 405 | 407 | 408 | 410 | 421 | 425 | 429);
        matches!(self, Reply::Refused { status: status @ 400..500, .. } if !of_receiver(*status))
    }

    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Reply::Refused { retry_after, .. } => *retry_after,
            Reply::Taken | Reply::NotSent(_) | Reply::Lost(_) => None,
        }
    }
}
