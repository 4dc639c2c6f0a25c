//! The task that follows the journal for one webhook.

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{
    following::{Changes, Following, LOOK_EVERY},
    hold::{Hold, Pace},
    stretch::{Stretch, Trouble},
};
use crate::{
    gateway::{Inner, events::EventPage, instances},
    process,
    store::{FailedFilter, Replay, StoreError, WebhookEnd, WebhookStanding},
};

/// Entries of the journal that are looked at in one round.
const ENTRIES_MAX: u32 = 64;
/// Between two looks whether there is another event beside the one that the receiver does not take.
const LOOK_FOR_ANOTHER: Duration = Duration::from_secs(1);
/// Between two looks whether the webhook is ours, where several daemons divide them.
const LOOK_WHETHER_OURS: Duration = Duration::from_millis(500);
/// After a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// After a mistake of ours.
const PANIC_PAUSE: Duration = Duration::from_secs(5);

/// When to go on.
enum Next {
    AtOnce,
    After(Duration),
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
        let mut pace = Pace::default();
        let unit = instances::webhook(&following.webhook.name);
        loop {
            if !self.is_ours(&unit) {
                following.leave_to_others().await;
                tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => return,
                    () = sleep(LOOK_WHETHER_OURS) => continue,
                }
            }
            news.mark_unchanged();
            let round = tokio::select! {
                biased;
                // What is under way comes again under the same id.
                () = self.stopping.cancelled() => return,
                round = self.measured_round(&following, &mut pace) => round,
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
                () = following.poked.notified() => pace = Pace::default(),
                Ok(()) = news.changed(), if pace.receiver.is_lifted() => {}
                // Nobody tells of what other daemons commit.
                () = sleep(if self.has_company() { pause.min(LOOK_FOR_ANOTHER) } else { pause }) => {}
            }
        }
    }

    async fn measured_round(self: &Arc<Self>, following: &Arc<Following>, pace: &mut Pace) -> Result<Next, StoreError> {
        following.take_up_again(&self.store).await?;
        let next = self.round(following, pace).await?;
        if pace.is_to_be_measured(matches!(next, Next::After(_))) {
            self.measure_webhook(following).await?;
        }
        Ok(next)
    }

    /// What failed and is due, then what is new, then what is wanted once more: a little of each.
    async fn round(self: &Arc<Self>, following: &Arc<Following>, pace: &mut Pace) -> Result<Next, StoreError> {
        let standing = following.known().await;
        if standing.disabled.is_some() {
            return Ok(Next::After(LOOK_EVERY));
        }
        let by_one_event = pace.receiver.is_by_one_event();
        if let Some(left) = pace.receiver.left()
            && !(by_one_event && self.is_another_wanted(following, standing.cursor).await?)
        {
            return Ok(Next::After(left.min(look_again(pace))));
        }
        let new_goes_first = pace.receiver.lift();
        let retried = !new_goes_first && self.retry_failed(following, pace).await?;
        let counts = self.store.failed_counts(&following.webhook.name).await?;
        let is_full = counts.waiting >= u64::from(following.webhook.config.failures_max);
        let went_on = !is_full && following.may_be_sent(pace).await && self.go_on(following, pace).await?;
        let replay = following.known().await.replay.filter(|_| !is_full);
        let replayed = match replay.filter(|_| pace.replay.left().is_none()) {
            Some(replay) if following.may_be_sent(pace).await => self.replay_some(following, pace, replay).await?,
            _ => false,
        };
        if (retried || went_on || replayed) && following.may_be_sent(pace).await {
            return Ok(Next::AtOnce);
        }
        let due = self.store.failed_deliveries(&following.webhook.name, FailedFilter::Waiting, 1).await?;
        let due = due.first().and_then(|failed| failed.due_at).map(|due| due.since(self.now()));
        let replay_due = replay.and_then(|_| pace.replay.left());
        let wait = match pace.receiver.is_lifted() {
            true => [due, replay_due].into_iter().flatten().min(),
            false => Some(pace.receiver.left().unwrap_or_default()),
        };
        // Not at once: what is due may be so by a clock that differs from that of the timers.
        Ok(Next::After(wait.unwrap_or(LOOK_EVERY).clamp(Duration::from_millis(1), look_again(pace))))
    }

    /// Whether more than one event waits behind the cursor: if the receiver takes the other, the first is to blame.
    async fn is_another_wanted(&self, following: &Following, cursor: u64) -> Result<bool, StoreError> {
        let page = EventPage::whole_entries(&self.store, cursor, &following.webhook.config.types, ENTRIES_MAX).await?;
        Ok(page.events.len() > 1)
    }

    /// Goes on with the journal behind the cursor. Whether there may be more.
    async fn go_on(self: &Arc<Self>, following: &Arc<Following>, pace: &mut Pace) -> Result<bool, StoreError> {
        let (config, cursor) = (&following.webhook.config, following.known().await.cursor);
        let page = EventPage::whole_entries(&self.store, cursor, &config.types, ENTRIES_MAX).await?;
        let stretch = self.deliver_stretch(following, &page.events, pace.receiver.is_repeated()).await;
        let reached = stretch.reached(cursor, page.cursor.entry);
        let now = self.now();
        let disabled = self.judge(following, pace, &stretch).await;
        let is_up = stretch.shows_it_is_up();
        let is_down = matches!(stretch.trouble, Some(Trouble::Gone | Trouble::Down { .. }));
        let has_more = stretch.trouble.is_none() && reached > cursor && (stretch.left.is_some() || !page.is_last);
        let change = |standing: &mut WebhookStanding| {
            standing.cursor = reached;
            standing.disabled = disabled.map(|why| (why, now));
            standing.failing_since = match (is_up, is_down) {
                (_, true) => standing.failing_since.filter(|_| !is_up).or(Some(now)),
                (true, false) => None,
                (false, false) => standing.failing_since,
            };
        };
        let sent = is_up || !page.events.is_empty() && reached > cursor;
        let changes = Changes { failed: stretch.failed, removed: Vec::new(), sent };
        self.move_webhook(following, change, changes).await?;
        Ok(has_more)
    }

    /// Sends once more what operations asked for. Whether there may be more.
    async fn replay_some(
        self: &Arc<Self>,
        following: &Arc<Following>,
        pace: &mut Pace,
        replay: Replay,
    ) -> Result<bool, StoreError> {
        let config = &following.webhook.config;
        let mut page = EventPage::whole_entries(&self.store, replay.cursor, &config.types, ENTRIES_MAX).await?;
        page.events.retain(|event| event.cursor.entry <= replay.until);
        let mut stretch = self.deliver_stretch(following, &page.events, pace.replay.is_repeated()).await;
        let (now, disabled) = (self.now(), self.judge_replay(following, pace, &mut stretch).await);
        let reached = stretch.reached(replay.cursor, page.cursor.entry);
        let is_done = reached >= replay.until || stretch.left.is_none() && page.is_last;
        let (is_up, has_more) = (stretch.shows_it_is_up(), stretch.trouble.is_none() && !is_done);
        if is_done {
            info!(webhook = following.webhook.name, until = replay.until, "the events were sent once more");
        }
        let change = |standing: &mut WebhookStanding| {
            // Another may have taken its place.
            if standing.replay == Some(replay) {
                standing.replay = (!is_done).then_some(Replay { cursor: reached, until: replay.until });
            }
            standing.disabled = disabled.map(|why| (why, now));
            standing.failing_since = standing.failing_since.filter(|_| !is_up);
        };
        let changes = Changes { failed: stretch.failed, removed: Vec::new(), sent: true };
        self.move_webhook(following, change, changes).await?;
        Ok(has_more)
    }

    /// What the receiver's answers mean for what follows: whether it is left alone for a while, or for good.
    async fn judge(&self, following: &Following, pace: &mut Pace, stretch: &Stretch) -> Option<WebhookEnd> {
        let webhook = &following.webhook;
        if stretch.shows_it_is_up() {
            pace.is_up();
        }
        let end = match &stretch.trouble {
            None => None,
            Some(Trouble::Gone) => Some(WebhookEnd::Gone),
            Some(Trouble::Busy(wish)) => {
                pace.receiver.grant(*wish);
                None
            }
            Some(Trouble::Down { retry_after, events, why }) => {
                let drawn = process::random_range(0.5..1.0);
                let pause = pace.receiver.set(*retry_after, *events, |rounds| webhook.config.pause(rounds, drawn));
                let pause_seconds = pause.as_secs();
                warn!(webhook = webhook.name, why, pause_seconds, "a webhook's receiver takes nothing");
                let since = following.known().await.failing_since.filter(|_| !stretch.shows_it_is_up());
                let for_too_long = since.is_some_and(|since| self.now() >= since.plus(webhook.config.give_up()));
                for_too_long.then_some(WebhookEnd::GaveUp)
            }
        };
        self.end_or_hold(following, pace, end);
        end
    }

    /// The same for events that are sent once more. Only what the receiver asks for holds up anything else: these events may be to blame.
    async fn judge_replay(&self, following: &Following, pace: &mut Pace, stretch: &mut Stretch) -> Option<WebhookEnd> {
        let webhook = &following.webhook;
        if stretch.shows_it_is_up() {
            pace.replay = Hold::default();
        }
        let (mut end, mut to_blame) = (None, false);
        match &stretch.trouble {
            None => {}
            Some(Trouble::Gone) => end = Some(WebhookEnd::Gone),
            Some(Trouble::Busy(wish)) => pace.receiver.grant(*wish),
            Some(Trouble::Down { retry_after, why, .. }) => {
                let drawn = process::random_range(0.5..1.0);
                to_blame = pace.hold_replay(retry_after.is_some(), |rounds| webhook.config.pause(rounds, drawn));
                warn!(
                    webhook = webhook.name,
                    why, to_blame, "a webhook's receiver takes nothing that is sent once more"
                );
                if let Some(wish) = retry_after {
                    pace.receiver.grant(*wish);
                }
            }
        }
        if to_blame {
            stretch.blame_the_events();
        }
        self.end_or_hold(following, pace, end);
        end
    }

    /// Says so where a webhook ends, and shows until when its receiver is left alone.
    pub(super) fn end_or_hold(&self, following: &Following, pace: &mut Pace, end: Option<WebhookEnd>) {
        if let Some(end) = end {
            error!(
                webhook = following.webhook.name,
                why = end.code(),
                "a webhook is disabled: nothing is sent until operations resume it"
            );
            *pace = Pace::default();
        }
        following.hold_until(pace.receiver.left().map(|left| self.now().plus(left)));
    }

    async fn measure_webhook(&self, following: &Following) -> Result<(), StoreError> {
        let name = || following.webhook.name.clone();
        let standing = following.known().await;
        let counts = self.store.failed_counts(&following.webhook.name).await?;
        let behind = self.store.settled_after(standing.cursor).await?;
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

/// How long a courier that waits waits at most before it looks again.
fn look_again(pace: &Pace) -> Duration {
    if pace.receiver.is_by_one_event() { LOOK_FOR_ANOTHER } else { LOOK_EVERY }
}

/// Gauges are floats; counts are far below where those lose digits.
fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
