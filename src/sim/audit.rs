//! What must hold in every world, once all that went wrong is mended and nothing is left to do.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;

use super::{
    evidence,
    people::Promises,
    staff::{ALL, Operators},
    world::World,
};
use crate::{
    charge::{Charge, Refund, RefundState, State, step},
    clock::Timestamp,
    simulator::{Fault, LedgerEntry, RefundEntry},
    store::{ChargeFilter, MessageState},
};

/// How often it is looked whether anything is left to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Nothing takes longer than this to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(12 * 3_600);
/// For so long it must stay at rest: what was lost may still turn up.
const LOOKS_AT_REST: u32 = 3;

/// Characters of a text that surely goes in one message.
const ONE_MESSAGE: usize = 70;

/// Waits until nothing is left to do; what is, if it does not end.
pub(super) async fn rest(world: &World) {
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
    if let Some(charge) = store.open_charges(None, 1).await.unwrap_or_default().first() {
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

/// Looks at everything. What is wrong is noted as a violation.
pub(super) async fn audit(world: &World, promises: &Promises) {
    let charges = world.store.charges(&ChargeFilter::default(), ALL).await.unwrap_or_default();
    let books = Books::of(world);
    let mut receivable = 0;
    for charge in &charges {
        receivable += books.compare(world, charge).await;
        replay(world, charge).await;
    }
    if let Some(entry) =
        books.entries.iter().find(|entry| charges.iter().all(|c| Some(c.reference.uuid()) != entry.reference))
    {
        world.violated(format!("the carrier took money for no charge of ours: {entry:?}"));
    }
    let balances = world.store.balances().await.unwrap_or_default();
    let sum: i64 = balances.iter().map(|balance| balance.minor).sum();
    if sum != 0 {
        world.violated(format!("our ledger sums to {sum}: {balances:?}"));
    }
    let held: i64 = balances.iter().filter(|b| b.account.carrier().is_some()).map(|b| b.minor).sum();
    if held != receivable {
        world.violated(format!("carriers owe {held} by the ledger, and {receivable} by the charges"));
    }
    world.follower.audit(world, &charges).await;
    evidence::in_other_orders(world, &charges).await;
    one_ticket_at_a_time(world, &charges);
    phones(world, &charges).await;
    for (key, reference) in &promises.keys {
        if charges.iter().all(|charge| charge.reference != *reference) {
            world.violated(format!("key {key} was answered with {reference}, which is lost"));
        }
    }
    let kept = world.kept_messages();
    for (msisdn, text) in promises.messages.iter().filter(|message| !kept.contains_key(*message)) {
        // One that came in parts, of which one was lost, is kept as what is there of it.
        if loses_parts(world) {
            continue;
        }
        world.violated(format!("{text:?} from {msisdn} was acknowledged, and is lost"));
    }
}

/// The carriers' own books.
struct Books {
    entries: Vec<LedgerEntry>,
    refunds: Vec<RefundEntry>,
}

impl Books {
    fn of(world: &World) -> Books {
        let ledgers: Vec<_> = world.carriers.iter().map(|carrier| carrier.simulator.ledger()).collect();
        let entries: Vec<LedgerEntry> = ledgers.iter().flat_map(|ledger| ledger.entries().to_vec()).collect();
        let refunds = ledgers.iter().flat_map(|ledger| ledger.refunds().to_vec()).collect();
        for carrier in &world.carriers {
            let stats = carrier.simulator.stats();
            if stats.malformed > 0 {
                world.violated(format!("{} got malformed PDUs: {:?}", carrier.plan.name, stats.malformed_last));
            }
        }
        Books { entries, refunds }
    }

    /// One charge in our books and in theirs. What a carrier owes us for it, in tiyn.
    async fn compare(&self, world: &World, charge: &Charge) -> i64 {
        let reference = charge.reference;
        let taken: Vec<i64> =
            self.entries.iter().filter(|e| e.reference == Some(reference.uuid())).map(|e| e.amount.minor).collect();
        if taken.len() > 1 {
            world.violated(format!("{reference} was charged {} times", taken.len()));
        }
        let taken: i64 = taken.iter().sum();
        let ticket = world.store.ticket(reference).await.ok().flatten();
        let is_wrong = match charge.state {
            State::Charged => ticket.as_ref().is_none_or(|ticket| ticket.revoked_at.is_some()),
            State::RefundOwed | State::Refunding | State::Refunded => {
                ticket.as_ref().is_some_and(|ticket| ticket.revoked_at.is_none())
            }
            State::Declined(_) | State::Rejected(_) => ticket.is_some(),
            State::Processing | State::AwaitingOtp | State::InDoubt => true,
        };
        if is_wrong {
            world.violated(format!("{reference} is {:?} with the ticket {ticket:?}", charge.state));
        }
        let ours = if charge.charged_at.is_some() { charge.order.amount.minor } else { 0 };
        let owed: i64 = charge.refunds.iter().filter(|r| r.attempt.is_some()).map(|r| r.amount.minor).sum();
        if taken != ours + owed {
            world.violated(format!(
                "{reference}: the carrier took {taken}, and we know of {ours} and {owed}: {charge:?}"
            ));
        }
        let back = self.refunded(world, charge);
        ours + owed - back
    }

    /// What went back of a charge, in tiyn: at most once for each refund, and never more than was taken.
    fn refunded(&self, world: &World, charge: &Charge) -> i64 {
        let mut all = 0;
        for refund in &charge.refunds {
            let names = [refund.reference.to_string(), refund.reference.uuid().simple().to_string()];
            let is_its = |entry: &&RefundEntry| names.iter().any(|name| entry.request_reference.starts_with(name));
            let back: Vec<i64> = self.refunds.iter().filter(is_its).map(|entry| entry.amount.minor).collect();
            let is_right = match refund.state {
                RefundState::Done => back == [refund.amount.minor],
                _ => back.is_empty(),
            };
            if !is_right {
                world.violated(format!("{}: {back:?} went back of {refund:?}", charge.reference));
            }
            all += if refund.state == RefundState::Done { refund.amount.minor } else { 0 };
        }
        if charge.refunded_amount().minor > charge.order.amount.minor {
            world.violated(format!("M14: more than was taken goes back: {charge:?}"));
        }
        all
    }
}

/// The journal alone leads to the charge as it is.
async fn replay(world: &World, charge: &Charge) {
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

/// M13: within the window a number pays once in one vehicle. Only where the wall clock did not jump.
fn one_ticket_at_a_time(world: &World, charges: &[Charge]) {
    if world.plan.jumps_every.is_some() {
        return;
    }
    let window = Duration::from_secs(world.plan.gateway.repeat_window_seconds);
    let charged: Vec<&Charge> = charges.iter().filter(|charge| charge.state == State::Charged).collect();
    for (first, second) in charged.iter().flat_map(|first| charged.iter().map(move |second| (first, second))) {
        let same = (first.order.msisdn, first.order.vehicle) == (second.order.msisdn, second.order.vehicle);
        let extends = second.order.extends.is_some();
        let Some(paid_at) = first.charged_at.filter(|_| same && !extends) else { continue };
        let received_at = second.order.received_at;
        if first.reference != second.reference && received_at >= paid_at && received_at < paid_at.plus(window) {
            world.violated(format!("M13: {} was bought while {} was good", second.reference, first.reference));
        }
    }
}

/// What passengers see: every text that the carrier took from us reached its phone, and no other did.
async fn phones(world: &World, charges: &[Charge]) {
    let numbers: BTreeSet<_> = charges.iter().map(|charge| charge.order.msisdn).collect();
    for msisdn in numbers {
        let shown: Vec<String> = world
            .carriers
            .iter()
            .flat_map(|carrier| carrier.simulator.inbox(msisdn))
            .filter(|message| message.part.is_none())
            .map(|message| message.text)
            .collect();
        let sent = world.store.messages_to(msisdn, Timestamp::MIN, ALL).await.unwrap_or_default();
        for queued in &sent {
            // Parts of two long texts that share a number mix, on a real phone too.
            let in_one = queued.message.text.chars().count() <= ONE_MESSAGE;
            let arrived = in_one && matches!(queued.state, MessageState::Submitted | MessageState::Delivered);
            if arrived && !shown.contains(&queued.message.text) {
                world.violated(format!("{msisdn} sees {shown:?}, and not {queued:?}"));
            }
        }
        for text in shown.iter().filter(|text| text.chars().count() <= ONE_MESSAGE) {
            if sent.iter().all(|queued| queued.message.text != *text) {
                world.violated(format!("{msisdn} sees a text that we know nothing of: {text:?}"));
            }
        }
    }
    for charge in charges.iter().filter(|charge| charge.state == State::Charged) {
        let by_sms = charge.order.channel.sms_carrier().is_some();
        let texts = world.store.messages_of(charge.reference).await.unwrap_or_default();
        if by_sms && !texts.iter().any(|queued| queued.message.ticket) {
            world.violated(format!("{} was paid by SMS, and its ticket was never to be sent", charge.reference));
        }
    }
}

fn loses_parts(world: &World) -> bool {
    let rules = world.carriers.iter().flat_map(|carrier| &carrier.plan.faults);
    rules.into_iter().any(|rule| rule.fault == Fault::MoPartMissing)
}
