//! A message on its way to the ticket service, and back as a charge or as "nothing was charged".

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fail::fail_point;
use metrics::counter;
use tracing::{info, warn};

use super::{
    MoWebhook,
    deliver::Wanted,
    endpoint::{self, Posting},
};
use crate::{
    charge::{Channel, Charge, Reference},
    gateway::{Inner, Purchase, PurchaseError},
    passenger::Message,
    process,
    store::{IncomingSms, KeptMo, MoAnswer, Outcome, StoreError, Write},
};

/// Messages carried at once; the rest waits in the store, and the earliest deadline goes first.
const CARRIED_MAX: usize = 8_192;
/// Messages that one sweep looks at.
const WAITING_MAX: u32 = 512;

/// The messages that a task of this process carries, so that the sweep does not carry them a second time.
#[derive(Debug, Default)]
pub(in crate::gateway) struct HandOvers(Mutex<HashSet<Reference>>);

impl HandOvers {
    fn carried(&self) -> MutexGuard<'_, HashSet<Reference>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was carried by nobody and there is room.
    fn take(&self, id: Reference) -> bool {
        let mut carried = self.carried();
        carried.len() < CARRIED_MAX && carried.insert(id)
    }
}

impl Inner {
    /// Hands a message to the ticket service: durable first, posted then.
    pub(in crate::gateway) async fn hand_over(
        self: &Arc<Self>,
        webhook: &MoWebhook,
        sms: &IncomingSms,
    ) -> Result<(), StoreError> {
        let answer_by = sms.received_at.plus(webhook.config.answer());
        fail_point!("gateway-before-hand-over");
        if self.writer.write(Write::HandOverMo { mo: sms.id, answer_by }).await? == Outcome::Done {
            fail_point!("gateway-after-hand-over");
            counter!("mo_handed_over_total", "carrier" => sms.carrier.to_string()).increment(1);
            self.carry(KeptMo { message: sms.clone(), answer_by: Some(answer_by), answered_at: None });
        }
        Ok(())
    }

    /// Takes up what an earlier process handed over, what found no room, and what is overdue.
    pub(in crate::gateway) async fn carry_waiting_mos(self: &Arc<Self>) -> Result<(), StoreError> {
        for mo in self.store.mos_handed_over(WAITING_MAX).await? {
            self.carry(mo);
        }
        Ok(())
    }

    /// Posts a message until the ticket service takes it, and waits for its charge. Without one the passenger is told.
    fn carry(self: &Arc<Self>, mo: KeptMo) {
        let id = mo.message.id;
        if !self.hand_overs.take(id) {
            return;
        }
        let inner = self.clone();
        self.spawn(async move {
            tokio::select! {
                biased;
                () = inner.carry_to_its_end(&mo) => {}
                // The next process takes it up again.
                () = inner.stopping.cancelled() => {}
            }
            inner.hand_overs.carried().remove(&id);
        });
    }

    async fn carry_to_its_end(self: &Arc<Self>, mo: &KeptMo) {
        let Some(answer_by) = mo.answer_by else { return };
        // The wall clock may jump; the passenger waits no longer for that.
        let end = tokio::time::Instant::now() + answer_by.since(self.now());
        if let Some(webhook) = &self.mo_webhook
            && let Some(posting) = Posting::of_mo(&mo.message, answer_by)
        {
            let _in_time = tokio::time::timeout_at(end, self.post_until_taken(webhook, &mo.message, &posting)).await;
        }
        tokio::time::sleep_until(end).await;
        if let Err(error) = self.tell_not_sold(&mo.message).await {
            warn!(mo = %mo.message.id, %error, "a passenger cannot be told yet that nothing was charged");
        }
    }

    async fn post_until_taken(&self, webhook: &MoWebhook, sms: &IncomingSms, posting: &Posting) {
        let (first, longest) = (webhook.config.retry_ms, webhook.config.retry_ms_max);
        let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
        let mut tries = 0_u32;
        let patience = Duration::from_millis(webhook.config.timeout_ms);
        loop {
            let Some(place) = webhook.endpoint.place().await else { return };
            let taken = webhook.post(posting, self.now(), patience).await;
            drop(place);
            if taken {
                return;
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(endpoint::pause(tries, first, longest, process::random_range(0.5..1.0))).await;
            // Its charge can have come although the answer to the request did not.
            if let Ok(Some(KeptMo { answered_at: Some(_), .. })) = self.store.mo(sms.id).await {
                return;
            }
        }
    }

    /// Whatever has not come by now comes no more: this and a charge exclude each other in the store.
    async fn tell_not_sold(self: &Arc<Self>, sms: &IncomingSms) -> Result<(), StoreError> {
        let wanted = Wanted::of(sms);
        let vehicle = wanted.as_ref().map_or("", |wanted| wanted.vehicle.as_str());
        let answer = self.answer_with(sms, &[Message::NotSold { vehicle }]).await?;
        fail_point!("gateway-before-not-sold");
        if self.write_answer(answer).await? {
            counter!("mo_not_sold_total", "carrier" => sms.carrier.to_string()).increment(1);
            info!(mo = %sms.id, msisdn = sms.msisdn.masked(), "no charge came for a message that was handed over");
        }
        Ok(())
    }
}

impl Inner {
    /// The same purchase, or, if its key names a message that was handed over, the purchase that answers this message: the
    /// passenger bought by SMS, at the moment when the SMS came, and is answered by SMS.
    ///
    /// Errors: the message came from another number.
    pub(in crate::gateway) async fn purchase_for_sms(
        self: &Arc<Self>,
        purchase: Purchase,
    ) -> Result<Purchase, PurchaseError> {
        let Channel::Api { caller } = &purchase.channel else { return Ok(purchase) };
        let Some(mo) = self.handed_over(&purchase.guard.key).await? else { return Ok(purchase) };
        let KeptMo { message: sms, answer_by, answered_at } = mo;
        if sms.msisdn != purchase.msisdn {
            return Err(PurchaseError::AnotherNumber);
        }
        // Its time is over; whoever carries it may only not have got there.
        if answered_at.is_none() && answer_by.is_some_and(|answer_by| answer_by <= self.now()) {
            self.tell_not_sold(&sms).await?;
        }
        Ok(Purchase {
            channel: Channel::ApiForSms { caller: caller.clone(), carrier: sms.carrier },
            mo: Some(sms.id),
            received_at: sms.received_at,
            ..purchase
        })
    }

    /// The message that was handed over under this id.
    async fn handed_over(&self, key: &str) -> Result<Option<KeptMo>, StoreError> {
        let Some(id) = message_named(key) else { return Ok(None) };
        Ok(self.store.mo(id).await?.filter(|mo| mo.answer_by.is_some()))
    }

    /// What the passenger is told when the charge for an SMS turns out to be there already. `None` for one who did not buy by SMS.
    pub(in crate::gateway) async fn answer_to_linked(
        self: &Arc<Self>,
        purchase: &Purchase,
        holder: &Charge,
    ) -> Result<Option<MoAnswer>, StoreError> {
        let (Channel::ApiForSms { .. }, Some(id)) = (&purchase.channel, purchase.mo) else { return Ok(None) };
        match self.store.mo(id).await? {
            Some(mo) if mo.answered_at.is_none() => {
                self.answer_to_repeat(&mo.message, holder, purchase.zone).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The message that a key may be the id of. Only ids of version 7 are ours; callers whose keys are of another kind need no look into the
/// store.
pub(in crate::gateway) fn message_named(key: &str) -> Option<Reference> {
    key.parse().ok().filter(|id: &Reference| id.uuid().get_version_num() == 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_message_is_carried_once_at_a_time_and_there_is_a_bound() {
        let hand_overs = HandOvers::default();
        let id = |n: u32| Reference::new(Timestamp::from_unix_seconds(n.into()), [0; 10]);
        assert!(hand_overs.take(id(0)) && !hand_overs.take(id(0)));
        hand_overs.carried().remove(&id(0));
        assert!(hand_overs.take(id(0)));
        let taken = (1..=10_000).filter(|n| hand_overs.take(id(*n))).count();
        assert_eq!(taken, CARRIED_MAX - 1);
    }
}
