//! Messages with growing windows: how many at once the SMSC takes, and how fast it answers.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use bytes::BytesMut;
use serde::Serialize;

use super::{talk::Talk, wire::WireError};
use crate::smpp::{CommandStatus, SubmitSm, encode};

/// What came of the messages of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct WindowReport {
    /// So many were unanswered at once.
    pub(super) window: u16,
    /// Messages sent.
    pub(super) sent: u32,
    /// Messages that the SMSC took.
    pub(super) accepted: u32,
    /// `ESME_RTHROTTLED`.
    pub(super) throttled: u32,
    /// `ESME_RMSGQFUL`.
    pub(super) queue_full: u32,
    /// Other refusals, by name or number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) refused: BTreeMap<String, u32>,
    /// Messages without an answer in time: they may have been taken.
    pub(super) unanswered: u32,
    /// Half of the answers came within so long, in microseconds.
    pub(super) median_us: Option<u64>,
    /// The slowest answer, in microseconds.
    pub(super) slowest_us: Option<u64>,
    /// Messages taken in a second.
    pub(super) per_second: u64,
}

/// 1, 2, 5, 10, 20, … below `window`, and `window`.
pub(super) fn growing(window: u16) -> Vec<u16> {
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter().take_while(|step| *step < window);
    steps.chain([window.max(1)]).collect()
}

impl WindowReport {
    /// Whether it makes sense to go on with a larger window.
    pub(super) fn goes_on(&self) -> bool {
        self.unanswered == 0 && self.accepted + self.throttled + self.queue_full > 0
    }

    fn count(&mut self, status: CommandStatus) {
        match status {
            CommandStatus::OK => self.accepted += 1,
            CommandStatus::THROTTLED => self.throttled += 1,
            CommandStatus::QUEUE_FULL => self.queue_full += 1,
            status => *self.refused.entry(status.to_string()).or_default() += 1,
        }
    }
}

/// Sends `message` `messages` times, or as often as the window has places if that is more; `window` at once.
pub(super) async fn send(
    talk: &mut Talk,
    message: &SubmitSm,
    window: u16,
    messages: u32,
) -> Result<WindowReport, WireError> {
    let messages = messages.max(window.into());
    let mut report = WindowReport { window, ..WindowReport::default() };
    let mut in_flight: HashMap<u32, Instant> = HashMap::new();
    let mut latencies = Vec::new();
    let begun = Instant::now();
    loop {
        let mut requests = BytesMut::new();
        while report.sent < messages && in_flight.len() < usize::from(window) {
            let sequence = talk.wire.next_sequence();
            encode::submit_sm(message.clone(), sequence, &mut requests)?;
            in_flight.insert(sequence, Instant::now());
            report.sent += 1;
        }
        talk.wire.write(&requests).await?;
        let Some(oldest) = in_flight.values().min() else { break };
        let Some(heard) = talk.response(*oldest + talk.patience).await? else { break };
        // Of anything else it is no answer.
        if let Some(at) = in_flight.remove(&heard.header.sequence) {
            report.count(heard.header.status);
            latencies.push(micros(heard.at.saturating_duration_since(at)));
        }
    }
    report.unanswered = u32::try_from(in_flight.len()).unwrap_or(u32::MAX);
    let took = micros(begun.elapsed()).max(1);
    report.per_second = u64::from(report.accepted) * 1_000_000 / took;
    latencies.sort_unstable();
    report.median_us = quantile(&latencies, 50);
    report.slowest_us = latencies.last().copied();
    Ok(report)
}

/// The value that so many of a hundred do not exceed; the values are sorted.
pub(super) fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

pub(super) fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_up_to_the_last() {
        assert_eq!(growing(1), [1]);
        assert_eq!(growing(10), [1, 2, 5, 10]);
        assert_eq!(growing(30), [1, 2, 5, 10, 20, 30]);
        assert_eq!(growing(0), [1]);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!([1, 50, 99, 100].map(|percent| quantile(&values, percent)), [1, 50, 99, 100].map(Some));
        assert_eq!(quantile(&[7], 99), Some(7));
        assert_eq!(quantile(&[], 50), None);
    }
}
