//! What the answers say: each is looked at, one of many is read whole, and what is not as it should be is counted by its kind.

use std::{collections::BTreeMap, io, time::Duration};

use serde_json::{Value, json};

use crate::{connection::Answer, latencies::Latencies};

/// One answer of so many is read whole.
const READ_WHOLE_EVERY: u64 = 256;
/// An example of each kind of error, and no more of it than this.
const EXAMPLE_BYTES_MAX: usize = 400;
const KINDS_MAX: usize = 64;

/// What an answer to the request is to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The money is taken and the ticket is there.
    Charged,
    /// It is durable and on its way.
    Processing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    WarmUp,
    Measured,
    Over,
}

pub(crate) struct Tally {
    expected: Expected,
    /// Of good answers that came in the measured time.
    latencies: Latencies,
    measured: u64,
    /// Good answers, whenever they came.
    good: u64,
    read_whole: u64,
    /// What was wrong: how often, and once in its words.
    errors: BTreeMap<String, (u64, String)>,
}

impl Tally {
    pub(crate) fn new(expected: Expected) -> Tally {
        Tally { expected, latencies: Latencies::new(), measured: 0, good: 0, read_whole: 0, errors: BTreeMap::new() }
    }

    pub(crate) fn answered(&mut self, phase: Phase, took: Duration, msisdn: &str, vehicle: u32, answer: &Answer<'_>) {
        match self.judge(msisdn, vehicle, answer) {
            Ok(()) => {
                self.good += 1;
                if phase == Phase::Measured {
                    self.measured += 1;
                    self.latencies.record(took);
                }
            }
            Err(kind) => self.count_error(kind, &String::from_utf8_lossy(answer.body)),
        }
    }

    pub(crate) fn failed(&mut self, error: &io::Error) {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".into(),
            io::ErrorKind::Other => error.to_string(),
            kind => format!("connection: {kind}"),
        };
        self.count_error(kind, &error.to_string());
    }

    fn count_error(&mut self, kind: String, words: &str) {
        let kind = if self.errors.len() < KINDS_MAX { kind } else { "of further kinds".into() };
        let example = || words.chars().take(EXAMPLE_BYTES_MAX).collect();
        self.errors.entry(kind).or_insert_with(|| (0, example())).0 += 1;
    }

    fn judge(&mut self, msisdn: &str, vehicle: u32, answer: &Answer<'_>) -> Result<(), String> {
        let (statuses, state): (&[u16], &[u8]) = match self.expected {
            Expected::Charged => (&[201], b"\"state\":\"charged\""),
            Expected::Processing => (&[201, 202], b"\"state\":\""),
        };
        if !statuses.contains(&answer.status) {
            return Err(format!("status {}", answer.status));
        }
        if !has(answer.body, state) {
            return Err(format!("status {}, but not charged", answer.status));
        }
        if self.expected == Expected::Charged && !has(answer.body, b"\"qr_text\":\"SB1:") {
            return Err("charged without a ticket".into());
        }
        if self.good.is_multiple_of(READ_WHOLE_EVERY) {
            self.read_whole += 1;
            return self.read_whole(msisdn, vehicle, answer.body);
        }
        Ok(())
    }

    fn read_whole(&self, msisdn: &str, vehicle: u32, body: &[u8]) -> Result<(), String> {
        let charge: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let names_itself = charge["reference"].as_str().is_some_and(|reference| reference.len() == 36);
        let rides_in = charge["vehicle"].as_str().and_then(|code| code.parse().ok());
        let is_ours = charge["msisdn"] == msisdn && rides_in == Some(vehicle);
        let is_paid = charge["amount"]["minor"].as_i64().is_some_and(|minor| minor > 0);
        let has_its_ticket = self.expected == Expected::Processing
            || ["expires_at", "short_code", "link"].iter().all(|part| charge["ticket"][part].is_string());
        let is_new = charge.get("repeat_of").is_none();
        match names_itself && is_ours && is_paid && has_its_ticket && is_new {
            true => Ok(()),
            false => Err("an answer that is not that of this request".into()),
        }
    }

    /// What was measured, in so many seconds.
    pub(crate) fn measured(&self, seconds: f64) -> Value {
        json!({
            "seconds": seconds,
            "answers": self.measured,
            "per_second": self.measured as f64 / seconds,
            "latency_ms": self.latencies.to_json(),
        })
    }

    /// All that came, also before and after the measured time.
    pub(crate) fn in_all(&self) -> Value {
        let errors: u64 = self.errors.values().map(|(count, _)| count).sum();
        let shown = |(kind, (count, example)): (&String, &(u64, String))| {
            (kind.clone(), json!({ "count": count, "example": example }))
        };
        let kinds: BTreeMap<String, Value> = self.errors.iter().map(shown).collect();
        json!({ "good": self.good, "read_whole": self.read_whole, "errors": errors, "errors_by_kind": kinds })
    }
}

fn has(body: &[u8], words: &[u8]) -> bool {
    let first = words[0];
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        rest = &rest[at..];
        if rest.starts_with(words) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
