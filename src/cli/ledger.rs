//! `smsbusd ledger`: checks the books in the store, beside a running daemon or without one.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{
    ConfigArgs, Exit, Failure, Outcome,
    migrate::store_failure,
    output::{print, print_json},
};
use crate::{
    ledger::{Audited, DailyRoot},
    money::Money,
    settings,
    store::Store,
};

/// `smsbusd ledger …`
#[derive(Clone, Debug, Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LedgerCommand {
    /// Check that nothing in the books was changed, that they add up, and that they agree with the charges
    ///
    /// Reads the whole store as it is this moment; a daemon may go on writing. Exit status 1: something is wrong, and each line
    /// says what and where.
    Check(CheckArgs),
    /// Show the hash over the books at the end of each of the last days (UTC)
    ///
    /// Note them where nobody can reach who can change the store; the daemon writes each into its log as well. `ledger check
    /// --root` compares.
    Roots(RootsArgs),
}

#[derive(Clone, Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A root that was noted: the books up to the end of that day must lead to it
    #[arg(long = "root", value_name = "DAY=HASH")]
    roots: Vec<NotedRoot>,
    /// The folder with the archived months: each must be what was archived
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// Say it for machines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, Args)]
struct RootsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many days
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: u32,
}

/// `2026-11-21=…`
#[derive(Clone, Copy, Debug)]
struct NotedRoot(DailyRoot);

impl FromStr for NotedRoot {
    type Err = String;

    fn from_str(text: &str) -> Result<NotedRoot, String> {
        let bad = || "write a day and the 64 hex digits of its root: 2026-11-21=9f2c…".to_owned();
        let (day, root) = text.split_once('=').ok_or_else(bad)?;
        let root = HEXLOWER.decode(root.to_ascii_lowercase().as_bytes()).ok().and_then(|root| root.try_into().ok());
        Ok(NotedRoot(DailyRoot { day: day.parse().map_err(|_| bad())?, root: root.ok_or_else(bad)? }))
    }
}

/// Runs one of the commands. Only the section `store` of the configuration is looked at.
///
/// Errors: a store that cannot be read; books that are not in order.
pub async fn ledger(args: &LedgerArgs) -> Outcome {
    match &args.command {
        LedgerCommand::Check(args) => check(args).await,
        LedgerCommand::Roots(args) => roots(args).await,
    }
}

async fn check(args: &CheckArgs) -> Outcome {
    let store = settings::load_store(&args.config.sources())?;
    let noted: Vec<DailyRoot> = args.roots.iter().map(|noted| noted.0).collect();
    let (audited, archived) = match &args.archive {
        None => (Store::audit(&store.url, &noted).await.map_err(store_failure)?, None),
        Some(folder) => {
            let checked = Box::pin(Store::audit_with_archive(&store.url, &noted, folder)).await;
            let (audited, sound) = checked.map_err(store_failure)?;
            (audited, Some(sound))
        }
    };
    match args.json {
        true => print_json(&for_machines(&audited, archived))?,
        false => for_people(&audited, archived)?,
    }
    match audited.flaws_total {
        0 => Ok(Exit::Done),
        1 => Err(Failure::new("the books are not in order: 1 flaw")),
        flaws => Err(Failure::new(format!("the books are not in order: {flaws} flaws"))),
    }
}

fn for_people(audited: &Audited, archived: Option<u64>) -> Result<(), Failure> {
    print(format!(
        "{} charges, {} journal entries, {} ledger lines in {} blocks",
        audited.charges, audited.entries, audited.lines, audited.blocks
    ))?;
    let gone = audited.retired;
    if gone.months > 0 {
        print(format!(
            "{} months are retired, with {} journal entries, {} ledger lines and {} of the blocks",
            gone.months, gone.entries, gone.lines, gone.blocks
        ))?;
    }
    if let Some(sound) = archived {
        print(format!("{sound} months in the archive are what was archived"))?;
    }
    for (writer, head) in &audited.heads {
        print(format!(
            "chain of writer {writer}: block {} of {}, {}",
            head.number,
            head.at,
            HEXLOWER.encode(&head.hash)
        ))?;
    }
    for ((account, currency), minor) in &audited.balances {
        let amount =
            i64::try_from(*minor).map_or_else(|_| minor.to_string(), |minor| Money::new(minor, *currency).major());
        print(format!("{:<40} {amount:>20} {currency}", account.to_string()))?;
    }
    for flaw in &audited.flaws {
        print(format!("FLAW: {flaw}"))?;
    }
    let untold = audited.flaws_total.saturating_sub(audited.flaws.len() as u64);
    if untold > 0 {
        print(format!("FLAW: and {untold} more"))?;
    }
    if audited.flaws_total == 0 {
        print(
            "The books are in order: nothing was changed, every transition adds up to zero, and all agrees with the charges.",
        )?;
    }
    Ok(())
}

fn for_machines(audited: &Audited, archived: Option<u64>) -> Value {
    let heads = audited.heads.iter().map(|(writer, head)| {
        json!({ "writer": writer.0, "block": head.number, "at": head.at, "hash": HEXLOWER.encode(&head.hash) })
    });
    let balances = audited.balances.iter().map(|((account, currency), minor)| {
        json!({ "account": account, "minor": i64::try_from(*minor).ok(), "currency": currency.code() })
    });
    json!({
        "charges": audited.charges,
        "entries": audited.entries,
        "lines": audited.lines,
        "blocks": audited.blocks,
        "retired": {
            "months": audited.retired.months,
            "entries": audited.retired.entries,
            "lines": audited.retired.lines,
            "blocks": audited.retired.blocks,
        },
        "archived_months_in_order": archived,
        "heads": heads.collect::<Vec<_>>(),
        "balances": balances.collect::<Vec<_>>(),
        "flaws_total": audited.flaws_total,
        "flaws": audited.flaws.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

async fn roots(args: &RootsArgs) -> Outcome {
    let store = settings::load_store(&args.config.sources())?;
    for DailyRoot { day, root } in Store::daily_roots(&store.url, args.days).await.map_err(store_failure)? {
        print(format!("{day}={}", HEXLOWER.encode(&root)))?;
    }
    Ok(Exit::Done)
}
