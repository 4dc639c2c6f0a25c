//! What is known of subscribers, and what was sold, as the connections that read ask it.

use super::{Postgres, waiting::Read};
use crate::{
    charge::{CarrierName, Home},
    clock::Timestamp,
    eligibility::Facts,
    msisdn::Msisdn,
    store::{KnownCounts, Sales, StoreError, StoredFact, sql::decode},
};

/// The carrier is that of the last attempt. The names are bytes, and so in the order of their bytes.
const OVERDUE_SALES: &str = "
WITH overdue AS (
    SELECT agency, caller, received_at / 900000 * 900000 AS quarter, amount_minor, currency
    FROM charges
    WHERE state = 'in_doubt' AND received_at >= $2 AND ticket_deadline < $3
      AND $1 = (SELECT carrier FROM attempts WHERE attempts.reference = charges.reference ORDER BY number DESC LIMIT 1)
)
SELECT 'agency', agency, quarter, sum(amount_minor)::bigint, currency FROM overdue GROUP BY 1, 2, 3, 5
UNION ALL
SELECT 'caller', caller, quarter, sum(amount_minor)::bigint, currency FROM overdue WHERE caller IS NOT NULL GROUP BY 1, 2, 3, 5
ORDER BY 3, 1, 2, 5";

impl Postgres {
    pub(in crate::store) async fn sales(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        self.sales_by(since, true).await
    }

    pub(in crate::store) async fn sales_of_others(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        self.sales_by(since, false).await
    }

    /// By this writer, or by all others.
    async fn sales_by(&self, since: Timestamp, ours: bool) -> Result<Vec<Sales>, StoreError> {
        let query = sqlx::query(
            "SELECT kind, name, quarter, sum(minor)::bigint, currency FROM sales
             WHERE quarter >= $1 AND (writer = $2) = $3
             GROUP BY quarter, kind, name, currency HAVING sum(minor) <> 0 ORDER BY quarter, kind, name, currency",
        );
        let query = query.bind(since.unix_ms()).bind(i64::from(self.writer_id.0)).bind(ours);
        query.all(&self.readers).await?.iter().map(decode::sales).collect()
    }

    pub(in crate::store) async fn overdue_sales(
        &self,
        carrier: &CarrierName,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Vec<Sales>, StoreError> {
        let query = sqlx::query(OVERDUE_SALES).bind(carrier.as_str()).bind(since.unix_ms()).bind(doubt_since.unix_ms());
        let sums = query.all(&self.readers).await?.iter().map(decode::sales).collect::<Result<Vec<_>, _>>()?;
        Ok(sums.into_iter().filter(|sales| sales.amount.minor != 0).collect())
    }

    pub(in crate::store) async fn facts(&self, msisdn: Msisdn, carrier: &CarrierName) -> Result<Facts, StoreError> {
        let query = sqlx::query(
            "SELECT msisdn, carrier, name, value, source, observed_at FROM facts WHERE msisdn = $1 AND carrier = $2",
        );
        let query = query.bind(i64::try_from(msisdn.e164()).unwrap_or(i64::MAX)).bind(carrier.as_str());
        let rows = query.all(&self.readers).await?;
        rows.iter().map(|row| decode::fact(row).map(|stored| (stored.name, stored.fact))).collect()
    }

    pub(in crate::store) async fn newest_facts(&self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        let query = sqlx::query(
            "SELECT msisdn, carrier, name, value, source, observed_at FROM facts
             ORDER BY observed_at DESC, msisdn DESC, carrier DESC, name DESC LIMIT $1",
        );
        query.bind(i64::from(limit)).all(&self.readers).await?.iter().map(decode::fact).collect()
    }

    pub(in crate::store) async fn home(&self, msisdn: Msisdn) -> Result<Option<Home>, StoreError> {
        let query = sqlx::query("SELECT msisdn, carrier, refused_by, source, observed_at FROM homes WHERE msisdn = $1");
        let query = query.bind(i64::try_from(msisdn.e164()).unwrap_or(i64::MAX));
        query.maybe(&self.readers).await?.as_ref().map(|row| decode::home(row, 0)).transpose()
    }

    pub(in crate::store) async fn known_counts(&self) -> Result<KnownCounts, StoreError> {
        let query = sqlx::query("SELECT (SELECT count(*) FROM facts), (SELECT count(*) FROM homes)");
        let row = query.one(&self.readers).await?;
        Ok(KnownCounts { facts: decode::small(&row, 0, "facts")?, homes: decode::small(&row, 1, "homes")? })
    }
}
