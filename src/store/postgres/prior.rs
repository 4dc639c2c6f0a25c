//! What is kept of purchases to come, for many at once.

use super::{Postgres, set::SetStatement, waiting::in_time};
use crate::store::{
    Prior, PriorQuestion, StoreError,
    sql::{decode, guards::PriorRow},
};

/// Each look is a row by its key, whatever the planner believes of tables that it has not seen grow: so the joins are lateral.
static PRIORS: SetStatement = SetStatement::new(
    "SELECT new.i, key.reference, key.same_body, key.repeat,
            home.msisdn, home.carrier, home.refused_by, home.source, home.observed_at,
            (SELECT language FROM languages WHERE languages.msisdn = new.msisdn),
            slot.reference, slot.passengers, slot.held_until,
            EXISTS (SELECT FROM mos WHERE mos.id = new.mo AND answer_by IS NOT NULL)
     FROM {rows}
     LEFT JOIN LATERAL (SELECT reference, keys.body_sha256 = new.body_sha256 AS same_body, repeat FROM keys
                        WHERE keys.caller = new.caller AND keys.key = new.key LIMIT 1) AS key ON true
     LEFT JOIN LATERAL (SELECT * FROM homes WHERE homes.msisdn = new.msisdn LIMIT 1) AS home ON true
     LEFT JOIN LATERAL (SELECT * FROM slots WHERE slots.msisdn = new.msisdn AND slots.vehicle = new.vehicle LIMIT 1) AS slot ON true",
);

impl Postgres {
    pub(in crate::store) async fn priors(&self, questions: &[PriorQuestion]) -> Result<Vec<Prior>, StoreError> {
        let mut connection = in_time(self.readers.acquire()).await?;
        let rows = in_time(PRIORS.select(&mut connection, &PriorRow::all(questions))).await;
        if rows.is_err() {
            // It may be in the middle of an answer.
            connection.close_on_drop();
        }
        decode::priors(&rows?, questions.len())
    }
}
