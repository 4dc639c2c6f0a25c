use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::backlog::BacklogConfig;
use crate::charge::LateSuccess;

/// How the gateway behaves. Durations carry their unit in the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// From the request to the moment by which the passenger must have the ticket (M11).
    pub ticket_deadline_seconds: u64,
    /// What happens to money that was taken after that.
    pub late_success: LateSuccess,
    /// For so long, and as long as the ticket is valid, the same number in the same vehicle gets its ticket again (M13).
    pub repeat_window_seconds: u64,
    /// Passengers that one number may pay for in one vehicle.
    pub passengers_max: u8,
    /// Charges under way at once; more are refused as overload.
    pub flights_max: usize,
    /// A message from a passenger that comes again within this time is the same message.
    pub mo_repeat_seconds: u64,
    /// A message that has waited longer than this is answered "not charged, send again": the passenger has left the bus. So is one
    /// whose ticket deadline has passed.
    pub mo_stale_seconds: u64,
    /// A long message whose parts are not all there after this time is answered "incomplete, not charged".
    pub mo_parts_seconds: u64,
    /// After messages could not be taken for longer than this, those that come are backlog: their passengers have left the bus.
    pub mo_outage_seconds: u64,
    /// For so long after such an outage, what comes is backlog.
    pub mo_backlog_seconds: u64,
    /// Answers without a ticket that one number gets within an hour.
    pub replies_per_hour_max: u64,
    /// How long a text without a ticket is worth sending.
    pub reply_ttl_seconds: u64,
    /// Whether passengers are told by SMS of a refund that was asked for over the API. What came too late is always told (M11).
    pub refund_texts: RefundTexts,
    /// Receipts and callbacks that wait for the charge they belong to; above that a carrier is asked to call back later.
    pub parked_max: u64,
    /// A receipt or callback that has found no owner after this time is a break.
    pub parked_break_seconds: u64,
    /// After this time it is given up.
    pub parked_keep_seconds: u64,
    /// For so long after the books were put back from a back-up, a key that they do not know is refused unless it tells that it is newer:
    /// it may have been used in the time that is lost.
    pub lost_keys_seconds: u64,
    /// Payments of the lost time are read from so long before it to so long after it.
    pub reread_margin_seconds: u64,
    /// The pause before a definite but passing no is tried again; it doubles with each try.
    pub retry_pause_ms: u64,
    /// How often deadlines, queries and waiting messages are looked at.
    pub sweep_interval_ms: u64,
}

/// Who is told by SMS of a refund that was asked for over the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundTexts {
    /// Those who bought by SMS.
    #[default]
    BoughtBySms,
    /// Everybody.
    Always,
    /// Nobody: the ticket service tells them.
    Never,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            ticket_deadline_seconds: 60,
            late_success: LateSuccess::Refund,
            repeat_window_seconds: 900,
            passengers_max: 9,
            flights_max: 4_096,
            mo_repeat_seconds: 30,
            mo_stale_seconds: 300,
            mo_parts_seconds: 60,
            mo_outage_seconds: 120,
            mo_backlog_seconds: 20,
            replies_per_hour_max: 20,
            reply_ttl_seconds: 3_600,
            refund_texts: RefundTexts::BoughtBySms,
            parked_max: 100_000,
            parked_break_seconds: 3_600,
            parked_keep_seconds: 30 * 86_400,
            lost_keys_seconds: 900,
            reread_margin_seconds: 600,
            retry_pause_ms: 250,
            sweep_interval_ms: 500,
        }
    }
}

impl GatewayConfig {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, range| problems.extend(out_of_range(key, value, range));
        within("ticket_deadline_seconds", self.ticket_deadline_seconds, 1..=3_600);
        within("repeat_window_seconds", self.repeat_window_seconds, 0..=86_400);
        within("passengers_max", self.passengers_max.into(), 1..=50);
        within("flights_max", self.flights_max as u64, 1..=1_000_000);
        within("mo_repeat_seconds", self.mo_repeat_seconds, 0..=86_400);
        within("mo_stale_seconds", self.mo_stale_seconds, 10..=86_400);
        within("mo_parts_seconds", self.mo_parts_seconds, 1..=3_600);
        // What the sweep does not see in time would look like an outage.
        let outage_min = (self.sweep_interval_ms / 250).clamp(1, 86_400);
        within("mo_outage_seconds", self.mo_outage_seconds, outage_min..=86_400);
        within("mo_backlog_seconds", self.mo_backlog_seconds, 0..=3_600);
        within("replies_per_hour_max", self.replies_per_hour_max, 1..=1_000);
        within("reply_ttl_seconds", self.reply_ttl_seconds, 1..=86_400);
        within("parked_max", self.parked_max, 1..=10_000_000);
        within("parked_break_seconds", self.parked_break_seconds, 1..=30 * 86_400);
        within("parked_keep_seconds", self.parked_keep_seconds, self.parked_break_seconds.max(1)..=366 * 86_400);
        within("lost_keys_seconds", self.lost_keys_seconds, 0..=30 * 86_400);
        within("reread_margin_seconds", self.reread_margin_seconds, 0..=86_400);
        within("retry_pause_ms", self.retry_pause_ms, 1..=60_000);
        within("sweep_interval_ms", self.sweep_interval_ms, 10..=60_000);
        problems
    }

    pub(super) fn backlog(&self) -> BacklogConfig {
        let outage = Duration::from_secs(self.mo_outage_seconds);
        BacklogConfig { outage, lasts: Duration::from_secs(self.mo_backlog_seconds) }
    }

    /// [`GatewayConfig::ticket_deadline_seconds`].
    pub fn ticket_deadline(&self) -> Duration {
        Duration::from_secs(self.ticket_deadline_seconds)
    }
}

/// What is wrong with a value that lies outside of what works.
pub(super) fn out_of_range(key: &str, value: u64, range: RangeInclusive<u64>) -> Option<String> {
    let (from, to) = (range.start(), range.end());
    (!range.contains(&value)).then(|| format!("{key}: {value} is not between {from} and {to}"))
}
