//! `smsbusd retention`

use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{
    ConfigArgs, Exit, Failure, Outcome,
    migrate::store_failure,
    output::{print, print_json},
};
use crate::{
    clock::Clock,
    settings,
    store::{Month, MonthOutcome, Retention, RetentionError, RetentionOrder, Store},
};

/// `smsbusd retention`
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("to").args(["archive", "no_archive", "dry_run"]).required(true).multiple(true)))]
pub struct RetentionArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many whole months before this one (UTC) stay; no fewer than store.keep_months_min
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_200))]
    keep_months: u32,
    /// Write what goes into this folder first: two files a month
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_archive")]
    archive: Option<PathBuf>,
    /// Let it go without an archive: nobody can ever look at it again
    #[arg(long)]
    no_archive: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Say it for machines
    #[arg(long)]
    json: bool,
}

/// Lets go of months of the journal and the ledger that are old enough, beside daemons that serve. Only the section `store` of the
/// configuration is looked at. Each month goes durably and as a whole, or stays.
///
/// Errors: fewer months are to stay than is configured; the store is none that has months, or cannot be reached; the archive cannot be
/// written; a month must stay.
pub async fn retention(args: &RetentionArgs) -> Outcome {
    let store = settings::load_store(&args.config.sources())?;
    if args.keep_months < store.keep_months_min {
        return Err(Failure::usage(format!(
            "--keep-months {}: store.keep_months_min is {}, and no fewer may stay",
            args.keep_months, store.keep_months_min
        )));
    }
    let order = RetentionOrder {
        keep_months: args.keep_months,
        archive: args.archive.clone(),
        dry_run: args.dry_run,
        now: Clock::System.now(),
    };
    let tell = |month: Month, outcome: &MonthOutcome| {
        if !args.json {
            // What was done is done, whether somebody reads on or not.
            let _ = print(sentence(month, outcome));
        }
    };
    let done = Box::pin(Store::retire(&store.url, &order, tell)).await.map_err(failure)?;
    match args.json {
        true => print_json(&for_machines(&done))?,
        false => for_people(&done)?,
    }
    let refused = done.months.iter().filter(|(_, outcome)| matches!(outcome, MonthOutcome::Refused { .. })).count();
    match refused {
        0 => Ok(Exit::Done),
        1 => Err(Failure::new("1 month had to stay")),
        many => Err(Failure::new(format!("{many} months had to stay"))),
    }
}

fn sentence(month: Month, outcome: &MonthOutcome) -> String {
    match outcome {
        MonthOutcome::Retired(gone) => {
            let to = if gone.archived.is_some() { "archived and " } else { "" };
            format!(
                "{month}: {to}retired: {} journal entries, {} ledger lines, {} charges, {} blocks",
                gone.entries, gone.lines, gone.charges, gone.blocks
            )
        }
        MonthOutcome::Due { entries, lines } => {
            format!("{month}: {entries} journal entries and {lines} ledger lines would go")
        }
        MonthOutcome::Refused { why } => format!("{month}: stays: {why}"),
    }
}

fn for_people(done: &Retention) -> Result<(), Failure> {
    for (month, outcome) in &done.months {
        if let MonthOutcome::Retired(gone) = outcome
            && let Some((journal, ledger)) = gone.archived
        {
            print(format!("SHA-256 {} journal-{month}.jsonl.gz", HEXLOWER.encode(&journal)))?;
            print(format!("SHA-256 {} ledger-{month}.jsonl.gz", HEXLOWER.encode(&ledger)))?;
        }
    }
    if done.months.is_empty() {
        print(format!("No month is there before {}.", done.keeps_from))?;
    }
    if done.outside > 0 {
        print(format!(
            "{} journal entries stand in no month, and stay: of blocks over two months, or of a clock that was wrong.",
            done.outside
        ))?;
    }
    Ok(())
}

fn for_machines(done: &Retention) -> Value {
    let months = done.months.iter().map(|(month, outcome)| {
        let month = month.to_string();
        match outcome {
            MonthOutcome::Retired(gone) => json!({
                "month": month, "outcome": "retired", "entries": gone.entries, "lines": gone.lines, "charges": gone.charges,
                "blocks": gone.blocks, "kept_entries": gone.kept_entries,
                "journal_sha256": gone.archived.map(|(journal, _)| HEXLOWER.encode(&journal)),
                "ledger_sha256": gone.archived.map(|(_, ledger)| HEXLOWER.encode(&ledger)),
            }),
            MonthOutcome::Due { entries, lines } => {
                json!({ "month": month, "outcome": "due", "entries": entries, "lines": lines })
            }
            MonthOutcome::Refused { why } => json!({ "month": month, "outcome": "refused", "why": why }),
        }
    });
    json!({ "keeps_from": done.keeps_from.to_string(), "months": months.collect::<Vec<_>>(), "outside": done.outside })
}

fn failure(error: RetentionError) -> Failure {
    match error {
        RetentionError::Store(error) => store_failure(error),
        RetentionError::NoMonths { .. } => Failure::usage(error.to_string()),
        error => Failure::new(error.to_string()),
    }
}
