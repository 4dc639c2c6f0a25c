//! Receipts that nobody owns: weighed again, a break in the end, and given up.

use std::time::Duration;

use super::world::{CARRIER, SHORT_NUMBER, Setting, World, msisdn};
use crate::{
    carrier::CarrierReceipt,
    charge::{Finding, State},
    clock::{Clock, ManualClock},
    simulator::{ChargingMoment, Fault},
    store::{ParkedReceipt, StoredBreak, Write},
};

const ANNA: &str = "+77051111111";

fn receipt(carrier_id: &str, finding: Finding) -> CarrierReceipt {
    CarrierReceipt {
        carrier: CARRIER.parse().expect("a name"),
        carrier_id: Some(carrier_id.into()),
        msisdn: msisdn(ANNA),
        source: SHORT_NUMBER.into(),
        delivered: (finding != Finding::Nothing).then_some(true),
        finding,
        refund: Finding::Nothing,
        key: "DELIVRD:000".into(),
        submitted_at: None,
        user_message_reference: None,
        words: String::new(),
    }
}

fn paid() -> Finding {
    Finding::Charged { carrier_id: None, amount: None }
}

fn parked(world: &World) -> u64 {
    world.run(world.gateway().store().parked_count()).expect("the store")
}

fn breaks(world: &World) -> Vec<StoredBreak> {
    world.run(world.gateway().store().breaks(9)).expect("the store")
}

#[test]
fn m09_a_receipt_of_nobody_is_parked_then_a_break_once_and_given_up_in_the_end() {
    for sqlite in [false, true] {
        let hand = ManualClock::new(Clock::System.now());
        let mut setting = Setting { sqlite, clock: Clock::Manual(hand.clone()), ..Setting::default() };
        (setting.gateway.parked_break_seconds, setting.gateway.parked_keep_seconds) = (60, 600);
        let mut world = World::new(setting);
        let nobodys = receipt("nobodys", paid());
        for piece in [nobodys.clone(), nobodys.clone(), receipt("on its way", Finding::Nothing)] {
            world.run(world.gateway().0.weigh_or_park(piece)).expect("kept");
        }
        assert_eq!((parked(&world), breaks(&world)), (2, vec![]));
        hand.advance(Duration::from_secs(61));
        let found = world.until("it is a break", |world| Some(breaks(world)).filter(|found| !found.is_empty()));
        assert_eq!((found[0].kind.as_str(), found[0].reference), ("receipt_unowned", None));
        assert_eq!(found[0].piece, Some(nobodys.parked_id()));
        world.kill();
        world.start();
        hand.advance(Duration::from_secs(61));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!((parked(&world), breaks(&world).len()), (2, 1), "once, and what says nothing never");
        hand.advance(Duration::from_secs(600));
        world.until("they are given up", |world| (parked(world) == 0).then_some(()));
        assert_eq!(breaks(&world).len(), 1);
        world.audit();
    }
}

#[test]
fn m09_what_could_not_be_weighed_when_its_id_was_learned_is_weighed_again() {
    for sqlite in [false, true] {
        let world = World::new(Setting { sqlite, charged_at: ChargingMoment::Delivery, ..Setting::default() });
        world.fault(ANNA, Fault::NoReceipt);
        let reference = world.purchase(ANNA, "1234", 1, "k").expect("a charge").charge().reference;
        let id = world.until("its id is known", |world| {
            world.charge(reference).last_attempt().and_then(|attempt| attempt.carrier_id.clone())
        });
        // As if the weighing had failed when the id was learned: it is there, and nobody has looked since.
        let piece = receipt(&id, paid());
        let body = serde_json::to_value(&piece).expect("plain data");
        let row = ParkedReceipt {
            id: piece.parked_id(),
            carrier: piece.carrier.clone(),
            carrier_id: None,
            msisdn: Some(piece.msisdn),
            body,
            received_at: world.gateway().now(),
        };
        world.run(world.gateway().store().commit(&[Write::Park(row)])).expect("parked");
        world.until("it counts", |world| (world.charge(reference).state == State::Charged).then_some(()));
        world.until("it is parked no more", |world| (parked(world) == 0).then_some(()));
        assert_eq!(breaks(&world), []);
    }
}

#[test]
fn what_cannot_be_read_is_a_break_too_and_holds_up_nobody() {
    let hand = ManualClock::new(Clock::System.now());
    let mut setting = Setting { clock: Clock::Manual(hand.clone()), ..Setting::default() };
    (setting.gateway.parked_break_seconds, setting.gateway.parked_keep_seconds) = (60, 600);
    let world = World::new(setting);
    let row = |id: &str, msisdn| ParkedReceipt {
        id: id.into(),
        carrier: CARRIER.parse().expect("a name"),
        carrier_id: Some(id.into()),
        msisdn,
        body: serde_json::json!({"of": "another version"}),
        received_at: world.gateway().now(),
    };
    let rows = [Write::Park(row("r", Some(msisdn(ANNA)))), Write::Park(row("c", None))];
    world.run(world.gateway().store().commit(&rows)).expect("parked");
    hand.advance(Duration::from_secs(61));
    world.until("both are breaks", |world| (breaks(world).len() == 2).then_some(()));
    hand.advance(Duration::from_secs(600));
    world.until("they are given up", |world| (parked(world) == 0).then_some(()));
}
