//! Daemons that write to one database take turns over a subscriber: what is judged of one (what was spent, which message was heard before, which
//! parts of a message are there) is not named by what is written.

use sqlx::postgres::PgConnection;

use crate::{
    msisdn::Msisdn,
    store::{StoreError, Write},
};

/// Waits until no other daemon's transaction is about a subscriber of this batch, and keeps the others waiting until its end. All take their
/// turns in the same order, so that none waits for one that waits for it.
pub(super) async fn take(db: &mut PgConnection, batch: &[Write]) -> Result<(), StoreError> {
    let mut subscribers: Vec<i64> = batch.iter().filter_map(judged_by).map(number).collect();
    if subscribers.is_empty() {
        return Ok(());
    }
    subscribers.sort_unstable();
    subscribers.dedup();
    let lock = sqlx::query(
        "SELECT pg_advisory_xact_lock(hashint8extended(msisdn, hashtext(current_schema())))
         FROM unnest($1::bigint[]) AS msisdn",
    );
    lock.bind(subscribers).execute(db).await?;
    Ok(())
}

/// The subscriber whose other writes decide about this one.
fn judged_by(write: &Write) -> Option<Msisdn> {
    match write {
        Write::Open(opening) => Some(opening.charge.order.msisdn),
        Write::KeepMo(message) => Some(message.msisdn),
        _ => None,
    }
}

fn number(msisdn: Msisdn) -> i64 {
    i64::try_from(msisdn.e164()).expect("a number has at most fifteen digits")
}
