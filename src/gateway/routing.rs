//! Which carrier a charge goes to: the bind that its message came in on, what was heard of the number before, a portability
//! look-up, and then the prefix.

use std::time::Instant;

use metrics::counter;
use tracing::{info, warn};

use super::{Inner, Purchase};
use crate::{
    carrier::{Carrier, Route},
    charge::{CarrierName, Home, HomeSource},
    clock::Timestamp,
    msisdn::Msisdn,
    store::Prior,
};

impl Inner {
    /// Where a purchase goes. Who may be asked is asked until `until`. `None` if no carrier is known for the number.
    pub(super) async fn route_of_purchase(&self, purchase: &Purchase, prior: &Prior, until: Instant) -> Option<Route> {
        if let Some(carrier) = purchase.channel.sms_carrier() {
            let observed_at = Some(self.now());
            return Some(Route { carrier: carrier.clone(), source: HomeSource::Message, observed_at });
        }
        let home = self.routing.home(purchase.msisdn).or_else(|| self.recall(purchase.msisdn, prior.home.clone()));
        self.route_with(purchase.msisdn, home, until).await
    }

    /// Where a charge of this number goes. Who may be asked is asked until `until`.
    pub(super) async fn route(&self, msisdn: Msisdn, until: Instant) -> Option<Route> {
        let home = self.recalled(msisdn, until).await;
        self.route_with(msisdn, home, until).await
    }

    async fn route_with(&self, msisdn: Msisdn, home: Option<Home>, until: Instant) -> Option<Route> {
        let now = self.now();
        if !home.is_some_and(|home| self.routing.is_fresh(&home, now)) {
            self.look_up(msisdn, now, until).await;
        }
        let route = self.routing.route(msisdn);
        let source = route.as_ref().map_or("none", |route| route.source.code());
        counter!("routes_total", "source" => source).increment(1);
        route
    }

    /// The carrier to try after `refused` has definitely said that the number is not its subscriber, which is remembered.
    /// `None` if no other is known.
    pub(super) async fn carrier_after(&self, msisdn: Msisdn, refused: &CarrierName) -> Option<Carrier> {
        let (now, until) = (self.now(), self.subscribers.until());
        // Before the refusal is remembered: it would look newer than what the store has.
        self.recalled(msisdn, until).await;
        self.keep_home(self.routing.not_theirs(msisdn, refused, now));
        if !self.routing.home(msisdn).is_some_and(|home| self.routing.is_fresh(&home, now)) {
            self.look_up(msisdn, now, until).await;
        }
        let route = self.routing.route_after(msisdn, refused)?;
        info!(msisdn = msisdn.masked(), from = %refused, to = %route.carrier, by = route.source.code(), "a number that moved");
        self.carriers.get(&route.carrier).cloned()
    }

    /// A message from the number came in on this carrier's bind.
    pub(super) fn heard_from(&self, msisdn: Msisdn, carrier: &CarrierName, at: Timestamp) {
        self.keep_home(self.routing.heard(msisdn, carrier, at));
    }

    /// What is remembered of the number, in memory or in the store.
    pub(super) async fn recalled(&self, msisdn: Msisdn, until: Instant) -> Option<Home> {
        if let Some(home) = self.routing.home(msisdn) {
            return Some(home);
        }
        match tokio::time::timeout_at(until.into(), self.store.home(msisdn)).await {
            Ok(Ok(home)) => self.recall(msisdn, home),
            Err(_) => self.routing.home(msisdn),
            Ok(Err(error)) => {
                warn!(%error, "what is known of a number's carrier cannot be read");
                self.routing.home(msisdn)
            }
        }
    }

    /// What is remembered of the number now, with what the store had.
    fn recall(&self, msisdn: Msisdn, home: Option<Home>) -> Option<Home> {
        home.into_iter().for_each(|home| self.routing.recall(home));
        self.routing.home(msisdn)
    }

    async fn look_up(&self, msisdn: Msisdn, now: Timestamp, until: Instant) {
        match self.subscribers.look_up(msisdn, until).await {
            Some(Ok(Some(carrier))) if self.carriers.contains_key(&carrier) => {
                self.keep_home(self.routing.looked_up(msisdn, &carrier, now));
            }
            Some(Ok(Some(carrier))) => warn!(%carrier, "a look-up names a carrier that is not configured"),
            // It does not know, or said nothing in time: what is remembered, or the prefix, has to do.
            Some(Ok(None) | Err(_)) | None => {}
        }
    }

    fn keep_home(&self, home: Option<Home>) {
        home.into_iter().for_each(|home| self.subscribers.keep_home(home));
    }
}
