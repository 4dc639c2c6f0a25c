//! Messages to passengers: written together with what they speak of, sent from here, as often as it takes until they are
//! worth nothing. A text sent twice costs nobody anything; a text lost is a ticket that nobody sees.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use metrics::counter;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::{Inner, intake::Because};
use crate::{
    carrier::{Carrier, Sent, Text, Urgency},
    charge::Reference,
    store::{MessageProgress, MessageState, Outcome, OutgoingSms, QueuedSms, StoreError, Write},
};

/// Messages of one carrier on their way at once.
const SENDING_MAX: usize = 512;
/// The pause before a message is tried again doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The messages of one carrier that are on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    places: Arc<Semaphore>,
    /// So that the sweep does not send a second time what is on its way.
    sending: Mutex<HashSet<Reference>>,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { places: Arc::new(Semaphore::new(SENDING_MAX)), sending: Mutex::default() }
    }
}

/// Whether a message comes straight from its commit, or was found in the store: then it may have gone out before, and the process
/// ended, or the store failed, before that was kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

impl Outbox {
    fn sending(&self) -> std::sync::MutexGuard<'_, HashSet<Reference>> {
        self.sending.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Inner {
    /// Puts messages that have just been committed on their way. What finds no place is picked up by the sweep.
    pub(super) fn queue_messages(self: &Arc<Self>, messages: &[OutgoingSms]) {
        self.queue_all(messages, Fresh::Yes);
    }

    /// The same for messages of which the commit may have kept none, because what they answer had its answer.
    pub(super) fn queue_messages_if_kept(self: &Arc<Self>, messages: &[OutgoingSms]) {
        self.queue_all(messages, Fresh::No);
    }

    fn queue_all(self: &Arc<Self>, messages: &[OutgoingSms], fresh: Fresh) {
        for message in messages {
            let queued = QueuedSms {
                message: message.clone(),
                state: MessageState::Pending,
                tries: 0,
                due_at: message.created_at,
            };
            self.send_later(queued, fresh);
        }
    }

    /// Puts messages on their way that are due by the store: tried before, left by an earlier process, or without a place.
    pub(super) async fn queue_due_messages(self: &Arc<Self>) -> Result<(), StoreError> {
        for (name, outbox) in &self.outboxes {
            let room = u32::try_from(outbox.places.available_permits()).unwrap_or(0);
            let Some(carrier) = self.carriers.get(name) else { continue };
            if !self.texts_or_hands_over(carrier).await || room == 0 {
                continue;
            }
            for queued in self.store.due_messages(name, self.now(), room).await? {
                self.send_later(queued, Fresh::No);
            }
        }
        Ok(())
    }

    fn send_later(self: &Arc<Self>, queued: QueuedSms, fresh: Fresh) {
        let name = &queued.message.carrier;
        let (Some(carrier), Some(outbox)) = (self.carriers.get(name).cloned(), self.outboxes.get(name)) else {
            warn!(carrier = %name, message = %queued.message.id, "a message for a carrier that is not configured any more");
            return;
        };
        if !self.texts(&carrier) {
            // The sweep gives it to who can send it.
            return;
        }
        let Ok(permit) = outbox.places.clone().try_acquire_owned() else { return };
        let id = queued.message.id;
        if !outbox.sending().insert(id) {
            return;
        }
        let inner = self.clone();
        self.spawn(async move {
            if fresh == Fresh::Yes || inner.is_still_pending(id).await {
                inner.send(&carrier, queued, fresh).await;
            }
            if let Some(outbox) = inner.outboxes.get(carrier.name()) {
                outbox.sending().remove(&id);
            }
            drop(permit);
        });
    }

    /// Between the look into the store and the mark that it is on its way, a message can have been sent.
    async fn is_still_pending(&self, id: Reference) -> bool {
        match self.store.message(id).await {
            Ok(found) => found.is_some_and(|queued| queued.state == MessageState::Pending),
            Err(error) => {
                warn!(message = %id, %error, "a message cannot be looked at; it is tried again later");
                false
            }
        }
    }

    async fn send(self: &Arc<Self>, carrier: &Carrier, queued: QueuedSms, fresh: Fresh) {
        let QueuedSms { message, tries, .. } = queued;
        // A try that nobody kept count of left an id that nobody knows; see `QueuedSms::may_have_unknown_id`.
        let tries = if fresh == Fresh::Yes { tries } else { tries.max(1) };
        let left = message.expires_at.since(self.now());
        if left.is_zero() {
            counter!("sms_expired_total", "carrier" => carrier.name().to_string()).increment(1);
            return self.move_message(&message, MessageState::Expired, tries, Duration::ZERO, None).await;
        }
        let urgency = if message.ticket { Urgency::Ticket } else { Urgency::Normal };
        // While it waits for a place it does not age in the store; a process that ends here leaves it pending.
        let Ok(slot) = carrier.reserve_text(left.min(Duration::from_secs(30)), urgency).await else { return };
        let OutgoingSms { id, msisdn, ref text, expires_at, .. } = message;
        let text = Text { id, msisdn, text, expires_at, urgency };
        let tries = tries + 1;
        match carrier.send(slot, text, self.now()).await {
            Sent::Submitted { carrier_id } => {
                counter!("sms_submitted_total", "carrier" => carrier.name().to_string()).increment(1);
                // Taken without a name, it has one that nobody knows.
                let tries = if carrier_id.is_some() { tries } else { tries.max(2) };
                self.move_message(&message, MessageState::Submitted, tries, Duration::ZERO, carrier_id).await;
            }
            Sent::Later => {
                let pause = Duration::from_secs(1).saturating_mul(1 << tries.min(6)).min(PAUSE_MAX);
                debug!(message = %message.id, tries, "a message could not be sent; again later");
                self.move_message(&message, MessageState::Pending, tries, pause, None).await;
            }
            Sent::Refused { detail } => {
                warn!(message = %message.id, charge = ?message.reference, detail, "the carrier refuses a message");
                counter!("sms_refused_total", "carrier" => carrier.name().to_string()).increment(1);
                self.move_message(&message, MessageState::Failed, tries, Duration::ZERO, None).await;
            }
        }
    }

    async fn move_message(
        self: &Arc<Self>,
        message: &OutgoingSms,
        to: MessageState,
        tries: u32,
        pause: Duration,
        carrier_id: Option<String>,
    ) {
        let progress = MessageProgress {
            id: message.id,
            to,
            tries,
            due_at: self.now().plus(pause),
            carrier_id: carrier_id.map(|id| (message.carrier.clone(), id)),
        };
        match self.writer.write(Write::MoveMessage(progress)).await {
            // A receipt can have waited for this text to have an id, so that it cannot be the text's.
            Ok(Outcome::MessageMoved { parked })
                if !parked.is_empty() || (to == MessageState::Submitted && !message.ticket) =>
            {
                self.settle_parked_later(message.carrier.clone(), message.msisdn, None, Because::Learned);
            }
            Ok(_) => {}
            // It stays pending, and the passenger may get it twice.
            Err(error) => warn!(message = %message.id, %error, "the progress of a message could not be kept"),
        }
    }
}
