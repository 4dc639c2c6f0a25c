//! What the daemon measures: every metric with its meaning, and how Prometheus gets them.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::Failure;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever grows; a restart begins at 0.
    Counter,
    /// What is the case now.
    Gauge,
    /// How often a value fell into which bucket.
    Histogram,
}

/// A counter that first shows as 1 has never increased, for Prometheus: what an alert waits for begins at 0.
const ZEROED: [&str; 5] = [
    "panics_total",
    "gateway_overload_total",
    "gateway_apply_retries_total",
    "recovered_doubts_total",
    "clock_steps_total",
];

/// A metric, its kind, and what it says.
pub type Metric = (&'static str, MetricKind, &'static str);

use MetricKind::{Counter, Gauge, Histogram};

/// Every metric of the daemon. Durations are in seconds, amounts in minor units (tiyn).
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    // What is in doubt comes first (M16).
    ("instances", Gauge, "Daemons that serve the same database, this one included, as this one sees it"),
    ("instances_clock_ahead_seconds", Gauge, "By how much at least our clock is ahead of the database's; negative if it is behind. Over a second nothing counts as absent that a carrier does not find"),
    ("instances_errands_total", Counter, "Charges and requests handed to another daemon that has the carrier's bind, by outcome: taken, not_taken, lost"),
    ("in_doubt_charges", Gauge, "Charges in doubt, by carrier and currency: the request may have reached the carrier and nothing says what came of it"),
    ("in_doubt_oldest_seconds", Gauge, "Age of the oldest charge in doubt, by carrier and currency"),
    ("in_doubt_minor", Gauge, "What the charges in doubt are worth together, by carrier and currency, in minor units"),
    ("refunds_requested", Gauge, "Refunds that the carrier is asked for, or of which it has not told the outcome yet, by carrier and currency"),
    ("refunds_requested_oldest_seconds", Gauge, "Age of the oldest refund without an outcome, by carrier and currency"),
    ("refunds_requested_minor", Gauge, "What the refunds without an outcome are worth together, by carrier and currency, in minor units"),
    ("refunds_in_doubt", Gauge, "Refunds in doubt, by carrier and currency: the carrier may have given the money back"),
    ("refunds_in_doubt_oldest_seconds", Gauge, "Age of the oldest refund in doubt, by carrier and currency"),
    ("refunds_in_doubt_minor", Gauge, "What the refunds in doubt are worth together, by carrier and currency, in minor units"),
    ("refunds_owed", Gauge, "Refunds that are owed, by carrier and currency: the carrier cannot or would not, so somebody must pay them back"),
    ("refunds_owed_oldest_seconds", Gauge, "Age of the oldest refund that is owed, by carrier and currency"),
    ("refunds_owed_minor", Gauge, "What is owed to passengers, by carrier and currency, in minor units"),
    ("charge_opened_total", Counter, "Purchases decided or opened, by carrier, state and reason"),
    ("charge_transitions_total", Counter, "Changes of a charge's state, by carrier, new state and reason"),
    ("charge_repeats_total", Counter, "Purchases answered with the charge that was there already, by its state"),
    ("charge_breaks_total", Counter, "Contradictions that nothing resolves by itself, by kind"),
    ("recovered_doubts_total", Counter, "Attempts of an earlier process that were declared in doubt at the start"),
    ("charge_given_up_total", Counter, "Charges not sent because they would have come too late, by carrier"),
    ("flights_in_progress", Gauge, "Charges under way"),
    ("gateway_overload_total", Counter, "Purchases refused because too many charges were under way"),
    ("gateway_apply_retries_total", Counter, "Steps repeated because the store or the signing failed"),
    ("ticket_keys_end_seconds", Gauge, "Time until the last ticket key ends; without a new one nothing is sold then"),
    // Passengers' messages.
    ("mo_received_total", Counter, "Messages from passengers, by carrier"),
    ("mo_repeated_total", Counter, "Messages that the carrier delivered again, by carrier"),
    ("mo_put_off_total", Counter, "Messages that could not be kept, so that the carrier was asked to deliver them again, by carrier"),
    ("mo_parts_total", Counter, "Parts of long messages, by carrier"),
    ("mo_joined_total", Counter, "Long messages whose parts were all there, by carrier"),
    ("mo_incomplete_total", Counter, "Long messages of which a part never came, by carrier"),
    ("mo_outage_seconds", Gauge, "Time since messages of the carrier could last be taken"),
    ("mo_backlog_total", Counter, "Messages that waited at the carrier during an outage, by carrier"),
    ("mo_unreadable_total", Counter, "Messages that are no command, by carrier"),
    ("mo_stale_total", Counter, "Messages that came too late to be charged, by carrier"),
    ("mo_handed_over_total", Counter, "Messages handed to the ticket service, by carrier"),
    ("mo_webhook_requests_total", Counter, "Requests to the ticket service by outcome: taken, refused, not_sent, lost"),
    ("mo_not_sold_total", Counter, "Messages handed over for which no charge came in time, by carrier"),
    ("mo_wrong_code_total", Counter, "Messages with a vehicle code that there is not, by carrier"),
    ("sms_submitted_total", Counter, "Texts that the carrier took, by carrier"),
    ("sms_parts_total", Counter, "Parts of long texts that the carrier took, by carrier"),
    ("sms_refused_total", Counter, "Texts that the carrier will never take, by carrier"),
    ("sms_expired_total", Counter, "Texts that were not sent before they were worth nothing, by carrier"),
    ("sms_replies_capped_total", Counter, "Replies not sent because the number had too many within the hour, by carrier"),
    ("messages_without_carrier_total", Counter, "Messages that were not made, because no carrier of the passenger can send texts"),
    ("sms_receipts_total", Counter, "Final receipts of texts, by carrier and whether they were delivered"),
    ("receipts_parked", Gauge, "Receipts and callbacks that nobody owns yet, by carrier"),
    ("receipts_parked_oldest_seconds", Gauge, "Age of the oldest receipt that nobody owns, by carrier"),
    ("receipts_given_up_total", Counter, "Receipts and callbacks that never found an owner and were given up, by carrier"),
    ("receipts_put_off_total", Counter, "Receipts that could not be taken in time; the carrier delivers them again, by carrier"),
    ("receipts_settling_left_out_total", Counter, "Times that parked receipts were left to the walk over all of them, because too many subscribers waited"),
    ("receipts_parked_total", Counter, "Receipts that came before their attempt was known, by carrier"),
    ("clock_steps_total", Counter, "Times that the wall clock was seen to be set, by a quarter of a second or more, or at a start to be behind the books"),
    // Carriers.
    ("carrier_up", Gauge, "1 while a bind that sends is up"),
    ("carrier_paused", Gauge, "1 while somebody has paused the carrier"),
    ("carrier_charge_answers_total", Counter, "What came of attempts, by carrier and finding"),
    ("carrier_late_answers_total", Counter, "Answers to attempts that had been given up as in doubt, by carrier"),
    ("carrier_unreadable_total", Counter, "Deliveries that could not be read, by carrier and kind"),
    ("carrier_resends_total", Counter, "Attempts and refunds in doubt that were sent again in the same bytes, by carrier"),
    ("carrier_refunds_total", Counter, "Refunds that carriers were asked for, by carrier"),
    ("charge_rerouted_total", Counter, "Charges that a carrier turned away as not its subscriber's, by that carrier and whether another was found"),
    ("callbacks_total", Counter, "Callbacks, by carrier and outcome: taken, unavailable, or why they were refused"),
    ("callbacks_unowned_total", Counter, "Callbacks that name a charge that is not there, by carrier"),
    ("carrier_slot_wait_seconds", Histogram, "Wait for a place in the carrier's window and rate"),
    ("carrier_http_requests_total", Counter, "Requests to a carrier's HTTP interface, by carrier, operation and outcome: answered, not_sent, lost"),
    ("carrier_http_request_seconds", Histogram, "From a request to the end of its answer, by carrier and operation"),
    ("carrier_http_token_refreshes_total", Counter, "Access tokens asked for, by carrier and result"),
    ("carrier_http_in_flight", Gauge, "Requests under way that took a send slot, by carrier"),
    ("carrier_http_waiting", Gauge, "Requests that wait for a send slot, by carrier"),
    ("carrier_http_rate_per_second", Gauge, "Requests a second that may be sent now: the contract's rate, or less while the carrier throttles us"),
    ("carrier_http_throttled", Gauge, "1 while the carrier has slowed us down below the contract's rate"),
    ("carrier_http_breaker_open", Gauge, "1 while the circuit breaker is open: the carrier answered nothing, or could not be reached, for too long"),
    ("smpp_submit_seconds", Histogram, "From submit_sm to its response"),
    ("smpp_submit_total", Counter, "Submissions by outcome"),
    ("smpp_pdu_received_total", Counter, "PDUs received, by command"),
    ("smpp_fault_total", Counter, "Departures of the SMSC from the protocol, by kind"),
    ("smpp_window_in_flight", Gauge, "Requests that wait for their response"),
    ("smpp_outgoing_bytes", Gauge, "Bytes that wait to be written"),
    ("smpp_link_up", Gauge, "1 while the bind is up"),
    ("smpp_link_down_total", Counter, "How often the bind went down, or did not come about, and why"),
    ("smpp_link_retry_seconds", Gauge, "How long the bind waits to try again; 0 while it is up"),
    ("smpp_pool_rate_per_second", Gauge, "Messages a second that the carrier's binds may send now: the contract's rate, or less while it throttles us"),
    ("smpp_pool_throttled", Gauge, "1 while the carrier has slowed us down below the contract's rate"),
    ("smpp_pool_waiting", Gauge, "Messages that wait for a place in a window, or for the rate"),
    ("smpp_pool_breaker_open", Gauge, "1 while the circuit breaker is open: the carrier answered nothing for too long"),
    // What is known of subscribers.
    ("source_questions_total", Counter, "Questions to sources of facts and to look-ups, by source and outcome"),
    ("source_question_seconds", Histogram, "From a question to its answer, by source"),
    ("source_breaker_open", Gauge, "1 while a source is left alone because it failed too often"),
    ("known_not_kept_total", Counter, "Facts and homes of numbers that were lost on their way to the store, by kind"),
    ("routes_total", Counter, "How it was known which carrier a number belongs to: message, look_up, refusal, prefix, none"),
    // The store.
    ("store_commit_seconds", Histogram, "Length of a commit"),
    ("store_batch_rows", Histogram, "Writes in one commit"),
    ("store_read_rows", Histogram, "Purchases to come that were asked about together"),
    ("books_generation", Gauge, "How often the books were put back from a back-up, plus 1"),
    ("reread_payments_total", Counter, "Payments of a time lost to the books that a carrier has, by carrier and whether the books know their charge"),
    ("lost_keys_refused_total", Counter, "Purchases refused because their key may have been used in a time lost to the books"),
    ("watermark_failures_total", Counter, "Times that it could not be noted outside of the store how far that has come"),
    ("store_queue_depth", Gauge, "Writes that wait for their commit"),
    // The API.
    ("http_requests_total", Counter, "Requests by route, method and status"),
    ("http_request_seconds", Histogram, "From a request to its answer, by route"),
    ("http_connections", Gauge, "Open connections, by listener"),
    ("event_streams", Gauge, "Streams of events that are read"),
    ("event_streams_ended_total", Counter, "Streams of events that ended, by whom and why: gone, slow, stopping, store"),
    // Those who are told of events.
    ("webhook_deliveries_total", Counter, "Events posted to webhooks, by webhook and outcome: taken, refused, not_sent, lost"),
    ("webhook_lag_entries", Gauge, "Entries of the journal that a webhook has not come to"),
    ("webhook_lag_seconds", Gauge, "Age of the first entry of the journal that a webhook has not come to"),
    ("webhook_failed", Gauge, "Deliveries of a webhook that failed, by state: waiting for another try, given up"),
    ("webhook_given_up_total", Counter, "Deliveries that were given up, by webhook"),
    ("webhook_disabled", Gauge, "1 while nothing is sent to a webhook: it answered 410, or took nothing for too long"),
    // The process.
    ("build_info", Gauge, "1, with the version as label"),
    ("panics_total", Counter, "Panics: mistakes of the program"),
    ("config_reloads_total", Counter, "Rereads of the configuration, by result"),
];

/// Upper bounds in seconds: from a commit on a good disk to the longest wait for a carrier.
const SECONDS: [f64; 16] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const BATCH_ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Measures from now on. The handle gives what Prometheus reads.
///
/// Errors: something measures in this process already.
pub(super) fn install() -> Result<PrometheusHandle, Failure> {
    let failed = |error| Failure::new(format!("the metrics cannot be installed: {error}"));
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(failed)?;
    let rows = Matcher::Suffix("_rows".into());
    let handle =
        builder.set_buckets_for_metric(rows, &BATCH_ROWS).map_err(failed)?.install_recorder().map_err(failed)?;
    for (name, kind, meaning) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *meaning),
            Gauge => describe_gauge!(*name, *meaning),
            Histogram => describe_histogram!(*name, *meaning),
        }
    }
    for name in ZEROED {
        counter!(name).absolute(0);
    }
    for result in ["reloaded", "refused"] {
        counter!("config_reloads_total", "result" => result).absolute(0);
    }
    gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn sources(folder: PathBuf, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(path, found);
            } else if !path.ends_with("cli/metering.rs") && path.extension().is_some_and(|extension| extension == "rs")
            {
                found.push(fs::read_to_string(path).expect("a source file"));
            }
        }
    }

    fn daemon() -> Vec<String> {
        let mut found = Vec::new();
        sources(root().join("src"), &mut found);
        assert!(found.len() > 50, "this is not the crate's folder");
        found
    }

    fn described() -> BTreeSet<&'static str> {
        METRICS.iter().map(|(name, ..)| *name).collect()
    }

    /// What follows `macro!(` in the sources, as far as it is a name.
    fn measured(sources: &[String]) -> BTreeSet<&str> {
        let macros = ["counter!(", "gauge!(", "histogram!("];
        let after = sources.iter().flat_map(|text| macros.iter().flat_map(|start| text.split(start).skip(1)));
        after.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect()
    }

    #[test]
    fn every_metric_in_the_source_is_described_and_every_described_one_is_in_the_source() {
        let sources = daemon();
        let undescribed: Vec<&str> = measured(&sources).difference(&described()).copied().collect();
        assert_eq!(undescribed, [""; 0]);
        let here = include_str!("metering.rs");
        let quoted = |name: &str| sources.iter().any(|text| text.contains(&format!("\"{name}\"")));
        let gone: Vec<&str> = described()
            .into_iter()
            .filter(|name| !quoted(name) && !here.contains(&format!("gauge!(\"{name}\"")))
            .collect();
        assert_eq!(gone, [""; 0]);
        assert_eq!(described().len(), METRICS.len(), "one is described twice");
    }

    /// The words of a PromQL expression that can be metrics: not a label, a function, or what follows `by`.
    fn metrics_in(expression: &str) -> Vec<&str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut words = Vec::new();
        let mut rest = expression;
        while let Some(start) = rest.find(is_word) {
            let before = rest[..start].chars().next_back();
            let word = rest[start..].split(|c| !is_word(c)).next().unwrap_or_default();
            rest = &rest[start + word.len()..];
            let is_name = word.contains('_') && !rest.trim_start().starts_with(['(', '=']) && before != Some('"');
            if is_name && word != "humanizeDuration" {
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
                words.push(base.unwrap_or(word));
            }
        }
        words
    }

    fn unknown(expressions: &[String]) -> Vec<String> {
        let known = described();
        let named = expressions.iter().flat_map(|expression| metrics_in(expression));
        named.filter(|name| !known.contains(name)).map(str::to_owned).collect()
    }

    #[test]
    fn every_metric_of_the_alerts_is_measured_and_what_is_in_doubt_comes_first() {
        let rules = fs::read_to_string(root().join("config/alerts.yml")).expect("the alerts");
        let expressions: Vec<String> =
            rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
        assert_eq!(expressions.len(), rules.matches("- alert: ").count());
        assert_eq!(unknown(&expressions), [""; 0]);
        for (expression, metric) in
            expressions.iter().zip(["in_doubt_oldest_seconds", "in_doubt_charges", "in_doubt_minor"])
        {
            assert!(expression.starts_with(metric), "M16: {expression}");
        }
        assert_eq!(unknown(&["sum by (le) (rate(no_such_bucket[5m]))".into()]), ["no_such"]);
    }

    #[test]
    fn every_metric_of_the_dashboard_is_measured_and_what_is_in_doubt_comes_first() {
        let dashboard = fs::read_to_string(root().join("config/dashboard.json")).expect("the dashboard");
        let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let expressions: Vec<String> = panels
            .iter()
            .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
            .map(|target| target["expr"].as_str().expect("an expression").to_owned())
            .collect();
        assert!(expressions.len() > 20);
        assert_eq!(unknown(&expressions), [""; 0]);
        assert_eq!(expressions[0], "in_doubt_charges", "M16");

        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids.len(), panels.len(), "of panels with the same id Grafana shows one");
        for (n, panel) in panels.iter().enumerate() {
            let over = panels[..n].iter().find(|other| overlap(&panel["gridPos"], &other["gridPos"]));
            assert!(over.is_none(), "{} lies over {:?}", panel["title"], over.map(|other| &other["title"]));
        }
    }

    /// Whether two places on the grid share a field.
    fn overlap(one: &serde_json::Value, other: &serde_json::Value) -> bool {
        ["x", "y"].into_iter().zip(["w", "h"]).all(|(start, size)| {
            let field = |place: &serde_json::Value, name| place[name].as_u64().expect("a number");
            let (first, second) = (field(one, start), field(other, start));
            first < second + field(other, size) && second < first + field(one, size)
        })
    }
}
