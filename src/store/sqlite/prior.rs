//! What is kept of purchases to come, for many at once.

use super::{Sqlite, writer::select_set};
use crate::store::{
    Prior, PriorQuestion, StoreError,
    sql::{decode, guards::PriorRow},
};

const PRIORS: &str = "
SELECT asked.value->>'i', keys.reference, keys.body_sha256 = unhex(asked.value->>'body_sha256'), keys.repeat,
       homes.msisdn, homes.carrier, homes.refused_by, homes.source, homes.observed_at,
       languages.language,
       slots.reference, slots.passengers, slots.held_until,
       mos.answer_by IS NOT NULL
FROM jsonb_each(?1) AS asked
LEFT JOIN keys ON keys.caller = asked.value->>'caller' AND keys.key = asked.value->>'key'
LEFT JOIN homes ON homes.msisdn = asked.value->>'msisdn'
LEFT JOIN languages ON languages.msisdn = asked.value->>'msisdn'
LEFT JOIN slots ON slots.msisdn = asked.value->>'msisdn' AND slots.vehicle = asked.value->>'vehicle'
LEFT JOIN mos ON mos.id = unhex(asked.value->>'mo', '-')";

#[cfg(test)]
pub(super) const ALL: &[&str] = &[PRIORS];

impl Sqlite {
    pub(in crate::store) async fn priors(&self, questions: &[PriorQuestion]) -> Result<Vec<Prior>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let rows = select_set(&mut connection, PRIORS, &PriorRow::all(questions)).await?;
        decode::priors(&rows, questions.len())
    }
}
