//! Who gets the slot of a subscriber and a vehicle (M12, M13).

use super::{Slot, SlotClaim};
use crate::charge::{Charge, Event, Reference, step};

/// What becomes of a wish for a slot.
pub(super) enum Claimed {
    /// It is held by the new charge now.
    Granted {
        /// The charge that gave way, as it is now. Its version is one higher.
        superseded: Option<Box<Charge>>,
    },
    /// Another charge keeps it.
    Held,
}

/// May `newcomer` have the slot that `held` holds? `holder` is the charge that holds it, if its outcome is still open.
///
/// An open charge before its ticket deadline keeps its slot whatever the time of the slot says: two of them could both
/// take the money.
pub(super) fn claim(claim: &SlotClaim, newcomer: &Charge, held: &Slot, holder: Option<&Charge>) -> Claimed {
    let now = newcomer.order.received_at;
    let replaced = claim.replaces == Some(held.reference);
    let over = held.held_until <= now;
    let Some(holder) = holder.filter(|_| over) else {
        return if over || replaced { Claimed::Granted { superseded: None } } else { Claimed::Held };
    };
    match step(holder, supersede(newcomer.reference), now) {
        Ok(step) if step.next.version > holder.version => Claimed::Granted { superseded: Some(Box::new(step.next)) },
        Ok(_) => Claimed::Granted { superseded: None },
        Err(_) if replaced => Claimed::Granted { superseded: None },
        Err(_) => Claimed::Held,
    }
}

/// The event by which a charge gives way to `by`.
pub(super) const fn supersede(by: Reference) -> Event {
    Event::Supersede { by }
}
