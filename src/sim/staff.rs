//! Who looks after what was sold: finance gives money back, and operators settle by the carrier's books what nobody can be asked
//! about. What can be asked about must come to its end without them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{
    people::CALLER,
    plan::{CarrierPlan, Kind, Role, dice, pause},
    promises::Promised,
    world::World,
};
use crate::{
    charge::{Attempt, Charge, Reference, Refund, RefundState, State},
    clock::{Clock, Timestamp},
    gateway::{Gateway, RefundOutcome, RefundResolution, Resolution},
    money::Money,
    simulator::ChargingMoment,
    store::{ChargeFilter, ListedRefund, RefundFilter},
};

/// How long the carrier's books can still change after a doubt: longer than anything is ever held up.
const BOOKS_CLOSE_AFTER: Duration = Duration::from_secs(150);
/// And how long a refund is waited for: its carrier's memory of keys is over by then.
const REFUNDS_WITHIN: Duration = Duration::from_secs(4 * 3_600);
/// So long after the last fault every question is answered: what is in doubt then, and can be asked about, was forgotten.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3_600);
/// More charges than a world has.
pub(super) const ALL: u32 = 100_000;

/// Finance, while things go wrong.
pub(super) async fn refund(world: Arc<World>, promised: Promised) {
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
            tokio::spawn(ask_for_refund((world.clone(), promised.clone()), charge.reference, amount, key));
        }
    }
}

/// All of it, a part, or more than there is.
fn amount(dice: &mut StdRng, charge: &Charge) -> Option<Money> {
    let minor = charge.order.amount.minor;
    let minor = *[None, None, Some(minor / 2), Some(minor), Some(minor + 100)].choose(dice).expect("there are some");
    minor.map(Money::kzt)
}

async fn ask_for_refund(
    (world, promised): (Arc<World>, Promised),
    reference: Reference,
    amount: Option<Money>,
    key: String,
) {
    let asked = world.ask(async |gateway: Gateway| gateway.refund(reference, amount, CALLER, &key).await);
    let told = match tokio::time::timeout(Duration::from_secs(20), asked).await.ok().flatten() {
        Some(Ok((charge, refund))) => {
            promised.charge(&world, &charge);
            promised.refund(&world, reference, &key, &refund);
            format!("{} {:?}", refund.amount, refund.state)
        }
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
    /// From when on each that can be asked about has its hour.
    expected: BTreeMap<Reference, Timestamp>,
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
            let is_asked_for = matches!(refund.state, RefundState::Requested | RefundState::Waiting);
            let is_unknown = matches!(refund.state, RefundState::InDoubt | RefundState::Accepted);
            if is_asked_for || (is_unknown && refund_can_be_asked_about(world, &charge, &refund)) {
                self.expect_an_end(world, refund.reference, &charge);
                continue;
            }
            let is_late = self.has_waited(world, refund.reference, REFUNDS_WITHIN);
            let outcome = match refund.state {
                _ if is_unknown && is_late => match gave_back(world, &refund) {
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

    /// Whether it was first seen so long ago.
    fn has_waited(&mut self, world: &World, reference: Reference, long: Duration) -> bool {
        let since = *self.doubts.entry(reference).or_insert_with(|| world.clock.ran());
        world.clock.ran().saturating_sub(since) >= long
    }

    /// Its carrier can be asked, so nobody settles it.
    fn expect_an_end(&mut self, world: &World, reference: Reference, charge: &Charge) {
        let now = Clock::Simulated(world.clock.clone()).now();
        // While the clock was ahead, what is to be done later was put off for as long.
        let from = self.expected.entry(reference).or_insert(now.max(charge.updated_at));
        if now >= from.plus(ANSWERED_WITHIN) {
            *from = Timestamp::MAX;
            world.violated(format!("its carrier can be asked, and {reference} has come to no end: {charge:?}"));
        }
    }

    async fn look_at_charges(&mut self, world: &World) {
        let open = world.store.open_charges(ALL).await.unwrap_or_default();
        for charge in open.iter().filter(|charge| charge.state == State::InDoubt) {
            if charge.last_attempt().is_some_and(|attempt| can_be_asked_about(world, attempt)) {
                self.expect_an_end(world, charge.reference, charge);
                continue;
            }
            if !self.has_waited(world, charge.reference, BOOKS_CLOSE_AFTER) {
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

/// Whether an attempt has a question that its carrier can answer.
fn can_be_asked_about(world: &World, attempt: &Attempt) -> bool {
    let Some(carrier) = world.carrier(attempt.carrier.as_str()) else { return false };
    let by_message = matches!(carrier.plan.kind, Kind::Smpp(ChargingMoment::Delivery));
    answers_questions(&carrier.plan, attempt.carrier_id.is_some(), by_message)
}

/// The same for a refund.
fn refund_can_be_asked_about(world: &World, charge: &Charge, refund: &Refund) -> bool {
    let name = charge.carrier_of(refund).map(|name| name.as_str());
    let Some(carrier) = name.and_then(|name| world.carrier(name)) else { return false };
    let by_message = carrier.plan.refunds.is_some_and(|refunds| refunds.at == ChargingMoment::Delivery);
    answers_questions(&carrier.plan, refund.carrier_id.is_some(), by_message)
}

/// `has_id` tells whether the carrier's own id is known, `by_message` whether what became of an SMPP message proves anything: where its
/// response is the proof, the state of the text says too little.
fn answers_questions(carrier: &CarrierPlan, has_id: bool, by_message: bool) -> bool {
    match carrier.kind {
        // By our own reference: CAMARA in its lists, the CIS-style profile by number.
        Kind::Camara { .. } | Kind::Cis { .. } => true,
        // By the carrier's id alone.
        Kind::OneApi { .. } => has_id,
        Kind::Smpp(_) => has_id && by_message && carrier.refunds.is_some_and(|refunds| refunds.queries),
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
