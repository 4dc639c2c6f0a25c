use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::{counter, gauge, histogram};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, watch},
    time,
};
use tracing::{debug, warn};

use crate::{
    msisdn::Msisdn,
    pace::{Breaker, BreakerConfig, BreakerState},
    process,
};

/// How one source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskingConfig {
    /// Questions under way at once; further ones wait their turn, as long as somebody waits for them.
    pub questions_max: usize,
    /// After so long a question is given up. An answer that comes later than the budget still serves the next to ask.
    pub timeout: Duration,
    /// What a charge waits at most. An answer that takes longer counts as a failure for the breaker, however good it is.
    pub budget: Duration,
    /// When the source is left alone for a while.
    pub breaker: BreakerConfig,
}

/// Why a source said nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Silence {
    /// It did not answer within the time that a charge has for it.
    TimedOut,
    /// It failed so often of late that it is not asked for a while.
    BreakerOpen,
    /// It answered that it does not know.
    CannotSay,
    /// It answered with an error, with something that cannot be read, or not at all.
    Failed {
        /// What happened, for people.
        detail: String,
    },
}

impl Silence {
    /// The stable code, as in the metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Silence::TimedOut => "timed_out",
            Silence::BreakerOpen => "breaker_open",
            Silence::CannotSay => "cannot_say",
            Silence::Failed { .. } => "failed",
        }
    }
}

/// Asks one source about numbers: never about one number twice at once, never too much at once, and not while it is down.
///
/// Whoever asks about a number that is being asked about waits for the same answer. A question that has begun goes on when
/// nobody waits for it any more: its answer serves the next.
pub struct Asking<A>(Arc<Inner<A>>);

struct Inner<A> {
    source: Arc<str>,
    config: AskingConfig,
    places: Semaphore,
    breaker: Mutex<Breaker>,
    flights: Mutex<Flights<A>>,
}

type Said<A> = Option<Result<A, Silence>>;
type Flights<A> = HashMap<Msisdn, Arc<watch::Sender<Said<A>>>>;

/// An answer that is on its way.
#[derive(Debug)]
pub struct Waiting<A>(watch::Receiver<Said<A>>);

impl<A: Clone + Send + Sync + 'static> Asking<A> {
    /// Nobody is asked yet. `source` is its name in metrics and logs.
    pub fn new(source: Arc<str>, config: AskingConfig) -> Asking<A> {
        gauge!("source_breaker_open", "source" => source.to_string()).set(0.0);
        Asking(Arc::new(Inner {
            source,
            config,
            places: Semaphore::new(config.questions_max.max(1)),
            breaker: Mutex::new(Breaker::new(config.breaker)),
            flights: Mutex::default(),
        }))
    }

    /// Asks about a number, unless it is being asked about already. Returns at once; needs a tokio runtime.
    ///
    /// `question` is not run at all if nobody waits for it any more by the time that its turn comes. Its error says what
    /// happened.
    ///
    /// Errors: the breaker is open.
    pub fn begin<F>(&self, msisdn: Msisdn, question: impl FnOnce() -> F) -> Result<Waiting<A>, Silence>
    where
        F: Future<Output = Result<A, String>> + Send + 'static,
    {
        let inner = &self.0;
        let mut flights = inner.flights();
        if let Some(flight) = flights.get(&msisdn) {
            return Ok(Waiting(flight.subscribe()));
        }
        let mut breaker = inner.breaker();
        if !breaker.lets_through(process::now()) {
            drop((breaker, flights));
            inner.count(Silence::BreakerOpen.code());
            return Err(Silence::BreakerOpen);
        }
        let is_trial = breaker.take();
        drop(breaker);
        let (sender, waiting) = watch::channel(None);
        let sender = Arc::new(sender);
        flights.insert(msisdn, sender.clone());
        drop(flights);
        let landing = Landing { inner: inner.clone(), msisdn, sender, is_trial };
        process::spawn(landing.fly(question()));
        Ok(Waiting(waiting))
    }

    /// How many questions are under way or wait their turn.
    pub fn under_way(&self) -> usize {
        self.0.flights().len()
    }
}

impl<A: Clone> Waiting<A> {
    /// What the source says, if it says so before `until`.
    pub async fn answer(mut self, until: Instant) -> Result<A, Silence> {
        let said = time::timeout_at(until.into(), self.0.wait_for(Option::is_some)).await;
        match said {
            Ok(Ok(said)) => said.clone().unwrap_or(Err(Silence::TimedOut)),
            Ok(Err(_)) => Err(Silence::Failed { detail: "the question broke off".into() }),
            Err(_) => Err(Silence::TimedOut),
        }
    }
}

impl<A> Inner<A> {
    fn flights(&self) -> MutexGuard<'_, Flights<A>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        counter!("source_questions_total", "source" => self.source.to_string(), "outcome" => outcome).increment(1);
    }

    fn set_breaker_gauge(&self, open: bool) {
        gauge!("source_breaker_open", "source" => self.source.to_string()).set(if open { 1.0 } else { 0.0 });
    }
}

/// A question under way. However it ends, the next to ask about the number begins a new one.
struct Landing<A> {
    inner: Arc<Inner<A>>,
    msisdn: Msisdn,
    sender: Arc<watch::Sender<Said<A>>>,
    is_trial: bool,
}

impl<A: Clone + Send + Sync + 'static> Landing<A> {
    async fn fly<F: Future<Output = Result<A, String>>>(self, question: F) {
        let inner = self.inner.clone();
        let place = tokio::select! {
            biased;
            // It never closes.
            place = inner.places.acquire() => place.ok(),
            () = self.abandoned() => None,
        };
        if place.is_none() {
            self.give_trial_back();
            inner.count("abandoned");
            return;
        }
        // It may have opened while this question waited its turn.
        if !self.is_trial && inner.breaker().state(process::now()) != BreakerState::Closed {
            inner.count(Silence::BreakerOpen.code());
            self.say(Err(Silence::BreakerOpen));
            return;
        }
        let begun = process::now();
        let said = match time::timeout(inner.config.timeout, question).await {
            Ok(said) => said.map_err(|detail| Silence::Failed { detail }),
            Err(_) => Err(Silence::TimedOut),
        };
        self.land(said, process::now().saturating_duration_since(begun));
    }

    /// Returns once nobody waits, with the flight out of the way of those who ask later.
    async fn abandoned(&self) {
        loop {
            self.sender.closed().await;
            let mut flights = self.inner.flights();
            if self.sender.receiver_count() == 0 {
                flights.remove(&self.msisdn);
                return;
            }
        }
    }

    fn land(&self, said: Result<A, Silence>, took: Duration) {
        let Inner { source, config, .. } = &*self.inner;
        histogram!("source_question_seconds", "source" => source.to_string()).record(took.as_secs_f64());
        let outcome = match &said {
            Ok(_) if took > config.budget => "late",
            Ok(_) => "answered",
            Err(silence) => silence.code(),
        };
        self.inner.count(outcome);
        if outcome == "answered" {
            self.inner.breaker().answered();
            self.inner.set_breaker_gauge(false);
        } else {
            debug!(%source, outcome, ?took, "a source did not answer in time");
            if self.inner.breaker().failed(process::now()) {
                self.inner.set_breaker_gauge(true);
                let why =
                    said.as_ref().err().map_or("its answers come too late".into(), |silence| format!("{silence:?}"));
                warn!(%source, why, "a source of facts is left alone for a while");
            }
        }
        self.say(said);
    }

    fn say(&self, said: Result<A, Silence>) {
        self.inner.flights().remove(&self.msisdn);
        self.sender.send_replace(Some(said));
    }
}

impl<A> Landing<A> {
    fn give_trial_back(&self) {
        if self.is_trial {
            self.inner.breaker().give_back();
        }
    }
}

impl<A> Drop for Landing<A> {
    /// Only a flight that broke off is still there.
    fn drop(&mut self) {
        let mut flights = self.inner.flights();
        if flights.get(&self.msisdn).is_some_and(|flight| Arc::ptr_eq(flight, &self.sender)) {
            flights.remove(&self.msisdn);
            drop(flights);
            self.give_trial_back();
            self.sender.send_replace(Some(Err(Silence::Failed { detail: "the question broke off".into() })));
        }
    }
}

impl<A> Clone for Asking<A> {
    fn clone(&self) -> Asking<A> {
        Asking(self.0.clone())
    }
}

impl<A> fmt::Debug for Asking<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("source", &self.0.source).field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "asking/tests.rs"]
mod tests;
