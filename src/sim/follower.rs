//! Somebody who is told of events by webhook, and is not always well.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng};
use serde_json::Value;

use super::{
    plan::{Role, dice},
    world::World,
};
use crate::{
    carrier::web::{Answer, Outcome, WebClient, WebClientConfig, WebRequest},
    charge::Charge,
    gateway::{
        Webhook, WebhookConfig,
        events::{Event, EventType, events_of},
    },
};

/// Where it listens. No carrier has this port.
pub(super) const PORT: u16 = 7;
/// One of these signs.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What it was told.
pub(super) struct Follower {
    dice: Mutex<StdRng>,
    /// By the event's id.
    told: Mutex<BTreeMap<String, Bytes>>,
}

/// What it does with an event while things go wrong.
const MOODS: [(u32, u16, bool); 5] =
    // Out of a hundred: the answer, and whether the event was taken in all the same.
    [(10, 500, false), (5, 500, true), (3, 503, false), (3, 429, false), (3, 422, false)];

impl Follower {
    pub(super) fn new(seed: u64) -> Follower {
        Follower { dice: Mutex::new(dice(seed, Role::Follower)), told: Mutex::default() }
    }

    /// The webhook by which it is told.
    pub(super) fn webhook() -> Webhook {
        let config = WebhookConfig {
            url: format!("http://follower.example:{PORT}/events"),
            retry_seconds: 1,
            retry_seconds_max: 30,
            requests_max: 4,
            failures_max: 20,
            ..WebhookConfig::default()
        };
        let client = WebClientConfig::new("follower".parse().expect("a name"));
        let client = WebClient::new(client, None).expect("a machine's client");
        Webhook::new("follower", config, vec![KEY.parse().expect("a key")], client).expect("a sound URL")
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in, or not, as it feels.
    pub(super) fn hear(&self, world: &World, request: &WebRequest) -> Outcome {
        let mut drawn = self.dice.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..100);
        let mut mood = (204, true);
        for (odds, status, takes) in MOODS.into_iter().filter(|_| world.is_spoilt()) {
            if drawn < odds {
                mood = (status, takes);
                break;
            }
            drawn -= odds;
        }
        let (status, takes) = mood;
        if takes {
            self.take(world, request);
        }
        Outcome::Answer(Answer { status, headers: Default::default(), body: Bytes::new() })
    }

    fn take(&self, world: &World, request: &WebRequest) {
        let id = request.headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let body = request.body.clone();
        let read: Value = serde_json::from_slice(&body).unwrap_or_default();
        if read["id"] != id.as_str() || !request.headers.contains_key("webhook-signature") {
            world.violated(format!("an event came without its id or its signature: {request:?}"));
        }
        if let Some(before) = self.told().insert(id.clone(), body.clone())
            && before != body
        {
            world.violated(format!("event {id} came again as something else: {before:?}, then {body:?}"));
        }
    }

    /// The first event that it was not told of yet.
    pub(super) async fn missing(&self, world: &World) -> Option<String> {
        let events = all(world).await;
        let told = self.told();
        events.into_iter().map(|event| event.id.to_string()).find(|id| !told.contains_key(id))
    }

    /// Whether it knows what is so, and nothing else.
    pub(super) async fn audit(&self, world: &World, charges: &[Charge]) {
        let events = all(world).await;
        let told = self.told().clone();
        if told.len() != events.len() {
            world.violated(format!("{} events happened, {} ids were told", events.len(), told.len()));
        }
        for event in &events {
            let bytes = serde_json::to_vec(event).unwrap_or_default();
            if told.get(&event.id.to_string()).is_none_or(|told| *told != bytes) {
                world.violated(format!("{} was told otherwise than it is read: {event:?}", event.cursor));
            }
        }
        if let Some(pair) = events.windows(2).find(|pair| pair[0].cursor >= pair[1].cursor) {
            world.violated(format!("events are out of order: {pair:?}"));
        }
        for charge in charges {
            let of_this = || events.iter().filter(|event| event.data.charge.reference == charge.reference);
            let state = of_this().rfind(|event| event.kind.code().starts_with("charge."));
            if state.is_none_or(|event| event.data.charge.state != charge.state.code()) {
                world.violated(format!("{} is {:?}, and {state:?} was told last", charge.reference, charge.state));
            }
            let ticket = world.store.ticket(charge.reference).await.ok().flatten();
            let is_told = |kind| of_this().any(|event| event.kind == kind);
            let told = (is_told(EventType::TicketIssued), is_told(EventType::TicketRevoked));
            if told != (ticket.is_some(), ticket.as_ref().is_some_and(|ticket| ticket.revoked_at.is_some())) {
                world
                    .violated(format!("{} has {ticket:?}, and issued, revoked was told as {told:?}", charge.reference));
            }
            if !of_this().is_sorted_by_key(|event| event.data.charge.version) {
                world.violated(format!("{}: a version goes back in its events", charge.reference));
            }
            for refund in &charge.refunds {
                let its = |event: &&Event| event.data.refund.as_ref().is_some_and(|told| told.id == refund.reference);
                let state = of_this().rfind(its).and_then(|event| event.data.refund.as_ref());
                if state.is_none_or(|told| told.state != refund.state.public_code()) {
                    world.violated(format!("{refund:?} of {} was told as {state:?}", charge.reference));
                }
            }
        }
    }
}

/// Everything that happened.
async fn all(world: &World) -> Vec<Event> {
    let settled = world.store.settled_journal(0, u32::MAX).await.unwrap_or_default();
    settled.iter().flat_map(events_of).collect()
}
