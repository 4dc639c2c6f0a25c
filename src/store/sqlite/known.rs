//! What is known of subscribers, and what was sold, as the connections that read ask it.

use super::Sqlite;
use crate::{
    charge::{CarrierName, Home},
    clock::Timestamp,
    eligibility::Facts,
    msisdn::Msisdn,
    store::{KnownCounts, Sales, StoreError, StoredFact, sql::decode},
};

const OVERDUE_SALES: &str = "
SELECT 'agency', body->>'$.order.agency', received_at / 900000 * 900000, sum(amount_minor), currency
FROM charges INDEXED BY charges_in_doubt
WHERE state = 'in_doubt' AND received_at >= ?2 AND ticket_deadline < ?3
  AND body->>'$.attempts[#-1].carrier' = ?1
GROUP BY 1, 2, 3, 5
UNION ALL
SELECT 'caller', body->>'$.order.channel.caller', received_at / 900000 * 900000, sum(amount_minor), currency
FROM charges INDEXED BY charges_in_doubt
WHERE state = 'in_doubt' AND received_at >= ?2 AND ticket_deadline < ?3
  AND body->>'$.attempts[#-1].carrier' = ?1 AND body->>'$.order.channel.caller' IS NOT NULL
GROUP BY 1, 2, 3, 5
ORDER BY 3, 1, 2, 5";

impl Sqlite {
    pub(in crate::store) async fn sales(&self, since: Timestamp) -> Result<Vec<Sales>, StoreError> {
        let query = sqlx::query(
            "SELECT kind, name, quarter, minor, currency FROM sales WHERE quarter >= ?1 AND minor <> 0
             ORDER BY quarter, kind, name, currency",
        );
        query.bind(since.unix_ms()).fetch_all(&self.readers).await?.iter().map(decode::sales).collect()
    }

    pub(in crate::store) async fn overdue_sales(
        &self,
        carrier: &CarrierName,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Vec<Sales>, StoreError> {
        let query = sqlx::query(OVERDUE_SALES).bind(carrier.as_str()).bind(since.unix_ms()).bind(doubt_since.unix_ms());
        let sums = query.fetch_all(&self.readers).await?.iter().map(decode::sales).collect::<Result<Vec<_>, _>>()?;
        Ok(sums.into_iter().filter(|sales| sales.amount.minor != 0).collect())
    }

    pub(in crate::store) async fn facts(&self, msisdn: Msisdn, carrier: &CarrierName) -> Result<Facts, StoreError> {
        let query = sqlx::query(
            "SELECT msisdn, carrier, name, value, source, observed_at FROM facts WHERE msisdn = ?1 AND carrier = ?2",
        );
        let query = query.bind(i64::try_from(msisdn.e164()).unwrap_or(i64::MAX)).bind(carrier.as_str());
        let rows = query.fetch_all(&self.readers).await?;
        rows.iter().map(|row| decode::fact(row).map(|stored| (stored.name, stored.fact))).collect()
    }

    pub(in crate::store) async fn newest_facts(&self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        let query = sqlx::query(
            "SELECT msisdn, carrier, name, value, source, observed_at FROM facts
             ORDER BY observed_at DESC, msisdn DESC, carrier DESC, name DESC LIMIT ?1",
        );
        query.bind(limit).fetch_all(&self.readers).await?.iter().map(decode::fact).collect()
    }

    pub(in crate::store) async fn home(&self, msisdn: Msisdn) -> Result<Option<Home>, StoreError> {
        let query = sqlx::query("SELECT msisdn, carrier, refused_by, source, observed_at FROM homes WHERE msisdn = ?1");
        let query = query.bind(i64::try_from(msisdn.e164()).unwrap_or(i64::MAX));
        query.fetch_optional(&self.readers).await?.as_ref().map(|row| decode::home(row, 0)).transpose()
    }

    pub(in crate::store) async fn known_counts(&self) -> Result<KnownCounts, StoreError> {
        let query = sqlx::query("SELECT (SELECT count(*) FROM facts), (SELECT count(*) FROM homes)");
        let row = query.fetch_one(&self.readers).await?;
        Ok(KnownCounts { facts: decode::small(&row, 0, "facts")?, homes: decode::small(&row, 1, "homes")? })
    }
}
