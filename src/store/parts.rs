//! Whether a part of a long message is new, whatever backend asks.

use super::{IncomingSms, Outcome};
use crate::{clock::Timestamp, passenger::MoPart};

/// Open parts of one number. A message has ten at most, so two can come at a time.
pub const OPEN_PARTS_MAX: usize = 20;

/// A part that is kept already, of the same number as the new one.
pub(super) struct KeptPart {
    pub(super) message: IncomingSms,
    /// When it became part of a whole message or was given up; `None` as long as it is open.
    pub(super) closed_at: Option<Timestamp>,
}

/// What becomes of a new part. `kept` are the parts of its number that are open, and those that were closed after its
/// [`IncomingSms::same_since`], the oldest first; `part` is the new one's own place.
///
/// Once a message is closed, what comes of it is a repeat, or a part that was given up. Both start nothing. But a phone may use
/// the same number for each of its messages: another text in the same place belongs to the next one.
pub(super) fn judge(message: &IncomingSms, part: MoPart, kept: Vec<KeptPart>) -> Outcome {
    let open_of_number = kept.iter().filter(|kept| kept.closed_at.is_none()).count();
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for KeptPart { message: beside, closed_at } in kept {
        if is_of_same_message(message, part, &beside) {
            if closed_at.is_none() { open.push(beside) } else { closed.push(beside) }
        }
    }
    let same_place = || closed.iter().filter(|kept| kept.part.is_some_and(|kept| kept.number == part.number));
    let is_repeat = same_place().any(|kept| kept.fingerprint == message.fingerprint);
    let was_given_up = open.is_empty() && same_place().next().is_none();
    if let Some(last) = closed.last()
        && (is_repeat || was_given_up)
    {
        return Outcome::MoKnown { id: last.id };
    }
    if open_of_number >= OPEN_PARTS_MAX {
        return Outcome::TooManyParts;
    }
    open.push(message.clone());
    Outcome::PartKept { parts: open }
}

fn is_of_same_message(message: &IncomingSms, part: MoPart, kept: &IncomingSms) -> bool {
    kept.part.is_some_and(|kept| kept.is_beside(&part))
        && (&kept.carrier, kept.msisdn, &kept.destination) == (&message.carrier, message.msisdn, &message.destination)
}
