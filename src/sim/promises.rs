//! What the world owes to its people: whatever they were told stays so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{audit::Wish, world::World};
use crate::{
    charge::{Charge, Reference, Refund, State},
    money::Money,
    msisdn::Msisdn,
    simulator::Fault,
};

/// Everything that people were told, and what they wished for.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// What an app was told that its key stands for.
    pub(super) keys: BTreeMap<String, Reference>,
    /// Messages that were acknowledged: number and text.
    pub(super) messages: Vec<(Msisdn, String)>,
    /// What was asked for, answered or not.
    pub(super) wishes: BTreeSet<Wish>,
    /// Where charges were told to stand, by their version.
    told: BTreeMap<(Reference, u32), (State, Money)>,
    /// What a key for a refund of a charge stands for.
    refund_keys: BTreeMap<(Reference, String), Reference>,
    /// Refunds that were told, with their charge.
    refunds: Vec<(Reference, Refund)>,
}

/// What was promised to all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Promised(Arc<Mutex<Promises>>);

impl Promised {
    /// Somebody asks for passengers in total on a number in a vehicle.
    pub(super) fn wish(&self, msisdn: Msisdn, vehicle: &str, passengers: u8) {
        self.open().wishes.insert((msisdn, vehicle.to_owned(), passengers));
    }

    /// A message was acknowledged.
    pub(super) fn message(&self, msisdn: Msisdn, text: &str) {
        self.open().messages.push((msisdn, text.to_owned()));
    }

    /// M15: a key stands for one charge.
    pub(super) fn key(&self, world: &World, key: &str, reference: Reference) {
        let before = self.open().keys.insert(key.to_owned(), reference);
        if let Some(before) = before.filter(|before| *before != reference) {
            world.violated(format!("M15: key {key} stood for {before}, and now for {reference}"));
        }
    }

    /// An answer told where a charge stands.
    pub(super) fn charge(&self, world: &World, charge: &Charge) {
        let told = (charge.state, charge.order.amount);
        let before = self.open().told.insert((charge.reference, charge.version), told);
        if let Some(before) = before.filter(|before| *before != told) {
            world.violated(format!("one version was told as {before:?} and as {told:?}: {charge:?}"));
        }
    }

    /// An answer told of a refund. M15: its key stands for one.
    pub(super) fn refund(&self, world: &World, charge: Reference, key: &str, refund: &Refund) {
        let mut promises = self.open();
        let before = promises.refund_keys.insert((charge, key.to_owned()), refund.reference);
        promises.refunds.push((charge, refund.clone()));
        drop(promises);
        if let Some(before) = before.filter(|before| *before != refund.reference) {
            world.violated(format!("M15: key {key} stood for the refund {before}, and now for {}", refund.reference));
        }
    }

    /// All of it. Nothing is left.
    pub(super) fn take(&self) -> Promises {
        std::mem::take(&mut *self.open())
    }

    fn open(&self) -> MutexGuard<'_, Promises> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promises {
    /// Whether everything that was told is so.
    pub(super) async fn audit(&self, world: &World, charges: &[Charge]) {
        let charges: BTreeMap<Reference, &Charge> = charges.iter().map(|charge| (charge.reference, charge)).collect();
        for (key, reference) in self.keys.iter().filter(|(_, reference)| !charges.contains_key(reference)) {
            world.violated(format!("key {key} was answered with {reference}, which is lost"));
        }
        self.broken(&charges).into_iter().for_each(|broken| world.violated(broken));
        for ((reference, version), (state, _)) in &self.told {
            let journal = world.store.journal(*reference).await.unwrap_or_default();
            if !journal.iter().any(|entry| entry.version == *version && entry.to == *state) {
                world.violated(format!("{reference} was told as {state:?} at version {version}, and never was"));
            }
        }
        self.messages_kept(world);
    }

    /// What was told of charges and refunds, and did not stay so.
    fn broken(&self, charges: &BTreeMap<Reference, &Charge>) -> Vec<String> {
        let mut broken = Vec::new();
        for ((reference, version), told) in &self.told {
            let Some(charge) = charges.get(reference) else {
                broken.push(format!("{reference} was told as {told:?}, and is lost"));
                continue;
            };
            let (state, amount) = *told;
            if charge.version < *version || !may_become(state, charge.state) || charge.order.amount != amount {
                broken.push(format!("{reference} was told as {told:?} at version {version}, and is {charge:?}"));
            }
        }
        for (reference, told) in &self.refunds {
            let refunds = charges.get(reference).map_or(&[][..], |charge| &charge.refunds);
            let is_kept = |now: &&Refund| {
                let same = (now.reference, now.amount, now.opened_at) == (told.reference, told.amount, told.opened_at);
                same && (!told.state.is_settled() || now.state == told.state)
            };
            if !refunds.iter().any(|now| is_kept(&now)) {
                broken.push(format!("{reference}: {told:?} was promised, and it has {refunds:?}"));
            }
        }
        broken
    }

    fn messages_kept(&self, world: &World) {
        let kept = world.kept_messages();
        for (msisdn, text) in self.messages.iter().filter(|message| !kept.contains_key(*message)) {
            // One that came in parts, of which one was lost, or came when the clock had jumped, is kept as what was there of it; its
            // passenger is asked to write again.
            let is_there_in_part = kept.keys().any(|(of, part)| of == msisdn && text.contains(part.as_str()));
            if loses_parts(world) || world.plan.jumps_every.is_some() && is_there_in_part {
                continue;
            }
            world.violated(format!("{text:?} from {msisdn} was acknowledged, and is lost"));
        }
    }
}

/// Whether a charge that was told to stand at `before` may stand at `after` later. What is final stays; money that was taken can go
/// back.
fn may_become(before: State, after: State) -> bool {
    let goes_back = matches!(after, State::Refunding | State::RefundOwed | State::Refunded);
    match before {
        State::Processing | State::AwaitingOtp | State::InDoubt => true,
        State::Charged => after == State::Charged || goes_back,
        // Of several refunds one can be owed while another is on its way.
        State::Refunding | State::RefundOwed => goes_back,
        State::Refunded | State::Declined(_) | State::Rejected(_) => after == before,
    }
}

fn loses_parts(world: &World) -> bool {
    let rules = world.carriers.iter().flat_map(|carrier| &carrier.plan.faults);
    rules.into_iter().any(|rule| rule.fault == Fault::MoPartMissing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        charge::{LateSuccess, Reason, Terms, samples::order},
        clock::Timestamp,
    };

    const AT: Timestamp = Timestamp::from_unix_seconds(1_772_418_600);

    fn charge(version: u32, state: State) -> Charge {
        let terms = Terms::new(AT, LateSuccess::Refund);
        let charge = Charge::new(Reference::new(AT, [1; 10]), order(AT), terms);
        Charge { version, state, ..charge }
    }

    fn broken(told: &Charge, now: &Charge) -> bool {
        let told = ((told.reference, told.version), (told.state, told.order.amount));
        let promises = Promises { told: BTreeMap::from([told]), ..Promises::default() };
        !promises.broken(&BTreeMap::from([(now.reference, now)])).is_empty()
    }

    #[test]
    fn what_was_told_for_good_stays_and_money_that_was_taken_may_go_back() {
        let rejected = State::Rejected(Reason::Barred);
        for (told, now, is_broken) in [
            (State::InDoubt, rejected, false),
            (State::Charged, State::Refunded, false),
            (State::RefundOwed, State::Refunding, false),
            (State::Charged, rejected, true),
            (State::Charged, State::InDoubt, true),
            (State::Refunded, State::Charged, true),
            (State::Refunding, State::Charged, true),
            (rejected, State::Charged, true),
            (rejected, State::Rejected(Reason::InsufficientBalance), true),
            (State::Declined(Reason::Barred), rejected, true),
        ] {
            assert_eq!(broken(&charge(3, told), &charge(4, now)), is_broken, "{told:?} {now:?}");
        }
    }

    #[test]
    fn a_version_that_was_told_is_not_lost() {
        assert!(broken(&charge(5, State::Charged), &charge(4, State::Charged)));
        assert!(!broken(&charge(4, State::Charged), &charge(4, State::Charged)));
    }
}
