//! What only another daemon can do, because it has the bind: it is asked to. The charge stays whose it is until the other opens an attempt, so a
//! charge whose errand is lost is asked for again. A request that belongs to a commit is asked for once: where it is certain that nobody takes it, nothing
//! was sent; where that is not known, the carrier is asked later what became of it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;
use zeroize::Zeroizing;

use super::Attendance;
use crate::{
    carrier::{
        Carrier,
        web::{Outcome, WebClient, WebRequest},
    },
    charge::{Charge, Effect, Reference},
    gateway::{Gateway, Inner},
};

/// Between two looks at what became of a charge that another daemon was asked to send: at first, and in the end.
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_LAST: Duration = Duration::from_secs(2);
/// So many looks until it is asked again.
const LOOKS_PER_ERRAND: u32 = 4;
/// Charges on their way here that others asked for.
const ERRANDS_MAX: usize = 10_000;
/// The header by which an instance says that it does nothing of an errand.
pub const NOT_TAKEN: &str = "smsbusd-not-taken";
/// Refunds that others asked for, kept in mind.
const REFUNDS_MAX: usize = 10_000;

/// What one daemon asks of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Of which charge.
    pub charge: Reference,
    /// As it was then: what belongs to one version is not done for a later one.
    pub version: u32,
    /// What.
    pub wanted: Wanted,
}

/// What is to be done for a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It waits for an attempt.
    Send,
    /// The carrier is to be asked about an attempt.
    Query(u16),
    /// An attempt is to be sent once more.
    Resend(u16),
    /// A refund is to be asked for.
    Refund(Reference),
    /// A refund is to be asked for once more.
    ResendRefund(Reference),
    /// The carrier is to be asked about a refund.
    QueryRefund(Reference),
}

/// What came of an errand that another daemon came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrandAnswer {
    /// It is under way, or there is nothing left of it to do.
    Taken,
    /// We cannot reach the carrier either.
    Elsewhere,
    /// The store could not be read.
    Unavailable,
}

/// What came of an errand that we came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The other does it.
    Taken,
    /// It does not, for certain.
    NotTaken,
    /// Nobody knows.
    PerhapsTaken,
}

/// How others are reached.
#[derive(Clone, Debug)]
pub struct Exchange {
    client: WebClient,
    token: Zeroizing<String>,
}

/// What others asked of us and must not be done twice.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Charges that they asked us to send: asked again while they are on their way, they are not sent off again.
    charges: Mutex<HashSet<Reference>>,
    refunds: Mutex<Refunds>,
}

/// The refunds that were asked for last. Whoever asks does so once; a proxy between us may repeat it, and the money would go back twice.
#[derive(Debug, Default)]
struct Refunds {
    known: HashSet<(Reference, u32)>,
    order: VecDeque<(Reference, u32)>,
}

impl Refunds {
    /// Whether this refund is asked for by this version of its charge for the first time.
    fn is_first(&mut self, refund: Reference, version: u32) -> bool {
        let is_first = self.known.insert((refund, version));
        if is_first {
            self.order.push_back((refund, version));
            if self.order.len() > REFUNDS_MAX {
                self.order.pop_front().map(|oldest| self.known.remove(&oldest));
            }
        }
        is_first
    }
}

impl Exchange {
    /// With the token that all of them have.
    pub fn new(client: WebClient, token: Zeroizing<String>) -> Exchange {
        Exchange { client, token }
    }

    /// The token that all of them have.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the daemon at `address` takes the errand.
    async fn ask(&self, address: &str, errand: &Errand) -> Asked {
        let Ok(url) = Url::parse(address).and_then(|url| url.join("/errands")) else {
            warn!("an instance has an address that is none");
            return Asked::NotTaken;
        };
        let body = serde_json::to_vec(errand).expect("text keys and whole numbers");
        let mut request = WebRequest::post("errand", url, "application/json", body);
        let Ok(mut token) = HeaderValue::from_str(&format!("Bearer {}", self.token.as_str())) else {
            return Asked::NotTaken;
        };
        token.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, token);
        let (asked, outcome) = match self.client.send(request).await {
            Outcome::Answer(answer) if answer.status == 202 => (Asked::Taken, "taken"),
            Outcome::Answer(answer) if answer.headers.contains_key(NOT_TAKEN) => (Asked::NotTaken, "not_taken"),
            // A proxy between us answers for an instance that may have taken it, and may still do it.
            Outcome::Answer(answer) => {
                debug!(status = answer.status, "somebody else answers for an instance");
                (Asked::PerhapsTaken, "lost")
            }
            Outcome::NotSent(_) => (Asked::NotTaken, "not_taken"),
            Outcome::Lost(lost) => {
                debug!(?lost, "an instance does not answer");
                (Asked::PerhapsTaken, "lost")
            }
        };
        counter!("instances_errands_total", "outcome" => outcome).increment(1);
        asked
    }
}

impl Inner {
    /// Whether what goes to this carrier goes out from here.
    pub(in crate::gateway) fn serves(&self, carrier: &Carrier) -> bool {
        self.attendance.as_ref().is_none_or(|attendance| attendance.serves(carrier.name()))
    }

    /// Has the charge sent by a daemon that can reach the carrier. `true` if nothing more is to be done here: it is decided, or on its way; `false`
    /// once we reach the carrier ourselves, or `until` has come.
    pub(in crate::gateway) async fn hand_over_charge(
        self: &Arc<Self>,
        charge: &Charge,
        carrier: &Carrier,
        until: Instant,
    ) -> bool {
        let errand = Errand { charge: charge.reference, version: charge.version, wanted: Wanted::Send };
        let (mut looks, mut pause) = (0_u32, LOOK_FIRST);
        while !self.serves(carrier) && Instant::now() < until {
            if self.stopping.is_cancelled() {
                return true;
            }
            if looks.is_multiple_of(LOOKS_PER_ERRAND) {
                self.ask_another(carrier, &errand).await;
            }
            looks += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LAST);
            match self.store.charge(charge.reference).await {
                Ok(Some(now)) if !now.wants_attempt() => {
                    self.watchers.tell(&now, None);
                    return true;
                }
                Ok(_) => {}
                Err(error) => debug!(%error, "what became of a charge cannot be looked at yet"),
            }
        }
        false
    }

    /// Has another daemon do what a commit left to do at a carrier that we do not reach. Asked once: what is lost falls due again.
    /// `false` if it is to be done here.
    pub(in crate::gateway) fn hand_over_effect(self: &Arc<Self>, charge: &Charge, effect: &Effect) -> bool {
        let (wanted, carrier) = match *effect {
            Effect::Query { attempt } => {
                (Wanted::Query(attempt), charge.attempt(attempt).map(|attempt| &attempt.carrier))
            }
            Effect::Resend { attempt } => {
                (Wanted::Resend(attempt), charge.attempt(attempt).map(|attempt| &attempt.carrier))
            }
            Effect::Refund { refund } => (Wanted::Refund(refund), self.carrier_of_refund(charge, refund)),
            Effect::ResendRefund { refund } => (Wanted::ResendRefund(refund), self.carrier_of_refund(charge, refund)),
            Effect::QueryRefund { refund } => (Wanted::QueryRefund(refund), self.carrier_of_refund(charge, refund)),
            _ => return false,
        };
        let Some(carrier) = carrier.and_then(|name| self.carriers.get(name)) else { return false };
        if self.serves(carrier) {
            return false;
        }
        let errand = Errand { charge: charge.reference, version: charge.version, wanted };
        let (inner, carrier, charge, effect) = (self.clone(), carrier.clone(), charge.clone(), effect.clone());
        self.spawn(async move {
            // Nobody does it: then it is found out here that nothing could be sent, and what belongs to that follows.
            if inner.ask_another(&carrier, &errand).await == Asked::NotTaken {
                inner.do_here(&charge, &effect);
            }
        });
        true
    }

    fn carrier_of_refund<'a>(&self, charge: &'a Charge, refund: Reference) -> Option<&'a crate::charge::CarrierName> {
        charge.carrier_of(charge.refund(refund)?)
    }

    async fn ask_another(&self, carrier: &Carrier, errand: &Errand) -> Asked {
        let (Some(attendance), Some(exchange)) = (&self.attendance, &self.exchange) else { return Asked::NotTaken };
        let holder = attendance.holder_of(&carrier.sending_units());
        let Some(address) = holder.and_then(|peer| peer.address) else { return Asked::NotTaken };
        exchange.ask(&address, errand).await
    }
}

impl Gateway {
    /// Whether `token` is the one that the other daemons have.
    pub fn knows_instance(&self, token: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.exchange.as_ref().is_some_and(|exchange| exchange.token().as_bytes().ct_eq(token).into())
    }

    /// Does what another daemon asks for.
    pub async fn take_errand(&self, errand: Errand) -> ErrandAnswer {
        let inner = self.0.clone();
        let work = self.0.spawn(async move { inner.take_errand(errand).await });
        work.await.unwrap_or(ErrandAnswer::Unavailable)
    }
}

impl Inner {
    async fn take_errand(self: &Arc<Self>, errand: Errand) -> ErrandAnswer {
        let Some(attendance) = self.attendance.clone() else { return ErrandAnswer::Elsewhere };
        let charge = match self.store.charge(errand.charge).await {
            Ok(Some(charge)) => charge,
            // Committed before it was asked for: a standby that reads behind would be a mistake of the installation.
            Ok(None) => return ErrandAnswer::Taken,
            Err(error) => {
                warn!(%error, "an errand of another instance cannot be looked at");
                return ErrandAnswer::Unavailable;
            }
        };
        let effect = match errand.wanted {
            Wanted::Send => return self.take_charge(&attendance, charge).await,
            Wanted::Query(attempt) => Effect::Query { attempt },
            Wanted::Resend(attempt) => Effect::Resend { attempt },
            Wanted::Refund(refund) => Effect::Refund { refund },
            Wanted::ResendRefund(refund) => Effect::ResendRefund { refund },
            Wanted::QueryRefund(refund) => Effect::QueryRefund { refund },
        };
        // While it stops, nothing that comes of it may be written any more.
        if charge.version != errand.version || self.stopping.is_cancelled() {
            return ErrandAnswer::Elsewhere;
        }
        if let Effect::Refund { refund } = effect
            && !locked(&attendance.errands.refunds).is_first(refund, errand.version)
        {
            return ErrandAnswer::Taken;
        }
        self.do_here(&charge, &effect);
        ErrandAnswer::Taken
    }

    async fn take_charge(self: &Arc<Self>, attendance: &Arc<Attendance>, charge: Charge) -> ErrandAnswer {
        if !charge.wants_attempt() {
            return ErrandAnswer::Taken;
        }
        let Some(carrier) = self.carrier_for(&charge) else { return ErrandAnswer::Elsewhere };
        if !self.serves(&carrier) || self.stopping.is_cancelled() {
            return ErrandAnswer::Elsewhere;
        }
        let Ok(permit) = self.flights.clone().try_acquire_owned() else { return ErrandAnswer::Unavailable };
        let Some(under_way) = UnderWay::begin(attendance, charge.reference) else { return ErrandAnswer::Taken };
        let inner = self.clone();
        self.spawn(async move {
            inner.fly_to_its_end(charge, carrier, permit).await;
            drop(under_way);
        });
        ErrandAnswer::Taken
    }
}

/// A charge on its way that another daemon asked us to send.
struct UnderWay {
    attendance: Arc<Attendance>,
    charge: Reference,
}

impl UnderWay {
    /// `None` if it is on its way already, or too many are.
    fn begin(attendance: &Arc<Attendance>, charge: Reference) -> Option<UnderWay> {
        let mut errands = locked(&attendance.errands.charges);
        let is_new = errands.len() < ERRANDS_MAX && errands.insert(charge);
        is_new.then(|| UnderWay { attendance: attendance.clone(), charge })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.attendance.errands.charges).remove(&self.charge);
    }
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(number: usize) -> Reference {
        Reference::from_bytes((number as u128).to_be_bytes())
    }

    #[test]
    fn a_refund_is_asked_for_once_by_each_version_of_its_charge_and_few_are_kept_in_mind() {
        let mut refunds = Refunds::default();
        assert!(refunds.is_first(refund(0), 3));
        assert!(!refunds.is_first(refund(0), 3), "a proxy repeated it");
        assert!(refunds.is_first(refund(0), 4) && refunds.is_first(refund(1), 3));
        (2..=REFUNDS_MAX + 2).for_each(|number| assert!(refunds.is_first(refund(number), 1)));
        assert_eq!((refunds.known.len(), refunds.order.len()), (REFUNDS_MAX, REFUNDS_MAX));
        assert!(refunds.is_first(refund(0), 3), "long ago");
    }
}
