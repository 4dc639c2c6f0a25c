//! Sending a text that costs the passenger nothing, in as many messages as it takes.

use std::{sync::atomic::Ordering, time::Duration};

use metrics::counter;
use tracing::warn;

use super::{Slot, SmppCarrier, compose};
use crate::{
    carrier::{Sent, Text},
    charge::{Finding, Retry},
    clock::Timestamp,
    process,
};

/// The longest that a later part waits for its place. After that the whole text is tried again, in its turn.
const PART_PATIENCE_MAX: Duration = Duration::from_secs(30);

impl SmppCarrier {
    /// Sends the parts one after another, the first in `slot`: in order, and with one place in the window at a time, so that a
    /// long text holds up nobody. A part that fails ends the try; the next sends all parts again under the same number.
    pub(in crate::carrier) async fn send(&self, slot: Slot, text: Text<'_>, now: Timestamp) -> Sent {
        let parts = match compose::text(&self.0.config.short_number, &self.0.profile, &text, now) {
            Ok(parts) => parts,
            Err(problem) => {
                warn!(carrier = %self.0.name, text = %text.id, %problem, "a text cannot be put into messages");
                return Sent::Refused { detail: problem.to_string() };
            }
        };
        let started = process::now();
        let in_parts = parts.len() > 1;
        let mut free = Some(slot);
        let mut sent = Sent::Later;
        for message in parts {
            let slot = match free.take() {
                Some(slot) => slot,
                None => {
                    let left = text.expires_at.since(now.plus(process::now().saturating_duration_since(started)));
                    let Ok(slot) = self.reserve(left.min(PART_PATIENCE_MAX), text.urgency).await else {
                        return Sent::Later;
                    };
                    slot
                }
            };
            let token = self.0.tokens.fetch_add(1, Ordering::Relaxed);
            let outcome = slot.submit(message, token).await;
            sent = match self.0.meanings.of_outcome(&outcome) {
                Finding::Accepted { carrier_id } | Finding::Charged { carrier_id, .. } => {
                    Sent::Submitted { carrier_id }
                }
                Finding::Rejected { retry: Retry::Never, detail, .. } => return Sent::Refused { detail },
                _ => return Sent::Later,
            };
            if in_parts {
                counter!("sms_parts_total", "carrier" => self.0.name.to_string()).increment(1);
            }
        }
        // The id of the last part: the one that asks for a receipt.
        sent
    }
}
