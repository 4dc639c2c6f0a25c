//! What time brings: deadlines, status queries, messages and receipts that wait.

use std::{sync::Arc, time::Duration};

use tracing::{error, warn};

use super::Inner;
use crate::{
    charge::{Attempt, Charge, Event, Refund, RefundState},
    process,
    store::{StoreError, Write},
};

/// Charges looked at in one round; the rest follow in the next.
const BATCH: u32 = 512;

impl Inner {
    /// Runs until the gateway stops.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.config.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = interval.tick() => {}
                () = self.stopping.cancelled() => return,
            }
            let inner = self.clone();
            // A task of its own: a defect that panics here must not end the deadlines of all other charges.
            match process::spawn(async move { inner.sweep_once().await }).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%error, "the sweep could not read the store; deadlines are looked at again soon")
                }
                Err(panic) => error!(%panic, "the sweep broke off; deadlines are looked at again soon"),
            }
        }
    }

    /// One look at everything that is due.
    pub(super) async fn sweep_once(self: &Arc<Self>) -> Result<(), StoreError> {
        self.look_up_sales_of_others().await;
        self.watch_mos().await;
        self.tick_due_charges().await?;
        self.queue_due_messages().await?;
        self.join_waiting_parts().await?;
        self.answer_waiting_mos().await?;
        self.carry_waiting_mos().await?;
        self.look_up_overdue_sales().await?;
        self.look_after_unowned().await?;
        self.measure().await
    }

    /// Makes durable that messages can be taken, so that the next process knows for how long they could not.
    async fn watch_mos(&self) {
        if self.has_company() {
            match self.store.mos_watched().await {
                Ok(watched) => {
                    for (name, at) in watched {
                        self.backlog(&name).iter_mut().for_each(|backlog| backlog.taken_elsewhere(at));
                    }
                }
                Err(error) => warn!(%error, "what other instances took of messages cannot be looked at"),
            }
        }
        for (name, carrier) in &self.carriers {
            // A paused carrier still brings messages.
            let is_bound = carrier.standing().receives;
            let Some(at) = self.backlog(name).filter(|_| is_bound).and_then(|backlog| backlog.watch(self.now())) else {
                continue;
            };
            match self.writer.write(Write::WatchMos { carrier: name.clone(), at }).await {
                Ok(_) => self.backlog(name).iter_mut().for_each(|backlog| backlog.watched(at, self.now())),
                Err(error) => warn!(carrier = %name, %error, "messages of this carrier cannot be kept now"),
            }
        }
    }

    /// All that are looked at in one round at once, so that they share their commits.
    async fn tick_due_charges(self: &Arc<Self>) -> Result<(), StoreError> {
        let due = self.store.due_charges(self.now(), BATCH).await?;
        let tick = |charge: Charge| {
            let inner = self.clone();
            self.spawn(async move { inner.tick(charge).await })
        };
        let ticking: Vec<_> = due.into_iter().map(tick).collect();
        for ticked in ticking {
            if let Err(panic) = ticked.await {
                error!(%panic, "a deadline broke off; it stays due");
            }
        }
        Ok(())
    }

    async fn tick(self: &Arc<Self>, charge: Charge) {
        let reference = charge.reference;
        let event = if self.hides_age(&charge) { Event::TickWithoutRepetition } else { Event::Tick };
        let applied = match self.apply(reference, Some(charge), event).await {
            Ok(applied) => applied,
            Err(error) => {
                warn!(charge = %reference, %error, "a deadline could not be applied; it stays due");
                return;
            }
        };
        self.follow(&applied);
    }

    /// Whether something that was sent for this charge seems young enough to be sent again, and may not be: the passenger waits no more,
    /// or the carrier has forgotten the key. What has come to its end is sent no more.
    fn hides_age(&self, charge: &Charge) -> bool {
        let waits_for = |attempt: &Attempt| charge.terms.ticket_deadline.since(attempt.opened_at);
        let hides = |at, limit| self.clock.hides_age(at, limit);
        let mut in_doubt = charge.refunds.iter().filter(|refund| refund.state == RefundState::InDoubt);
        charge.undecided_attempt().is_some_and(|attempt| hides(attempt.opened_at, waits_for(attempt)))
            || in_doubt.any(|refund| hides(refund.sent_at(), Refund::KEY_IS_KNOWN_FOR))
    }
}
