//! When a world is over: nothing is left to do, and nothing turns up any more.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    charge::{Refund, RefundState},
    clock::Timestamp,
    sim::{
        staff::{ALL, Operators},
        world::World,
    },
    store::ChargeFilter,
};

/// How often it is looked whether anything is left to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Nothing takes longer than this to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(12 * 3_600);
/// For so long it must stay at rest: what was lost may still turn up.
const LOOKS_AT_REST: u32 = 3;

/// Waits until nothing is left to do; what is, if it does not end.
pub(in crate::sim) async fn rest(world: &World) {
    let mut operators = Operators::default();
    let (begun, mut at_rest) = (world.clock.ran(), 0);
    loop {
        sleep(LOOK_EVERY).await;
        operators.look(world).await;
        let waited = world.clock.ran().saturating_sub(begun);
        match unfinished(world).await {
            None => at_rest += 1,
            Some(_) if waited < REST_WITHIN => at_rest = 0,
            Some(what) => return world.violated(format!("the world comes to no rest: {what}")),
        }
        if at_rest == LOOKS_AT_REST {
            return;
        }
    }
}

/// The first thing that is left to do.
async fn unfinished(world: &World) -> Option<String> {
    if !world.is_up() {
        return Some("no gateway runs".into());
    }
    let store = &world.store;
    let is_under_way = |refund: &Refund| !matches!(refund.state, RefundState::Owed) && !refund.state.is_settled();
    if let Some(charge) = store.open_charges(1).await.unwrap_or_default().first() {
        return Some(format!("a charge is open: {charge:?}"));
    }
    let charges = store.charges(&ChargeFilter::default(), ALL).await.unwrap_or_default();
    if let Some(charge) = charges.iter().find(|charge| charge.refunds.iter().any(is_under_way)) {
        return Some(format!("a refund is under way: {charge:?}"));
    }
    if let Some(mo) = store.unanswered_mos(1).await.unwrap_or_default().first() {
        return Some(format!("a message is not answered: {mo:?}"));
    }
    if let Some(number) = store.numbers_with_open_parts(1).await.unwrap_or_default().first() {
        return Some(format!("parts of a message of {number} are open"));
    }
    for carrier in &world.carriers {
        let name = carrier.plan.name.parse().expect("a name");
        if let Some(text) = store.due_messages(&name, Timestamp::MAX, 1).await.unwrap_or_default().first() {
            return Some(format!("a text is not sent: {text:?}"));
        }
        let stats = carrier.simulator.stats();
        let pending = (stats.deliveries_pending, stats.messages_pending, stats.http.callbacks_pending);
        if pending != (0, 0, 0) {
            return Some(format!("{name} has deliveries, messages and callbacks on their way: {pending:?}"));
        }
    }
    world.follower.missing(world).await.map(|event| format!("event {event} was not told yet"))
}
