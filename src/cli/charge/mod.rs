//! `smsbusd charge`: asks a running daemon to charge, shows a charge, settles what is in doubt.

mod story;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ApiArgs, Exit, Failure, Outcome,
    client::{Client, Request},
    output::{print, print_json},
};
use crate::{charge::Reference, msisdn::Msisdn};

/// `smsbusd charge …`
#[derive(Clone, Debug, Args)]
pub struct ChargeArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(subcommand)]
    command: ChargeCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ChargeCommand {
    /// Buy a ticket: take the fare from a phone's balance
    Create(CreateArgs),
    /// Tell what happened to a charge, with what the carrier said, word for word
    Show {
        /// The charge's reference
        reference: Reference,
        /// As JSON: the charge, and its journal
        #[arg(long)]
        json: bool,
        /// The time zone to tell it in; this machine's, if left out
        #[arg(long, value_name = "ZONE", value_parser = TimeZone::get)]
        zone: Option<TimeZone>,
    },
    /// Settle a charge that is in doubt, on what you know from the carrier
    ///
    /// The decision is final and is kept with your words. Ask the carrier first: money that was taken and is resolved as
    /// not-charged is a passenger robbed.
    Resolve(ResolveArgs),
}

#[derive(Clone, Debug, Args)]
struct CreateArgs {
    /// The phone that pays
    #[arg(long, value_name = "NUMBER")]
    msisdn: Msisdn,
    /// The code on the vehicle's sticker, or its state plate
    #[arg(long, value_name = "CODE")]
    vehicle: String,
    /// How many ride
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    passengers: u8,
    /// Wait this many seconds for the outcome
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "20", value_parser = clap::value_parser!(u64).range(1..=300))]
    wait: Option<u64>,
    /// Idempotency key: the same key never charges twice. Made up without it, and shown if no answer comes
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct ResolveArgs {
    /// The charge's reference
    reference: Reference,
    /// What the carrier says became of it
    #[arg(long = "as", value_name = "OUTCOME")]
    outcome: Resolved,
    /// How you know; for the audit
    #[arg(long, value_name = "TEXT")]
    because: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Resolved {
    /// The money was taken
    Charged,
    /// The money was not taken
    NotCharged,
}

/// Runs one of the commands. Errors: no token, no answer, a refusal.
pub async fn charge(args: &ChargeArgs) -> Outcome {
    let client = Client::new(&args.api)?;
    let answer = match &args.command {
        ChargeCommand::Create(args) => create(&client, args).await?,
        ChargeCommand::Show { reference, json: true, .. } => show(&client, *reference).await?,
        ChargeCommand::Show { reference, json: false, zone } => return tell(&client, *reference, zone.clone()).await,
        ChargeCommand::Resolve(args) => resolve(&client, args).await?,
    };
    print_json(&answer)?;
    Ok(Exit::Done)
}

async fn create(client: &Client, args: &CreateArgs) -> Result<Value, Failure> {
    let key = args.key.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let prefer = format!("wait={}", args.wait.unwrap_or(0));
    let mut headers = vec![("Idempotency-Key", key.as_str())];
    if args.wait.is_some() {
        headers.push(("Prefer", prefer.as_str()));
    }
    let request = Request {
        headers: &headers,
        body: Some(json!({ "msisdn": args.msisdn, "vehicle": args.vehicle, "passengers": args.passengers })),
        wait: Duration::from_secs(args.wait.unwrap_or(0)),
        ..Request::new(Method::POST, "/v1/charges")
    };
    client
        .ask(request)
        .await
        .map_err(|failure| Failure::new(format!("{failure}\nto try again without charging twice, add: --key {key}")))
}

async fn show(client: &Client, reference: Reference) -> Result<Value, Failure> {
    let path = format!("/v1/charges/{reference}");
    let mut charge = client.ask(Request::new(Method::GET, &path)).await?;
    if let Some(charge) = charge.as_object_mut() {
        let journal = client.ask(Request::new(Method::GET, &format!("{path}/journal"))).await?;
        charge.insert("journal".into(), journal);
    }
    Ok(charge)
}

async fn tell(client: &Client, reference: Reference, zone: Option<TimeZone>) -> Outcome {
    let unclear = |error: serde_json::Error| Failure::new(format!("the daemon's answer cannot be read: {error}"));
    let mut charge = show(client, reference).await?;
    let journal = charge.as_object_mut().and_then(|charge| charge.remove("journal")).unwrap_or_default();
    let (charge, journal) =
        (serde_json::from_value(charge).map_err(unclear)?, serde_json::from_value(journal).map_err(unclear)?);
    for line in story::tell(&charge, &journal, &zone.unwrap_or_else(TimeZone::system)) {
        print(line)?;
    }
    Ok(Exit::Done)
}

async fn resolve(client: &Client, args: &ResolveArgs) -> Result<Value, Failure> {
    let outcome = match args.outcome {
        Resolved::Charged => "charged",
        Resolved::NotCharged => "not_charged",
    };
    let path = format!("/v1/charges/{}/resolution", args.reference);
    let body = Some(json!({ "as": outcome, "because": args.because }));
    client.ask(Request { body, ..Request::new(Method::POST, &path) }).await
}
