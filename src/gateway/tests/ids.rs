//! Message ids: which attempt a receipt is about.

use super::world::{CARRIER, Setting, World, msisdn};
use crate::{
    carrier::CarrierReceipt,
    charge::{CarrierName, Event, Evidence, EvidenceSource, Finding, Reference, State},
    simulator::{ChargingMoment, Fault},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn world() -> World {
    World::new(Setting { charged_at: ChargingMoment::Delivery, ..Setting::default() })
}

/// A charge that the carrier has, under an id of our choice: no response and no receipt of the carrier's own disturb.
fn accepted_under(world: &World, number: &str, key: &str, carrier_id: &str) -> Reference {
    world.fault(number, Fault::DropResponse);
    world.fault(number, Fault::NoReceipt);
    let reference = world.bought(number, "1234", key).reference;
    let finding = Finding::Accepted { carrier_id: Some(carrier_id.into()) };
    let evidence = Evidence { id: "late".into(), attempt: 1, source: EvidenceSource::Response, finding };
    world.run(world.gateway().0.apply(reference, None, Event::Evidence(evidence))).expect("applied");
    reference
}

fn receipt(carrier: &str, number: &str, carrier_id: &str) -> CarrierReceipt {
    CarrierReceipt {
        carrier: carrier.parse::<CarrierName>().expect("a name"),
        carrier_id: Some(carrier_id.into()),
        msisdn: msisdn(number),
        source: "2505".into(),
        finding: Finding::Charged { carrier_id: Some(carrier_id.into()), amount: None },
        delivered: Some(true),
        refund: Finding::Nothing,
        key: "DELIVRD|000|2026-03-01T12:30:00".into(),
        submitted_at: None,
        user_message_reference: None,
        words: String::new(),
    }
}

#[test]
fn case_04_a_receipt_for_an_unknown_id_is_parked_and_counts_when_the_response_names_it() {
    let world = world();
    world.run(world.gateway().0.weigh_or_park(receipt(CARRIER, ANNA, "777"))).expect("parked");
    assert_eq!(world.run(world.gateway().store().parked_count()).expect("the store"), 1);
    let reference = accepted_under(&world, ANNA, "k", "777");
    world.until("the receipt counts", |world| Some(world.charge(reference)).filter(|c| c.state == State::Charged));
    world.until("nothing is parked", |world| {
        (world.run(world.gateway().store().parked_count()).expect("the store") == 0).then_some(())
    });
}

#[test]
fn case_06_an_id_used_again_belongs_to_the_newest_attempt_and_another_carriers_id_to_nobody_here() {
    let world = world();
    let older = accepted_under(&world, ANNA, "older", "777");
    let newer = accepted_under(&world, BULAT, "newer", "777");
    let stranger = receipt("kcell", BULAT, "777");
    world.run(world.gateway().0.weigh_or_park(stranger.clone())).expect("parked");
    world.run(world.gateway().0.settle_parked(&stranger.carrier, stranger.msisdn)).expect("the store");
    assert_eq!(world.run(world.gateway().store().parked_count()).expect("the store"), 1);
    world.run(world.gateway().0.weigh_or_park(receipt(CARRIER, BULAT, "777"))).expect("weighed");
    assert_eq!(world.charge(newer).state, State::Charged);
    assert_ne!(world.charge(older).state, State::Charged);
}

#[test]
fn case_07_a_receipt_on_another_bind_than_the_submission_counts() {
    let world = world();
    world.fault(ANNA, Fault::LateReceipt { ms: 400 });
    let charge = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().clone();
    world.until("the carrier has taken it", |world| world.charge(charge.reference).attempts[0].carrier_id.clone());
    let binds = world.simulator.stats().binds;
    world.simulator.drop_links();
    world.until("another bind is up", |world| (world.simulator.stats().binds > binds).then_some(()));
    world.until("the receipt counts", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Charged)
    });
    world.audit();
}
