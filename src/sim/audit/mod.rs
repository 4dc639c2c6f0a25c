//! What must hold in every world, once all that went wrong is mended and nothing is left to do.
//!
//! It judges by the carriers' own books and by what people were told. Where money is counted it counts by itself: a mistake that
//! the gateway makes twice would cancel out.

mod books;
mod evidence;
mod journal;
mod ledger;
mod phones;
mod places;
mod rest;

pub(super) use self::{places::Wish, rest::rest};

use super::{promises::Promises, staff::ALL, world::World};
use crate::store::ChargeFilter;

/// Looks at everything. What is wrong is noted as a violation.
pub(super) async fn audit(world: &World, promises: &Promises) {
    let charges = world.store.charges(&ChargeFilter::default(), ALL).await.unwrap_or_default();
    let books = books::of(world);
    for charge in &charges {
        books::compare(world, &books, charge).await;
        journal::replay(world, charge).await;
    }
    let balances = world.store.balances().await.unwrap_or_default();
    let mut flaws = books::flaws(&books, &charges);
    flaws.extend(ledger::flaws(&balances, &books, &charges));
    flaws.extend(places::gave_way(&charges));
    flaws.extend(places::journeys(&charges, &promises.wishes));
    // Where the wall clock jumped, one purchase can seem to come while another was good, and did not.
    if world.plan.jumps_every.is_none() {
        flaws.extend(places::overlaps(&charges, &world.plan.gateway));
    }
    flaws.into_iter().for_each(|flaw| world.violated(flaw));
    evidence::in_other_orders(world, &charges).await;
    world.follower.audit(world, &charges).await;
    phones::phones(world, &charges).await;
    promises.audit(world, &charges).await;
}
