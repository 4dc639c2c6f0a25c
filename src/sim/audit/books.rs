//! The carriers' own books against ours, in both directions.

use crate::{
    charge::{Charge, Refund, RefundState, State},
    sim::world::World,
    simulator::{LedgerEntry, RefundEntry},
};

/// What one carrier has in its books.
#[derive(Debug, Default)]
pub(super) struct CarrierBooks {
    pub(super) name: &'static str,
    pub(super) entries: Vec<LedgerEntry>,
    pub(super) refunds: Vec<RefundEntry>,
}

/// What every carrier has in its books.
pub(super) fn of(world: &World) -> Vec<CarrierBooks> {
    let books = |carrier: &crate::sim::carriers::SimulatedCarrier| {
        let stats = carrier.simulator.stats();
        if stats.malformed > 0 {
            world.violated(format!("{} got malformed PDUs: {:?}", carrier.plan.name, stats.malformed_last));
        }
        let ledger = carrier.simulator.ledger();
        CarrierBooks { name: carrier.plan.name, entries: ledger.entries().to_vec(), refunds: ledger.refunds().to_vec() }
    };
    world.carriers.iter().map(books).collect()
}

/// One charge: what its carriers took is what we know of, and its ticket is as its state says.
pub(super) async fn compare(world: &World, books: &[CarrierBooks], charge: &Charge) {
    let reference = charge.reference;
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
    let entries = || books.iter().flat_map(|books| &books.entries).filter(|e| e.reference == Some(reference.uuid()));
    let taken: Vec<i64> = entries().map(|entry| entry.amount.minor).collect();
    if taken.len() > 1 {
        world.violated(format!("{reference} was charged {} times", taken.len()));
    }
    let taken: i64 = taken.iter().sum();
    let ours = if charge.charged_at.is_some() { charge.order.amount.minor } else { 0 };
    let owed: i64 = charge.refunds.iter().filter(|r| r.attempt.is_some()).map(|r| r.amount.minor).sum();
    if taken != ours + owed {
        world.violated(format!("{reference}: the carrier took {taken}, and we know of {ours} and {owed}: {charge:?}"));
    }
}

/// What carriers took of nobody of ours, gave back unasked, or did not give back; each refund of its own payment, once, and never more
/// than was taken.
pub(super) fn flaws(books: &[CarrierBooks], charges: &[Charge]) -> Vec<String> {
    let mut flaws = Vec::new();
    for (carrier, entry) in books.iter().flat_map(|books| books.entries.iter().map(move |entry| (books.name, entry))) {
        if !charges.iter().any(|charge| Some(charge.reference.uuid()) == entry.reference) {
            flaws.push(format!("{carrier} took money for no charge of ours: {entry:?}"));
        }
    }
    for books in books {
        flaws.extend(books.refunds.iter().filter_map(|entry| flaw_of(books, entry, charges)));
    }
    for charge in charges {
        for refund in &charge.refunds {
            let all = books.iter().flat_map(|books| &books.refunds);
            let back: Vec<i64> = all.filter(|entry| is_of(entry, refund)).map(|entry| entry.amount.minor).collect();
            let is_right = match refund.state {
                RefundState::Done => back == [refund.amount.minor],
                _ => back.is_empty(),
            };
            if !is_right {
                flaws.push(format!("{}: {back:?} went back of {refund:?}", charge.reference));
            }
        }
        if charge.refunded_amount().minor > charge.order.amount.minor {
            flaws.push(format!("M14: more than was taken goes back: {charge:?}"));
        }
    }
    flaws
}

/// What is wrong with something that a carrier gave back: whose refund it is, and of which payment.
fn flaw_of(books: &CarrierBooks, entry: &RefundEntry, charges: &[Charge]) -> Option<String> {
    let all = charges.iter().flat_map(|charge| charge.refunds.iter().map(move |refund| (charge, refund)));
    let name = books.name;
    let Some((charge, refund)) = all.into_iter().find(|(_, refund)| is_of(entry, refund)) else {
        return Some(format!("{name} gave back what is no refund of ours: {entry:?}"));
    };
    if entry.msisdn != charge.order.msisdn {
        return Some(format!("{name} gave to {} what is of {}: {entry:?}", entry.msisdn, charge.order.msisdn));
    }
    let Some(payment) = books.entries.iter().find(|payment| payment.message_id == entry.payment_id) else {
        return Some(format!("{name} gave back on a payment that it does not have: {entry:?}"));
    };
    let attempt = refund.attempt.map_or(charge.last_attempt(), |number| charge.attempt(number));
    let is_its = attempt.is_some_and(|attempt| {
        attempt.carrier.as_str() == name
            && payment.reference == Some(charge.reference.uuid())
            // A charged message tells the charge alone.
            && payment.request_reference.as_ref().is_none_or(|wire| *wire == attempt.wire_reference)
    });
    (!is_its).then(|| format!("{name} gave back on another payment: {entry:?} on {payment:?}, and it is {refund:?}"))
}

/// Whether what a carrier gave back bears the name of this refund, in whichever form it was written.
fn is_of(entry: &RefundEntry, refund: &Refund) -> bool {
    let names = [refund.reference.to_string(), refund.reference.uuid().simple().to_string()];
    names.iter().any(|name| entry.request_reference.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        charge::{
            Contract, Event, Evidence, EvidenceSource, Finding, LateSuccess, Reference, Terms, samples::order, step,
        },
        clock::Timestamp,
        simulator::Interface,
    };

    const AT: Timestamp = Timestamp::from_unix_seconds(1_772_418_600);

    /// Charged at beeline, and given back whole.
    fn refunded() -> Charge {
        let terms = Terms::new(AT.plus(std::time::Duration::from_secs(60)), LateSuccess::Refund);
        let charge = Charge::new(Reference::new(AT, [1; 10]), order(AT), terms);
        let contract = Contract {
            in_flight_delay_ms: 0,
            queries: None,
            queries_by_carrier_id: false,
            queries_refunds: true,
            can_refund: true,
            refund_message: None,
            replays_keys: false,
            reservation_ms: None,
            fee: None,
        };
        let refund = charge.reference.derive("refund", 0);
        let finding = Finding::Charged { carrier_id: Some("7".into()), amount: None };
        let paid = Evidence { id: "1".into(), attempt: 1, source: EvidenceSource::Response, finding: finding.clone() };
        let carrier = "beeline".parse().expect("a name");
        let events = [
            Event::OpenAttempt {
                carrier,
                wire_reference: format!("{}-1", charge.reference),
                contract,
                carrier_time: None,
            },
            Event::Evidence(paid),
            Event::RequestRefund { refund, amount: charge.order.amount, by: None },
            Event::RefundEvidence { refund, id: "2".into(), source: EvidenceSource::Response, finding },
        ];
        events.into_iter().fold(charge, |charge, event| step(&charge, event, AT).expect("a legal event").next)
    }

    /// The carrier's books of it.
    fn beeline(charge: &Charge) -> CarrierBooks {
        let (msisdn, amount) = (charge.order.msisdn, charge.order.amount);
        let payment = LedgerEntry {
            at: AT,
            msisdn,
            amount,
            interface: Some(Interface::Cis),
            message_id: "7".into(),
            user_message_reference: None,
            request_reference: Some(format!("{}-1", charge.reference)),
            reference: Some(charge.reference.uuid()),
            tariff: String::new(),
            text: String::new(),
            faults: Vec::new(),
        };
        let back = RefundEntry {
            at: AT,
            msisdn,
            amount,
            interface: Some(Interface::Cis),
            payment_id: "7".into(),
            refund_id: "8".into(),
            request_reference: charge.refunds[0].wire_reference(),
            faults: Vec::new(),
        };
        CarrierBooks { name: "beeline", entries: vec![payment], refunds: vec![back] }
    }

    #[test]
    fn what_went_back_as_it_should_is_no_flaw() {
        let charge = refunded();
        assert_eq!(flaws(&[beeline(&charge)], &[charge]), Vec::<String>::new());
    }

    #[test]
    fn m14_what_went_back_otherwise_is_seen_each_for_its_own_reason() {
        let charge = refunded();
        let mut other = beeline(&charge).entries.remove(0);
        (other.message_id, other.request_reference) = ("9".into(), Some(format!("{}-2", charge.reference)));
        type Plant<'a> = (&'a str, &'a dyn Fn(&mut CarrierBooks));
        let plants: [Plant<'_>; 6] = [
            ("no refund of ours", &|books| books.refunds[0].request_reference = "stranger".into()),
            ("does not have", &|books| books.refunds[0].payment_id = "stranger".into()),
            ("what is of", &|books| books.refunds[0].msisdn = "77019999999".parse().expect("a number")),
            ("another payment", &|books| {
                books.entries.push(other.clone());
                books.refunds[0].payment_id = "9".into();
            }),
            ("[] went back", &|books| books.refunds.clear()),
            ("[8000, 8000] went back", &|books| books.refunds.push(books.refunds[0].clone())),
        ];
        for (reason, plant) in plants {
            let mut books = beeline(&charge);
            plant(&mut books);
            let flaws = flaws(&[books], std::slice::from_ref(&charge));
            assert!(flaws.iter().any(|flaw| flaw.contains(reason)), "{reason}: {flaws:?}");
        }
    }
}
