//! What a session and a link count and measure, labelled with the carrier and the bind.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Gauge, Histogram, Label};

/// The meters of one bind. Counters are registered when they first count.
pub(super) struct Metering {
    labels: Vec<Label>,
    received: HashMap<&'static str, Counter>,
    faults: HashMap<&'static str, Counter>,
    outcomes: HashMap<&'static str, Counter>,
    submit_seconds: Histogram,
    in_flight: Gauge,
    outgoing_bytes: Gauge,
}

impl Metering {
    pub(super) fn new(carrier: &str, bind: &str) -> Metering {
        let labels = vec![Label::new("carrier", carrier.to_owned()), Label::new("bind", bind.to_owned())];
        Metering {
            submit_seconds: metrics::histogram!("smpp_submit_seconds", labels.clone()),
            in_flight: metrics::gauge!("smpp_window_in_flight", labels.clone()),
            outgoing_bytes: metrics::gauge!("smpp_outgoing_bytes", labels.clone()),
            received: HashMap::new(),
            faults: HashMap::new(),
            outcomes: HashMap::new(),
            labels,
        }
    }

    /// A PDU came.
    pub(super) fn received(&mut self, command: &'static str) {
        count(&mut self.received, &self.labels, "smpp_pdu_received_total", "command", command);
    }

    /// The peer departed from the protocol.
    pub(super) fn fault(&mut self, kind: &'static str) {
        count(&mut self.faults, &self.labels, "smpp_fault_total", "kind", kind);
    }

    /// A submission has its outcome.
    pub(super) fn outcome(&mut self, outcome: &'static str) {
        count(&mut self.outcomes, &self.labels, "smpp_submit_total", "outcome", outcome);
    }

    /// A response came so long after its request was submitted.
    pub(super) fn answered_after(&self, time: Duration) {
        self.submit_seconds.record(time);
    }

    /// So many requests wait for their response, and so many bytes to be written.
    pub(super) fn load(&self, in_flight: usize, outgoing_bytes: usize) {
        self.in_flight.set(gauge_value(in_flight));
        self.outgoing_bytes.set(gauge_value(outgoing_bytes));
    }
}

/// Shows whether the link is up, counts how often it went down, and why, and how long it waits to try again.
pub(super) struct LinkMetering {
    labels: Vec<Label>,
    up: Gauge,
    retry_seconds: Gauge,
    down: HashMap<&'static str, Counter>,
}

impl LinkMetering {
    pub(super) fn new(carrier: &str, bind: &str) -> LinkMetering {
        let labels = vec![Label::new("carrier", carrier.to_owned()), Label::new("bind", bind.to_owned())];
        let meters = LinkMetering {
            up: metrics::gauge!("smpp_link_up", labels.clone()),
            retry_seconds: metrics::gauge!("smpp_link_retry_seconds", labels.clone()),
            down: HashMap::new(),
            labels,
        };
        meters.up.set(0.0);
        meters
    }

    pub(super) fn up(&self) {
        self.up.set(1.0);
        self.retry_seconds.set(0.0);
    }

    pub(super) fn down(&mut self, why: &'static str, retry_in: Duration) {
        self.up.set(0.0);
        self.retry_seconds.set(retry_in.as_secs_f64());
        count(&mut self.down, &self.labels, "smpp_link_down_total", "why", why);
    }
}

/// How a pool stands.
pub(super) struct PoolMetering {
    rate: Gauge,
    throttled: Gauge,
    waiting: Gauge,
    breaker_open: Gauge,
}

/// What of a pool is shown.
pub(super) struct Load {
    pub(super) rate_milli: u64,
    pub(super) throttled: bool,
    pub(super) waiting: usize,
    pub(super) breaker_open: bool,
}

impl PoolMetering {
    pub(super) fn new(carrier: &str) -> PoolMetering {
        let labels = vec![Label::new("carrier", carrier.to_owned())];
        PoolMetering {
            rate: metrics::gauge!("smpp_pool_rate_per_second", labels.clone()),
            throttled: metrics::gauge!("smpp_pool_throttled", labels.clone()),
            waiting: metrics::gauge!("smpp_pool_waiting", labels.clone()),
            breaker_open: metrics::gauge!("smpp_pool_breaker_open", labels),
        }
    }

    pub(super) fn standing(&self, load: Load) {
        self.rate.set(Duration::from_millis(load.rate_milli).as_secs_f64());
        self.throttled.set(f64::from(u8::from(load.throttled)));
        self.waiting.set(gauge_value(load.waiting));
        self.breaker_open.set(f64::from(u8::from(load.breaker_open)));
    }
}

fn count(
    counters: &mut HashMap<&'static str, Counter>,
    labels: &[Label],
    name: &'static str,
    key: &'static str,
    value: &'static str,
) {
    counters
        .entry(value)
        .or_insert_with(|| {
            let labels: Vec<Label> = labels.iter().cloned().chain([Label::from_static_parts(key, value)]).collect();
            metrics::counter!(name, labels)
        })
        .increment(1);
}

fn gauge_value(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
