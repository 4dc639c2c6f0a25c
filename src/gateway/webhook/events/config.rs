use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::gateway::{config::out_of_range, events::EventFilter, webhook::endpoint::address};

/// The longest name of a webhook, in characters.
const NAME_CHARS_MAX: usize = 24;

/// `[webhooks.NAME]`: somebody who is told of events. Durations carry their unit in the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Where the receiver listens.
    pub url: String,
    /// The files of the keys that requests are signed with; each of them signs, so that the receiver can change from one to the next.
    pub secret_files: Vec<PathBuf>,
    /// The authorities that may have signed the receiver's certificate (PEM); those that the system trusts if left out.
    pub authorities_file: Option<PathBuf>,
    /// Which types of events; all of them if left out.
    pub types: EventFilter,
    /// How long one request may take.
    pub timeout_ms: u64,
    /// The pause before a request that failed is repeated; it doubles with each.
    pub retry_seconds: u64,
    /// The longest such pause.
    pub retry_seconds_max: u64,
    /// After so long a delivery is given up; a receiver that took nothing for so long is sent nothing any more.
    pub give_up_hours: u64,
    /// Requests at once.
    pub requests_max: usize,
    /// Deliveries that are tried again by themselves; with more of them the webhook goes no further until some have ended.
    pub failures_max: u32,
}

impl Default for WebhookConfig {
    fn default() -> WebhookConfig {
        WebhookConfig {
            url: String::new(),
            secret_files: Vec::new(),
            authorities_file: None,
            types: EventFilter::default(),
            timeout_ms: 10_000,
            retry_seconds: 5,
            retry_seconds_max: 300,
            give_up_hours: 72,
            requests_max: 8,
            failures_max: 1_000,
        }
    }
}

impl WebhookConfig {
    /// What is wrong with the webhook of this name, each with its key; empty if nothing is.
    pub fn problems(&self, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(fits) {
            problems.push(format!("a webhook's name has 1 to {NAME_CHARS_MAX} small letters, digits, '-' or '_'"));
        }
        if let Err(problem) = address(&self.url) {
            problems.push(format!("url: {problem}"));
        }
        if self.secret_files.is_empty() {
            problems.push("secret_files: there is none; requests are signed".into());
        }
        let mut within = |key: &str, value: u64, range| problems.extend(out_of_range(key, value, range));
        within("timeout_ms", self.timeout_ms, 10..=60_000);
        within("retry_seconds", self.retry_seconds, 1..=3_600);
        within("retry_seconds_max", self.retry_seconds_max, self.retry_seconds.clamp(1, 86_400)..=86_400);
        within("give_up_hours", self.give_up_hours, 1..=8_760);
        within("requests_max", self.requests_max as u64, 1..=64);
        within("failures_max", self.failures_max.into(), 1..=100_000);
        problems
    }

    /// The URL, if it can be posted to.
    pub(super) fn address(&self) -> Option<Url> {
        address(&self.url).ok()
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The pause after this many tries, drawn from 0.5 to 1.
    pub(super) fn pause(&self, tries: u32, drawn: f64) -> Duration {
        let (first, longest) = (Duration::from_secs(self.retry_seconds), Duration::from_secs(self.retry_seconds_max));
        crate::gateway::webhook::endpoint::pause(tries, first, longest, drawn)
    }

    pub(super) fn give_up(&self) -> Duration {
        Duration::from_secs(self.give_up_hours.saturating_mul(3_600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &WebhookConfig, name: &str) -> Vec<String> {
        let problems = config.problems(name);
        problems.iter().map(|problem| problem.split(": ").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn every_bound_is_told_by_its_key() {
        let sound = WebhookConfig {
            url: "https://tickets.example/events".into(),
            secret_files: vec!["key".into()],
            ..WebhookConfig::default()
        };
        assert_eq!(keys(&sound, "ticket-service"), [""; 0]);
        assert_eq!(keys(&WebhookConfig::default(), "a"), ["url", "secret_files"]);
        for name in ["", "Tickets", "a.b", "a-name-that-is-far-too-long"] {
            assert!(keys(&sound, name)[0].starts_with("a webhook's name"), "{name:?}");
        }
        let wrong = WebhookConfig {
            timeout_ms: 0,
            retry_seconds: 0,
            retry_seconds_max: 0,
            give_up_hours: 0,
            requests_max: 0,
            failures_max: 0,
            ..sound
        };
        let expected =
            ["timeout_ms", "retry_seconds", "retry_seconds_max", "give_up_hours", "requests_max", "failures_max"];
        assert_eq!(keys(&wrong, "a"), expected);
    }

    #[test]
    fn types_are_read_with_their_families_and_unknown_ones_are_refused_by_name() {
        let read = |text: &str| toml::from_str::<WebhookConfig>(text).map_err(|error| error.to_string());
        let config = read(r#"types = ["refund.*", "charge.charged"]"#).expect("sound");
        let named: Vec<String> = config.types.into();
        let refunds = ["refund.processing", "refund.in_doubt", "refund.owed", "refund.done", "refund.paid_out"];
        assert_eq!((named[0].as_str(), &named[1..]), ("charge.charged", &refunds.map(String::from)[..]));
        assert!(
            read(r#"types = ["charge.paid"]"#).expect_err("unknown").contains("\"charge.paid\" is no type of events")
        );
    }
}
