//! `smsbusd backup`

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, Exit, Outcome, migrate::store_failure, output::print};
use crate::{settings, store::Store};

/// `smsbusd backup`
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The copy. It must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Copies the embedded store, beside a daemon that goes on serving it. Only the section `store` is looked at.
///
/// Errors: a store that is no file, that cannot be read, or a copy that exists or cannot be written.
pub async fn backup(args: &BackupArgs) -> Outcome {
    let store = settings::load_store(&args.config.sources())?;
    let made = Store::back_up(&store.url, &args.to).await.map_err(store_failure)?;
    let until = made.latest.map_or_else(|| "no commit at all".into(), |at| format!("every commit up to {at}"));
    print(format!("{}: {} bytes, with {until}", args.to.display(), made.bytes))?;
    Ok(Exit::Done)
}
