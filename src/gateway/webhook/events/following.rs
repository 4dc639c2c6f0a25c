//! A webhook, how far it has come, and what operations can ask of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fail::fail_point;
use metrics::counter;
use thiserror::Error;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tracing::{info, warn};

use super::{WebhookConfig, hold::Pace};
use crate::{
    carrier::web::WebClient,
    clock::Timestamp,
    gateway::{
        Gateway, Inner, WebhookKey,
        events::{Event, FutureCursor},
        webhook::endpoint::{Endpoint, Posting, Reply},
    },
    store::{
        EventPlace, FailedCounts, FailedDelivery, FailedFilter, GroupCommit, Replay, Store, StoreError,
        WebhookProgress, WebhookStanding, Write,
    },
};

/// Given-up deliveries that are kept for each webhook; of more, the oldest go. All of them can be replayed by their place.
pub(super) const GIVEN_UP_MAX: u32 = 1_000;
/// Failed deliveries that are listed of each kind.
const LISTED_MAX: u32 = 100;
/// The cursor moves on in memory alone for so many pages, as long as nothing in them was sent: after a crash they are looked at again.
const UNSENT_PAGES_MAX: u32 = 16;

/// `[webhooks.NAME]`, ready to be used.
#[derive(Debug)]
pub struct Webhook {
    pub(super) name: String,
    pub(super) config: WebhookConfig,
    endpoint: Endpoint,
}

/// A webhook that is followed.
#[derive(Debug)]
pub(in crate::gateway) struct Following {
    pub(super) webhook: Webhook,
    pub(super) standing: AsyncMutex<Known>,
    /// Until when the receiver is left alone.
    pub(super) held_until: Mutex<Option<Timestamp>>,
    /// Operations have changed something.
    pub(super) poked: Notify,
}

/// How far a webhook has come.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) standing: WebhookStanding,
    /// By how many pages the cursor is ahead of the one in the store.
    unsent_pages: u32,
    /// Another daemon may have gone on with it since.
    is_stale: bool,
}

/// What has changed with a webhook.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) failed: Vec<FailedDelivery>,
    pub(super) removed: Vec<EventPlace>,
    /// Whether anything was sent, so that it should not be sent again.
    pub(super) sent: bool,
}

/// How a webhook is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookCondition {
    /// It is sent what happens.
    Delivering,
    /// The receiver took nothing, and is left alone for a while.
    Waiting,
    /// Nothing is sent until operations say otherwise.
    Disabled,
}

/// All about a webhook, for operations.
#[derive(Clone, Debug)]
pub struct WebhookReport {
    /// Its name in the configuration.
    pub name: String,
    /// Where the receiver listens.
    pub url: String,
    /// How it is doing.
    pub condition: WebhookCondition,
    /// How far it has come.
    pub standing: WebhookStanding,
    /// When the receiver is asked again, if it is left alone.
    pub next_try_at: Option<Timestamp>,
    /// Entries of the journal that it has not come to.
    pub entries_behind: u64,
    /// When the first of them happened.
    pub behind_since: Option<Timestamp>,
    /// How many deliveries failed.
    pub counts: FailedCounts,
    /// Those that are tried again, the next first, up to a bound.
    pub waiting: Vec<FailedDelivery>,
    /// Those that were given up, up to a bound.
    pub given_up: Vec<FailedDelivery>,
}

/// What is to be sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayWish {
    /// The events after one place, up to and with another; up to where the webhook has come if left out.
    Range {
        /// After this.
        after: EventPlace,
        /// The last one.
        until: Option<EventPlace>,
    },
    /// The deliveries that were given up.
    GivenUp,
}

/// Why nothing is sent once more.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// No webhook of the configuration has this name.
    #[error("no webhook has this name")]
    Unknown,
    /// There is nothing between the two places.
    #[error("there is no event after {after} and up to {until}")]
    Empty {
        /// After this.
        after: EventPlace,
        /// Up to this.
        until: EventPlace,
    },
    /// A place that was not reached yet.
    #[error(transparent)]
    Future(#[from] FutureCursor),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Webhook {
    /// With the keys that sign, the newest first, and a client that trusts whom the configuration says. `None` without a sound URL.
    pub fn new(
        name: impl Into<String>,
        config: WebhookConfig,
        keys: Vec<WebhookKey>,
        client: WebClient,
    ) -> Option<Webhook> {
        let endpoint = Endpoint::new("webhook", config.address()?, keys, client, config.requests_max);
        Some(Webhook { name: name.into(), config, endpoint })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::gateway) fn take_means_of(&self, other: &Webhook) {
        self.endpoint.take_means_of(&other.endpoint);
    }

    /// Posts an event once.
    pub(super) async fn post(&self, event: &Event, at: Timestamp) -> Reply {
        let body = serde_json::to_vec(event).expect("text keys and finite numbers");
        let posting = Posting { id: event.id.to_string(), body: body.into() };
        let reply = self.endpoint.post(&posting, at, self.config.timeout()).await;
        counter!("webhook_deliveries_total", "webhook" => self.name.clone(), "outcome" => reply.code()).increment(1);
        reply
    }
}

impl Following {
    /// Takes up a webhook where it was left. One that is new is told what happens from now on.
    pub(in crate::gateway) async fn take_up(
        webhook: Webhook,
        store: &Store,
        writer: &GroupCommit,
    ) -> Result<Following, StoreError> {
        let standing = match store.webhook(&webhook.name).await? {
            Some(standing) => standing,
            None => {
                let standing = WebhookStanding { cursor: store.settled_end().await?, ..WebhookStanding::default() };
                write_progress(writer, &webhook.name, &standing, Changes::default()).await?;
                info!(webhook = webhook.name, cursor = standing.cursor, "a new webhook is told of events from now on");
                standing
            }
        };
        let known = Known { unsent_pages: 0, is_stale: false, standing };
        let (standing, held_until) = (AsyncMutex::new(known), Mutex::new(None));
        Ok(Following { webhook, standing, held_until, poked: Notify::new() })
    }

    /// Another daemon goes on with it.
    pub(super) async fn leave_to_others(&self) {
        self.standing.lock().await.is_stale = true;
    }

    /// Goes on where another daemon has left it.
    pub(super) async fn take_up_again(&self, store: &Store) -> Result<(), StoreError> {
        let mut known = self.standing.lock().await;
        if known.is_stale
            && let Some(standing) = store.webhook(&self.webhook.name).await?
        {
            *known = Known { unsent_pages: 0, is_stale: false, standing };
        }
        Ok(())
    }

    pub(in crate::gateway) const fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    pub(super) async fn known(&self) -> WebhookStanding {
        self.standing.lock().await.standing.clone()
    }

    /// Whether the receiver is neither left alone nor sent nothing any more.
    pub(super) async fn may_be_sent(&self, pace: &Pace) -> bool {
        pace.receiver.is_lifted() && self.known().await.disabled.is_none()
    }

    pub(super) fn hold_until(&self, until: Option<Timestamp>) {
        *self.held_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Inner {
    /// Makes durable what has changed with a webhook. `change` says what becomes of its standing.
    pub(super) async fn move_webhook(
        &self,
        following: &Following,
        change: impl FnOnce(&mut WebhookStanding),
        changes: Changes,
    ) -> Result<(), StoreError> {
        let mut known = following.standing.lock().await;
        let mut next = known.standing.clone();
        change(&mut next);
        let only_cursor = WebhookStanding { cursor: next.cursor, ..known.standing.clone() } == next;
        let moves = next.cursor != known.standing.cursor;
        if only_cursor && !changes.sent && !(moves && known.unsent_pages == UNSENT_PAGES_MAX) {
            known.unsent_pages += u32::from(moves);
            known.standing = next;
            return Ok(());
        }
        fail_point!("gateway-before-webhook-progress");
        write_progress(&self.writer, &following.webhook.name, &next, changes).await?;
        fail_point!("gateway-after-webhook-progress");
        *known = Known { unsent_pages: 0, is_stale: false, standing: next };
        Ok(())
    }

    async fn report(&self, following: &Following) -> Result<WebhookReport, StoreError> {
        let standing = following.known().await;
        let name = &following.webhook.name;
        let next_try_at = *following.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        let first_left = self.store.settled_journal(standing.cursor, 1).await?;
        Ok(WebhookReport {
            name: name.clone(),
            url: following.webhook.endpoint.url().to_string(),
            condition: match (standing.disabled, next_try_at) {
                (Some(_), _) => WebhookCondition::Disabled,
                (None, Some(_)) => WebhookCondition::Waiting,
                (None, None) => WebhookCondition::Delivering,
            },
            next_try_at,
            entries_behind: self.store.settled_after(standing.cursor).await?,
            behind_since: first_left.first().map(|settled| settled.entry.at),
            counts: self.store.failed_counts(name).await?,
            waiting: self.store.failed_deliveries(name, FailedFilter::Waiting, LISTED_MAX).await?,
            given_up: self.store.failed_deliveries(name, FailedFilter::GivenUp, LISTED_MAX).await?,
            standing,
        })
    }

    async fn send_once_more(&self, following: &Following, wish: ReplayWish) -> Result<(), ReplayError> {
        match wish {
            ReplayWish::Range { after, until } => self.replay_range(following, after, until).await?,
            ReplayWish::GivenUp => self.replay_given_up(following).await?,
        }
        following.poked.notify_one();
        Ok(())
    }

    async fn replay_range(
        &self,
        following: &Following,
        after: EventPlace,
        until: Option<EventPlace>,
    ) -> Result<(), ReplayError> {
        let standing = following.known().await;
        let end = EventPlace::all_of(standing.cursor);
        let until = until.unwrap_or(end);
        for cursor in [after, until] {
            if cursor.entry > end.entry {
                return Err(FutureCursor { cursor, end }.into());
            }
        }
        let replay = Replay { cursor: after.whole_entries(), until: until.entry };
        if replay.cursor >= replay.until {
            return Err(ReplayError::Empty { after, until });
        }
        let instead_of = standing.replay.map(|replay| replay.until);
        warn!(webhook = following.webhook.name, %after, %until, instead_of, "events are sent once more");
        let changes = Changes { sent: true, ..Changes::default() };
        Ok(self.move_webhook(following, |standing| standing.replay = Some(replay), changes).await?)
    }

    async fn replay_given_up(&self, following: &Following) -> Result<(), ReplayError> {
        let (name, now) = (&following.webhook.name, self.now());
        let mut failed = self.store.failed_deliveries(name, FailedFilter::GivenUp, GIVEN_UP_MAX).await?;
        for delivery in &mut failed {
            (delivery.due_at, delivery.failed_at, delivery.tries) = (Some(now), now, 0);
        }
        warn!(webhook = name, deliveries = failed.len(), "deliveries that were given up are tried again");
        let changes = Changes { failed, sent: true, ..Changes::default() };
        Ok(self.move_webhook(following, |_| {}, changes).await?)
    }
}

impl Gateway {
    /// How every webhook is doing, by name.
    pub async fn webhooks(&self) -> Result<Vec<WebhookReport>, StoreError> {
        let mut reports = Vec::new();
        for following in self.0.webhooks.values() {
            reports.push(self.0.report(following).await?);
        }
        Ok(reports)
    }

    /// How one webhook is doing; `None` if there is none of this name.
    pub async fn webhook(&self, name: &str) -> Result<Option<WebhookReport>, StoreError> {
        match self.0.webhooks.get(name) {
            Some(following) => self.0.report(following).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends events once more, under the ids that they have, instead of those of a replay that is under way. Durable on return.
    ///
    /// Errors: no such webhook, places that do not fit.
    pub async fn replay_webhook(&self, name: &str, wish: ReplayWish) -> Result<WebhookReport, ReplayError> {
        let following = self.0.webhooks.get(name).ok_or(ReplayError::Unknown)?;
        self.0.send_once_more(following, wish).await?;
        Ok(self.0.report(following).await?)
    }

    /// Goes on with a webhook that was disabled, or whose receiver is left alone. Durable on return. `None` if there is none of this
    /// name.
    pub async fn resume_webhook(&self, name: &str) -> Result<Option<WebhookReport>, StoreError> {
        let Some(following) = self.0.webhooks.get(name) else { return Ok(None) };
        let resume = |standing: &mut WebhookStanding| (standing.disabled, standing.failing_since) = (None, None);
        self.0.move_webhook(following, resume, Changes::default()).await?;
        following.hold_until(None);
        following.poked.notify_one();
        warn!(webhook = name, "events are delivered again");
        self.0.report(following).await.map(Some)
    }

    /// Signs with the keys of these from now on, and trusts whom they trust: those with the same names, and the way to the ticket
    /// service. What else differs takes effect with a restart.
    pub fn replace_webhook_keys(&self, mo_webhook: Option<&crate::gateway::MoWebhook>, webhooks: &[Webhook]) {
        if let (Some(running), Some(new)) = (&self.0.mo_webhook, mo_webhook) {
            running.take_means_of(new);
        }
        for new in webhooks {
            if let Some(following) = self.0.webhooks.get(new.name()) {
                following.webhook().take_means_of(new);
            }
        }
    }
}

async fn write_progress(
    writer: &GroupCommit,
    name: &str,
    standing: &WebhookStanding,
    changes: Changes,
) -> Result<(), StoreError> {
    let Changes { failed, removed, .. } = changes;
    let progress = WebhookProgress { name: name.to_owned(), standing: standing.clone(), failed, removed };
    writer.write(Write::MoveWebhook(Box::new(progress))).await.map(drop)
}

/// The webhooks of a gateway, by name.
pub(in crate::gateway) type Followings = std::collections::BTreeMap<String, Arc<Following>>;

/// Between two looks at the journal when nobody tells of news.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
