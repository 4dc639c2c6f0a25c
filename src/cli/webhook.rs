//! `smsbusd webhook`: how those are doing who are told of events, and sending to them once more.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ApiArgs, Exit, Failure, Outcome,
    client::{Client, Request},
    output::print_json,
};
use crate::store::EventPlace;

/// `smsbusd webhook …`
#[derive(Clone, Debug, Args)]
pub struct WebhookArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum WebhookCommand {
    /// List the webhooks: how far each has come, and what it does not take
    List,
    /// Show a webhook with the deliveries that failed
    Show {
        /// Its name in the configuration
        #[arg(value_parser = name)]
        name: String,
    },
    /// Send events once more, under the ids that they have
    Replay(ReplayArgs),
    /// Go on with a webhook that was disabled, or whose receiver is left alone for a while; nothing is skipped
    Resume {
        /// Its name in the configuration
        #[arg(value_parser = name)]
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
struct ReplayArgs {
    /// Its name in the configuration
    #[arg(value_parser = name)]
    name: String,
    /// The events behind this cursor
    #[arg(long, value_name = "CURSOR", required_unless_present = "given_up")]
    after: Option<EventPlace>,
    /// The last event to send; up to where the webhook has come without it
    #[arg(long, value_name = "CURSOR", requires = "after")]
    until: Option<EventPlace>,
    /// The deliveries that were given up
    #[arg(long, conflicts_with_all = ["after", "until"])]
    given_up: bool,
}

/// Runs one of the commands. Errors: no token, no answer, a refusal.
pub async fn webhook(args: &WebhookArgs) -> Outcome {
    let client = Client::new(&args.api)?;
    let answer = match &args.command {
        WebhookCommand::List => client.ask(Request::new(Method::GET, "/v1/webhooks")).await?,
        WebhookCommand::Show { name } => client.ask(Request::new(Method::GET, &format!("/v1/webhooks/{name}"))).await?,
        WebhookCommand::Replay(wish) => replay(&client, wish).await?,
        WebhookCommand::Resume { name } => {
            client.ask(Request::new(Method::POST, &format!("/v1/webhooks/{name}/resume"))).await?
        }
    };
    print_json(&answer)?;
    Ok(Exit::Done)
}

async fn replay(client: &Client, wish: &ReplayArgs) -> Result<Value, Failure> {
    let body = match wish.after {
        Some(after) => json!({ "after": after, "until": wish.until }),
        None => json!({ "given_up": true }),
    };
    let path = format!("/v1/webhooks/{}/replay", wish.name);
    client.ask(Request { body: Some(body), ..Request::new(Method::POST, &path) }).await
}

/// What may stand in a path as it is.
fn name(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let is_name = !text.is_empty() && text.bytes().all(fits);
    if is_name { Ok(text.to_owned()) } else { Err("small letters, digits, '-' and '_'".into()) }
}
