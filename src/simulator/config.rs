//! How a simulated carrier behaves. Everything has a default, so a test states only what it is about.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod validate;

pub(super) use validate::value;

use super::{faults::FaultRule, http::HttpConfig, refunds::RefundsConfig, subscribers::Subscriber};
use crate::msisdn::Msisdn;

/// A simulated carrier. Read from TOML with [`SimulatorConfig::from_toml`], or built from [`SimulatorConfig::default`]:
/// bound on loopback, charging at submission, decimal message ids, receipts as text and at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatorConfig {
    /// Where the SMSC listens. Port 0 takes a free one.
    pub smpp_listen: SocketAddr,
    /// Where it listens as well, so that a client can fail over; each address can be shut and opened by hand.
    pub smpp_listen_more: Vec<SocketAddr>,
    /// Where it listens under TLS; none for nowhere.
    pub tls: Option<Tls>,
    /// Where the HTTP control listens, loopback only; none switches it off. Port 0 takes a free one.
    pub control_listen: Option<SocketAddr>,
    /// The system id that may bind; at most 15 ASCII characters.
    pub system_id: String,
    /// Its password; at most 8 ASCII characters (SMPP 3.4, section 5.2.2).
    pub password: String,
    /// How many binds it may have at a time; the next is refused with `ESME_RALYBND`.
    pub binds_max: BindsMax,
    /// How often the SMSC itself sends `enquire_link` on a bind, in milliseconds; none for never.
    pub enquire_link_every_ms: Option<u64>,
    /// Where the SMSC's own sequence numbers begin on each connection, 1 to 0x7FFFFFFF.
    pub first_sequence: u32,
    /// When the subscriber's balance is charged.
    pub charging: Charging,
    /// Price in minor units of KZT by tariff code, as vendor TLV 0x1401 or `billing_identification`
    /// (0x060B) names it. A message without tariff is free.
    pub tariffs: BTreeMap<String, i64>,
    /// Tariff code by source address, for carriers that price by short number. A TLV has precedence.
    pub source_addresses: BTreeMap<String, String>,
    /// How money goes back; none where the contract gives nothing back.
    pub refunds: Option<RefundsConfig>,
    /// How message ids are written in responses and in receipts.
    pub message_id: MessageIdForm,
    /// Where a receipt carries its fields.
    pub receipt_form: ReceiptForm,
    /// Whether a receipt repeats the `user_message_reference` of its message.
    pub echo_user_message_reference: bool,
    /// How an MO that is too long for one message travels.
    pub mo_form: MoForm,
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
    /// The same for one bind.
    pub bind_tps_max: Option<u32>,
    /// Whether responses to an SMPP 5.0 bind say how loaded the SMSC is (`congestion_state`, TLV 0x0428).
    pub congestion_state: bool,
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
    /// The carrier's interfaces over HTTP; none of them by default.
    pub http: HttpConfig,
}

/// A listener under TLS 1.2 or 1.3. Files are PEM, read at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Roots of clients' certificates. With them a client must show one; without, none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_roots: Option<PathBuf>,
}

/// Binds of the system id at a time; none for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindsMax {
    /// Of all kinds together.
    pub all: Option<usize>,
    /// Transceivers.
    pub transceiver: Option<usize>,
    /// Transmitters.
    pub transmitter: Option<usize>,
    /// Receivers.
    pub receiver: Option<usize>,
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
    /// As text, in the TLV `message_payload`; the short message is empty.
    Payload,
}

/// How a text travels that one short message cannot hold (field case 39).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoForm {
    /// Whole, in the TLV `message_payload`.
    #[default]
    Payload,
    /// In parts, with a user data header of an 8-bit reference.
    Udh8,
    /// In parts, with a user data header of a 16-bit reference.
    Udh16,
    /// In parts, named by the `sar_` TLVs.
    Sar,
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

    /// The SMSC's time zone. Errors: a name that the zone database does not have.
    pub(super) fn zone(&self) -> Result<TimeZone, ConfigError> {
        TimeZone::get(&self.time_zone).map_err(|error| value("time_zone", error))
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
            smpp_listen_more: Vec::new(),
            tls: None,
            control_listen: None,
            system_id: "smsbus".into(),
            password: "secret".into(),
            binds_max: BindsMax::default(),
            enquire_link_every_ms: None,
            first_sequence: 1,
            charging: Charging { at: ChargingMoment::Submission },
            tariffs: BTreeMap::new(),
            source_addresses: BTreeMap::new(),
            refunds: None,
            message_id: MessageIdForm::Decimal,
            receipt_form: ReceiptForm::Text,
            echo_user_message_reference: true,
            mo_form: MoForm::default(),
            delivery_delay_ms: DelayRange::exactly(0),
            response_delay_ms: DelayRange::exactly(0),
            default_validity_ms: DAY_MS,
            time_zone: "Asia/Almaty".into(),
            window_max: 1_000,
            tps_max: None,
            bind_tps_max: None,
            congestion_state: false,
            redelivery: Redelivery::default(),
            default_balance_minor: 200_000,
            subscribers: BTreeMap::new(),
            faults: Vec::new(),
            seed: 0,
            limits: Limits::default(),
            http: HttpConfig::default(),
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

/// A day, in milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests;
