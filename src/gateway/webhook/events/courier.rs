//! The task that follows the journal for one webhook.

use std::{sync::Arc, time::Duration};

use metrics::{counter, gauge};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{
    following::{Changes, Following, GIVEN_UP_MAX, LOOK_EVERY},
    stretch::{Stretch, Trouble},
};
use crate::{
    gateway::{
        Inner,
        events::{Event, EventPage, events_of},
        webhook::endpoint::Reply,
    },
    process,
    store::{EventPlace, FailedDelivery, FailedFilter, Replay, StoreError, WebhookEnd, WebhookStanding},
};

/// Entries of the journal that are looked at in one round.
const ENTRIES_MAX: u32 = 64;
/// Between two looks whether there is another event beside the one that the receiver does not take.
const LOOK_FOR_ANOTHER: Duration = Duration::from_secs(1);
/// After a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// After a mistake of ours.
const PANIC_PAUSE: Duration = Duration::from_secs(5);

/// When to go on.
enum Next {
    AtOnce,
    After(Duration),
}

/// For how long a receiver is left alone that took nothing.
#[derive(Debug, Default)]
struct Hold {
    rounds: u32,
    until: Option<Instant>,
    /// It was found out with one event, which may be to blame: with another beside it one would know.
    by_one_event: bool,
}

impl Inner {
    /// Runs until the gateway stops.
    pub(in crate::gateway) async fn follow_events(self: Arc<Self>, following: Arc<Following>) {
        loop {
            let (inner, followed) = (self.clone(), following.clone());
            // A task of its own: a defect that panics in it must not end the webhook.
            match process::spawn(async move { inner.carry_events(followed).await }).await {
                Ok(()) => return,
                Err(panic) => error!(webhook = following.webhook.name, %panic, "a webhook broke off; it goes on soon"),
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = sleep(PANIC_PAUSE) => {}
            }
        }
    }

    async fn carry_events(self: Arc<Self>, following: Arc<Following>) {
        let mut news = self.writer.journal_news();
        let mut hold = Hold::default();
        loop {
            news.mark_unchanged();
            let round = tokio::select! {
                biased;
                // What is under way comes again under the same id.
                () = self.stopping.cancelled() => return,
                round = self.round(&following, &mut hold) => round,
            };
            let pause = match round {
                Ok(Next::AtOnce) => continue,
                Ok(Next::After(pause)) => pause,
                Err(error) => {
                    warn!(webhook = following.webhook.name, %error, "a webhook cannot go on yet");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = following.poked.notified() => hold = Hold::default(),
                Ok(()) = news.changed(), if hold.until.is_none() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// What failed and is due, then what is new, then what is wanted once more: a little of each.
    async fn round(self: &Arc<Self>, following: &Arc<Following>, hold: &mut Hold) -> Result<Next, StoreError> {
        let standing = following.known().await;
        if standing.disabled.is_some() {
            self.measure_webhook(following, &standing).await?;
            return Ok(Next::After(LOOK_EVERY));
        }
        if let Some(left) = hold.left()
            && !(hold.by_one_event && self.is_another_wanted(following, standing.cursor).await?)
        {
            self.measure_webhook(following, &standing).await?;
            return Ok(Next::After(left.min(if hold.by_one_event { LOOK_FOR_ANOTHER } else { LOOK_EVERY })));
        }
        hold.until = None;
        let retried = self.retry_failed(following).await?;
        let counts = self.store.failed_counts(&following.webhook.name).await?;
        let is_full = counts.waiting >= u64::from(following.webhook.config.failures_max);
        let went_on = !is_full && self.go_on(following, hold, standing.cursor).await?;
        let replayed = match standing.replay {
            Some(replay) if !is_full && hold.until.is_none() => self.replay_some(following, hold, replay).await?,
            _ => false,
        };
        if (retried || went_on || replayed) && hold.until.is_none() {
            return Ok(Next::AtOnce);
        }
        let standing = following.known().await;
        self.measure_webhook(following, &standing).await?;
        let due = self.store.failed_deliveries(&following.webhook.name, FailedFilter::Waiting, 1).await?;
        let due = due.first().and_then(|failed| failed.due_at).map(|due| due.since(self.now()));
        let wait = [hold.left(), due.filter(|_| hold.until.is_none())].into_iter().flatten().min();
        // Not at once: what is due may be so by a clock that differs from that of the timers.
        Ok(Next::After(wait.unwrap_or(LOOK_EVERY).clamp(Duration::from_millis(1), LOOK_EVERY)))
    }

    /// Whether more than one event waits behind the cursor: if the receiver takes the other, the first is to blame.
    async fn is_another_wanted(&self, following: &Following, cursor: u64) -> Result<bool, StoreError> {
        let page = EventPage::whole_entries(&self.store, cursor, &following.webhook.config.types, ENTRIES_MAX).await?;
        Ok(page.events.len() > 1)
    }

    /// Goes on with the journal behind the cursor. Whether there may be more.
    async fn go_on(
        self: &Arc<Self>,
        following: &Arc<Following>,
        hold: &mut Hold,
        cursor: u64,
    ) -> Result<bool, StoreError> {
        let config = &following.webhook.config;
        let page = EventPage::whole_entries(&self.store, cursor, &config.types, ENTRIES_MAX).await?;
        let sent = !page.events.is_empty();
        let stretch = self.deliver_stretch(following, page.events).await;
        let reached = reached(&stretch, cursor, page.cursor.entry);
        let now = self.now();
        let disabled = self.judge(following, hold, &stretch).await;
        let (took, down) = (!stretch.taken.is_empty(), stretch.trouble.is_some());
        let change = |standing: &mut WebhookStanding| {
            standing.cursor = reached;
            standing.disabled = disabled.map(|why| (why, now));
            standing.failing_since = match (took, down) {
                (_, true) => standing.failing_since.filter(|_| !took).or(Some(now)),
                (true, false) => None,
                (false, false) => standing.failing_since,
            };
        };
        let changes = Changes { failed: stretch.failed, removed: Vec::new(), sent: sent && (took || reached > cursor) };
        self.move_webhook(following, change, changes).await?;
        Ok(!down && reached > cursor && !page.is_last)
    }

    /// Sends once more what operations asked for. Whether there may be more.
    async fn replay_some(
        self: &Arc<Self>,
        following: &Arc<Following>,
        hold: &mut Hold,
        replay: Replay,
    ) -> Result<bool, StoreError> {
        let config = &following.webhook.config;
        let mut page = EventPage::whole_entries(&self.store, replay.cursor, &config.types, ENTRIES_MAX).await?;
        page.events.retain(|event| event.cursor.entry <= replay.until);
        let stretch = self.deliver_stretch(following, page.events).await;
        let reached = reached(&stretch, replay.cursor, page.cursor.entry);
        let (now, disabled) = (self.now(), self.judge(following, hold, &stretch).await);
        let is_done = reached >= replay.until || stretch.trouble.is_none() && page.is_last;
        if is_done {
            info!(webhook = following.webhook.name, until = replay.until, "the events were sent once more");
        }
        let change = |standing: &mut WebhookStanding| {
            standing.replay = (!is_done).then_some(Replay { cursor: reached, until: replay.until });
            standing.disabled = disabled.map(|why| (why, now));
        };
        let changes = Changes { failed: stretch.failed, removed: Vec::new(), sent: true };
        self.move_webhook(following, change, changes).await?;
        Ok(stretch.trouble.is_none() && !is_done)
    }

    /// What the receiver's answers mean for what follows: whether it is left alone for a while, or for good.
    async fn judge(&self, following: &Following, hold: &mut Hold, stretch: &Stretch) -> Option<WebhookEnd> {
        let webhook = &following.webhook;
        if !stretch.taken.is_empty() {
            *hold = Hold::default();
        }
        let end = match &stretch.trouble {
            None => None,
            Some(Trouble::Gone) => Some(WebhookEnd::Gone),
            Some(Trouble::Down { retry_after, events, why }) => {
                let pause = hold
                    .set(*retry_after, *events, |rounds| webhook.config.pause(rounds, process::random_range(0.5..1.0)));
                warn!(
                    webhook = webhook.name,
                    why,
                    pause_seconds = pause.as_secs(),
                    "a webhook's receiver takes nothing"
                );
                let since = following.known().await.failing_since.filter(|_| stretch.taken.is_empty());
                let for_too_long = since.is_some_and(|since| self.now() >= since.plus(webhook.config.give_up()));
                for_too_long.then_some(WebhookEnd::GaveUp)
            }
        };
        if let Some(end) = end {
            error!(
                webhook = webhook.name,
                why = end.code(),
                "a webhook is disabled: nothing is sent until operations resume it"
            );
            *hold = Hold::default();
        }
        following.hold_until(hold.left().map(|left| self.now().plus(left)));
        end
    }

    /// Tries once more what failed and is due. Whether there may be more.
    async fn retry_failed(self: &Arc<Self>, following: &Arc<Following>) -> Result<bool, StoreError> {
        let webhook = &following.webhook;
        let at_once = u32::try_from(webhook.config.requests_max).unwrap_or(u32::MAX);
        let due = self.store.failed_deliveries(&webhook.name, FailedFilter::Due(self.now()), at_once).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let mut events = Vec::new();
        for failed in &due {
            events.extend(self.event_at(failed.place).await?);
        }
        let replies = self.deliver_at_once(following, &events).await;
        let mut changes = Changes { sent: true, ..Changes::default() };
        for failed in due {
            match replies.iter().find(|(event, _)| event.cursor == failed.place) {
                Some((_, Reply::Taken)) => changes.removed.push(failed.place),
                Some((_, reply)) => changes.failed.push(self.failed_again(following, failed, reply)),
                // The journal never loses an entry; what it does not tell cannot be sent.
                None => changes.removed.push(failed.place),
            }
        }
        self.forget_given_up(following, &mut changes).await?;
        let took = replies.iter().any(|(_, reply)| *reply == Reply::Taken);
        let change = |standing: &mut WebhookStanding| standing.failing_since = standing.failing_since.filter(|_| !took);
        self.move_webhook(following, change, changes).await?;
        Ok(took)
    }

    /// The event at this place, as it was sent before.
    async fn event_at(&self, place: EventPlace) -> Result<Option<Event>, StoreError> {
        let settled = self.store.settled_journal(place.entry.saturating_sub(1), 1).await?;
        let event = |settled| events_of(settled).into_iter().find(|event| event.cursor == place);
        Ok(settled.first().and_then(event))
    }

    fn failed_again(&self, following: &Following, failed: FailedDelivery, reply: &Reply) -> FailedDelivery {
        let (webhook, now) = (&following.webhook, self.now());
        let tries = failed.tries.saturating_add(1);
        let is_over = now >= failed.failed_at.plus(webhook.config.give_up());
        if is_over {
            counter!("webhook_given_up_total", "webhook" => webhook.name.clone()).increment(1);
            let (event, why) = (failed.place, reply.why());
            error!(webhook = webhook.name, %event, kind = failed.event_type, charge = %failed.reference, why, "a delivery is given up");
        }
        let pause = webhook.config.pause(tries, process::random_range(0.5..1.0));
        let pause = reply.retry_after().map_or(pause, |wish| pause.max(wish));
        FailedDelivery { tries, due_at: (!is_over).then(|| now.plus(pause)), why: reply.why(), ..failed }
    }

    /// Room for those that are being given up: of too many, the oldest go.
    async fn forget_given_up(&self, following: &Following, changes: &mut Changes) -> Result<(), StoreError> {
        let given_up = changes.failed.iter().filter(|failed| failed.due_at.is_none()).count();
        if given_up == 0 {
            return Ok(());
        }
        let name = &following.webhook.name;
        let kept = self.store.failed_deliveries(name, FailedFilter::GivenUp, GIVEN_UP_MAX).await?;
        let over = (kept.len() + given_up).saturating_sub(usize::try_from(GIVEN_UP_MAX).unwrap_or(usize::MAX));
        changes.removed.extend(kept.iter().take(over).map(|failed| failed.place));
        Ok(())
    }

    async fn measure_webhook(&self, following: &Following, standing: &WebhookStanding) -> Result<(), StoreError> {
        let name = || following.webhook.name.clone();
        let counts = self.store.failed_counts(&following.webhook.name).await?;
        let behind = self.store.settled_end().await?.saturating_sub(standing.cursor);
        let first_left = if behind > 0 { self.store.settled_journal(standing.cursor, 1).await? } else { Vec::new() };
        let since = first_left.first().map_or(Duration::ZERO, |settled| self.now().since(settled.entry.at));
        gauge!("webhook_lag_entries", "webhook" => name()).set(float(behind));
        gauge!("webhook_lag_seconds", "webhook" => name()).set(since.as_secs_f64());
        gauge!("webhook_failed", "webhook" => name(), "state" => "waiting").set(float(counts.waiting));
        gauge!("webhook_failed", "webhook" => name(), "state" => "given_up").set(float(counts.given_up));
        gauge!("webhook_disabled", "webhook" => name()).set(float(standing.disabled.is_some().into()));
        Ok(())
    }
}

impl Hold {
    /// How long it still lasts.
    fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Begins once more, longer than before. For how long.
    fn set(&mut self, wish: Option<Duration>, events: usize, pause: impl FnOnce(u32) -> Duration) -> Duration {
        self.rounds = self.rounds.saturating_add(1);
        let pause = pause(self.rounds);
        let pause = wish.map_or(pause, |wish| pause.max(wish));
        self.until = Some(Instant::now() + pause);
        self.by_one_event = events == 1 && wish.is_none();
        pause
    }
}

/// The last entry that is dealt with whole: all that was looked at, or up to where the receiver took nothing any more.
fn reached(stretch: &Stretch, from: u64, looked_at: u64) -> u64 {
    match (&stretch.trouble, stretch.dealt_with) {
        (None, _) => looked_at,
        // Of its last entry another event may be left.
        (Some(_), Some(place)) => place.entry.saturating_sub(1).max(from),
        (Some(_), None) => from,
    }
}

/// Gauges are floats; counts are far below where those lose digits.
fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
