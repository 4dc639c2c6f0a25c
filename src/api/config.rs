use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// Who may call the API, and its bounds. Durations carry their unit in the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// The callers, by name. The name is the scope of the caller's idempotency keys: a new token under the same name keeps
    /// them, a new name does not.
    pub tokens: BTreeMap<String, TokenConfig>,
    /// The largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The longest that a request may take, its body included.
    pub request_seconds_max: u64,
    /// The longest until a connection has sent its first request, and until a request has sent its headers.
    pub header_seconds_max: u64,
    /// Connections at once; more wait in the system's backlog.
    pub connections_max: usize,
    /// Requests of one caller at once; more are refused.
    pub caller_requests_max: usize,
    /// The longest that `Prefer: wait=N` waits; less than `request_seconds_max`.
    pub wait_seconds_max: u64,
    /// Streams of events at once; more are refused.
    pub event_streams_max: usize,
}

/// One caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// SHA-256 of the token in hex, as `printf %s "$TOKEN" | sha256sum` shows it. The token itself is configured nowhere.
    pub sha256: TokenHash,
    /// What the caller may do.
    pub roles: BTreeSet<Role>,
    /// So many charges a second may be asked for, and as many at once; more are refused. Not limited, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charges_per_second: Option<NonZeroU32>,
}

/// SHA-256 of a token. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash(pub(super) [u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct TokenHashError;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sells: charges, tickets, eligibility.
    Ticketing,
    /// Verifies tickets.
    Inspection,
    /// Reads charges for the books.
    Finance,
    /// Answers passengers: reads charges, journals, tickets and eligibility.
    Support,
    /// Runs the gateway: pauses carriers, settles what is in doubt.
    Operations,
}

impl Default for ApiConfig {
    fn default() -> ApiConfig {
        ApiConfig {
            tokens: BTreeMap::new(),
            body_bytes_max: 16 * 1_024,
            request_seconds_max: 30,
            header_seconds_max: 10,
            connections_max: 1_024,
            caller_requests_max: 1_024,
            wait_seconds_max: 20,
            event_streams_max: 32,
        }
    }
}

impl ApiConfig {
    /// What is wrong, each with its key; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                problems.push(format!("{key}: {value} is not between {} and {}", range.start(), range.end()));
            }
        };
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        within("body_bytes_max", count(self.body_bytes_max), 1_024..=1_048_576);
        within("request_seconds_max", self.request_seconds_max, 1..=300);
        within("header_seconds_max", self.header_seconds_max, 1..=120);
        within("connections_max", count(self.connections_max), 1..=100_000);
        within("caller_requests_max", count(self.caller_requests_max), 1..=100_000);
        within("wait_seconds_max", self.wait_seconds_max, 0..=self.request_seconds_max.saturating_sub(1));
        within("event_streams_max", count(self.event_streams_max), 0..=1_024);
        let mut owners: BTreeMap<TokenHash, &str> = BTreeMap::new();
        for (name, token) in &self.tokens {
            if !is_caller_name(name) {
                problems.push(format!(
                    "tokens.{name}: a caller's name has 1 to 64 small letters, digits, '-' or '_', and is not \"sms\""
                ));
            }
            if token.roles.is_empty() {
                problems.push(format!("tokens.{name}.roles: without a role the caller may do nothing"));
            }
            if let Some(other) = owners.insert(token.sha256, name) {
                problems.push(format!("tokens.{name}.sha256: {other} has the same token"));
            }
        }
        problems
    }
}

/// `sms` is the scope under which passengers' messages are kept.
fn is_caller_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(fits) && name != "sms"
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Ticketing, Role::Inspection, Role::Finance, Role::Support, Role::Operations];

    /// The code, as in the configuration: `ticketing`.
    pub const fn code(self) -> &'static str {
        match self {
            Role::Ticketing => "ticketing",
            Role::Inspection => "inspection",
            Role::Finance => "finance",
            Role::Support => "support",
            Role::Operations => "operations",
        }
    }
}

impl std::str::FromStr for TokenHash {
    type Err = TokenHashError;

    fn from_str(text: &str) -> Result<TokenHash, TokenHashError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| TokenHashError)?;
        bytes.try_into().map(TokenHash).map_err(|_| TokenHashError)
    }
}

impl TryFrom<String> for TokenHash {
    type Error = TokenHashError;

    fn try_from(text: String) -> Result<TokenHash, TokenHashError> {
        text.parse()
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> String {
        HEXLOWER_PERMISSIVE.encode(&hash.0)
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<ApiConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_configuration_is_sound_and_lets_nobody_in() {
        let config = config("").expect("all defaults");
        assert_eq!(config.problems(), [""; 0]);
        assert!(config.tokens.is_empty());
    }

    #[test]
    fn a_token_that_is_no_hash_an_unknown_role_and_an_unknown_key_are_refused() {
        let hash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        assert!(config(&format!("tokens.a = {{ sha256 = \"{hash}\", roles = [\"finance\"] }}")).is_ok());
        let refused = |text: &str| config(text).expect_err("refused");
        assert!(refused("tokens.a = { sha256 = \"5e88\", roles = [] }").contains("64 hexadecimal digits"));
        assert!(refused(&format!("tokens.a = {{ sha256 = \"{hash}\", roles = [\"root\"] }}")).contains("root"));
        assert!(refused("body_max = 3").contains("body_max"));
    }

    #[test]
    fn names_bounds_and_tokens_that_two_share_are_found() {
        let hash = "00".repeat(32);
        let text = format!(
            r#"
            wait_seconds_max = 30
            body_bytes_max = 1
            tokens.sms = {{ sha256 = "{hash}", roles = ["finance"] }}
            tokens.web = {{ sha256 = "{hash}", roles = [] }}
            "#
        );
        let keys: Vec<String> = config(&text)
            .expect("readable")
            .problems()
            .iter()
            .map(|problem| problem.split(':').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(keys, ["body_bytes_max", "wait_seconds_max", "tokens.sms", "tokens.web.roles", "tokens.web.sha256"]);
    }

    #[test]
    fn a_role_is_written_as_its_code() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).expect("a plain enum"), role.code());
        }
    }
}
