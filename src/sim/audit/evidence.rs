//! M9, on what really happened in a world: the evidence of each charge once more, in other orders.

use std::collections::BTreeSet;

use rand::{rngs::StdRng, seq::SliceRandom};

use crate::{
    charge::{Break, Charge, Effect, Event, EvidenceSource, Finding, State, step},
    clock::Timestamp,
    sim::{
        plan::{Role, dice},
        world::World,
    },
    store::JournalEntry,
};

/// How many other orders of each charge's evidence are lived through.
const ORDERS: usize = 4;

/// In whatever order its evidence had come, no charge would leave money without a ticket or a refund, take what nobody
/// proved, or be silent about a contradiction.
pub(super) async fn in_other_orders(world: &World, charges: &[Charge]) {
    let mut dice = dice(world.plan.seed, Role::Audit);
    for charge in charges {
        let entries = world.store.journal(charge.reference).await.unwrap_or_default();
        let happened: Vec<(Timestamp, Event)> = entries.into_iter().filter_map(happening).collect();
        let contradicts = Told::of(charge, &happened).contradicts;
        for _ in 0..ORDERS {
            let other = shuffled(&happened, &mut dice);
            let told = Told::of(charge, &other);
            let is_silent = contradicts && !told.contradicts && !told.skipped && !order_decides(&happened);
            if let Some(wrong) = told.wrong.or(is_silent.then(|| "a contradiction opens no break".into())) {
                world.violated(format!("M9: {}, in another order: {wrong}: {other:?}", charge.reference));
            }
        }
    }
}

fn happening(entry: JournalEntry) -> Option<(Timestamp, Event)> {
    Some((entry.at, entry.event?))
}

/// The pieces of evidence of attempts change places; the moments, and everything that is no evidence, stay. A person's word stays too: it
/// is asked for only where there is doubt.
fn shuffled(happened: &[(Timestamp, Event)], dice: &mut StdRng) -> Vec<(Timestamp, Event)> {
    let places: Vec<usize> = (0..happened.len()).filter(|place| is_evidence(&happened[*place].1)).collect();
    let mut from = places.clone();
    from.shuffle(dice);
    let mut other = happened.to_vec();
    for (to, from) in places.into_iter().zip(from) {
        other[to].1 = happened[from].1.clone();
    }
    other
}

fn is_evidence(event: &Event) -> bool {
    let (Event::Evidence(evidence) | Event::EvidenceWithoutTicket(evidence)) = event else { return false };
    !matches!(evidence.source, EvidenceSource::Operator { .. })
}

/// Whether what a piece means depends on those before it, and so whether it contradicts: what a second step was asked for decides what an
/// answer is about, and that a listing lacks the payment is evidence only behind another one (M5).
fn order_decides(happened: &[(Timestamp, Event)]) -> bool {
    happened.iter().any(|(_, event)| {
        let (Event::Evidence(evidence) | Event::EvidenceWithoutTicket(evidence)) = event else { return false };
        matches!(evidence.finding, Finding::Reserved { .. } | Finding::OtpNeeded { .. } | Finding::NotFound { .. })
    })
}

/// What comes of a charge in one order.
struct Told {
    /// Whether a break says that two pieces cannot both be true.
    contradicts: bool,
    /// Whether something could not happen in this order.
    skipped: bool,
    /// What must not be.
    wrong: Option<String>,
}

impl Told {
    fn of(charge: &Charge, happened: &[(Timestamp, Event)]) -> Told {
        let mut lived = Charge::new(charge.reference, charge.order.clone(), charge.terms.clone());
        let (mut proved, mut effects, mut skipped) = (BTreeSet::new(), Vec::new(), false);
        for (at, event) in happened {
            let proof = proof(&lived, event);
            match step(&lived, event.clone(), *at) {
                Ok(done) => {
                    lived = done.next;
                    effects.extend(done.effects);
                    proved.extend(proof);
                }
                Err(_) => skipped = true,
            }
        }
        let is_contradiction = |effect: &Effect| {
            let Effect::RaiseBreak(found) = effect else { return false };
            matches!(found, Break::RejectedAfterCharge | Break::ChargedAfterRejection)
        };
        let contradicts = effects.iter().any(is_contradiction);
        Told { contradicts, skipped, wrong: wrong(&lived, &effects, proved.len()) }
    }
}

/// The attempt that this piece proves to be paid.
fn proof(charge: &Charge, event: &Event) -> Option<u16> {
    let (Event::Evidence(evidence) | Event::EvidenceWithoutTicket(evidence)) = event else { return None };
    let Finding::Charged { amount, .. } = &evidence.finding else { return None };
    let differs = amount.is_some_and(|amount| amount != charge.order.amount);
    let is_believed = !(differs && evidence.source == EvidenceSource::Callback);
    (is_believed && charge.attempt(evidence.attempt).is_some()).then_some(evidence.attempt)
}

fn wrong(charge: &Charge, effects: &[Effect], proved: usize) -> Option<String> {
    let tickets = effects.iter().filter(|effect| **effect == Effect::IssueTicket).count();
    let own = usize::from(charge.charged_at.is_some());
    let owed = charge.refunds.iter().filter(|refund| refund.attempt.is_some()).count();
    let (refunded, amount) = (charge.refunded_amount(), charge.order.amount);
    match () {
        () if tickets > 1 => Some(format!("{tickets} tickets")),
        () if proved != own + owed => {
            Some(format!("{proved} attempts are proved as paid, and {own} + {owed} are known"))
        }
        () if refunded.minor > amount.minor => Some(format!("{refunded} of {amount} goes back")),
        () if own == 1 && tickets == 0 && refunded != amount => Some("money without a ticket or a refund".into()),
        () if own == 0 && charge.state == State::Charged => Some("charged without a proof".into()),
        () => None,
    }
}
