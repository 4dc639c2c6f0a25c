//! Charging by SMPP: a charged message is a `submit_sm` with the fare's tariff and a neutral text.

mod compose;
mod deliver;
mod send;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::tz::TimeZone;
use metrics::{counter, histogram};
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{Ack, CarrierConfig, CarrierEvent, CarrierReceipt, Meanings, Urgency, tariff};
use crate::{
    charge::{Attempt, CarrierName, Charge, Evidence, EvidenceSource, Finding, Reference},
    clock::Timestamp,
    money::Money,
    smpp::{
        self, Address, Lane, LinkConfig, LinkEvent, LinkHandle, LinkState, QueryOutcome, QuerySm, SessionConfig,
        SubmitOutcome,
    },
};

/// A place in the window of an SMPP link.
pub(super) type Slot = smpp::Slot;

/// Attempts in doubt whose late answer is recognised; the oldest are forgotten first, and then a receipt or a query has to
/// settle them.
const LATE_MAX: usize = 10_000;
/// Events that wait for the gateway. With more, the link stops reading, and the carrier keeps the rest.
const EVENTS_MAX: usize = 256;
/// How long a status query may take, place in the window included.
const QUERY_PATIENCE: Duration = Duration::from_secs(10);

/// Why a carrier cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The configuration is wrong.
    #[error("carriers.{carrier}: {problem}")]
    Config {
        /// Which carrier.
        carrier: CarrierName,
        /// Key and reason.
        problem: String,
    },
}

/// A carrier that charges by SMPP. Clones share one link.
#[derive(Clone)]
pub struct SmppCarrier(Arc<Inner>);

struct Inner {
    name: CarrierName,
    config: CarrierConfig,
    zone: TimeZone,
    meanings: Meanings,
    link: LinkHandle,
    rate: DefaultDirectRateLimiter,
    wire_references: AtomicU16,
    tokens: AtomicU64,
    unanswered: Mutex<Unanswered>,
}

impl fmt::Debug for SmppCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmppCarrier({})", self.0.name)
    }
}

impl SmppCarrier {
    /// Opens the link; it connects, binds and stays bound from now on. The events must be read.
    ///
    /// Errors: a configuration that cannot work, named by its key.
    pub fn open(
        name: CarrierName,
        config: CarrierConfig,
        password: &str,
    ) -> Result<(SmppCarrier, mpsc::Receiver<CarrierEvent>), SetupError> {
        let wrong = |problem: String| SetupError::Config { carrier: name.clone(), problem };
        if let Some(problem) = config.smpp.problems().into_iter().next() {
            return Err(wrong(format!("smpp.{problem}")));
        }
        let zone = config.zone().map_err(wrong)?;
        let (link, events) =
            smpp::link::open(link_config(&name, &config, password)).map_err(|e| wrong(e.to_string()))?;
        let per_second = NonZeroU32::new(config.smpp.tps).ok_or_else(|| wrong("smpp.tps: at least 1".into()))?;
        let burst = NonZeroU32::new(config.smpp.tps / 10).unwrap_or(NonZeroU32::MIN);
        let carrier = SmppCarrier(Arc::new(Inner {
            meanings: Meanings::new(&config.smpp),
            zone,
            link,
            rate: RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)),
            // A start at random, so that receipts of an earlier process are not taken for ours.
            wire_references: AtomicU16::new(rand::random()),
            tokens: AtomicU64::new(1),
            unanswered: Mutex::default(),
            name,
            config,
        }));
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(carrier.clone().listen(events, sender));
        Ok((carrier, receiver))
    }

    pub(super) fn name(&self) -> &CarrierName {
        &self.0.name
    }

    pub(super) fn config(&self) -> &CarrierConfig {
        &self.0.config
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    pub(super) fn is_up(&self) -> bool {
        *self.0.link.state().borrow() == LinkState::Up
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.0.link.state().borrow() == LinkState::Paused
    }

    pub(super) fn set_paused(&self, paused: bool) {
        info!(carrier = %self.0.name, paused, "carrier paused or resumed by hand");
        if paused { self.0.link.pause() } else { self.0.link.resume() }
    }

    pub(super) fn has_tariff(&self, amount: Money) -> bool {
        self.0.config.has_tariff(amount)
    }

    /// `user_message_reference` of the next attempt, as decimal text: 1 to 65535, going round.
    pub(super) fn next_wire_reference(&self) -> String {
        let next = self.0.wire_references.fetch_add(1, Ordering::Relaxed);
        next.max(1).to_string()
    }

    pub(super) fn try_reserve(&self) -> Option<Slot> {
        let slot = self.0.link.try_reserve()?;
        self.0.rate.check().is_ok().then_some(slot)
    }

    pub(super) async fn reserve(&self, patience: Duration, urgency: Urgency) -> Option<Slot> {
        let lane = match urgency {
            Urgency::Ticket => Lane::Priority,
            Urgency::Normal => Lane::Normal,
        };
        let started = Instant::now();
        let slot = self.0.link.reserve(lane, started + patience).await.ok()?;
        let left = patience.saturating_sub(started.elapsed());
        tokio::time::timeout(left, self.0.rate.until_ready()).await.ok()?;
        histogram!("carrier_slot_wait_seconds", "carrier" => self.0.name.to_string())
            .record(started.elapsed().as_secs_f64());
        Some(slot)
    }

    pub(super) async fn charge(
        &self,
        slot: Slot,
        charge: &Charge,
        attempt: &Attempt,
        text: &str,
        now: Timestamp,
    ) -> Evidence {
        let number = attempt.number;
        let message = match compose::charged_message(&self.0.config, charge, attempt, text, now) {
            Ok(message) => message,
            Err(problem) => {
                error!(carrier = %self.0.name, charge = %charge.reference, %problem, "a charge cannot be put into a message");
                let id = format!("link:{number}:unencodable");
                return Evidence { id, attempt: number, source: EvidenceSource::Link, finding: Finding::NotSent };
            }
        };
        let token = self.0.tokens.fetch_add(1, Ordering::Relaxed);
        // Remembered before the first byte leaves, so that a late answer always finds its attempt.
        self.unanswered().insert(token, charge.reference, number);
        let outcome = slot.submit(message, token).await;
        if !matches!(outcome, SubmitOutcome::InDoubt { .. }) {
            self.unanswered().remove(token);
        }
        let evidence = self.evidence(number, &outcome);
        counter!("carrier_charge_answers_total", "carrier" => self.0.name.to_string(), "finding" => finding_code(&evidence.finding))
            .increment(1);
        evidence
    }

    fn evidence(&self, attempt: u16, outcome: &SubmitOutcome) -> Evidence {
        let finding = self.0.meanings.of_outcome(outcome);
        let (id, source) = match outcome {
            SubmitOutcome::NotWritten { .. } => (format!("link:{attempt}:not_written"), EvidenceSource::Link),
            SubmitOutcome::InDoubt { cause } => (format!("link:{attempt}:{cause}"), EvidenceSource::Link),
            SubmitOutcome::Nack { status } => (format!("nack:{attempt}:{:08x}", status.0), EvidenceSource::Response),
            SubmitOutcome::Response { status, message_id } => {
                let message_id = message_id.as_deref().unwrap_or_default();
                (format!("response:{attempt}:{:08x}:{message_id}", status.0), EvidenceSource::Response)
            }
        };
        Evidence { id, attempt, source, finding }
    }

    pub(super) async fn query(&self, attempt: &Attempt) -> Option<Finding> {
        let message_id = compose::id_as_written(&self.0.config.smpp, attempt.carrier_id.as_deref()?);
        self.0.config.smpp.query?;
        let query = QuerySm { message_id, source: Address::short_code(self.0.config.short_number.clone()) };
        let outcome = self.0.link.query(query, Instant::now() + QUERY_PATIENCE).await;
        Some(match outcome {
            QueryOutcome::State(state) => self.0.meanings.of_queried_state(state.message_state),
            // An error of the query says nothing of the message (M8).
            QueryOutcome::Refused { .. } | QueryOutcome::NotWritten { .. } | QueryOutcome::Unanswered { .. } => {
                Finding::Nothing
            }
        })
    }

    pub(super) fn receipt_fits(&self, receipt: &CarrierReceipt, charge: &Charge, attempt: &Attempt) -> bool {
        let profile = &self.0.config.smpp;
        let short_number = self.0.config.short_number.as_str();
        let source = match tariff::tariff_for(&profile.tariffs, charge.order.amount) {
            Ok(tariff) if charge.order.amount.minor > 0 => tariff.source.as_deref().unwrap_or(short_number),
            _ => short_number,
        };
        receipt.fits(attempt, charge.order.msisdn, source, &self.0.zone)
    }

    pub(super) async fn shut_down(&self) {
        self.0.link.unbind().await;
    }

    fn unanswered(&self) -> std::sync::MutexGuard<'_, Unanswered> {
        self.0.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what the link says unasked, until the link ends or nobody listens.
    async fn listen(self, mut events: mpsc::Receiver<LinkEvent>, sender: mpsc::Sender<CarrierEvent>) {
        while let Some(event) = events.recv().await {
            let event = match event {
                LinkEvent::Up { system_id } => {
                    info!(carrier = %self.0.name, system_id, "bound");
                    continue;
                }
                LinkEvent::Down { why, retry_in } => {
                    warn!(carrier = %self.0.name, %why, retry_in_ms = retry_in.as_millis(), "the link is down");
                    counter!("carrier_link_down_total", "carrier" => self.0.name.to_string()).increment(1);
                    continue;
                }
                LinkEvent::Fault(fault) => {
                    warn!(carrier = %self.0.name, ?fault, "the SMSC departed from the protocol");
                    continue;
                }
                LinkEvent::Deliver { sm, responder } => self.delivered(&sm, Ack::new(responder)),
                LinkEvent::Late { token, answer } => self.late(token, answer.into()),
                LinkEvent::Orphan { token, outcome } => self.late(token, outcome),
            };
            if let Some(event) = event
                && sender.send(event).await.is_err()
            {
                return;
            }
        }
    }

    /// A late answer is as good as one in time.
    fn late(&self, token: u64, outcome: SubmitOutcome) -> Option<CarrierEvent> {
        let (reference, attempt) = self.unanswered().remove(token)?;
        counter!("carrier_late_answers_total", "carrier" => self.0.name.to_string()).increment(1);
        Some(CarrierEvent::Late { reference, evidence: self.evidence(attempt, &outcome) })
    }
}

fn link_config(name: &CarrierName, config: &CarrierConfig, password: &str) -> LinkConfig {
    let profile = &config.smpp;
    let bind = smpp::Bind {
        mode: profile.bind.into(),
        system_id: profile.system_id.clone(),
        password: password.to_owned(),
        system_type: profile.system_type.clone(),
        ..smpp::Bind::default()
    };
    let mut session = SessionConfig::new(name.as_str(), profile.system_id.as_str(), bind);
    session.window = profile.window.into();
    session.response_timeout = profile.response_timeout();
    session.enquire_after = Duration::from_millis(profile.enquire_after_ms);
    let (host, port) = profile.address.rsplit_once(':').unwrap_or((&profile.address, "2775"));
    let mut link = LinkConfig::new(host, port.parse().unwrap_or(2775), session);
    link.reconnect.longest = Duration::from_millis(profile.reconnect_ms_max);
    link.reconnect.first = link.reconnect.first.min(link.reconnect.longest);
    link.reconnect.already_bound = Duration::from_millis(profile.already_bound_wait_ms);
    link
}

fn finding_code(finding: &Finding) -> &'static str {
    match finding {
        Finding::NotSent => "not_sent",
        Finding::Rejected { .. } => "rejected",
        Finding::Accepted { .. } => "accepted",
        Finding::OtpNeeded { .. } => "otp_needed",
        Finding::Charged { .. } => "charged",
        Finding::Doubtful { .. } => "in_doubt",
        Finding::NotFound { .. } => "not_found",
        Finding::Nothing => "nothing",
    }
}

/// Which attempt each unanswered request belongs to. Bounded: the oldest in doubt are forgotten first.
#[derive(Debug, Default)]
struct Unanswered {
    attempts: HashMap<u64, (Reference, u16)>,
    order: VecDeque<u64>,
}

impl Unanswered {
    fn insert(&mut self, token: u64, reference: Reference, attempt: u16) {
        self.attempts.insert(token, (reference, attempt));
        self.order.push_back(token);
        while self.order.len() > LATE_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.attempts.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, token: u64) -> Option<(Reference, u16)> {
        let found = self.attempts.remove(&token);
        // Answered requests leave the front of the queue, so that it holds little more than what is unanswered.
        while self.order.front().is_some_and(|front| !self.attempts.contains_key(front)) {
            self.order.pop_front();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_unanswered_requests_is_bounded_and_forgets_the_oldest() {
        let mut unanswered = Unanswered::default();
        let reference = Reference::from_bytes([1; 16]);
        for token in 0..LATE_MAX as u64 + 10 {
            unanswered.insert(token, reference, 1);
        }
        assert_eq!(unanswered.order.len(), LATE_MAX);
        assert_eq!(unanswered.remove(9), None);
        assert_eq!(unanswered.remove(10), Some((reference, 1)));
        assert_eq!(unanswered.attempts.len(), LATE_MAX - 1);
    }
}
