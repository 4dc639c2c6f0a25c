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

/// Counts how often the link went down, and shows whether it is up.
pub(super) struct LinkMetering {
    up: Gauge,
    down_total: Counter,
}

impl LinkMetering {
    pub(super) fn new(carrier: &str, bind: &str) -> LinkMetering {
        let labels = vec![Label::new("carrier", carrier.to_owned()), Label::new("bind", bind.to_owned())];
        let meters = LinkMetering {
            up: metrics::gauge!("smpp_link_up", labels.clone()),
            down_total: metrics::counter!("smpp_link_down_total", labels),
        };
        meters.up.set(0.0);
        meters
    }

    pub(super) fn up(&self) {
        self.up.set(1.0);
    }

    pub(super) fn down(&self) {
        self.up.set(0.0);
        self.down_total.increment(1);
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
