//! The sections of the configuration that belong to no other module, and the whole of them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    api::ApiConfig,
    carrier::{CarrierConfig, RoutingSettings},
    charge::CarrierName,
    eligibility::Rules,
    gateway::{GatewayConfig, MoWebhookConfig, TicketingConfig, WebhookConfig},
    ledger::VatConfig,
    store::{GroupCommitConfig, WatermarkFile},
    subscriber::{FactsSettings, NumberListsSettings},
};

/// The whole configuration. Paths in it are absolute, or relative to the working directory: a path in a file was relative
/// to the file's folder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    /// What is durable.
    pub store: StoreSettings,
    /// The HTTP API.
    pub api: ApiSettings,
    /// Carriers that call back.
    pub callbacks: CallbacksSettings,
    /// Health and metrics.
    pub operations: OperationsSettings,
    /// This daemon among others that serve the same database.
    pub instances: InstancesSettings,
    /// The process as a whole.
    pub process: ProcessSettings,
    /// What is logged.
    pub log: LogSettings,
    /// The engine.
    pub gateway: GatewayConfig,
    /// How tickets are made.
    pub ticketing: TicketingConfig,
    /// The private keys.
    pub keys: KeysSettings,
    /// Vehicles, routes and fares.
    pub transit: TransitSettings,
    /// Number lists.
    pub numbers: NumberListsSettings,
    /// What is remembered of subscribers, and who is asked.
    pub facts: FactsSettings,
    /// Which carrier a number belongs to.
    pub routing: RoutingSettings,
    /// Who may pay.
    pub eligibility: Rules,
    /// What passengers are told.
    pub texts: TextsSettings,
    /// The value-added tax.
    pub vat: VatConfig,
    /// Where messages are handed over that the ticket service decides about.
    pub mo_webhook: MoWebhookConfig,
    /// Those who are told of events, by name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// The carriers, by name.
    pub carriers: BTreeMap<CarrierName, CarrierConfig>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// `sqlite://PATH`, `postgres://USER@HOST/DATABASE`, or `memory:` for one that is gone with the process.
    pub url: String,
    /// Where it is noted how far the books were seen, so that books of an older moment are not served for them. Left out, it lies beside the
    /// file; for a server, nothing is noted then.
    pub watermark: Option<PathBuf>,
    /// Writes that may wait; further callers wait for room.
    pub queue: usize,
    /// Writes in one transaction.
    pub batch: usize,
    /// So many whole months of the journal and the ledger stay, whatever `smsbusd retention` is asked for.
    pub keep_months_min: u32,
}

/// `[api]`
#[derive(Clone, Debug, Serialize)]
pub struct ApiSettings {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// A TOML file of further tokens: a table per caller, as under `[api.tokens]`.
    pub tokens_file: Option<PathBuf>,
    /// Who may call, and within which bounds.
    #[serde(flatten)]
    pub config: ApiConfig,
}

/// `[callbacks]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbacksSettings {
    /// Where carriers' callbacks come in, if a carrier is charged over HTTP. It has no TLS: a proxy in front has.
    pub listen: SocketAddr,
}

/// `[operations]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperationsSettings {
    /// Where `/healthz`, `/readyz` and `/metrics` listen. They ask for no token.
    pub listen: SocketAddr,
}

/// `[instances]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstancesSettings {
    /// The name of this daemon among those that serve the same database.
    pub name: String,
    /// For so long without a sign of life the others leave to it what it has, in seconds.
    pub lease_seconds: u64,
    /// Where it takes what the others ask of it. It has no TLS: a network of their own, or a proxy in front.
    pub listen: Option<SocketAddr>,
    /// How the others reach that: `http://HOST:PORT`. Left out, it is `listen`.
    pub address: Option<String>,
    /// A file with the token that all of them have; it goes with `listen`.
    pub token_file: Option<PathBuf>,
}

impl InstancesSettings {
    /// How the others reach this one, if they do.
    pub fn reached_at(&self) -> Option<String> {
        let listen = self.listen?;
        Some(self.address.clone().unwrap_or_else(|| format!("http://{listen}")))
    }
}

/// `[process]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessSettings {
    /// How long a stop may wait for answers on their way, in seconds. Less than systemd's `TimeoutStopSec`.
    pub drain_seconds_max: u64,
    /// How long of that a stop is only announced, in seconds: `/readyz` says no, and everything goes on, until a load balancer has
    /// noticed. 0 where there is none.
    pub announce_seconds: u64,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How a line is written.
    pub format: LogFormat,
    /// What is logged: `LEVEL` or `LEVEL,MODULE=LEVEL,…`.
    pub filter: String,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading.
    Human,
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysSettings {
    /// The folder of the private keys: ticket keys, the short-code key and the MSISDN-tag key.
    pub directory: PathBuf,
}

/// `[transit]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransitSettings {
    /// The folder of `agencies.csv`, `cities.csv`, `fares.csv`, `routes.csv` and `vehicles.csv`.
    pub directory: PathBuf,
}

/// `[texts]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextsSettings {
    /// A TOML file of texts that replace the shipped ones.
    pub file: Option<PathBuf>,
}

impl StoreSettings {
    /// Where it is noted how far the books were seen, if it is.
    pub fn watermark_file(&self) -> Option<WatermarkFile> {
        if !self.is_durable() {
            return None;
        }
        let beside = || self.url.strip_prefix("sqlite://").map(|path| PathBuf::from(format!("{path}.watermark")));
        self.watermark.clone().or_else(beside).map(WatermarkFile::at)
    }

    /// Whether what is written outlives the process.
    pub fn is_durable(&self) -> bool {
        self.url != "memory:"
    }

    /// The bounds of the group commit.
    pub fn group_commit(&self) -> GroupCommitConfig {
        GroupCommitConfig { queue_max: self.queue, batch_max: self.batch }
    }
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        let GroupCommitConfig { queue_max, batch_max } = GroupCommitConfig::default();
        StoreSettings {
            url: "sqlite:///var/lib/smsbusd/smsbusd.db".into(),
            watermark: None,
            queue: queue_max,
            batch: batch_max,
            keep_months_min: 60,
        }
    }
}

impl Default for ApiSettings {
    fn default() -> ApiSettings {
        ApiSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tokens_file: None,
            config: ApiConfig::default(),
        }
    }
}

impl Default for CallbacksSettings {
    fn default() -> CallbacksSettings {
        CallbacksSettings { listen: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}

impl Default for OperationsSettings {
    fn default() -> OperationsSettings {
        OperationsSettings { listen: SocketAddr::from(([127, 0, 0, 1], 9080)) }
    }
}

impl Default for InstancesSettings {
    fn default() -> InstancesSettings {
        InstancesSettings { name: "smsbusd".into(), lease_seconds: 15, listen: None, address: None, token_file: None }
    }
}

impl Default for ProcessSettings {
    fn default() -> ProcessSettings {
        ProcessSettings { drain_seconds_max: 40, announce_seconds: 0 }
    }
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { format: LogFormat::Json, filter: "info".into() }
    }
}

impl Default for KeysSettings {
    fn default() -> KeysSettings {
        KeysSettings { directory: "keys".into() }
    }
}

impl Default for TransitSettings {
    fn default() -> TransitSettings {
        TransitSettings { directory: "transit".into() }
    }
}
