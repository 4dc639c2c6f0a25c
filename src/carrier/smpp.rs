//! Charging by SMPP: a charged message is a `submit_sm` with the fare's tariff and a neutral text.

mod compose;
mod deliver;
mod fault_log;
mod query;
mod refund;
mod send;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use metrics::{counter, histogram};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tracing::{error, info};

use self::fault_log::FaultLog;
use super::{
    Ack, AtStart, BindStanding, CarrierConfig, CarrierEvent, LinkSecrets, Meanings, Mode, NoSlot, SmppProfile,
    Standing, Trace, TraceFilter, Urgency, links, transcript,
};
use crate::{
    charge::{Attempt, CarrierName, Charge, Contract, Event, Evidence, EvidenceSource, Finding, Reference},
    clock::Timestamp,
    money::Money,
    process,
    smpp::{self, BreakerState, Lane, LinkState, Pool, PoolEvent, ReserveError, SubmitOutcome, SubmitSm, Tls},
};

/// A place in the window of an SMPP link.
pub(super) type Slot = smpp::Slot;

/// Attempts in doubt whose late answer is recognised; the oldest are forgotten first, and then a receipt or a query has to
/// settle them.
const LATE_MAX: usize = 10_000;
/// Events that wait for the gateway. With more, the link stops reading, and the carrier keeps the rest.
const EVENTS_MAX: usize = 256;

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

/// A carrier that charges by SMPP. Clones share its links.
#[derive(Clone)]
pub struct SmppCarrier(Arc<Inner>);

struct Inner {
    name: CarrierName,
    config: CarrierConfig,
    profile: SmppProfile,
    zone: TimeZone,
    meanings: Meanings,
    pool: Pool,
    tls: Option<Tls>,
    wire_references: AtomicU16,
    tokens: AtomicU64,
    unanswered: Mutex<Unanswered>,
    queries: Semaphore,
}

impl fmt::Debug for SmppCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmppCarrier({})", self.0.name)
    }
}

impl SmppCarrier {
    /// Opens the links; they connect, bind and stay bound from now on. The events must be read.
    ///
    /// Errors: a configuration that cannot work, named by its key.
    pub fn open(
        name: CarrierName,
        config: CarrierConfig,
        secrets: &LinkSecrets,
        at_start: AtStart,
    ) -> Result<(SmppCarrier, mpsc::Receiver<CarrierEvent>), SetupError> {
        let wrong = |problem: String| SetupError::Config { carrier: name.clone(), problem };
        let Some(profile) = config.smpp.clone() else {
            return Err(wrong("smpp: it is missing".into()));
        };
        let problems = if config.charges_by_smpp() { profile.problems() } else { profile.link_only_problems() };
        if let Some(problem) = problems.into_iter().next() {
            return Err(wrong(format!("smpp.{problem}")));
        }
        let zone = config.zone().map_err(wrong)?;
        let tls = profile.tls(secrets).map_err(|error| wrong(format!("smpp.tls: {error}")))?;
        let mut pool = links::pool_config(&name, &profile, secrets, tls.as_ref());
        pool.rests = at_start == AtStart::Wait;
        let (pool, events) = Pool::open(pool).map_err(|error| wrong(format!("smpp: {error}")))?;
        let carrier = SmppCarrier(Arc::new(Inner {
            meanings: Meanings::new(&profile),
            zone,
            pool,
            tls,
            // A start at random, so that receipts of an earlier process are not taken for ours.
            wire_references: AtomicU16::new(process::random()),
            tokens: AtomicU64::new(1),
            unanswered: Mutex::default(),
            queries: Semaphore::new(query::QUERIES_MAX),
            name,
            config,
            profile,
        }));
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        process::spawn(carrier.clone().listen(events, sender));
        Ok((carrier, receiver))
    }

    /// See [`crate::carrier::Carrier::reload`].
    pub(super) fn reload(&self, config: &CarrierConfig, secrets: &LinkSecrets) -> Result<(), SetupError> {
        let wrong = |problem: String| SetupError::Config { carrier: self.0.name.clone(), problem };
        let Some(profile) = &config.smpp else { return Ok(()) };
        if let Some(tls) = self.0.tls.as_ref().filter(|_| profile.tls.is_some()) {
            tls.replace(&secrets.tls).map_err(|error| wrong(format!("smpp.tls: {error}")))?;
        }
        for (name, fields) in links::rebinds(&self.0.profile, profile, secrets) {
            self.0.pool.set_bind(&name, fields).map_err(|error| wrong(format!("smpp: {error}")))?;
        }
        self.0.pool.set_tps(profile.tps);
        Ok(())
    }

    pub(super) fn name(&self) -> &CarrierName {
        &self.0.name
    }

    pub(super) fn config(&self) -> &CarrierConfig {
        &self.0.config
    }

    pub(super) fn contract(&self) -> Contract {
        self.0.profile.contract()
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    pub(super) fn standing(&self) -> Standing {
        let pool = self.0.pool.standing();
        let bind = |(name, state): (&str, tokio::sync::watch::Receiver<LinkState>)| {
            let state = state.borrow().clone();
            BindStanding { name: name.to_owned(), up: state == LinkState::Up, detail: state.to_string() }
        };
        let binds: Vec<BindStanding> = self.0.pool.links().map(bind).collect();
        let modes = self.0.profile.binds().into_iter().map(|bind| bind.mode);
        Standing {
            up: pool.links_open > 0,
            receives: modes.zip(&binds).any(|(mode, bind)| mode != Mode::Transmitter && bind.up),
            paused: pool.paused,
            breaker_open: matches!(pool.breaker, BreakerState::Open { .. }),
            throttled: pool.throttled,
            rate_milli: pool.rate_milli,
            binds,
        }
    }

    /// Has these binds from now on, and no other.
    pub(super) fn set_wanted(&self, is_wanted: impl Fn(&str) -> bool) {
        self.0.pool.set_wanted(is_wanted);
    }

    /// The binds that it has, or is about to have or to leave.
    pub(super) fn binds_in_use(&self) -> Vec<String> {
        let in_use =
            self.0.pool.links().filter(|(_, state)| !matches!(*state.borrow(), LinkState::Resting | LinkState::Ended));
        in_use.map(|(name, _)| name.to_owned()).collect()
    }

    pub(super) fn expected_answer(&self) -> Duration {
        self.0.pool.expected_answer().min(self.0.profile.response_timeout())
    }

    pub(super) fn set_paused(&self, paused: bool) {
        info!(carrier = %self.0.name, paused, "carrier paused or resumed by hand");
        if paused { self.0.pool.pause() } else { self.0.pool.resume() }
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
        self.0.pool.try_reserve()
    }

    pub(super) async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<Slot, NoSlot> {
        let lane = match urgency {
            Urgency::Ticket => Lane::Priority,
            Urgency::Normal => Lane::Normal,
        };
        let started = process::now();
        let slot = self.0.pool.reserve(lane, started + patience).await.map_err(|error| match error {
            ReserveError::Deadline => NoSlot::InTime,
            ReserveError::TooLate | ReserveError::Busy => NoSlot::TooManyWait,
            ReserveError::Ended => NoSlot::ShuttingDown,
        })?;
        histogram!("carrier_slot_wait_seconds", "carrier" => self.0.name.to_string())
            .record(process::now().saturating_duration_since(started).as_secs_f64());
        Ok(slot)
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
        let message = match compose::charged_message(
            &self.0.config.short_number,
            &self.0.profile,
            charge,
            attempt,
            text,
            now,
        ) {
            Ok(message) => message,
            Err(problem) => {
                error!(carrier = %self.0.name, charge = %charge.reference, %problem, "a charge cannot be put into a message");
                let id = format!("link:{number}:unencodable");
                return Evidence { id, attempt: number, source: EvidenceSource::Link, finding: Finding::NotSent };
            }
        };
        let asked = Asked { charge: charge.reference, what: AskedFor::Attempt(number) };
        let outcome = self.submit(slot, message, asked).await;
        let evidence = self.evidence(number, &outcome);
        counter!("carrier_charge_answers_total", "carrier" => self.0.name.to_string(), "finding" => evidence.finding.code())
            .increment(1);
        evidence
    }

    /// Sends what is durable. An answer that comes after all still finds what was asked for.
    async fn submit(&self, slot: Slot, message: SubmitSm, asked: Asked) -> SubmitOutcome {
        let token = self.0.tokens.fetch_add(1, Ordering::Relaxed);
        // Remembered before the first byte leaves: the answer may come at once.
        self.unanswered().insert(token, asked);
        let outcome = slot.submit(message, token).await;
        if !matches!(outcome, SubmitOutcome::InDoubt { .. }) {
            self.unanswered().remove(token);
        }
        if let Some(words) = words_of(&outcome) {
            transcript::note(|| words);
        }
        outcome
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

    pub(super) fn trace(&self, filter: TraceFilter, now: Timestamp) -> Result<Trace, smpp::tap::TooManyListeners> {
        Ok(Trace::new(self.0.pool.tap().listen()?, self.0.profile.default_alphabet, filter, now))
    }

    pub(super) async fn shut_down(&self) {
        self.0.pool.unbind().await;
    }

    fn unanswered(&self) -> std::sync::MutexGuard<'_, Unanswered> {
        self.0.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what the link says unasked, until the link ends or nobody listens.
    async fn listen(self, mut events: mpsc::Receiver<PoolEvent>, sender: mpsc::Sender<CarrierEvent>) {
        let mut faults = FaultLog::default();
        while let Some(event) = events.recv().await {
            let event = match event {
                PoolEvent::Up { link, endpoint, system_id } => {
                    info!(carrier = %self.0.name, bind = %link, %endpoint, system_id, "bound");
                    continue;
                }
                // The link has logged and counted it.
                PoolEvent::Down { .. } => continue,
                PoolEvent::Fault { link, fault } => {
                    faults.tell(&self.0.name, &link, &fault, process::now());
                    continue;
                }
                PoolEvent::Deliver { sm, responder } => self.delivered(&sm, Ack::new(responder)),
                PoolEvent::Late { token, answer } => self.late(token, answer.into()),
                PoolEvent::Orphan { token, outcome } => self.late(token, outcome),
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
        let Asked { charge, what } = self.unanswered().remove(token)?;
        counter!("carrier_late_answers_total", "carrier" => self.0.name.to_string()).increment(1);
        let event = match what {
            AskedFor::Attempt(number) => Event::Evidence(self.evidence(number, &outcome)),
            AskedFor::Refund(refund) => self.late_refund(refund, &outcome),
        };
        Some(CarrierEvent::Late { reference: charge, event, words: words_of(&outcome) })
    }
}

/// What the SMSC answered, if it did.
fn words_of(outcome: &SubmitOutcome) -> Option<String> {
    match outcome {
        SubmitOutcome::NotWritten { .. } | SubmitOutcome::InDoubt { .. } => None,
        SubmitOutcome::Nack { status } => Some(format!("generic_nack: command_status {status}")),
        SubmitOutcome::Response { status, message_id: None } => {
            Some(format!("submit_sm_resp: command_status {status}"))
        }
        SubmitOutcome::Response { status, message_id: Some(id) } => {
            Some(format!("submit_sm_resp: command_status {status}, message_id {id:?}"))
        }
    }
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    charge: Reference,
    what: AskedFor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedFor {
    /// The attempt with this number.
    Attempt(u16),
    /// This refund.
    Refund(Reference),
}

/// What each unanswered request was for, by token. Tokens rise, so the oldest is the first. Bounded: it is forgotten first.
#[derive(Debug, Default)]
struct Unanswered(BTreeMap<u64, Asked>);

impl Unanswered {
    fn insert(&mut self, token: u64, asked: Asked) {
        self.0.insert(token, asked);
        while self.0.len() > LATE_MAX {
            self.0.pop_first();
        }
    }

    fn remove(&mut self, token: u64) -> Option<Asked> {
        self.0.remove(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { charge: Reference::from_bytes([1; 16]), what: AskedFor::Attempt(1) };

    #[test]
    fn the_memory_of_unanswered_requests_is_bounded_and_forgets_the_oldest() {
        let mut unanswered = Unanswered::default();
        for token in 0..LATE_MAX as u64 + 10 {
            unanswered.insert(token, ASKED);
        }
        assert_eq!(unanswered.0.len(), LATE_MAX);
        assert_eq!(unanswered.remove(9), None);
        assert_eq!(unanswered.remove(10), Some(ASKED));
        assert_eq!(unanswered.0.len(), LATE_MAX - 1);
    }

    #[test]
    fn however_many_are_answered_one_in_doubt_is_remembered() {
        let mut unanswered = Unanswered::default();
        unanswered.insert(0, ASKED);
        for token in 1..=LATE_MAX as u64 + 1 {
            unanswered.insert(token, ASKED);
            unanswered.remove(token);
        }
        assert_eq!(unanswered.remove(0), Some(ASKED));
    }
}
