//! Deliveries that failed, and are tried again by themselves.

use std::sync::Arc;

use metrics::counter;
use tracing::error;

use super::{
    following::{Changes, Following, GIVEN_UP_MAX},
    hold::Pace,
};
use crate::{
    gateway::{
        Inner,
        events::{Event, events_of},
        webhook::endpoint::Reply,
    },
    process,
    store::{EventPlace, FailedDelivery, FailedFilter, StoreError, WebhookEnd, WebhookStanding},
};

impl Inner {
    /// Tries once more what failed and is due. Whether there may be more.
    pub(super) async fn retry_failed(
        self: &Arc<Self>,
        following: &Arc<Following>,
        pace: &mut Pace,
    ) -> Result<bool, StoreError> {
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
        let any = |is: fn(&Reply) -> bool| replies.iter().any(|(_, reply)| is(reply));
        let took = any(|reply| *reply == Reply::Taken);
        let is_up = took || any(Reply::blames_the_event);
        let disabled = any(Reply::is_gone).then(|| (WebhookEnd::Gone, self.now()));
        if is_up {
            pace.is_up();
        }
        let wish = replies.iter().filter_map(|(_, reply)| reply.asks_for_time()).max();
        if let Some(wish) = wish {
            pace.receiver.grant_to_retried(wish);
        }
        if wish.is_some() || disabled.is_some() {
            self.end_or_hold(following, pace, disabled.map(|(end, _)| end));
        }
        let change = |standing: &mut WebhookStanding| {
            standing.failing_since = standing.failing_since.filter(|_| !is_up);
            standing.disabled = standing.disabled.or(disabled);
        };
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
}
