//! The settled journal, and how far those have come who follow it.

use serde::Deserialize;
use sqlx::postgres::{PgConnection, PgRow};

use super::{Postgres, set::SetStatement, waiting::Read};
use crate::{
    charge::Order,
    clock::Timestamp,
    store::{
        FailedCounts, FailedDelivery, FailedFilter, SettledEntry, StoreError, WebhookProgress, WebhookStanding,
        sql::{
            decode,
            tables::{FailedRow, PlaceRow, WebhookRow},
        },
    },
};

/// Commits finish out of order. What is below every transaction that is still under way is settled: see `APPEND_JOURNAL`.
const SETTLED: &str = "
SELECT journal.seq, journal.body, charges.body
FROM journal JOIN charges ON charges.reference = journal.reference
WHERE journal.seq > $1
  AND journal.seq <= (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) + base FROM places)
ORDER BY journal.seq LIMIT $2";

/// Its entries may be retired; the chain has its end still.
const SETTLED_END: &str = "
SELECT greatest((SELECT max(seq) FROM journal WHERE seq <= place), (SELECT max(last_seq) FROM chain WHERE last_seq <= place), 0)
FROM (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) + base AS place FROM places) AS settled";

const STANDING: &str = "
SELECT cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until FROM webhooks WHERE name = $1";

const DUE: &str = "
SELECT entry, part, event_type, reference, failed_at, tries, due_at, why
FROM webhook_failures
WHERE webhook = $1 AND due_at IS NOT NULL AND due_at <= $2 ORDER BY due_at, entry, part LIMIT $3";

const GIVEN_UP: &str = "
SELECT entry, part, event_type, reference, failed_at, tries, due_at, why
FROM webhook_failures WHERE webhook = $1 AND due_at IS NULL ORDER BY entry, part LIMIT $2";

const COUNTS: &str = "SELECT count(due_at), count(*) - count(due_at) FROM webhook_failures WHERE webhook = $1";

static MOVE_WEBHOOKS: SetStatement = SetStatement::new(
    "INSERT INTO webhooks (name, cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until)
     SELECT name, cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until FROM {rows}
     ON CONFLICT (name) DO UPDATE
     SET cursor = excluded.cursor, failing_since = excluded.failing_since, disabled = excluded.disabled,
         disabled_at = excluded.disabled_at, replay_cursor = excluded.replay_cursor, replay_until = excluded.replay_until",
);

static REMOVE_FAILED: SetStatement = SetStatement::new(
    "DELETE FROM webhook_failures AS failed USING {rows}
     WHERE failed.webhook = new.webhook AND failed.entry = new.entry AND failed.part = new.part",
);

static KEEP_FAILED: SetStatement = SetStatement::new(
    "INSERT INTO webhook_failures (webhook, entry, part, event_type, reference, failed_at, tries, due_at, why)
     SELECT webhook, entry, part, event_type, reference, failed_at, tries, due_at, why FROM {rows}
     ON CONFLICT (webhook, entry, part) DO UPDATE
     SET failed_at = excluded.failed_at, tries = excluded.tries, due_at = excluded.due_at, why = excluded.why",
);

/// So many entries are counted one by one.
const COUNTED_MAX: u32 = 100_000;

const SETTLED_AFTER: &str = "
SELECT count(*) FROM (
    SELECT 1 FROM journal
    WHERE seq > $1 AND seq <= (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) + base FROM places)
    LIMIT $2) AS counted";

impl Postgres {
    pub(in crate::store) async fn settled_journal(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SettledEntry>, StoreError> {
        let query = sqlx::query(SETTLED).bind(place(after)).bind(i64::from(limit));
        query.all(&self.readers).await?.iter().map(settled).collect()
    }

    pub(in crate::store) async fn settled_end(&self) -> Result<u64, StoreError> {
        let row = sqlx::query(SETTLED_END).one(&self.readers).await?;
        decode::small(&row, 0, "journal")
    }

    pub(in crate::store) async fn settled_after(&self, after: u64) -> Result<u64, StoreError> {
        let query = sqlx::query(SETTLED_AFTER).bind(place(after)).bind(i64::from(COUNTED_MAX));
        decode::small(&query.one(&self.readers).await?, 0, "journal")
    }

    /// No block is older than the one before it.
    pub(in crate::store) async fn latest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        let last = sqlx::query(
            "SELECT at FROM (SELECT DISTINCT ON (writer) at FROM chain ORDER BY writer, number DESC) AS heads ORDER BY at DESC LIMIT 1",
        );
        last.maybe(&self.readers).await?.map(|row| decode::moment(&row, 0)).transpose()
    }

    pub(in crate::store) async fn webhook(&self, name: &str) -> Result<Option<WebhookStanding>, StoreError> {
        sqlx::query(STANDING).bind(name).maybe(&self.readers).await?.as_ref().map(decode::standing).transpose()
    }

    pub(in crate::store) async fn failed_deliveries(
        &self,
        name: &str,
        filter: FailedFilter,
        limit: u32,
    ) -> Result<Vec<FailedDelivery>, StoreError> {
        let query = match filter {
            FailedFilter::Due(now) => sqlx::query(DUE).bind(name).bind(now.unix_ms()).bind(i64::from(limit)),
            FailedFilter::Waiting => sqlx::query(DUE).bind(name).bind(i64::MAX).bind(i64::from(limit)),
            FailedFilter::GivenUp => sqlx::query(GIVEN_UP).bind(name).bind(i64::from(limit)),
        };
        query.all(&self.readers).await?.iter().map(decode::failed).collect()
    }

    pub(in crate::store) async fn failed_counts(&self, name: &str) -> Result<FailedCounts, StoreError> {
        let row = sqlx::query(COUNTS).bind(name).one(&self.readers).await?;
        let count = |column| decode::small(&row, column, "webhook_failures");
        Ok(FailedCounts { waiting: count(0)?, given_up: count(1)? })
    }
}

/// Writes how far webhooks have come, inside the transaction that is open.
pub(super) async fn move_webhooks(db: &mut PgConnection, progress: &[&WebhookProgress]) -> Result<(), StoreError> {
    let standings: Vec<WebhookRow<'_>> = progress.iter().map(|progress| WebhookRow::new(progress)).collect();
    let removed: Vec<PlaceRow<'_>> = progress.iter().flat_map(|progress| PlaceRow::removed(progress)).collect();
    let failed: Vec<FailedRow<'_>> = progress.iter().flat_map(|progress| FailedRow::all(progress)).collect();
    MOVE_WEBHOOKS.write(db, &standings).await?;
    REMOVE_FAILED.write(db, &removed).await?;
    KEEP_FAILED.write(db, &failed).await?;
    Ok(())
}

/// A `bigint` has a sign; nothing is beyond the greatest.
fn place(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// seq, body, the charge's body. PostgreSQL's own JSON cannot hold the character of code 0, so it is not asked for a part of it.
fn settled(row: &PgRow) -> Result<SettledEntry, StoreError> {
    #[derive(Deserialize)]
    struct Ordered {
        order: Order,
    }
    let Ordered { order } = decode::body(row, 2, "charges")?;
    Ok(SettledEntry { place: decode::small(row, 0, "journal")?, entry: decode::body(row, 1, "journal")?, order })
}
