//! `smsbusd keys`: makes, lists and publishes the keys that sign tickets. Needs no daemon.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    Exit, Failure, Outcome,
    output::{self, print, print_json},
};
use crate::{
    clock::{Clock, Timestamp},
    ticket::{
        KeySet, PublicKey,
        keyfile::{self, Listed, NewKey, Purpose, Secret},
    },
};

/// A key set is never longer, in bytes.
const KEY_SET_BYTES_MAX: u64 = 64 * 1024;
/// How long a ticket key signs if nothing else is said.
const TICKET_KEY_SPAN: Duration = Duration::from_secs(92 * 24 * 60 * 60);

/// `smsbusd keys …`
#[derive(Clone, Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum KeysCommand {
    /// Make a key from the system's random numbers, in a new file with mode 0600
    Generate(GenerateArgs),
    /// List the keys of a folder, without their secrets
    List {
        /// The folder
        #[arg(long, value_name = "FOLDER")]
        directory: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish the public halves of the ticket keys, for verifiers
    ///
    /// On the daemon's machine: keys export --jwks --directory FOLDER > keys.json. Where the root is kept, without a network:
    /// keys export --signed --root ROOT.key --from keys.json --output keys.cose
    Export(ExportArgs),
}

#[derive(Clone, Debug, Args)]
struct GenerateArgs {
    /// The folder that the key goes to
    #[arg(long, value_name = "FOLDER")]
    directory: PathBuf,
    /// What the key is for
    #[arg(long)]
    purpose: KeyPurpose,
    /// A ticket key signs from here (RFC 3339); now, if left out
    #[arg(long, value_name = "MOMENT")]
    not_before: Option<Timestamp>,
    /// A ticket key signs until before here, and none of its tickets lasts longer; 92 days after its start, if left out
    #[arg(long, value_name = "MOMENT")]
    not_after: Option<Timestamp>,
    /// Describe the key as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyPurpose {
    /// Signs tickets
    Ticket,
    /// Signs key sets; belongs on a machine without a network
    Root,
    /// Derives the keys of short codes
    ShortCode,
    /// Tags MSISDNs
    MsisdnTag,
}

#[derive(Clone, Debug, Args)]
struct ExportArgs {
    /// The folder of the private ticket keys
    #[arg(long, value_name = "FOLDER", required_unless_present = "from", conflicts_with = "from")]
    directory: Option<PathBuf>,
    /// A key set that `export --jwks` wrote
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// As a JWKS (RFC 7517), unsigned: for those who trust the way that it comes to them
    #[arg(long, required_unless_present = "signed", conflicts_with = "signed")]
    jwks: bool,
    /// As a COSE key set under the offline root: for verifiers that pin it
    #[arg(long, requires = "root")]
    signed: bool,
    /// The root's key file
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// How many days verifiers may use the signed set
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// The new file to write; the standard output, if left out
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs one of the commands. Errors: a folder or file that cannot be read or written, or holds no such key.
pub fn keys(args: &KeysArgs) -> Outcome {
    match &args.command {
        KeysCommand::Generate(args) => generate(args)?,
        KeysCommand::List { directory, json } => list(directory, *json)?,
        KeysCommand::Export(args) => export(args)?,
    }
    Ok(Exit::Done)
}

fn generate(args: &GenerateArgs) -> Result<(), Failure> {
    let window = args.not_before.is_some() || args.not_after.is_some();
    if window && args.purpose != KeyPurpose::Ticket {
        return Err(Failure::usage("--not-before and --not-after are for ticket keys; the others do not end"));
    }
    let new = match args.purpose {
        KeyPurpose::Ticket => {
            let not_before = args.not_before.unwrap_or_else(|| Clock::System.now());
            NewKey::Ticket { not_before, not_after: args.not_after.unwrap_or_else(|| not_before.plus(TICKET_KEY_SPAN)) }
        }
        KeyPurpose::Root => NewKey::Root,
        KeyPurpose::ShortCode => NewKey::ShortCode,
        KeyPurpose::MsisdnTag => NewKey::MsisdnTag,
    };
    let listed = keyfile::generate(&args.directory, new).map_err(|error| Failure::new(error.to_string()))?;
    if args.json { print_json(&as_json(&listed)) } else { print(as_text(&listed)) }
}

fn list(directory: &std::path::Path, json: bool) -> Result<(), Failure> {
    let listed = keyfile::list(directory).map_err(|error| Failure::new(error.to_string()))?;
    if json {
        return print_json(&Value::Array(listed.iter().map(as_json).collect()));
    }
    if listed.is_empty() {
        return print(format!("{}: no key files (*.key)", directory.display()));
    }
    listed.iter().try_for_each(|key| print(as_text(key)))
}

fn export(args: &ExportArgs) -> Result<(), Failure> {
    let now = Clock::System.now();
    let keys = match (&args.directory, &args.from) {
        (Some(directory), _) => {
            let keyring = keyfile::load_keyring(directory).map_err(|error| Failure::new(error.to_string()))?;
            keyring.public_keys(now)
        }
        (None, Some(file)) => read_jwks(file)?,
        (None, None) => return Err(Failure::usage("name the keys: --directory FOLDER or --from FILE")),
    };
    if keys.is_empty() {
        return Err(Failure::new("every ticket key has ended; make one with `smsbusd keys generate --purpose ticket`"));
    }
    let days = Duration::from_secs(u64::from(args.days) * 24 * 60 * 60);
    let set = KeySet { issued_at: now, expires_at: now.plus(days), keys };
    let bytes = match &args.root {
        Some(root) if args.signed => match keyfile::load(root).map_err(|error| Failure::new(error.to_string()))? {
            Secret::Root(root) => set.sign(&root).map_err(|error| Failure::new(error.to_string()))?,
            _ => return Err(Failure::new(format!("{}: not a root key", root.display()))),
        },
        _ => format!("{:#}\n", set.to_jwks()).into_bytes(),
    };
    match &args.output {
        Some(file) => output::write_new(file, &bytes),
        None => output::print_bytes(&bytes),
    }
}

/// The keys of an unsigned set. Errors: not JSON, or not a key set.
pub(super) fn read_jwks(file: &std::path::Path) -> Result<Vec<PublicKey>, Failure> {
    let wrong = |what: String| Failure::new(format!("{}: {what}", file.display()));
    let bytes = output::read(file, KEY_SET_BYTES_MAX)?;
    let jwks: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not a JWKS: {error}")))?;
    KeySet::keys_from_jwks(&jwks).map_err(|error| wrong(error.to_string()))
}

fn purpose(listed: &Listed) -> &'static str {
    match listed.purpose {
        Purpose::Ticket => "ticket",
        Purpose::Root => "root",
        Purpose::ShortCode => "short-code",
        Purpose::MsisdnTag => "msisdn-tag",
    }
}

fn as_text(listed: &Listed) -> String {
    let mut text = format!("{:<10}  {}", purpose(listed), listed.path.display());
    if let Some(kid) = listed.kid {
        text.push_str(&format!("\n            id {kid}"));
    }
    if let Some((not_before, not_after)) = listed.window {
        text.push_str(&format!("\n            signs from {not_before} until {not_after}"));
    }
    if let Some(public_key) = &listed.public_key {
        text.push_str(&format!("\n            public key {public_key}"));
    }
    text
}

fn as_json(listed: &Listed) -> Value {
    json!({
        "path": listed.path,
        "purpose": purpose(listed),
        "kid": listed.kid.map(|kid| kid.to_string()),
        "public_key": listed.public_key,
        "not_before": listed.window.map(|(not_before, _)| not_before),
        "not_after": listed.window.map(|(_, not_after)| not_after),
    })
}
