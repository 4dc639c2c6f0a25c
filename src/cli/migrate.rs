//! `smsbusd migrate`

use super::{ConfigArgs, Exit, Failure, Outcome, output::print};
use crate::{
    settings,
    store::{Hold, Store, StoreError},
};

/// Brings the schema of the store up to date. The daemon does it at its start as well. Only the section `store` is looked at.
///
/// Errors: a store that a daemon serves, that cannot be opened, or whose schema is newer than this program.
pub async fn migrate(args: &ConfigArgs) -> Outcome {
    let store = settings::load_store(&args.sources())?;
    // A daemon of an earlier version would go on writing in the way of the schema that it knows.
    let _hold = Hold::take(&store.url).map_err(store_failure)?;
    let migrations = Store::migrate(&store.url).await.map_err(store_failure)?;
    print(format!("{}: the schema is up to date; it consists of {migrations} migrations", Store::shown(&store.url)))?;
    Ok(Exit::Done)
}

/// An address that names no store does not get better by trying again.
pub(super) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Address { .. } => Failure::configuration(format!("store.url: {error}")),
        error => Failure::new(format!("store.url: {error}")),
    }
}
