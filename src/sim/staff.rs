//! Who looks after what was sold: finance gives money back, and operators settle what is in doubt by the carrier's books.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    people::CALLER,
    plan::{Role, dice, pause},
    world::World,
};
use crate::{
    charge::{Charge, Reference, Refund, RefundState, State},
    gateway::{Gateway, RefundOutcome, RefundResolution, Resolution},
    money::Money,
    store::{ChargeFilter, ListedRefund, RefundFilter},
};

/// How long the carrier's books can still change after a doubt: longer than anything is ever held up.
const BOOKS_CLOSE_AFTER: Duration = Duration::from_secs(150);
/// And how long a refund is waited for: its carrier's memory of keys is over by then.
const REFUNDS_WITHIN: Duration = Duration::from_secs(4 * 3_600);
/// More charges than a world has.
pub(super) const ALL: u32 = 100_000;

/// Finance, while things go wrong.
pub(super) async fn refund(world: Arc<World>) {
    let mut dice = dice(world.plan.seed, Role::Staff(1));
    let every = Duration::from_secs(dice.random_range(5..=90));
    for number in 0_u32.. {
        sleep(pause(&mut dice, every)).await;
        if !world.is_spoilt() {
            return;
        }
        let charges = world.store.charges(&ChargeFilter::default(), ALL).await.unwrap_or_default();
        let taken: Vec<&Charge> = charges.iter().filter(|charge| charge.charged_at.is_some()).collect();
        let Some(charge) = taken.choose(&mut dice) else { continue };
        // Two at once now and then, under one key or under two.
        let both = match dice.random_range(0..5) {
            0 => vec![format!("refund-{number}"), format!("refund-{number}")],
            1 => vec![format!("refund-{number}"), format!("refund-{number}-other")],
            _ => vec![format!("refund-{number}")],
        };
        let amount = amount(&mut dice, charge);
        for key in both {
            tokio::spawn(ask_for_refund(world.clone(), charge.reference, amount, key));
        }
    }
}

/// All of it, a part, or more than there is.
fn amount(dice: &mut StdRng, charge: &Charge) -> Option<Money> {
    let minor = charge.order.amount.minor;
    let minor = *[None, None, Some(minor / 2), Some(minor), Some(minor + 100)].choose(dice).expect("there are some");
    minor.map(Money::kzt)
}

async fn ask_for_refund(world: Arc<World>, reference: Reference, amount: Option<Money>, key: String) {
    let asked = world.ask(async |gateway: Gateway| gateway.refund(reference, amount, CALLER, &key).await);
    let told = match tokio::time::timeout(Duration::from_secs(20), asked).await.ok().flatten() {
        Some(Ok((_, refund))) => format!("{} {:?}", refund.amount, refund.state),
        Some(Err(error)) => error.to_string(),
        None => "no answer".to_owned(),
    };
    world.note(format_args!("refund of {reference}, {amount:?}, key {key}: {told}"));
}

/// Operators, once the carriers' books can be trusted.
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// Since when each charge or refund has been in doubt, by the clock that does not jump.
    doubts: BTreeMap<Reference, Duration>,
}

impl Operators {
    /// Looks at everything in doubt once, and at what is owed.
    pub(super) async fn look(&mut self, world: &World) {
        self.look_at_charges(world).await;
        self.look_at_refunds(world).await;
    }

    /// What the carrier did by its books is done; what it did not is owed, and then paid in cash now and then.
    async fn look_at_refunds(&mut self, world: &World) {
        for ListedRefund { charge, refund } in
            world.store.refunds(&RefundFilter::default(), ALL).await.unwrap_or_default()
        {
            let since = *self.doubts.entry(refund.reference).or_insert_with(|| world.clock.ran());
            let is_late = world.clock.ran().saturating_sub(since) >= REFUNDS_WITHIN;
            let outcome = match refund.state {
                RefundState::InDoubt | RefundState::Accepted if is_late => match gave_back(world, &refund) {
                    true => RefundOutcome::Refunded,
                    false => RefundOutcome::NotRefunded,
                },
                // One in two, by its name.
                RefundState::Owed if refund.reference.as_bytes()[15].is_multiple_of(2) => RefundOutcome::PaidOtherwise,
                _ => continue,
            };
            let resolution = RefundResolution { outcome, by: "audit".into(), because: "the carrier's books".into() };
            let (reference, name) = (charge.reference, refund.reference);
            let resolved =
                world.ask(async |gateway: Gateway| gateway.resolve_refund(reference, name, resolution).await).await;
            let told = resolved.map(|resolved| resolved.map(|charge| charge.state));
            world.note(format_args!("operator: refund {name} of {reference} {outcome:?}: {told:?}"));
        }
    }

    async fn look_at_charges(&mut self, world: &World) {
        let open = world.store.open_charges(None, ALL).await.unwrap_or_default();
        for charge in open.iter().filter(|charge| charge.state == State::InDoubt) {
            let since = *self.doubts.entry(charge.reference).or_insert_with(|| world.clock.ran());
            if world.clock.ran().saturating_sub(since) < BOOKS_CLOSE_AFTER {
                continue;
            }
            let number = charge.last_attempt().map_or(0, |attempt| attempt.number);
            let charged = world
                .carriers
                .iter()
                .any(|carrier| carrier.simulator.ledger().entries_for(charge.reference.uuid()).next().is_some());
            let resolution = Resolution { charged, by: "audit".into(), because: "the carrier's books".into() };
            let resolved =
                world.ask(async |gateway: Gateway| gateway.resolve(charge.reference, resolution).await).await;
            let told = resolved.map(|resolved| resolved.map(|charge| charge.state));
            world.note(format_args!("operator: {} attempt {number} charged {charged}: {told:?}", charge.reference));
        }
    }
}

/// Whether the carrier's own books have it.
fn gave_back(world: &World, refund: &Refund) -> bool {
    let names = [refund.reference.to_string(), refund.reference.uuid().simple().to_string()];
    world.carriers.iter().any(|carrier| {
        let ledger = carrier.simulator.ledger();
        ledger.refunds().iter().any(|entry| names.iter().any(|name| entry.request_reference.starts_with(name)))
    })
}
