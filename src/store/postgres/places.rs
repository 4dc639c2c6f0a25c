//! The places of the journal. A place is the number of the transaction, times 65,536, and the entry's ordinal in it, and the base of all
//! places.

use sqlx::{Row, postgres::PgConnection};
use tracing::warn;

use crate::store::StoreError;

/// How far everything that was ever handed out is ahead of the first place of this transaction, and of what is settled.
const FURTHEST: &str = "
WITH known AS (
    SELECT greatest((SELECT max(seq) FROM journal), (SELECT max(last_seq) FROM chain), (SELECT max(cursor) FROM webhooks),
                    (SELECT max(replay_until) FROM webhooks),
                    (SELECT max(places_from) FROM generations), 0) - base AS furthest
    FROM places
)
SELECT furthest - (pg_current_xact_id()::text::bigint << 16),
       furthest - (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16)
FROM known";

/// Raises the base where the books have gone further than this server's transactions: they come from another server, by a dump. Otherwise
/// what is new would come before what was told long ago, and nobody would hear of it. On one server nothing is ever ahead of a
/// transaction, so where others write already, nothing is raised.
pub(super) async fn raise(db: &mut PgConnection) -> Result<(), StoreError> {
    let found = sqlx::query(FURTHEST).fetch_one(&mut *db).await?;
    let (ahead, ahead_of_settled): (i64, i64) = (found.try_get(0)?, found.try_get(1)?);
    if ahead >= 0 {
        warn!("the books come from another server: the places of the journal go on from where they were there");
        sqlx::query("UPDATE places SET base = base + $1 + 1")
            .bind(ahead_of_settled.max(ahead))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}
