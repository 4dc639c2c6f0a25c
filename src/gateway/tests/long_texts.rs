//! Texts that one message cannot hold, on their way out.

use std::time::Duration;

use super::world::{Setting, World, msisdn};
use crate::{
    carrier::{Sent, Text, Urgency},
    charge::Reference,
    simulator::{DelayRange, Fault, FaultRule},
};

const ANNA: &str = "+77051111111";

fn world(long_messages: &str) -> World {
    World::new(Setting { profile: format!("long_messages = \"{long_messages}\""), ..Setting::default() })
}

/// Sends a text past the outbox, so that one try is seen by itself.
fn send(world: &World, text: &str) -> Sent {
    let carrier = world.gateway().carrier(super::world::CARRIER).expect("a carrier").clone();
    let now = world.gateway().now();
    world.run(async {
        let slot = carrier.reserve_text(Duration::from_secs(5), Urgency::Normal).await.expect("a place");
        let text = Text {
            id: Reference::from_bytes([7; 16]),
            msisdn: msisdn(ANNA),
            text,
            expires_at: now.plus(Duration::from_secs(60)),
            urgency: Urgency::Normal,
        };
        carrier.send(slot, text, now).await
    })
}

#[test]
fn a_long_text_arrives_whole_in_whichever_form_the_carrier_wants() {
    let text = "ж".repeat(66) + &"щ".repeat(66);
    for (form, submits) in [("udh", 2), ("udh8", 2), ("sar", 2), ("payload", 1)] {
        let world = world(form);
        assert!(matches!(send(&world, &text), Sent::Submitted { carrier_id: Some(_) }));
        let shown = world.until("it is on the phone", |world| {
            let mut shown = world.texts(ANNA);
            shown.sort();
            Some(shown.concat()).filter(|shown| shown.chars().count() >= 132)
        });
        assert_eq!(shown, text, "{form}");
        let stats = world.simulator.stats();
        assert_eq!((stats.submits, stats.malformed), (submits, 0), "{form}");
    }
}

#[test]
fn the_second_try_of_a_long_text_sends_its_parts_under_the_same_number() {
    let mut setting = Setting { profile: "long_messages = \"udh\"".into(), ..Setting::default() };
    // So long that the second part can be refused after the first was taken.
    setting.simulator.response_delay_ms = DelayRange { min: 300, max: 300 };
    let world = World::new(setting);
    let text = "ж".repeat(132);
    let tried = std::thread::scope(|scope| {
        let trying = scope.spawn(|| send(&world, &text));
        world.until("the first part is there", |world| (world.simulator.stats().submits == 1).then_some(()));
        world.simulator.set_fault(FaultRule::for_number(msisdn(ANNA), 1, Fault::Throttle)).expect("a rule");
        trying.join().expect("a try")
    });
    assert_eq!(tried, Sent::Later);
    assert!(matches!(send(&world, &text), Sent::Submitted { .. }));
    let shown = world.until("it is on the phone", |world| {
        let shown = world.simulator.inbox(msisdn(ANNA));
        shown.iter().any(|message| message.part.is_none()).then_some(shown)
    });
    assert_eq!(shown.len(), 1, "under another number, the first part of the first try would be left over: {shown:?}");
    assert_eq!(shown[0].text, text);
}

#[test]
fn a_text_of_more_than_ten_parts_is_refused_and_nothing_of_it_is_sent() {
    let world = world("udh");
    assert!(matches!(send(&world, &"ж".repeat(671)), Sent::Refused { .. }));
    assert_eq!(world.simulator.stats().submits, 0);
}
