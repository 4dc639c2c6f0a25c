use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{super::config::out_of_range, endpoint::address};

/// `[mo_webhook]`: where messages are handed over that carriers with `purchase = "webhook"` bring. Durations carry their unit in
/// the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoWebhookConfig {
    /// Where the ticket service listens.
    pub url: Option<String>,
    /// The files of the keys that requests are signed with; each of them signs, so that the ticket service can change from one to
    /// the next.
    pub secret_files: Vec<PathBuf>,
    /// The authorities that may have signed the ticket service's certificate (PEM); those that the system trusts if left out.
    pub authorities_file: Option<PathBuf>,
    /// From the receipt of a message to the moment by which its charge must have come.
    pub answer_seconds: u64,
    /// How long one request may take.
    pub timeout_ms: u64,
    /// The pause before a request that failed is repeated; it doubles with each.
    pub retry_ms: u64,
    /// The longest such pause.
    pub retry_ms_max: u64,
    /// Requests at once; further messages wait.
    pub requests_max: usize,
}

impl Default for MoWebhookConfig {
    fn default() -> MoWebhookConfig {
        MoWebhookConfig {
            url: None,
            secret_files: Vec::new(),
            authorities_file: None,
            answer_seconds: 20,
            timeout_ms: 3_000,
            retry_ms: 500,
            retry_ms_max: 5_000,
            requests_max: 64,
        }
    }
}

impl MoWebhookConfig {
    /// What is wrong, each with its key; empty if nothing is. The charge must come in time for its own ticket deadline.
    pub fn problems(&self, ticket_deadline_seconds: u64) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(text) = &self.url {
            if let Err(problem) = address(text) {
                problems.push(format!("url: {problem}"));
            }
            if self.secret_files.is_empty() {
                problems.push("secret_files: there is none; requests are signed".into());
            }
        }
        let mut within = |key: &str, value: u64, range| problems.extend(out_of_range(key, value, range));
        within("answer_seconds", self.answer_seconds, 1..=3_600);
        within("timeout_ms", self.timeout_ms, 10..=60_000);
        within("retry_ms", self.retry_ms, 1..=60_000);
        within("retry_ms_max", self.retry_ms_max, self.retry_ms.clamp(1, 60_000)..=60_000);
        within("requests_max", self.requests_max as u64, 1..=1_024);
        if self.url.is_some() && self.answer_seconds >= ticket_deadline_seconds {
            problems.push(format!(
                "answer_seconds: {} is not less than gateway.ticket_deadline_seconds, {ticket_deadline_seconds}: the charge would \
                 have no time left",
                self.answer_seconds
            ));
        }
        problems
    }

    /// The URL, if there is one and it can be posted to.
    pub(super) fn address(&self) -> Option<Url> {
        address(self.url.as_deref()?).ok()
    }

    pub(super) fn answer(&self) -> Duration {
        Duration::from_secs(self.answer_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_told_by_its_key() {
        let sound = MoWebhookConfig {
            url: Some("https://tickets.example/purchases".into()),
            secret_files: vec!["key".into()],
            ..MoWebhookConfig::default()
        };
        assert_eq!(sound.problems(60), Vec::<String>::new());
        assert_eq!(MoWebhookConfig::default().problems(1), Vec::<String>::new(), "nobody uses it");
        let keys = |config: &MoWebhookConfig, deadline| -> Vec<String> {
            let problems = config.problems(deadline);
            problems.iter().map(|problem| problem.split(": ").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(keys(&sound, 20), ["answer_seconds"]);
        let wrong = MoWebhookConfig {
            url: Some("ftp://tickets.example/".into()),
            secret_files: Vec::new(),
            answer_seconds: 0,
            timeout_ms: 0,
            retry_ms: 0,
            retry_ms_max: 0,
            requests_max: 0,
            authorities_file: None,
        };
        let expected =
            ["url", "secret_files", "answer_seconds", "timeout_ms", "retry_ms", "retry_ms_max", "requests_max"];
        assert_eq!(keys(&wrong, 60), expected);
        for url in ["", "tickets", "https://user:secret@tickets.example/", "https://", "data:,"] {
            let problems = MoWebhookConfig { url: Some(url.into()), ..sound.clone() }.problems(60);
            assert!(problems.len() == 1 && !problems[0].contains("user:secret"), "{problems:?}");
        }
    }
}
