//! What is outstanding: the refund list, the sums behind the first metrics, and what nobody owns.

use uuid::Uuid;

use super::{Postgres, waiting::Read};
use crate::{
    clock::Timestamp,
    store::{
        ListedRefund, Outstanding, OutstandingSum, RefundFilter, RefundStanding, StoreError, UnownedReceipt,
        sql::decode,
    },
};

const REFUNDS: &str = "
SELECT charges.body, refunds.id
FROM refunds JOIN charges ON charges.reference = refunds.reference
WHERE refunds.state NOT IN ('done', 'paid_out') AND refunds.id > $1 AND refunds.opened_at <= $2
  AND ($3 IS NULL OR refunds.carrier = $3)
  AND ($4 IS NULL OR refunds.state = ANY($4))
ORDER BY refunds.id LIMIT $5";

const CHARGES_IN_DOUBT: &str = "
SELECT attempts.carrier, charges.currency, count(*), min(charges.in_doubt_since), sum(charges.amount_minor)::bigint
FROM charges
JOIN attempts ON attempts.reference = charges.reference
             AND attempts.number = (SELECT max(number) FROM attempts AS newer WHERE newer.reference = charges.reference)
WHERE charges.state = 'in_doubt' GROUP BY 1, 2 ORDER BY 1, 2";

const REFUNDS_STANDING: &str = "
SELECT carrier, currency, count(*), min(opened_at), sum(minor)::bigint
FROM refunds
WHERE state NOT IN ('done', 'paid_out') AND state = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2";

const PARKED: &str = "SELECT carrier, NULL::text, count(*), min(received_at), 0::bigint FROM parked
GROUP BY 1 ORDER BY 1";

const UNOWNED_OF_AGE: &str = "
SELECT id, carrier, carrier_id, msisdn, received_at, body, reported_at FROM parked
WHERE (received_at, id) > ($1, $2) ORDER BY received_at, id LIMIT $3";

impl Postgres {
    pub(in crate::store) async fn refunds(
        &self,
        filter: &RefundFilter,
        limit: u32,
    ) -> Result<Vec<ListedRefund>, StoreError> {
        let states = filter.standing.map(states);
        let rows = sqlx::query(REFUNDS)
            .bind(filter.after.map_or(Uuid::nil(), |after| Uuid::from_bytes(*after.as_bytes())))
            .bind(filter.opened_by.map_or(i64::MAX, Timestamp::unix_ms))
            .bind(filter.carrier.as_ref().map(|carrier| carrier.as_str()))
            .bind(states)
            .bind(i64::from(limit))
            .all(&self.readers)
            .await?;
        rows.iter().map(decode::listed_refund).collect()
    }

    pub(in crate::store) async fn outstanding(&self) -> Result<Vec<OutstandingSum>, StoreError> {
        let mut sums = Vec::new();
        let refunds = |standing| sqlx::query(REFUNDS_STANDING).bind(states(standing));
        for (what, query) in [
            (Outstanding::ChargesInDoubt, sqlx::query(CHARGES_IN_DOUBT)),
            (Outstanding::RefundsRequested, refunds(RefundStanding::Requested)),
            (Outstanding::RefundsInDoubt, refunds(RefundStanding::InDoubt)),
            (Outstanding::RefundsOwed, refunds(RefundStanding::Owed)),
            (Outstanding::Parked, sqlx::query(PARKED)),
        ] {
            for row in query.all(&self.readers).await? {
                sums.push(decode::outstanding_sum(what, &row)?);
            }
        }
        Ok(sums)
    }

    pub(in crate::store) async fn unowned(
        &self,
        after: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<UnownedReceipt>, StoreError> {
        let (at, id) = after.map_or((i64::MIN, ""), |(at, id)| (at.unix_ms(), id));
        let rows =
            sqlx::query(UNOWNED_OF_AGE).bind(at).bind(id.as_bytes()).bind(i64::from(limit)).all(&self.readers).await?;
        rows.iter().map(decode::unowned).collect()
    }
}

/// The states that stand here.
fn states(standing: RefundStanding) -> Vec<&'static str> {
    standing.states().collect()
}
