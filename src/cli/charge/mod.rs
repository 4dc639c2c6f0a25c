//! `smsbusd charge`: asks a running daemon to charge, shows a charge, lists refunds, settles what is in doubt or owed.

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
use crate::{
    charge::{CarrierName, Reference},
    msisdn::Msisdn,
};

/// Pages of 200 refunds that one list may take.
const PAGES_MAX: usize = 500;

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
        /// As JSON: the charge, with its number masked, and its journal
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
    /// List the refunds that have not reached the passenger, those of the oldest purchases first
    Refunds(RefundsArgs),
    /// Settle a refund that is in doubt or owed, on what you know from the carrier or the bank
    ///
    /// What is in doubt is refunded or not-refunded; what is owed is refunded or paid-otherwise. The decision is final and is kept with
    /// your words. Ask the carrier first: what it gives back after all and was paid otherwise is paid twice.
    ResolveRefund(ResolveRefundArgs),
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

#[derive(Clone, Debug, Args)]
struct RefundsArgs {
    /// Only those that stand here
    #[arg(long)]
    state: Option<Standing>,
    /// Only those asked for at least so many seconds ago
    #[arg(long, value_name = "SECONDS")]
    older_than: Option<u32>,
    /// Only those of this carrier
    #[arg(long, value_name = "NAME")]
    carrier: Option<CarrierName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Standing {
    /// The carrier is being asked
    Requested,
    /// The carrier may have done it
    InDoubt,
    /// The carrier cannot or would not
    Owed,
}

#[derive(Clone, Debug, Args)]
struct ResolveRefundArgs {
    /// The charge's reference
    reference: Reference,
    /// The refund's id
    refund: Reference,
    /// What became of it
    #[arg(long = "as", value_name = "OUTCOME")]
    outcome: RefundResolved,
    /// How you know; for the audit
    #[arg(long, value_name = "TEXT")]
    because: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RefundResolved {
    /// The carrier gave the money back
    Refunded,
    /// The carrier did not: it is owed
    NotRefunded,
    /// What was owed was paid back by bank or in cash
    PaidOtherwise,
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
        ChargeCommand::Refunds(args) => refunds(&client, args).await?,
        ChargeCommand::ResolveRefund(args) => resolve_refund(&client, args).await?,
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
        // It is shown on a screen, or kept in a file: whose phone it is must not stand there.
        let number = charge.get("msisdn").and_then(Value::as_str).and_then(|number| number.parse::<Msisdn>().ok());
        if let Some(number) = number {
            charge.insert("msisdn".into(), number.masked().into());
        }
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

/// All of them, page after page.
async fn refunds(client: &Client, args: &RefundsArgs) -> Result<Value, Failure> {
    let mut query = vec!["limit=200".to_owned()];
    query.extend(args.state.map(|state| match state {
        Standing::Requested => "state=requested".to_owned(),
        Standing::InDoubt => "state=in_doubt".to_owned(),
        Standing::Owed => "state=owed".to_owned(),
    }));
    query.extend(args.older_than.map(|seconds| format!("older_than={seconds}")));
    query.extend(args.carrier.as_ref().map(|carrier| format!("carrier={carrier}")));
    let first = format!("/v1/refunds?{}", query.join("&"));
    let (mut all, mut path) = (Vec::new(), first.clone());
    for _ in 0..PAGES_MAX {
        let mut page = client.ask(Request::new(Method::GET, &path)).await?;
        if let Some(Value::Array(refunds)) = page.get_mut("refunds").map(Value::take) {
            all.extend(refunds);
        }
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => return Ok(json!({ "refunds": all })),
        }
    }
    Err(Failure::new(format!("there are more than {} refunds; narrow it with --carrier or --older-than", all.len())))
}

async fn resolve_refund(client: &Client, args: &ResolveRefundArgs) -> Result<Value, Failure> {
    let outcome = match args.outcome {
        RefundResolved::Refunded => "refunded",
        RefundResolved::NotRefunded => "not_refunded",
        RefundResolved::PaidOtherwise => "paid_otherwise",
    };
    let path = format!("/v1/charges/{}/refunds/{}/resolution", args.reference, args.refund);
    let body = Some(json!({ "as": outcome, "because": args.because }));
    client.ask(Request { body, ..Request::new(Method::POST, &path) }).await
}
