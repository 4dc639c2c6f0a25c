//! What an SMSC does against the protocol, in the log. It can come as fast as PDUs do, so of each kind a few are told, and how many were left out;
//! all are counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{charge::CarrierName, smpp::Fault};

/// Of each kind so many are told within [`WITHIN`].
const TOLD_MAX: u32 = 10;
const WITHIN: Duration = Duration::from_secs(10);

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct FaultLog(BTreeMap<&'static str, Lately>);

#[derive(Debug)]
struct Lately {
    since: Instant,
    told: u32,
    left_out: u64,
}

impl FaultLog {
    /// Tells it, or counts it as left out.
    pub(super) fn tell(&mut self, carrier: &CarrierName, bind: &str, fault: &Fault, now: Instant) {
        let Some(left_out) = self.turn(fault.kind(), now) else { return };
        match fault {
            // That is our own doing.
            Fault::DeliveryPutOff { unanswered, .. } => {
                warn!(%carrier, bind, unanswered, left_out, "a message was put off: too many wait for their answer");
            }
            _ => warn!(%carrier, bind, ?fault, left_out, "the SMSC departed from the protocol"),
        }
    }

    /// How many of this kind were left out before, if this one is to be told.
    fn turn(&mut self, kind: &'static str, now: Instant) -> Option<u64> {
        let lately = self.0.entry(kind).or_insert(Lately { since: now, told: 0, left_out: 0 });
        if now.saturating_duration_since(lately.since) >= WITHIN {
            (lately.since, lately.told) = (now, 0);
        }
        if lately.told == TOLD_MAX {
            lately.left_out += 1;
            return None;
        }
        lately.told += 1;
        Some(std::mem::take(&mut lately.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_told_a_few_times_with_what_was_left_out_and_hides_no_other() {
        let (mut log, begin) = (FaultLog::default(), Instant::now());
        let told = (0..1_000).filter(|_| log.turn("quirk", begin).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(log.turn("unreadable", begin), Some(0));
        assert_eq!(log.turn("quirk", begin + WITHIN), Some(990));
        assert_eq!(log.turn("quirk", begin + WITHIN), Some(0));
    }
}
