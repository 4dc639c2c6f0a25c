//! The gate of an HTTP carrier: whether a request may go now, and who goes first.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use metrics::{gauge, histogram};
use tracing::info;

use super::slots::{Slots, SlotsConfig, WebSlot, now};
use crate::{
    carrier::{BindStanding, BreakerProfile, NoSlot, Standing, Urgency},
    charge::CarrierName,
    pace::{BreakerConfig, BreakerState},
    process,
};

/// How often the gauges are set.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// The name of the one way to an HTTP carrier, where an SMPP carrier has its binds.
const WAY: &str = "http";

/// How much may be asked of a carrier.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// The contract's rate, in requests a second.
    pub tps: u32,
    /// Requests under way at once.
    pub concurrency: u16,
    /// When a carrier that answers nothing, or cannot be reached, is left alone for a while.
    pub breaker: BreakerProfile,
    /// Those who may wait for a slot; one more is refused.
    pub waiting_max: usize,
}

impl GateConfig {
    /// The defaults, for a contract's rate in requests a second.
    pub fn new(tps: u32) -> GateConfig {
        GateConfig { tps, concurrency: 32, breaker: BreakerProfile::default(), waiting_max: 10_000 }
    }
}

/// Gives the send slots of an HTTP carrier. Clones share them.
///
/// A slot is given where the number of requests under way, the contract's rate and the carrier's mood allow one more, nobody has
/// paused the carrier, and its circuit breaker is closed; tickets before charges. A 429, and a 503, slow it down as
/// `ESME_RTHROTTLED` does an SMPP carrier, and `Retry-After` is waited out.
#[derive(Clone, Debug)]
pub struct Gate {
    carrier: CarrierName,
    slots: Arc<Slots>,
}

impl Gate {
    /// Open. Needs a tokio runtime.
    pub fn new(carrier: CarrierName, config: &GateConfig) -> Gate {
        let slots = Arc::new(Slots::new(&SlotsConfig {
            tps: config.tps,
            concurrency: config.concurrency.max(1).into(),
            breaker: BreakerConfig {
                failures_max: config.breaker.failures_max,
                pause: Duration::from_millis(config.breaker.pause_ms),
                pause_max: Duration::from_millis(config.breaker.pause_ms_max),
            },
            waiting_max: config.waiting_max,
        }));
        process::spawn(Slots::keep_time(Arc::downgrade(&slots)));
        process::spawn(measure(carrier.clone(), Arc::downgrade(&slots)));
        Gate { carrier, slots }
    }

    /// A slot, if a request may go this instant and nobody waits.
    pub fn try_reserve(&self) -> Option<WebSlot> {
        self.slots.try_reserve()
    }

    /// Waits for a slot within `patience`. Errors: there was none, or there will be none; that is said as soon as it can be known.
    pub async fn reserve(&self, patience: Duration, urgency: Urgency) -> Result<WebSlot, NoSlot> {
        let started = now();
        let slot = self.slots.reserve(started + patience, urgency).await?;
        histogram!("carrier_slot_wait_seconds", "carrier" => self.carrier.to_string())
            .record(now().saturating_duration_since(started).as_secs_f64());
        Ok(slot)
    }

    /// Gives no more slots, or again. Slots given are good.
    pub fn set_paused(&self, paused: bool) {
        info!(carrier = %self.carrier, paused, "carrier paused or resumed by hand");
        self.slots.set_paused(paused);
    }

    /// Another contract's rate from now on, in requests a second.
    pub fn set_tps(&self, tps: u32) {
        self.slots.set_tps(tps);
    }

    /// Our part of the contract's rate and of the requests under way: so many parts of so many. With none, no slot is given.
    pub fn set_part(&self, ours: u32, all: u32) {
        self.slots.set_part(ours, all);
    }

    /// How long an answer takes, nearly always, as measured; nothing before the first.
    pub fn expected_answer(&self) -> Duration {
        self.slots.expected_answer()
    }

    /// How it stands. `receives` is whether messages from passengers come this way: they never do.
    pub fn standing(&self) -> Standing {
        let load = self.slots.load();
        let breaker_open = matches!(load.breaker, BreakerState::Open { .. });
        let detail = match (load.ended, load.rests, load.reachable) {
            (true, ..) => "ended",
            (false, true, _) => "resting: other instances have it",
            (false, false, true) => "up",
            (false, false, false) => "down: the last request could not be sent",
        };
        let up = load.reachable && !load.ended && !load.rests;
        Standing {
            up,
            receives: false,
            paused: load.paused,
            breaker_open,
            throttled: load.throttled,
            rate_milli: load.rate_milli,
            binds: vec![BindStanding { name: WAY.to_owned(), up, detail: detail.to_owned() }],
        }
    }

    /// Gives no more slots, for good, and waits until those that were given are back, at most so long.
    pub async fn shut_down(&self, patience: Duration) {
        self.slots.end(now() + patience).await;
    }
}

async fn measure(carrier: CarrierName, slots: Weak<Slots>) {
    let set = |name: &'static str, value: f64| gauge!(name, "carrier" => carrier.to_string()).set(value);
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    while let Some(slots) = slots.upgrade() {
        let load = slots.load();
        drop(slots);
        set("carrier_http_in_flight", count(load.in_flight));
        set("carrier_http_waiting", count(load.waiting));
        set("carrier_http_rate_per_second", per_second(load.rate_milli));
        set("carrier_http_throttled", flag(load.throttled));
        set("carrier_http_breaker_open", flag(matches!(load.breaker, BreakerState::Open { .. })));
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}

fn per_second(rate_milli: u64) -> f64 {
    Duration::from_millis(rate_milli).as_secs_f64()
}
