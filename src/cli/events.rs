//! `smsbusd events`: what became of charges, a line of JSON for each event.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{
    ApiArgs, Exit, Failure, Outcome,
    client::{Client, Request},
    output::print_on,
};
use crate::{gateway::events::EventFilter, store::EventPlace};

/// A stream is asked for anew after this long.
const STREAM_LASTS: Duration = Duration::from_secs(3_600);
/// Before a stream that broke off is asked for anew.
const PAUSE: Duration = Duration::from_secs(2);

/// `smsbusd events`
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only events behind this cursor; all of them without it
    #[arg(long, value_name = "CURSOR")]
    after: Option<EventPlace>,
    /// Only these types, with commas between them; refund.* means every type that begins so
    #[arg(long, value_name = "TYPES", value_parser = types)]
    types: Option<String>,
    /// Go on with what happens, until interrupted
    #[arg(long)]
    follow: bool,
}

/// Prints events. Errors: no token, no answer, a refusal.
pub async fn events(args: &EventsArgs) -> Outcome {
    let client = Client::new(&args.api)?;
    let mut cursor = args.after.unwrap_or(EventPlace::START);
    if !args.follow {
        return pages(&client, args, cursor).await;
    }
    loop {
        let mut reads_on = true;
        let path = path(args, cursor);
        let followed = client.follow(&path, "text/event-stream", STREAM_LASTS, |line| {
            if let Some(id) = line.strip_prefix("id: ") {
                cursor =
                    id.parse().map_err(|error| Failure::new(format!("the daemon sent the cursor {id:?}: {error}")))?;
            } else if let Some(data) = line.strip_prefix("data: ") {
                reads_on = print_on(data)?;
            }
            Ok(reads_on)
        });
        match followed.await {
            Ok(()) if !reads_on => return Ok(Exit::Done),
            // The daemon may be starting again. What was not printed comes then.
            Ok(()) => tokio::time::sleep(PAUSE).await,
            Err(failure) => return Err(failure),
        }
    }
}

async fn pages(client: &Client, args: &EventsArgs, mut cursor: EventPlace) -> Outcome {
    loop {
        let answer = client.ask(Request::new(Method::GET, &format!("{}&limit=200", path(args, cursor)))).await?;
        for event in answer.get("events").and_then(Value::as_array).into_iter().flatten() {
            if !print_on(event.to_string())? {
                return Ok(Exit::Done);
            }
        }
        let next = answer.get("next").and_then(Value::as_str).and_then(|next| next.parse().ok());
        match (next, answer.get("is_last").and_then(Value::as_bool)) {
            (Some(next), Some(false)) => cursor = next,
            (Some(_), Some(true)) => return Ok(Exit::Done),
            _ => return Err(Failure::new("the daemon answered with something that is no page of events")),
        }
    }
}

fn path(args: &EventsArgs, cursor: EventPlace) -> String {
    let types = args.types.as_ref().map(|types| format!("&types={types}")).unwrap_or_default();
    format!("/v1/events?after={cursor}{types}")
}

/// What may stand in a query as it is.
fn types(text: &str) -> Result<String, String> {
    let checked: Result<EventFilter, _> = text.parse();
    checked.map_err(|error| error.to_string())?;
    Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","))
}
