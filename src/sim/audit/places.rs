//! One place, a number in a vehicle, and what was bought there (M12, M13).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    charge::{Charge, Reference, State},
    gateway::GatewayConfig,
    msisdn::Msisdn,
};

/// What somebody wished: how many passengers in total are to ride on this number in this vehicle.
pub(in crate::sim) type Wish = (Msisdn, String, u8);

/// Two charges of one place, both paid, of which the second came while the first was under way or good. One that only adds to the
/// passengers is no second purchase.
pub(super) fn overlaps(charges: &[Charge], config: &GatewayConfig) -> Vec<String> {
    let window = Duration::from_secs(config.repeat_window_seconds);
    let paid: Vec<&Charge> = charges.iter().filter(|charge| charge.state == State::Charged).collect();
    let mut flaws = Vec::new();
    for (first, second) in paid.iter().flat_map(|first| paid.iter().map(move |second| (*first, *second))) {
        let is_second = (first.order.received_at, first.reference) < (second.order.received_at, second.reference);
        let same_place = (first.order.msisdn, first.order.vehicle) == (second.order.msisdn, second.order.vehicle);
        let Some(paid_at) = first.charged_at else { continue };
        // A message that waited may be answered after a later one, and add to that.
        let is_added = first.order.extends.as_ref().is_some_and(|before| before.reference == second.reference);
        if !is_second || !same_place || second.order.extends.is_some() || is_added {
            continue;
        }
        let received_at = second.order.received_at;
        if received_at < paid_at.plus(window).max(first.terms.ticket_deadline) {
            let (rule, how) = if received_at < paid_at { ("M12", "under way") } else { ("M13", "good") };
            let (first, second) = (first.reference, second.reference);
            flaws.push(format!("{rule}: {second} was bought while {first} was {how}"));
        }
    }
    flaws
}

/// What gave way to a newer purchase never ends as paid.
pub(super) fn gave_way(charges: &[Charge]) -> Vec<String> {
    let wrong = charges.iter().filter(|charge| charge.superseded_by.is_some() && charge.state == State::Charged);
    wrong
        .map(|charge| format!("M12: {} gave way to {:?}, and is charged", charge.reference, charge.superseded_by))
        .collect()
}

/// A journey is a purchase with all that adds to it. Each was wished by somebody as it was bought, and together they have no more
/// passengers than the largest of these wishes.
pub(super) fn journeys(charges: &[Charge], wishes: &BTreeSet<Wish>) -> Vec<String> {
    let by_reference: BTreeMap<Reference, &Charge> = charges.iter().map(|charge| (charge.reference, charge)).collect();
    let mut journeys: BTreeMap<Reference, Vec<&Charge>> = BTreeMap::new();
    let mut flaws = Vec::new();
    for charge in charges {
        let wish = (charge.order.msisdn, charge.order.vehicle.to_string(), in_total(charge));
        if !wishes.contains(&wish) {
            flaws.push(format!("M13: nobody wished for {wish:?}: {charge:?}"));
        }
        if charge.state == State::Charged {
            journeys.entry(beginning(charge, &by_reference)).or_default().push(charge);
        }
    }
    for (first, paid) in journeys {
        let passengers: u32 = paid.iter().map(|charge| u32::from(charge.order.passengers)).sum();
        let wished = paid.iter().map(|charge| in_total(charge)).max().unwrap_or(0);
        if passengers > u32::from(wished) {
            flaws
                .push(format!("M13: {passengers} passengers paid from {first} on, and {wished} were wished: {paid:?}"));
        }
    }
    flaws
}

/// The passengers who were to ride once this charge was paid.
fn in_total(charge: &Charge) -> u8 {
    let before = charge.order.extends.as_ref().map_or(0, |extends| extends.passengers);
    charge.order.passengers.saturating_add(before)
}

/// The purchase with which its journey began.
fn beginning(charge: &Charge, by_reference: &BTreeMap<Reference, &Charge>) -> Reference {
    let mut first = charge;
    // No chain is longer than all charges.
    for _ in 0..by_reference.len() {
        let before = first.order.extends.as_ref().and_then(|extends| by_reference.get(&extends.reference));
        let Some(before) = before else { break };
        first = before;
    }
    first.reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        charge::{Extends, LateSuccess, Terms, samples::order},
        clock::Timestamp,
    };

    const AT: Timestamp = Timestamp::from_unix_seconds(1_772_418_600);

    fn config() -> GatewayConfig {
        GatewayConfig { ticket_deadline_seconds: 60, repeat_window_seconds: 900, ..GatewayConfig::default() }
    }

    /// Asked for so many seconds after the beginning, and paid five later.
    fn paid(number: u8, at_seconds: u64) -> Charge {
        let received_at = AT.plus(Duration::from_secs(at_seconds));
        let terms = Terms::new(received_at.plus(Duration::from_secs(60)), LateSuccess::Refund);
        let mut charge = Charge::new(Reference::new(AT, [number; 10]), order(received_at), terms);
        charge.state = State::Charged;
        charge.charged_at = Some(received_at.plus(Duration::from_secs(5)));
        charge
    }

    fn adding(number: u8, at_seconds: u64, to: &Charge, before: u8) -> Charge {
        let mut charge = paid(number, at_seconds);
        charge.order.extends = Some(Extends { reference: to.reference, passengers: before, held_until: AT });
        charge
    }

    fn wished(totals: &[u8]) -> BTreeSet<Wish> {
        let order = order(AT);
        totals.iter().map(|total| (order.msisdn, order.vehicle.to_string(), *total)).collect()
    }

    #[test]
    fn m12_m13_a_second_purchase_is_seen_from_the_first_moment_to_the_last() {
        for (at_seconds, rule) in
            [(0, Some("M12")), (4, Some("M12")), (5, Some("M13")), (904, Some("M13")), (905, None)]
        {
            let flaws = overlaps(&[paid(1, 0), paid(2, at_seconds)], &config());
            assert_eq!(flaws.first().map(|flaw| &flaw[..3]), rule, "{at_seconds}");
        }
        let config = GatewayConfig { repeat_window_seconds: 10, ..config() };
        assert_eq!(overlaps(&[paid(2, 59), paid(1, 0)], &config).len(), 1, "before the deadline");
        assert_eq!(overlaps(&[paid(2, 60), paid(1, 0)], &config), Vec::<String>::new());
    }

    #[test]
    fn m13_an_addition_another_vehicle_and_what_went_back_are_no_second_purchase() {
        let first = paid(1, 0);
        let (mut elsewhere, mut back) = (paid(2, 10), paid(3, 10));
        elsewhere.order.vehicle = "1235".parse().expect("a code");
        back.state = State::Refunded;
        let charges = [adding(4, 10, &first, 1), first, elsewhere, back];
        assert_eq!(overlaps(&charges, &config()), Vec::<String>::new());
    }

    #[test]
    fn m12_what_gave_way_and_is_charged_is_seen() {
        let mut charge = paid(1, 0);
        charge.superseded_by = Some(Reference::new(AT, [2; 10]));
        assert_eq!(gave_way(std::slice::from_ref(&charge)).len(), 1);
        charge.state = State::RefundOwed;
        assert_eq!(gave_way(&[charge]), Vec::<String>::new());
    }

    #[test]
    fn m13_more_passengers_than_anybody_wished_are_seen() {
        let first = paid(1, 0);
        let second = adding(2, 10, &first, 1);
        assert_eq!(journeys(&[first.clone(), second.clone()], &wished(&[1, 2])), Vec::<String>::new());
        let twice = [first.clone(), second.clone(), adding(3, 11, &first, 1)];
        assert_eq!(journeys(&twice, &wished(&[1, 2])).len(), 1, "`1234*2` was taken twice");
        let third = adding(3, 11, &second, 2);
        assert_eq!(journeys(&[first, second, third], &wished(&[1, 2])).len(), 1, "nobody wished for three");
    }
}
