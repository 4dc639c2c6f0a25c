//! `smsbusd migrate`

use clap::Args;

use super::{ConfigArgs, Exit, Failure, Outcome, output::print};
use crate::{
    clock::Clock,
    ledger::Audited,
    settings,
    store::{ComparedTable, Hold, Progress, Store, StoreError, TransferError, Transferred, transfer},
};

/// Hex digits that are shown of a table's digest.
const DIGEST_SHOWN: usize = 16;

/// `smsbusd migrate`
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Move the books from this file instead, which no daemon serves: sqlite:///var/lib/smsbusd/smsbusd.db
    ///
    /// No configuration is read then. The file is left as it is, but for a mark: no daemon starts on it any more.
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<String>,
    /// Into this database, which is empty: postgres://smsbusd@localhost/smsbusd
    #[arg(long, value_name = "ADDRESS", requires = "from")]
    to: Option<String>,
}

/// Brings the schema of the store up to date, or moves the books to another one. The daemon does the first at its start as well, and only
/// the section `store` is looked at.
///
/// Errors: a store that a daemon serves, that cannot be opened, or whose schema is newer than this program; those of [`transfer`].
pub async fn migrate(args: &MigrateArgs) -> Outcome {
    match (&args.from, &args.to) {
        (Some(from), Some(to)) => move_books(from, to).await,
        _ => bring_up_to_date(&args.config).await,
    }
}

async fn bring_up_to_date(config: &ConfigArgs) -> Outcome {
    let store = settings::load_store(&config.sources())?;
    // A daemon of an earlier version would go on writing in the way of the schema that it knows.
    let _hold = Hold::take(&store.url).map_err(store_failure)?;
    let migrations = Store::migrate(&store.url).await.map_err(store_failure)?;
    print(format!("{}: the schema is up to date; it consists of {migrations} migrations", Store::shown(&store.url)))?;
    Ok(Exit::Done)
}

async fn move_books(from: &str, to: &str) -> Outcome {
    let moved = Box::pin(transfer(from, to, Clock::System.now(), tell)).await.map_err(transfer_failure)?;
    match moved {
        Transferred::Moved { tables, audited } => print_proof(&tables, &audited)?,
        Transferred::Before { at } => print(format!("These books were moved there before, at {at}."))?,
    }
    print(format!("The old file can be kept; no daemon starts on it any more. Now configure: store.url = {to:?}"))?;
    Ok(Exit::Done)
}

/// What a long move is at, beside its results. Tables without rows take no time.
fn tell(progress: Progress<'_>) {
    match progress {
        Progress::Copied { rows: 0, .. } | Progress::Compared(ComparedTable { rows: 0, .. }) => {}
        Progress::Copied { table, rows } => eprintln!("smsbusd: {table}: {rows} rows copied"),
        Progress::Compared(table) => eprintln!("smsbusd: {}: {} rows compared", table.name, table.rows),
        Progress::Auditing => eprintln!("smsbusd: checking the books"),
    }
}

fn print_proof(tables: &[ComparedTable], audited: &Audited) -> Result<(), Failure> {
    print(format!("{:<16} {:>12}  digest (SHA-256)", "table", "rows"))?;
    for ComparedTable { name, rows, digest } in tables {
        let digest = data_encoding::HEXLOWER.encode(digest);
        print(format!("{name:<16} {rows:>12}  {}", &digest[..DIGEST_SHOWN]))?;
    }
    print(format!(
        "Every row is the same in both stores, and the books are in order: {} charges, {} journal entries, {} ledger lines, {} blocks.",
        audited.charges, audited.entries, audited.lines, audited.blocks
    ))
}

fn transfer_failure(error: TransferError) -> Failure {
    match &error {
        TransferError::From(why) => Failure::usage(format!("--from: {why}")),
        TransferError::To(why) => Failure::usage(format!("--to: {why}")),
        _ => Failure::new(error.to_string()),
    }
}

/// An address that names no store, or one whose books have moved away, does not get better by trying again.
pub(super) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Address { .. } | StoreError::Moved { .. } => Failure::configuration(format!("store.url: {error}")),
        error => Failure::new(format!("store.url: {error}")),
    }
}
