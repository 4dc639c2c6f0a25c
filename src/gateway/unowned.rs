//! Receipts and callbacks that wait for their owner: each is weighed again now and then, is a break if that takes long, and is given
//! up in the end. A bounded number is looked at in one round.

use std::{
    sync::Arc,
    sync::Mutex,
    time::{Duration, Instant},
};

use metrics::counter;
use tracing::{debug, warn};

use super::{ApplyError, Inner};
use crate::{
    carrier::{CarrierReceipt, Notice},
    charge::Finding,
    clock::Timestamp,
    process,
    store::{ParkedReceipt, StoreError, UnownedReceipt, Write},
};

/// Looked at in one round.
const BATCH: u32 = 64;
/// From the end of one walk through all of them to the next.
const WALK_EVERY: Duration = Duration::from_secs(2);
/// From one round of a walk to the next.
const ROUND_EVERY: Duration = Duration::from_secs(1);

/// How far the walk has come.
#[derive(Debug, Default)]
pub(super) struct Walk(Mutex<Place>);

#[derive(Clone, Debug, Default)]
struct Place {
    after: Option<(Timestamp, String)>,
    not_before: Option<Instant>,
}

impl Walk {
    /// Where the next round begins, if it is time for one.
    fn next(&self, now: Instant) -> Option<Place> {
        let place = self.0.lock().unwrap_or_else(|e| e.into_inner()).clone();
        place.not_before.is_none_or(|at| at <= now).then_some(place)
    }

    fn went_on(&self, last: Option<(Timestamp, String)>, now: Instant) {
        let pause = if last.is_some() { ROUND_EVERY } else { WALK_EVERY };
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = Place { after: last, not_before: Some(now + pause) };
    }
}

impl Inner {
    /// One round. What failed before is weighed again: the store may have been away, or the owner unknown.
    pub(super) async fn look_after_unowned(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(Place { after, .. }) = self.unowned.next(process::now()) else { return Ok(()) };
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let found = self.store.unowned(after, BATCH).await?;
        let is_full = u32::try_from(found.len()).is_ok_and(|count| count >= BATCH);
        let last = found.last().filter(|_| is_full);
        let last = last.map(|unowned| (unowned.receipt.received_at, unowned.receipt.id.clone()));
        for unowned in found {
            let id = unowned.receipt.id.clone();
            if let Err(error) = self.look_after(unowned).await {
                warn!(piece = id, %error, "what is parked cannot be weighed now; it is looked at again later");
            }
        }
        self.unowned.went_on(last, process::now());
        Ok(())
    }

    async fn look_after(
        self: &Arc<Self>,
        UnownedReceipt { receipt, reported_at }: UnownedReceipt,
    ) -> Result<(), ApplyError> {
        let piece = Piece::read(&receipt);
        if let Some(piece) = &piece
            && self.weigh_piece(piece, receipt.received_at).await?
        {
            debug!(carrier = %receipt.carrier, "what was parked has found its owner");
            self.writer.write(Write::Unpark { id: receipt.id }).await?;
            return Ok(());
        }
        let (now, carrier) = (self.now(), receipt.carrier.to_string());
        let age = now.since(receipt.received_at);
        if age >= Duration::from_secs(self.config.parked_keep_seconds) {
            warn!(carrier, piece = receipt.id, "nobody owns this receipt; it is given up");
            counter!("receipts_given_up_total", "carrier" => carrier).increment(1);
            self.writer.write(Write::Unpark { id: receipt.id }).await?;
            return Ok(());
        }
        let says_something = piece.is_none_or(|piece| piece.says_something());
        if reported_at.is_none() && says_something && age >= Duration::from_secs(self.config.parked_break_seconds) {
            warn!(carrier, piece = receipt.id, "a break: nobody owns this receipt");
            counter!("charge_breaks_total", "kind" => "receipt_unowned").increment(1);
            self.writer.write(Write::ReportUnowned { id: receipt.id, at: now }).await?;
        }
        Ok(())
    }

    async fn weigh_piece(self: &Arc<Self>, piece: &Piece, received_at: Timestamp) -> Result<bool, ApplyError> {
        match piece {
            Piece::Receipt(receipt) => self.weigh_parked(receipt, received_at, &mut None).await,
            Piece::Callback(notice) => self.weigh_notice(notice).await,
        }
    }
}

/// What is parked.
enum Piece {
    Receipt(CarrierReceipt),
    Callback(Notice),
}

impl Piece {
    /// `None` if it cannot be read: then only a person can weigh it.
    fn read(parked: &ParkedReceipt) -> Option<Piece> {
        let body = parked.body.clone();
        match parked.msisdn {
            Some(_) => serde_json::from_value(body).ok().map(Piece::Receipt),
            None => serde_json::from_value(body).ok().map(Piece::Callback),
        }
    }

    /// Whether it would matter to anybody: a receipt that says "on its way" would not.
    fn says_something(&self) -> bool {
        match self {
            Piece::Receipt(receipt) => receipt.finding != Finding::Nothing || receipt.delivered.is_some(),
            Piece::Callback(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_on_soon_and_begins_anew_later() {
        let (walk, start) = (Walk::default(), Instant::now());
        assert!(walk.next(start).is_some_and(|place| place.after.is_none()));
        let last = (Timestamp::from_unix_seconds(1), "a".to_owned());
        walk.went_on(Some(last.clone()), start);
        assert!(walk.next(start).is_none());
        assert_eq!(walk.next(start + ROUND_EVERY).and_then(|place| place.after), Some(last));
        walk.went_on(None, start);
        assert!(walk.next(start + ROUND_EVERY).is_none());
        assert!(walk.next(start + WALK_EVERY).is_some_and(|place| place.after.is_none()));
    }
}
