//! What the journal tells.

use crate::{
    charge::{Charge, step},
    sim::world::World,
};

/// The journal alone leads to the charge as it is.
pub(super) async fn replay(world: &World, charge: &Charge) {
    let entries = world.store.journal(charge.reference).await.unwrap_or_default();
    let mut replayed = Charge::new(charge.reference, charge.order.clone(), charge.terms.clone());
    for entry in entries {
        let Some(event) = entry.event else { continue };
        match step(&replayed, event, entry.at) {
            Ok(done) if done.next.version == entry.version => replayed = done.next,
            Ok(done) => {
                return world.violated(format!(
                    "the journal leads to version {}: {entry:?}",
                    done.next.version,
                    entry = entry.version
                ));
            }
            Err(illegal) => {
                return world.violated(format!("the journal of {} is illegal: {illegal}", charge.reference));
            }
        }
    }
    if replayed != *charge {
        world.violated(format!("the journal leads to {replayed:?}, and the store has {charge:?}"));
    }
}
