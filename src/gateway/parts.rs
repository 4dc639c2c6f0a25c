//! Long messages from passengers: parts that are kept become one message, once they are all there or one is overdue.
//!
//! A part is acknowledged as soon as it is durable, since a carrier may send the next one only then. What comes of the parts is
//! one write, which nobody can do twice: neither the sweep and the one who took the last part, nor the process after a crash.

use std::{sync::Arc, time::Duration};

use fail::fail_point;
use metrics::counter;
use tracing::{info, warn};

use super::{Inner, inbox::fingerprint};
use crate::{
    charge::CarrierName,
    msisdn::Msisdn,
    passenger::{self, MoPart},
    store::{IncomingSms, JoinedParts, MoKind, Outcome, StoreError, Write},
};

/// Numbers whose open parts one sweep looks at; the rest follow in the next.
const NUMBERS_MAX: u32 = 256;

impl Inner {
    /// How long the parts of a message may take.
    pub(super) fn parts_window(&self) -> Duration {
        Duration::from_secs(self.config.mo_parts_seconds)
    }

    /// Takes up what an earlier process left open, and what is overdue.
    pub(super) async fn join_waiting_parts(self: &Arc<Self>) -> Result<(), StoreError> {
        for number in self.store.numbers_with_open_parts(NUMBERS_MAX).await? {
            for parts in by_message(self.store.open_parts(number).await?) {
                self.join_parts(parts).await;
            }
        }
        Ok(())
    }

    /// Puts the parts of one message together, the oldest first, if they are all there; if they are not and it is time, what is
    /// there is answered as incomplete. What fails leaves them open, and the sweep takes them up again.
    pub(super) async fn join_parts(self: &Arc<Self>, parts: Vec<IncomingSms>) {
        let Some(message) = self.joined(&parts) else { return };
        let parts = parts.iter().map(|part| part.id).collect();
        fail_point!("gateway-before-join");
        match self.writer.write(Write::JoinParts(JoinedParts { parts, message: message.clone() })).await {
            Ok(Outcome::MoKept) => {
                fail_point!("gateway-after-join");
                let name = if message.kind == MoKind::Incomplete { "mo_incomplete_total" } else { "mo_joined_total" };
                counter!(name, "carrier" => message.carrier.to_string()).increment(1);
                info!(mo = %message.id, kind = message.kind.code(), "the parts of a message are closed");
                self.answer(message).await;
            }
            // Somebody else was faster.
            Ok(_) => {}
            Err(error) => warn!(mo = %message.id, %error, "the parts of a message cannot be closed yet"),
        }
    }

    /// The message that takes the place of these parts. `None` as long as more may come.
    fn joined(&self, parts: &[IncomingSms]) -> Option<IncomingSms> {
        let (first, now) = (parts.first()?, self.now());
        let oldest = parts.iter().map(|part| part.kept_at).min()?;
        let newest = parts.iter().map(|part| part.kept_at).max()?;
        let in_time = newest.since(oldest) <= self.parts_window();
        let whole = passenger::join(parts.iter().filter_map(|part| Some((part.part?, part.text.as_str()))));
        let (kind, text) = match whole.filter(|_| in_time) {
            Some(text) if parts.iter().any(|part| part.kind == MoKind::Late) => (MoKind::Late, text),
            Some(text) => (MoKind::Prompt, text),
            None if now.since(oldest) >= self.parts_window() => (MoKind::Incomplete, all_there_is(parts)),
            None => return None,
        };
        let place = first.part.map(|part| MoPart { number: 0, ..part });
        Some(IncomingSms {
            // The same whoever makes it, and so is the idempotency key of what it buys.
            id: first.id.derive("joined", 0),
            fingerprint: fingerprint(&first.carrier, first.msisdn, &first.destination, &text, place),
            text,
            part: None,
            kind,
            // The passenger has waited since the first part.
            received_at: parts.iter().map(|part| part.received_at).min()?,
            kept_at: now,
            same_since: now,
            ..first.clone()
        })
    }
}

/// For whoever looks at it later: it is no command.
fn all_there_is(parts: &[IncomingSms]) -> String {
    let mut parts: Vec<&IncomingSms> = parts.iter().collect();
    parts.sort_by_key(|part| part.part);
    parts.into_iter().map(|part| part.text.as_str()).collect()
}

/// The open parts of one number, message by message. There are few.
fn by_message(parts: Vec<IncomingSms>) -> Vec<Vec<IncomingSms>> {
    let key = |part: &IncomingSms| -> (CarrierName, Msisdn, String, Option<MoPart>) {
        let place = part.part.map(|part| MoPart { number: 0, ..part });
        (part.carrier.clone(), part.msisdn, part.destination.clone(), place)
    };
    let mut messages: Vec<Vec<IncomingSms>> = Vec::new();
    for part in parts {
        match messages.iter_mut().find(|message| message.first().is_some_and(|first| key(first) == key(&part))) {
            Some(message) => message.push(part),
            None => messages.push(vec![part]),
        }
    }
    messages
}
