//! What is asked of the store, by the connections that read.

use std::time::Duration;

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Postgres, waiting::Read};
use crate::{
    charge::{CarrierName, Charge, Reference},
    clock::Timestamp,
    msisdn::Msisdn,
    passenger::Language,
    store::{
        Balance, ChargeFilter, InDoubtSummary, IncomingSms, JournalEntry, KeptMo, KeyGuard, Owner, ParkedReceipt,
        QueuedSms, Slot, Spent, StoreError, StoredBreak, StoredTicket, TicketFilter, Verbatim, sql::decode,
    },
    transit::VehicleCode,
};

/// A reference carries the time at which it was made, which is no earlier than the receipt of the request but for a clock
/// that was wrong by less than this.
const REFERENCE_SLACK: Duration = Duration::from_secs(86_400);
/// The states of [`crate::charge::State::is_open`].
const OPEN_STATES: [&str; 3] = ["processing", "awaiting_otp", "in_doubt"];

const CHARGES_OF_SUBSCRIBER: &str = "
SELECT body FROM charges
WHERE msisdn = $8 AND received_at >= $3 AND received_at < $4 AND reference >= $5 AND reference < $6
  AND ($1 IS NULL OR vehicle = $1) AND ($2 IS NULL OR state = $2)
ORDER BY reference DESC LIMIT $7";

const CHARGES_STILL_OPEN: &str = "
SELECT body FROM charges
WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') AND state = $2 AND $8 IS NULL
  AND received_at >= $3 AND received_at < $4 AND reference >= $5 AND reference < $6
  AND ($1 IS NULL OR vehicle = $1)
ORDER BY reference DESC LIMIT $7";

const CHARGES_BY_AGE: &str = "
SELECT body FROM charges
WHERE reference >= $5 AND reference < $6 AND received_at >= $3 AND received_at < $4 AND $8 IS NULL
  AND ($1 IS NULL OR vehicle = $1) AND ($2 IS NULL OR state = $2)
ORDER BY reference DESC LIMIT $7";

/// Those whose outcome is open, and those with a refund under way.
const DUE_CHARGES: &str = "
SELECT body FROM (
  SELECT * FROM (
    SELECT body, due_at, reference FROM charges
    WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') AND due_at <= $1 AND instance = $3
    ORDER BY due_at, reference LIMIT $2) AS open
  UNION ALL
  SELECT * FROM (
    SELECT body, due_at, reference FROM charges
    WHERE state NOT IN ('processing', 'awaiting_otp', 'in_doubt') AND due_at <= $1 AND instance = $3
    ORDER BY due_at, reference LIMIT $2) AS refunding) AS due
ORDER BY due_at, reference LIMIT $2";

impl Postgres {
    pub(in crate::store) async fn charge(&self, reference: Reference) -> Result<Option<Charge>, StoreError> {
        let query = sqlx::query("SELECT body FROM charges WHERE reference = $1").bind(uuid(&reference));
        one(query.maybe(&self.readers).await?, charge)
    }

    pub(in crate::store) async fn charges(&self, filter: &ChargeFilter, limit: u32) -> Result<Vec<Charge>, StoreError> {
        let open = filter.state.as_deref().is_some_and(|state| OPEN_STATES.contains(&state));
        let query = sqlx::query(match filter.msisdn {
            Some(_) => CHARGES_OF_SUBSCRIBER,
            None if open => CHARGES_STILL_OPEN,
            None => CHARGES_BY_AGE,
        });
        let oldest = filter.from.map(|from| Reference::new(from.minus(REFERENCE_SLACK), [0; 10]));
        let query = query
            .bind(filter.vehicle.as_ref().map(decode::vehicle_text))
            .bind(filter.state.as_deref())
            .bind(filter.from.map_or(i64::MIN, Timestamp::unix_ms))
            .bind(filter.until.map_or(i64::MAX, Timestamp::unix_ms))
            .bind(oldest.as_ref().map_or(Uuid::nil(), uuid))
            .bind(filter.before.as_ref().map_or(Uuid::max(), uuid))
            .bind(i64::from(limit))
            .bind(filter.msisdn.map(number));
        all(query.all(&self.readers).await?, charge)
    }

    pub(in crate::store) async fn key(&self, guard: &KeyGuard) -> Result<Option<(Reference, bool, bool)>, StoreError> {
        let query = sqlx::query("SELECT reference, body_sha256 = $3, repeat FROM keys WHERE caller = $1 AND key = $2")
            .bind(&guard.caller)
            .bind(guard.key.as_bytes())
            .bind(guard.body_sha256.as_slice());
        one(query.maybe(&self.readers).await?, |row| decode::known_key(row, 0))
    }

    pub(in crate::store) async fn due_charges(&self, now: Timestamp, limit: u32) -> Result<Vec<Charge>, StoreError> {
        let query = sqlx::query(DUE_CHARGES);
        let query = query.bind(now.unix_ms()).bind(i64::from(limit)).bind(self.me().0);
        all(query.all(&self.readers).await?, charge)
    }

    pub(in crate::store) async fn under_way(&self) -> Result<Vec<Reference>, StoreError> {
        let query = sqlx::query(
            "SELECT reference FROM charges
             WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') AND state <> 'in_doubt' ORDER BY reference",
        );
        all(query.all(&self.readers).await?, |row| decode::reference(row, 0))
    }

    pub(in crate::store) async fn charges_by_reference(
        &self,
        references: &[Reference],
    ) -> Result<Vec<Charge>, StoreError> {
        let query = sqlx::query("SELECT body FROM charges WHERE reference = ANY($1) ORDER BY reference");
        let references: Vec<Uuid> = references.iter().map(uuid).collect();
        all(query.bind(references).all(&self.readers).await?, charge)
    }

    #[cfg(test)]
    pub(in crate::store) async fn open_charges(&self, limit: u32) -> Result<Vec<Charge>, StoreError> {
        let query = sqlx::query(
            "SELECT body FROM charges WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') ORDER BY reference LIMIT $1",
        );
        all(query.bind(i64::from(limit)).all(&self.readers).await?, charge)
    }

    pub(in crate::store) async fn open_charges_of(
        &self,
        msisdn: Msisdn,
        limit: u32,
    ) -> Result<Vec<Charge>, StoreError> {
        let query = sqlx::query(
            "SELECT body FROM charges
             WHERE msisdn = $1 AND state IN ('processing', 'awaiting_otp', 'in_doubt')
             ORDER BY reference LIMIT $2",
        );
        all(query.bind(number(msisdn)).bind(i64::from(limit)).all(&self.readers).await?, charge)
    }

    pub(in crate::store) async fn in_doubt(&self) -> Result<InDoubtSummary, StoreError> {
        let query = sqlx::query(
            "SELECT count(*), min(in_doubt_since), coalesce(sum(amount_minor), 0)::bigint FROM charges WHERE state = 'in_doubt'",
        );
        let row = query.one(&self.readers).await?;
        decode::in_doubt(&row)
    }

    pub(in crate::store) async fn slot(
        &self,
        msisdn: Msisdn,
        vehicle: &VehicleCode,
    ) -> Result<Option<Slot>, StoreError> {
        let query =
            sqlx::query("SELECT reference, passengers, held_until FROM slots WHERE msisdn = $1 AND vehicle = $2")
                .bind(number(msisdn))
                .bind(decode::vehicle_text(vehicle));
        one(query.maybe(&self.readers).await?, |row| decode::slot(row, 0))
    }

    pub(in crate::store) async fn spent(
        &self,
        msisdn: Msisdn,
        since: Timestamp,
        doubt_since: Timestamp,
    ) -> Result<Spent, StoreError> {
        let query = sqlx::query(
            "SELECT coalesce(sum(amount_minor), 0)::bigint, count(*) FROM charges
             WHERE msisdn = $1 AND received_at >= $2 AND state NOT IN ('declined', 'rejected')
               AND (state <> 'in_doubt' OR ticket_deadline >= $3)",
        );
        let query = query.bind(number(msisdn)).bind(since.unix_ms()).bind(doubt_since.unix_ms());
        let row = query.one(&self.readers).await?;
        decode::spent(&row)
    }

    pub(in crate::store) async fn owner(
        &self,
        carrier: &CarrierName,
        carrier_id: &str,
    ) -> Result<Option<Owner>, StoreError> {
        let query = sqlx::query("SELECT reference, attempt, refund FROM carrier_ids WHERE carrier = $1 AND id = $2")
            .bind(carrier.as_str())
            .bind(carrier_id.as_bytes());
        one(query.maybe(&self.readers).await?, |row| decode::owner(row, 0))
    }

    pub(in crate::store) async fn parked(
        &self,
        carrier: &CarrierName,
        msisdn: Msisdn,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, carrier_id, msisdn, received_at, body FROM parked
             WHERE carrier = $1 AND msisdn = $2 ORDER BY received_at DESC, id DESC LIMIT $3",
        );
        let query = query.bind(carrier.as_str()).bind(number(msisdn)).bind(i64::from(limit));
        let mut newest = all(query.all(&self.readers).await?, |row| decode::parked_receipt(row, 0))?;
        newest.reverse();
        Ok(newest)
    }

    pub(in crate::store) async fn parked_for(
        &self,
        carrier: &CarrierName,
        carrier_id: &str,
        limit: u32,
    ) -> Result<Vec<ParkedReceipt>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, carrier_id, msisdn, received_at, body FROM parked
             WHERE carrier = $1 AND carrier_id = $2 ORDER BY received_at, id LIMIT $3",
        );
        let query = query.bind(carrier.as_str()).bind(carrier_id.as_bytes()).bind(i64::from(limit));
        all(query.all(&self.readers).await?, |row| decode::parked_receipt(row, 0))
    }

    pub(in crate::store) async fn parked_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM parked").one(&self.readers).await?;
        decode::small(&row, 0, "parked")
    }

    pub(in crate::store) async fn ticket(&self, reference: Reference) -> Result<Option<StoredTicket>, StoreError> {
        let query = sqlx::query(
            "SELECT reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at
             FROM tickets WHERE reference = $1",
        );
        one(query.bind(uuid(&reference)).maybe(&self.readers).await?, decode::ticket)
    }

    pub(in crate::store) async fn tickets(
        &self,
        msisdn: Msisdn,
        filter: TicketFilter,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredTicket>, StoreError> {
        // By way of the subscriber's charges: an index of their own would cost in every commit.
        let query = sqlx::query(
            "SELECT tickets.reference, tickets.msisdn, tickets.vehicle, short_code, cwt, issued_at, expires_at, revoked_at
             FROM charges JOIN tickets ON tickets.reference = charges.reference
             WHERE charges.msisdn = $1 AND (expires_at > $2 AND revoked_at IS NULL) = $3
             ORDER BY issued_at DESC, tickets.reference DESC LIMIT $4",
        );
        let query =
            query.bind(number(msisdn)).bind(now.unix_ms()).bind(filter == TicketFilter::Active).bind(i64::from(limit));
        all(query.all(&self.readers).await?, decode::ticket)
    }

    pub(in crate::store) async fn unanswered_mos(&self, limit: u32) -> Result<Vec<IncomingSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind,
                    coalesce(kept_at, received_at), part_reference, part_wide, part_total, part_number
             FROM mos WHERE answered_at IS NULL AND part_number IS NULL AND answer_by IS NULL AND instance = $2
             ORDER BY received_at, id LIMIT $1",
        );
        all(query.bind(i64::from(limit)).bind(self.me().0).all(&self.readers).await?, |row| decode::incoming(row, 0))
    }

    pub(in crate::store) async fn mo(&self, id: Reference) -> Result<Option<KeptMo>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind,
                    coalesce(kept_at, received_at), part_reference, part_wide, part_total, part_number,
                    answer_by, answered_at
             FROM mos WHERE id = $1",
        );
        one(query.bind(uuid(&id)).maybe(&self.readers).await?, decode::kept_mo)
    }

    pub(in crate::store) async fn mos_handed_over(&self, limit: u32) -> Result<Vec<KeptMo>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind,
                    coalesce(kept_at, received_at), part_reference, part_wide, part_total, part_number,
                    answer_by, answered_at
             FROM mos
             WHERE answered_at IS NULL AND answer_by IS NOT NULL AND instance = $2 ORDER BY answer_by, id LIMIT $1",
        );
        all(query.bind(i64::from(limit)).bind(self.me().0).all(&self.readers).await?, decode::kept_mo)
    }

    pub(in crate::store) async fn numbers_with_open_parts(&self, limit: u32) -> Result<Vec<Msisdn>, StoreError> {
        let query = sqlx::query(
            "SELECT msisdn FROM mos WHERE answered_at IS NULL AND part_number IS NOT NULL AND instance = $2
             GROUP BY msisdn ORDER BY min(received_at), msisdn LIMIT $1",
        );
        all(query.bind(i64::from(limit)).bind(self.me().0).all(&self.readers).await?, |row| {
            decode::msisdn(row, 0, "mos")
        })
    }

    pub(in crate::store) async fn open_parts(&self, msisdn: Msisdn) -> Result<Vec<IncomingSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind,
                    coalesce(kept_at, received_at), part_reference, part_wide, part_total, part_number
             FROM mos
             WHERE msisdn = $1 AND part_number IS NOT NULL AND coalesce(answered_at, 9223372036854775807) > $2
               AND answered_at IS NULL
             ORDER BY received_at, id",
        );
        let query = query.bind(number(msisdn)).bind(Timestamp::MAX.unix_ms());
        all(query.all(&self.readers).await?, |row| decode::incoming(row, 0))
    }

    pub(in crate::store) async fn mos_watched(&self) -> Result<Vec<(CarrierName, Timestamp)>, StoreError> {
        let rows = sqlx::query("SELECT carrier, taken_at FROM mo_watch ORDER BY carrier").all(&self.readers);
        all(rows.await?, |row| Ok((decode::word(row, 0, "mo_watch")?, decode::moment(row, 1)?)))
    }

    pub(in crate::store) async fn due_messages(
        &self,
        carrier: &CarrierName,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at
             FROM messages WHERE state = 'pending' AND carrier = $1 AND due_at <= $2 AND instance = $4
             ORDER BY ticket DESC, due_at, id LIMIT $3",
        );
        let query = query.bind(carrier.as_str()).bind(now.unix_ms()).bind(i64::from(limit)).bind(self.me().0);
        all(query.all(&self.readers).await?, decode::queued)
    }

    pub(in crate::store) async fn message(&self, id: Reference) -> Result<Option<QueuedSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at
             FROM messages WHERE id = $1",
        );
        one(query.bind(uuid(&id)).maybe(&self.readers).await?, decode::queued)
    }

    pub(in crate::store) async fn messages_of(&self, reference: Reference) -> Result<Vec<QueuedSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at
             FROM messages WHERE reference = $1 ORDER BY created_at, id",
        );
        all(query.bind(uuid(&reference)).all(&self.readers).await?, decode::queued)
    }

    pub(in crate::store) async fn messages_to(
        &self,
        msisdn: Msisdn,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<QueuedSms>, StoreError> {
        let query = sqlx::query(
            "SELECT id, reference, carrier, msisdn, text, ticket, created_at, expires_at, state, tries, due_at
             FROM messages WHERE msisdn = $1 AND created_at >= $2 ORDER BY created_at DESC, id DESC LIMIT $3",
        );
        let query = query.bind(number(msisdn)).bind(since.unix_ms()).bind(i64::from(limit));
        all(query.all(&self.readers).await?, decode::queued)
    }

    pub(in crate::store) async fn messages_since(&self, msisdn: Msisdn, since: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT count(*) FROM messages WHERE msisdn = $1 AND created_at >= $2");
        let row = query.bind(number(msisdn)).bind(since.unix_ms()).one(&self.readers).await?;
        decode::small(&row, 0, "messages")
    }

    pub(in crate::store) async fn language(&self, msisdn: Msisdn) -> Result<Option<Language>, StoreError> {
        let query = sqlx::query("SELECT language FROM languages WHERE msisdn = $1").bind(number(msisdn));
        one(query.maybe(&self.readers).await?, |row| decode::word(row, 0, "languages"))
    }

    pub(in crate::store) async fn journal(&self, reference: Reference) -> Result<Vec<JournalEntry>, StoreError> {
        let query = sqlx::query("SELECT body FROM journal WHERE reference = $1 ORDER BY seq").bind(uuid(&reference));
        all(query.all(&self.readers).await?, |row| decode::body(row, 0, "journal"))
    }

    pub(in crate::store) async fn words(&self, reference: Reference) -> Result<Vec<(String, Verbatim)>, StoreError> {
        let query = sqlx::query("SELECT id, words, salt FROM evidence WHERE reference = $1 AND words IS NOT NULL");
        all(query.bind(uuid(&reference)).all(&self.readers).await?, |row| decode::words(row, 0))
    }

    pub(in crate::store) async fn balances(&self) -> Result<Vec<Balance>, StoreError> {
        let query = sqlx::query(
            "SELECT account, currency, sum(minor)::bigint FROM booked GROUP BY account, currency ORDER BY account, currency",
        );
        all(query.all(&self.readers).await?, decode::balance)
    }

    pub(in crate::store) async fn breaks(&self, limit: u32) -> Result<Vec<StoredBreak>, StoreError> {
        let query = sqlx::query(
            "SELECT reference, piece, kind, at, amount_minor, currency FROM breaks ORDER BY id DESC LIMIT $1",
        );
        all(query.bind(i64::from(limit)).all(&self.readers).await?, decode::stored_break)
    }
}

fn charge(row: &PgRow) -> Result<Charge, StoreError> {
    decode::body(row, 0, "charges")
}

fn one<T>(row: Option<PgRow>, decode: impl FnOnce(&PgRow) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    row.as_ref().map(decode).transpose()
}

fn all<T>(rows: Vec<PgRow>, decode: impl Fn(&PgRow) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(decode).collect()
}

fn uuid(reference: &Reference) -> Uuid {
    Uuid::from_bytes(*reference.as_bytes())
}

fn number(msisdn: Msisdn) -> i64 {
    i64::try_from(msisdn.e164()).expect("eleven digits fit")
}
