//! `smsbusd simulate`

use std::{net::SocketAddr, path::PathBuf};

use serde_json::json;

use super::{Exit, Failure, Outcome, output};
use crate::simulator::{Simulator, SimulatorConfig};

/// A configuration of the simulator is never longer, in bytes.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What `simulate` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// What the carrier is like (TOML, see config/examples/simulator.toml); all defaults without it
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the SMSC listens, in place of the file's; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where the HTTP control listens, in place of the file's; loopback only
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub control: Option<SocketAddr>,
}

/// Runs a simulated carrier until SIGINT or SIGTERM. The first line says where it listens, as JSON.
///
/// Errors: a configuration that cannot work (78), an address that is taken.
pub async fn simulate(args: &SimulateArgs) -> Outcome {
    let mut config = match &args.config {
        None => SimulatorConfig::default(),
        Some(file) => {
            let bytes = output::read(file, CONFIG_BYTES_MAX)?;
            let wrong = |what: String| Failure::configuration(format!("{}: {what}", file.display()));
            let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
            SimulatorConfig::from_toml(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    config.smpp_listen = args.listen.unwrap_or(config.smpp_listen);
    config.control_listen = args.control.or(config.control_listen);
    let mut signals = super::serve::Signals::install()?;
    let simulator = Simulator::start(config).await.map_err(|error| Failure::new(error.to_string()))?;
    let addresses = json!({ "smpp": simulator.smpp_address(), "control": simulator.control_address() });
    output::print(addresses.to_string())?;
    signals.stop().await;
    simulator.shutdown().await;
    Ok(Exit::Done)
}
