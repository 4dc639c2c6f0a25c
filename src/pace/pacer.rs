//! All that says whether a carrier may be sent a request now: the contract's rate, its mood, its health.

use std::time::{Duration, Instant};

use super::{Breaker, BreakerConfig, BreakerState, Latency, Limiter, Throttle};

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// It may then, if nothing else happens.
    Later(Instant),
    /// Something else has to happen first.
    Wait,
}

/// The four things that pace what goes to a carrier.
#[derive(Debug)]
pub struct Pacer {
    /// The contract's rate.
    pub contract: Limiter,
    /// The carrier's mood.
    pub throttle: Throttle,
    /// The carrier's health.
    pub breaker: Breaker,
    /// How long its answers take.
    pub latency: Latency,
}

impl Pacer {
    /// At the contract's rate, in requests a second.
    pub fn new(tps: u32, breaker: BreakerConfig) -> Pacer {
        Pacer {
            contract: Limiter::new(tps),
            throttle: Throttle::new(tps),
            breaker: Breaker::new(breaker),
            latency: Latency::default(),
        }
    }

    /// Another rate by contract, from now on.
    pub fn set_tps(&mut self, tps: u32) {
        self.contract = Limiter::new(tps);
        self.throttle.set_ceiling(tps);
    }

    /// Whether a request may go now.
    pub fn turn(&mut self, now: Instant) -> Turn {
        if !self.breaker.lets_through(now) {
            return match self.breaker.state(now) {
                BreakerState::Open { until } => Turn::Later(until),
                _ => Turn::Wait,
            };
        }
        if let Some(at) = self.throttle.not_before(now) {
            return Turn::Later(at);
        }
        match self.contract.allows(now) {
            Ok(()) => Turn::Now,
            Err(at) => Turn::Later(at),
        }
    }

    /// A request goes now. Whether the circuit breaker waits for what becomes of it.
    pub fn take(&mut self, now: Instant) -> bool {
        self.contract.take();
        self.throttle.take(now);
        self.breaker.take()
    }

    /// How long somebody waits who has so many ahead, where so many requests can be under way at once.
    pub fn time_for(&self, ahead: usize, at_once: usize) -> Duration {
        let by_rate = self.throttle.time_for(u64::try_from(ahead).unwrap_or(u64::MAX));
        let rounds = u32::try_from(ahead / at_once.max(1)).unwrap_or(u32::MAX);
        by_rate.max(self.latency.typical().saturating_mul(rounds))
    }
}
