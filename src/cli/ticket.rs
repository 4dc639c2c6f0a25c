//! `smsbusd ticket`: verifies and shows tickets. Needs neither a daemon nor a network.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Exit, Failure, Outcome, keys,
    output::{self, print, print_json},
};
use crate::{
    clock::{Clock, Timestamp},
    ticket::{
        KeySet, Revocations, TicketContents, Verdict, Verifier, cwt, parse_public_key,
        qr::{self, TicketQr},
    },
    transit::VehicleCode,
};

/// A ticket's text is never longer, in bytes.
const TEXT_BYTES_MAX: u64 = 4_096;
/// A signed key set is never longer, in bytes.
const KEY_SET_BYTES_MAX: u64 = 64 * 1024;
/// A file of revoked references is never longer, in bytes.
const REVOKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `smsbusd ticket …`
#[derive(Clone, Debug, Args)]
pub struct TicketArgs {
    #[command(subcommand)]
    command: TicketCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TicketCommand {
    /// Verify a ticket, as an inspector's device does
    ///
    /// Exit status: 0 valid, 3 invalid, 4 expired or for another vehicle, 5 cannot tell.
    Verify(VerifyArgs),
    /// Show what a ticket says, without verifying it
    Show(ShowArgs),
}

#[derive(Clone, Debug, Args)]
struct VerifyArgs {
    /// What the QR code holds (SB1:…), or - to read it from the standard input
    text: String,
    /// The key set: a JWKS, or a signed set together with --root
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The pinned root's public key, as `keys list` shows it, or a file that holds it
    #[arg(long, allow_hyphen_values = true, value_name = "KEY")]
    root: Option<String>,
    /// The vehicle that the ticket is shown in; any, if left out
    #[arg(long, value_name = "CODE")]
    vehicle: Option<String>,
    /// The moment to verify for (RFC 3339); now, if left out
    #[arg(long, value_name = "MOMENT")]
    at: Option<Timestamp>,
    /// File of revoked references, one a line; without it a refunded ticket looks valid
    #[arg(long, value_name = "FILE")]
    revoked: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
struct ShowArgs {
    /// What the QR code holds (SB1:…), or - to read it from the standard input
    text: String,
    /// Draw the QR code in the terminal
    #[arg(long)]
    qr: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs one of the commands. Errors: a key set that cannot be read or trusted, a text that cannot be shown.
pub fn ticket(args: &TicketArgs) -> Outcome {
    match &args.command {
        TicketCommand::Verify(args) => verify(args),
        TicketCommand::Show(args) => show(args),
    }
}

fn verify(args: &VerifyArgs) -> Outcome {
    let at = args.at.unwrap_or_else(|| Clock::System.now());
    let verifier = Verifier::new(key_set(args, at)?);
    let revoked = revocations(args)?;
    // The way that a ticket writes it, if it is a code.
    let vehicle =
        args.vehicle.as_ref().map(|text| text.parse::<VehicleCode>().map_or(text.clone(), |code| code.to_string()));
    let verdict = verifier.verify_text(&text(&args.text)?, at, vehicle.as_deref(), &revoked);
    let (exit, code, why, contents) = match &verdict {
        Verdict::Valid(contents) => (Exit::Done, "valid", None, Some(contents)),
        Verdict::Invalid(fault) => (Exit::Invalid, "invalid", Some(fault.to_string()), None),
        Verdict::Expired(contents) => {
            (Exit::ExpiredOrOtherVehicle, "expired", Some(format!("since {}", contents.expires_at)), Some(contents))
        }
        Verdict::OtherVehicle(contents) => (
            Exit::ExpiredOrOtherVehicle,
            "other_vehicle",
            Some(format!("bought in {}", contents.vehicle)),
            Some(contents),
        ),
        Verdict::CannotTell(doubt) => (Exit::CannotTell, "cannot_tell", Some(doubt.to_string()), None),
    };
    if args.json {
        print_json(&json!({ "verdict": code, "why": why, "at": at, "ticket": contents.map(as_json) }))?;
    } else {
        let verdict = code.replace('_', " ").to_uppercase();
        print(why.map_or(verdict.clone(), |why| format!("{verdict}: {why}")))?;
        contents.map_or(Ok(()), print_contents)?;
    }
    Ok(exit)
}

fn show(args: &ShowArgs) -> Outcome {
    let text = text(&args.text)?;
    let unreadable = |error: &dyn std::fmt::Display| Failure::new(format!("not a ticket: {error}"));
    let cose = qr::from_text(&text).map_err(|error| unreadable(&error))?;
    let contents = cwt::decode_unverified(&cose).map_err(|error| unreadable(&error))?;
    if args.json {
        print_json(&json!({ "verified": false, "ticket": as_json(&contents) }))?;
    } else {
        print("NOT VERIFIED: anybody can write this; `smsbusd ticket verify` says whether we did")?;
        print_contents(&contents)?;
    }
    if args.qr {
        let drawn = TicketQr::new(&cose).map_err(|error| Failure::new(error.to_string()))?;
        print(drawn.to_terminal())?;
    }
    Ok(Exit::Done)
}

/// The keys that the verifier trusts. A signed set is binary and begins with the tag of COSE_Sign1.
fn key_set(args: &VerifyArgs, at: Timestamp) -> Result<KeySet, Failure> {
    let file = args.keys.display();
    let bytes = output::read(&args.keys, KEY_SET_BYTES_MAX)?;
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    match (&args.root, is_json) {
        (None, true) => {
            Ok(KeySet { issued_at: Timestamp::MIN, expires_at: Timestamp::MAX, keys: keys::read_jwks(&args.keys)? })
        }
        (Some(_), true) => {
            Err(Failure::usage(format!("{file}: a JWKS is not signed; leave --root out, or take a signed set")))
        }
        (None, false) => {
            Err(Failure::usage(format!("{file}: a signed set needs --root, the public key that it is trusted by")))
        }
        (Some(root), false) => {
            let pinned = match parse_public_key(root) {
                Some(key) => Some(key),
                None => parse_public_key(&String::from_utf8_lossy(&output::read(root.as_ref(), 1_024)?)),
            };
            let pinned =
                pinned.ok_or_else(|| Failure::usage("--root: neither a public key in base64url nor a file of one"))?;
            KeySet::open(&bytes, &pinned, at).map_err(|error| Failure::new(format!("{file}: {error}")))
        }
    }
}

fn revocations(args: &VerifyArgs) -> Result<Revocations, Failure> {
    let Some(file) = &args.revoked else { return Ok(Revocations::default()) };
    let bytes = output::read(file, REVOKED_BYTES_MAX)?;
    let mut revoked = BTreeSet::new();
    for (line, text) in (1..).zip(String::from_utf8_lossy(&bytes).lines()) {
        if !text.trim().is_empty() {
            let reference: Uuid = text
                .trim()
                .parse()
                .map_err(|error| Failure::new(format!("{}, line {line}: not a reference: {error}", file.display())))?;
            revoked.insert(reference);
        }
    }
    Ok(revoked.into_iter().collect())
}

fn text(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let bytes = output::read("-".as_ref(), TEXT_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn print_contents(contents: &TicketContents) -> Result<(), Failure> {
    let trip = contents.trip.as_deref().map(|trip| format!(", trip {trip}")).unwrap_or_default();
    print(format!("vehicle     {}, route {}, {}{trip}", contents.vehicle, contents.route, contents.city))?;
    print(format!("passengers  {} ({})", contents.passengers, contents.fare_class))?;
    print(format!("paid        {}", contents.amount))?;
    print(format!("valid       {} until {}", contents.not_before, contents.expires_at))?;
    print(format!("reference   {}", contents.reference))?;
    print(format!("issuer      {}, {}", contents.issuer, contents.issued_at))
}

fn as_json(contents: &TicketContents) -> Value {
    json!({
        "reference": contents.reference,
        "issuer": contents.issuer,
        "issued_at": contents.issued_at,
        "not_before": contents.not_before,
        "expires_at": contents.expires_at,
        "fare_class": contents.fare_class,
        "passengers": contents.passengers,
        "amount": { "minor": contents.amount.minor, "currency": contents.amount.currency.code() },
        "city": contents.city,
        "vehicle": contents.vehicle,
        "route": contents.route,
        "trip": contents.trip,
        "msisdn_tag": data_encoding::HEXLOWER.encode(&contents.msisdn_tag),
    })
}
