//! `smsbusd carrier try`: what a profile would send, and how it would read an answer. Without a daemon and without a network.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use clap::Args;
use reqwest::{StatusCode, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{
    Exit, Failure, Outcome,
    output::{self, print},
};
use crate::{
    carrier::http::{
        BODY_BYTES_MAX, HttpSecrets, Operation, Overrides, PortabilityReading, Profile, Reading, RenderError, Request,
        Sample, SampleValues, SubscriberReading,
    },
    charge::{Finding, Retry},
};

/// A secret is never longer, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// `smsbusd carrier try …`
#[derive(Clone, Debug, Args)]
pub(super) struct TryArgs {
    /// The profile (TOML); docs/http-carriers.md explains its keys
    profile: PathBuf,
    /// Show only this operation: charge, reserve, validate, confirm, cancel, status, refund, refund_status, subscriber, portability
    #[arg(long, short, value_parser = operation)]
    operation: Option<Operation>,
    /// A value of the made-up charge: msisdn=+77011234567, amount=80.50, vehicle=1234, carrier_id=, …
    #[arg(long = "set", value_name = "NAME=VALUE", num_args = 1.., value_parser = pair)]
    values: Vec<(String, String)>,
    /// A constant of the profile, as the configuration would put it
    #[arg(long = "constant", value_name = "NAME=VALUE", value_parser = pair)]
    constants: Vec<(String, String)>,
    /// In the place of the profile's base_url
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The file of a secret, so that signatures are the real ones; what stands for secrets elsewhere is never shown
    #[arg(long = "secret-file", value_name = "NAME=FILE", value_parser = pair)]
    secret_files: Vec<(String, String)>,
    /// Read the body of an answer from this file, or from the standard input (`-`), and show what it would mean
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// The HTTP status of that answer
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..600))]
    status: u16,
}

fn operation(text: &str) -> Result<Operation, String> {
    let known = Operation::ALL.into_iter().find(|operation| operation.code() == text);
    known.ok_or_else(|| format!("there are {}", Operation::ALL.map(Operation::code).join(", ")))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("want NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Shows requests and the tables of their answers, or how one answer would be read. Exit status 78 for a profile that is not sound.
pub(super) fn carrier_try(args: &TryArgs) -> Outcome {
    let overrides = Overrides {
        base_url: args.base_url.clone(),
        base_urls: BTreeMap::new(),
        constants: args.constants.iter().cloned().collect(),
    };
    let profile =
        Profile::load(&args.profile, &overrides).map_err(|error| Failure::configuration(error.to_string()))?;
    let mut values = SampleValues::default();
    for (name, value) in &args.values {
        values.set(name, value).map_err(Failure::usage)?;
    }
    let sample = Sample::new(&profile, values).map_err(Failure::usage)?;
    let offered: Vec<Operation> = profile.operations().collect();
    let shown = match args.operation {
        Some(operation) if !offered.contains(&operation) => {
            return Err(Failure::usage(format!("the profile has no {operation}")));
        }
        Some(operation) => vec![operation],
        None if args.response.is_some() => vec![profile.first_step()],
        None => offered,
    };
    print(format!("{} is sound\n{}", args.profile.display(), contract(&profile)))?;
    let body = args.response.as_ref().map(|file| output::read(file, BODY_BYTES_MAX as u64)).transpose()?;
    let secrets = secrets(args, &profile)?;
    for operation in shown {
        print(format!("\n# {operation}"))?;
        print(request(&profile, operation, &sample, &secrets)?)?;
        match &body {
            Some(body) => print(answer(&profile, operation, &sample, args.status, body)?)?,
            None => print(table(&profile, operation))?,
        }
    }
    Ok(Exit::Done)
}

fn secrets(args: &TryArgs, profile: &Profile) -> Result<HttpSecrets, Failure> {
    let mut secrets: BTreeMap<String, Zeroizing<String>> =
        profile.secrets().map(|name| (name.to_owned(), Zeroizing::new(format!("***{name}***")))).collect();
    for (name, file) in &args.secret_files {
        if !secrets.contains_key(name) {
            return Err(Failure::usage(format!("the profile has no secret {name}")));
        }
        let bytes = Zeroizing::new(output::read(file.as_ref(), SECRET_BYTES_MAX)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| Failure::new(format!("{file}: not a text")))?;
        secrets.insert(name.clone(), Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    Ok(HttpSecrets::new(secrets))
}

fn contract(profile: &Profile) -> String {
    let contract = profile.contract();
    let steps = match (profile.charges(), contract.two_step) {
        (false, _) => "it charges nothing",
        (true, false) => "it charges in one step",
        (true, true) => "it charges in two steps",
    };
    let replays = if contract.attempt.replays_keys { ", a repeat is answered as before" } else { "" };
    let callbacks: Vec<&str> = profile.callback_paths().collect();
    let callbacks = if callbacks.is_empty() { "none".into() } else { callbacks.join(", ") };
    format!(
        "{steps}{replays}; {} a second, {} at once; {} ms to connect, {} ms in all; callbacks: {callbacks}",
        contract.tps, contract.concurrency, contract.connect_timeout_ms, contract.timeout_ms
    )
}

fn request(profile: &Profile, operation: Operation, sample: &Sample, secrets: &HttpSecrets) -> Result<String, Failure> {
    let masks = HttpSecrets::masks(profile.secrets());
    match profile.render_shown(operation, &sample.context(operation), &masks, secrets) {
        Ok(request) => Ok(as_text(profile, &request)),
        Err(error @ RenderError::NotKnown { .. }) => Ok(format!("nothing is sent: {error}")),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

fn as_text(profile: &Profile, request: &Request) -> String {
    let mut text = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        let value = value.to_str().unwrap_or_default();
        let value = match (name == AUTHORIZATION, value.split_once(' ')) {
            (true, Some((scheme, _))) => format!("{scheme} ***"),
            _ => value.to_owned(),
        };
        let _infallible = writeln!(text, "{name}: {value}");
    }
    if let Some(oauth2) = profile.oauth2() {
        let _infallible = writeln!(text, "authorization: Bearer *** (a token from {})", oauth2.token_url);
    }
    if let Some(body) = &request.body {
        let _infallible = writeln!(text, "\n{}", String::from_utf8_lossy(body).trim_end());
    }
    text
}

fn table(profile: &Profile, operation: Operation) -> String {
    let rows = profile.table(operation);
    let width = |column: fn(&crate::carrier::http::TableRow) -> &str| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
    };
    let (status, result) = (width(|row| &row.status), width(|row| &row.result));
    let mut text = String::from("answers:\n");
    for row in &rows {
        let any = if row.any_body { ", whatever the body" } else { "" };
        let _infallible = writeln!(text, "  {:status$}  {:result$}  {}{any}", row.status, row.result, row.means);
    }
    let otherwise = if operation.only_asks() { "says nothing" } else { "in doubt" };
    text + &format!("  anything else: {otherwise}")
}

fn answer(
    profile: &Profile,
    operation: Operation,
    sample: &Sample,
    status: u16,
    body: &[u8],
) -> Result<String, Failure> {
    let status = StatusCode::from_u16(status).map_err(|error| Failure::usage(error.to_string()))?;
    let context = sample.context(operation);
    let reading = profile.read(operation, &context, status, body);
    let mut text = format!("answered HTTP {}\n{}", status.as_u16(), read(profile, operation, &reading));
    match operation {
        Operation::Subscriber => match profile.read_subscriber(&context, status, body) {
            SubscriberReading::Facts(facts) => {
                for (name, value) in facts {
                    let _infallible = writeln!(text, "  {name}: {}", format!("{value:?}").to_lowercase());
                }
            }
            other => text.push_str(&format!("  {other:?}\n")),
        },
        Operation::Portability => match profile.read_portability(&context, status, body) {
            PortabilityReading::Carrier(carrier) => text.push_str(&format!("  carrier: {carrier}\n")),
            other => text.push_str(&format!("  {other:?}\n")),
        },
        _ => text.push_str(&format!("  so: {}\n", in_words(&reading.finding))),
    }
    Ok(text.trim_end().to_owned())
}

fn read(profile: &Profile, operation: Operation, reading: &Reading) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        let _infallible = value.map(|value| writeln!(text, "  {name}: {value}"));
    };
    line("result", reading.result.clone());
    line("qualifier", reading.qualifier.clone());
    line("carrier id", reading.carrier_id.clone());
    line("amount", reading.amount.map(|amount| amount.to_string()));
    line("detail", Some(reading.detail.clone()).filter(|detail| !detail.is_empty()));
    let row = reading.row.and_then(|n| profile.table(operation).into_iter().nth(n));
    let row = row.map(|row| format!("{} {} → {}", row.status, row.result, row.means).trim().to_owned());
    line("row", Some(row.unwrap_or_else(|| "none fits".into())));
    line("not believed", reading.trouble.clone());
    text
}

fn in_words(finding: &Finding) -> String {
    match finding {
        Finding::NotSent => "it was not sent".into(),
        Finding::Rejected { reason, retry, detail } => {
            let again = match retry {
                Retry::Never => "for good",
                Retry::SameCarrier => "to be tried again",
                Retry::OtherCarrier => "to be tried at another carrier",
            };
            format!("it did not happen, {again}: {reason} ({detail})")
        }
        Finding::Accepted { .. } => "the outcome is still to come".into(),
        Finding::OtpNeeded { .. } => "the subscriber is asked for a password".into(),
        Finding::Reserved { .. } => "the amount is held".into(),
        Finding::Cancelled => "nothing is held, nothing was taken".into(),
        Finding::Charged { .. } => "the money has moved".into(),
        Finding::Doubtful { cause } => format!("in doubt ({cause})"),
        Finding::NotFound { complete: true, .. } => "it is not there, by a complete listing".into(),
        Finding::NotFound { complete: false, .. } => "it is not there, which proves nothing".into(),
        Finding::Nothing => "it says nothing".into(),
    }
}
