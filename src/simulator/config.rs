//! How a simulated carrier behaves. Everything has a default, so a test states only what it is about.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{faults::FaultRule, subscribers::Subscriber};
use crate::msisdn::Msisdn;

/// A simulated carrier. Read from TOML with [`SimulatorConfig::from_toml`], or built from [`SimulatorConfig::default`]:
/// bound on loopback, charging at submission, decimal message ids, receipts as text and at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatorConfig {
    /// Where the SMSC listens. Port 0 takes a free one.
    pub smpp_listen: SocketAddr,
    /// Where the HTTP control listens, loopback only; none switches it off. Port 0 takes a free one.
    pub control_listen: Option<SocketAddr>,
    /// The system id that may bind; at most 15 ASCII characters.
    pub system_id: String,
    /// Its password; at most 8 ASCII characters (SMPP 3.4, section 5.2.2).
    pub password: String,
    /// When the subscriber's balance is charged.
    pub charging: Charging,
    /// Price in minor units of KZT by tariff code, as vendor TLV 0x1401 names it. A message without tariff is free.
    pub tariffs: BTreeMap<String, i64>,
    /// Tariff code by source address, for carriers that price by short number. The TLV has precedence.
    pub source_addresses: BTreeMap<String, String>,
    /// How message ids are written in responses and in receipts.
    pub message_id: MessageIdForm,
    /// Where a receipt carries its fields.
    pub receipt_form: ReceiptForm,
    /// Whether a receipt repeats the `user_message_reference` of its message.
    pub echo_user_message_reference: bool,
    /// From submission to the phone, where the message is delivered and its receipt is written.
    pub delivery_delay_ms: DelayRange,
    /// From reading a `submit_sm` to answering it.
    pub response_delay_ms: DelayRange,
    /// How long the SMSC keeps a message that states no validity period, while the phone is off.
    pub default_validity_ms: u64,
    /// The time zone of the dates in receipts and query answers.
    pub time_zone: String,
    /// Unanswered `submit_sm` on one link, above which the next is refused with `ESME_RMSGQFUL`.
    pub window_max: usize,
    /// Submissions a second for the whole carrier, above which the next is refused with `ESME_RTHROTTLED`.
    pub tps_max: Option<u32>,
    /// How messages to the client (MOs and receipts) are repeated until acknowledged.
    pub redelivery: Redelivery,
    /// The balance of numbers that are not in `subscribers`, minor units of KZT.
    pub default_balance_minor: i64,
    /// Subscribers by number, with their balances and conditions.
    pub subscribers: BTreeMap<Msisdn, Subscriber>,
    /// Faults from the start.
    pub faults: Vec<FaultRule>,
    /// What all chance is drawn from.
    pub seed: u64,
    /// Bounds on memory.
    pub limits: Limits,
}

/// When the subscriber's balance is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charging {
    /// The moment.
    pub at: ChargingMoment,
}

/// The moment of the charge, which the carrier's contract names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargingMoment {
    /// Before the positive `submit_sm_resp`. Refusals are its `command_status`.
    Submission,
    /// When the phone has the message. Refusals are UNDELIV receipts with an `err`.
    Delivery,
}

/// How one message id is written in the response and in the receipt (field case 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageIdForm {
    /// Decimal in both.
    Decimal,
    /// Hexadecimal, lower case, in both.
    Hex,
    /// Hexadecimal in the response, decimal in the receipt.
    HexThenDecimal,
    /// Decimal in both, with leading zeros in the receipt only.
    PaddedReceipt,
    /// A UUID in both, in upper case in the receipt.
    Uuid,
}

/// Where a receipt carries its fields (field case 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptForm {
    /// In the short message only (SMPP 3.4, appendix B).
    Text,
    /// In TLVs only; the short message is empty.
    Tlv,
    /// In both.
    Both,
}

/// A delay, drawn evenly between two bounds, both included, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayRange {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

/// How a message to the client is repeated until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redelivery {
    /// How long a `deliver_sm_resp` is waited for.
    pub acknowledge_within_ms: u64,
    /// The pause before the second try; it doubles with each further one.
    pub backoff_min_ms: u64,
    /// The longest pause.
    pub backoff_max_ms: u64,
    /// Tries of one MO before it is given up. Receipts are tried until acknowledged.
    pub mo_tries_max: u32,
    /// How long an MO waits, all in all, for somebody to take it.
    pub mo_patience_ms: u64,
    /// Unacknowledged `deliver_sm` on one link.
    pub window: usize,
}

/// Bounds on memory. What would pass one is refused, never silently forgotten; only inboxes and finished messages drop
/// their oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at a time; the next is closed at once.
    pub connections_max: usize,
    /// Messages on their way to a phone; the next is refused with `ESME_RMSGQFUL`.
    pub messages_pending_max: usize,
    /// Messages that `query_sm` still knows.
    pub messages_kept_max: usize,
    /// MOs and receipts that wait for an acknowledgement.
    pub deliveries_max: usize,
    /// Entries of the ledger; nothing is charged any more once it is full.
    pub ledger_entries_max: usize,
    /// Numbers with a balance of their own.
    pub subscribers_max: usize,
    /// Messages kept per inbox.
    pub inbox_messages_max: usize,
    /// How long a connection may stay unbound.
    pub bind_within_ms: u64,
}

/// Why a configuration cannot be used. Each names the key.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Not TOML, a key that does not exist, or a value of the wrong type.
    #[error("simulator configuration: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that cannot work.
    #[error("simulator configuration: {key}: {problem}")]
    Value {
        /// The key at fault.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl SimulatorConfig {
    /// Reads and checks a TOML text. `config/examples/simulator.toml` shows every key.
    ///
    /// Errors: see [`ConfigError`]; the message names the key.
    pub fn from_toml(text: &str) -> Result<SimulatorConfig, ConfigError> {
        let config: SimulatorConfig = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what types cannot. Errors: the first value that cannot work, by its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_ascii("system_id", &self.system_id, 15)?;
        check_ascii("password", &self.password, 8)?;
        if self.control_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(value("control_listen", "the control has no password and listens on loopback only"));
        }
        for (code, price) in &self.tariffs {
            check_ascii("tariffs", code, 64)?;
            if code.is_empty() || *price <= 0 {
                return Err(value("tariffs", format!("{code:?}: needs a code and a price of at least one minor unit")));
            }
        }
        for (address, code) in &self.source_addresses {
            check_ascii("source_addresses", address, 20)?;
            if !self.tariffs.contains_key(code) {
                return Err(value(
                    "source_addresses",
                    format!("{address:?} names tariff {code:?}, which is not there"),
                ));
            }
        }
        for (key, range) in
            [("delivery_delay_ms", self.delivery_delay_ms), ("response_delay_ms", self.response_delay_ms)]
        {
            if range.min > range.max || range.max > DAY_MS {
                return Err(value(key, "min must not be above max, and max not above a day"));
            }
        }
        self.zone()?;
        self.redelivery.validate()?;
        self.limits.validate()?;
        if self.window_max == 0 {
            return Err(value("window_max", "must be at least 1"));
        }
        if self.tps_max == Some(0) {
            return Err(value("tps_max", "must be at least 1; leave it out for no limit"));
        }
        if self.subscribers.len() > self.limits.subscribers_max {
            return Err(value(
                "subscribers",
                format!("more than limits.subscribers_max = {}", self.limits.subscribers_max),
            ));
        }
        self.faults.iter().try_for_each(FaultRule::validate).map_err(|problem| value("faults", problem))
    }

    /// The SMSC's time zone. Errors: a name that the zone database does not have.
    pub(super) fn zone(&self) -> Result<TimeZone, ConfigError> {
        TimeZone::get(&self.time_zone).map_err(|error| value("time_zone", error))
    }
}

impl Redelivery {
    fn validate(&self) -> Result<(), ConfigError> {
        let all = [self.acknowledge_within_ms, self.backoff_min_ms, self.backoff_max_ms, self.mo_patience_ms];
        if all.contains(&0) || all.into_iter().any(|ms| ms > DAY_MS) {
            return Err(value("redelivery", "times must be between 1 ms and a day"));
        }
        if self.backoff_min_ms > self.backoff_max_ms {
            return Err(value("redelivery.backoff_min_ms", "must not be above backoff_max_ms"));
        }
        if self.mo_tries_max == 0 || self.window == 0 || self.window > 10_000 {
            return Err(value("redelivery", "mo_tries_max must be at least 1, and window between 1 and 10000"));
        }
        Ok(())
    }
}

impl Limits {
    fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            self.connections_max,
            self.messages_pending_max,
            self.messages_kept_max,
            self.deliveries_max,
            self.ledger_entries_max,
            self.subscribers_max,
            self.inbox_messages_max,
        ];
        if counts.contains(&0) || counts.into_iter().any(|count| count > LIMIT_MAX) {
            return Err(value("limits", format!("every count must be between 1 and {LIMIT_MAX}")));
        }
        if self.bind_within_ms == 0 || self.bind_within_ms > DAY_MS {
            return Err(value("limits.bind_within_ms", "must be between 1 ms and a day"));
        }
        // A pending message must stay known until it is delivered.
        if self.messages_kept_max < self.messages_pending_max {
            return Err(value("limits.messages_kept_max", "must not be below messages_pending_max"));
        }
        Ok(())
    }
}

impl DelayRange {
    /// Always `ms`.
    pub const fn exactly(ms: u64) -> DelayRange {
        DelayRange { min: ms, max: ms }
    }

    /// A delay drawn with `rng`.
    pub(super) fn draw(self, rng: &mut impl rand::Rng) -> Duration {
        Duration::from_millis(rand::RngExt::random_range(rng, self.min..=self.max))
    }
}

impl Default for SimulatorConfig {
    fn default() -> SimulatorConfig {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        SimulatorConfig {
            smpp_listen: loopback,
            control_listen: None,
            system_id: "smsbus".into(),
            password: "secret".into(),
            charging: Charging { at: ChargingMoment::Submission },
            tariffs: BTreeMap::new(),
            source_addresses: BTreeMap::new(),
            message_id: MessageIdForm::Decimal,
            receipt_form: ReceiptForm::Text,
            echo_user_message_reference: true,
            delivery_delay_ms: DelayRange::exactly(0),
            response_delay_ms: DelayRange::exactly(0),
            default_validity_ms: DAY_MS,
            time_zone: "Asia/Almaty".into(),
            window_max: 1_000,
            tps_max: None,
            redelivery: Redelivery::default(),
            default_balance_minor: 200_000,
            subscribers: BTreeMap::new(),
            faults: Vec::new(),
            seed: 0,
            limits: Limits::default(),
        }
    }
}

impl Default for Redelivery {
    fn default() -> Redelivery {
        Redelivery {
            acknowledge_within_ms: 2_000,
            backoff_min_ms: 50,
            backoff_max_ms: 2_000,
            mo_tries_max: 10,
            mo_patience_ms: 60_000,
            window: 50,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 64,
            messages_pending_max: 100_000,
            messages_kept_max: 200_000,
            deliveries_max: 100_000,
            ledger_entries_max: 1_000_000,
            subscribers_max: 1_000_000,
            inbox_messages_max: 256,
            bind_within_ms: 10_000,
        }
    }
}

const DAY_MS: u64 = 86_400_000;
/// No bound may be set above this.
const LIMIT_MAX: usize = 100_000_000;

fn value(key: &'static str, problem: impl ToString) -> ConfigError {
    ConfigError::Value { key, problem: problem.to_string() }
}

fn check_ascii(key: &'static str, text: &str, length_max: usize) -> Result<(), ConfigError> {
    if text.len() > length_max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(value(
            key,
            format!("{text:?} must be at most {length_max} printable ASCII characters, without spaces"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_shows_every_key_and_is_valid() {
        let text = include_str!("../../config/examples/simulator.toml");
        let config = SimulatorConfig::from_toml(text).expect("the example is valid");
        assert_eq!(config.charging.at, ChargingMoment::Delivery);
        assert_eq!(config.subscribers.len(), 9);
        // A key that the example leaves out would be missing from its own table but present in the default's.
        let shown: toml::Table = text.parse().expect("TOML");
        let all: toml::Table = toml::Table::try_from(&config).expect("the configuration is TOML");
        assert_eq!(all.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
        for table in ["redelivery", "limits"] {
            assert_eq!(all[table].as_table().map(toml::Table::len), shown[table].as_table().map(toml::Table::len));
        }
    }

    #[test]
    fn an_empty_text_is_the_default() {
        assert_eq!(SimulatorConfig::from_toml("").expect("all keys have defaults"), SimulatorConfig::default());
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        for (text, key) in [
            ("pasword = 'x'", "pasword"),
            ("password = 'ninechars'", "password"),
            ("control_listen = '0.0.0.0:0'", "control_listen"),
            ("tariffs = { FARE = 0 }", "tariffs"),
            ("source_addresses = { 2505 = 'FARE' }", "source_addresses"),
            ("delivery_delay_ms = { min = 2, max = 1 }", "delivery_delay_ms"),
            ("time_zone = 'Asia/Atlantis'", "time_zone"),
            ("tps_max = 0", "tps_max"),
            ("charging = { at = 'dawn' }", "dawn"),
            ("subscribers = { '12' = { balance_minor = 1 } }", "phone number"),
            ("faults = [{ probability = 1.5, fault = { kind = 'nack' } }]", "faults"),
            ("limits = { messages_kept_max = 1 }", "messages_kept_max"),
        ] {
            let error = SimulatorConfig::from_toml(text).expect_err(text).to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
