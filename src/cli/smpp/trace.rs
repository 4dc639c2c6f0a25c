//! `smsbusd smpp trace`

use std::time::Duration;

use clap::Args;

use crate::{
    carrier::TraceLine,
    charge::CarrierName,
    cli::{
        ApiArgs, Exit, Failure, Outcome,
        client::{Client, LongAnswer},
        output::print_on,
    },
};

/// What `trace` is told.
#[derive(Clone, Debug, Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// The carrier's name in the configuration
    carrier: CarrierName,
    /// Only this bind
    #[arg(long, value_name = "NAME", value_parser = plain)]
    bind: Option<String>,
    /// Only this command and its responses, as submit_sm
    #[arg(long, value_name = "NAME", value_parser = plain)]
    command: Option<String>,
    /// A line of JSON for each PDU
    #[arg(long)]
    json: bool,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

pub(super) async fn trace(args: &TraceArgs) -> Outcome {
    let mut path = format!("/v1/carriers/{}/trace?seconds={}", args.carrier, args.seconds);
    for (name, value) in [("bind", &args.bind), ("command", &args.command)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={value}"));
        }
    }
    let lasts = Duration::from_secs(args.seconds);
    // A carrier may have nothing to say all the while.
    let trace = LongAnswer { path: &path, accept: "application/x-ndjson", lasts, silence_max: Duration::MAX };
    let client = Client::new(&args.api)?;
    let following = client.follow(trace, |line| print_on(if args.json { line.to_owned() } else { readable(line)? }));
    following.await?;
    Ok(Exit::Done)
}

fn readable(line: &str) -> Result<String, Failure> {
    let read = serde_json::from_str(line);
    match read.map_err(|error| Failure::new(format!("the daemon wrote a line that is no PDU: {error}")))? {
        TraceLine::Pdu { at, bind, pdu } => Ok(format!("{at} {bind} {pdu}")),
        TraceLine::Lost { at, lost } => {
            Ok(format!("{at} {lost} PDUs are left out: they came faster than they were read"))
        }
    }
}

/// What may stand in a query as it is.
fn plain(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet));
    if fits { Ok(name.to_owned()) } else { Err("letters, digits, and - _ . ~".to_owned()) }
}
