//! The settled journal, and how far those have come who follow it.

use sqlx::sqlite::SqliteConnection;

use super::{Sqlite, writer::write_set};
use crate::{
    clock::Timestamp,
    store::{
        FailedCounts, FailedDelivery, FailedFilter, SettledEntry, StoreError, WebhookProgress, WebhookStanding,
        sql::{
            decode,
            tables::{FailedRow, PlaceRow, WebhookRow},
        },
    },
};

/// One connection writes, so places are given in the order of the commits: whatever can be read is settled.
const SETTLED: &str = "
SELECT journal.seq, journal.body, charges.body->'$.order'
FROM journal CROSS JOIN charges ON charges.reference = journal.reference
WHERE journal.seq > ?1 ORDER BY journal.seq LIMIT ?2";

const STANDING: &str = "
SELECT cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until FROM webhooks WHERE name = ?1";

const DUE: &str = "
SELECT entry, part, event_type, reference, failed_at, tries, due_at, why
FROM webhook_failures INDEXED BY webhook_failures_due
WHERE webhook = ?1 AND due_at IS NOT NULL AND due_at <= ?2 ORDER BY due_at, entry, part LIMIT ?3";

const GIVEN_UP: &str = "
SELECT entry, part, event_type, reference, failed_at, tries, due_at, why
FROM webhook_failures WHERE webhook = ?1 AND due_at IS NULL ORDER BY entry, part LIMIT ?2";

const COUNTS: &str = "SELECT count(due_at), count(*) - count(due_at) FROM webhook_failures WHERE webhook = ?1";

const MOVE_WEBHOOKS: &str = "
INSERT INTO webhooks (name, cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until)
SELECT value->>'name', value->>'cursor', value->>'failing_since', value->>'disabled', value->>'disabled_at',
       value->>'replay_cursor', value->>'replay_until'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (name) DO UPDATE
SET cursor = excluded.cursor, failing_since = excluded.failing_since, disabled = excluded.disabled,
    disabled_at = excluded.disabled_at, replay_cursor = excluded.replay_cursor, replay_until = excluded.replay_until";

const REMOVE_FAILED: &str = "
DELETE FROM webhook_failures
WHERE (webhook, entry, part) IN (
    SELECT value->>'webhook', value->>'entry', value->>'part' FROM jsonb_each(?1)
)";

const KEEP_FAILED: &str = "
INSERT INTO webhook_failures (webhook, entry, part, event_type, reference, failed_at, tries, due_at, why)
SELECT value->>'webhook', value->>'entry', value->>'part', value->>'event_type', unhex(value->>'reference', '-'),
       value->>'failed_at', value->>'tries', value->>'due_at', value->>'why'
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (webhook, entry, part) DO UPDATE
SET failed_at = excluded.failed_at, tries = excluded.tries, due_at = excluded.due_at, why = excluded.why";

/// So many entries are counted one by one.
const COUNTED_MAX: u32 = 100_000;

impl Sqlite {
    pub(in crate::store) async fn settled_journal(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SettledEntry>, StoreError> {
        let query = sqlx::query(SETTLED).bind(place(after)).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(decode::settled).collect()
    }

    pub(in crate::store) async fn settled_end(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT coalesce(max(seq), 0) FROM journal").fetch_one(&self.readers).await?;
        decode::small(&row, 0, "journal")
    }

    /// Places are given one by one within a generation only.
    pub(in crate::store) async fn settled_after(&self, after: u64) -> Result<u64, StoreError> {
        let counted = sqlx::query("SELECT count(*) FROM (SELECT 1 FROM journal WHERE seq > ?1 LIMIT ?2)");
        let counted = counted.bind(place(after)).bind(COUNTED_MAX).fetch_one(&self.readers).await?;
        decode::small(&counted, 0, "journal")
    }

    /// No block is older than the one before it.
    pub(in crate::store) async fn latest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        let last = sqlx::query("SELECT at FROM chain ORDER BY writer DESC, number DESC LIMIT 1");
        last.fetch_optional(&self.readers).await?.map(|row| decode::moment(&row, 0)).transpose()
    }

    pub(in crate::store) async fn webhook(&self, name: &str) -> Result<Option<WebhookStanding>, StoreError> {
        sqlx::query(STANDING).bind(name).fetch_optional(&self.readers).await?.as_ref().map(decode::standing).transpose()
    }

    pub(in crate::store) async fn failed_deliveries(
        &self,
        name: &str,
        filter: FailedFilter,
        limit: u32,
    ) -> Result<Vec<FailedDelivery>, StoreError> {
        let query = match filter {
            FailedFilter::Due(now) => sqlx::query(DUE).bind(name).bind(now.unix_ms()).bind(limit),
            FailedFilter::Waiting => sqlx::query(DUE).bind(name).bind(i64::MAX).bind(limit),
            FailedFilter::GivenUp => sqlx::query(GIVEN_UP).bind(name).bind(limit),
        };
        query.fetch_all(&self.readers).await?.iter().map(decode::failed).collect()
    }

    pub(in crate::store) async fn failed_counts(&self, name: &str) -> Result<FailedCounts, StoreError> {
        let row = sqlx::query(COUNTS).bind(name).fetch_one(&self.readers).await?;
        let count = |column| decode::small(&row, column, "webhook_failures");
        Ok(FailedCounts { waiting: count(0)?, given_up: count(1)? })
    }
}

/// Writes how far webhooks have come, inside the transaction that is open.
pub(super) async fn move_webhooks(db: &mut SqliteConnection, progress: &[&WebhookProgress]) -> Result<(), StoreError> {
    let standings: Vec<WebhookRow<'_>> = progress.iter().map(|progress| WebhookRow::new(progress)).collect();
    let removed: Vec<PlaceRow<'_>> = progress.iter().flat_map(|progress| PlaceRow::removed(progress)).collect();
    let failed: Vec<FailedRow<'_>> = progress.iter().flat_map(|progress| FailedRow::all(progress)).collect();
    write_set(db, MOVE_WEBHOOKS, &standings).await?;
    write_set(db, REMOVE_FAILED, &removed).await?;
    write_set(db, KEEP_FAILED, &failed).await?;
    Ok(())
}

/// SQLite's integers have a sign; nothing is beyond the greatest.
fn place(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(super) const ALL: &[&str] = &[SETTLED, STANDING, DUE, GIVEN_UP, COUNTS, MOVE_WEBHOOKS, REMOVE_FAILED, KEEP_FAILED];
