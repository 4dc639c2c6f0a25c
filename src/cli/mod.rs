//! The bodies of the commands. `main.rs` reads the command line and calls them; each ends with an [`Exit`] or a [`Failure`],
//! and nothing in here ends the process by itself.
//!
//! `serve` is the daemon; around it stand `metering` (what is measured), `logging`, `systemd` (what the service manager is
//! told) and `reload`. `charge`, `carrier`, `events` and `webhook` ask a running daemon over its API. `keys` and `ticket` need
//! neither a daemon nor a network; `ledger` reads the store. `smpp` talks to an SMSC, or shows what a running daemon says to one.

pub mod backup;
pub mod carrier;
mod carrier_try;
pub mod charge;
pub mod check_config;
mod client;
pub mod events;
mod exit;
pub mod keys;
pub mod ledger;
mod logging;
mod metering;
mod migrate;
mod output;
mod reload;
pub mod restored;
pub mod retention;
pub mod serve;
mod simulate;
pub mod smpp;
mod sources;
mod systemd;
pub mod ticket;
mod watermark;
pub mod webhook;

pub use client::ApiArgs;
pub use exit::{Exit, Failure, Outcome, finish};
pub use metering::{METRICS, Metric, MetricKind};
pub use migrate::{MigrateArgs, migrate};
pub use simulate::{SimulateArgs, simulate};

use std::{future::Future, path::PathBuf};

use crate::settings::Sources;

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); a further one goes over the ones before it. The environment goes over all:
    /// SMSBUSD__GATEWAY__PASSENGERS_MAX=4
    #[arg(long, short, value_name = "FILE", env = "SMSBUSD_CONFIG", default_value = "/etc/smsbusd/smsbusd.toml")]
    pub config: Vec<PathBuf>,
}

impl ConfigArgs {
    fn sources(&self) -> Sources {
        Sources::of_process(self.config.clone())
    }
}

/// Runs a command on the runtime of the process. What it leaves behind is not waited for.
///
/// Errors: the command's own; the system refuses threads.
pub fn run<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("smsbusd").build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}
