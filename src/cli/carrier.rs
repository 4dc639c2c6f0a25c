//! `smsbusd carrier`: how the carriers of a running daemon stand, pausing one, and trying a profile without a daemon.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    ApiArgs, Exit, Outcome,
    carrier_try::{TryArgs, carrier_try},
    client::{Client, Request},
    output::print_json,
};
use crate::charge::CarrierName;

/// `smsbusd carrier …`
#[derive(Clone, Debug, Args)]
pub struct CarrierArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(subcommand)]
    command: CarrierCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum CarrierCommand {
    /// List the carriers: whether each is up, and whether it is paused
    List,
    /// Send nothing new to a carrier; what is under way is still answered
    Pause {
        /// Its name in the configuration
        name: CarrierName,
    },
    /// Show what a profile of an HTTP carrier would send, and how it would read an answer; needs no daemon
    Try(TryArgs),
    /// Send to a carrier again
    Resume {
        /// Its name in the configuration
        name: CarrierName,
    },
}

/// Runs one of the commands. A pause does not outlast the daemon. Errors: no token, no answer, a refusal.
pub async fn carrier(args: &CarrierArgs) -> Outcome {
    if let CarrierCommand::Try(args) = &args.command {
        return carrier_try(args);
    }
    let client = Client::new(&args.api)?;
    let answer = match &args.command {
        CarrierCommand::Try(_) => return Ok(Exit::Done),
        CarrierCommand::List => client.ask(Request::new(Method::GET, "/v1/carriers")).await?,
        CarrierCommand::Pause { name } => switch(&client, name, "pause").await?,
        CarrierCommand::Resume { name } => switch(&client, name, "resume").await?,
    };
    print_json(&answer)?;
    Ok(Exit::Done)
}

async fn switch(client: &Client, name: &CarrierName, verb: &str) -> Result<serde_json::Value, super::Failure> {
    client.ask(Request::new(Method::POST, &format!("/v1/carriers/{name}/{verb}"))).await
}
