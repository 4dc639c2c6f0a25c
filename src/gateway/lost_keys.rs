//! Keys that were used in a time that is lost to the books. A client that repeats such a request would be charged again, so for a while a key
//! that nobody knows is only taken if it tells by itself that it was made since.

use std::time::Duration;

use metrics::counter;
use uuid::Uuid;

use super::{Inner, Purchase, PurchaseError};
use crate::{charge::Channel, clock::Timestamp};

/// The clock of whoever makes keys may differ from ours by so much. What it made just after the generation began may be of before.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(120);

impl Inner {
    /// Refuses a purchase over the API whose key may have been used in the lost time. Whoever calls this knows that the books do not
    /// have the key. An SMS is another matter: what waited at the carrier is answered "not charged".
    pub(super) fn refuse_lost_key(&self, purchase: &Purchase) -> Result<(), PurchaseError> {
        let Channel::Api { .. } = purchase.channel else { return Ok(()) };
        match self.lost_until(&purchase.guard.key) {
            Some(until) => Err(PurchaseError::Restored { until }),
            None => Ok(()),
        }
    }

    /// Until when keys are lost of which this may be one: nobody knows it here.
    pub(super) fn lost_until(&self, key: &str) -> Option<Timestamp> {
        let generation = self.remembers_lost_keys(self.now())?;
        let (since, until) = (generation.began_at.plus(CLOCKS_APART_MAX), self.now().plus(CLOCKS_APART_MAX));
        if made_at(key).is_some_and(|made_at| since < made_at && made_at <= until) {
            return None;
        }
        counter!("lost_keys_refused_total").increment(1);
        Some(generation.lost_until)
    }
}

/// When a key was made, if it tells: a UUID of version 7 (RFC 9562).
fn made_at(key: &str) -> Option<Timestamp> {
    let uuid = Uuid::try_parse(key).ok()?;
    if uuid.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let ms = i64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))?;
    Some(Timestamp::from_unix_ms(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_when_it_was_made_or_not() {
        let at = Timestamp::from_unix_ms(1_800_000_000_123);
        let key = crate::charge::Reference::new(at, [7; 10]).to_string();
        assert_eq!(made_at(&key), Some(at));
        for silent in ["order-17", "", "7f1f2d1e-8a38-4f0e-9f0e-0d6d3f9c2f11", "018f"] {
            assert_eq!(made_at(silent), None, "{silent}");
        }
    }
}
